#include "Linux/iovec.h"

#include "Runtime/guest_memory.h"

#include <errno.h>

struct guest_iovec {
  guest_addr base;
  uint32_t length;
};

int guest_iovec(guest_addr vector, uint32_t count, bool kernel_writes, struct iovec *host) {
  if (count > GUEST_IOVEC_LIMIT)
    return -EINVAL;
  struct guest_iovec guest[64];
  for (uint32_t done = 0; done < count;) {
    uint32_t part = count - done;
    if (part > sizeof guest / sizeof guest[0])
      part = sizeof guest / sizeof guest[0];
    if (guest_copy_in(guest, vector + done * (uint32_t)sizeof guest[0], part * sizeof guest[0]) < 0)
      return -EFAULT;
    for (uint32_t i = 0; i < part; i++) {
      if ((int32_t)guest[i].length < 0)
        return -EINVAL;
      host[done + i].iov_base = guest_to_host(guest[i].base);
      host[done + i].iov_len = guest[i].length;
    }
    done += part;
  }
  if (kernel_writes)
    for (uint32_t i = 0; i < count; i++)
      if (host[i].iov_len)
        guest_memory_write_begin((guest_addr)(uintptr_t)host[i].iov_base, (uint32_t)host[i].iov_len);
  return (int)count;
}
