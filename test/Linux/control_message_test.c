/* Control messages between the ABIs, on made-up buffers. What whole calls make of them is compared with the
 * kernel by test/guests/linux/sockets.c. */
#include "Linux/abi_socket.h"
#include "Linux/abi_time.h"
#include "Linux/control_message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int dropped[16];
static int dropped_count;
static void drop(int fd) { dropped[dropped_count++] = fd; }

/* A host buffer of the messages that are appended to it. */
struct host_buffer {
  _Alignas(struct cmsghdr) char bytes[1024];
  size_t used;
};

static void append(struct host_buffer *buffer, int level, int type, const void *data, size_t length) {
  struct cmsghdr *header = (void *)(buffer->bytes + buffer->used);
  *header = (struct cmsghdr){CMSG_LEN(length), level, type};
  memcpy(CMSG_DATA(header), data, length);
  buffer->used += CMSG_SPACE(length);
}

static uint32_t to_guest(struct host_buffer *buffer, void *guest, uint32_t room, uint32_t *flags) {
  const struct msghdr host = {.msg_control = buffer->bytes, .msg_controllen = buffer->used};
  dropped_count = 0;
  *flags = 0;
  return control_to_guest(&host, guest, room, flags, drop);
}

static void descriptors_fit_or_are_dropped(void **state) {
  (void)state;
  const int fds[] = {11, 12, 13};
  for (uint32_t room = 0; room < 40; room++) {
    struct host_buffer buffer = {0};
    char guest[64];
    uint32_t flags;
    memset(guest, 0x55, sizeof guest);
    append(&buffer, SOL_SOCKET, SCM_RIGHTS, fds, sizeof fds);
    const uint32_t used = to_guest(&buffer, guest, room, &flags);
    const uint32_t fit = room < 16 ? 0 : room >= 24 ? 3 : (room - 12) / 4;
    assert_int_equal(used, fit ? 12 + 4 * fit : 0);
    assert_int_equal(flags, fit < 3 ? MSG_CTRUNC : 0);
    assert_int_equal(dropped_count, 3 - fit);
    for (int i = 0; i < dropped_count; i++)
      assert_int_equal(dropped[i], fds[fit + (uint32_t)i]);
    if (fit) {
      struct guest_cmsghdr header;
      memcpy(&header, guest, sizeof header);
      assert_int_equal(header.cmsg_len, 12 + 4 * fit);
      assert_memory_equal(guest + 12, fds, 4 * fit);
    }
    for (uint32_t i = used; i < sizeof guest; i++)
      assert_int_equal(guest[i], 0x55);
  }
}

/* The second message begins where the first ends, rounded up to four bytes; it is cut at the buffer's
 * end and both cases are told apart by MSG_CTRUNC. */
static void data_is_cut_at_the_end(void **state) {
  (void)state;
  for (uint32_t room = 0; room <= 48; room++) {
    struct host_buffer buffer = {0};
    char guest[64];
    uint32_t flags;
    append(&buffer, 41, 7, "abcde", 5);
    append(&buffer, 0, 8, "0123456789", 10);
    const uint32_t used = to_guest(&buffer, guest, room, &flags);
    const uint32_t first = room < 12 ? 0 : room < 20 ? room : 20;
    const uint32_t second = room < 32 ? 0 : room - 20 < 24 ? room - 20 : 24;
    assert_int_equal(used, first + second);
    assert_int_equal(flags, room < 42 ? MSG_CTRUNC : 0);
    if (second) {
      struct guest_cmsghdr header;
      memcpy(&header, guest + 20, sizeof header);
      assert_int_equal(header.cmsg_len, room - 20 < 22 ? room - 20 : 22);
      assert_int_equal(header.cmsg_type, 8);
      assert_memory_equal(guest + 32, "0123456789", header.cmsg_len - 12);
    }
  }
}

