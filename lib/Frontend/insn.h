/* One decoded guest instruction, in the form that the rest of the front end works on.
 *
 * Zydis decodes; this keeps what translation needs, small and comparable. What makes two
 * instructions need different host code (mnemonic, registers, addressing form, sizes) is in
 * struct insn_form, which has no padding and is compared and hashed as bytes. What a hole of a
 * stencil can hold (displacement, immediate, targets) is beside it.
 *
 * Only visible operands are listed, in the manual's order; implicit ones (mul's eax, a string
 * instruction's esi) are the lifter's business. But what maskmovq and maskmovdqu store to is listed. Source: Intel SDM vol. 2. */
#ifndef UEMU_FRONTEND_INSN_H
#define UEMU_FRONTEND_INSN_H

#include "Runtime/cpu_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The six arithmetic flags, as a mask; DF is kept apart. */
enum flag { FLAG_C, FLAG_P, FLAG_A, FLAG_Z, FLAG_S, FLAG_O, FLAG_COUNT };
enum {
  FLAGS_NONE = 0,
  FLAGS_C = 1 << FLAG_C,
  FLAGS_P = 1 << FLAG_P,
  FLAGS_A = 1 << FLAG_A,
  FLAGS_Z = 1 << FLAG_Z,
  FLAGS_S = 1 << FLAG_S,
  FLAGS_O = 1 << FLAG_O,
  FLAGS_ALL = 63,
};

/* Their bits in EFLAGS. */
static inline uint32_t eflags_of(uint8_t flags) {
  return (flags & FLAGS_C ? EFLAGS_CF : 0) | (flags & FLAGS_P ? EFLAGS_PF : 0) | (flags & FLAGS_A ? EFLAGS_AF : 0) |
         (flags & FLAGS_Z ? EFLAGS_ZF : 0) | (flags & FLAGS_S ? EFLAGS_SF : 0) | (flags & FLAGS_O ? EFLAGS_OF : 0);
}

enum operand_kind {
  OPERAND_NONE,
  OPERAND_GPR,       /* reg: encoding number; with size 1, 4-7 are ah ch dh bh */
  OPERAND_MEMORY,    /* see the fields below */
  OPERAND_IMMEDIATE, /* a hole: insn.imm[operand.hole] */
  OPERAND_CONSTANT,  /* an immediate that is part of the form: byte `hole` of form.constant */
  OPERAND_XMM,       /* reg 0-7 */
  OPERAND_YMM,       /* reg 0-7 */
  OPERAND_MMX,       /* reg 0-7 */
  OPERAND_X87,       /* reg 0-7: st(i) */
  OPERAND_SEGMENT,   /* reg: enum segment */
  OPERAND_RELATIVE,  /* a branch target: insn.target */
  OPERAND_FAR,       /* ptr16:32: imm[0] = offset, imm[1] = selector */
  OPERAND_OTHER,     /* control, debug registers …: what user code may not touch */
};

enum {
  REGISTER_NONE = 8,
  /* Not the guest's: a host temporary that carries an address from one stencil to the next
   * (shape_split_address) as the destination of lea, and as a base; or what push reads (stack_fold), as an
   * operand of mov. */
  REGISTER_TEMPORARY = 9,
};

/* An operand's segment: FS or GS, and it begins beyond its end wherever that is. To access it is #GP. */
enum { SEGMENT_BEYOND = 7 };

struct operand {
  uint32_t kind : 4;
  uint32_t size : 10;    /* bytes; 0 for lea's and the like */
  uint32_t reg : 4;      /* register, or a memory operand's base; REGISTER_NONE */
  uint32_t index : 4;    /* memory: index register, REGISTER_NONE */
  uint32_t scale : 2;    /* memory: log2 of the factor */
  uint32_t segment : 3;  /* memory: 0 flat; else 1 + enum segment (fs, gs); SEGMENT_BEYOND */
  uint32_t has_disp : 1; /* memory: a displacement hole (insn.disp) */
  uint32_t hole : 1;     /* immediates: which of two; memory with a vector index: it is a ymm register */
  uint32_t read : 1;
  uint32_t written : 1;
  uint32_t vector_index : 1; /* memory: index is a vector register (gathers) */
};
_Static_assert(sizeof(struct operand) == 4, "forms are compared as bytes");

