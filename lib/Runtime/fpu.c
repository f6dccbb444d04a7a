/* The guest's x87, MMX, SSE and AVX state, which is the host's own, as images in memory (docs/fpu.md). */
#include "Runtime/fpu.h"
#include "Runtime/cpuid.h"
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

#include <string.h>

/* FXSAVE (SDM vol. 1, 10.5.1). */
enum {
  FXSAVE_FOP = 6,
  FXSAVE_FIP = 8,
  FXSAVE_FDP = 16,
  FXSAVE_MXCSR = 24,
  FXSAVE_MXCSR_MASK = 28,
  FXSAVE_ST = 32,
  FXSAVE_XMM = 160,
  FXSAVE_XMM_SIZE = 128,
};
_Static_assert(FXSAVE_XMM + FXSAVE_XMM_SIZE == FXSAVE_WRITTEN, "xmm7 is the last");
/* FNSTENV and FNSAVE in 32-bit protected mode (SDM vol. 1, 8.1.10). */
enum { ENVIRONMENT_FIP = 12 };

/* --- The last instruction's address ---------------------------------------------------------------- */

/* FCS:FIP and FDS:FDP, as all three images have them. */
struct fpu_pointers {
  uint32_t fip;
  uint16_t fcs, fop; /* fop: not in fxsave's image, which has it elsewhere */
  uint32_t fdp;
  uint16_t fds, unused;
};
_Static_assert(sizeof(struct fpu_pointers) == 16, "as in the images");

static const uint8_t segment_prefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65}; /* in the order of enum segment */
static const uint8_t other_prefixes[] = {0x66, 0x67, 0xF0, 0xF2, 0xF3};

static bool is_x87_opcode(uint8_t byte) { return (byte & 0xF8) == 0xD8; }

/* Does one of the host's x87 instructions begin at pc? */
static bool is_host_x87(const uint8_t *pc) {
  enum { LONGEST = 15 };
  const uint8_t *end = pc + LONGEST;
  while (pc < end && (memchr(segment_prefixes, *pc, sizeof segment_prefixes) ||
                      memchr(other_prefixes, *pc, sizeof other_prefixes) || (*pc & 0xF0) == 0x40 /* REX */))
    pc++;
  return is_x87_opcode(*pc);
}

static bool find_instruction(uint32_t fip, guest_addr *eip) {
  uintptr_t base = (uintptr_t)code_cache.code;
  uintptr_t pc = base + (uint32_t)(fip - (uint32_t)base);
  const struct code_unit *unit = code_cache_contains(pc) ? unit_of_pc(pc) : NULL;
  if (unit && !is_host_x87((const uint8_t *)pc)) /* a number that the guest made up */
    return false;
  bool exact;
  int index = unit ? unit_insn_of_pc(unit, pc, &exact) : -1;
  if (index < 0)
    return false;
  *eip = unit->low + unit->insn[index].guest;
  return true;
}

/* The guest instruction whose host code has the low 32 bits `fip` in its address. */
static bool guest_instruction_of(uint32_t fip, guest_addr *eip) {
  engine_lock(); /* its unit may be freed: in a system call the thread counts as outside of it */
  const bool found = find_instruction(fip, eip);
  engine_unlock();
  return found;
}

/* What the images tell of the x87 instruction at eip, beside its address. */
struct fpu_insn {
  uint16_t opcode; /* as FOP has it: the low three bits of d8-df, and the byte after; the host's differs
                    * where the guest's registers live in others. 0: there is none at eip any more */
  bool has_memory;
  enum segment segment; /* of its operand */
};

static struct fpu_insn fpu_insn_at(guest_addr eip) {
  uint8_t bytes[16];
  size_t size = sizeof bytes, at = 0;
  struct fpu_insn insn = {.segment = SEG_DS};
  while (size && guest_copy_in(bytes, eip, size) < 0)
    size--;
  for (; at < size; at++) {
    const uint8_t *prefix = memchr(segment_prefixes, bytes[at], sizeof segment_prefixes);
    if (prefix)
      insn.segment = (enum segment)(prefix - segment_prefixes);
    else if (!memchr(other_prefixes, bytes[at], sizeof other_prefixes))
      break;
  }
  if (at + 1 < size && is_x87_opcode(bytes[at])) {
    insn.opcode = (uint16_t)((bytes[at] & 7) << 8 | bytes[at + 1]);
    insn.has_memory = bytes[at + 1] < 0xC0;
  }
  return insn;
}

static uint16_t host_code_selector(void) {
  uint16_t selector;
  __asm__("mov %%cs, %0" : "=r"(selector));
  return selector;
}

