/* mremap(2), remap_file_pages(2) and shared-memory segments.
 *
 * A mapping can only be grown in place on the host where the reservation is taken away first, and what
 * mremap(2) leaves behind must be reserved again; where a mapping moves to is chosen here, as mmap's is,
 * and the host is told with MREMAP_FIXED. What makes a mapping movable (that the old range lies in one
 * mapping, and so on) is the host's to say. */
#include "Runtime/guest_memory_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

static uint64_t page_align(uint32_t length) { return (uint64_t)pages_of(length) << GUEST_PAGE_SHIFT; }

/* The checks on bare numbers, in the kernel's order (check_mremap_params). */
static int check_remap(guest_addr old, uint64_t old_length, uint64_t new_length, int flags, guest_addr new) {
  const bool new_given = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
  if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || !page_aligned(old) || new_length == 0 ||
      new_length > GUEST_TASK_SIZE)
    return -EINVAL;
  if (!new_given)
    return 0;
  if (new > GUEST_TASK_SIZE - new_length || !page_aligned(new) || !(flags & MREMAP_MAYMOVE))
    return -EINVAL;
  if (flags & MREMAP_DONTUNMAP && old_length != new_length)
    return -EINVAL;
  if (old + old_length > new &&new + new_length > old)
    return -EINVAL;
  return 0;
}

/* Moves [first, first + old_pages) to `place`, where it will have new_pages, and notes it. */
static int move(uint32_t first, uint32_t old_pages, uint32_t place, uint32_t new_pages, int flags) {
  const uint32_t end = first + old_pages;
  void *const moved = mremap(page_host(first), page_bytes(first, end), page_bytes(0, new_pages),
                             MREMAP_MAYMOVE | MREMAP_FIXED | (flags & MREMAP_DONTUNMAP), page_host(place));
  if (moved == MAP_FAILED) {
    const int error = errno;
    memory_repair(place, place + new_pages);
    memory_repair(first, end);
    return -error;
  }
  const uint8_t bits = page_bits(first);
  const uint32_t copied = old_pages < new_pages ? old_pages : new_pages;
  memmove(&guest_memory.page[place], &guest_memory.page[first], copied);
  pages_fill(place + copied, place + new_pages, bits);
  if (bits & GUEST_PAGE_GROWS)
    memory_open_growth_room(place);
  if (old_pages == 0 || flags & MREMAP_DONTUNMAP)
    return 0;
  return memory_release(first, end);
}

static int64_t remap_to(uint32_t first, uint32_t old_pages, uint32_t new_pages, int flags, guest_addr new) {
  int64_t place = new >> GUEST_PAGE_SHIFT;
  if (!(flags & MREMAP_FIXED) && (place = memory_place(new, new_pages, 1)) < 0)
    return place;
  const uint32_t to = (uint32_t)place;
  memory_settle(to, to + new_pages);
  memory_drop_code(to, to + new_pages);
  if (new_pages > old_pages && !memory_may_expand(new_pages - old_pages, page_bits(first)))
    return -ENOMEM;
  if (flags & MREMAP_DONTUNMAP && !memory_may_expand(old_pages, page_bits(first)))
    return -ENOMEM;

  if (old_pages != new_pages || next_free(first, first + old_pages) == first + old_pages) {
    const int result = move(first, old_pages, to, new_pages, flags);
    return result < 0 ? (int64_t)result : page_address(to);
  }
  /* Same size and gaps: the kernel (6.17 and later) moves each mapping and leaves the gaps' targets be. */
  for (uint32_t page = first, end = first + old_pages; page < end;) {
    const uint32_t stop = next_free(page, end);
    const int result = move(page, stop - page, to + (page - first), stop - page, flags);
    if (result < 0)
      return result;
    page = next_mapped(stop, end);
  }
  return page_address(to);
}

/* Growing failed with ENOMEM: but the kernel would first have looked whether the old range lies in one
 * mapping, and more. The host says so, when asked to grow it where it has no room for sure. */
