/* Pass-through: a guest instruction is the same host instruction.
 *
 * The guest's x87 and MMX state and its MXCSR live in the host's own FPU, its xmm registers in the
 * host's. So an instruction of theirs is lifted to inline assembly: the mnemonic, around operands
 * that LLVM chooses. `addps xmm1, [ebx+8]` becomes
 *
 *     %1 = call <4 x float> asm sideeffect inteldialect "addps $0, xmmword ptr $2", "=x,0,*m,~{memory}"
 *              (<4 x float> %xmm1, ptr elementtype([16 x i8]) %address)
 *
 * and LLVM folds the address, holes included, into the instruction. Results, exception flags,
 * alignment faults and pending x87 exceptions are exact by construction, and everything happens in
 * one instruction, so a fault finds no register changed.
 *
 * Operands become:
 *     xmm registers      values in any vector register ("x"); one that is changed in part is tied
 *     ymm registers      literal text, like all vector registers of a VEX form; their lower halves are
 *                        values that must be in, and come out in, just those host registers. Of the
 *                        upper halves LLVM knows nothing: no code but these forms changes them, so
 *                        they are always where the guest has them
 *     general registers  values in any general register ("r")
 *     memory             "*m"
 *     mm, st, constants  literal text: nothing but the guest uses those registers
 * Flags that the instruction computes are outputs ("={@ccz}" …); those it clears are constants.
 *
 * What the visible operands and the mnemonic do not say is in `traits`. */
#include "Frontend/lift_passthrough.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

enum implicit {
  IMPLICIT_XMM0_READ = 1 << 0,
  IMPLICIT_XMM0_WRITTEN = 1 << 1,
  IMPLICIT_EAX_EDX_READ = 1 << 2,
  IMPLICIT_ECX_WRITTEN = 1 << 3,
  DROP_FIRST_OPERAND = 1 << 4, /* st0, which LLVM's syntax leaves out */
};

struct trait {
  uint16_t mnemonic;
  uint8_t flags;        /* FLAGS_* that it computes; the others it writes are cleared */
  uint8_t implicit;     /* enum implicit */
  const char *spelling; /* where LLVM's is another than Zydis' */
};

static const struct trait traits[] = {
    {ZYDIS_MNEMONIC_COMISS, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_COMISD, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_UCOMISS, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_UCOMISD, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_FCOMI, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_FCOMIP, FLAGS_Z | FLAGS_P | FLAGS_C, 0, "fcompi"},
    {ZYDIS_MNEMONIC_FUCOMI, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_FUCOMIP, FLAGS_Z | FLAGS_P | FLAGS_C, 0, "fucompi"},
    {ZYDIS_MNEMONIC_FUCOMP, 0, DROP_FIRST_OPERAND, NULL},
    {ZYDIS_MNEMONIC_PTEST, FLAGS_Z | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_PCMPISTRI, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O, IMPLICIT_ECX_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_PCMPISTRM, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O, IMPLICIT_XMM0_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_PCMPESTRI, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O,
     IMPLICIT_EAX_EDX_READ | IMPLICIT_ECX_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_PCMPESTRM, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O,
     IMPLICIT_EAX_EDX_READ | IMPLICIT_XMM0_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_BLENDVPS, 0, IMPLICIT_XMM0_READ, NULL},
    {ZYDIS_MNEMONIC_BLENDVPD, 0, IMPLICIT_XMM0_READ, NULL},
    {ZYDIS_MNEMONIC_PBLENDVB, 0, IMPLICIT_XMM0_READ, NULL},
    {ZYDIS_MNEMONIC_SHA256RNDS2, 0, IMPLICIT_XMM0_READ, NULL},
    {ZYDIS_MNEMONIC_VCOMISS, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VCOMISD, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VUCOMISS, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VUCOMISD, FLAGS_Z | FLAGS_P | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VPTEST, FLAGS_Z | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VTESTPS, FLAGS_Z | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VTESTPD, FLAGS_Z | FLAGS_C, 0, NULL},
    {ZYDIS_MNEMONIC_VPCMPISTRI, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O, IMPLICIT_ECX_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_VPCMPISTRM, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O, IMPLICIT_XMM0_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_VPCMPESTRI, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O,
     IMPLICIT_EAX_EDX_READ | IMPLICIT_ECX_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_VPCMPESTRM, FLAGS_C | FLAGS_Z | FLAGS_S | FLAGS_O,
     IMPLICIT_EAX_EDX_READ | IMPLICIT_XMM0_WRITTEN, NULL},
    {ZYDIS_MNEMONIC_FWAIT, 0, 0, "wait"},
};

