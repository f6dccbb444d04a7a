/* Waiting for descriptors, and the descriptors made to be waited for. */
#include "scenario.h"

#include <poll.h>
#include <sys/epoll.h>

static int32_t *new_pipe(void) {
  int32_t *fds = low(8);
  CALL(__NR_pipe2, fds, O_NONBLOCK);
  return fds;
}

static void polling(void) {
  int32_t *a = new_pipe(), *b = new_pipe();
  struct pollfd *fds = low(4 * sizeof *fds);
  fds[0] = (struct pollfd){.fd = a[0], .events = POLLIN};
  fds[1] = (struct pollfd){.fd = b[1], .events = POLLOUT};
  fds[2] = (struct pollfd){.fd = -1, .events = POLLIN};
  fds[3] = (struct pollfd){.fd = 999, .events = POLLIN};
  answer("poll", CALL(__NR_poll, fds, 4, 0));
  say("%#x %#x %#x %#x", fds[0].revents, fds[1].revents, fds[2].revents, fds[3].revents);
  answer("write", CALL(__NR_write, a[1], low_string("x"), 1));
  answer("poll forever", CALL(__NR_poll, fds, 1, -1));
  say("%#x", fds[0].revents);
  answer("poll of none", CALL(__NR_poll, 0, 0, 1));
  answer("poll of a bad address", CALL(__NR_poll, 16, 1, 0));
  answer("poll of too many", CALL(__NR_poll, fds, 0x7FFFFFFF, 0));

  int32_t *time = low(16);
  int64_t *wide = low(16);
  uint32_t *mask = low(8);
  mask[0] = 1u << 9; /* SIGUSR1 */
  time[0] = 0, time[1] = 2000000;
  fds[0].fd = b[0];
  answer("ppoll runs out", CALL(__NR_ppoll, fds, 1, time, mask, 8));
  say("left %d.%09d", time[0], time[1]);
  time[0] = 1000, time[1] = 999999999;
  fds[0].fd = a[0];
  answer("ppoll", CALL(__NR_ppoll, fds, 1, time, 0, 0));
  say("left %s", time[0] == 1000 || time[0] == 999 ? "nearly all" : "something else");
  answer("ppoll mask size", CALL(__NR_ppoll, fds, 1, time, mask, 4));
  time[1] = 1000000000;
  answer("ppoll bad time", CALL(__NR_ppoll, fds, 1, time, 0, 0));
  answer("ppoll time at a bad address", CALL(__NR_ppoll, fds, 1, 16, 0, 0));
  wide[0] = 1000, wide[1] = INT64_C(0x12300000000) | 5;
  answer("ppoll_time64", CALL(__NR_ppoll_time64, fds, 1, wide, mask, 8));
  say("left %s", wide[0] == 999 || wide[0] == 1000 ? "nearly all" : "something else");
  wide[0] = -1;
  answer("ppoll_time64 bad time", CALL(__NR_ppoll_time64, fds, 1, wide, 0, 0));

  /* Sets of 1024 bits, and what stands behind a shorter one. */
  uint32_t *in = low(128), *out = low(128), *block = low(32);
  int limit = (a[0] > b[1] ? a[0] : b[1]) + 1;
  in[a[0] / 32] |= 1u << a[0] % 32;
  in[b[0] / 32] |= 1u << b[0] % 32;
  out[b[1] / 32] |= 1u << b[1] % 32;
  in[limit / 32 + 1] = out[limit / 32 + 1] = 0x12345678;
  time[0] = 5, time[1] = 1500000;
  answer("_newselect", CALL(__NR__newselect, limit, in, out, 0, time));
  say("a %d b %d out %d behind %#x", in[a[0] / 32] >> a[0] % 32 & 1, in[b[0] / 32] >> b[0] % 32 & 1,
      out[b[1] / 32] >> b[1] % 32 & 1, in[limit / 32 + 1]);
  say("left %s", time[0] == 6 || time[0] == 5 ? "nearly all" : "something else");
  in[b[0] / 32] = 0;
  in[999 / 32] |= 1u << 999 % 32;
  time[0] = 0, time[1] = 2000;
  answer("_newselect of a bad descriptor", CALL(__NR__newselect, 1000, in, 0, 0, time));
  memset(in, 0, 128);
  answer("_newselect runs out", CALL(__NR__newselect, limit, in, 0, 0, time));
  say("left %d.%06d", time[0], time[1]);
  answer("_newselect negative", CALL(__NR__newselect, -1, in, 0, 0, time));
  time[0] = -1;
  answer("_newselect bad time", CALL(__NR__newselect, limit, in, 0, 0, time));
  answer("_newselect of a bad address", CALL(__NR__newselect, limit, 16, 0, 0, 0));
  time[0] = 0, time[1] = 0;
  in[a[0] / 32] |= 1u << a[0] % 32;
  block[0] = limit, block[1] = WORD(in), block[4] = WORD(time);
  answer("select", CALL(__NR_select, block));
  answer("select of a bad address", CALL(__NR_select, 16));
  block[0] = WORD(mask), block[1] = 8;
  time[0] = 1, time[1] = 0;
  answer("pselect6", CALL(__NR_pselect6, limit, in, 0, 0, time, block));
  block[1] = 4;
  answer("pselect6 mask size", CALL(__NR_pselect6, limit, in, 0, 0, time, block));
  wide[0] = 0, wide[1] = 1000;
  memset(in, 0, 128);
  block[0] = 0;
  answer("pselect6_time64", CALL(__NR_pselect6_time64, limit, in, 0, 0, wide, block));
  say("left %lld.%09lld", (long long)wide[0], (long long)wide[1]);
  for (int i = 0; i < 2; i++) {
    CALL(__NR_close, a[i]);
    CALL(__NR_close, b[i]);
  }
}