static int no_room(uint32_t first, uint32_t old_pages, uint32_t new_pages) {
  void *const grown = mremap(page_host(first), page_bytes(0, old_pages), page_bytes(0, new_pages), 0);
  return grown == MAP_FAILED ? -errno : -ENOMEM;
}

/* The pages after the mapping, which the guest has free, are added to it. -EAGAIN: not this way. */
static int64_t grow_in_place(uint32_t first, uint32_t old_pages, uint32_t new_pages) {
  const uint32_t old_end = first + old_pages, new_end = first + new_pages;
  if (old_pages == 0 || new_end > TASK_PAGES)
    return -EAGAIN;
  memory_settle(old_end, new_end);
  if (!range_is_free(old_end, new_end))
    return -EAGAIN;
  if (!memory_may_expand(new_pages - old_pages, page_bits(first)))
    return -ENOMEM;
  munmap(page_host(old_end), page_bytes(old_end, new_end));
  if (mremap(page_host(first), page_bytes(first, old_end), page_bytes(first, new_end), 0) == MAP_FAILED) {
    const int error = errno;
    memory_repair(old_end, new_end);
    return -error;
  }
  pages_fill(old_end, new_end, page_bits(first));
  return page_address(first);
}

static int64_t remap(uint32_t first, uint32_t old_pages, uint32_t new_pages, int flags, guest_addr new) {
  const uint32_t old_end = first + old_pages;
  if (first >= TASK_PAGES)
    return -EFAULT;
  memory_settle(first, old_end < TASK_PAGES ? old_end + 1 : TASK_PAGES);
  if (!(page_bits(first) & GUEST_PAGE_MAPPED))
    return -EFAULT;
  const bool new_given = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);

  if (!new_given && old_pages >= new_pages) { /* the same, or shrink: nothing else is checked */
    if (old_pages == new_pages)
      return page_address(first);
    const int result = old_end > TASK_PAGES ? -EINVAL : memory_unmap(first + new_pages, old_end);
    return result < 0 ? (int64_t)result : page_address(first);
  }
  /* Length 0 makes a second view of a shared mapping; a private one has none. */
  if (old_pages == 0 && !(page_bits(first) & GUEST_PAGE_SHARED))
    return -EINVAL;

  if (old_end > TASK_PAGES)
    return -EFAULT;
  const bool gaps_allowed = flags & MREMAP_FIXED && old_pages == new_pages;
  const uint32_t needed = old_pages < new_pages ? old_end : first + new_pages;
  /* Pages that differ are different mappings, even where the host has them alike. */
  if (!gaps_allowed && pages_scan_up(first, needed, page_bits(first), (uint8_t)~GUEST_PAGE_CODE) != needed)
    return -EFAULT;
  memory_drop_code(first, old_end);
  if (new_given)
    return remap_to(first, old_pages, new_pages, flags, new);
  const int64_t grown = grow_in_place(first, old_pages, new_pages);
  if (grown != -EAGAIN)
    return grown;
  const int64_t result = flags & MREMAP_MAYMOVE ? remap_to(first, old_pages, new_pages, flags, 0) : -ENOMEM;
  return result == -ENOMEM ? no_room(first, old_pages, new_pages) : result;
}

int64_t guest_memory_remap(guest_addr old_address, uint32_t old_length, uint32_t new_length, int flags,
                           guest_addr new_address) {
  const int error =
      check_remap(old_address, page_align(old_length), page_align(new_length), flags, new_address);
  if (error)
    return error;
  memory_lock();
  const int64_t result =
      remap(old_address >> GUEST_PAGE_SHIFT, pages_of(old_length), pages_of(new_length), flags, new_address);
  memory_unlock();
  return result;
}

int guest_memory_remap_file(guest_addr address, uint32_t length, int prot, uint32_t page_offset, int flags) {
  const uint32_t first = address >> GUEST_PAGE_SHIFT, pages = length >> GUEST_PAGE_SHIFT;
  if (prot != 0 || pages == 0 || first + pages > TASK_PAGES)
    return -EINVAL;
  memory_lock();
  memory_drop_code(first, first + pages);
  const int result =
      remap_file_pages(page_host(first), page_bytes(0, pages), 0, page_offset, flags) == 0 ? 0 : -errno;
  memory_unlock();
  return result;
}