static const struct trait *trait_of(unsigned mnemonic) {
  static const struct trait none;
  for (size_t i = 0; i < sizeof traits / sizeof traits[0]; i++)
    if (traits[i].mnemonic == mnemonic)
      return &traits[i];
  return &none;
}

/* --- An inline-assembly call under construction ----------------------------------------------- */

enum { SLOT_COUNT = 16 };

struct assembly {
  struct lifter *l;
  char text[160];
  /* Outputs: what becomes of each is the caller's business, by its number. */
  unsigned output_count;
  char output_constraint[SLOT_COUNT][16];
  LLVMTypeRef output_type[SLOT_COUNT];
  LLVMValueRef output[SLOT_COUNT]; /* after assembly_emit */
  unsigned input_count;
  char input_constraint[SLOT_COUNT][16];
  LLVMValueRef input[SLOT_COUNT];
  LLVMTypeRef input_memory[SLOT_COUNT]; /* "*m": what it points to */
  bool touches_memory, clobbers_flags;
  bool is_att; /* the text's syntax; else Intel's */
};

static unsigned add_output(struct assembly *a, const char *constraint, LLVMTypeRef type) {
  snprintf(a->output_constraint[a->output_count], sizeof a->output_constraint[0], "%s", constraint);
  a->output_type[a->output_count] = type;
  return a->output_count++;
}

static unsigned add_input(struct assembly *a, const char *constraint, LLVMValueRef value) {
  snprintf(a->input_constraint[a->input_count], sizeof a->input_constraint[0], "%s", constraint);
  a->input[a->input_count] = value;
  return a->input_count++;
}

/* An input in the register of output number `output`. */
static void add_tied(struct assembly *a, unsigned output, LLVMValueRef value) {
  char constraint[16];
  snprintf(constraint, sizeof constraint, "%u", output);
  add_input(a, constraint, value);
}

static void append(char *buffer, size_t size, const char *text) {
  size_t used = strlen(buffer);
  snprintf(buffer + used, size - used, "%s", text);
}

static void add_constraint(char *constraints, size_t size, const char *constraint) {
  if (constraints[0])
    append(constraints, size, ",");
  append(constraints, size, constraint);
}

static void assembly_emit(struct assembly *a) {
  struct lifter *l = a->l;
  struct x87_note note;
  char text[sizeof a->text + sizeof note];
  x87_note_make(l, &note);
  snprintf(text, sizeof text, "%s%s%s", note.before, a->text, note.behind);
  char constraints[SLOT_COUNT * 2 * sizeof a->input_constraint[0]] = "";
  for (unsigned i = 0; i < a->output_count; i++)
    add_constraint(constraints, sizeof constraints, a->output_constraint[i]);
  LLVMTypeRef input_types[SLOT_COUNT];
  for (unsigned i = 0; i < a->input_count; i++) {
    add_constraint(constraints, sizeof constraints, a->input_constraint[i]);
    input_types[i] = LLVMTypeOf(a->input[i]);
  }
  if (a->touches_memory)
    add_constraint(constraints, sizeof constraints, "~{memory}");
  if (a->clobbers_flags)
    add_constraint(constraints, sizeof constraints, "~{flags}");

  LLVMTypeRef result = LLVMVoidTypeInContext(l->context);
  if (a->output_count == 1)
    result = a->output_type[0];
  else if (a->output_count > 1)
    result = LLVMStructTypeInContext(l->context, a->output_type, a->output_count, false);
  LLVMTypeRef type = LLVMFunctionType(result, input_types, a->input_count, false);
  LLVMValueRef assembly =
      LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true, false,
                       a->is_att ? LLVMInlineAsmDialectATT : LLVMInlineAsmDialectIntel, false);
  LLVMValueRef call = LLVMBuildCall2(l->builder, type, assembly, a->input, a->input_count, "");
  unsigned elementtype = LLVMGetEnumAttributeKindForName("elementtype", 11);
  for (unsigned i = 0; i < a->input_count; i++)
    if (a->input_memory[i])
      LLVMAddCallSiteAttribute(call, i + 1,
                               LLVMCreateTypeAttribute(l->context, elementtype, a->input_memory[i]));
  if (a->output_count == 1)
    a->output[0] = call;
  else
    for (unsigned i = 0; i < a->output_count; i++)
      a->output[i] = LLVMBuildExtractValue(l->builder, call, i, "");
}

/* --- Operands --------------------------------------------------------------------------------- */

