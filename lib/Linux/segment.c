/* set_thread_area(2), get_thread_area(2), modify_ldt(2), and loading segment registers.
 *
 * Selector: bits 15-3 index, bit 2 table (1: LDT), bits 1-0 requested privilege level. */
#include "Linux/segment.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"
#include "Runtime/runtime.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
  GDT_TLS_FIRST = 12, /* as on x86-64 kernels; 6 on i386 ones */
  GDT_TLS_COUNT = 3,
  GDT_CPU_NUMBER = 15, /* its limit tells the CPU and the node: the vDSO's getcpu */
  SELECTOR_USER_CODE_64BIT = 0x33,
  SELECTOR_LDT = 4,
  SELECTOR_RPL = 3,
  LDT_ENTRIES = 8192,
};

/* Flags of struct guest_user_desc. */
enum {
  DESC_32BIT = 1 << 0,
  DESC_CONTENTS = 3 << 1, /* 0 data, 1 stack (expands down), 2 code, 3 conforming code */
  DESC_READ_EXEC_ONLY = 1 << 3,
  DESC_LIMIT_IN_PAGES = 1 << 4,
  DESC_NOT_PRESENT = 1 << 5,
  DESC_USABLE = 1 << 6,
  DESC_ALL = 0x7F,
};

/* The CPU's descriptor (SDM vol. 3, 3.4.5). */
#define DESCRIPTOR_ACCESSED (UINT64_C(1) << 40)
#define DESCRIPTOR_WRITABLE (UINT64_C(1) << 41) /* readable, for code */
#define DESCRIPTOR_EXPANDS_DOWN (UINT64_C(1) << 42) /* data */
#define DESCRIPTOR_CODE (UINT64_C(1) << 43)
#define DESCRIPTOR_NOT_SYSTEM (UINT64_C(1) << 44)
#define DESCRIPTOR_DPL_SHIFT 45
#define DESCRIPTOR_PRESENT (UINT64_C(1) << 47)
#define DESCRIPTOR_AVAILABLE (UINT64_C(1) << 52)
#define DESCRIPTOR_32BIT (UINT64_C(1) << 54)
#define DESCRIPTOR_PAGES (UINT64_C(1) << 55)

#define FLAT_CODE UINT64_C(0x00CFFB000000FFFF)
#define FLAT_DATA UINT64_C(0x00CFF3000000FFFF)
#define FLAT_CODE_64BIT UINT64_C(0x00AFFB000000FFFF)
#define DESCRIPTOR_64BIT (UINT64_C(1) << 53)
#define CPU_NUMBER UINT64_C(0x0040F50000000000) /* with a limit of 0 */