static void time_stamps_shrink(void **state) {
  (void)state;
  static const struct { int type, count; } kinds[] = {{29, 1}, {35, 1}, {37, 3}};
  const struct timespec times[3] = {{5, 6}, {0x100000007LL, 8}, {-9, 10}};
  for (size_t kind = 0; kind < 3; kind++) {
    struct host_buffer buffer = {0};
    char guest[64];
    uint32_t flags;
    const uint32_t count = (uint32_t)kinds[kind].count;
    append(&buffer, SOL_SOCKET, kinds[kind].type, times, count * sizeof times[0]);
    assert_int_equal(to_guest(&buffer, guest, sizeof guest, &flags), 12 + 8 * count);
    assert_int_equal(flags, 0);
    struct guest_timespec narrow[3];
    memcpy(narrow, guest + 12, count * sizeof narrow[0]);
    for (uint32_t i = 0; i < count; i++) {
      assert_int_equal(narrow[i].tv_sec, (int32_t)times[i].tv_sec);
      assert_int_equal(narrow[i].tv_nsec, times[i].tv_nsec);
    }
  }
}

/* What control_receive_bound promises: what the host cut, the guest's buffer would have cut as well. */
static void bound_is_enough(void **state) {
  (void)state;
  for (uint32_t room = 0; room < 300; room++)
    for (uint32_t length = 0; length < 64; length++) {
      const uint32_t fit = room / (12 + ((length + 3) & ~3u)); /* whole messages of the guest */
      assert_true(fit * CMSG_SPACE(length) <= control_receive_bound(room));
    }
  for (uint32_t room = 0; room < 300; room++) /* SO_TIMESTAMPING, the worst case */
    assert_true((room / 36) * CMSG_SPACE(48) <= control_receive_bound(room));
}

static int64_t to_host(const uint32_t *words, uint32_t length, void *host) {
  assert_true(control_host_bound(length) <= 256);
  return control_to_host(words, length, host);
}

static void sent_messages_grow(void **state) {
  (void)state;
  _Alignas(struct cmsghdr) char host[256];
  memset(host, 0x55, sizeof host);
  const uint32_t words[] = {16, SOL_SOCKET, SCM_RIGHTS, 33, 24, SOL_SOCKET, SCM_CREDENTIALS, 1, 2, 3};
  assert_int_equal(to_host(words, sizeof words, host), CMSG_SPACE(4) + CMSG_SPACE(12));
  const struct msghdr message = {.msg_control = host, .msg_controllen = CMSG_SPACE(4) + CMSG_SPACE(12)};
  const struct cmsghdr *first = CMSG_FIRSTHDR(&message);
  assert_int_equal(first->cmsg_len, CMSG_LEN(4));
  assert_int_equal(*(const int *)CMSG_DATA(first), 33);
  assert_int_equal(((const int *)CMSG_DATA(first))[1], 0); /* padding */
  const struct cmsghdr *second = CMSG_NXTHDR((struct msghdr *)&message, (struct cmsghdr *)first);
  assert_int_equal(second->cmsg_type, SCM_CREDENTIALS);
  assert_memory_equal(CMSG_DATA(second), words + 7, 12);
}

static void malformed_messages_are_refused(void **state) {
  (void)state;
  char host[256];
  static const struct {
    uint32_t first, second, total;
    bool valid;
  } cases[] = {{12, 0, 12, true},   {12, 0, 11, false},  {11, 0, 12, false},   {13, 0, 12, false},
               {16, 0, 17, false},  {16, 12, 27, false}, {16, 12, 28, true},   {15, 16, 32, true},
               {16, 17, 32, false}, {~0u, 0, 32, false}, {16, ~0u, 32, false}, {32, 0, 32, true}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const uint32_t words[8] = {cases[i].first, 1, 1, 0, cases[i].second, 1, 1, 0};
    const int64_t result = to_host(words, cases[i].total, host);
    assert_true(cases[i].valid ? result > 0 : result == -EINVAL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(descriptors_fit_or_are_dropped),
      cmocka_unit_test(data_is_cut_at_the_end),
      cmocka_unit_test(time_stamps_shrink),
      cmocka_unit_test(bound_is_enough),
      cmocka_unit_test(sent_messages_grow),
      cmocka_unit_test(malformed_messages_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
