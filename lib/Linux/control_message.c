/* Received messages are laid out again one by one, by the rules of the kernel's compat put_cmsg: a
 * message that does not fit is cut at the buffer's end, one that has not even room for its header is
 * dropped, and both set MSG_CTRUNC. Descriptors are never cut in the middle: as many are handed over as
 * fit. */
#include "Linux/control_message.h"
#include "Linux/abi_socket.h"
#include "Linux/abi_time.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

/* Names that are missing from, or depend on feature macros in, C libraries' headers. */
enum {
  TIMESTAMP_OLD = 29,
  TIMESTAMPNS_OLD = 35,
  TIMESTAMPING_OLD = 37,
  PIDFD = 4, /* SCM_PIDFD */
};

enum { GUEST_HEADER = sizeof(struct guest_cmsghdr), HOST_HEADER = sizeof(struct cmsghdr) };

static uint32_t guest_align(uint32_t length) { return (length + 3) & ~3u; }

/* --- Sending ------------------------------------------------------------------------------- */

/* A guest message is at least a header long, and grows by the headers' difference and host padding. */
size_t control_host_bound(uint32_t length) { return 2 * (size_t)length; }

int64_t control_to_host(const void *guest, uint32_t length, void *host) {
  if (length < GUEST_HEADER)
    return -EINVAL;
  size_t used = 0;
  for (uint32_t at = 0; at < length;) {
    struct guest_cmsghdr from = {0};
    if (length - at < GUEST_HEADER)
      return -EINVAL;
    memcpy(&from, (const char *)guest + at, sizeof from);
    if (from.cmsg_len < GUEST_HEADER || from.cmsg_len > length - at)
      return -EINVAL;

    const size_t data = from.cmsg_len - GUEST_HEADER;
    const struct cmsghdr to = {CMSG_LEN(data), from.cmsg_level, from.cmsg_type};
    char *out = (char *)host + used;
    memset(out, 0, CMSG_SPACE(data));
    memcpy(out, &to, sizeof to);
    memcpy(out + HOST_HEADER, (const char *)guest + at + GUEST_HEADER, data);
    used += CMSG_SPACE(data);

    const uint32_t step = guest_align(from.cmsg_len);
    if (step < from.cmsg_len || step >= length - at)
      break;
    at += step;
  }
  return (int64_t)used;
}

/* --- Receiving ----------------------------------------------------------------------------- */

/* A host message is less than twice as long as the guest's: 64 bytes to 36 for SO_TIMESTAMPING. Rounded, so
 * that something aligned may follow. */
size_t control_receive_bound(uint32_t room) { return CMSG_ALIGN(2 * (size_t)room + 64); }

struct output {
  char *at;
  uint32_t room;
  uint32_t *flags;
};

static void output_advance(struct output *out, uint32_t length) {
  const uint32_t step = length < out->room ? length : out->room;
  out->at += step;
  out->room -= step;
}

static void put(struct output *out, int level, int type, const void *data, uint32_t length) {
  if (out->room < GUEST_HEADER) {
    *out->flags |= MSG_CTRUNC;
    return;
  }
  struct guest_cmsghdr header = {GUEST_HEADER + length, level, type};
  if (header.cmsg_len > out->room) {
    *out->flags |= MSG_CTRUNC;
    header.cmsg_len = out->room;
  }
  memcpy(out->at, &header, sizeof header);
  memcpy(out->at + sizeof header, data, header.cmsg_len - sizeof header);
  output_advance(out, GUEST_HEADER + guest_align(length));
}

/* Pairs of longs: a timeval or timespecs. Three are the most there are. */
static void put_times(struct output *out, int level, int type, const char *data, uint32_t length) {
  struct guest_timespec narrow[3] = {0};
  uint32_t count = length / sizeof(struct timespec);
  for (uint32_t i = 0; i < count && i < 3; i++) {
    struct timespec wide;
    memcpy(&wide, data + i * sizeof wide, sizeof wide);
    narrow[i] = (struct guest_timespec){(int32_t)wide.tv_sec, (int32_t)wide.tv_nsec};
  }
  put(out, level, type, narrow, (count < 3 ? count : 3) * (uint32_t)sizeof narrow[0]);
}

static void put_descriptors(struct output *out, const struct cmsghdr *from, const char *data, uint32_t length,
                            void (*drop)(int fd)) {
  const uint32_t count = length / sizeof(int);
  const uint32_t room = out->room > GUEST_HEADER ? (out->room - GUEST_HEADER) / sizeof(int) : 0;
  const uint32_t taken = count < room ? count : room;
  if (taken > 0)
    put(out, from->cmsg_level, from->cmsg_type, data, taken * sizeof(int));
  if (taken < count)
    *out->flags |= MSG_CTRUNC;
  for (uint32_t i = taken; i < count; i++) {
    int fd;
    memcpy(&fd, data + i * sizeof fd, sizeof fd);
    if (fd >= 0) /* SCM_PIDFD may carry an error instead */
      drop(fd);
  }
}

uint32_t control_to_guest(const struct msghdr *host, void *guest, uint32_t room, uint32_t *flags,
                          void (*drop)(int fd)) {
  struct output out = {guest, room, flags};
  const char *data = host->msg_control;
  for (size_t left = data ? host->msg_controllen : 0; left >= HOST_HEADER;) {
    struct cmsghdr from;
    memcpy(&from, data, sizeof from);
    if (from.cmsg_len < HOST_HEADER || from.cmsg_len > left)
      break; /* only the kernel writes here */
    const uint32_t length = (uint32_t)(from.cmsg_len - HOST_HEADER);
    const char *body = data + HOST_HEADER;

    if (from.cmsg_level != SOL_SOCKET)
      put(&out, from.cmsg_level, from.cmsg_type, body, length);
    else
      switch (from.cmsg_type) {
      case SCM_RIGHTS:
      case PIDFD:
        put_descriptors(&out, &from, body, length, drop);
        break;
      case TIMESTAMP_OLD:
      case TIMESTAMPNS_OLD:
      case TIMESTAMPING_OLD:
        put_times(&out, from.cmsg_level, from.cmsg_type, body, length);
        break;
      default:
        put(&out, from.cmsg_level, from.cmsg_type, body, length);
      }

    const size_t step = CMSG_ALIGN(from.cmsg_len);
    if (step >= left)
      break;
    data += step;
    left -= step;
  }
  return room - out.room;
}
