/* Compiled for i386: compares the structs of lib/Linux/abi_*.h with those of the system's headers, member by
 * member. Exit status 1 if any differs. */
#include "Linux/abi_ipc.h"
#include "Linux/abi_misc.h"
#include "Linux/abi_socket.h"
#include "Linux/abi_time.h"

#include <linux/filter.h>
#include <linux/ipc.h>
#include <linux/keyctl.h>
#include <linux/mqueue.h>
#include <linux/msg.h>
#include <linux/sem.h>
#include <linux/shm.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/timex.h>

_Static_assert(sizeof(void *) == 4, "compile this for i386");

static int failures;

static void compare(const char *what, size_t ours, size_t theirs) {
  if (ours != theirs) {
    printf("%s: %zu, the system has %zu\n", what, ours, theirs);
    failures++;
  }
}

#define SIZE(ours, theirs) compare("sizeof(struct " #ours ")", sizeof(struct ours), sizeof(struct theirs))
#define MEMBER(ours, our_member, theirs, their_member)                                                       \
  compare("offsetof(struct " #ours ", " #our_member ")", offsetof(struct ours, our_member),                  \
          offsetof(struct theirs, their_member)),                                                            \
      compare("sizeof " #ours "." #our_member, sizeof(((struct ours *)0)->our_member),                       \
              sizeof(((struct theirs *)0)->their_member))
#define SAME(ours, theirs, member) MEMBER(ours, member, theirs, member)

static void times(void) {
  SIZE(guest_timespec, timespec);
  SAME(guest_timespec, timespec, tv_nsec);
  SIZE(guest_timeval, timeval);
  SIZE(guest_itimerspec, itimerspec);
  SAME(guest_itimerspec, itimerspec, it_value);
  SIZE(guest_itimerval, itimerval);
  SAME(guest_itimerval, itimerval, it_value);
  SIZE(guest_timex, timex);
#define TIMEX(member) SAME(guest_timex, timex, member)
  TIMEX(modes), TIMEX(offset), TIMEX(freq), TIMEX(maxerror), TIMEX(esterror), TIMEX(status);
  TIMEX(constant), TIMEX(precision), TIMEX(tolerance), TIMEX(time), TIMEX(tick), TIMEX(ppsfreq);
  TIMEX(jitter), TIMEX(shift), TIMEX(stabil), TIMEX(jitcnt), TIMEX(calcnt), TIMEX(errcnt);
  TIMEX(stbcnt), TIMEX(tai);
  SIZE(guest_sigevent, sigevent);
  SAME(guest_sigevent, sigevent, sigev_value);
  SAME(guest_sigevent, sigevent, sigev_signo);
  SAME(guest_sigevent, sigevent, sigev_notify);
  MEMBER(guest_sigevent, notify_thread_id, sigevent, _sigev_un._tid);
}

static void sockets(void) {
  SIZE(guest_msghdr, msghdr);
#define MSGHDR(member) SAME(guest_msghdr, msghdr, member)
  MSGHDR(msg_name), MSGHDR(msg_namelen), MSGHDR(msg_iov), MSGHDR(msg_iovlen), MSGHDR(msg_control);
  MSGHDR(msg_controllen), MSGHDR(msg_flags);
  SIZE(guest_mmsghdr, mmsghdr);
  SAME(guest_mmsghdr, mmsghdr, msg_len);
  SIZE(guest_cmsghdr, cmsghdr);
  SAME(guest_cmsghdr, cmsghdr, cmsg_level);
  SAME(guest_cmsghdr, cmsghdr, cmsg_type);
  SIZE(guest_sock_fprog, sock_fprog);
  SAME(guest_sock_fprog, sock_fprog, len);
  SAME(guest_sock_fprog, sock_fprog, filter);
}