static void epolling(void) {
  int32_t *a = new_pipe(), *b = new_pipe();
  int ep = descriptor("epoll_create1", CALL(__NR_epoll_create1, O_CLOEXEC));
  answer("epoll_create1 flags", CALL(__NR_epoll_create1, 1));
  answer("epoll_create of none", CALL(__NR_epoll_create, 0));
  int other = descriptor("epoll_create", CALL(__NR_epoll_create, 5));
  struct epoll_event *event = low(sizeof *event), *events = low(8 * sizeof *events);
  *event = (struct epoll_event){.events = EPOLLIN, .data.u64 = UINT64_C(0x1122334455667788)};
  answer("epoll_ctl add", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, a[0], event));
  answer("epoll_ctl add again", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, a[0], event));
  *event = (struct epoll_event){.events = EPOLLOUT | EPOLLET, .data.u64 = 7};
  answer("epoll_ctl add", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, b[1], event));
  answer("epoll_ctl of itself", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, ep, event));
  answer("epoll_ctl of a bad one", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, -1, event));
  answer("epoll_ctl from a bad address", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_MOD, a[0], 16));
  answer("epoll_wait", CALL(__NR_epoll_wait, ep, events, 8, 0));
  say("%#x %llx", events[0].events, (unsigned long long)events[0].data.u64);
  answer("epoll_wait of the edge", CALL(__NR_epoll_wait, ep, events, 8, 1));
  CALL(__NR_write, a[1], low_string("y"), 1);
  uint32_t *mask = low(8);
  answer("epoll_pwait", CALL(__NR_epoll_pwait, ep, events, 8, -1, mask, 8));
  say("%#x %llx", events[0].events, (unsigned long long)events[0].data.u64);
  answer("epoll_pwait mask size", CALL(__NR_epoll_pwait, ep, events, 8, 0, mask, 4));
  int64_t *time = low(16);
  answer("epoll_pwait2", CALL(__NR_epoll_pwait2, ep, events, 8, time, 0, 0));
  time[0] = -1;
  answer("epoll_pwait2 bad time", CALL(__NR_epoll_pwait2, ep, events, 8, time, 0, 0));
  answer("epoll_wait of none", CALL(__NR_epoll_wait, ep, events, 0, 0));
  answer("epoll_wait to a bad address", CALL(__NR_epoll_wait, ep, 16, 8, 0));
  answer("epoll_wait of a pipe", CALL(__NR_epoll_wait, a[0], events, 8, 0));
  answer("epoll_ctl delete", CALL(__NR_epoll_ctl, ep, EPOLL_CTL_DEL, a[0], 0));
  answer("epoll_wait", CALL(__NR_epoll_wait, ep, events, 8, 0));
  CALL(__NR_close, ep);
  CALL(__NR_close, other);
  for (int i = 0; i < 2; i++) {
    CALL(__NR_close, a[i]);
    CALL(__NR_close, b[i]);
  }
}

