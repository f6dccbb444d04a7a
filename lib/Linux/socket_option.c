/* setsockopt(2) and getsockopt(2).
 *
 * Nearly all options are ints or structures without longs and go through as they are. A table names
 * those whose layout differs on i386. */
#include "Linux/abi_socket.h"
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum option_layout {
  OPTION_SAME,
  OPTION_TIMEVAL,     /* struct timeval of two longs */
  OPTION_FILTER,      /* struct sock_fprog */
  OPTION_STORAGE,     /* an int, then socket addresses, which the host aligns to 8 bytes */
  OPTION_UNSUPPORTED, /* netfilter tables: pointers and longs throughout */
};

/* Missing from C libraries' headers, or in conflict between them and the kernel's. */
enum { ATTACH_REUSEPORT_CBPF = 51, PACKET_LEVEL = 263, FANOUT_DATA = 22 };

static const struct {
  int level, first, last; /* option numbers */
  enum option_layout layout;
} option_layouts[] = {
    {SOL_SOCKET, 20, 21, OPTION_TIMEVAL}, /* SO_RCVTIMEO, SO_SNDTIMEO as they were before 64-bit time */
    {SOL_SOCKET, SO_ATTACH_FILTER, SO_ATTACH_FILTER, OPTION_FILTER},
    {SOL_SOCKET, ATTACH_REUSEPORT_CBPF, ATTACH_REUSEPORT_CBPF, OPTION_FILTER},
    {PACKET_LEVEL, FANOUT_DATA, FANOUT_DATA, OPTION_FILTER},
    {IPPROTO_IP, MCAST_JOIN_GROUP, MCAST_MSFILTER, OPTION_STORAGE},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, MCAST_MSFILTER, OPTION_STORAGE},
    {IPPROTO_IP, 64, 67, OPTION_UNSUPPORTED},   /* iptables */
    {IPPROTO_IP, 96, 99, OPTION_UNSUPPORTED},   /* arptables */
    {IPPROTO_IP, 128, 133, OPTION_UNSUPPORTED}, /* ebtables */
    {IPPROTO_IPV6, 64, 69, OPTION_UNSUPPORTED}, /* ip6tables */
};

static enum option_layout option_layout(int level, int name) {
  for (size_t i = 0; i < sizeof option_layouts / sizeof option_layouts[0]; i++)
    if (option_layouts[i].level == level && option_layouts[i].first <= name && name <= option_layouts[i].last)
      return option_layouts[i].layout;
  return OPTION_SAME;
}

struct option {
  int fd, level, name;
};

static struct option option_of(const uint32_t arg[6]) {
  return (struct option){(int)arg[0], (int)arg[1], (int)arg[2]};
}

static int32_t host_set(struct option option, const void *value, long length) {
  return (int32_t)HOST_CALL(SYS_setsockopt, option.fd, option.level, option.name, value, length);
}

static int32_t host_get(struct option option, void *value, int32_t *length) {
  return (int32_t)HOST_CALL(SYS_getsockopt, option.fd, option.level, option.name, value, length);
}

static int32_t unsupported(struct option option) {
  log_line(LOG_UNIMPLEMENTED, "socket option %d of level %d is not implemented", option.name, option.level);
  return -ENOPROTOOPT;
}

/* --- Setting ------------------------------------------------------------------------------- */

/* A length too short for the guest's struct is too short for the host's too: it is the host that says
 * EINVAL, after its other checks. */
static int32_t set_timeval(struct option option, guest_addr value, int32_t length) {
  struct guest_timeval narrow;
  struct timeval wide;
  if (length < (int32_t)sizeof narrow)
    return host_set(option, guest_to_host(value), length);
  if (guest_copy_in(&narrow, value, sizeof narrow) != 0)
    return host_set(option, HOST_UNREADABLE, sizeof wide);
  wide = (struct timeval){narrow.tv_sec, narrow.tv_usec};
  return host_set(option, &wide, sizeof wide);
}

static int32_t set_filter(struct option option, guest_addr value, int32_t length) {
  struct guest_sock_fprog narrow;
  struct sock_fprog wide;
  if (length != sizeof narrow) /* the kernel wants the very size: make the host see a wrong one, too */
    return host_set(option, guest_to_host(value), length == sizeof wide ? length - 1 : length);
  if (guest_copy_in(&narrow, value, sizeof narrow) != 0)
    return host_set(option, HOST_UNREADABLE, sizeof wide);
  wide = (struct sock_fprog){.len = narrow.len, .filter = guest_to_host(narrow.filter)};
  return host_set(option, &wide, sizeof wide);
}

/* After the leading int the host has four bytes of padding more. */
enum { STORAGE_HEAD = 4, STORAGE_PADDING = 4, STORAGE_LENGTH_MAX = 1 << 20 };

/* The guest's `length` bytes with the padding put in, in a new buffer of at least `room` bytes; NULL with
 * *error set. */