static void ipc(void) {
  SIZE(guest_ipc_perm, ipc64_perm);
#define PERM(member) SAME(guest_ipc_perm, ipc64_perm, member)
  PERM(key), PERM(uid), PERM(gid), PERM(cuid), PERM(cgid), PERM(mode), PERM(seq);
  SIZE(guest_semid_ds, semid64_ds);
#define SEM(member) SAME(guest_semid_ds, semid64_ds, member)
  SEM(sem_otime), SEM(sem_otime_high), SEM(sem_ctime), SEM(sem_ctime_high), SEM(sem_nsems);
  SIZE(guest_msqid_ds, msqid64_ds);
#define MSG(member) SAME(guest_msqid_ds, msqid64_ds, member)
  MSG(msg_stime), MSG(msg_stime_high), MSG(msg_rtime), MSG(msg_rtime_high), MSG(msg_ctime);
  MSG(msg_ctime_high), MSG(msg_cbytes), MSG(msg_qnum), MSG(msg_qbytes), MSG(msg_lspid), MSG(msg_lrpid);
  SIZE(guest_shmid_ds, shmid64_ds);
#define SHM(member) SAME(guest_shmid_ds, shmid64_ds, member)
  SHM(shm_segsz), SHM(shm_atime), SHM(shm_atime_high), SHM(shm_dtime), SHM(shm_dtime_high), SHM(shm_ctime);
  SHM(shm_ctime_high), SHM(shm_cpid), SHM(shm_lpid), SHM(shm_nattch);
  SIZE(guest_shminfo, shminfo64);
  SAME(guest_shminfo, shminfo64, shmall);
  SIZE(guest_shm_info, shm_info);
  SAME(guest_shm_info, shm_info, swap_successes);

  SIZE(guest_ipc_perm_old, ipc_perm);
#define PERM_OLD(member) SAME(guest_ipc_perm_old, ipc_perm, member)
  PERM_OLD(key), PERM_OLD(uid), PERM_OLD(gid), PERM_OLD(cuid), PERM_OLD(cgid), PERM_OLD(mode), PERM_OLD(seq);
  SIZE(guest_semid_ds_old, semid_ds);
  SAME(guest_semid_ds_old, semid_ds, sem_otime);
  SAME(guest_semid_ds_old, semid_ds, sem_ctime);
  SAME(guest_semid_ds_old, semid_ds, sem_nsems);
  SIZE(guest_msqid_ds_old, msqid_ds);
#define MSG_OLD(member) SAME(guest_msqid_ds_old, msqid_ds, member)
  MSG_OLD(msg_stime), MSG_OLD(msg_rtime), MSG_OLD(msg_ctime), MSG_OLD(msg_lcbytes), MSG_OLD(msg_lqbytes);
  MSG_OLD(msg_cbytes), MSG_OLD(msg_qnum), MSG_OLD(msg_qbytes), MSG_OLD(msg_lspid), MSG_OLD(msg_lrpid);
  SIZE(guest_shmid_ds_old, shmid_ds);
#define SHM_OLD(member) SAME(guest_shmid_ds_old, shmid_ds, member)
  SHM_OLD(shm_segsz), SHM_OLD(shm_atime), SHM_OLD(shm_dtime), SHM_OLD(shm_ctime), SHM_OLD(shm_cpid);
  SHM_OLD(shm_lpid), SHM_OLD(shm_nattch);
  SIZE(guest_mq_attr, mq_attr);
  SAME(guest_mq_attr, mq_attr, mq_curmsgs);
}

static void misc(void) {
  SIZE(guest_utsname, new_utsname);
  SAME(guest_utsname, new_utsname, domainname);
  MEMBER(guest_utsname, machine, old_utsname, machine);
  SIZE(guest_utsname_oldest, oldold_utsname);
  SAME(guest_utsname_oldest, oldold_utsname, machine);
  SIZE(guest_sysinfo, sysinfo);
#define INFO(member) SAME(guest_sysinfo, sysinfo, member)
  INFO(uptime), INFO(loads), INFO(totalram), INFO(freeram), INFO(sharedram), INFO(bufferram);
  INFO(totalswap), INFO(freeswap), INFO(procs), INFO(totalhigh), INFO(freehigh), INFO(mem_unit);
  SIZE(guest_keyctl_kdf_params, keyctl_kdf_params);
  SAME(guest_keyctl_kdf_params, keyctl_kdf_params, otherinfo);
  SAME(guest_keyctl_kdf_params, keyctl_kdf_params, otherinfolen);
}

int main(void) {
  times();
  sockets();
  ipc();
  misc();
  return failures != 0;
}
