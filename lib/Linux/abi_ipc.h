/* Structures of System V IPC and POSIX message queues as i386 has them: semctl(2), msgctl(2), shmctl(2),
 * mq_getattr(3).
 *
 * The three status structs exist twice: the modern ones, with 32-bit ids and 64-bit times in two halves, and
 * those of Linux 2.2 and before (here *_old), which ipc(2) uses when a command lacks IPC_64. */
#ifndef UEMU_LINUX_ABI_IPC_H
#define UEMU_LINUX_ABI_IPC_H

#include "Linux/abi.h"

#include <stdint.h>

struct guest_ipc_perm {
  int32_t key;
  uint32_t uid, gid, cuid, cgid;
  uint16_t mode, padding1;
  uint16_t seq, padding2;
  uint32_t reserved[2];
};

struct guest_semid_ds {
  struct guest_ipc_perm sem_perm;
  uint32_t sem_otime, sem_otime_high;
  uint32_t sem_ctime, sem_ctime_high;
  uint32_t sem_nsems;
  uint32_t reserved[2];
};

struct guest_msqid_ds {
  struct guest_ipc_perm msg_perm;
  uint32_t msg_stime, msg_stime_high;
  uint32_t msg_rtime, msg_rtime_high;
  uint32_t msg_ctime, msg_ctime_high;
  uint32_t msg_cbytes, msg_qnum, msg_qbytes;
  int32_t msg_lspid, msg_lrpid;
  uint32_t reserved[2];
};

struct guest_shmid_ds {
  struct guest_ipc_perm shm_perm;
  uint32_t shm_segsz;
  uint32_t shm_atime, shm_atime_high;
  uint32_t shm_dtime, shm_dtime_high;
  uint32_t shm_ctime, shm_ctime_high;
  int32_t shm_cpid, shm_lpid;
  uint32_t shm_nattch;
  uint32_t reserved[2];
};

/* IPC_INFO and SHM_INFO of shmctl; the other calls' limits are ints on both sides. */
struct guest_shminfo {
  uint32_t shmmax, shmmin, shmmni, shmseg, shmall;
  uint32_t reserved[4];
};

struct guest_shm_info {
  int32_t used_ids;
  uint32_t shm_tot, shm_rss, shm_swp, swap_attempts, swap_successes;
};

struct guest_ipc_perm_old {
  int32_t key;
  uint16_t uid, gid, cuid, cgid, mode, seq;
};

struct guest_semid_ds_old {
  struct guest_ipc_perm_old sem_perm;
  int32_t sem_otime, sem_ctime;
  uint32_t kernel[4]; /* pointers of that kernel's own */
  uint16_t sem_nsems, padding;
};

struct guest_msqid_ds_old {
  struct guest_ipc_perm_old msg_perm;
  uint32_t kernel1[2];
  int32_t msg_stime, msg_rtime, msg_ctime;
  uint32_t msg_lcbytes, msg_lqbytes; /* where the 16-bit members below are too small */
  uint16_t msg_cbytes, msg_qnum, msg_qbytes;
  uint16_t msg_lspid, msg_lrpid, padding;
};

struct guest_shmid_ds_old {
  struct guest_ipc_perm_old shm_perm;
  int32_t shm_segsz;
  int32_t shm_atime, shm_dtime, shm_ctime;
  uint16_t shm_cpid, shm_lpid, shm_nattch, padding;
  uint32_t kernel[2];
};

/* mq_getattr(3) */
struct guest_mq_attr {
  int32_t mq_flags, mq_maxmsg, mq_msgsize, mq_curmsgs;
  int32_t reserved[4];
};

_Static_assert(sizeof(struct guest_ipc_perm) == 36, "");
_Static_assert(sizeof(struct guest_semid_ds) == 64, "");
_Static_assert(sizeof(struct guest_msqid_ds) == 88, "");
_Static_assert(sizeof(struct guest_shmid_ds) == 84, "");
_Static_assert(sizeof(struct guest_shminfo) == 36, "");
_Static_assert(sizeof(struct guest_shm_info) == 24, "");
_Static_assert(sizeof(struct guest_mq_attr) == 32, "");

#endif
