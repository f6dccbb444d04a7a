/* System V IPC: svipc(7).
 *
 * Ids, keys, limits and semaphore operations are the host's own; the status structs, message types and the
 * union of semctl are converted. i386 reaches it in two ways: by ipc(2), one call for all, whose commands
 * choose between the modern status structs (IPC_64) and the old ones, and since Linux 5.1 by a call each,
 * always modern.
 *
 * A signal interrupts semop with EINTR whatever its handler's flags; msgsnd and msgrcv go on if no handler
 * ran. */
#include "Linux/abi_ipc.h"
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

/* The kernel's headers and not the C library's: only they have the structs of the raw calls. */
#include <linux/ipc.h>
#include <linux/msg.h>
#include <linux/sem.h>
#include <linux/shm.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { IPC_64_FLAG = 0x100 };

/* --- Permissions and times ----------------------------------------------------------------- */

static struct guest_ipc_perm perm_narrow(const struct ipc64_perm *from) {
  return (struct guest_ipc_perm){.key = from->key,
                                 .uid = from->uid,
                                 .gid = from->gid,
                                 .cuid = from->cuid,
                                 .cgid = from->cgid,
                                 .mode = (uint16_t)from->mode,
                                 .seq = from->seq};
}

/* Ids that 16 bits do not hold show as the kernel's overflow id. */
static uint16_t id_narrow(uint32_t id) { return id > UINT16_MAX ? 65534 : (uint16_t)id; }

static struct guest_ipc_perm_old perm_narrow_old(const struct ipc64_perm *from) {
  return (struct guest_ipc_perm_old){.key = from->key,
                                     .uid = id_narrow(from->uid),
                                     .gid = id_narrow(from->gid),
                                     .cuid = id_narrow(from->cuid),
                                     .cgid = id_narrow(from->cgid),
                                     .mode = (uint16_t)from->mode,
                                     .seq = from->seq};
}

/* What IPC_SET takes from a status struct: owner and mode. It is the first member of each. */
static int perm_in(guest_addr from, bool modern, struct ipc64_perm *to) {
  if (modern) {
    struct guest_ipc_perm perm;
    if (guest_copy_in(&perm, from, sizeof perm) != 0)
      return -EFAULT;
    to->uid = perm.uid;
    to->gid = perm.gid;
    to->mode = perm.mode;
  } else {
    struct guest_ipc_perm_old perm;
    if (guest_copy_in(&perm, from, sizeof perm) != 0)
      return -EFAULT;
    to->uid = perm.uid;
    to->gid = perm.gid;
    to->mode = perm.mode;
  }
  return 0;
}

static uint32_t low(int64_t time) { return (uint32_t)time; }
static uint32_t high(int64_t time) { return (uint32_t)((uint64_t)time >> 32); }

/* --- Semaphores ---------------------------------------------------------------------------- */

static int semaphore_status_out(guest_addr to, bool modern, const struct semid64_ds *from) {
  if (modern) {
    const struct guest_semid_ds status = {.sem_perm = perm_narrow(&from->sem_perm),
                                          .sem_otime = low(from->sem_otime),
                                          .sem_otime_high = high(from->sem_otime),
                                          .sem_ctime = low(from->sem_ctime),
                                          .sem_ctime_high = high(from->sem_ctime),
                                          .sem_nsems = (uint32_t)from->sem_nsems};
    return guest_copy_out(to, &status, sizeof status);
  }
  const struct guest_semid_ds_old status = {.sem_perm = perm_narrow_old(&from->sem_perm),
                                            .sem_otime = (int32_t)from->sem_otime,
                                            .sem_ctime = (int32_t)from->sem_ctime,
                                            .sem_nsems = (uint16_t)from->sem_nsems};
  return guest_copy_out(to, &status, sizeof status);
}