static void events(void) {
  uint64_t *value = low(8);
  int fd = descriptor("eventfd2", CALL(__NR_eventfd2, 5, O_NONBLOCK));
  answer("eventfd2 flags", CALL(__NR_eventfd2, 5, 2));
  answer("read", CALL(__NR_read, fd, value, 8));
  say("%llu", (unsigned long long)*value);
  answer("read again", CALL(__NR_read, fd, value, 8));
  *value = UINT64_C(0x100000002);
  answer("write", CALL(__NR_write, fd, value, 8));
  answer("read", CALL(__NR_read, fd, value, 8));
  say("%llx", (unsigned long long)*value);
  answer("read of 4", CALL(__NR_read, fd, value, 4));
  CALL(__NR_close, fd);
  close_descriptor(descriptor("eventfd", CALL(__NR_eventfd, 0)));

  fd = descriptor("timerfd_create", CALL(__NR_timerfd_create, 1, O_CLOEXEC));
  answer("timerfd_create clock", CALL(__NR_timerfd_create, 99, 0));
  int32_t *narrow = low(16), *old = low(16);
  narrow[2] = 1000, narrow[3] = 5; /* it_value */
  narrow[0] = 30, narrow[1] = 7;   /* it_interval */
  answer("timerfd_settime", CALL(__NR_timerfd_settime, fd, 0, narrow, old));
  say("before: %d.%d", old[2], old[3]);
  answer("timerfd_gettime", CALL(__NR_timerfd_gettime, fd, narrow));
  say("interval %d.%d, value %s", narrow[0], narrow[1],
      narrow[2] == 999 || narrow[2] == 1000 ? "near" : "far");
  int64_t *wide = low(32), *wide_old = low(32);
  wide[2] = 0, wide[3] = 1000000;
  answer("timerfd_settime64", CALL(__NR_timerfd_settime64, fd, 0, wide, wide_old));
  say("interval before: %lld.%lld", (long long)wide_old[0], (long long)wide_old[1]);
  answer("read", CALL(__NR_read, fd, value, 8));
  say("%llu", (unsigned long long)*value);
  answer("timerfd_gettime64", CALL(__NR_timerfd_gettime64, fd, wide));
  narrow[3] = 1000000000;
  answer("timerfd_settime bad time", CALL(__NR_timerfd_settime, fd, 0, narrow, 0));
  answer("timerfd_settime from a bad address", CALL(__NR_timerfd_settime, fd, 0, 16, 0));
  answer("timerfd_settime of a bad one", CALL(__NR_timerfd_settime, 0, 0, wide, 0) < 0);
  CALL(__NR_close, fd);

  uint32_t *mask = low(8);
  mask[0] = 1u << 9;
  fd = descriptor("signalfd4", CALL(__NR_signalfd4, -1, mask, 8, O_NONBLOCK));
  answer("signalfd4 size", CALL(__NR_signalfd4, -1, mask, 4, 0));
  answer("signalfd of a file", CALL(__NR_signalfd, 0x7FFF, mask, 8));
  answer("read of none", CALL(__NR_read, fd, low(128), 128));
  CALL(__NR_close, fd);

  fd = descriptor("inotify_init1", CALL(__NR_inotify_init1, O_NONBLOCK));
  answer("inotify_init1 flags", CALL(__NR_inotify_init1, 1));
  close_descriptor(descriptor("inotify_init", CALL(__NR_inotify_init)));
  answer("inotify_add_watch", CALL(__NR_inotify_add_watch, fd, low_string("."), 0x100 /* IN_CREATE */));
  close_descriptor(CALL(__NR_creat, low_string("new"), 0600));
  struct {
    int32_t watch;
    uint32_t mask, cookie, length;
    char name[64];
  } *change = low(sizeof *change);
  answer("FIONREAD", CALL(__NR_ioctl, fd, 0x541B, value));
  answer("read", CALL(__NR_read, fd, change, sizeof *change));
  say("watch %d mask %#x \"%s\"", change->watch, change->mask, change->name);
  answer("inotify_rm_watch", CALL(__NR_inotify_rm_watch, fd, 1));
  answer("inotify_rm_watch again", CALL(__NR_inotify_rm_watch, fd, 1));
  CALL(__NR_close, fd);
}

