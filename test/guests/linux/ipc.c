/* System V IPC, by ipc(2) with modern and old structures and by the calls of their own, and POSIX message
 * queues. Output is the same on every run. Compile with -m32.
 *
 * guest-test: levels=O2 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ipc.h>
#include <linux/mqueue.h>
#include <linux/msg.h>
#include <linux/sem.h>
#include <linux/shm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  NR_SEMCTL = 394,
  NR_SHMCTL = 396,
  NR_SHMAT = 397,
  NR_SHMDT = 398,
  NR_MSGSND = 400,
  NR_MSGRCV = 401,
  NR_MSGCTL = 402
};

static void show(const char *what, long result) {
  if (result == -1)
    printf("%s: %s\n", what, strerrorname_np(errno));
  else
    printf("%s: %ld\n", what, result);
}

static int valid(long id) { return id >= 0; }

static const char *recent(unsigned long stamp, unsigned long high) {
  if (stamp == 0 && high == 0)
    return "never";
  return high == 0 && time(NULL) - stamp < 1000 ? "now" : "?";
}

static void show_perm(const struct ipc64_perm *perm) {
  printf("  key %d uid %s gid %s cuid %s cgid %s mode %o seq %s\n", perm->key,
         perm->uid == getuid() ? "mine" : "?", perm->gid == getgid() ? "mine" : "?",
         perm->cuid == getuid() ? "mine" : "?", perm->cgid == getgid() ? "mine" : "?", perm->mode,
         perm->seq < 0x8000 ? "ok" : "?");
}

static void show_perm_old(const struct ipc_perm *perm) {
  printf("  key %d uid %s gid %s mode %o\n", perm->key, perm->uid == getuid() ? "mine" : "?",
         perm->gid == getgid() ? "mine" : "?", perm->mode);
}

static long semctl_old(int id, int number, int command, unsigned argument) {
  return syscall(SYS_ipc, 3, id, number, command, &argument, 0);
}

/* --- Semaphores ---------------------------------------------------------------------------- */

static void on_signal(int number) { (void)number; }