/* What translated code left becomes what i386 code would have left. A pointer that the guest loaded
 * itself has its own selector, and stays. CPUs that no longer keep selectors store zero. */
static bool correct_pointers(const struct cpu_state *cpu, struct fpu_pointers *pointers, uint16_t *opcode) {
  guest_addr eip;
  bool kept = pointers->fcs == host_code_selector();
  if ((!kept && pointers->fcs != 0) || pointers->fip == 0 || !guest_instruction_of(pointers->fip, &eip))
    return false;
  pointers->fip = eip;
  const struct fpu_insn insn = fpu_insn_at(eip + cpu->segment_base[SEG_CS]);
  *opcode = insn.opcode;
  if (kept)
    pointers->fcs = cpu->segment_selector[SEG_CS];
  enum segment segment = insn.segment;
  if (!insn.has_memory) { /* it was another's operand */
    const bool is_noted = pointers->fdp == cpu->fpu_operand.address && cpu->fpu_operand.segment;
    if (pointers->fdp == 0 || (is_noted && cpu->fpu_operand.segment == FPU_OPERAND_LOADED))
      return true;
    segment = is_noted ? (enum segment)(cpu->fpu_operand.segment - 1) : SEG_DS;
  }
  pointers->fdp -= cpu->segment_base[segment]; /* it is an offset in the segment */
  if (kept)
    pointers->fds = cpu->segment_selector[segment];
  return true;
}

void fpu_correct_environment(const struct cpu_state *cpu, guest_addr image) {
  struct fpu_pointers pointers;
  /* The guest has just stored it; if another thread took the page away meanwhile, so be it. */
  if (guest_copy_in(&pointers, image + ENVIRONMENT_FIP, sizeof pointers) == 0 &&
      correct_pointers(cpu, &pointers, &pointers.fop))
    guest_copy_out(image + ENVIRONMENT_FIP, &pointers, sizeof pointers);
}

void fpu_note_environment(struct cpu_state *cpu, guest_addr image, bool is_short) {
  enum { FDP = 20, FDP_SHORT = 10 };
  cpu->fpu_operand.address = 0;
  cpu->fpu_operand.segment = FPU_OPERAND_LOADED;
  guest_copy_in(&cpu->fpu_operand.address, image + (is_short ? FDP_SHORT : FDP), is_short ? 2 : 4);
}

/* --- Whole images ------------------------------------------------------------------------------------- */

void runtime_fpu_save(const struct cpu_state *cpu, void *fxsave) {
  uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16)));
  struct fpu_pointers pointers;
  uint16_t opcode;
  __asm__ volatile("fxsave %0" : "=m"(image));
  memcpy(&pointers, image + FXSAVE_FIP, sizeof pointers);
  if (correct_pointers(cpu, &pointers, &opcode)) {
    memcpy(image + FXSAVE_FIP, &pointers, sizeof pointers);
    memcpy(image + FXSAVE_FOP, &opcode, sizeof opcode);
  }
  memcpy(image + FXSAVE_XMM, cpu->xmm, FXSAVE_XMM_SIZE);
  memset(image + FXSAVE_WRITTEN, 0, FXSAVE_SIZE - FXSAVE_WRITTEN);
  memcpy(fxsave, image, FXSAVE_SIZE);
}

/* Bits of MXCSR that may be set. */
static uint32_t mxcsr_mask(void) {
  uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16)));
  __asm__ volatile("fxsave %0" : "=m"(image));
  uint32_t mask;
  memcpy(&mask, image + FXSAVE_MXCSR_MASK, sizeof mask);
  return mask ? mask : 0xFFBF;
}

bool fpu_image_is_valid(const void *fxsave) {
  uint32_t mxcsr;
  memcpy(&mxcsr, (const uint8_t *)fxsave + FXSAVE_MXCSR, sizeof mxcsr);
  return (mxcsr & ~mxcsr_mask()) == 0;
}

void runtime_fpu_load(struct cpu_state *cpu, const void *fxsave) {
  uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16)));
  uint32_t mxcsr;
  memcpy(image, fxsave, FXSAVE_SIZE);
  memcpy(&mxcsr, image + FXSAVE_MXCSR, sizeof mxcsr);
  mxcsr &= mxcsr_mask();
  memcpy(image + FXSAVE_MXCSR, &mxcsr, sizeof mxcsr);
  memcpy(cpu->xmm, image + FXSAVE_XMM, FXSAVE_XMM_SIZE);
  memcpy(&cpu->fpu_operand.address, image + FXSAVE_FDP, sizeof cpu->fpu_operand.address);
  cpu->fpu_operand.segment = FPU_OPERAND_LOADED;
  __asm__ volatile("fxrstor %0" : : "m"(image));
}