static void controls(void) {
  int32_t *pipe = new_pipe(), *value = low(64);
  CALL(__NR_write, pipe[1], low_string("12345"), 5);
  answer("FIONREAD", CALL(__NR_ioctl, pipe[0], 0x541B, value));
  say("%d", *value);
  answer("FIOCLEX", CALL(__NR_ioctl, pipe[0], 0x5451, 0));
  answer("F_GETFD", CALL(__NR_fcntl64, pipe[0], F_GETFD));
  answer("FIONCLEX", CALL(__NR_ioctl, pipe[0], 0x5450, 0));
  *value = 0;
  answer("FIONBIO", CALL(__NR_ioctl, pipe[0], 0x5421, value));
  say("%#o", CALL(__NR_fcntl64, pipe[0], F_GETFL));
  answer("TCGETS of a pipe", CALL(__NR_ioctl, pipe[0], 0x5401, value));
  answer("TIOCGWINSZ of a pipe", CALL(__NR_ioctl, pipe[0], 0x5413, value));
  answer("no such request", CALL(__NR_ioctl, pipe[0], 0x12345678, value));
  answer("ioctl of a bad one", CALL(__NR_ioctl, -1, 0x12345678, value));

  int master = descriptor("open /dev/ptmx", CALL(__NR_open, low_string("/dev/ptmx"), O_RDWR | O_NOCTTY));
  if (master >= 0) {
    uint8_t *termios = low(64);
    memset(termios, 0xAA, 64);
    answer("TCGETS", CALL(__NR_ioctl, master, 0x5401, termios));
    say("iflag %#x oflag %#x cflag %#x lflag %#x, behind %#x", *(uint32_t *)termios,
        *(uint32_t *)(termios + 4), *(uint32_t *)(termios + 8), *(uint32_t *)(termios + 12), termios[36]);
    answer("TCGETS2", CALL(__NR_ioctl, master, 0x802C542Au, termios));
    say("speed %u %u, behind %#x", *(uint32_t *)(termios + 36), *(uint32_t *)(termios + 40), termios[44]);
    uint16_t *window = low(8);
    window[0] = 25, window[1] = 80;
    answer("TIOCSWINSZ", CALL(__NR_ioctl, master, 0x5414, window));
    window[0] = 0;
    answer("TIOCGWINSZ", CALL(__NR_ioctl, master, 0x5413, window));
    say("%u x %u", window[0], window[1]);
    answer("TIOCGPTN", CALL(__NR_ioctl, master, 0x80045430u, value));
    answer("TIOCSPTLCK", CALL(__NR_ioctl, master, 0x40045431, value));
    CALL(__NR_close, master);
  }

  int file = CALL(__NR_open, low_string("flags"), O_RDWR | O_CREAT, 0600);
  int32_t narrow = CALL(__NR_ioctl, file, 0x80046601u, value); /* FS_IOC32_GETFLAGS */
  int32_t flags = *value;
  say("the 64-bit number does the same: %d",
      CALL(__NR_ioctl, file, 0x80086601u, value) == narrow && *value == flags);
  say("set again: %d", CALL(__NR_ioctl, file, 0x40046602, value) == narrow);
  answer("FIGETBSZ", CALL(__NR_ioctl, file, 2, value));
  say("%d", *value);
  answer("BLKGETSIZE of a file", CALL(__NR_ioctl, file, 0x1260, value));
  CALL(__NR_close, file);

  int udp = CALL(__NR_socket, 2, 2, 0);
  if (udp >= 0) {
    struct {
      char name[16];
      union {
        uint8_t bytes[16];
        int32_t number;
        uint16_t flags;
      } data;
      uint32_t behind[2];
    } *request = low(sizeof *request);
    struct {
      int32_t length;
      uint32_t requests;
    } *list = low(sizeof *list);
    strcpy(request->name, "lo");
    request->behind[0] = request->behind[1] = 0x5A5A5A5A;
    answer("SIOCGIFINDEX", CALL(__NR_ioctl, udp, 0x8933, request));
    say("index %d, behind %#x", request->data.number, request->behind[0]);
    answer("SIOCGIFMTU", CALL(__NR_ioctl, udp, 0x8921, request));
    say("mtu %d", request->data.number);
    answer("SIOCGIFNAME", (request->data.number = 1, CALL(__NR_ioctl, udp, 0x8910, request)));
    say("%s", request->name);
    answer("SIOCGIFHWADDR", CALL(__NR_ioctl, udp, 0x8927, request));
    answer("SIOCGIFMAP", CALL(__NR_ioctl, udp, 0x8970, request));
    strcpy(request->name, "none");
    answer("SIOCGIFINDEX of none", CALL(__NR_ioctl, udp, 0x8933, request));
    answer("SIOCGIFCONF length", CALL(__NR_ioctl, udp, 0x8912, list));
    say("a multiple of 32: %d", list->length % 32);
    list->requests = WORD(low(2048));
    list->length = 2048;
    answer("SIOCGIFCONF", CALL(__NR_ioctl, udp, 0x8912, list));
    say("first: %s", (char *)(uintptr_t)list->requests);
    uint32_t *link = low(16);
    link[0] = 0x0A; /* ETHTOOL_GLINK */
    memset(request, 0, sizeof *request);
    strcpy(request->name, "lo");
    request->data.number = WORD(link);
    answer("SIOCETHTOOL", CALL(__NR_ioctl, udp, 0x8946, request));
    say("link %u", link[1]);
    uint32_t *route = low(84);
    answer("SIOCADDRT of nothing", CALL(__NR_ioctl, udp, 0x890B, route));
    route[17] = 16; /* rt_dev */
    answer("SIOCDELRT of a bad name", CALL(__NR_ioctl, udp, 0x890C, route));
    answer("SIOCGSTAMP of nothing", CALL(__NR_ioctl, udp, 0x8906, value));
    answer("SIOCGIFINDEX from a bad address", CALL(__NR_ioctl, udp, 0x8933, 16));
    CALL(__NR_close, udp);
  }
  CALL(__NR_close, pipe[0]);
  CALL(__NR_close, pipe[1]);
}