/* How Intel syntax names the size of a memory operand. */
static const char *size_name(unsigned bytes) {
  switch (bytes) {
  case 1:
    return "byte ptr ";
  case 2:
    return "word ptr ";
  case 4:
    return "dword ptr ";
  case 8:
    return "qword ptr ";
  case 10:
    return "tbyte ptr ";
  case 16:
    return "xmmword ptr ";
  case 32:
    return "ymmword ptr ";
  default:
    return ""; /* fnstenv, clflush …: the mnemonic says it */
  }
}

/* Where operands went, as the text needs it. */
struct placement {
  int output, input; /* its number; -1: none */
};

/* The result of an instruction that accesses memory is tied to its register's old value even where
 * that is not read: computing the address (fs, gs, 16 bits) would else be free to use that register,
 * and a fault would find it changed. */
static bool accesses_memory(const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (operand_is(insn, i, OPERAND_MEMORY))
      return true;
  return false;
}

/* --- Vector registers of VEX forms ------------------------------------------------------------ */

/* The lower halves of registers that are named in the text. */
struct named_registers {
  uint8_t used, written; /* a bit a register */
  int output[GUEST_XMM_COUNT];
};

static void name_register(struct named_registers *named, unsigned reg, bool written) {
  named->used |= (uint8_t)(1 << reg);
  if (written)
    named->written |= (uint8_t)(1 << reg);
}

/* A register that is written is an input, too: LLVM must not use it for anything before. */
static void add_named(struct assembly *a, struct named_registers *named) {
  for (unsigned reg = 0; reg < GUEST_XMM_COUNT; reg++) {
    char constraint[16];
    snprintf(constraint, sizeof constraint, "={xmm%u}", reg);
    if (named->written & 1 << reg)
      named->output[reg] = (int)add_output(a, constraint, a->l->xmm_type);
    if (named->used & 1 << reg)
      add_input(a, constraint + 1, a->l->xmm[reg]);
  }
}

static void write_named(struct assembly *a, const struct named_registers *named) {
  for (unsigned reg = 0; reg < GUEST_XMM_COUNT; reg++)
    if (named->written & 1 << reg)
      xmm_write(a->l, reg, a->output[named->output[reg]]);
}

/* --- Placing and writing ---------------------------------------------------------------------- */

static struct placement place_operand(struct assembly *a, const struct insn *insn, unsigned i) {
  struct lifter *l = a->l;
  const struct operand *op = &insn->form.op[i];
  struct placement place = {-1, -1};
  switch (op->kind) {
  case OPERAND_XMM:
    if (insn->form.attributes & INSN_VEX)
      break;
    if (op->written) {
      place.output = (int)add_output(a, "=x", l->xmm_type);
      if (op->read || op->size != 16)
        add_tied(a, (unsigned)place.output, l->xmm[op->reg]);
    } else {
      place.input = (int)add_input(a, "x", l->xmm[op->reg]);
    }
    break;
  case OPERAND_GPR:
    if (op->written) {
      place.output = (int)add_output(a, "=r", lifter_int(l, op->size));
      if (op->read || accesses_memory(insn))
        add_tied(a, (unsigned)place.output, gpr_read(l, op->reg, op->size));
    } else {
      place.input = (int)add_input(a, "r", gpr_read(l, op->reg, op->size));
    }
    break;
  case OPERAND_MEMORY:
    place.input = (int)add_input(a, "*m", guest_pointer(l, operand_address(l, insn, i)));
    a->input_memory[place.input] = LLVMArrayType2(l->i8, op->size);
    a->touches_memory = true;
    break;
  default:
    break;
  }
  return place;
}

static void write_operand(struct assembly *a, const struct insn *insn, unsigned i, struct placement place) {
  const struct operand *op = &insn->form.op[i];
  char text[32];
  switch (op->kind) {
  case OPERAND_MEMORY:
    snprintf(text, sizeof text, "%s$%u", size_name(op->size), a->output_count + (unsigned)place.input);
    break;
  case OPERAND_YMM:
    snprintf(text, sizeof text, "ymm%u", op->reg);
    break;
  case OPERAND_MMX:
    snprintf(text, sizeof text, "mm%u", op->reg);
    break;
  case OPERAND_X87:
    snprintf(text, sizeof text, "st(%u)", op->reg);
    break;
  case OPERAND_CONSTANT:
    snprintf(text, sizeof text, "%u", operand_constant(insn, i));
    break;
  case OPERAND_XMM:
    if (insn->form.attributes & INSN_VEX) {
      snprintf(text, sizeof text, "xmm%u", op->reg);
      break;
    }
    /* fall through */
  default:
    snprintf(text, sizeof text, "$%u",
             place.output >= 0 ? (unsigned)place.output : a->output_count + (unsigned)place.input);
  }
  append(a->text, sizeof a->text, text);
}