static uint64_t descriptor_pack(const struct guest_user_desc *desc) {
  const uint64_t base = desc->base, limit = desc->limit;
  const uint64_t contents = (desc->flags & DESC_CONTENTS) >> 1;
  uint64_t d = (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | (limit >> 16 & 0xF) << 48 | (base >> 24) << 56;
  d |= DESCRIPTOR_ACCESSED | DESCRIPTOR_NOT_SYSTEM | contents << 42 | UINT64_C(3) << DESCRIPTOR_DPL_SHIFT;
  if (!(desc->flags & DESC_READ_EXEC_ONLY))
    d |= DESCRIPTOR_WRITABLE;
  if (!(desc->flags & DESC_NOT_PRESENT))
    d |= DESCRIPTOR_PRESENT;
  if (desc->flags & DESC_USABLE)
    d |= DESCRIPTOR_AVAILABLE;
  if (desc->flags & DESC_32BIT)
    d |= DESCRIPTOR_32BIT;
  if (desc->flags & DESC_LIMIT_IN_PAGES)
    d |= DESCRIPTOR_PAGES;
  return d;
}

static uint32_t descriptor_base(uint64_t d) {
  return (uint32_t)(d >> 16 & 0xFFFFFF) | (uint32_t)(d >> 56) << 24;
}

static uint32_t descriptor_raw_limit(uint64_t d) {
  return (uint32_t)(d & 0xFFFF) | (uint32_t)(d >> 48 & 0xF) << 16;
}

static uint32_t descriptor_limit(uint64_t d) {
  const uint32_t limit = descriptor_raw_limit(d);
  return d & DESCRIPTOR_PAGES ? limit << 12 | 0xFFF : limit;
}

static struct guest_user_desc descriptor_unpack(uint64_t d, uint32_t entry_number) {
  struct guest_user_desc desc = {
      .entry_number = entry_number, .base = descriptor_base(d), .limit = descriptor_raw_limit(d)};
  desc.flags = (uint32_t)(d >> 42 & 3) << 1;
  desc.flags |= d & DESCRIPTOR_32BIT ? DESC_32BIT : 0;
  desc.flags |= d & DESCRIPTOR_WRITABLE ? 0 : DESC_READ_EXEC_ONLY;
  desc.flags |= d & DESCRIPTOR_PAGES ? DESC_LIMIT_IN_PAGES : 0;
  desc.flags |= d & DESCRIPTOR_PRESENT ? 0 : DESC_NOT_PRESENT;
  desc.flags |= d & DESCRIPTOR_AVAILABLE ? DESC_USABLE : 0;
  return desc;
}

/* The two ways to ask for an empty entry: the documented one, and all zero. */
static bool desc_is_empty(const struct guest_user_desc *desc) {
  return desc->base == 0 && desc->limit == 0 &&
         (desc->flags & DESC_ALL) == (DESC_READ_EXEC_ONLY | DESC_NOT_PRESENT);
}
static bool desc_is_zero(const struct guest_user_desc *desc) {
  return desc->base == 0 && desc->limit == 0 && (desc->flags & DESC_ALL) == 0;
}

/* --- Selectors ------------------------------------------------------------------------------- */

/* The kernel's getcpu(): its limit is the processor, and from bit 12 on the node. */
static uint64_t cpu_number_descriptor(void) {
  unsigned processor = 0, node = 0;
  getcpu(&processor, &node);
  const uint64_t limit = (processor & 0xFFF) | node << 12;
  return CPU_NUMBER | (limit & 0xFFFF) | (limit >> 16 & 0xF) << 48;
}

/* The descriptors of privilege level 3; those of the kernel are nobody's business. 0: there is none. */
static uint64_t find_descriptor(struct thread *thread, uint16_t selector) {
  const uint32_t index = selector >> 3;
  if (selector & SELECTOR_LDT) {
    struct process *process = thread->process;
    process_lock(&process->ldt_lock);
    const uint64_t descriptor = index < process->ldt_count ? process->ldt[index] : 0;
    process_unlock(&process->ldt_lock);
    return descriptor;
  }
  if (index == SELECTOR_USER_CODE >> 3)
    return FLAT_CODE;
  if (index == SELECTOR_USER_DATA >> 3)
    return FLAT_DATA;
  if (index == SELECTOR_USER_CODE_64BIT >> 3)
    return FLAT_CODE_64BIT;
  if (index == GDT_CPU_NUMBER)
    return cpu_number_descriptor();
  if (index >= GDT_TLS_FIRST && index < GDT_TLS_FIRST + GDT_TLS_COUNT)
    return thread->gdt_tls[index - GDT_TLS_FIRST];
  return 0;
}

static bool is_null(uint16_t selector) { return (selector & ~SELECTOR_RPL) == 0; }

bool linux_segment_base(struct thread *thread, uint16_t selector, uint32_t *base, uint32_t *limit) {
  *base = *limit = 0;
  if (is_null(selector))
    return true;
  const uint64_t descriptor = find_descriptor(thread, selector);
  if (!(descriptor & DESCRIPTOR_PRESENT))
    return false;
  *base = descriptor_base(descriptor);
  *limit = descriptor_limit(descriptor);
  return true;
}

/* The checks of a load (SDM vol. 2, MOV to a segment register): every user segment has privilege level 3, so
 * only SS and CS, which demand that the selector says so too, look at that. 0, or the vector of the fault. */
static uint32_t check_load(uint64_t descriptor, enum segment segment, uint16_t selector) {
  const bool code = descriptor & DESCRIPTOR_CODE, writable = descriptor & DESCRIPTOR_WRITABLE;
  bool good;
  switch (segment) {
  case SEG_CS: /* 64-bit code is not for this guest */
    good = code && (selector & SELECTOR_RPL) == 3 && !(descriptor & DESCRIPTOR_64BIT);
    break;
  case SEG_SS:
    good = !code && writable && (selector & SELECTOR_RPL) == 3;
    break;
  default:
    good = !code || writable; /* readable code */
  }
  if (!good || !(descriptor & DESCRIPTOR_NOT_SYSTEM))
    return TRAP_GP;
  if (!(descriptor & DESCRIPTOR_PRESENT))
    return segment == SEG_SS ? TRAP_SS : TRAP_NP;
  return 0;
}

/* A null selector's segment has no offset that may be accessed. */
static const struct segment_bounds no_bounds = {.low = 1, .high = 0};

static struct segment_bounds bounds_of(uint64_t descriptor) {
  const uint32_t limit = descriptor_limit(descriptor);
  const bool code = descriptor & DESCRIPTOR_CODE, big = descriptor & DESCRIPTOR_32BIT,
             writable = descriptor & DESCRIPTOR_WRITABLE;
  struct segment_bounds bounds = {.high = limit, .rights = big ? SEGMENT_BIG : 0};
  if (!code && descriptor & DESCRIPTOR_EXPANDS_DOWN) {
    bounds.low = limit + 1;
    bounds.high = big ? UINT32_MAX : UINT16_MAX;
    if (limit >= bounds.high)
      bounds.low = 1, bounds.high = 0;
  }
  if (!code || writable)
    bounds.rights |= SEGMENT_READ;
  if (!code && writable)
    bounds.rights |= SEGMENT_WRITE;
  return bounds;
}

bool linux_ask_segment(struct cpu_state *cpu, uint16_t selector, enum segment_question question, uint32_t *answer) {
  const uint64_t descriptor = is_null(selector) ? 0 : find_descriptor(thread_of(cpu), selector);
  const bool code = descriptor & DESCRIPTOR_CODE, writable = descriptor & DESCRIPTOR_WRITABLE;
  if (!(descriptor & DESCRIPTOR_NOT_SYSTEM))
    return false;
  switch (question) {
  case SEGMENT_RIGHTS:
    *answer = (uint32_t)(descriptor >> 32) & 0x00FFFF00;
    return true;
  case SEGMENT_LIMIT:
    *answer = descriptor_limit(descriptor);
    return true;
  case SEGMENT_IS_READABLE:
    return !code || writable;
  default:
    return !code && writable;
  }
}

/* Does usual code not do for this segment? It knows all that whole segments ask for, and the bases of FS and GS; or
 * that one of these is null. */
static bool is_special(const struct segment_bounds *bounds, uint32_t base, enum segment segment, uint16_t selector) {
  const uint32_t all = SEGMENT_READ | SEGMENT_WRITE;
  const bool whole = bounds->low == 0 && bounds->high == UINT32_MAX;
  switch (segment) {
  case SEG_CS:
    return !whole || base || !(bounds->rights & SEGMENT_READ) || !(bounds->rights & SEGMENT_BIG);
  case SEG_SS:
    return !whole || base || !(bounds->rights & SEGMENT_BIG);
  case SEG_FS:
  case SEG_GS:
    return !is_null(selector) && (!whole || (bounds->rights & all) != all);
  default:
    return !whole || base || (bounds->rights & all) != all;
  }
}

static void take_segment(struct cpu_state *cpu, enum segment segment, uint16_t selector, uint32_t base,
                         struct segment_bounds bounds) {
  cpu->segment_selector[segment] = selector;
  runtime_set_segment_base(cpu, segment, base, is_null(selector));
  cpu->segment_bounds[segment] = bounds;
  const uint32_t bit = 1u << segment;
  if (is_special(&bounds, base, segment, selector))
    cpu->segments_special |= bit;
  else
    cpu->segments_special &= ~bit;
}

uint32_t linux_load_segment(struct cpu_state *cpu, enum segment segment, uint16_t selector) {
  if (is_null(selector)) {
    if (segment == SEG_CS || segment == SEG_SS)
      return TRAP_GP;
    take_segment(cpu, segment, selector, 0, no_bounds);
    return 0;
  }
  const uint64_t descriptor = find_descriptor(thread_of(cpu), selector);
  const uint32_t vector = check_load(descriptor, segment, selector);
  if (vector == 0)
    take_segment(cpu, segment, selector, descriptor_base(descriptor), bounds_of(descriptor));
  return vector;
}

struct segment_registers segment_registers_of(const struct cpu_state *cpu) {
  struct segment_registers registers = {.special = cpu->segments_special};
  memcpy(registers.base, cpu->segment_base, sizeof registers.base);
  memcpy(registers.selector, cpu->segment_selector, sizeof registers.selector);
  memcpy(registers.bounds, cpu->segment_bounds, sizeof registers.bounds);
  return registers;
}

void segment_registers_set(struct cpu_state *cpu, const struct segment_registers *registers) {
  for (int segment = 0; segment < SEG_COUNT; segment++)
    runtime_set_segment_base(cpu, (enum segment)segment, registers->base[segment], is_null(registers->selector[segment]));
  memcpy(cpu->segment_selector, registers->selector, sizeof registers->selector);
  memcpy(cpu->segment_bounds, registers->bounds, sizeof registers->bounds);
  cpu->segments_special = registers->special;
}

void segment_init(struct cpu_state *cpu) {
  static const uint16_t selectors[SEG_COUNT] = {[SEG_CS] = SELECTOR_USER_CODE,
                                                [SEG_SS] = SELECTOR_USER_DATA,
                                                [SEG_DS] = SELECTOR_USER_DATA,
                                                [SEG_ES] = SELECTOR_USER_DATA};
  for (int segment = 0; segment < SEG_COUNT; segment++)
    linux_load_segment(cpu, (enum segment)segment, selectors[segment]);
}

void segment_load_or_clear(struct cpu_state *cpu, enum segment segment, uint16_t selector) {
  if (linux_load_segment(cpu, segment, selector) == 0)
    return;
  const bool must_be_valid = segment == SEG_CS || segment == SEG_SS;
  take_segment(cpu, segment, must_be_valid ? selector : 0, 0, no_bounds);
}

/* A TLS descriptor changed: registers that hold its selector see it. */
static void reload_tls(struct cpu_state *cpu, uint16_t selector) {
  for (int segment = 0; segment < SEG_COUNT; segment++)
    if (cpu->segment_selector[segment] == selector)
      segment_load_or_clear(cpu, (enum segment)segment, selector);
}

/* The LDT changed: so do the registers that the kernel loads again by itself. FS and GS keep the base they
 * had. */
static void reload_ldt(struct cpu_state *cpu) {
  static const enum segment reloaded[] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES};
  for (size_t i = 0; i < sizeof reloaded / sizeof *reloaded; i++) {
    const uint16_t selector = cpu->segment_selector[reloaded[i]];
    if (selector & SELECTOR_LDT)
      segment_load_or_clear(cpu, reloaded[i], selector);
  }
}

