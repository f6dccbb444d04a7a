/* The register file: everything translated code knows about one guest CPU (one guest thread).
 *
 * While translated code runs, the general registers live in host registers (see
 * docs/guest-abi.md), ymm0-7 in the host's ymm0-7, the x87/MMX state and MXCSR in the host's own
 * FPU. Whenever C code runs, gpr[], eip, xmm[] and ymm_high[] here are the truth, and the x87/MMX state and
 * MXCSR are still in the host's FPU: C code of this project uses neither x87 nor MMX and no
 * floating-point arithmetic between guest instructions.
 *
 * The host's GS base points at the running thread's struct, so that translated code reaches the
 * rest as %gs:offset. Offsets that generated code uses are asserted below.
 *
 * Threads: a struct belongs to its thread; only `interrupt` is written by others (and by the
 * thread's own signal handlers). */
#ifndef UEMU_RUNTIME_CPU_STATE_H
#define UEMU_RUNTIME_CPU_STATE_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t guest_addr; /* an address in the guest's 4 GiB; the same number on the host */

/* Numbers as the instruction encoding has them (Intel SDM vol. 2, table 2-2). */
enum gpr { GPR_EAX, GPR_ECX, GPR_EDX, GPR_EBX, GPR_ESP, GPR_EBP, GPR_ESI, GPR_EDI, GPR_COUNT };
enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* EFLAGS bits (SDM vol. 1, 3.4.3). */
enum {
  EFLAGS_CF = 1u << 0,
  EFLAGS_ONE = 1u << 1, /* always set */
  EFLAGS_PF = 1u << 2,
  EFLAGS_AF = 1u << 4,
  EFLAGS_ZF = 1u << 6,
  EFLAGS_SF = 1u << 7,
  EFLAGS_TF = 1u << 8,
  EFLAGS_IF = 1u << 9,
  EFLAGS_DF = 1u << 10,
  EFLAGS_OF = 1u << 11,
  EFLAGS_IOPL = 3u << 12,
  EFLAGS_NT = 1u << 14,
  EFLAGS_RF = 1u << 16,
  EFLAGS_VM = 1u << 17,
  EFLAGS_AC = 1u << 18,
  EFLAGS_ID = 1u << 21,
};

/* One entry of the per-thread table that indirect jumps look their target up in. */
struct jump_cache_entry {
  guest_addr eip;       /* 0 for an empty entry */
  uint32_t reads_flags; /* not 0: not for those who may come with older flags in the fields below (docs/flags.md) */
  uint64_t host;        /* where its translation starts */
};
enum { JUMP_CACHE_BITS = 13, JUMP_CACHE_SIZE = 1 << JUMP_CACHE_BITS, JUMP_CACHE_WAYS = 4 };
/* Another, for jumps by tables of the guest's: a row for each table, and an entry of it for each index, as
 * far as they are different (jump_cache.c). */
enum { TABLE_ROW_BITS = 5, TABLE_ROWS = 1 << TABLE_ROW_BITS, TABLE_ROW_SIZE = 256 };
/* An empty entry's eip where 0 would be found: this one has its place elsewhere. */
enum { JUMP_CACHE_NOBODY = 0x100 };

_Static_assert(sizeof(struct jump_cache_entry) == 16, "generated code steps from one to the next");

/* Which entry an address has first; it may also be in the others of its set, whose numbers differ in the lowest two bits: by the low bits of
 * nine times the address. So the near addresses of a jump table's targets do not meet, nor those of functions, which are mostly
 * multiples of 16; and generated code, which does the same, has the entry's offset by a lea and an and: where a jump is
 * mispredicted, each instruction more counts. */
static inline unsigned jump_cache_index(guest_addr eip) { return eip * 9 >> 4 & (JUMP_CACHE_SIZE - 1); }

/* What a segment register allows beside its base: the offsets from low to high; none if low is above high. */
struct segment_bounds {
  uint32_t low, high;
  uint32_t rights; /* SEGMENT_* */
};
enum { SEGMENT_READ = 1, SEGMENT_WRITE = 2, SEGMENT_BIG = 4 /* D/B: 32-bit code, 32-bit stack */ };

enum { FPU_OPERAND_LOADED = 1 + SEG_COUNT }; /* cpu_state.fpu_operand.segment */

struct cpu_state {
  uint32_t gpr[GPR_COUNT];
  uint32_t eip;
  uint8_t cf, pf, af, zf, sf, of; /* each 0 or 1 */
  uint8_t df;                     /* direction flag, 0 or 1; the host's DF equals it in translated code */
  uint8_t reserved;
  uint32_t eflags_rest;             /* EFLAGS bits that no field above holds; EFLAGS_ONE and IF set */
  uint32_t segment_base[SEG_COUNT]; /* bytes added to an offset; 0 for flat segments */
  /* Where the flags that a fault shows come from: the operation that set them, and its operands
   * (Frontend/flag_record.h). 0: they are in the fields above. Written often: an offset of one byte. */
  uint32_t flag_operation;
  uint32_t flag_operand[2];
  uint32_t interrupt; /* non-zero: leave translated code at the next safe point (atomic access) */
  uint32_t helper_argument; /* of the helper that takes one (Runtime/helpers.h) */
  uint8_t xmm[8][16] __attribute__((aligned(16)));

