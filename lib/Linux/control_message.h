/* Control messages (cmsg(3)) between the two ABIs, on plain memory.
 *
 * The i386 header is 12 bytes and alignment 4, the host's 16 and 8; the data is the same but for time
 * stamps of the old socket options, which are made of longs. */
#ifndef UEMU_LINUX_CONTROL_MESSAGE_H
#define UEMU_LINUX_CONTROL_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* How large a buffer control_to_host needs at most for `length` guest bytes. */
size_t control_host_bound(uint32_t length);

/* What a program sends: `length` bytes of guest control messages become the host's. Returns the host's
 * length, or -EINVAL where the kernel finds the messages malformed: a length smaller than a header or
 * beyond the buffer, or no message at all. `host` is aligned for struct cmsghdr. */
int64_t control_to_host(const void *guest, uint32_t length, void *host);

/* How large a host buffer to receive into, so that whatever does not fit there would not have fitted into the
 * guest's `room` bytes either. */
size_t control_receive_bound(uint32_t room);

/* What a program receives: host->msg_control, msg_controllen and msg_flags as recvmsg(2) left them become
 * guest messages in at most `room` bytes. Returns the bytes used up, as the i386 kernel reports them in
 * msg_controllen; *flags gets MSG_CTRUNC added where that kernel would have cut or dropped a message.
 * Descriptors that do not fit are given to `drop`: that kernel would not have opened them. */
uint32_t control_to_guest(const struct msghdr *host, void *guest, uint32_t room, uint32_t *flags,
                          void (*drop)(int fd));

#endif