static int32_t semaphore_control(int id, int number, int command, uint32_t argument, bool modern) {
  struct semid64_ds status = {0};
  long result;
  switch (command) {
  case IPC_STAT:
  case SEM_STAT:
  case SEM_STAT_ANY:
    result = HOST_CALL(SYS_semctl, id, number, command, &status);
    if (result >= 0 && semaphore_status_out(argument, modern, &status) != 0)
      return -EFAULT;
    return (int32_t)result;
  case IPC_SET: {
    const bool readable = perm_in(argument, modern, &status.sem_perm) == 0;
    return (int32_t)HOST_CALL(SYS_semctl, id, number, command, readable ? &status : HOST_UNREADABLE);
  }
  case IPC_INFO:
  case SEM_INFO:
    guest_memory_write_begin(argument, sizeof(struct seminfo));
    break;
  case SETVAL: /* the value, not an address */
    return (int32_t)HOST_CALL(SYS_semctl, id, number, command, (int32_t)argument);
  case GETALL: /* needs the same permission, and fails with the same errors */
    result = HOST_CALL(SYS_semctl, id, number, IPC_STAT, &status);
    if (result < 0)
      return (int32_t)result;
    guest_memory_write_begin(argument, (uint32_t)(status.sem_nsems * sizeof(uint16_t)));
    break;
  default:
    break;
  }
  return (int32_t)HOST_CALL(SYS_semctl, id, number, command, guest_to_host(argument));
}

int32_t sys_semget(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_semget, (int)arg[0], (int)arg[1], (int)arg[2]);
}

/* The kernel's semctl(2) and msgctl(2) ignore IPC_64 when they choose what to do, and trip over it when they do
 * it: the status calls always take an id and answer with it. */
int32_t sys_semctl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const int id = (int)arg[0], number = (int)arg[1], command = (int)arg[2];
  if (!(command & IPC_64_FLAG))
    return semaphore_control(id, number, command, arg[3], true);
  switch (command & ~IPC_64_FLAG) {
  case IPC_STAT:
  case SEM_STAT:
  case SEM_STAT_ANY: {
    const int32_t error = semaphore_control(id, number, IPC_STAT, arg[3], true);
    return error < 0 ? error : id;
  }
  case IPC_INFO:
  case SEM_INFO:
    return semaphore_control(id, number, IPC_INFO, arg[3], true);
  case SETVAL:
    return semaphore_control(id, number, SETVAL, arg[3], true);
  default:
    return -EINVAL;
  }
}

static int32_t semaphore_operate(struct thread *thread, uint32_t id, guest_addr operations, uint32_t count,
                                 guest_addr timeout, enum time_width width) {
  struct timespec time;
  const struct timespec *limit = guest_timespec_for_host(timeout, width, &time);
  if (limit == HOST_UNREADABLE)
    return -EFAULT;
  return (int32_t)HOST_CALL_BLOCKING(thread, SYS_semtimedop, (int)id, guest_to_host(operations), count,
                                     limit);
}

int32_t sys_semtimedop_time64(struct thread *thread, const uint32_t arg[6]) {
  return semaphore_operate(thread, arg[0], arg[1], arg[2], arg[3], TIME64);
}

/* --- Message queues ------------------------------------------------------------------------ */

static int queue_status_out(guest_addr to, bool modern, const struct msqid64_ds *from) {
  if (modern) {
    const struct guest_msqid_ds status = {.msg_perm = perm_narrow(&from->msg_perm),
                                          .msg_stime = low(from->msg_stime),
                                          .msg_stime_high = high(from->msg_stime),
                                          .msg_rtime = low(from->msg_rtime),
                                          .msg_rtime_high = high(from->msg_rtime),
                                          .msg_ctime = low(from->msg_ctime),
                                          .msg_ctime_high = high(from->msg_ctime),
                                          .msg_cbytes = (uint32_t)from->msg_cbytes,
                                          .msg_qnum = (uint32_t)from->msg_qnum,
                                          .msg_qbytes = (uint32_t)from->msg_qbytes,
                                          .msg_lspid = from->msg_lspid,
                                          .msg_lrpid = from->msg_lrpid};
    return guest_copy_out(to, &status, sizeof status);
  }
  const struct guest_msqid_ds_old status = {.msg_perm = perm_narrow_old(&from->msg_perm),
                                            .msg_stime = (int32_t)from->msg_stime,
                                            .msg_rtime = (int32_t)from->msg_rtime,
                                            .msg_ctime = (int32_t)from->msg_ctime,
                                            .msg_cbytes = (uint16_t)from->msg_cbytes,
                                            .msg_qnum = (uint16_t)from->msg_qnum,
                                            .msg_qbytes = (uint16_t)from->msg_qbytes,
                                            .msg_lspid = (uint16_t)from->msg_lspid,
                                            .msg_lrpid = (uint16_t)from->msg_lrpid};
  return guest_copy_out(to, &status, sizeof status);
}

