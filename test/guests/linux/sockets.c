/* Sockets as a 32-bit program uses them: addresses, options, messages with control data, errors.
 * Output is the same on every run. Compile with -m32.
 *
 * guest-test: levels=O2 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, long result) {
  if (result == -1)
    printf("%s: %s\n", what, strerrorname_np(errno));
  else
    printf("%s: %ld\n", what, result);
}

static int udp_pair(int fd[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  fd[0] = socket(AF_INET, SOCK_DGRAM, 0);
  fd[1] = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd[1], (void *)&address, sizeof address) || getsockname(fd[1], (void *)&address, &length))
    return -1;
  return connect(fd[0], (void *)&address, sizeof address);
}

static int open_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 256; fd++)
    count += fcntl(fd, F_GETFD) != -1;
  return count;
}

static void close_from(int first) {
  for (int fd = first; fd < 256; fd++)
    close(fd);
}

/* --- Control messages ---------------------------------------------------------------------- */

static void show_control(struct msghdr *message) {
  printf("  flags %#x controllen %u", message->msg_flags, (unsigned)message->msg_controllen);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    printf(" [%d %d len %u]", c->cmsg_level, c->cmsg_type, (unsigned)c->cmsg_len);
    if (c->cmsg_len > message->msg_controllen)
      break;
  }
  printf("\n");
}

static void send_descriptors(int fd, int count) {
  char control[256] = {0};
  struct iovec part = {(void *)"x", 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  *c = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  for (int i = 0; i < count; i++)
    ((int *)CMSG_DATA(c))[i] = 1;
  show("send descriptors", sendmsg(fd, &message, 0));
}

static void descriptors(void) {
  int fd[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
  const int before = open_descriptors();
  for (int room = 0; room <= 32; room++) {
    char control[64], data[4];
    memset(control, 0x55, sizeof control);
    struct iovec part = {data, sizeof data};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    send_descriptors(fd[0], 3);
    printf("room %d: %d\n", room, (int)recvmsg(fd[1], &message, 0));
    show_control(&message);
    int touched = 0;
    for (unsigned i = 0; i < sizeof control; i++)
      if (control[i] != 0x55)
        touched = i + 1;
    printf("  %d descriptors more, %d bytes touched\n", open_descriptors() - before, touched);
    close_from(fd[1] + 1);
  }
  /* without a buffer at all */
  char data[4];
  struct iovec part = {data, sizeof data};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_controllen = 64};
  send_descriptors(fd[0], 2);
  show("no buffer", recvmsg(fd[1], &message, MSG_CMSG_CLOEXEC));
  show_control(&message);
  close(fd[0]);
  close(fd[1]);
}

static void credentials(void) {
  int fd[2], on = 1;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, fd);
  show("passcred", setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  for (int room = 8; room <= 56; room += 4) {
    char control[64], data[4];
    struct iovec part = {data, sizeof data};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    send_descriptors(fd[0], 2);
    printf("room %d: %d\n", room, (int)recvmsg(fd[1], &message, 0));
    show_control(&message);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c && c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
      struct ucred *who = (void *)CMSG_DATA(c);
      printf("  pid %s uid %s\n", who->pid == getpid() ? "mine" : "?", who->uid == getuid() ? "mine" : "?");
    }
    close_from(fd[1] + 1);
  }
  struct ucred peer;
  socklen_t length = sizeof peer;
  show("peercred", getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &peer, &length));
  printf("  length %u pid %s\n", (unsigned)length, peer.pid == getpid() ? "mine" : "?");
  close(fd[0]);
  close(fd[1]);
}