static bool operand_is_supported(const struct operand *op) {
  switch (op->kind) {
  case OPERAND_XMM:
  case OPERAND_YMM:
  case OPERAND_GPR:
  case OPERAND_MEMORY:
  case OPERAND_MMX:
  case OPERAND_X87:
  case OPERAND_CONSTANT:
    return true;
  default:
    return false;
  }
}

/* --- Flags ------------------------------------------------------------------------------------ */

static const char *const flag_constraint[FLAG_COUNT] = {
    [FLAG_C] = "={@ccc}", [FLAG_P] = "={@ccp}", [FLAG_Z] = "={@ccz}",
    [FLAG_S] = "={@ccs}", [FLAG_O] = "={@cco}",
};

/* Which flags are asked for, and where they come out. LLVM sets a general register aside for each
 * output, and there are only four that the guest does not live in; so a stencil asks for no flag
 * that nobody reads. `above` (CF = ZF = 0) is one more, where the second instruction of a pair wants
 * it: LLVM would not see it in the two flags that it is made of.
 *
 * In a block LLVM may put what changes the host's flags between the assembly and its own reading of them;
 * there the assembly reads them itself. */
struct flag_outputs {
  uint8_t wanted; /* FLAGS_* */
  bool by_setcc;  /* within the assembly */
  bool wants_above;
  unsigned flag[FLAG_COUNT], above;
};

static struct flag_outputs add_flags(struct assembly *a, const struct insn *insn, uint8_t computed) {
  const struct lifter *l = a->l;
  struct flag_outputs outputs = {.wanted = computed};
  if (l->setting == LIFT_STENCIL) {
    const struct insn *reader = l->last != insn ? l->last : NULL;
    outputs.wants_above = reader && reader->condition != CONDITION_NONE && reader->condition >> 1 == 3;
    uint8_t read = reader && !outputs.wants_above ? reader->flags_read : 0;
    outputs.wanted &= l->flags_live | read;
  }
  if (l->setting == LIFT_REGION)
    outputs.wanted &= l->flags_live;
  outputs.by_setcc = l->setting != LIFT_STENCIL;
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (outputs.wanted & 1 << f)
      outputs.flag[f] = add_output(a, outputs.by_setcc ? "=r" : flag_constraint[f], l->i8);
  if (outputs.wants_above)
    outputs.above = add_output(a, "={@cca}", l->i8);
  return outputs;
}

/* Behind the instruction: its flags into the outputs. */
static void append_setcc(struct assembly *a, const struct flag_outputs *outputs) {
  static const char conditions[FLAG_COUNT] = {
      [FLAG_C] = 'c', [FLAG_P] = 'p', [FLAG_Z] = 'z', [FLAG_S] = 's', [FLAG_O] = 'o'};
  for (unsigned f = 0; f < FLAG_COUNT && outputs->by_setcc; f++)
    if (outputs->wanted & 1 << f) {
      char text[24];
      snprintf(text, sizeof text, "\n\tset%c $%u", conditions[f], outputs->flag[f]);
      append(a->text, sizeof a->text, text);
    }
}

static void write_flags(struct assembly *a, const struct insn *insn, uint8_t computed,
                        const struct flag_outputs *outputs) {
  struct lifter *l = a->l;
  for (unsigned f = 0; f < FLAG_COUNT; f++) {
    if (computed & ~outputs->wanted & 1 << f)
      flag_write(l, f, LLVMGetPoison(l->i1));
    else if (computed & 1 << f)
      flag_write(l, f, LLVMBuildTrunc(l->builder, a->output[outputs->flag[f]], l->i1, ""));
    else if (insn->flags_written & 1 << f)
      flag_write(l, f, LLVMConstNull(l->i1));
  }
  if (outputs->wants_above)
    l->above = LLVMBuildTrunc(l->builder, a->output[outputs->above], l->i1, "");
}

/* --- The family function ---------------------------------------------------------------------- */