static int queue_limits_in(guest_addr from, bool modern, struct msqid64_ds *to) {
  if (perm_in(from, modern, &to->msg_perm) != 0)
    return -EFAULT;
  uint32_t bytes = 0;
  const int error =
      modern
          ? guest_copy_in(&bytes, from + offsetof(struct guest_msqid_ds, msg_qbytes), sizeof bytes)
          : guest_copy_in(&bytes, from + offsetof(struct guest_msqid_ds_old, msg_qbytes), sizeof(uint16_t));
  to->msg_qbytes = bytes;
  return error;
}

static int32_t queue_control(int id, int command, guest_addr buffer, bool modern) {
  struct msqid64_ds status = {0};
  switch (command) {
  case IPC_STAT:
  case MSG_STAT:
  case MSG_STAT_ANY: {
    const long result = HOST_CALL(SYS_msgctl, id, command, &status);
    if (result >= 0 && queue_status_out(buffer, modern, &status) != 0)
      return -EFAULT;
    return (int32_t)result;
  }
  case IPC_SET: {
    const bool readable = queue_limits_in(buffer, modern, &status) == 0;
    return (int32_t)HOST_CALL(SYS_msgctl, id, command, readable ? &status : HOST_UNREADABLE);
  }
  case IPC_INFO:
  case MSG_INFO:
    guest_memory_write_begin(buffer, sizeof(struct msginfo));
    break;
  default:
    break;
  }
  return (int32_t)HOST_CALL(SYS_msgctl, id, command, guest_to_host(buffer));
}

int32_t sys_msgget(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_msgget, (int)arg[0], (int)arg[1]);
}

int32_t sys_msgctl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const int id = (int)arg[0], command = (int)arg[1];
  if (!(command & IPC_64_FLAG))
    return queue_control(id, command, arg[2], true);
  switch (command & ~IPC_64_FLAG) { /* as semctl */
  case IPC_STAT:
  case MSG_STAT:
  case MSG_STAT_ANY: {
    const int32_t error = queue_control(id, IPC_STAT, arg[2], true);
    return error < 0 ? error : id;
  }
  case IPC_INFO:
  case MSG_INFO:
    return queue_control(id, IPC_INFO, arg[2], true);
  default:
    return -EINVAL;
  }
}

/* The text follows the type, which is a long: so both are copied. */
struct host_message {
  int64_t type;
  char text[];
};

static struct host_message *host_message_new(int32_t size) {
  return malloc(sizeof(struct host_message) + (size_t)size);
}

static int32_t queue_result(long result) { return syscall_interrupted(result, -ERESTARTNOHAND); }

/* The kernel checks the size and the type before it reads the text. */
static int32_t unreadable_text(int id, int32_t type, int32_t size) {
  struct msginfo info;
  HOST_CALL(SYS_msgctl, 0, IPC_INFO, &info);
  return id < 0 || size > info.msgmax || type < 1 ? -EINVAL : -EFAULT;
}

int32_t sys_msgsnd(struct thread *thread, const uint32_t arg[6]) {
  const int id = (int)arg[0];
  const int32_t size = (int32_t)arg[2];
  int32_t type;
  if (guest_copy_in(&type, arg[1], sizeof type) != 0)
    return -EFAULT;
  if (size < 0)
    return -EINVAL;
  struct host_message *message = host_message_new(size);
  if (!message)
    return -ENOMEM;
  message->type = type;
  const int32_t result =
      guest_copy_in(message->text, arg[1] + (uint32_t)sizeof type, (size_t)size) != 0
          ? unreadable_text(id, type, size)
          : queue_result(HOST_CALL_BLOCKING(thread, SYS_msgsnd, id, message, (long)size, (int)arg[3]));
  free(message);
  return result;
}