/* --- xsave and its kin (SDM vol. 1, 13.4 to 13.8) ------------------------------------------------------ */

uint8_t fpu_uses_ymm;

/* On a host without ymm registers nobody uses them: what tries is #UD. */
void runtime_use_ymm(void) {
  if (host_xcr0() & XSTATE_YMM)
    fpu_uses_ymm = 1;
}

enum { MXCSR_AT_RESET = 0x1F80, XSAVE_ALIGNMENT = 64, XSAVE_YMM_WRITTEN = 128 };
_Static_assert(sizeof((struct cpu_state *)0)->ymm_high == XSAVE_YMM_WRITTEN, "ymm7 is the last");

/* Bytes 512-575. */
struct xsave_header {
  uint64_t components; /* XSTATE_BV */
  uint64_t compact;    /* XCOMP_BV */
  uint64_t reserved[6];
};
_Static_assert(sizeof(struct xsave_header) == XSAVE_HEADER_SIZE, "as in the image");
#define XSAVE_COMPACT_FORMAT (1ull << 63)

static bool is_zero(const void *bytes, size_t size) {
  const uint8_t *at = bytes;
  while (size && !*at)
    at++, size--;
  return size == 0;
}

/* The host knows of the x87, which it has; the vector registers are in the register file. */
static uint64_t x87_in_use(void) {
  enum { EXTENDED_STATE = 13, HAS_XGETBV1 = 1 << 2, IN_USE = 1 };
  if (!(guest_cpuid(EXTENDED_STATE, 1).eax & HAS_XGETBV1))
    return XSTATE_X87;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(IN_USE));
  return low & XSTATE_X87;
}

uint64_t fpu_components_in_use(const struct cpu_state *cpu) {
  uint64_t in_use = x87_in_use();
  if (!is_zero(cpu->xmm, sizeof cpu->xmm))
    in_use |= XSTATE_SSE;
  if (!is_zero(cpu->ymm_high, sizeof cpu->ymm_high))
    in_use |= XSTATE_YMM;
  return in_use;
}

/* Is there a byte of [address, address + size), at most two pages, that cannot be accessed? AMD's CPUs name
 * the first one or the very last. */
static bool inaccessible(guest_addr address, uint32_t size, uint8_t permission, guest_addr *where) {
  *where = address;
  if (!(guest_memory_page(address) & permission))
    return true;
  *where = address + size - 1;
  return !(guest_memory_page(*where) & permission);
}

static uint32_t image_size(uint64_t wanted) {
  return wanted & XSTATE_YMM ? XSAVE_YMM + XSAVE_YMM_SIZE : XSAVE_YMM;
}

/* Writes one part of the image. False if another thread has taken the page away since it was looked at. */
static bool put(guest_addr image, uint32_t offset, const void *bytes, size_t size, guest_addr *address) {
  *address = image + offset;
  return guest_copy_out(image + offset, bytes, size) == 0;
}

int fpu_xsave(struct cpu_state *cpu, guest_addr image, uint64_t wanted, enum xsave_kind kind,
              guest_addr *address) {
  if (image % XSAVE_ALIGNMENT)
    return TRAP_GP;
  wanted &= guest_xcr0();
  if (inaccessible(image, image_size(wanted), GUEST_PAGE_WRITE, address))
    return TRAP_PF;

  uint8_t legacy[FXSAVE_SIZE];
  uint32_t mxcsr;
  runtime_fpu_save(cpu, legacy);
  memcpy(&mxcsr, legacy + FXSAVE_MXCSR, sizeof mxcsr);
  uint64_t in_use = fpu_components_in_use(cpu);
  if (mxcsr != MXCSR_AT_RESET)
    in_use |= XSTATE_SSE;

  /* Components in their initial configuration are left out by all but the plain form. */
  const uint64_t written = kind == XSAVE_PLAIN ? wanted : wanted & in_use;
  const uint64_t with_mxcsr =
      kind == XSAVE_COMPACT ? written & XSTATE_SSE : wanted & (XSTATE_SSE | XSTATE_YMM);
  struct xsave_header header = {0};
  if (kind != XSAVE_COMPACT && guest_copy_in(&header, image + XSAVE_HEADER, sizeof header.components) < 0)
    return TRAP_PF;
  header.components = (kind == XSAVE_COMPACT ? 0 : header.components & ~wanted) | (wanted & in_use);
  header.compact = XSAVE_COMPACT_FORMAT | wanted;

  const size_t header_size = kind == XSAVE_COMPACT ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
  bool good = put(image, XSAVE_HEADER, &header, header_size, address);
  if (written & XSTATE_X87)
    good = good && put(image, 0, legacy, FXSAVE_MXCSR, address) &&
           put(image, FXSAVE_ST, legacy + FXSAVE_ST, FXSAVE_XMM - FXSAVE_ST, address);
  if (with_mxcsr)
    good = good && put(image, FXSAVE_MXCSR, legacy + FXSAVE_MXCSR, FXSAVE_ST - FXSAVE_MXCSR, address);
  if (written & XSTATE_SSE)
    good = good && put(image, FXSAVE_XMM, cpu->xmm, FXSAVE_XMM_SIZE, address);
  if (written & XSTATE_YMM)
    good = good && put(image, XSAVE_YMM, cpu->ymm_high, XSAVE_YMM_WRITTEN, address);
  return good ? -1 : TRAP_PF;
}

