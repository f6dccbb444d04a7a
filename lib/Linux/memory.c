/* The guest's memory calls: arguments out of registers, the work in Runtime/guest_memory.h. */
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <sys/mman.h>

int32_t sys_brk(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)guest_memory_brk(arg[0]);
}

/* The first i386 mmap: its six arguments lie in memory, the offset in bytes (mmap_arg_struct). */
int32_t sys_mmap(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct {
    uint32_t address, length, prot, flags, fd, offset;
  } a;
  if (guest_copy_in(&a, arg[0], sizeof a) != 0)
    return -EFAULT;
  if (a.offset & (GUEST_PAGE_SIZE - 1))
    return -EINVAL;
  return (int32_t)guest_memory_map(a.address, a.length, (int)a.prot, (int)a.flags, (int)a.fd, a.offset);
}

int32_t sys_mmap2(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)guest_memory_map(arg[0], arg[1], (int)arg[2], (int)arg[3], (int)arg[4],
                                   (uint64_t)arg[5] << GUEST_PAGE_SHIFT);
}

int32_t sys_munmap(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_unmap(arg[0], arg[1]);
}

int32_t sys_mprotect(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_protect(arg[0], arg[1], (int)arg[2]);
}

int32_t sys_mremap(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)guest_memory_remap(arg[0], arg[1], arg[2], (int)arg[3], arg[4]);
}

int32_t sys_remap_file_pages(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_remap_file(arg[0], arg[1], (int)arg[2], arg[3], (int)arg[4]);
}

int32_t sys_madvise(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_advise(arg[0], arg[1], (int)arg[2]);
}

int32_t sys_msync(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_sync(arg[0], arg[1], (int)arg[2]);
}

/* In pieces, as the kernel does it: what lies before a gap has been written when ENOMEM is returned. */
int32_t sys_mincore(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  uint8_t vector[GUEST_PAGE_SIZE];
  guest_addr address = arg[0], to = arg[2];
  int32_t result = guest_memory_in_core(address, 0, vector);
  if (result != 0)
    return result;
  if ((uint64_t)address + arg[1] > GUEST_TASK_SIZE)
    return -ENOMEM;
  uint32_t pages = arg[1] / GUEST_PAGE_SIZE + (arg[1] % GUEST_PAGE_SIZE != 0);
  while (pages > 0) {
    uint32_t piece = pages < sizeof vector ? pages : (uint32_t)sizeof vector;
    result = guest_memory_in_core(address, piece * GUEST_PAGE_SIZE, vector);
    if (result == -ENOMEM) { /* up to the gap */
      for (uint32_t page = 0; page < piece; page++)
        if (!guest_memory_has(address + page * GUEST_PAGE_SIZE, 1, GUEST_PAGE_MAPPED))
          piece = page;
    }
    if (piece > 0 && guest_copy_out(to, vector, piece) != 0)
      return -EFAULT;
    if (result != 0)
      return result;
    address += piece * GUEST_PAGE_SIZE;
    to += piece;
    pages -= piece;
  }
  return 0;
}

int32_t sys_mlock(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_lock(arg[0], arg[1], 0);
}

int32_t sys_mlock2(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_lock(arg[0], arg[1], (int)arg[2]);
}

int32_t sys_munlock(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_unlock(arg[0], arg[1]);
}

int32_t sys_mlockall(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return guest_memory_lock_all((int)arg[0]);
}

int32_t sys_munlockall(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  (void)arg;
  return guest_memory_unlock_all();
}

int32_t sys_memfd_create(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  char name[256];
  const int64_t length = guest_string_length(arg[0], sizeof name);
  if (length == -EFAULT)
    return -EFAULT;
  if (length < 0) /* the kernel takes 249 characters */
    return -EINVAL;
  if (guest_copy_in(name, arg[0], (size_t)length + 1) != 0)
    return -EFAULT;
  name[length] = 0;
  const int fd = memfd_create(name, arg[1]);
  return fd >= 0 ? fd : -errno;
}

/* --- Protection keys: the guest's CPU has none (no OSPKE in CPUID) --------------------------- */

int32_t sys_pkey_mprotect(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const int key = (int)arg[3];
  if (key == -1)
    return guest_memory_protect(arg[0], arg[1], (int)arg[2]);
  /* No key was ever allocated; but nothing to do is done before keys are looked at. */
  const bool aligned = (arg[0] & (GUEST_PAGE_SIZE - 1)) == 0;
  return aligned && arg[1] == 0 ? 0 : -EINVAL;
}

int32_t sys_pkey_alloc(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const uint32_t known_rights = 3; /* PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE */
  return arg[0] != 0 || arg[1] & ~known_rights ? -EINVAL : -ENOSPC;
}

int32_t sys_pkey_free(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  (void)arg;
  return -EINVAL;
}