enum insn_attribute {
  INSN_LOCK = 1 << 0,
  INSN_REP = 1 << 1, /* rep, repe */
  INSN_REPNE = 1 << 2,
  INSN_STRING = 1 << 3,    /* a string instruction (movsd and cmpsd are SSE's without it) */
  INSN_ADDRESS16 = 1 << 4, /* 16-bit addresses, and cx, si, di for ecx, esi, edi */
  INSN_VEX = 1 << 5,
  INSN_SEGMENT_FS = 1 << 6, /* of an implicit memory operand: string instructions' source, xlat */
  INSN_SEGMENT_GS = 1 << 7,
};

struct insn_form {
  uint16_t mnemonic; /* ZydisMnemonic; 0: no instruction */
  uint8_t attributes;
  uint8_t operand_width; /* effective operand size in bytes: 1, 2, 4 */
  uint32_t constant;     /* immediates that are part of the form: low half first, high half second */
  struct operand op[4];  /* those not there are OPERAND_NONE */
};
_Static_assert(sizeof(struct insn_form) == 24, "forms are compared as bytes");

/* What is unusual about the CPU that a block is for. 0: nothing. In any of these a block leaves to C when
 * it ends, and a repeated string instruction does so after each turn. */
enum cpu_mode {
  MODE_SINGLE = 1 << 0,   /* single steps, or alignment checks: one instruction a block */
  MODE_SEGMENTS = 1 << 1, /* segments have bases and limits, which the register file has */
  MODE_CODE16 = 1 << 2,   /* 16-bit operands and addresses are the default */
  MODE_STACK16 = 1 << 3,  /* the stack pointer is SP */
};

/* How control leaves an instruction. */
enum insn_flow {
  FLOW_NEXT,          /* to the next instruction */
  FLOW_CONDITIONAL,   /* to target or the next (jcc, loop, jecxz) */
  FLOW_JUMP,          /* to target */
  FLOW_JUMP_INDIRECT, /* anywhere */
  FLOW_CALL,          /* to target, and back to the next */
  FLOW_CALL_INDIRECT, /* anywhere, and back to the next */
  FLOW_RETURN,        /* ret, ret n */
  FLOW_TRAP,          /* never to the next by itself: ud2, hlt, far transfers, undecodable bytes */
};

enum { CONDITION_NONE = 0xFF };

struct insn {
  struct insn_form form;
  guest_addr eip;
  uint32_t disp;   /* of the memory operand */
  uint32_t imm[2]; /* sign-extended to 32 bits */
  guest_addr target;
  uint8_t length;        /* bytes */
  uint8_t flow;          /* enum insn_flow */
  uint8_t condition;     /* 0-15 for jcc, setcc, cmovcc: the opcode's low nibble (SDM app. B); CONDITION_NONE */
  uint8_t flags_read;    /* FLAGS_* */
  uint8_t flags_written; /* certainly written (undefined ones included) */
  uint8_t flags_changed; /* written or perhaps written (shift by cl, rep scas) */
  uint8_t flags_undefined; /* of the others, those that the manual allows anything of */
  uint8_t can_fault;     /* touches memory, divides, or traps */
  uint8_t accesses;      /* its visible memory operand, if it has one: nops, prefetches and ud0 do not; nor,
                          * certainly, what CPUID does not report */
  uint8_t segment;       /* MODE_SEGMENTS: 1 + the segment of an implicit memory operand; else 0 */
  uint32_t pattern; /* from insn_decode_cached: equal ones mean equal forms. 0: not known */
};

