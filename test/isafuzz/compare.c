/* Comparing two results: all of the machine, but what the tables leave out. */
#include "fuzzer.h"
#include "known.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_FAULT = 14 };

struct comparison {
  char *text;
  size_t length;
  bool differs;
};

static void differ(struct comparison *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void differ(struct comparison *c, const char *format, ...) {
  c->differs = true;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(c->text + c->length, DIFFERENCE_LIMIT - c->length, format, arguments);
  va_end(arguments);
  if (length > 0 && c->length + (size_t)length < DIFFERENCE_LIMIT)
    c->length += (size_t)length;
}

static void number(struct comparison *c, const char *name, uint32_t native, uint32_t emulated) {
  if (native != emulated)
    differ(c, " %s=%x/%x", name, native, emulated);
}

static void wide(struct comparison *c, const char *name, int index, const uint8_t *native,
                 const uint8_t *emulated, int length) {
  if (!memcmp(native, emulated, (size_t)length))
    return;
  differ(c, " %s%d=", name, index);
  for (int i = length - 1; i >= 0; i--)
    differ(c, "%02x", native[i]);
  differ(c, "/");
  for (int i = length - 1; i >= 0; i--)
    differ(c, "%02x", emulated[i]);
}

static void fpu(struct comparison *c, const struct fpu_image *a, const struct fpu_image *b) {
  number(c, "fcw", a->fcw, b->fcw);
  number(c, "fsw", a->fsw, b->fsw);
  number(c, "tags", a->tags, b->tags);
  /* A switch to another process and back, between the instruction and the next one that has an exception, loses
   * the pointers on AMD's CPUs, and the selectors on all: 64-bit kernels do not keep them. */
  if (a->fip && b->fip) {
    number(c, "fop", a->fop, b->fop);
    number(c, "fip", a->fip, b->fip);
  }
  if (a->fcs && b->fcs)
    number(c, "fcs", a->fcs, b->fcs);
  if (a->fdp && b->fdp) {
    number(c, "fdp", a->fdp, b->fdp);
    if (a->fds && b->fds)
      number(c, "fds", a->fds, b->fds);
  }
  number(c, "mxcsr", a->mxcsr, b->mxcsr);
  for (int i = 0; i < 8; i++)
    wide(c, "st", i, a->st[i].bytes, b->st[i].bytes, 10);
  for (int i = 0; i < 8; i++)
    wide(c, "xmm", i, a->xmm[i], b->xmm[i], 16);
}

static void how_it_ended(struct comparison *c, const struct result *a, const struct result *b,
                         unsigned known) {
  if (b->signal == SIGNAL_DIED || b->signal == SIGNAL_HUNG)
    differ(c, " the emulator %s (wait status %#x)", b->signal == SIGNAL_DIED ? "died" : "hangs", b->code);
  else if (b->signal == SIGALRM)
    differ(c, " the emulator does not end");
  else
    number(c, "signal", a->signal, b->signal);
  number(c, "trap", a->trap, b->trap);
  if (!(known & KNOWN_CODE)) {
    number(c, "code", a->code, b->code);
    number(c, "error", a->error, b->error);
  }
  if (!(known & (KNOWN_ADDRESS | KNOWN_EIP))) {
    number(c, "address", a->address, b->address);
    if (a->trap == PAGE_FAULT) /* others leave an older one there */
      number(c, "cr2", a->cr2, b->cr2);
  }
  if (!(known & KNOWN_EIP))
    number(c, "eip", a->eip, b->eip);
}

/* What is known about the instruction that faulted. */
static unsigned known_of(const struct program *program, uint32_t entry, const struct result *result) {
  enum { DEBUG_TRAP = 1 };
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  uint32_t at = result->eip - entry;
  /* An int1 of another program, which this one jumped to. */
  if (at >= program->length && result->trap == DEBUG_TRAP) {
    zi.mnemonic = ZYDIS_MNEMONIC_INT1;
    zi.attributes = 0;
    return known_parts(result->trap, &zi);
  }
  if (!result->signal || at >= program->length || !decode(program->code + at, program->length - at, &zi, zo))
    return 0;
  return known_parts(result->trap, &zi);
}

bool compare_results(const struct result *a, const struct result *b, const struct program *program,
                     uint32_t entry, const struct masks *masks, char text[DIFFERENCE_LIMIT]) {
  static const char *const gpr[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
  static const char *const segment[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
  struct comparison c = {.text = text};
  text[0] = 0;
  if (b->signal == SIGNAL_SKIPPED || a->signal == SIGALRM)
    return true;
  unsigned known = known_of(program, entry, a);
  if (known & KNOWN_ALL && b->signal != SIGNAL_DIED && b->signal != SIGNAL_HUNG)
    return true;
  how_it_ended(&c, a, b, known);
  if (a->signal != b->signal)
    return !c.differs;
  for (int i = 0; i < 8 && !(known & KNOWN_REGISTERS); i++)
    number(&c, gpr[i], a->gpr[i], b->gpr[i]);
  uint32_t ignored = a->signal ? masks->anywhere : masks->at_end;

  number(&c, "eflags", a->eflags & ~ignored, b->eflags & ~ignored);
  for (int i = 0; i < 6; i++)
    number(&c, segment[i], a->segment[i], b->segment[i]);
  if (memcmp(a->memory_digest, b->memory_digest, sizeof a->memory_digest))
    differ(&c, " memory");
  if (memcmp(&a->fpu, &b->fpu, offsetof(struct fpu_image, rest)))
    fpu(&c, &a->fpu, &b->fpu);
  for (int i = 0; i < 8; i++)
    wide(&c, "ymm_high", i, a->ymm_high[i], b->ymm_high[i], 16);
  return !c.differs;
}
