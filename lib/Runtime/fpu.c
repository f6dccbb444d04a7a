/* The guest's x87, MMX, SSE state, which is the host's own, as images in memory (docs/fpu.md). */
#include "Runtime/fpu.h"
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

#include <string.h>

/* FXSAVE (SDM vol. 1, 10.5.1). */
enum {
  FXSAVE_FOP = 6,
  FXSAVE_FIP = 8,
  FXSAVE_MXCSR = 24,
  FXSAVE_MXCSR_MASK = 28,
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

/* The guest instruction whose host code has the low 32 bits `fip` in its address. */
static bool guest_instruction_of(uint32_t fip, guest_addr *eip) {
  uintptr_t base = (uintptr_t)code_cache.code;
  uintptr_t pc = base + (uint32_t)(fip - (uint32_t)base);
  const struct code_unit *unit = code_cache_contains(pc) ? unit_of_pc(pc) : NULL;
  bool exact;
  int index = unit ? unit_insn_of_pc(unit, pc, &exact) : -1;
  if (index < 0)
    return false;
  *eip = unit->low + unit->insn[index].guest;
  return true;
}

/* The opcode as FOP has it: the low three bits of d8-df, and the byte after. The host's differs where
 * the guest's registers live in others. 0 if there is no such instruction at eip any more. */
static uint16_t opcode_at(guest_addr eip) {
  uint8_t bytes[16];
  size_t size = sizeof bytes, at = 0;
  while (size && guest_copy_in(bytes, eip, size) < 0)
    size--;
  static const char prefixes[] = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3";
  while (at < size && memchr(prefixes, bytes[at], sizeof prefixes - 1))
    at++;
  bool found = at + 1 < size && (bytes[at] & 0xF8) == 0xD8;
  return found ? (uint16_t)((bytes[at] & 7) << 8 | bytes[at + 1]) : 0;
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
  *opcode = opcode_at(eip);
  if (kept) {
    pointers->fcs = cpu->segment_selector[SEG_CS];
    if (pointers->fdp && !pointers->fds)
      pointers->fds = cpu->segment_selector[SEG_DS];
  }
  return true;
}

void fpu_correct_environment(const struct cpu_state *cpu, guest_addr image) {
  struct fpu_pointers pointers;
  /* The guest has just stored it; if another thread took the page away meanwhile, so be it. */
  if (guest_copy_in(&pointers, image + ENVIRONMENT_FIP, sizeof pointers) == 0 &&
      correct_pointers(cpu, &pointers, &pointers.fop))
    guest_copy_out(image + ENVIRONMENT_FIP, &pointers, sizeof pointers);
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
  __asm__ volatile("fxrstor %0" : : "m"(image));
}