  /* Runtime's own; nothing else touches these. */
  uint64_t c_stack;         /* host rsp for C code called from translated code */
  uint64_t frame_stack;     /* host rsp of translated code, while C code runs */
  uint64_t frame_base;      /* host rsp of translated code when no guest call is open */
  uint64_t redirect;        /* non-zero: C code changed eip; forget the open host frames */
  uint64_t runtime_private; /* struct engine_thread * */
  uint64_t self;            /* address of this struct */
  void *owner;              /* the Linux layer's thread object */

  /* Bits 128-255 of ymm0-7. Code that makes one of them non-zero calls runtime_use_ymm(). */
  uint8_t ymm_high[8][16] __attribute__((aligned(16)));

  uint16_t segment_selector[SEG_COUNT];
  struct jump_cache_entry jump_cache[JUMP_CACHE_SIZE];
  struct jump_cache_entry table_jumps[TABLE_ROWS][TABLE_ROW_SIZE];

  /* Segments that are not flat (Runtime/careful.c): a bit for each register that usual code is wrong for.
   * The bounds of the others are not looked at while there is no such bit, and all are right once there is. */
  uint32_t segments_special;
  struct segment_bounds segment_bounds[SEG_COUNT];

  /* What an x87 operand's linear address does not tell: the segment of the last one by FS, GS or CS; FPU_OPERAND_LOADED if
   * it is an offset that the guest has loaded, together with a selector. */
  struct {
    guest_addr address;
    uint32_t segment; /* 1 + enum segment; 0: none */
  } fpu_operand;

  /* The bases of FS and GS once more, for usual translations: each is the end of a page of its own, which cannot be
   * read while the selector is null. What lies behind it can never be read, and is where they look for the base if
   * an operand goes beyond the segment's end. Such faults are the guest's #GP (docs/segments.md). Set by
   * runtime_set_segment_base(). */
  struct guarded_base {
    uint8_t unused[4088];
    uint64_t base;
    uint8_t closed[4096];
  } __attribute__((aligned(4096))) guarded_base[SEG_COUNT - SEG_FS];
};
_Static_assert(offsetof(struct guarded_base, closed) == 4096, "a page of its own");

#define CPU_GUARDED_BASE(segment)                                                                            \
  (offsetof(struct cpu_state, guarded_base) + ((segment) - SEG_FS) * sizeof(struct guarded_base) +           \
   offsetof(struct guarded_base, base))

#define CPU_STATE_OFFSET(field, value)                                                                       \
  _Static_assert(offsetof(struct cpu_state, field) == (value), "generated code uses this offset")
CPU_STATE_OFFSET(gpr, 0);
CPU_STATE_OFFSET(eip, 32);
CPU_STATE_OFFSET(cf, 36);
CPU_STATE_OFFSET(of, 41);
CPU_STATE_OFFSET(df, 42);
CPU_STATE_OFFSET(eflags_rest, 44);
CPU_STATE_OFFSET(segment_base, 48);
CPU_STATE_OFFSET(flag_operation, 72);
CPU_STATE_OFFSET(interrupt, 84);
CPU_STATE_OFFSET(helper_argument, 88);
CPU_STATE_OFFSET(xmm, 96);
CPU_STATE_OFFSET(c_stack, 224);
CPU_STATE_OFFSET(frame_stack, 232);
CPU_STATE_OFFSET(frame_base, 240);
CPU_STATE_OFFSET(redirect, 248);
CPU_STATE_OFFSET(runtime_private, 256);
CPU_STATE_OFFSET(self, 264);
CPU_STATE_OFFSET(ymm_high, 288);
CPU_STATE_OFFSET(segment_selector, 416);

/* EFLAGS as one 32-bit value, from and to the fields. */
static inline uint32_t cpu_eflags(const struct cpu_state *cpu) {
  return cpu->eflags_rest | (uint32_t)cpu->cf << 0 | (uint32_t)cpu->pf << 2 | (uint32_t)cpu->af << 4 |
         (uint32_t)cpu->zf << 6 | (uint32_t)cpu->sf << 7 | (uint32_t)cpu->df << 10 | (uint32_t)cpu->of << 11;
}

static inline void cpu_set_eflags(struct cpu_state *cpu, uint32_t eflags) {
  const uint32_t fields = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_DF | EFLAGS_OF;
  cpu->cf = eflags >> 0 & 1;
  cpu->pf = eflags >> 2 & 1;
  cpu->af = eflags >> 4 & 1;
  cpu->zf = eflags >> 6 & 1;
  cpu->sf = eflags >> 7 & 1;
  cpu->df = eflags >> 10 & 1;
  cpu->of = eflags >> 11 & 1;
  cpu->eflags_rest = (eflags & ~fields) | EFLAGS_ONE | EFLAGS_IF;
  cpu->flag_operation = 0;
}

/* Gives the bits of EFLAGS in `mask` the values that they have in `value`. There is no flag record any more.
 */
static inline void cpu_change_eflags(struct cpu_state *cpu, uint32_t mask, uint32_t value) {
  cpu_set_eflags(cpu, (cpu_eflags(cpu) & ~mask) | (value & mask));
}

#endif