/* Loads the x87 from an image, or its initial configuration, as xrstor does: the host keeps track of which.
 */
static void restore_x87(const uint8_t legacy[FXSAVE_SIZE], bool initial) {
  struct {
    uint8_t legacy[FXSAVE_SIZE];
    struct xsave_header header;
  } image __attribute__((aligned(XSAVE_ALIGNMENT))) = {.header.components = initial ? 0 : XSTATE_X87};
  memcpy(image.legacy, legacy, FXSAVE_SIZE);
  __asm__ volatile("xrstor %0" : : "m"(image), "a"(XSTATE_X87), "d"(0));
}

static bool header_is_valid(const struct xsave_header *header) {
  const uint64_t known = guest_xcr0();
  if (!(header->compact & XSAVE_COMPACT_FORMAT))
    return !(header->components & ~known) && !header->compact && !header->reserved[0];
  return !(header->compact & ~XSAVE_COMPACT_FORMAT & ~known) && !(header->components & ~header->compact) &&
         is_zero(header->reserved, sizeof header->reserved);
}

int fpu_xrstor(struct cpu_state *cpu, guest_addr image, uint64_t wanted, guest_addr *address) {
  if (image % XSAVE_ALIGNMENT)
    return TRAP_GP;
  wanted &= guest_xcr0();
  uint8_t legacy[FXSAVE_SIZE], ymm_high[XSAVE_YMM_WRITTEN];
  struct xsave_header header;
  *address = image;
  if (guest_copy_in(legacy, image, sizeof legacy) < 0)
    return TRAP_PF;
  *address = image + XSAVE_HEADER;
  if (guest_copy_in(&header, image + XSAVE_HEADER, sizeof header) < 0 ||
      inaccessible(image, image_size(wanted), GUEST_PAGE_READ, address))
    return TRAP_PF;
  if (!header_is_valid(&header))
    return TRAP_GP;
  const bool compact = header.compact & XSAVE_COMPACT_FORMAT;
  const uint64_t loaded = wanted & header.components;
  const bool loads_mxcsr = compact ? loaded & XSTATE_SSE : wanted & (XSTATE_SSE | XSTATE_YMM);
  if (loads_mxcsr && !fpu_image_is_valid(legacy))
    return TRAP_GP;
  if (loaded & XSTATE_YMM) {
    *address = image + XSAVE_YMM;
    if (guest_copy_in(ymm_high, image + XSAVE_YMM, sizeof ymm_high) < 0)
      return TRAP_PF;
  }

  if (wanted & XSTATE_X87)
    restore_x87(legacy, !(loaded & XSTATE_X87));
  uint32_t mxcsr = MXCSR_AT_RESET;
  if (loads_mxcsr)
    memcpy(&mxcsr, legacy + FXSAVE_MXCSR, sizeof mxcsr);
  if (loads_mxcsr || wanted & XSTATE_SSE)
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
  if (loaded & XSTATE_SSE)
    memcpy(cpu->xmm, legacy + FXSAVE_XMM, FXSAVE_XMM_SIZE);
  else if (wanted & XSTATE_SSE)
    memset(cpu->xmm, 0, sizeof cpu->xmm);
  if (loaded & XSTATE_YMM) {
    runtime_use_ymm();
    memcpy(cpu->ymm_high, ymm_high, sizeof ymm_high);
  } else if (wanted & XSTATE_YMM) {
    memset(cpu->ymm_high, 0, sizeof cpu->ymm_high);
  }
  return -1;
}
