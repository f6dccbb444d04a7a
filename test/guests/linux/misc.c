/* The system's names and memory, keys, asynchronous I/O, and what an ordinary user may not do. Output is the
 * same on every run on one machine. Compile with -m32.
 *
 * guest-test: levels=O2 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/keyctl.h>
#include <linux/sysinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, long result) {
  if (result == -1)
    printf("%s: %s\n", what, strerrorname_np(errno));
  else
    printf("%s: %ld\n", what, result);
}

/* --- Names and sizes ----------------------------------------------------------------------- */

static void show_names(const char *when) {
  char names[6][65], oldest[5][9];
  printf("%s\n", when);
  memset(names, 0x55, sizeof names);
  show("uname", syscall(SYS_uname, names));
  printf("  %s|%s|%s|%s|%s|%s\n", names[0], names[1], names[2], names[3], names[4], names[5]);
  memset(names, 0x55, sizeof names);
  show("olduname", syscall(SYS_olduname, names));
  printf("  %s|%s|%s|%s|%s|%x\n", names[0], names[1], names[2], names[3], names[4], names[5][0]);
  memset(oldest, 0x55, sizeof oldest);
  show("oldolduname", syscall(SYS_oldolduname, oldest));
  printf("  %s|%s|%s|%s|%s\n", oldest[0], oldest[1], oldest[2], oldest[3], oldest[4]);
}

static void names(void) {
  show_names("as started");
  show("personality", syscall(SYS_personality, 8)); /* PER_LINUX32 */
  show_names("PER_LINUX32");
  show("personality", syscall(SYS_personality, 0x0020000)); /* UNAME26 */
  show_names("UNAME26");
  show("personality", syscall(SYS_personality, 0));
  show("unwritable", syscall(SYS_uname, 4));
  show("unwritable", syscall(SYS_olduname, 0));
  show("unwritable", syscall(SYS_oldolduname, 0));
}

static void memory(void) {
  struct sysinfo info;
  memset(&info, 0x55, sizeof info);
  show("sysinfo", syscall(SYS_sysinfo, &info));
  printf("  total %lu swap %lu high %lu %lu unit %u, uptime %s, free %s, load %s, processes %s\n",
         info.totalram, info.totalswap, info.totalhigh, info.freehigh, info.mem_unit,
         info.uptime > 0 ? "some" : "?", info.freeram > 0 && info.freeram < info.totalram ? "some" : "?",
         info.loads[0] < 1u << 24 ? "some" : "?", info.procs > 0 ? "some" : "?");
  show("sysinfo unwritable", syscall(SYS_sysinfo, 4));
}

static void various(void) {
  unsigned char bytes[64] = {0};
  show("getrandom", syscall(SYS_getrandom, bytes, sizeof bytes, 0));
  int different = 0;
  for (int i = 1; i < 64; i++)
    different += bytes[i] != bytes[0];
  printf("  %s\n", different > 32 ? "random" : "?");
  show("getrandom bad flags", syscall(SYS_getrandom, bytes, 1, 0x100));
  show("getrandom unwritable", syscall(SYS_getrandom, 4, 16, 0));
  unsigned cpu = -1, node = -1;
  show("getcpu", syscall(SYS_getcpu, &cpu, &node, 0));
  printf("  %s %u\n", cpu < (unsigned)sysconf(_SC_NPROCESSORS_CONF) ? "a processor" : "?", node);
  show("getcpu nothing", syscall(SYS_getcpu, 0, 0, 0));
  show("getcpu unwritable", syscall(SYS_getcpu, 4, 0, 0));
  show("ioprio_set", syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
  show("ioprio_get", syscall(SYS_ioprio_get, 1, 0));
  show("ioprio_get bad", syscall(SYS_ioprio_get, 9, 0));
  show("kcmp same", syscall(SYS_kcmp, getpid(), getpid(), 0, 1, 1));
  show("kcmp vm", syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0));
  show("kcmp bad", syscall(SYS_kcmp, getpid(), getpid(), 99, 0, 0));
  show("membarrier", syscall(SYS_membarrier, 1 << 4, 0, 0)); /* REGISTER_PRIVATE_EXPEDITED */
  show("membarrier", syscall(SYS_membarrier, 1 << 3, 0, 0)); /* PRIVATE_EXPEDITED */
  show("membarrier bad", syscall(SYS_membarrier, 1 << 30, 0, 0));
  show("syslog size", syscall(SYS_syslog, 10, 0, 0) > 0);
  show("syslog bad", syscall(SYS_syslog, 99, 0, 0));
  show("sysfs count", syscall(SYS_sysfs, 3, 0, 0) > 0);
  show("sysfs index", syscall(SYS_sysfs, 1, "nothing", 0));
  show("bpf bad", syscall(SYS_bpf, 9999, bytes, sizeof bytes));
  show("reboot bad", syscall(SYS_reboot, 1, 2, 3, 0));
  for (int number = 0; number < 12; number++) {
    static const int gone[] = {SYS__sysctl,         SYS_nfsservctl, SYS_create_module, SYS_query_module,
                               SYS_get_kernel_syms, SYS_bdflush,    SYS_getpmsg,       SYS_putpmsg,
                               SYS_vserver,         SYS_lock,       SYS_mpx,           511};
    show("gone", syscall(gone[number], 0, 0, 0, 0, 0));
  }
}

