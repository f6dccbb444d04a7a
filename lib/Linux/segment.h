/* Segments of the guest: the three TLS descriptors of set_thread_area(2), the local descriptor table of
 * modify_ldt(2), and what loading a selector into a segment register means (SDM vol. 3, 3.4).
 *
 * A descriptor is kept in the CPU's own 8 bytes. The GDT is that of an x86-64 kernel as a 32-bit process
 * sees it. */
#ifndef UEMU_LINUX_SEGMENT_H
#define UEMU_LINUX_SEGMENT_H

#include "Linux/process.h"
#include "Runtime/runtime.h"

enum { SELECTOR_USER_CODE = 0x23, SELECTOR_USER_DATA = 0x2B };

/* struct user_desc of the i386 ABI. */
struct guest_user_desc {
  uint32_t entry_number, base, limit, flags;
};

/* Base and limit (in bytes, inclusive) of the segment that `selector` names; a null selector has base and
 * limit 0. False if there is no such segment that user code may load. */
bool linux_segment_base(struct thread *thread, uint16_t selector, uint32_t *base, uint32_t *limit);

/* Loads a segment register: 0, or the vector of the fault with nothing changed. The runtime's load_segment
 * hook. */
uint32_t linux_load_segment(struct cpu_state *cpu, enum segment segment, uint16_t selector);

/* The runtime's ask_segment hook. */
bool linux_ask_segment(struct cpu_state *cpu, uint16_t selector, enum segment_question question, uint32_t *answer);

/* The segment registers that a program starts with; cpu->owner is there. */
void segment_init(struct cpu_state *cpu);

/* All that loads of segment registers leave in a CPU, for another one or for later. */
struct segment_registers {
  uint32_t base[SEG_COUNT];
  uint16_t selector[SEG_COUNT];
  struct segment_bounds bounds[SEG_COUNT];
  uint32_t special;
};
struct segment_registers segment_registers_of(const struct cpu_state *cpu);
void segment_registers_set(struct cpu_state *cpu, const struct segment_registers *registers);

/* The same where the kernel would rather load a null selector than fail. */
void segment_load_or_clear(struct cpu_state *cpu, enum segment segment, uint16_t selector);

/* Before the thread goes on: another one may have changed the local descriptor table. */
void segment_see_changes(struct thread *thread);

/* clone(2) with CLONE_SETTLS: descriptor `user_desc` for `thread`. 0, -EFAULT or -EINVAL. */
int segment_set_tls(struct thread *thread, guest_addr user_desc);

#endif