void lift_passthrough(struct lifter *l, const struct insn *insn) {
  const struct trait *trait = trait_of(insn->form.mnemonic);
  struct assembly a = {.l = l};
  struct placement place[4];
  struct named_registers named = {0};
  const bool is_vex = insn->form.attributes & INSN_VEX;
  unsigned count = 0;
  for (; count < 4 && insn->form.op[count].kind != OPERAND_NONE; count++) {
    if (!operand_is_supported(&insn->form.op[count])) {
      lift_fail(l, "operand kind is not implemented");
      return;
    }
    place[count] = place_operand(&a, insn, count);
    if (is_vex && (operand_is(insn, count, OPERAND_XMM) || operand_is(insn, count, OPERAND_YMM)))
      name_register(&named, insn->form.op[count].reg, insn->form.op[count].written);
  }

  int xmm0_output = -1, ecx_output = -1;
  if (trait->implicit & IMPLICIT_XMM0_READ)
    add_input(&a, "{xmm0}", l->xmm[0]);
  if (trait->implicit & IMPLICIT_XMM0_WRITTEN && is_vex)
    name_register(&named, 0, true);
  else if (trait->implicit & IMPLICIT_XMM0_WRITTEN)
    xmm0_output = (int)add_output(&a, "={xmm0}", l->xmm_type);
  if (trait->implicit & IMPLICIT_EAX_EDX_READ) {
    add_input(&a, "{eax}", l->gpr[GPR_EAX]);
    add_input(&a, "{edx}", l->gpr[GPR_EDX]);
  }
  if (trait->implicit & IMPLICIT_ECX_WRITTEN) {
    ecx_output = (int)add_output(&a, "={ecx}", l->i32);
    if (accesses_memory(insn))
      add_tied(&a, (unsigned)ecx_output, l->gpr[GPR_ECX]);
  }
  add_named(&a, &named);
  struct flag_outputs flag_outputs = add_flags(&a, insn, trait->flags);
  a.clobbers_flags = insn->flags_changed != 0;

  if (operand_is(insn, 0, OPERAND_MEMORY) && (insn->form.op[0].size == 14 || insn->form.op[0].size == 94))
    append(a.text, sizeof a.text, ".byte 0x66\n\t"); /* fnstenv and its kin in their 16-bit format */
  append(a.text, sizeof a.text, trait->spelling ? trait->spelling : insn_name(&insn->form));
  unsigned first = trait->implicit & DROP_FIRST_OPERAND ? 1 : 0;
  for (unsigned i = first; i < count; i++) {
    append(a.text, sizeof a.text, i == first ? " " : ", ");
    write_operand(&a, insn, i, place[i]);
  }
  append_setcc(&a, &flag_outputs);
  assembly_emit(&a);

  for (unsigned i = 0; i < count; i++)
    if (place[i].output >= 0 && operand_is(insn, i, OPERAND_XMM))
      xmm_write(l, insn->form.op[i].reg, a.output[place[i].output]);
    else if (place[i].output >= 0)
      gpr_write(l, insn->form.op[i].reg, insn->form.op[i].size, a.output[place[i].output]);
  write_named(&a, &named);
  if (xmm0_output >= 0)
    xmm_write(l, 0, a.output[xmm0_output]);
  if (ecx_output >= 0)
    gpr_write(l, GPR_ECX, 4, a.output[ecx_output]);
  write_flags(&a, insn, trait->flags, &flag_outputs);
}

/* The address of each element is the base, which LLVM puts into a register, plus an element of the index
 * register. In AT&T syntax, where that need not be given a size. A fault leaves the elements before it done
 * and their masks cleared, as the CPU does it. */
void lift_gather(struct lifter *l, const struct insn *insn) {
  enum { TARGET, MEMORY, MASK };
  const struct operand *op = insn->form.op;
  struct insn base = *insn;
  base.form.op[MEMORY].index = REGISTER_NONE;
  base.form.op[MEMORY].vector_index = 0;

  struct assembly a = {.l = l, .is_att = true, .touches_memory = true};
  struct named_registers named = {0};
  name_register(&named, op[TARGET].reg, true);
  name_register(&named, op[MASK].reg, true);
  name_register(&named, op[MEMORY].index, false);
  const unsigned input = add_input(&a, "r", operand_address(l, &base, MEMORY));
  add_named(&a, &named);
  const char class[2] = {'x', 'y'};
  snprintf(a.text, sizeof a.text, "%s %%%cmm%u, (${%u:k},%%%cmm%u,%u), %%%cmm%u", insn_name(&insn->form),
           class[op[MASK].kind == OPERAND_YMM], op[MASK].reg, a.output_count + input, class[op[MEMORY].hole],
           op[MEMORY].index, 1u << op[MEMORY].scale, class[op[TARGET].kind == OPERAND_YMM], op[TARGET].reg);
  assembly_emit(&a);
  write_named(&a, &named);
}

void passthrough_text(struct lifter *l, const char *text) {
  struct assembly a = {.l = l};
  append(a.text, sizeof a.text, text);
  assembly_emit(&a);
}