int32_t sys_msgrcv(struct thread *thread, const uint32_t arg[6]) {
  const int id = (int)arg[0];
  const int32_t size = (int32_t)arg[2], wanted = (int32_t)arg[3];
  if (size < 0)
    return -EINVAL;
  struct host_message *message = host_message_new(size);
  if (!message)
    return -ENOMEM;
  int32_t result = queue_result(
      HOST_CALL_BLOCKING(thread, SYS_msgrcv, id, message, (long)size, (long)wanted, (int)arg[4]));
  if (result >= 0) {
    const int32_t type = (int32_t)message->type;
    if (guest_copy_out(arg[1], &type, sizeof type) != 0 ||
        guest_copy_out(arg[1] + (uint32_t)sizeof type, message->text, (size_t)result) != 0)
      result = -EFAULT;
  }
  free(message);
  return result;
}

/* --- Shared memory ------------------------------------------------------------------------- */

static int segment_status_out(guest_addr to, bool modern, const struct shmid64_ds *from) {
  if (modern) {
    const struct guest_shmid_ds status = {.shm_perm = perm_narrow(&from->shm_perm),
                                          .shm_segsz = (uint32_t)from->shm_segsz,
                                          .shm_atime = low(from->shm_atime),
                                          .shm_atime_high = high(from->shm_atime),
                                          .shm_dtime = low(from->shm_dtime),
                                          .shm_dtime_high = high(from->shm_dtime),
                                          .shm_ctime = low(from->shm_ctime),
                                          .shm_ctime_high = high(from->shm_ctime),
                                          .shm_cpid = from->shm_cpid,
                                          .shm_lpid = from->shm_lpid,
                                          .shm_nattch = (uint32_t)from->shm_nattch};
    return guest_copy_out(to, &status, sizeof status);
  }
  const struct guest_shmid_ds_old status = {.shm_perm = perm_narrow_old(&from->shm_perm),
                                            .shm_segsz = (int32_t)from->shm_segsz,
                                            .shm_atime = (int32_t)from->shm_atime,
                                            .shm_dtime = (int32_t)from->shm_dtime,
                                            .shm_ctime = (int32_t)from->shm_ctime,
                                            .shm_cpid = (uint16_t)from->shm_cpid,
                                            .shm_lpid = (uint16_t)from->shm_lpid,
                                            .shm_nattch = (uint16_t)from->shm_nattch};
  return guest_copy_out(to, &status, sizeof status);
}

/* The old struct shminfo is the first five members, as ints. */
static int segment_limits_out(guest_addr to, bool modern, const struct shminfo64 *from) {
  const struct guest_shminfo limits = {.shmmax =
                                           from->shmmax > INT32_MAX ? INT32_MAX : (uint32_t)from->shmmax,
                                       .shmmin = (uint32_t)from->shmmin,
                                       .shmmni = (uint32_t)from->shmmni,
                                       .shmseg = (uint32_t)from->shmseg,
                                       .shmall = (uint32_t)from->shmall};
  return guest_copy_out(to, &limits, modern ? sizeof limits : offsetof(struct guest_shminfo, reserved));
}

static int segment_usage_out(guest_addr to, const struct shm_info *from) {
  const struct guest_shm_info usage = {.used_ids = from->used_ids,
                                       .shm_tot = (uint32_t)from->shm_tot,
                                       .shm_rss = (uint32_t)from->shm_rss,
                                       .shm_swp = (uint32_t)from->shm_swp,
                                       .swap_attempts = (uint32_t)from->swap_attempts,
                                       .swap_successes = (uint32_t)from->swap_successes};
  return guest_copy_out(to, &usage, sizeof usage);
}