/* --- shmat, shmdt --------------------------------------------------------------------------- */

static int64_t attach(int shmid, guest_addr address, int flags, uint32_t pages) {
  int64_t place = address >> GUEST_PAGE_SHIFT;
  if (address == 0) {
    place = memory_place(0, pages, 1);
    if (place < 0)
      return place;
  } else if (!(flags & SHM_REMAP)) {
    const uint64_t end = (uint64_t)place + pages;
    const uint32_t clipped = end < TASK_PAGES ? (uint32_t)end : TASK_PAGES;
    memory_settle((uint32_t)place, clipped);
    if (!range_is_free((uint32_t)place, clipped))
      return -EINVAL;
  }
  if ((uint64_t)place + pages > TASK_PAGES)
    return -ENOMEM;
  const uint32_t first = (uint32_t)place, end = first + pages;

  uint8_t bits = GUEST_PAGE_MAPPED | GUEST_PAGE_SHARED | GUEST_PAGE_READ;
  if (!(flags & SHM_RDONLY))
    bits |= GUEST_PAGE_WRITE;
  if (flags & SHM_EXEC || guest_memory.read_implies_exec)
    bits |= GUEST_PAGE_EXEC;
  if (!memory_may_expand(pages, bits))
    return -ENOMEM;
  memory_drop_code(first, end);
  const int host_flags = (flags & (SHM_RDONLY | SHM_EXEC)) | SHM_REMAP;
  if (shmat(shmid, page_host(first), host_flags) == (void *)-1) {
    const int error = errno;
    memory_repair(first, end);
    return -error;
  }
  if (bits & GUEST_PAGE_EXEC && !(flags & SHM_EXEC) &&
      mprotect(page_host(first), page_bytes(first, end), memory_host_protection(bits)) != 0)
    bits &= ~GUEST_PAGE_EXEC;
  pages_fill(first, end, bits);
  memory_lock_future(first, end);
  return page_address(first);
}

int64_t guest_memory_attach(int shmid, guest_addr address, int flags) {
  if (shmid < 0)
    return -EINVAL;
  if (flags & SHM_RND && !page_aligned(address)) {
    address &= ~(guest_addr)(GUEST_PAGE_SIZE - 1);
    if (address == 0 && flags & SHM_REMAP)
      return -EINVAL;
  }
  if (!page_aligned(address) || (address == 0 && flags & SHM_REMAP))
    return -EINVAL;
  struct shmid_ds segment;
  if (shmctl(shmid, IPC_STAT, &segment) != 0)
    return -errno;
  if (segment.shm_segsz > GUEST_TASK_SIZE)
    return -ENOMEM;
  memory_lock();
  const int64_t result = attach(shmid, address, flags, pages_of(segment.shm_segsz));
  memory_unlock();
  return result;
}

int guest_memory_detach(guest_addr address) {
  if (!page_aligned(address) || address >= GUEST_TASK_SIZE)
    return -EINVAL;
  const uint32_t first = address >> GUEST_PAGE_SHIFT;
  const uint8_t shared = GUEST_PAGE_MAPPED | GUEST_PAGE_SHARED;
  memory_lock();
  const uint32_t end = pages_scan_up(first, TASK_PAGES, shared, shared);
  memory_drop_code(first, end);
  const int result = shmdt(page_host(first)) == 0 ? 0 : -errno;
  if (result == 0) {
    /* The kernel knows how long the segment was; of the shared pages here, those that are gone were it. */
    const size_t bytes = page_bytes(first, end);
    void *const hole = mmap(page_host(first), bytes, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (hole == page_host(first))
      memory_release(first, end);
    else
      memory_repair(first, end);
  }
  memory_unlock();
  return result;
}