/* Time stamps of the old options are two 32-bit words, of the new ones two 64-bit ones. */
static void timestamps(void) {
  static const int option[] = {29, 35, 37, 63, 64, 65}; /* SO_TIMESTAMP{,NS,ING}, old and new */
  int keep = socket(AF_INET, SOCK_DGRAM, 0), on = 1; /* the kernel begins to stamp packets a little later */
  setsockopt(keep, SOL_SOCKET, option[0], &on, sizeof on);
  usleep(100000);
  for (int i = 0; i < 6; i++)
    for (int room = 8; room <= 64; room += 8) {
      int fd[2], value = i % 3 == 2 ? 0x18 : 1; /* RX_SOFTWARE | SOFTWARE */
      if (udp_pair(fd))
        exit(1);
      setsockopt(fd[1], SOL_SOCKET, option[i], &value, sizeof value);
      send(fd[0], "time", 4, 0);
      char control[128], data[8];
      struct iovec part = {data, sizeof data};
      struct msghdr message = {
          .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
      printf("option %d room %d: %d\n", option[i], room, (int)recvmsg(fd[1], &message, 0));
      show_control(&message);
      struct cmsghdr *c = CMSG_FIRSTHDR(&message);
      if (c && c->cmsg_len >= CMSG_LEN(8)) {
        /* time() lags behind the clock that stamps by up to a tick */
        unsigned now = (unsigned)time(NULL) + 1, stamp = *(unsigned *)CMSG_DATA(c);
        printf("  %s\n", now - stamp < 100 ? "now" : "another time");
      }
      close(fd[0]);
      close(fd[1]);
    }
  close(keep);
}

static void packet_info(void) {
  int fd[2], on = 1;
  udp_pair(fd);
  show("pktinfo", setsockopt(fd[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
  show("recvttl", setsockopt(fd[1], IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
  show("timestamp", setsockopt(fd[1], SOL_SOCKET, 29, &on, sizeof on));
  for (int room = 12; room <= 68; room += 4) {
    char control[128], data[8];
    struct sockaddr_in from;
    struct iovec part = {data, sizeof data};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = room};
    send(fd[0], "info", 4, 0);
    printf("room %d: %d\n", room, (int)recvmsg(fd[1], &message, 0));
    show_control(&message);
    printf("  from %s namelen %u\n", inet_ntoa(from.sin_addr), (unsigned)message.msg_namelen);
  }
  close(fd[0]);
  close(fd[1]);
}

/* What the kernel thinks of control messages that are not in order. */
static void malformed(void) {
  int fd[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, fd);
  static const struct {
    unsigned length[2]; /* cmsg_len of the first message and of one behind it */
    unsigned total;
  } cases[] = {{{0}, 12},      {{11}, 12},     {{12}, 12},     {{13}, 12},     {{16}, 16},
               {{16}, 15},     {{16}, 17},     {{16}, 19},     {{16}, 27},     {{16, 0}, 28},
               {{16, 12}, 28}, {{16, 12}, 27}, {{16, 16}, 32}, {{16, 17}, 32}, {{15, 16}, 32},
               {{12}, 4},      {{12}, 0},      {{~0u}, 32},    {{16, ~0u}, 32}};
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    unsigned control[16] = {0};
    struct iovec part = {(void *)"x", 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = cases[i].total};
    control[0] = cases[i].length[0];
    control[1] = SOL_SOCKET;
    control[2] = SCM_RIGHTS;
    control[3] = 1;
    control[4] = cases[i].length[1];
    control[5] = SOL_SOCKET;
    control[6] = SCM_RIGHTS;
    control[7] = 1;
    char name[64];
    sprintf(name, "control %d %d in %u", (int)cases[i].length[0], (int)cases[i].length[1], cases[i].total);
    show(name, sendmsg(fd[0], &message, 0));
    char drain[4];
    recv(fd[1], drain, sizeof drain, MSG_DONTWAIT);
  }
  struct msghdr message = {.msg_control = (void *)4, .msg_controllen = 16};
  show("unreadable control", sendmsg(fd[0], &message, 0));
  show("unreadable control, no socket", sendmsg(99, &message, 0));
  message = (struct msghdr){.msg_control = (void *)4, .msg_controllen = 0x80000000u};
  show("huge control", sendmsg(fd[0], &message, 0));
  unsigned bad[4] = {3, SOL_SOCKET, SCM_RIGHTS};
  message = (struct msghdr){.msg_control = bad, .msg_controllen = sizeof bad};
  show("bad control, no socket", sendmsg(1, &message, 0));
  show("bad control, no file", sendmsg(99, &message, 0));
  close(fd[0]);
  close(fd[1]);
}

/* --- Headers and vectors ------------------------------------------------------------------- */

static void headers(void) {
  int fd[2];
  char a[4], b[8], c[16];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, fd);
  struct iovec parts[3] = {{a, 3}, {b, 5}, {c, sizeof c}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
  send(fd[0], "0123456789", 10, 0);
  show("scatter", recvmsg(fd[1], &message, 0));
  printf("  %.3s %.5s %.2s\n", a, b, c);
  send(fd[0], "0123456789", 10, 0);
  parts[2].iov_len = 0;
  show("cut", recvmsg(fd[1], &message, MSG_TRUNC));
  printf("  flags %#x\n", message.msg_flags);

  parts[1].iov_len = -1;
  show("negative length", sendmsg(fd[0], &message, 0));
  parts[1].iov_len = 5;
  parts[1].iov_base = (void *)8;
  show("unreadable part", sendmsg(fd[0], &message, 0));
  message.msg_iov = (void *)4;
  show("unreadable vector", sendmsg(fd[0], &message, 0));
  message.msg_iovlen = 1025;
  show("too many parts", sendmsg(fd[0], &message, 0));
  show("unreadable header", sendmsg(fd[0], (void *)4, 0));
  show("unreadable header, no file", sendmsg(99, (void *)4, 0));
  show("unreadable header, no socket", recvmsg(1, (void *)4, 0));
  message = (struct msghdr){.msg_name = a, .msg_namelen = -1};
  show("negative name length", sendmsg(fd[0], &message, 0));
  show("negative name length", recvmsg(fd[1], &message, MSG_DONTWAIT));
  message = (struct msghdr){0};
  show("empty", sendmsg(fd[0], &message, 0));
  show("empty", recvmsg(fd[1], &message, 0));
  struct iovec many[20];
  for (int i = 0; i < 20; i++)
    many[i] = (struct iovec){(void *)"abcdefghijklmnopqrst" + i, 1};
  message = (struct msghdr){.msg_iov = many, .msg_iovlen = 20};
  show("twenty parts", sendmsg(fd[0], &message, 0x80000000u));
  char text[32] = "";
  show("received", recv(fd[1], text, sizeof text, 0));
  printf("  %s\n", text);
  close(fd[0]);
  close(fd[1]);
}

static void many_messages(void) {
  int fd[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, fd);
  struct iovec parts[4] = {{(void *)"one", 3}, {(void *)"three", 5}, {(void *)"seventy", 7}, {(void *)4, 4}};
  struct mmsghdr messages[4] = {0};
  for (int i = 0; i < 4; i++)
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  show("sendmmsg", syscall(SYS_sendmmsg, fd[0], messages, 4, 0));
  printf("  %u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
  show("sendmmsg first bad", syscall(SYS_sendmmsg, fd[0], messages + 3, 1, 0));
  show("sendmmsg none", syscall(SYS_sendmmsg, fd[0], messages, 0, 0));
  show("sendmmsg unreadable", syscall(SYS_sendmmsg, fd[0], 4, 1, 0));
  show("sendmmsg no socket", syscall(SYS_sendmmsg, 1, 4, 1, 0));

  char text[4][8] = {{0}};
  for (int i = 0; i < 4; i++) {
    parts[i] = (struct iovec){text[i], 6};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  int timeout[2] = {0, 30000000};
  show("recvmmsg", syscall(SYS_recvmmsg, fd[1], messages, 2, 0, timeout));
  printf("  %u %s, %u %s, time left %s\n", messages[0].msg_len, text[0], messages[1].msg_len, text[1],
         timeout[0] == 0 && timeout[1] < 30000000 && timeout[1] > 0 ? "less" : "?");
  long long timeout64[2] = {0, 0x7700000000000000LL}; /* the upper half is padding */
  show("recvmmsg 64", syscall(417, fd[1], messages, 4, MSG_WAITFORONE, timeout64));
  printf("  %u %s flags %#x, time left %lld %lld\n", messages[0].msg_len, text[0],
         messages[0].msg_hdr.msg_flags, timeout64[0], timeout64[1]);
  show("recvmmsg nothing", syscall(SYS_recvmmsg, fd[1], messages, 4, MSG_DONTWAIT, 0));
  timeout[1] = 1000000000;
  show("recvmmsg bad time", syscall(SYS_recvmmsg, fd[1], messages, 4, MSG_DONTWAIT, timeout));
  show("recvmmsg unreadable time", syscall(SYS_recvmmsg, fd[1], messages, 4, MSG_DONTWAIT, 4));
  show("recvmmsg none", syscall(SYS_recvmmsg, fd[1], messages, 0, MSG_DONTWAIT, 0));
  close(fd[0]);
  close(fd[1]);
}

/* --- Options ------------------------------------------------------------------------------- */

static void timeouts(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  int value[4] = {3, 500000, 0, 0};
  for (int length = 0; length <= 16; length += 4)
    show("SO_RCVTIMEO set", syscall(SYS_setsockopt, fd, SOL_SOCKET, 20, value, length));
  for (int length = 0; length <= 16; length += 4) {
    int back[4] = {-1, -1, -1, -1}, size = length;
    show("SO_RCVTIMEO get", syscall(SYS_getsockopt, fd, SOL_SOCKET, 20, back, &size));
    printf("  size %d: %d %d %d %d\n", size, back[0], back[1], back[2], back[3]);
  }
  long long wide[2] = {0x100000002LL, 250000};
  for (int length = 0; length <= 16; length += 8)
    show("SO_SNDTIMEO_NEW set", syscall(SYS_setsockopt, fd, SOL_SOCKET, 67, wide, length));
  for (int length = 0; length <= 24; length += 8) {
    long long back[3] = {-1, -1, -1};
    int size = length;
    show("SO_SNDTIMEO_NEW get", syscall(SYS_getsockopt, fd, SOL_SOCKET, 67, back, &size));
    printf("  size %d: %lld %lld %lld\n", size, back[0], back[1], back[2]);
  }
  value[1] = 1000000;
  show("SO_SNDTIMEO bad", syscall(SYS_setsockopt, fd, SOL_SOCKET, 21, value, 8));
  value[0] = -1;
  value[1] = 0;
  show("SO_SNDTIMEO negative", syscall(SYS_setsockopt, fd, SOL_SOCKET, 21, value, 8));
  int size = -4;
  show("negative size", syscall(SYS_getsockopt, fd, SOL_SOCKET, 21, value, &size));
  show("unreadable", syscall(SYS_setsockopt, fd, SOL_SOCKET, 20, 4, 8));
  show("unreadable size", syscall(SYS_getsockopt, fd, SOL_SOCKET, 20, value, 4));
  show("no socket", syscall(SYS_getsockopt, 1, SOL_SOCKET, 20, value, 4));
  struct linger linger = {1, 7}, back;
  socklen_t length = sizeof back;
  show("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  show("linger", getsockopt(fd, SOL_SOCKET, SO_LINGER, &back, &length));
  printf("  %d %d %u\n", back.l_onoff, back.l_linger, (unsigned)length);
  close(fd);
}

static void filter(void) {
  int fd[2];
  udp_pair(fd);
  /* accept only packets whose first byte of data is 'a' */
  struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
                               BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'a', 0, 1),
                               BPF_STMT(BPF_RET | BPF_K, 0xFFFF), BPF_STMT(BPF_RET | BPF_K, 0)};
  struct sock_fprog program = {4, code};
  for (int length = 0; length <= 20; length += 4)
    show("attach", setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, length));
  send(fd[0], "b", 1, 0);
  send(fd[0], "a", 1, 0);
  char byte = 0;
  show("filtered", recv(fd[1], &byte, 1, MSG_DONTWAIT));
  printf("  %c\n", byte);
  struct sock_filter back[8];
  socklen_t count = 8;
  show("read back", getsockopt(fd[1], SOL_SOCKET, SO_GET_FILTER, back, &count));
  printf("  %u instructions, %s\n", (unsigned)count, memcmp(back, code, sizeof code) ? "others" : "the same");
  program.filter = (void *)8;
  show("unreadable code", setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
  show("unreadable program", setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_FILTER, (void *)8, sizeof program));
  show("detach", setsockopt(fd[1], SOL_SOCKET, SO_DETACH_FILTER, &byte, sizeof byte));
  int zero = 0;
  show("detach", setsockopt(fd[1], SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
  close(fd[0]);
  close(fd[1]);
}

static void multicast(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct group_source_req source = {.gsr_interface = 1};
  struct sockaddr_in *group = (void *)&source.gsr_group, *from = (void *)&source.gsr_source;
  *group = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("232.1.1.1")};
  *from = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.1.2.3")};
  for (int length = 252; length <= 264; length += 4)
    show("join source", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &source, length));
  struct {
    struct group_filter filter;
    struct sockaddr_storage more[3];
  } state = {0};
  state.filter.gf_interface = 1;
  state.filter.gf_numsrc = 3;
  memcpy(&state.filter.gf_group, group, sizeof *group);
  for (socklen_t size = 132; size <= 400; size += 67) {
    socklen_t length = size;
    show("get filter", getsockopt(fd, IPPROTO_IP, MCAST_MSFILTER, &state, &length));
    printf("  size %u mode %u sources %u %s\n", (unsigned)length, state.filter.gf_fmode,
           state.filter.gf_numsrc, inet_ntoa(((struct sockaddr_in *)&state.filter.gf_slist[0])->sin_addr));
    state.filter.gf_numsrc = 3;
  }
  struct group_req request = {.gr_interface = 1};
  memcpy(&request.gr_group, group, sizeof *group);
  ((struct sockaddr_in *)&request.gr_group)->sin_addr.s_addr = inet_addr("239.1.1.1");
  show("join", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request));
  show("join again", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request));
  show("join short", setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof request - 1));
  show("leave", setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof request));
  close(fd);
}

