/* What a program asks or sets of the system as a whole: names, load, random bytes, the log, modules.
 *
 * Calls whose arguments mean the same on both sides go through; those that need privilege fail, or do
 * not, as the host decides. */
#include "Linux/abi_misc.h"
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

/* --- uname(2) ------------------------------------------------------------------------------ */

enum { PERSONALITY_UNAME26 = 0x0020000, PERSONALITY_MASK = 0xFF };

/* "6.12.3-x" is shown as "2.6.72-x": personality(2), UNAME26. */
static void release_as_26(char *release, size_t size) {
  char shown[65];
  const char *rest = release;
  int dots = 0;
  while (*rest && (isdigit((unsigned char)*rest) || (*rest == '.' && ++dots < 3)))
    rest++;
  const char *minor = strchr(release, '.');
  snprintf(shown, sizeof shown, "2.6.%d%.48s", (minor ? atoi(minor + 1) : 0) + 60, rest);
  memcpy(release, shown, size < sizeof shown ? size : sizeof shown);
}

/* As an x86-64 kernel shows itself to a 32-bit program: its own machine, unless the personality is
 * PER_LINUX32 (setarch i386). */
static int names_for_guest(const struct thread *thread, struct guest_utsname *names) {
  _Static_assert(sizeof(struct utsname) == sizeof *names, "the same struct on both sides");
  const uint32_t personality = thread->process->personality;
  const int error = (int)HOST_CALL(SYS_uname, names);
  if (error < 0)
    return error;
  memset(names->machine, 0, sizeof names->machine);
  strcpy(names->machine, (personality & PERSONALITY_MASK) == PER_LINUX32 ? "i686" : "x86_64");
  if ((personality & PERSONALITY_UNAME26) && strncmp(names->release, "2.6.", 4) != 0)
    release_as_26(names->release, sizeof names->release);
  return 0;
}

int32_t sys_uname(struct thread *thread, const uint32_t arg[6]) {
  struct guest_utsname names;
  const int error = names_for_guest(thread, &names);
  return error != 0 ? error : guest_copy_out(arg[0], &names, sizeof names);
}

int32_t sys_olduname(struct thread *thread, const uint32_t arg[6]) {
  struct guest_utsname names;
  const int error = names_for_guest(thread, &names);
  return error != 0 ? error : guest_copy_out(arg[0], &names, offsetof(struct guest_utsname, domainname));
}

int32_t sys_oldolduname(struct thread *thread, const uint32_t arg[6]) {
  struct guest_utsname names;
  const int error = names_for_guest(thread, &names);
  if (error != 0)
    return error;
  struct guest_utsname_oldest oldest = {0};
#define SHORTEN(field) memcpy(oldest.field, names.field, sizeof oldest.field - 1)
  SHORTEN(sysname);
  SHORTEN(nodename);
  SHORTEN(release);
  SHORTEN(version);
  SHORTEN(machine);
#undef SHORTEN
  return guest_copy_out(arg[0], &oldest, sizeof oldest);
}

int32_t sys_sethostname(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_sethostname, guest_to_host(arg[0]), (int)arg[1]);
}

int32_t sys_setdomainname(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_setdomainname, guest_to_host(arg[0]), (int)arg[1]);
}

/* --- sysinfo(2) ---------------------------------------------------------------------------- */

/* Sizes that 32 bits do not hold are given in larger units, all of them. */
int32_t sys_sysinfo(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct sysinfo host;
  const long result = HOST_CALL(SYS_sysinfo, &host);
  if (result < 0)
    return (int32_t)result;
  int shift = 0;
  if (host.totalram > UINT32_MAX || host.totalswap > UINT32_MAX)
    for (; host.mem_unit < GUEST_PAGE_SIZE; shift++)
      host.mem_unit <<= 1;
  const struct guest_sysinfo guest = {
      .uptime = (int32_t)host.uptime,
      .loads = {(uint32_t)host.loads[0], (uint32_t)host.loads[1], (uint32_t)host.loads[2]},
      .totalram = (uint32_t)(host.totalram >> shift),
      .freeram = (uint32_t)(host.freeram >> shift),
      .sharedram = (uint32_t)(host.sharedram >> shift),
      .bufferram = (uint32_t)(host.bufferram >> shift),
      .totalswap = (uint32_t)(host.totalswap >> shift),
      .freeswap = (uint32_t)(host.freeswap >> shift),
      .procs = host.procs,
      .totalhigh = (uint32_t)(host.totalhigh >> shift),
      .freehigh = (uint32_t)(host.freehigh >> shift),
      .mem_unit = host.mem_unit};
  return guest_copy_out(arg[0], &guest, sizeof guest);
}

/* --- The log, random bytes, processors ----------------------------------------------------- */

int32_t sys_syslog(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_syslog, (int)arg[0], guest_to_host(arg[1]), (int)arg[2]));
}

int32_t sys_getrandom(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_getrandom, guest_to_host(arg[0]), arg[1], arg[2]));
}

int32_t sys_getcpu(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  unsigned cpu, node;
  const long result = HOST_CALL(SYS_getcpu, &cpu, &node, NULL);
  if (result < 0)
    return (int32_t)result;
  if ((arg[0] != 0 && guest_copy_out(arg[0], &cpu, sizeof cpu) != 0) ||
      (arg[1] != 0 && guest_copy_out(arg[1], &node, sizeof node) != 0))
    return -EFAULT;
  return 0;
}

int32_t sys_membarrier(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_membarrier, (int)arg[0], arg[1], (int)arg[2]);
}

int32_t sys_ioprio_set(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_ioprio_set, (int)arg[0], (int)arg[1], (int)arg[2]);
}

int32_t sys_ioprio_get(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_ioprio_get, (int)arg[0], (int)arg[1]);
}

int32_t sys_kcmp(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_kcmp, (int)arg[0], (int)arg[1], (int)arg[2], arg[3], arg[4]);
}

/* struct bpf_attr has pointers in 64-bit fields: it is the same on both sides. */
int32_t sys_bpf(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  if (arg[2] <= GUEST_PAGE_SIZE)
    guest_memory_write_begin(arg[1], arg[2]);
  return (int32_t)HOST_CALL(SYS_bpf, (int)arg[0], guest_to_host(arg[1]), arg[2]);
}

/* --- Ports: translated code never reaches them, so nobody is granted any ------------------- */

/* The host is asked for what grants nothing: so it says whether there is such a call, and checks. */
int32_t sys_ioperm(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const long result = HOST_CALL(SYS_ioperm, (unsigned long)arg[0], (unsigned long)arg[1], 0);
  return result == 0 && arg[2] ? -EPERM : (int32_t)result;
}

int32_t sys_iopl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const long result = HOST_CALL(SYS_iopl, arg[0] > 3 ? arg[0] : 0);
  return result == 0 && arg[0] > 0 ? -EPERM : (int32_t)result;
}

/* --- For the superuser --------------------------------------------------------------------- */

int32_t sys_reboot(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_reboot, (int)arg[0], (int)arg[1], arg[2], guest_to_host(arg[3]));
}

int32_t sys_vhangup(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  (void)arg;
  return (int32_t)HOST_CALL(SYS_vhangup, 0);
}

int32_t sys_init_module(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_init_module, guest_to_host(arg[0]), arg[1], guest_to_host(arg[2]));
}

int32_t sys_finit_module(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_finit_module, (int)arg[0], guest_to_host(arg[1]), (int)arg[2]);
}

int32_t sys_delete_module(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_delete_module, guest_to_host(arg[0]), arg[1]);
}
