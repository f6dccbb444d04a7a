/* One message header of recvmsg(2) or sendmsg(2), as the host wants it. */
#ifndef UEMU_LINUX_MESSAGE_H
#define UEMU_LINUX_MESSAGE_H

#include "Linux/abi_socket.h"

#include <sys/socket.h>
#include <sys/uio.h>

enum message_direction { MESSAGE_SEND, MESSAGE_RECEIVE };

struct message {
  struct msghdr host; /* for the host's call */
  guest_addr header;  /* of the guest */
  guest_addr control;
  uint32_t control_room;

  struct iovec *vector; /* points to few_vectors, or is allocated */
  void *buffer; /* the same: the host's control messages and, when receiving, the guest's after them */
  struct iovec few_vectors[8];
  _Alignas(struct cmsghdr) char few_controls[1024];
};

/* Fills message->host for the guest's header at `header`. What the guest may not read becomes a host
 * pointer that the kernel cannot read either, so that errors come in the kernel's order. Errors are
 * -EINVAL for malformed control messages and -ENOBUFS, -ENOMEM. message_close() in any case. */
int message_open(struct message *message, guest_addr header, enum message_direction direction);
void message_close(struct message *message);

/* After the host received into message->host: gives the guest address length, control messages and flags. 0
 * or -EFAULT. */
int message_received(struct message *message);

#endif