void scenario(void) {
  polling();
  epolling();
  events();
  controls();
}

#ifndef SCENARIO_IN_PROCESS
#include <signal.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms;
static void on_alarm(int signal) { alarms++; }

static void start_alarm(int flags) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval soon = {.it_value = {0, 300000}}; /* after the call that waits has begun, on a busy machine too */
  setitimer(ITIMER_REAL, &soon, NULL);
}

static void with_libc(void) {
  /* A handler ends every one of these, SA_RESTART or not. */
  start_alarm(SA_RESTART);
  int result = poll(NULL, 0, 5000);
  say("poll: %s, %d alarms", result < 0 ? strerrorname_np(errno) : "?", (int)alarms);
  start_alarm(SA_RESTART);
  struct timeval time = {5, 0};
  result = select(0, NULL, NULL, NULL, &time);
  say("select: %s, %d alarms, left %s", result < 0 ? strerrorname_np(errno) : "?", (int)alarms,
      time.tv_sec == 4 ? "4.9" : "something else");
  start_alarm(SA_RESTART);
  int ep = epoll_create1(0);
  struct epoll_event event;
  result = epoll_wait(ep, &event, 1, 5000);
  say("epoll_wait: %s, %d alarms", result < 0 ? strerrorname_np(errno) : "?", (int)alarms);

  /* A blocked signal comes in only while ppoll waits with the other mask. */
  sigset_t block, none;
  sigemptyset(&none);
  sigemptyset(&block);
  sigaddset(&block, SIGALRM);
  sigprocmask(SIG_BLOCK, &block, NULL);
  start_alarm(0);
  usleep(600000);
  say("blocked: %d alarms", (int)alarms);
  struct timespec wait = {5, 0};
  result = ppoll(NULL, 0, &wait, &none);
  say("ppoll: %s, %d alarms", result < 0 ? strerrorname_np(errno) : "?", (int)alarms);
  start_alarm(0);
  result = pselect(0, NULL, NULL, NULL, &wait, &none);
  say("pselect: %s, %d alarms", result < 0 ? strerrorname_np(errno) : "?", (int)alarms);

  /* read(2) of a pipe: restarted with SA_RESTART, else not. */
  int fds[2];
  pipe(fds);
  char byte;
  sigprocmask(SIG_UNBLOCK, &block, NULL);
  start_alarm(0);
  result = read(fds[0], &byte, 1);
  say("read: %s, %d alarms", result < 0 ? strerrorname_np(errno) : "?", (int)alarms);
  if (fork() == 0) {
    usleep(1500000);
    write(fds[1], "z", 1);
    _exit(0);
  }
  start_alarm(SA_RESTART);
  result = read(fds[0], &byte, 1);
  say("read restarted: %d, %d alarms", result, (int)alarms);

  sigprocmask(SIG_BLOCK, &block, NULL);
  int sfd = signalfd(-1, &block, 0);
  start_alarm(0);
  struct signalfd_siginfo info;
  result = read(sfd, &info, sizeof info);
  say("signalfd: %d bytes, signal %u", result, info.ssi_signo);
}
#endif
