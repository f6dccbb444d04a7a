/* Sockets: socket(2), send(2), recv(2) and their kin; options are in socket_option.c, message headers in
 * message.c.
 *
 * Buffers and addresses are handed to the host where they lie in guest memory. What blocks and is
 * interrupted starts again as signal(7) says: unless the socket has a timeout, in which case it fails
 * with EINTR whatever the handler's flags. */
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/message.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/net.h>
#include <stdlib.h>

/* The kernel's mark that a call came from a 32-bit program: such a program may set it itself. */
#define MESSAGE_FLAGS(flags) ((flags) & ~0x80000000u)

static int32_t interruptible(int fd, int timeout_option, long result) {
  if (result != -EINTR)
    return syscall_restartable(result);
  struct timeval timeout = {0};
  socklen_t length = sizeof timeout;
  const long known = HOST_CALL(SYS_getsockopt, fd, SOL_SOCKET, timeout_option, &timeout, &length);
  return known == 0 && (timeout.tv_sec != 0 || timeout.tv_usec != 0) ? -EINTR : -ERESTARTSYS;
}

static int32_t interruptible_receive(int fd, long result) { return interruptible(fd, SO_RCVTIMEO, result); }
static int32_t interruptible_send(int fd, long result) { return interruptible(fd, SO_SNDTIMEO, result); }

/* The host is going to write an address and its length. */
static void release_address(guest_addr address, guest_addr length) {
  if (address != 0)
    guest_memory_write_begin(address, sizeof(struct sockaddr_storage));
  if (length != 0)
    guest_memory_write_begin(length, sizeof(socklen_t));
}

static void release_buffer(guest_addr buffer, uint32_t length) {
  const uint32_t room = UINT32_MAX - buffer;
  guest_memory_write_begin(buffer, length < room ? length : room);
}

/* --- Making and connecting ----------------------------------------------------------------- */

int32_t sys_socket(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_socket, (int)arg[0], (int)arg[1], (int)arg[2]);
}

int32_t sys_socketpair(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  guest_memory_write_begin(arg[3], 2 * sizeof(int));
  return (int32_t)HOST_CALL(SYS_socketpair, (int)arg[0], (int)arg[1], (int)arg[2], guest_to_host(arg[3]));
}

int32_t sys_bind(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_bind, (int)arg[0], guest_to_host(arg[1]), (int)arg[2]);
}

int32_t sys_connect(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  return interruptible_send(fd,
                            HOST_CALL_BLOCKING(thread, SYS_connect, fd, guest_to_host(arg[1]), (int)arg[2]));
}

int32_t sys_listen(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_listen, (int)arg[0], (int)arg[1]);
}

int32_t sys_accept4(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  release_address(arg[1], arg[2]);
  return interruptible_receive(fd, HOST_CALL_BLOCKING(thread, SYS_accept4, fd, guest_to_host(arg[1]),
                                                      guest_to_host(arg[2]), (int)arg[3]));
}

static int32_t socket_accept(struct thread *thread, const uint32_t arg[6]) {
  return sys_accept4(thread, (const uint32_t[6]){arg[0], arg[1], arg[2], 0});
}

int32_t sys_getsockname(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  release_address(arg[1], arg[2]);
  return (int32_t)HOST_CALL(SYS_getsockname, (int)arg[0], guest_to_host(arg[1]), guest_to_host(arg[2]));
}

int32_t sys_getpeername(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  release_address(arg[1], arg[2]);
  return (int32_t)HOST_CALL(SYS_getpeername, (int)arg[0], guest_to_host(arg[1]), guest_to_host(arg[2]));
}

int32_t sys_shutdown(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_shutdown, (int)arg[0], (int)arg[1]);
}

/* --- Bytes --------------------------------------------------------------------------------- */

int32_t sys_sendto(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  return interruptible_send(fd, HOST_CALL_BLOCKING(thread, SYS_sendto, fd, guest_to_host(arg[1]), arg[2],
                                                   arg[3], guest_to_host(arg[4]), (int)arg[5]));
}