void segment_see_changes(struct thread *thread) {
  const uint32_t changes = __atomic_load_n(&thread->process->ldt_changes, __ATOMIC_ACQUIRE);
  if (thread->ldt_seen == changes)
    return;
  thread->ldt_seen = changes;
  reload_ldt(thread->cpu);
}

/* --- TLS descriptors ------------------------------------------------------------------------- */

/* What a TLS descriptor may be: a present 32-bit data segment, or nothing (tls_desc_okay()). */
static bool tls_is_valid(const struct guest_user_desc *desc) {
  if (desc_is_empty(desc) || desc_is_zero(desc))
    return true;
  return desc->flags & DESC_32BIT && !(desc->flags & DESC_NOT_PRESENT) &&
         (desc->flags & DESC_CONTENTS) >> 1 <= 1;
}

static int set_tls(struct thread *thread, guest_addr address, bool may_choose) {
  struct guest_user_desc desc;
  if (guest_copy_in(&desc, address, sizeof desc) < 0)
    return -EFAULT;
  if (!tls_is_valid(&desc))
    return -EINVAL;
  uint32_t index = desc.entry_number;
  if (index == UINT32_MAX && may_choose) {
    for (index = 0; index < GDT_TLS_COUNT && thread->gdt_tls[index]; index++)
      ;
    if (index == GDT_TLS_COUNT)
      return -ESRCH;
    index += GDT_TLS_FIRST;
    if (guest_copy_out(address, &index, sizeof index) < 0)
      return -EFAULT;
  }
  if (index < GDT_TLS_FIRST || index >= GDT_TLS_FIRST + GDT_TLS_COUNT)
    return -EINVAL;
  thread->gdt_tls[index - GDT_TLS_FIRST] =
      desc_is_empty(&desc) || desc_is_zero(&desc) ? 0 : descriptor_pack(&desc);
  reload_tls(thread->cpu, (uint16_t)(index << 3 | SELECTOR_RPL));
  return 0;
}