/* --- Connections, by the calls of their own and by socketcall ------------------------------- */

static int multiplexed;

static long call(int number, int operation, int count, ...) {
  long argument[6] = {0};
  __builtin_va_list list;
  __builtin_va_start(list, count);
  for (int i = 0; i < count; i++)
    argument[i] = __builtin_va_arg(list, long);
  __builtin_va_end(list);
  if (multiplexed)
    return syscall(SYS_socketcall, operation, argument);
  return syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

static void connections(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX}, peer;
  socklen_t length = sizeof peer;
  sprintf(address.sun_path + 1, "uemu-test-%d-%d", getpid(), multiplexed);
  const int size = sizeof(sa_family_t) + 1 + strlen(address.sun_path + 1);
  const int listener = call(359, SYS_SOCKET, 3, AF_UNIX, SOCK_STREAM, 0);
  show("bind", call(361, SYS_BIND, 3, listener, &address, size));
  show("bind again", call(361, SYS_BIND, 3, listener, &address, size));
  show("listen", call(363, SYS_LISTEN, 2, listener, 5));
  const int client = call(359, SYS_SOCKET, 3, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  show("connect", call(362, SYS_CONNECT, 3, client, &address, size));
  const int server = call(364, SYS_ACCEPT4, 4, listener, &peer, &length, SOCK_NONBLOCK);
  printf("accepted: %s, length %u, %s\n", server >= 0 ? "yes" : "no", (unsigned)length,
         fcntl(server, F_GETFL) & O_NONBLOCK ? "non-blocking" : "blocking");
  length = sizeof peer;
  show("getpeername", call(368, SYS_GETPEERNAME, 3, client, &peer, &length));
  printf("  %s\n", (int)length == size && memcmp(&peer, &address, size) == 0 ? "the listener" : "another");
  length = 1;
  show("getsockname", call(367, SYS_GETSOCKNAME, 3, listener, &peer, &length));
  printf("  %s\n", (int)length == size ? "full length told" : "another");
  show("getsockname", call(367, SYS_GETSOCKNAME, 3, listener, &peer, 4));
  show("receive", call(371, SYS_RECVFROM, 6, server, &peer, 4, 0, 0, 0));
  show("send", call(369, SYS_SENDTO, 6, client, "hello", 5, 0, 0, 0));
  char text[16] = "";
  show("peek", call(371, SYS_RECVFROM, 6, server, text, 3, MSG_PEEK, 0, 0));
  show("receive", call(371, SYS_RECVFROM, 6, server, text, sizeof text, 0, &peer, &length));
  printf("  %s\n", text);
  show("shutdown", call(373, SYS_SHUTDOWN, 2, client, SHUT_WR));
  show("receive", call(371, SYS_RECVFROM, 6, server, text, sizeof text, 0, 0, 0));
  show("send", call(369, SYS_SENDTO, 6, client, "hello", 5, MSG_NOSIGNAL, 0, 0));
  int value = 0;
  length = sizeof value;
  show("getsockopt", call(365, SYS_GETSOCKOPT, 5, client, SOL_SOCKET, SO_TYPE, &value, &length));
  printf("  %d %u\n", value, (unsigned)length);
  show("setsockopt", call(366, SYS_SETSOCKOPT, 5, client, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
  show("unreadable", call(369, SYS_SENDTO, 6, server, 4, 5, MSG_NOSIGNAL, 0, 0));
  show("no file", call(362, SYS_CONNECT, 3, 99, &address, size));
  show("no socket", call(363, SYS_LISTEN, 2, 1, 5));
  close(listener);
  show("refused",
       call(362, SYS_CONNECT, 3, call(359, SYS_SOCKET, 3, AF_UNIX, SOCK_STREAM, 0), &address, size));
  int pair[2];
  show("socketpair", call(360, SYS_SOCKETPAIR, 4, AF_UNIX, SOCK_DGRAM, 0, pair));
  show("socketpair", call(360, SYS_SOCKETPAIR, 4, AF_UNIX, SOCK_DGRAM, 0, 4));
  show("socketpair", call(360, SYS_SOCKETPAIR, 4, AF_INET, SOCK_DGRAM, 0, pair));
  show("socket", call(359, SYS_SOCKET, 3, 99, SOCK_STREAM, 0));
  close_from(3);
}

static void multiplexer(void) {
  long argument[6] = {0};
  show("socketcall 0", syscall(SYS_socketcall, 0, argument));
  show("socketcall 21", syscall(SYS_socketcall, 21, argument));
  show("socketcall unreadable", syscall(SYS_socketcall, SYS_SOCKET, 4));
  int fd[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
  char text[8] = "";
  show("send", syscall(SYS_socketcall, SYS_SEND, (long[]){fd[0], (long)"abc", 3, 0}));
  show("recv", syscall(SYS_socketcall, SYS_RECV, (long[]){fd[1], (long)text, 8, 0}));
  printf("  %s\n", text);
  struct iovec part = {text, 8};
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
  show("sendmmsg", syscall(SYS_socketcall, SYS_SENDMMSG, (long[]){fd[0], (long)&message, 1, 0}));
  show("recvmmsg", syscall(SYS_socketcall, SYS_RECVMMSG, (long[]){fd[1], (long)&message, 1, 0, 0}));
  show("sendmsg", syscall(SYS_socketcall, SYS_SENDMSG, (long[]){fd[0], (long)&message.msg_hdr, 0}));
  show("recvmsg", syscall(SYS_socketcall, SYS_RECVMSG, (long[]){fd[1], (long)&message.msg_hdr, 0}));
  show("accept", syscall(SYS_socketcall, SYS_ACCEPT, (long[]){fd[1], 0, 0}));
  close_from(3);
}

static void tcp(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  show("bind", bind(listener, (void *)&address, sizeof address));
  show("listen", listen(listener, 1));
  getsockname(listener, (void *)&address, &length);
  show("accept nothing", accept4(listener, NULL, NULL, 0));
  int client = socket(AF_INET, SOCK_STREAM, 0);
  show("connect", connect(client, (void *)&address, sizeof address));
  int server = accept4(listener, NULL, NULL, 0);
  printf("accept: %s\n", server >= 0 ? "yes" : "no");
  send(client, "in band", 7, 0);
  send(client, "!", 1, MSG_OOB);
  struct pollfd urgent = {server, POLLPRI, 0};
  poll(&urgent, 1, 1000);
  char text[16] = "";
  show("out of band", recv(server, text, 1, MSG_OOB));
  show("in band", recv(server, text + 1, 15, 0));
  printf("  %s\n", text);
  close_from(3);
}

/* --- Signals ------------------------------------------------------------------------------- */

static volatile int signals, wake = -1;
static void on_alarm(int number) {
  signals++;
  if (wake >= 0)
    write(wake, "wake", 4);
  (void)number;
}

static void interrupted(int restart, int timeout, const char *name) {
  int fd[2];
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
  struct itimerval soon = {.it_value = {0, 100000}};
  int limit[2] = {2, 0};
  char text[8] = "";
  socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
  if (timeout)
    syscall(SYS_setsockopt, fd[1], SOL_SOCKET, 20, limit, 8);
  sigaction(SIGALRM, &action, NULL);
  wake = fd[0];
  setitimer(ITIMER_REAL, &soon, NULL);
  show(name, recv(fd[1], text, sizeof text, 0));
  printf("  %s\n", text);
  setitimer(ITIMER_REAL, &soon, NULL);
  struct iovec part = {text, sizeof text};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  recv(fd[1], text, sizeof text, MSG_DONTWAIT);
  show(name, recvmsg(fd[1], &message, 0));
  wake = -1;
  close_from(3);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  close_from(3);
  descriptors();
  credentials();
  timestamps();
  packet_info();
  malformed();
  headers();
  many_messages();
  timeouts();
  filter();
  multicast();
  for (multiplexed = 0; multiplexed < 2; multiplexed++)
    connections();
  multiplexer();
  tcp();
  interrupted(1, 0, "restarted");
  interrupted(0, 0, "interrupted");
  interrupted(1, 1, "interrupted, has a timeout");
  printf("signals: %d\n", signals);
  return 0;
}