static int32_t socket_send(struct thread *thread, const uint32_t arg[6]) {
  return sys_sendto(thread, (const uint32_t[6]){arg[0], arg[1], arg[2], arg[3], 0, 0});
}

int32_t sys_recvfrom(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  release_buffer(arg[1], arg[2]);
  release_address(arg[4], arg[5]);
  return interruptible_receive(fd, HOST_CALL_BLOCKING(thread, SYS_recvfrom, fd, guest_to_host(arg[1]), arg[2],
                                                      arg[3], guest_to_host(arg[4]), guest_to_host(arg[5])));
}

static int32_t socket_recv(struct thread *thread, const uint32_t arg[6]) {
  return sys_recvfrom(thread, (const uint32_t[6]){arg[0], arg[1], arg[2], arg[3], 0, 0});
}

/* --- Messages ------------------------------------------------------------------------------ */

/* A malformed message is an error only if the descriptor is a socket at all. */
static int32_t socket_error_or(int fd, int32_t error) {
  int type;
  socklen_t length = sizeof type;
  const long result = HOST_CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length);
  return result < 0 ? (int32_t)result : error;
}

int32_t sys_sendmsg(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  struct message message;
  const int error = message_open(&message, arg[1], MESSAGE_SEND);
  const int32_t result =
      error != 0 ? socket_error_or(fd, error)
                 : interruptible_send(
                       fd, HOST_CALL_BLOCKING(thread, SYS_sendmsg, fd, &message.host, MESSAGE_FLAGS(arg[2])));
  message_close(&message);
  return result;
}

int32_t sys_recvmsg(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  struct message message;
  const int error = message_open(&message, arg[1], MESSAGE_RECEIVE);
  int32_t result = error != 0
                       ? socket_error_or(fd, error)
                       : interruptible_receive(fd, HOST_CALL_BLOCKING(thread, SYS_recvmsg, fd, &message.host,
                                                                      MESSAGE_FLAGS(arg[2])));
  if (result >= 0 && message_received(&message) != 0)
    result = -EFAULT;
  message_close(&message);
  return result;
}

/* Many messages: one host call for as many as could be converted, so that timeouts, partial results and
 * pending socket errors are the kernel's. sendmmsg(2) takes no more than this at once; recvmmsg(2) would, but
 * a short count is among its normal answers. */
enum { MESSAGE_COUNT_MAX = 1024 };

struct message_batch {
  struct message *message;
  struct mmsghdr *host;
  uint32_t count;
};

static guest_addr batch_entry(guest_addr first, uint32_t index) {
  return first + index * (uint32_t)sizeof(struct guest_mmsghdr);
}

/* 0 with at least one message converted or none asked for, or the first one's error. */
static int batch_open(struct message_batch *batch, guest_addr first, uint32_t count,
                      enum message_direction direction) {
  if (count > MESSAGE_COUNT_MAX)
    count = MESSAGE_COUNT_MAX;
  batch->count = 0;
  batch->message = malloc((count ? count : 1) * sizeof *batch->message);
  batch->host = calloc(count ? count : 1, sizeof *batch->host);
  if (!batch->message || !batch->host)
    return -ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    const int error = message_open(&batch->message[i], batch_entry(first, i), direction);
    if (error != 0) {
      message_close(&batch->message[i]);
      return i == 0 ? error : 0;
    }
    batch->host[i].msg_hdr = batch->message[i].host;
    batch->count++;
  }
  return 0;
}

static void batch_close(struct message_batch *batch) {
  for (uint32_t i = 0; i < batch->count; i++)
    message_close(&batch->message[i]);
  free(batch->message);
  free(batch->host);
}

/* Hands over the first `done` messages; how many could be, or -EFAULT if not even the first. */
static int32_t batch_finish(struct message_batch *batch, int32_t done, enum message_direction direction) {
  for (int32_t i = 0; i < done; i++) {
    struct message *message = &batch->message[i];
    message->host = batch->host[i].msg_hdr;
    const guest_addr length = message->header + offsetof(struct guest_mmsghdr, msg_len);
    if ((direction == MESSAGE_RECEIVE && message_received(message) != 0) ||
        guest_copy_out(length, &batch->host[i].msg_len, sizeof(uint32_t)) != 0)
      return i > 0 ? i : -EFAULT;
  }
  return done;
}

