/* Who a process is: pids, sessions, users and groups, capabilities.
 *
 * The host's raw calls, not the C library's functions: in the kernel credentials belong to a thread, and the
 * guest's own C library sees to it that all threads change theirs.
 *
 * The calls with 16-bit ids are those of old programs: -1 means -1, and an id that does not fit reads as
 * 65534. */
#include "Linux/host_syscall.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* --- Calls that mean the same on the host: `host` with the first `count` arguments as they are ------- */

#define SAME_0(name, host)                                                                                   \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread, (void)arg;                                                                                 \
    return (int32_t)HOST_CALL(host, 0);                                                                      \
  }
#define SAME_1(name, host)                                                                                   \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread;                                                                                            \
    return (int32_t)HOST_CALL(host, (int32_t)arg[0]);                                                        \
  }
#define SAME_2(name, host)                                                                                   \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread;                                                                                            \
    return (int32_t)HOST_CALL(host, (int32_t)arg[0], (int32_t)arg[1]);                                       \
  }
#define SAME_3(name, host)                                                                                   \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread;                                                                                            \
    return (int32_t)HOST_CALL(host, (int32_t)arg[0], (int32_t)arg[1], (int32_t)arg[2]);                      \
  }

SAME_0(getpid, SYS_getpid)
SAME_0(getppid, SYS_getppid)
SAME_0(getpgrp, SYS_getpgrp)
SAME_0(setsid, SYS_setsid)
SAME_1(getsid, SYS_getsid)
SAME_1(getpgid, SYS_getpgid)
SAME_2(setpgid, SYS_setpgid)

SAME_0(getuid32, SYS_getuid)
SAME_0(getgid32, SYS_getgid)
SAME_0(geteuid32, SYS_geteuid)
SAME_0(getegid32, SYS_getegid)
SAME_1(setuid32, SYS_setuid)
SAME_1(setgid32, SYS_setgid)
SAME_1(setfsuid32, SYS_setfsuid)
SAME_1(setfsgid32, SYS_setfsgid)
SAME_2(setreuid32, SYS_setreuid)
SAME_2(setregid32, SYS_setregid)
SAME_3(setresuid32, SYS_setresuid)
SAME_3(setresgid32, SYS_setresgid)

/* --- 16-bit ids ------------------------------------------------------------------------------------- */

static uint32_t widen(uint32_t id) { return (uint16_t)id == UINT16_MAX ? UINT32_MAX : (uint16_t)id; }

static uint16_t narrow(uint32_t id) {
  enum { OVERFLOW_ID = 65534 };
  return id > UINT16_MAX ? OVERFLOW_ID : (uint16_t)id;
}

#define GET_16(name, host)                                                                                   \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread, (void)arg;                                                                                 \
    return narrow((uint32_t)HOST_CALL(host, 0));                                                             \
  }
#define SET_16(name, host)                                                                                   \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread;                                                                                            \
    return (int32_t)HOST_CALL(host, widen(arg[0]), widen(arg[1]), widen(arg[2]));                            \
  }

GET_16(getuid, SYS_getuid)
GET_16(getgid, SYS_getgid)
GET_16(geteuid, SYS_geteuid)
GET_16(getegid, SYS_getegid)
SET_16(setuid, SYS_setuid)
SET_16(setgid, SYS_setgid)
SET_16(setreuid, SYS_setreuid)
SET_16(setregid, SYS_setregid)
SET_16(setresuid, SYS_setresuid)
SET_16(setresgid, SYS_setresgid)
SET_16(setfsuid, SYS_setfsuid)
SET_16(setfsgid, SYS_setfsgid)

/* getresuid(2) and getresgid(2): three ids to three addresses. */
static int32_t get_three(long number, const uint32_t arg[6], bool narrow_ids) {
  uint32_t id[3];
  const long error = HOST_CALL(number, &id[0], &id[1], &id[2]);
  if (error < 0)
    return (int32_t)error;
  for (int i = 0; i < 3; i++) {
    const uint16_t small = narrow(id[i]);
    if ((narrow_ids ? guest_copy_out(arg[i], &small, sizeof small)
                    : guest_copy_out(arg[i], &id[i], sizeof id[i])) < 0)
      return -EFAULT;
  }
  return 0;
}

int32_t sys_getresuid(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return get_three(SYS_getresuid, arg, true);
}
int32_t sys_getresgid(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return get_three(SYS_getresgid, arg, true);
}
int32_t sys_getresuid32(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return get_three(SYS_getresuid, arg, false);
}
int32_t sys_getresgid32(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return get_three(SYS_getresgid, arg, false);
}

/* --- Supplementary groups ------------------------------------------------------------------------------ */

static int32_t get_groups(const uint32_t arg[6], bool narrow_ids) {
  const int32_t room = (int32_t)arg[0];
  if (room < 0)
    return -EINVAL;
  uint32_t *group = malloc(NGROUPS_MAX * sizeof *group);
  if (!group)
    return -ENOMEM;
  int32_t count = (int32_t)HOST_CALL(SYS_getgroups, NGROUPS_MAX, group);
  if (room != 0 && count > room)
    count = -EINVAL;
  for (int32_t i = 0; room != 0 && i < count; i++) {
    const uint16_t small = narrow(group[i]);
    const int error = narrow_ids ? guest_copy_out(arg[1] + 2 * (uint32_t)i, &small, 2)
                                 : guest_copy_out(arg[1] + 4 * (uint32_t)i, &group[i], 4);
    if (error < 0)
      count = error;
  }
  free(group);
  return count;
}

static int32_t set_groups(const uint32_t arg[6], bool narrow_ids) {
  const uint32_t count = arg[0];
  if (count > NGROUPS_MAX) {
    /* The host's answer puts EPERM first. */
    return (int32_t)HOST_CALL(SYS_setgroups, count, NULL);
  }
  uint32_t *group = malloc((count + 1) * sizeof *group);
  if (!group)
    return -ENOMEM;
  int32_t result = 0;
  for (uint32_t i = 0; i < count && result == 0; i++) {
    uint16_t small;
    if (narrow_ids) {
      result = guest_copy_in(&small, arg[1] + 2 * i, sizeof small);
      group[i] = small; /* -1 is no group, the host says so */
      if (small == UINT16_MAX)
        group[i] = UINT32_MAX;
    } else {
      result = guest_copy_in(&group[i], arg[1] + 4 * i, sizeof group[i]);
    }
  }
  if (result == 0)
    result = (int32_t)HOST_CALL(SYS_setgroups, count, group);
  free(group);
  return result;
}

int32_t sys_getgroups(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return get_groups(arg, true);
}
int32_t sys_setgroups(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return set_groups(arg, true);
}
int32_t sys_getgroups32(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return get_groups(arg, false);
}
int32_t sys_setgroups32(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return set_groups(arg, false);
}

/* --- Capabilities: the structures are the same on both sides -------------------------------------------- */

int32_t sys_capget(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  enum { HEADER_SIZE = 8, DATA_SIZE = 24 };
  guest_memory_write_begin(arg[0], HEADER_SIZE);
  if (arg[1])
    guest_memory_write_begin(arg[1], DATA_SIZE);
  return (int32_t)HOST_CALL(SYS_capget, arg[0], arg[1]);
}

int32_t sys_capset(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_capset, arg[0], arg[1]);
}