/* Only what an ordinary user is refused. */
static void unprivileged(void) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (getuid() == 0 && (setgid(65534) || setuid(65534)))
      _exit(1);
    show("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    show("umount", syscall(SYS_umount, "/proc"));
    show("umount2", syscall(SYS_umount2, "/proc", 2));
    show("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    show("sethostname", syscall(SYS_sethostname, "other", 5));
    show("setdomainname", syscall(SYS_setdomainname, "other", 5));
    show("swapon", syscall(SYS_swapon, "/tmp", 0));
    show("swapoff", syscall(SYS_swapoff, "/tmp"));
    show("acct", syscall(SYS_acct, "/tmp"));
    show("reboot", syscall(SYS_reboot, 0xFEE1DEAD, 672274793, 0, 0));
    show("iopl", syscall(SYS_iopl, 3));
    show("iopl none", syscall(SYS_iopl, 0));
    show("iopl bad", syscall(SYS_iopl, 4));
    show("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    show("ioperm off", syscall(SYS_ioperm, 0x80, 1, 0));
    show("ioperm none", syscall(SYS_ioperm, 0x80, 0, 1));
    show("ioperm beyond", syscall(SYS_ioperm, 65535, 2, 1));
    show("vhangup", syscall(SYS_vhangup));
    show("init_module", syscall(SYS_init_module, 0, 0, ""));
    show("finit_module", syscall(SYS_finit_module, 0, "", 0));
    show("delete_module", syscall(SYS_delete_module, "nothing", O_NONBLOCK));
    show("fsopen", syscall(430, "tmpfs", 0));
    show("open_tree", syscall(428, -100, "/tmp", 1));
    show("move_mount", syscall(429, -100, "/tmp", -100, "/tmp", 0));
    show("fspick", syscall(433, -100, "/tmp", 0));
    show("fsmount", syscall(432, 0, 0, 0));
    show("fsconfig", syscall(431, 0, 0, 0, 0, 0));
    show("mount_setattr", syscall(442, -100, "/tmp", 0, "", 0));
    show("settimeofday", syscall(SYS_settimeofday, (int[]){1, 1}, 0));
    show("stime", syscall(SYS_stime, (int[]){1}));
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  printf("ordinary user: %d\n", status);
}

/* --- Keys ---------------------------------------------------------------------------------- */

static long key_with(const char *name, const void *data, int length) {
  return syscall(SYS_add_key, "user", name, data, length, KEY_SPEC_PROCESS_KEYRING);
}

static void keys(void) {
  char text[64] = "";
  const long key = key_with("uemu", "secret", 6);
  printf("add_key: %s\n", key > 0 ? "ok" : strerrorname_np(errno));
  if (key <= 0)
    return;
  show("read", syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text));
  printf("  %s\n", text);
  show("read short", syscall(SYS_keyctl, KEYCTL_READ, key, text, 2));
  show("read unwritable", syscall(SYS_keyctl, KEYCTL_READ, key, 4, 6));
  memset(text, 0, sizeof text);
  show("describe", syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, sizeof text) > 0);
  printf("  %.5s %s\n", text, strrchr(text, ';') ? strrchr(text, ';') : "");
  show("search", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, "user", "uemu", 0) == key);
  show("request", syscall(SYS_request_key, "user", "uemu", 0, KEY_SPEC_PROCESS_KEYRING) == key);
  show("update", syscall(SYS_keyctl, KEYCTL_UPDATE, key, "changed", 7));
  struct iovec part = {(void *)"x", 1};
  show("instantiate", syscall(SYS_keyctl, KEYCTL_INSTANTIATE_IOV, key, &part, 1, 0));
  show("instantiate unreadable", syscall(SYS_keyctl, KEYCTL_INSTANTIATE_IOV, key, 4, 1, 0));
  const unsigned char prime[4] = {0, 0, 0, 23}, base[4] = {0, 0, 0, 5}, secret[4] = {0, 0, 0, 6};
  struct keyctl_dh_params dh = {
      {key_with("private", secret, 4)}, key_with("prime", prime, 4), key_with("base", base, 4)};
  unsigned char result[8] = {0};
  show("dh", syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, &dh, result, sizeof result, 0));
  struct keyctl_kdf_params kdf = {(char *)"sha256", (char *)"other", 5};
  show("dh kdf", syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, &dh, result, sizeof result, &kdf));
  kdf.__spare[0] = 1;
  show("dh kdf bad", syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, &dh, result, sizeof result, &kdf));
  show("dh kdf unreadable", syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, &dh, result, sizeof result, 4));
  show("revoke", syscall(SYS_keyctl, KEYCTL_REVOKE, key));
  show("read revoked", syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text));
  show("bad", syscall(SYS_keyctl, 9999, 0, 0, 0, 0));
}