/* Forms that are made from a pattern's own, in one way each, have it with one of these added. */
enum {
  PATTERN_LIMIT = 1 << 15,
  PATTERN_WITH_DISP = PATTERN_LIMIT,       /* a displacement where there was none (stack_fold) */
  PATTERN_TEMPORARY = 8 * PATTERN_LIMIT,   /* the parts of a push of memory (stack_fold) */
  PATTERN_ADDRESS = 2 * PATTERN_LIMIT,     /* the parts of shape_split_address … */
  PATTERN_ACCESS = 4 * PATTERN_LIMIT,      /* … */
};
static inline uint32_t insn_pattern_variant(uint32_t pattern, uint32_t variant) {
  return pattern ? pattern | variant : 0;
}

static inline guest_addr insn_next(const struct insn *insn) { return insn->eip + insn->length; }

static inline bool insn_is_call(const struct insn *insn) {
  return insn->flow == FLOW_CALL || insn->flow == FLOW_CALL_INDIRECT;
}

/* The whole register that a general register operand is part of. */
static inline unsigned operand_whole_register(const struct operand *op) {
  return op->size == 1 ? op->reg & 3 : op->reg;
}

/* ah, ch, dh or bh. */
static inline bool operand_is_high_byte(const struct operand *op) {
  return op->kind == OPERAND_GPR && op->size == 1 && op->reg >= 4 && op->reg < GPR_COUNT;
}

/* 1 << the whole registers that visible operands are written to. */
static inline unsigned insn_written_registers(const struct insn *insn) {
  unsigned registers = 0;
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].kind == OPERAND_GPR && insn->form.op[i].written)
      registers |= 1u << operand_whole_register(&insn->form.op[i]);
  return registers;
}

/* A constant operand (part of the form). */
static inline uint32_t operand_constant(const struct insn *insn, unsigned i) {
  return insn->form.constant >> 16 * insn->form.op[i].hole & 0xFFFF;
}

/* What decode met. */
enum insn_status {
  INSN_OK,
  INSN_TRUNCATED, /* the bytes given end inside the instruction */
  INSN_INVALID,   /* #UD: filled as the instruction ud2 (#GP if it is too long: hlt), of the length that could be read (at least 1) */
};

/* Is it an x87 instruction, fxsave or fxrstor? */
bool insn_is_of_the_fpu(const struct insn_form *form);

/* The unit in bytes in which memory operand i is accessed, the first one first: bound reads its two limits,
 * FPU environments and states go word by word, ten bytes as eight and two, masked moves by element; the
 * clflush family asks for one byte, and so do those whose alignment leaves no part beyond an end. */
unsigned insn_access_unit(const struct insn_form *form, unsigned i);
/* The same, of what is compared with the end of FS or GS before anything is accessed; 1 where that is left to
 * the elements that are, which wrap around. */
unsigned insn_limit_unit(const struct insn_form *form, unsigned i);

/* Decodes the instruction at bytes[0..size) that lies at eip. Thread-safe. */
enum insn_status insn_decode(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip);

/* Does it read or write a ymm register? All VEX forms with a vector register do: those of 128 bits clear the
 * upper half. */
static inline bool insn_uses_ymm(const struct insn_form *form) {
  if (form->attributes & INSN_VEX)
    for (unsigned i = 0; i < 4; i++)
      if (form->op[i].kind == OPERAND_XMM || form->op[i].kind == OPERAND_YMM)
        return true;
  return false;
}

/* The same for a CPU in a mode (enum cpu_mode): with MODE_SEGMENTS every memory operand has its segment. */
enum insn_status insn_decode_mode(struct insn *insn, const uint8_t *bytes, size_t size, guest_addr eip, uint32_t mode);
/* An instruction at eip that is #GP(0): what lies beyond the limit of its segment. */
void insn_make_protected(struct insn *insn, guest_addr eip);

/* The form's Intel mnemonic, lower case. */
const char *insn_name(const struct insn_form *form);

#endif
