#include "Linux/message.h"
#include "Linux/abi_time.h"
#include "Linux/control_message.h"
#include "Linux/host_syscall.h"
#include "Linux/iovec.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <stdlib.h>

/* More than any protocol has to say; a program may claim 4 GiB of room. */
enum { CONTROL_ROOM_MAX = 64 * 1024 };

/* What is wrong with the vectors is shown to the host in its own terms, for it to refuse in its turn: too
 * many, not readable, or of a negative length. */
static int open_vectors(struct message *message, guest_addr from, uint32_t count,
                        enum message_direction direction) {
  struct msghdr *host = &message->host;
  host->msg_iovlen = count;
  host->msg_iov = HOST_UNREADABLE;
  if (count > GUEST_IOVEC_LIMIT)
    return 0;
  if (count > sizeof message->few_vectors / sizeof message->few_vectors[0]) {
    message->vector = calloc(count, sizeof *message->vector);
    if (!message->vector)
      return -ENOMEM;
  }
  const int result = guest_iovec(from, count, direction == MESSAGE_RECEIVE, message->vector);
  if (result == -EFAULT)
    return 0;
  if (result < 0) {
    message->vector[0].iov_len = SIZE_MAX;
    host->msg_iovlen = 1;
  }
  host->msg_iov = message->vector;
  return 0;
}

static int reserve_control(struct message *message, size_t size) {
  if (size <= sizeof message->few_controls)
    return 0;
  message->buffer = malloc(size);
  return message->buffer ? 0 : -ENOBUFS;
}

static int open_control_to_send(struct message *message, guest_addr control, uint32_t length) {
  struct msghdr *host = &message->host;
  host->msg_control = HOST_UNREADABLE;
  host->msg_controllen = length;
  if (length == 0 || length > INT32_MAX)
    return 0;
  char few[sizeof message->few_controls];
  char *guest = length <= sizeof few ? few : malloc(length);
  if (!guest)
    return -ENOBUFS;

  int error = 0;
  if (guest_copy_in(guest, control, length) == 0) {
    error = reserve_control(message, control_host_bound(length));
    if (error == 0) {
      const int64_t used = control_to_host(guest, length, message->buffer);
      host->msg_control = message->buffer;
      host->msg_controllen = used < 0 ? 0 : (size_t)used;
      error = used < 0 ? (int)used : 0;
    }
  }
  if (guest != few)
    free(guest);
  return error;
}

static int open_control_to_receive(struct message *message, guest_addr control, uint32_t length) {
  if (control == 0 || length == 0)
    return 0;
  message->control = control;
  message->control_room = length < CONTROL_ROOM_MAX ? length : CONTROL_ROOM_MAX;
  const size_t bound = control_receive_bound(message->control_room);
  const int error = reserve_control(message, bound + message->control_room);
  if (error == 0) {
    message->host.msg_control = message->buffer;
    message->host.msg_controllen = bound;
  }
  return error;
}

int message_open(struct message *message, guest_addr header, enum message_direction direction) {
  struct guest_msghdr guest;
  message->host = (struct msghdr){0};
  message->header = header;
  message->control = 0;
  message->control_room = 0;
  message->vector = message->few_vectors;
  message->buffer = message->few_controls;
  if (guest_copy_in(&guest, header, sizeof guest) != 0) {
    message->host.msg_iov = HOST_UNREADABLE;
    message->host.msg_iovlen = 1;
    return 0;
  }

  message->host.msg_name = guest_to_host(guest.msg_name);
  message->host.msg_namelen = (socklen_t)guest.msg_namelen;
  int error = open_vectors(message, guest.msg_iov, guest.msg_iovlen, direction);
  if (error != 0)
    return error;
  if (direction == MESSAGE_SEND)
    return open_control_to_send(message, guest.msg_control, guest.msg_controllen);
  if (guest.msg_name != 0)
    guest_memory_write_begin(guest.msg_name, sizeof(struct sockaddr_storage));
  return open_control_to_receive(message, guest.msg_control, guest.msg_controllen);
}

void message_close(struct message *message) {
  if (message->vector != message->few_vectors)
    free(message->vector);
  if (message->buffer != message->few_controls)
    free(message->buffer);
}

static void close_descriptor(int fd) { HOST_CALL(SYS_close, fd); }

/* Writes the messages but not the padding between them. The kernel goes on after a message that it
 * could not write; so the length then covers those before it. */
static uint32_t copy_control_out(const struct message *message, const char *control, uint32_t used) {
  for (uint32_t at = 0; at < used;) {
    const struct guest_cmsghdr *header = (const void *)(control + at);
    if (guest_copy_out(message->control + at, header, header->cmsg_len) != 0)
      return at;
    const uint32_t step = (header->cmsg_len + 3) & ~3u;
    at = step < used - at ? at + step : used;
  }
  return used;
}

int message_received(struct message *message) {
  uint32_t flags = (uint32_t)message->host.msg_flags;
  uint32_t used = 0;
  if (message->control != 0) {
    char *control = (char *)message->buffer + control_receive_bound(message->control_room);
    used = control_to_guest(&message->host, control, message->control_room, &flags, close_descriptor);
    used = copy_control_out(message, control, used);
  }
  const guest_addr header = message->header;
  if (message->host.msg_name != NULL && guest_copy_out(header + offsetof(struct guest_msghdr, msg_namelen),
                                                       &message->host.msg_namelen, sizeof(int32_t)) != 0)
    return -EFAULT;
  if (guest_copy_out(header + offsetof(struct guest_msghdr, msg_flags), &flags, sizeof flags) != 0 ||
      guest_copy_out(header + offsetof(struct guest_msghdr, msg_controllen), &used, sizeof used) != 0)
    return -EFAULT;
  return 0;
}