static char *storage_in(guest_addr value, int32_t length, size_t room, int32_t *error) {
  *error = -ENOBUFS;
  if (length > STORAGE_LENGTH_MAX)
    return NULL;
  const size_t needed = (size_t)length + STORAGE_PADDING;
  char *wide = calloc(1, needed > room ? needed : room);
  if (!wide)
    return NULL;
  const int32_t head = length < STORAGE_HEAD ? length : STORAGE_HEAD;
  if (guest_copy_in(wide, value, (size_t)head) != 0 ||
      guest_copy_in(wide + STORAGE_HEAD + STORAGE_PADDING, value + STORAGE_HEAD, (size_t)(length - head)) !=
          0) {
    free(wide);
    *error = -EFAULT;
    return NULL;
  }
  return wide;
}

static int32_t set_storage(struct option option, guest_addr value, int32_t length) {
  if (length < 0)
    return host_set(option, guest_to_host(value), length);
  int32_t error;
  char *wide = storage_in(value, length, 0, &error);
  if (!wide)
    return error == -EFAULT ? host_set(option, HOST_UNREADABLE, length + STORAGE_PADDING) : error;
  const int32_t result = host_set(option, wide, length + STORAGE_PADDING);
  free(wide);
  return result;
}

int32_t sys_setsockopt(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const struct option option = option_of(arg);
  const int32_t length = (int32_t)arg[4];
  switch (option_layout(option.level, option.name)) {
  case OPTION_TIMEVAL:
    return set_timeval(option, arg[3], length);
  case OPTION_FILTER:
    return set_filter(option, arg[3], length);
  case OPTION_STORAGE:
    return set_storage(option, arg[3], length);
  case OPTION_UNSUPPORTED:
    return unsupported(option);
  case OPTION_SAME:
    break;
  }
  return host_set(option, guest_to_host(arg[3]), length);
}

/* --- Getting ------------------------------------------------------------------------------- */

static int32_t get_timeval(struct option option, guest_addr value, guest_addr length_at, int32_t length) {
  struct timeval wide;
  int32_t wide_length = length < 0 ? length : (int32_t)sizeof wide;
  const int32_t result = host_get(option, &wide, &wide_length);
  if (result < 0)
    return result;
  const struct guest_timeval narrow = {(int32_t)wide.tv_sec, (int32_t)wide.tv_usec};
  if (length > (int32_t)sizeof narrow)
    length = sizeof narrow;
  if (guest_copy_out(value, &narrow, (size_t)length) != 0 ||
      guest_copy_out(length_at, &length, sizeof length) != 0)
    return -EFAULT;
  return result;
}

/* struct group_filter, the only one of these that can be read: it says itself how many addresses fit behind
 * it, and the kernel writes as many as it has up to that number, whatever the length. */
enum {
  FILTER_COUNT_AT = offsetof(struct group_filter, gf_numsrc),
  FILTER_ADDRESSES_AT = offsetof(struct group_filter, gf_slist),
  FILTER_COUNT_MAX = 4096, /* more than net.ipv4.igmp_max_msf is ever set to */
};

static int32_t get_storage(struct option option, guest_addr value, guest_addr length_at, int32_t length) {
  if (length < 0)
    return host_get(option, guest_to_host(value), &length);
  int32_t error;
  char *wide = storage_in(value, length,
                          FILTER_ADDRESSES_AT + FILTER_COUNT_MAX * sizeof(struct sockaddr_storage), &error);
  if (!wide)
    return error;
  uint32_t count;
  memcpy(&count, wide + FILTER_COUNT_AT, sizeof count);
  if (count > FILTER_COUNT_MAX) {
    count = FILTER_COUNT_MAX;
    memcpy(wide + FILTER_COUNT_AT, &count, sizeof count);
  }
  int32_t wide_length = length + STORAGE_PADDING;
  int32_t result = host_get(option, wide, &wide_length);
  if (result >= 0) {
    const int32_t got = wide_length - STORAGE_PADDING;
    if (guest_copy_out(value, wide, STORAGE_HEAD) != 0 ||
        guest_copy_out(value + STORAGE_HEAD, wide + STORAGE_HEAD + STORAGE_PADDING,
                       (size_t)(got - STORAGE_HEAD)) != 0 ||
        guest_copy_out(length_at, &got, sizeof got) != 0)
      result = -EFAULT;
  }
  free(wide);
  return result;
}

int32_t sys_getsockopt(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const struct option option = option_of(arg);
  int32_t length;
  if (guest_copy_in(&length, arg[4], sizeof length) != 0)
    return host_get(option, guest_to_host(arg[3]), HOST_UNREADABLE);
  switch (option_layout(option.level, option.name)) {
  case OPTION_TIMEVAL:
    return get_timeval(option, arg[3], arg[4], length);
  case OPTION_STORAGE:
    return get_storage(option, arg[3], arg[4], length);
  case OPTION_UNSUPPORTED:
    return unsupported(option);
  case OPTION_FILTER: /* reads back the instructions alone */
  case OPTION_SAME:
    break;
  }
  if (length > 0)
    guest_memory_write_begin(arg[3],
                             (uint32_t)length < UINT32_MAX - arg[3] ? (uint32_t)length : UINT32_MAX - arg[3]);
  guest_memory_write_begin(arg[4], sizeof length);
  return host_get(option, guest_to_host(arg[3]), guest_to_host(arg[4]));
}