/* --- Asynchronous I/O ---------------------------------------------------------------------- */

static long wait_for(unsigned long context, struct io_event *event) {
  const struct { int seconds, nanoseconds; } limit = {2, 0};
  return syscall(SYS_io_getevents, context, 1, 1, event, &limit);
}

static void on_alarm(int number) { (void)number; }

static void asynchronous(void) {
  unsigned long context = 0, other = 77;
  show("io_setup", syscall(SYS_io_setup, 10, &context));
  const unsigned *ring = (void *)context; /* as libaio looks at it */
  printf("  ring: %s\n", context && ring[4] == 0xA10A10A1 ? "readable" : "?");
  show("io_setup not zero", syscall(SYS_io_setup, 10, &other));
  show("io_setup unreadable", syscall(SYS_io_setup, 10, 4));
  other = 0;
  show("io_setup none", syscall(SYS_io_setup, 0, &other));
  char name[] = "/tmp/uemu-aio-XXXXXX";
  const int file = mkstemp(name);
  unlink(name);
  struct io_event event;
  struct iocb block = {
      .aio_data = 0x123456789ABCDEFULL, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = file};
  block.aio_buf = (unsigned long)"written at once";
  block.aio_nbytes = 15;
  struct iocb *blocks[3] = {&block, &block, (void *)4};
  show("submit write", syscall(SYS_io_submit, context, 1, blocks));
  show("wait", wait_for(context, &event));
  printf("  data %llx result %lld %lld %s\n", event.data, event.res, event.res2,
         event.obj == (unsigned long)&block ? "the block" : "?");
  struct iovec parts[3] = {{(void *)"one ", 4}, {(void *)"two ", 4}, {(void *)"three", 5}};
  block.aio_lio_opcode = IOCB_CMD_PWRITEV;
  block.aio_buf = (unsigned long)parts;
  block.aio_nbytes = 3;
  block.aio_offset = 8;
  show("submit vector", syscall(SYS_io_submit, context, 1, blocks));
  show("wait", wait_for(context, &event));
  printf("  result %lld %s, block %s\n", event.res, event.obj == (unsigned long)&block ? "the block" : "?",
         block.aio_buf == (unsigned long)parts ? "as it was" : "changed");
  char text[64] = "", first[4], rest[40] = "";
  block.aio_lio_opcode = IOCB_CMD_PREAD;
  block.aio_buf = (unsigned long)text;
  block.aio_nbytes = sizeof text;
  block.aio_offset = 0;
  show("submit read", syscall(SYS_io_submit, context, 1, blocks));
  show("wait", wait_for(context, &event));
  printf("  result %lld %s\n", event.res, text);
  struct iovec back[2] = {{first, 4}, {rest, 39}};
  block.aio_lio_opcode = IOCB_CMD_PREADV;
  block.aio_buf = (unsigned long)back;
  block.aio_nbytes = 2;
  show("submit read vector", syscall(SYS_io_submit, context, 1, blocks));
  show("wait", wait_for(context, &event));
  printf("  result %lld %.4s|%s\n", event.res, first, rest);
  back[1].iov_len = -1;
  show("submit bad vector", syscall(SYS_io_submit, context, 1, blocks));
  block.aio_buf = 4;
  show("submit unreadable vector", syscall(SYS_io_submit, context, 1, blocks));
  block.aio_buf = (unsigned long)back;
  block.aio_nbytes = 5000;
  show("submit long vector", syscall(SYS_io_submit, context, 1, blocks));
  show("submit unreadable block", syscall(SYS_io_submit, context, 1, blocks + 2));
  show("submit unreadable", syscall(SYS_io_submit, context, 1, 4));
  show("submit none", syscall(SYS_io_submit, context, 0, blocks));
  show("submit negative", syscall(SYS_io_submit, context, -1, blocks));
  show("submit nowhere", syscall(SYS_io_submit, 0x1000, 1, blocks));
  block.aio_lio_opcode = 99;
  show("submit nonsense", syscall(SYS_io_submit, context, 1, blocks));
  block.aio_lio_opcode = IOCB_CMD_PREAD;
  block.aio_buf = (unsigned long)text;
  block.aio_nbytes = 4;
  show("submit two and a bad one", syscall(SYS_io_submit, context, 3, blocks));
  show("wait", wait_for(context, &event));
  show("wait", wait_for(context, &event));

  int pipes[2];
  pipe(pipes);
  block = (struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = pipes[0], .aio_buf = 1};
  show("submit poll", syscall(SYS_io_submit, context, 1, blocks));
  const int nothing[2] = {0, 1000000};
  show("nothing yet", syscall(SYS_io_getevents, context, 1, 1, &event, nothing));
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  struct itimerval timer = {.it_value = {0, 100000}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  show("interrupted", syscall(SYS_io_getevents, context, 1, 1, &event, 0));
  unsigned long long mask = 1ull << (SIGALRM - 1);
  struct {
    void *mask;
    unsigned long size;
  } set = {&mask, 8};
  long long soon[2] = {0, 0x7700000000000000LL | 50000000};
  timer.it_value = (struct timeval){0, 10000};
  setitimer(ITIMER_REAL, &timer, NULL);
  show("masked", syscall(416, context, 1, 1, &event, soon, &set));
  set.size = 4;
  show("bad mask", syscall(385, context, 1, 1, &event, nothing, &set));
  show("unreadable mask", syscall(385, context, 1, 1, &event, nothing, 4));
  write(pipes[1], "x", 1);
  show("ready", syscall(385, context, 1, 1, &event, nothing, 0));
  printf("  %lld\n", event.res & 1);
  show("cancel", syscall(SYS_io_cancel, context, &block, &event));
  show("unreadable time", syscall(SYS_io_getevents, context, 1, 1, &event, 4));
  show("nowhere", syscall(SYS_io_getevents, 0x1000, 1, 1, &event, nothing));
  show("io_destroy", syscall(SYS_io_destroy, context));
  show("io_destroy again", syscall(SYS_io_destroy, context));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  names();
  memory();
  various();
  unprivileged();
  keys();
  asynchronous();
  return 0;
}