static int32_t segment_control(int id, int command, guest_addr buffer, bool modern) {
  union {
    struct shmid64_ds status;
    struct shminfo64 limits;
    struct shm_info usage;
  } host = {0};
  if (command == IPC_SET) {
    const bool readable = perm_in(buffer, modern, &host.status.shm_perm) == 0;
    return (int32_t)HOST_CALL(SYS_shmctl, id, command, readable ? &host : HOST_UNREADABLE);
  }
  const long result = HOST_CALL(SYS_shmctl, id, command, &host);
  if (result < 0)
    return (int32_t)result;
  int error = 0;
  switch (command) {
  case IPC_STAT:
  case SHM_STAT:
  case SHM_STAT_ANY:
    error = segment_status_out(buffer, modern, &host.status);
    break;
  case IPC_INFO:
    error = segment_limits_out(buffer, modern, &host.limits);
    break;
  case SHM_INFO:
    error = segment_usage_out(buffer, &host.usage);
    break;
  default:
    break;
  }
  return error != 0 ? -EFAULT : (int32_t)result;
}

int32_t sys_shmget(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_shmget, (int)arg[0], arg[1], (int)arg[2]);
}

int32_t sys_shmctl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return segment_control((int)arg[0], (int)arg[1], arg[2], true);
}

int32_t sys_shmat(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)guest_memory_attach((int)arg[0], arg[1], (int)arg[2]);
}

int32_t sys_shmdt(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_detach(arg[0]);
}

/* --- ipc(2) -------------------------------------------------------------------------------- */

/* msgrcv's two arguments too many for the call's first version. */
struct guest_ipc_kludge {
  guest_addr message;
  int32_t type;
};

static int32_t ipc_receive(struct thread *thread, const uint32_t arg[6], uint32_t version) {
  struct guest_ipc_kludge old = {arg[4], (int32_t)arg[5]};
  if ((int32_t)arg[1] < 0 || (int32_t)arg[2] < 0)
    return -EINVAL;
  if (version == 0) {
    if (arg[4] == 0)
      return -EINVAL;
    if (guest_copy_in(&old, arg[4], sizeof old) != 0)
      return -EFAULT;
  }
  return sys_msgrcv(thread, (const uint32_t[6]){arg[1], old.message, arg[2], (uint32_t)old.type, arg[3]});
}

static int32_t ipc_attach(struct thread *thread, const uint32_t arg[6], uint32_t version) {
  if (version == 1) /* iBCS2's, from within the kernel */
    return -EINVAL;
  (void)thread;
  const int64_t address = guest_memory_attach((int)arg[1], arg[4], (int)arg[2]);
  if (address < 0)
    return (int32_t)address;
  const uint32_t narrow = (uint32_t)address;
  return guest_copy_out(arg[3], &narrow, sizeof narrow);
}

int32_t sys_ipc(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t version = arg[0] >> 16;
  const uint32_t first = arg[1], second = arg[2], third = arg[3], pointer = arg[4], fifth = arg[5];
  uint32_t value;
  switch (arg[0] & 0xFFFF) {
  case SEMOP:
    return semaphore_operate(thread, first, pointer, second, 0, TIME32);
  case SEMTIMEDOP:
    return semaphore_operate(thread, first, pointer, second, fifth, TIME32);
  case SEMGET:
    return sys_semget(thread, arg + 1);
  case SEMCTL: /* the union lies where pointer says */
    if (pointer == 0)
      return -EINVAL;
    if (guest_copy_in(&value, pointer, sizeof value) != 0)
      return -EFAULT;
    return semaphore_control((int)first, (int)second, (int)(third & ~IPC_64_FLAG), value,
                             third & IPC_64_FLAG);
  case MSGSND:
    return sys_msgsnd(thread, (const uint32_t[6]){first, pointer, second, third});
  case MSGRCV:
    return ipc_receive(thread, arg, version);
  case MSGGET:
    return sys_msgget(thread, arg + 1);
  case MSGCTL:
    return queue_control((int)first, (int)(second & ~IPC_64_FLAG), pointer, second & IPC_64_FLAG);
  case SHMAT:
    return ipc_attach(thread, arg, version);
  case SHMDT:
    return guest_memory_detach(pointer);
  case SHMGET:
    return sys_shmget(thread, arg + 1);
  case SHMCTL:
    return segment_control((int)first, (int)(second & ~IPC_64_FLAG), pointer, second & IPC_64_FLAG);
  default:
    return -ENOSYS;
  }
}