int segment_set_tls(struct thread *thread, guest_addr user_desc) { return set_tls(thread, user_desc, false); }

int32_t sys_set_thread_area(struct thread *thread, const uint32_t arg[6]) {
  return set_tls(thread, arg[0], true);
}

int32_t sys_get_thread_area(struct thread *thread, const uint32_t arg[6]) {
  uint32_t index;
  if (guest_copy_in(&index, arg[0], sizeof index) < 0)
    return -EFAULT;
  if (index < GDT_TLS_FIRST || index >= GDT_TLS_FIRST + GDT_TLS_COUNT)
    return -EINVAL;
  const struct guest_user_desc desc = descriptor_unpack(thread->gdt_tls[index - GDT_TLS_FIRST], index);
  return guest_copy_out(arg[0], &desc, sizeof desc);
}

/* --- The local descriptor table --------------------------------------------------------------- */

static int32_t ldt_read(struct process *process, guest_addr to, uint32_t length) {
  if (length > LDT_ENTRIES * sizeof(uint64_t))
    length = LDT_ENTRIES * sizeof(uint64_t);
  uint64_t *copy = calloc(LDT_ENTRIES, sizeof *copy);
  if (!copy)
    return -ENOMEM;
  process_lock(&process->ldt_lock);
  const uint32_t used = process->ldt_count * (uint32_t)sizeof *copy;
  if (used)
    memcpy(copy, process->ldt, used);
  process_unlock(&process->ldt_lock);
  int32_t result = 0;
  if (used) {
    /* What lies beyond the last entry reads as zero. */
    result = guest_copy_out(to, copy, length);
    if (result == 0)
      result = (int32_t)length;
  }
  free(copy);
  return result;
}

