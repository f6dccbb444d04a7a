/* The text form of an instruction's case (docs/testing.md): the state before, and what is different
 * afterwards.
 *
 *     eax=1 ecx=2 => ecx=00000003 flags=P
 *
 * native.c reads and writes case files; test/isafuzz prints what it finds in the same form. */
#ifndef UEMU_TEST_ISA_CASE_TEXT_H
#define UEMU_TEST_ISA_CASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a case's memory is: one page, that FS is based at, and GS GS_BASE bytes into it. */
enum { CASE_PAGE = 4096, CASE_SCRATCH = 0x20000000, CASE_GS_BASE = 0x800, CASE_STACK_TOP = 0xc00 };

/* As fxsave writes it (SDM vol. 1, 10.5.1). */
struct fpu_image {
  uint16_t fcw, fsw;
  uint8_t tags, reserved;
  uint16_t fop;
  uint32_t fip, fcs, fdp, fds, mxcsr, mxcsr_mask;
  struct {
    uint8_t bytes[16]; /* 10 used */
  } st[8];
  uint8_t xmm[8][16];
  uint8_t rest[224];
} __attribute__((aligned(16)));

struct machine {
  uint32_t gpr[8]; /* as the encoding numbers them */
  uint32_t eflags;
  struct fpu_image fpu;
  uint8_t memory[CASE_PAGE];
  int signal, signal_code; /* 0: left normally */
  uint32_t signal_eip, signal_address;
  uint8_t ymm_high[8][16]; /* upper halves; all zero where there are none */
};

/* What is not compared: bits of EFLAGS and of the x87 status word. */
struct case_masks {
  uint32_t eflags;
  uint16_t status;
};

enum { CASE_TEXT_LIMIT = 4096 };

struct case_text {
  char at[CASE_TEXT_LIMIT];
  size_t length;
  bool cut; /* there was more */
};

/* The value of a lower-case hexadecimal digit, -1 of anything else. */
int case_hex_digit(char c);

/* Hex digits at *text, two a byte, into `bytes`; returns how many bytes, -1 if malformed. */
int case_read_bytes(const char **text, uint8_t *bytes, int limit);

/* The state that every case starts from. */
void case_usual_state(struct machine *machine);

/* The state that `text`, up to its "=>" or end, describes, over the usual one. False: malformed. */
bool case_read(const char *text, size_t length, struct machine *machine, struct case_masks *undefined);

/* What is different in `out`, a space before each part. `entry` is the code's address; with mmx_view
 * x87 registers are shown as mm0-7, by their place and not by TOP. */
void case_write(struct case_text *text, const struct machine *in, const struct machine *out, uint32_t entry,
                const struct case_masks *undefined, bool mmx_view);

#endif
