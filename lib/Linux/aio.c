/* The kernel's asynchronous I/O: io_setup(2), as libaio uses it.
 *
 * A context's id is the address of its ring of completions, which libaio reads without asking the kernel. The
 * host's kernel puts the ring above 4 GiB; it is moved into guest memory, and the kernel lets the id move
 * along (aio_ring_mremap), so that the id fits 32 bits and points where the program may look.
 *
 * Control blocks and events have fields of fixed width and are the same on both sides. Only the vectors of
 * IOCB_CMD_PREADV and PWRITEV are not: while io_submit runs, which is when the kernel reads them, the block
 * points to a converted copy. */
#include "Linux/abi_misc.h"
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/iovec.h"
#include "Linux/poll_mask.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The start of the ring; linux/aio_abi.h does not have it. */
struct aio_ring {
  uint32_t id, count, head, tail;
  uint32_t magic, compat_features, incompat_features, header_length;
};

/* The kernel fills whole pages with events. */
static uint32_t ring_length(const struct aio_ring *ring) {
  const uint32_t length = sizeof *ring + ring->count * (uint32_t)sizeof(struct io_event);
  return (length + GUEST_PAGE_SIZE - 1) & ~(uint32_t)(GUEST_PAGE_SIZE - 1);
}

static int64_t ring_move(aio_context_t context) {
  struct aio_ring *ring = (void *)(uintptr_t)context;
  const uint32_t length = ring_length(ring);
  const int64_t address =
      guest_memory_map(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address < 0)
    return address;
  const long moved = HOST_CALL(SYS_mremap, ring, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, address);
  if (moved < 0) {
    guest_memory_unmap((guest_addr)address, length);
    return moved;
  }
  return address;
}

int32_t sys_io_destroy(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct aio_ring ring;
  if (guest_copy_in(&ring, arg[0], sizeof ring) != 0)
    return -EINVAL;
  const long result = HOST_CALL(SYS_io_destroy, (aio_context_t)arg[0]);
  if (result >= 0) /* the kernel unmapped the ring: make the hole guest memory again */
    guest_memory_unmap(arg[0], ring_length(&ring));
  return (int32_t)result;
}

int32_t sys_io_setup(struct thread *thread, const uint32_t arg[6]) {
  uint32_t id;
  if (guest_copy_in(&id, arg[1], sizeof id) != 0)
    return -EFAULT;
  if (id != 0)
    return -EINVAL;
  aio_context_t context = 0;
  const long result = HOST_CALL(SYS_io_setup, arg[0], &context);
  if (result < 0)
    return (int32_t)result;
  const int64_t address = ring_move(context);
  if (address < 0) {
    HOST_CALL(SYS_io_destroy, context);
    return (int32_t)address;
  }
  id = (uint32_t)address;
  if (guest_copy_out(arg[1], &id, sizeof id) != 0) {
    sys_io_destroy(thread, (const uint32_t[6]){id});
    return -EFAULT;
  }
  return 0;
}

/* --- Submitting ---------------------------------------------------------------------------- */

struct submission {
  struct iocb *block;   /* in guest memory; NULL if it cannot be read */
  struct iovec *vector; /* in place of the guest's, or NULL */
  uint64_t guest_vector;
};