/* The default table that iBCS2 programs ask for is empty here, as on every kernel of today. */
static int32_t ldt_read_default(guest_addr to, uint32_t length) {
  enum { DEFAULT_SIZE = 128 };
  static const uint8_t empty[DEFAULT_SIZE];
  if (length > DEFAULT_SIZE)
    length = DEFAULT_SIZE;
  return guest_copy_out(to, empty, length) < 0 ? -EFAULT : (int32_t)length;
}

static int32_t ldt_write(struct thread *thread, guest_addr from, uint32_t length, bool old_mode) {
  struct process *process = thread->process;
  struct guest_user_desc desc;
  if (length != sizeof desc)
    return -EINVAL;
  if (guest_copy_in(&desc, from, sizeof desc) < 0)
    return -EFAULT;
  if (desc.entry_number >= LDT_ENTRIES)
    return -EINVAL;
  if ((desc.flags & DESC_CONTENTS) >> 1 == 3 && (old_mode || !(desc.flags & DESC_NOT_PRESENT)))
    return -EINVAL;
  uint64_t descriptor = 0;
  if (!(old_mode && desc.base == 0 && desc.limit == 0) && !desc_is_empty(&desc)) {
    if (old_mode)
      desc.flags &= ~(uint32_t)DESC_USABLE;
    descriptor = descriptor_pack(&desc);
  }
  process_lock(&process->ldt_lock);
  if (!process->ldt)
    process->ldt = calloc(LDT_ENTRIES, sizeof *process->ldt);
  const bool stored = process->ldt != NULL;
  if (stored) {
    process->ldt[desc.entry_number] = descriptor;
    if (desc.entry_number >= process->ldt_count)
      process->ldt_count = desc.entry_number + 1;
  }
  process_unlock(&process->ldt_lock);
  if (!stored)
    return -ENOMEM;
  __atomic_add_fetch(&process->ldt_changes, 1, __ATOMIC_RELEASE);
  segment_see_changes(thread);
  runtime_interrupt_others();
  return 0;
}

int32_t sys_modify_ldt(struct thread *thread, const uint32_t arg[6]) {
  enum { READ = 0, WRITE_OLD = 1, READ_DEFAULT = 2, WRITE = 0x11 };
  switch (arg[0]) {
  case READ:
    return ldt_read(thread->process, arg[1], arg[2]);
  case WRITE_OLD:
    return ldt_write(thread, arg[1], arg[2], true);
  case READ_DEFAULT:
    return ldt_read_default(arg[1], arg[2]);
  case WRITE:
    return ldt_write(thread, arg[1], arg[2], false);
  }
  return -ENOSYS;
}