int32_t sys_sendmmsg(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  struct message_batch batch;
  const int error = batch_open(&batch, arg[1], arg[2], MESSAGE_SEND);
  int32_t result = error != 0
                       ? socket_error_or(fd, error)
                       : interruptible_send(fd, HOST_CALL_BLOCKING(thread, SYS_sendmmsg, fd, batch.host,
                                                                   batch.count, MESSAGE_FLAGS(arg[3])));
  if (result > 0)
    result = batch_finish(&batch, result, MESSAGE_SEND);
  batch_close(&batch);
  return result;
}

static int32_t receive_many(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  const int fd = (int)arg[0];
  struct timespec time;
  struct timespec *timeout = guest_timespec_for_host(arg[4], width, &time);
  if (timeout == HOST_UNREADABLE)
    return -EFAULT;
  struct message_batch batch;
  const int error = batch_open(&batch, arg[1], arg[2], MESSAGE_RECEIVE);
  int32_t result =
      error != 0 ? socket_error_or(fd, error)
                 : interruptible_receive(fd, HOST_CALL_BLOCKING(thread, SYS_recvmmsg, fd, batch.host,
                                                                batch.count, MESSAGE_FLAGS(arg[3]), timeout));
  if (result > 0) {
    result = batch_finish(&batch, result, MESSAGE_RECEIVE);
    if (result > 0 && timeout && guest_timespec_out(arg[4], width, timeout) != 0)
      result = -EFAULT;
  }
  batch_close(&batch);
  return result;
}

int32_t sys_recvmmsg(struct thread *thread, const uint32_t arg[6]) {
  return receive_many(thread, arg, TIME32);
}

int32_t sys_recvmmsg_time64(struct thread *thread, const uint32_t arg[6]) {
  return receive_many(thread, arg, TIME64);
}

/* --- socketcall(2) ------------------------------------------------------------------------- */

static const struct {
  syscall_function *function;
  uint8_t argument_count;
} socket_calls[] = {
    [SYS_SOCKET] = {sys_socket, 3},
    [SYS_BIND] = {sys_bind, 3},
    [SYS_CONNECT] = {sys_connect, 3},
    [SYS_LISTEN] = {sys_listen, 2},
    [SYS_ACCEPT] = {socket_accept, 3},
    [SYS_GETSOCKNAME] = {sys_getsockname, 3},
    [SYS_GETPEERNAME] = {sys_getpeername, 3},
    [SYS_SOCKETPAIR] = {sys_socketpair, 4},
    [SYS_SEND] = {socket_send, 4},
    [SYS_RECV] = {socket_recv, 4},
    [SYS_SENDTO] = {sys_sendto, 6},
    [SYS_RECVFROM] = {sys_recvfrom, 6},
    [SYS_SHUTDOWN] = {sys_shutdown, 2},
    [SYS_SETSOCKOPT] = {sys_setsockopt, 5},
    [SYS_GETSOCKOPT] = {sys_getsockopt, 5},
    [SYS_SENDMSG] = {sys_sendmsg, 3},
    [SYS_RECVMSG] = {sys_recvmsg, 3},
    [SYS_ACCEPT4] = {sys_accept4, 4},
    [SYS_RECVMMSG] = {sys_recvmmsg, 5},
    [SYS_SENDMMSG] = {sys_sendmmsg, 4},
};

int32_t sys_socketcall(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t call = arg[0];
  if (call < SYS_SOCKET || call > SYS_SENDMMSG)
    return -EINVAL;
  uint32_t real[6] = {0};
  if (guest_copy_in(real, arg[1], socket_calls[call].argument_count * sizeof real[0]) != 0)
    return -EFAULT;
  return socket_calls[call].function(thread, real);
}
