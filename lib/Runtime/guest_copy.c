/* C code's copies from and to guest memory: the range checks around x86_64/guest_copy.S. */
#include "Runtime/guest_memory.h"

#include <errno.h>

extern const char guest_copy_begin[], guest_copy_end[], guest_copy_failed[];
int guest_copy_bytes(void *to, const void *from, size_t length);
int64_t guest_copy_scan(const void *from, size_t limit);

/* What lies behind the guest's last address is the emulator's. */
static bool in_guest(guest_addr address, size_t length) {
  return length <= GUEST_TASK_SIZE && address <= GUEST_TASK_SIZE - length;
}

int guest_copy_in(void *to, guest_addr from, size_t length) {
  return in_guest(from, length) ? guest_copy_bytes(to, guest_to_host(from), length) : -EFAULT;
}

int guest_copy_out(guest_addr to, const void *from, size_t length) {
  if (!in_guest(to, length))
    return -EFAULT;
  guest_memory_write_begin(to, (uint32_t)length);
  return guest_copy_bytes(guest_to_host(to), from, length);
}

int64_t guest_string_length(guest_addr from, size_t limit) {
  const size_t room = from < GUEST_TASK_SIZE ? GUEST_TASK_SIZE - from : 0;
  const int64_t length = guest_copy_scan(guest_to_host(from), limit < room ? limit : room);
  if (length < 0 || (size_t)length < (limit < room ? limit : room))
    return length;
  return room < limit ? -EFAULT : -ENAMETOOLONG;
}

uintptr_t guest_copy_fixup(uintptr_t pc) {
  return pc >= (uintptr_t)guest_copy_begin && pc < (uintptr_t)guest_copy_end ? (uintptr_t)guest_copy_failed
                                                                             : 0;
}