static void semaphores(void) {
  syscall(NR_SEMCTL, syscall(393, IPC_PRIVATE, 1, 0600), 0, IPC_RMID, 0); /* ids above 0 tell more */
  const int id = syscall(393, IPC_PRIVATE, 3, 0600);
  printf("semget: %s\n", valid(id) ? "ok" : strerrorname_np(errno));
  unsigned short values[3] = {5, 0, 9}, back[4] = {0};
  show("SETALL", syscall(NR_SEMCTL, id, 0, SETALL, values));
  show("GETALL", syscall(NR_SEMCTL, id, 0, GETALL, back));
  printf("  %d %d %d %d\n", back[0], back[1], back[2], back[3]);
  show("GETALL unreadable", syscall(NR_SEMCTL, id, 0, GETALL, 4));
  show("SETVAL", syscall(NR_SEMCTL, id, 1, SETVAL, 7));
  show("SETVAL negative", syscall(NR_SEMCTL, id, 1, SETVAL, -1));
  show("GETVAL", syscall(NR_SEMCTL, id, 1, GETVAL, 0));
  printf("GETPID: %s\n", syscall(NR_SEMCTL, id, 1, GETPID, 0) == getpid() ? "mine" : "?");
  show("GETNCNT", syscall(NR_SEMCTL, id, 1, GETNCNT, 0));
  show("GETZCNT", syscall(NR_SEMCTL, id, 1, GETZCNT, 0));
  show("bad command", syscall(NR_SEMCTL, id, 1, 77, 0));
  show("bad number", syscall(NR_SEMCTL, id, 3, GETVAL, 0));

  struct semid64_ds status;
  memset(&status, 0x55, sizeof status);
  show("IPC_STAT", syscall(NR_SEMCTL, id, 0, IPC_STAT, &status));
  show_perm(&status.sem_perm);
  printf("  otime %s ctime %s nsems %ld rest %lx %lx\n", recent(status.sem_otime, status.sem_otime_high),
         recent(status.sem_ctime, status.sem_ctime_high), status.sem_nsems, status.__unused3,
         status.__unused4);
  static const int flagged[] = {IPC_RMID, IPC_SET, IPC_STAT, SEM_STAT, SETVAL, GETVAL, GETALL};
  for (int i = 0; i < 7; i++) {
    const long result =
        syscall(NR_SEMCTL, id, 1, flagged[i] | 0x100, flagged[i] == SETVAL ? 7 : (long)&status);
    printf("semctl %d with IPC_64: %s\n", flagged[i],
           result == -1             ? strerrorname_np(errno)
           : result == id && result ? "id"
                                    : "0");
  }
  status.sem_perm.mode = 0640;
  show("IPC_SET", syscall(NR_SEMCTL, id, 0, IPC_SET, &status));
  show("IPC_SET unreadable", syscall(NR_SEMCTL, id, 0, IPC_SET, 4));
  struct semid_ds old;
  memset(&old, 0x55, sizeof old);
  show("old IPC_STAT", semctl_old(id, 0, IPC_STAT, (unsigned)&old));
  show_perm_old(&old.sem_perm);
  printf("  otime %s ctime %s nsems %d base %p\n", recent(old.sem_otime, 0), recent(old.sem_ctime, 0),
         old.sem_nsems, (void *)old.sem_base);
  old.sem_perm.mode = 0606;
  show("old IPC_SET", semctl_old(id, 0, IPC_SET, (unsigned)&old));
  show("ipc IPC_STAT", semctl_old(id, 0, IPC_STAT | 0x100, (unsigned)&status));
  show_perm(&status.sem_perm);
  show("ipc GETVAL", semctl_old(id, 2, GETVAL, 0));
  show("ipc semctl without union", syscall(SYS_ipc, 3, id, 2, GETVAL, 0, 0));
  show("ipc semctl unreadable", syscall(SYS_ipc, 3, id, 2, GETVAL, 4, 0));
  struct seminfo info;
  printf("IPC_INFO: %s\n", valid(syscall(NR_SEMCTL, 0, 0, IPC_INFO, &info)) ? "ok" : "?");
  printf("  %d %d %d %d\n", info.semmsl, info.semmns, info.semopm, info.semmni);

  struct sembuf down = {0, -1, IPC_NOWAIT}, much = {0, -100, 0}, many[2] = {{0, -1, 0}, {2, 1, SEM_UNDO}};
  show("semop", syscall(SYS_ipc, 1, id, 1, 0, &down, 0));
  show("semop two", syscall(SYS_ipc, 1, id, 2, 0, many, 0));
  show("GETVAL", syscall(NR_SEMCTL, id, 0, GETVAL, 0));
  show("GETVAL", syscall(NR_SEMCTL, id, 2, GETVAL, 0));
  int soon[2] = {0, 20000000};
  long long soon64[2] = {0, 0x1100000000000000LL | 20000000};
  show("semtimedop", syscall(SYS_ipc, 4, id, 1, 0, &much, soon));
  show("semtimedop 64", syscall(420, id, &much, 1, soon64));
  soon[1] = -1;
  show("semtimedop bad time", syscall(SYS_ipc, 4, id, 1, 0, &much, soon));
  show("semtimedop unreadable time", syscall(SYS_ipc, 4, id, 1, 0, &much, 4));
  show("semtimedop unreadable", syscall(420, id, 4, 1, soon64));
  show("semtimedop none", syscall(420, id, &much, 0, soon64));
  show("semtimedop too many", syscall(420, id, &much, 100000, soon64));

  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  struct itimerval timer = {.it_value = {0, 100000}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  show("semop interrupted", syscall(SYS_ipc, 1, id, 1, 0, &much, 0));

  if (fork() == 0) {
    usleep(20000);
    struct sembuf up = {0, 100, 0};
    syscall(SYS_ipc, 1, id, 1, 0, &up, 0);
    _exit(0);
  }
  show("semop waits", syscall(SYS_ipc, 1, id, 1, 0, &much, 0));
  wait(NULL);
  show("IPC_RMID", syscall(NR_SEMCTL, id, 0, IPC_RMID, 0));
  show("gone", syscall(NR_SEMCTL, id, 0, GETVAL, 0));
}

/* --- Message queues ------------------------------------------------------------------------ */

struct text {
  long type;
  char text[64];
};

static void queues(void) {
  syscall(NR_MSGCTL, syscall(399, IPC_PRIVATE, 0600), IPC_RMID, 0);
  const int id = syscall(399, IPC_PRIVATE, 0600);
  printf("msgget: %s\n", valid(id) ? "ok" : strerrorname_np(errno));
  struct text message = {7, "seven"}, back;
  show("msgsnd", syscall(NR_MSGSND, id, &message, 6, 0));
  message = (struct text){0x7FFFFFFF, "large type"};
  show("ipc msgsnd", syscall(SYS_ipc, 11, id, 11, 0, &message, 0));
  message = (struct text){3, "three"};
  show("msgsnd", syscall(NR_MSGSND, id, &message, 6, 0));
  message.type = 0;
  show("type 0", syscall(NR_MSGSND, id, &message, 6, 0));
  show("type 0 unreadable", syscall(NR_MSGSND, id, 4, 6, 0));
  show("negative size", syscall(NR_MSGSND, id, &message, -1, 0));
  message.type = 1;
  show("too large", syscall(NR_MSGSND, id, &message, 100000000, 0));
  show("no queue", syscall(NR_MSGSND, -1, &message, 4, 0));

  struct msqid64_ds status;
  memset(&status, 0x55, sizeof status);
  show("IPC_STAT", syscall(NR_MSGCTL, id, IPC_STAT, &status));
  show_perm(&status.msg_perm);
  printf("  stime %s rtime %s ctime %s cbytes %lu qnum %lu qbytes %lu lspid %s lrpid %d rest %lx %lx\n",
         recent(status.msg_stime, status.msg_stime_high), recent(status.msg_rtime, status.msg_rtime_high),
         recent(status.msg_ctime, status.msg_ctime_high), status.msg_cbytes, status.msg_qnum,
         status.msg_qbytes, status.msg_lspid == getpid() ? "mine" : "?", status.msg_lrpid, status.__unused4,
         status.__unused5);
  status.msg_perm.mode = 0644;
  status.msg_qbytes = 8000;
  show("IPC_SET", syscall(NR_MSGCTL, id, IPC_SET, &status));
  struct msqid_ds old;
  memset(&old, 0x55, sizeof old);
  show("old IPC_STAT", syscall(SYS_ipc, 14, id, IPC_STAT, 0, &old, 0));
  show_perm_old(&old.msg_perm);
  printf("  stime %s rtime %s cbytes %d qnum %d qbytes %d %lu %lu\n", recent(old.msg_stime, 0),
         recent(old.msg_rtime, 0), old.msg_cbytes, old.msg_qnum, old.msg_qbytes, old.msg_lcbytes,
         old.msg_lqbytes);
  old.msg_qbytes = 7000;
  show("old IPC_SET", syscall(SYS_ipc, 14, id, IPC_SET, 0, &old, 0));
  show("ipc IPC_STAT", syscall(SYS_ipc, 14, id, IPC_STAT | 0x100, 0, &status, 0));
  printf("  qbytes %lu mode %o\n", status.msg_qbytes, status.msg_perm.mode);
  show("unreadable", syscall(NR_MSGCTL, id, IPC_STAT, 4));
  show("unreadable", syscall(NR_MSGCTL, id, IPC_SET, 4));
  static const int flagged[] = {IPC_RMID, IPC_SET, IPC_STAT, MSG_STAT};
  for (int i = 0; i < 4; i++) {
    const long result = syscall(NR_MSGCTL, id, flagged[i] | 0x100, &status);
    printf("msgctl %d with IPC_64: %s\n", flagged[i],
           result == -1             ? strerrorname_np(errno)
           : result == id && result ? "id"
                                    : "0");
  }
  struct msginfo info;
  printf("IPC_INFO: %s\n", valid(syscall(NR_MSGCTL, 0, IPC_INFO, &info)) ? "ok" : "?");
  printf("  %d %d %d %d\n", info.msgmax, info.msgmnb, info.msgmni, info.msgseg);

  memset(&back, 0, sizeof back);
  show("msgrcv too small", syscall(NR_MSGRCV, id, &back, 2, 3, 0));
  show("msgrcv", syscall(NR_MSGRCV, id, &back, sizeof back.text, 3, 0));
  printf("  %ld %s\n", back.type, back.text);
  struct {
    void *message;
    long type;
  } kludge = {&back, -0x7FFFFFFF};
  show("ipc msgrcv", syscall(SYS_ipc, 12, id, 3, MSG_NOERROR, &kludge, 0));
  printf("  %ld %.3s\n", back.type, back.text);
  show("ipc msgrcv version 1", syscall(SYS_ipc, 12 | 1 << 16, id, sizeof back.text, 0, &back, 0x7FFFFFFF));
  printf("  %ld %s\n", back.type, back.text);
  show("ipc msgrcv without kludge", syscall(SYS_ipc, 12, id, 3, 0, 0, 0));
  show("ipc msgrcv unreadable kludge", syscall(SYS_ipc, 12, id, 3, 0, 4, 0));
  show("ipc msgrcv negative", syscall(SYS_ipc, 12 | 1 << 16, id, -3, 0, &back, 0));
  show("msgrcv nothing", syscall(NR_MSGRCV, id, &back, 8, 0, IPC_NOWAIT));
  show("msgrcv negative", syscall(NR_MSGRCV, id, &back, -8, 0, IPC_NOWAIT));
  show("msgsnd", syscall(NR_MSGSND, id, &message, 4, 0));
  show("msgrcv unwritable", syscall(NR_MSGRCV, id, 4, 8, 0, 0));
  show("msgrcv after it", syscall(NR_MSGRCV, id, &back, 8, 0, IPC_NOWAIT));

  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  struct itimerval timer = {.it_value = {0, 100000}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  show("msgrcv interrupted", syscall(NR_MSGRCV, id, &back, 8, 0, 0));
  if (fork() == 0) {
    usleep(20000);
    message = (struct text){5, "from the child"};
    syscall(NR_MSGSND, id, &message, 15, 0);
    _exit(0);
  }
  show("msgrcv waits", syscall(NR_MSGRCV, id, &back, sizeof back.text, 5, 0));
  printf("  %ld %s\n", back.type, back.text);
  wait(NULL);
  show("IPC_RMID", syscall(NR_MSGCTL, id, IPC_RMID, 0));
  show("gone", syscall(NR_MSGRCV, id, &back, 8, 0, 0));
}

/* --- Shared memory ------------------------------------------------------------------------- */

static void segments(void) {
  const int id = syscall(395, IPC_PRIVATE, 10000, 0600);
  printf("shmget: %s\n", valid(id) ? "ok" : strerrorname_np(errno));
  char *first = (char *)syscall(NR_SHMAT, id, 0, 0);
  unsigned second_address = 0;
  show("ipc shmat", syscall(SYS_ipc, 21, id, SHM_RDONLY, &second_address, 0, 0));
  show("ipc shmat version 1", syscall(SYS_ipc, 21 | 1 << 16, id, 0, &second_address, 0, 0));
  const char *second = (char *)second_address;
  printf("attached: %s\n", first != (void *)-1 && second && first != second ? "twice" : "no");
  strcpy(first + 9000, "shared");
  printf("  %s, %d\n", second + 9000, second[0]);
  show("shmat misaligned", syscall(NR_SHMAT, id, first + 100, 0));
  show("shmat in use", syscall(NR_SHMAT, id, first, 0));
  printf("shmat over: %s\n",
         syscall(NR_SHMAT, id, second, SHM_REMAP) == (long)second ? "there" : strerrorname_np(errno));

  struct shmid64_ds status;
  memset(&status, 0x55, sizeof status);
  show("IPC_STAT", syscall(NR_SHMCTL, id, IPC_STAT, &status));
  show_perm(&status.shm_perm);
  printf("  segsz %u atime %s dtime %s ctime %s cpid %s lpid %s nattch %lu rest %lx %lx\n", status.shm_segsz,
         recent(status.shm_atime, status.shm_atime_high),
         recent(status.shm_dtime, status.shm_dtime_high) ? "told" : "",
         recent(status.shm_ctime, status.shm_ctime_high), status.shm_cpid == getpid() ? "mine" : "?",
         status.shm_lpid == getpid() ? "mine" : "?", status.shm_nattch, status.__unused4, status.__unused5);
  status.shm_perm.mode = 0640;
  show("IPC_SET", syscall(NR_SHMCTL, id, IPC_SET, &status));
  struct shmid_ds old;
  memset(&old, 0x55, sizeof old);
  show("old IPC_STAT", syscall(SYS_ipc, 24, id, IPC_STAT, 0, &old, 0));
  show_perm_old(&old.shm_perm);
  printf("  segsz %d atime %s nattch %d\n", old.shm_segsz, recent(old.shm_atime, 0), old.shm_nattch);
  show("ipc IPC_STAT", syscall(SYS_ipc, 24, id, IPC_STAT | 0x100, 0, &status, 0));
  printf("  mode %o\n", status.shm_perm.mode);
  show("unreadable", syscall(NR_SHMCTL, id, IPC_STAT, 4));
  show("unreadable", syscall(NR_SHMCTL, id, IPC_SET, 4));
  show("bad command", syscall(NR_SHMCTL, id, 99, &status));
  struct shminfo64 info;
  memset(&info, 0x55, sizeof info);
  printf("IPC_INFO: %s\n", valid(syscall(NR_SHMCTL, 0, IPC_INFO, &info)) ? "ok" : "?");
  printf("  %lx %lx %lx %lx %lx %lx\n", info.shmmax, info.shmmin, info.shmmni, info.shmseg, info.shmall,
         info.__unused1);
  struct shminfo old_info[2];
  memset(old_info, 0x55, sizeof old_info);
  printf("old IPC_INFO: %s\n", valid(syscall(SYS_ipc, 24, 0, IPC_INFO, 0, old_info, 0)) ? "ok" : "?");
  printf("  %x %x %x %x %x, %x\n", old_info->shmmax, old_info->shmmin, old_info->shmmni, old_info->shmseg,
         old_info->shmall, old_info[1].shmmax);
  struct shm_info usage;
  printf("SHM_INFO: %s\n", valid(syscall(NR_SHMCTL, 0, SHM_INFO, &usage)) ? "ok" : "?");
  printf("  %s %s\n", usage.used_ids >= 1 ? "used" : "?", usage.shm_tot >= 3 ? "total" : "?");
  show("shmdt", syscall(NR_SHMDT, first));
  show("shmdt again", syscall(NR_SHMDT, first));
  show("ipc shmdt", syscall(SYS_ipc, 22, 0, 0, 0, second, 0));
  show("IPC_RMID", syscall(NR_SHMCTL, id, IPC_RMID, 0));
  show("gone", syscall(NR_SHMAT, id, 0, 0));
  show("too large", syscall(395, IPC_PRIVATE, 0xFFFFFFFFu, 0600) == -1 ? -1 : 0);
  show("ipc 99", syscall(SYS_ipc, 99, 0, 0, 0, 0, 0));
}

/* --- POSIX queues -------------------------------------------------------------------------- */

static volatile int notified, notified_value;
static void on_notify(int number, siginfo_t *info, void *context) {
  notified = number;
  notified_value = info->si_code == SI_MESGQ ? info->si_value.sival_int : -1;
  (void)context;
}

static void posix_queues(void) {
  char name[32];
  sprintf(name, "uemu-test-%d", getpid());
  struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 32}, back;
  const int queue = syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
  printf("mq_open: %s\n", valid(queue) ? "ok" : strerrorname_np(errno));
  show("mq_open again", syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
  show("mq_open unreadable", syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, 4));
  attr.mq_maxmsg = -1;
  show("mq_open bad", syscall(SYS_mq_open, "uemu-other", O_RDWR | O_CREAT, 0600, &attr));
  show("mq_send", syscall(SYS_mq_timedsend, queue, "low", 4, 1, 0));
  show("mq_send", syscall(SYS_mq_timedsend, queue, "high", 5, 9, 0));
  show("mq_send large", syscall(SYS_mq_timedsend, queue, name, 33, 9, 0));
  memset(&back, 0x55, sizeof back);
  attr = (struct mq_attr){.mq_flags = O_NONBLOCK};
  show("mq_getsetattr", syscall(SYS_mq_getsetattr, queue, &attr, &back));
  printf("  %ld %ld %ld %ld %ld\n", back.mq_flags, back.mq_maxmsg, back.mq_msgsize, back.mq_curmsgs,
         back.__reserved[3]);
  show("mq_getsetattr", syscall(SYS_mq_getsetattr, queue, 0, &back));
  printf("  %lx\n", back.mq_flags);
  char text[32];
  unsigned priority;
  show("mq_receive", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, 0));
  printf("  %s %u\n", text, priority);
  show("mq_receive small", syscall(SYS_mq_timedreceive, queue, text, 31, &priority, 0));
  show("mq_receive", syscall(419, queue, text, 32, 0, 0));
  show("mq_receive empty", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, 0));

  struct sigaction action = {.sa_sigaction = on_notify, .sa_flags = SA_SIGINFO};
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 0x12345678};
  sigaction(SIGUSR1, &action, NULL);
  show("mq_notify", syscall(SYS_mq_notify, queue, &event));
  show("mq_notify again", syscall(SYS_mq_notify, queue, &event));
  show("mq_notify unreadable", syscall(SYS_mq_notify, queue, 4));
  show("mq_send", syscall(418, queue, "x", 2, 1, 0));
  printf("notified: %s %#x\n", notified == SIGUSR1 ? "yes" : "no", notified_value);
  show("mq_notify off", syscall(SYS_mq_notify, queue, 0));
  show("mq_receive", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, 0));

  attr.mq_flags = 0;
  syscall(SYS_mq_getsetattr, queue, &attr, 0);
  int when[2] = {time(NULL) - 10, 0};
  long long when64[2] = {time(NULL) - 10, 0x5500000000000000LL};
  show("mq_receive late", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, when));
  show("mq_receive late 64", syscall(419, queue, text, 32, &priority, when64));
  when[1] = -1;
  show("mq_receive bad time", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, when));
  show("mq_receive unreadable time", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, 4));
  action = (struct sigaction){.sa_handler = on_signal};
  struct itimerval timer = {.it_value = {0, 100000}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  show("mq_receive interrupted", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, 0));
  if (fork() == 0) {
    usleep(200000);
    syscall(SYS_mq_timedsend, queue, "child", 6, 3, 0);
    _exit(0);
  }
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  show("mq_receive restarted", syscall(SYS_mq_timedreceive, queue, text, 32, &priority, 0));
  printf("  %s\n", text);
  wait(NULL);
  show("mq_unlink", syscall(SYS_mq_unlink, name));
  show("mq_unlink again", syscall(SYS_mq_unlink, name));
  show("no queue", syscall(SYS_mq_timedsend, 1, "x", 1, 0, 0));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  semaphores();
  queues();
  segments();
  posix_queues();
  return 0;
}