static bool is_vectored(const struct iocb *block) {
  return block->aio_lio_opcode == IOCB_CMD_PREADV || block->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

/* Makes the control block at `address` one that the host understands. */
static int submission_prepare(struct submission *submission, guest_addr address) {
  struct iocb block;
  *submission = (struct submission){.block = guest_to_host(address)};
  if (guest_copy_in(&block, address, sizeof block) != 0)
    return 0; /* the host finds that out */
  guest_memory_write_begin(address, sizeof block);
  if (block.aio_lio_opcode == IOCB_CMD_PREAD) {
    const uint32_t room = UINT32_MAX - (uint32_t)block.aio_buf;
    guest_memory_write_begin((guest_addr)block.aio_buf,
                             block.aio_nbytes < room ? (uint32_t)block.aio_nbytes : room);
  }
  if (!is_vectored(&block) || block.aio_nbytes > GUEST_IOVEC_LIMIT)
    return 0;

  submission->vector = calloc(block.aio_nbytes + 1, sizeof *submission->vector);
  if (!submission->vector)
    return -ENOMEM;
  submission->guest_vector = block.aio_buf;
  const int count = guest_iovec((guest_addr)block.aio_buf, (uint32_t)block.aio_nbytes,
                                block.aio_lio_opcode == IOCB_CMD_PREADV, submission->vector);
  if (count == -EINVAL)
    submission->vector[0].iov_len = SIZE_MAX; /* the host refuses it, too */
  const uint64_t pointer = count == -EFAULT ? (uintptr_t)HOST_UNREADABLE : (uintptr_t)submission->vector;
  return guest_copy_out(address + offsetof(struct iocb, aio_buf), &pointer, sizeof pointer);
}

static void submission_finish(struct submission *submission) {
  if (!submission->vector)
    return;
  guest_copy_out((guest_addr)(uintptr_t)submission->block + offsetof(struct iocb, aio_buf),
                 &submission->guest_vector, sizeof submission->guest_vector);
  free(submission->vector);
}

int32_t sys_io_submit(struct thread *thread, const uint32_t arg[6]) {
  const aio_context_t context = arg[0];
  int32_t count = (int32_t)arg[1];
  struct aio_ring ring;
  if (count <= 0 || guest_copy_in(&ring, arg[0], sizeof ring) != 0)
    return (int32_t)HOST_CALL(SYS_io_submit, context, (long)count, HOST_UNREADABLE);
  if ((uint32_t)count > ring.count)
    count = (int32_t)ring.count;

  struct submission *submissions = calloc((size_t)count + 1, sizeof *submissions);
  struct iocb **blocks = calloc((size_t)count + 1, sizeof *blocks);
  int32_t ready = 0;
  int error = submissions && blocks ? 0 : -ENOMEM;
  while (error == 0 && ready < count) {
    guest_addr address;
    error = guest_copy_in(&address, arg[2] + (uint32_t)ready * (uint32_t)sizeof address, sizeof address);
    if (error == 0)
      error = submission_prepare(&submissions[ready], address);
    if (error == 0) {
      blocks[ready] = submissions[ready].block;
      ready++;
    }
  }
  /* As many as are in order; the rest is an error only if nothing came before it. */
  int32_t result = error;
  if (ready > 0 || error == -EFAULT)
    result = (int32_t)HOST_CALL_BLOCKING(thread, SYS_io_submit, context, (long)(ready ? ready : 1),
                                         ready ? (void *)blocks : HOST_UNREADABLE);
  for (int32_t i = 0; submissions && i <= ready && i < count; i++)
    submission_finish(&submissions[i]);
  free(submissions);
  free(blocks);
  return result;
}

int32_t sys_io_cancel(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  guest_memory_write_begin(arg[2], sizeof(struct io_event));
  return (int32_t)HOST_CALL(SYS_io_cancel, (aio_context_t)arg[0], guest_to_host(arg[1]),
                            guest_to_host(arg[2]));
}

/* --- Completions --------------------------------------------------------------------------- */

static void release_events(guest_addr events, int32_t count) {
  const uint64_t length = (uint64_t)(count > 0 ? count : 0) * sizeof(struct io_event);
  const uint32_t room = UINT32_MAX - events;
  guest_memory_write_begin(events, length < room ? (uint32_t)length : room);
}

/* Never started again: io_getevents(2) fails with EINTR whatever the handler's flags. */
int32_t sys_io_getevents(struct thread *thread, const uint32_t arg[6]) {
  struct timespec time;
  const struct timespec *timeout = guest_timespec_for_host(arg[4], TIME32, &time);
  if (timeout == HOST_UNREADABLE)
    return -EFAULT;
  release_events(arg[3], (int32_t)arg[2]);
  return syscall_interrupted(HOST_CALL_BLOCKING(thread, SYS_io_getevents, (aio_context_t)arg[0],
                                                (long)(int32_t)arg[1], (long)(int32_t)arg[2],
                                                guest_to_host(arg[3]), timeout),
                             -EINTR);
}

static int32_t get_events_masked(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  struct timespec time;
  const struct timespec *timeout = guest_timespec_for_host(arg[4], width, &time);
  struct guest_aio_sigset set = {0};
  struct poll_mask mask;
  if (timeout == HOST_UNREADABLE || (arg[5] != 0 && guest_copy_in(&set, arg[5], sizeof set) != 0))
    return -EFAULT;
  const int error = poll_mask_read(&mask, set.sigmask, set.sigsetsize);
  if (error != 0)
    return error;
  release_events(arg[3], (int32_t)arg[2]);
  const struct {
    const uint64_t *mask;
    size_t size;
  } host_set = {poll_mask_begin(thread, &mask), sizeof *host_set.mask};
  const long result =
      HOST_CALL_BLOCKING(thread, SYS_io_pgetevents, (aio_context_t)arg[0], (long)(int32_t)arg[1],
                         (long)(int32_t)arg[2], guest_to_host(arg[3]), timeout, &host_set);
  poll_mask_end(thread, &mask, result);
  return syscall_interrupted(result, -ERESTARTNOHAND);
}

int32_t sys_io_pgetevents(struct thread *thread, const uint32_t arg[6]) {
  return get_events_masked(thread, arg, TIME32);
}

int32_t sys_io_pgetevents_time64(struct thread *thread, const uint32_t arg[6]) {
  return get_events_masked(thread, arg, TIME64);
}
