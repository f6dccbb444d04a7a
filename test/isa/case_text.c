/* Reading and writing the text of a case. native.c, a guest program and so compiled from one file,
 * includes this one. */
#include "case_text.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_LIMIT = 256 }; /* an eip in so many bytes behind the entry is shown as an offset */
enum {
  FLAGS_SHOWN = 0xcd5, /* CF PF AF ZF SF DF OF */
  FLAGS_ALWAYS = 0x202,
  STATUS_TOP = 0x3800,
};

static const char *const gpr_name[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

static const struct {
  char letter;
  uint32_t eflag, status; /* the bit in EFLAGS, or in the x87 status word */
} flag_letter[] = {
    {'C', 0x001, 0}, {'P', 0x004, 0}, {'A', 0x010, 0}, {'Z', 0x040, 0}, {'S', 0x080, 0},  {'D', 0x400, 0},
    {'O', 0x800, 0}, {'0', 0, 0x100}, {'1', 0, 0x200}, {'2', 0, 0x400}, {'3', 0, 0x4000},
};
enum { FLAG_LETTERS = sizeof flag_letter / sizeof flag_letter[0] };

/* --- Reading a case ------------------------------------------------------------------------ */

int case_hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int case_read_bytes(const char **text, uint8_t *bytes, int limit) {
  int count = 0;
  while (case_hex_digit((*text)[0]) >= 0) {
    int low = case_hex_digit((*text)[1]);
    if (low < 0 || count == limit)
      return -1;
    bytes[count++] = (uint8_t)(case_hex_digit((*text)[0]) << 4 | low);
    *text += 2;
  }
  return count;
}

/* A register of `length` bytes, written as one number: most significant byte first. */
static bool read_wide(const char *text, uint8_t *bytes, int length) {
  uint8_t reversed[32];
  if (case_read_bytes(&text, reversed, length) != length || *text)
    return false;
  for (int i = 0; i < length; i++)
    bytes[i] = reversed[length - 1 - i];
  return true;
}

static bool read_number(const char *text, uint32_t *value) {
  char *end;
  *value = (uint32_t)strtoul(text, &end, 16);
  return end != text && !*end;
}

static bool read_flags(const char *text, uint32_t *eflags, uint16_t *status) {
  for (; *text; text++) {
    int i = 0;
    while (i < FLAG_LETTERS && flag_letter[i].letter != *text)
      i++;
    if (i == FLAG_LETTERS)
      return false;
    *eflags |= flag_letter[i].eflag;
    *status |= (uint16_t)flag_letter[i].status;
  }
  return true;
}

/* One NAME=VALUE into the state, or into what is not compared. */
static bool read_setting(struct machine *machine, struct case_masks *undefined, int *st_count,
                         const char *name, const char *value) {
  uint32_t number;
  for (int i = 0; i < 8; i++)
    if (!strcmp(name, gpr_name[i]))
      return read_number(value, &machine->gpr[i]);
  if (!strcmp(name, "flags")) {
    uint16_t none = 0;
    return read_flags(value, &machine->eflags, &none);
  }
  if (!strcmp(name, "undefined"))
    return read_flags(value, &undefined->eflags, &undefined->status);
  if (name[0] == 'm' && isxdigit((unsigned char)name[1]) && strlen(name) == 4) {
    if (!read_number(name + 1, &number))
      return false;
    return number < CASE_PAGE &&
           case_read_bytes(&value, machine->memory + number, (int)(CASE_PAGE - number)) > 0 && !*value;
  }
  if (!strncmp(name, "xmm", 3) && name[3] >= '0' && name[3] <= '7' && !name[4])
    return read_wide(value, machine->fpu.xmm[name[3] - '0'], 16);
  if (!strncmp(name, "ymm", 3) && name[3] >= '0' && name[3] <= '7' && !name[4]) {
    uint8_t bytes[32];
    if (!read_wide(value, bytes, 32))
      return false;
    memcpy(machine->fpu.xmm[name[3] - '0'], bytes, 16);
    memcpy(machine->ymm_high[name[3] - '0'], bytes + 16, 16);
    return true;
  }
  if (!strncmp(name, "mm", 2) && name[2] >= '0' && name[2] <= '7' && !name[3]) {
    uint8_t *bytes = machine->fpu.st[name[2] - '0'].bytes;
    bytes[8] = bytes[9] = 0xff;
    return read_wide(value, bytes, 8);
  }
  if (!strncmp(name, "st", 2) && name[2] >= '0' && name[2] <= '7' && !name[3]) {
    if (name[2] - '0' != *st_count)
      return false; /* in order, without holes: TOP follows from how many there are */
    ++*st_count;
    return read_wide(value, machine->fpu.st[name[2] - '0'].bytes, 10);
  }
  if (!read_number(value, &number))
    return false;
  if (!strcmp(name, "fcw"))
    machine->fpu.fcw = (uint16_t)number;
  else if (!strcmp(name, "fsw"))
    machine->fpu.fsw = (uint16_t)number;
  else if (!strcmp(name, "tags"))
    machine->fpu.tags = (uint8_t)number;
  else if (!strcmp(name, "mxcsr"))
    machine->fpu.mxcsr = number;
  else
    return false;
  return true;
}

void case_usual_state(struct machine *machine) {
  memset(machine, 0, sizeof *machine);
  static const uint32_t start[8] = {0xa3a2a1a0,
                                    0xc3c2c1c0,
                                    0xd3d2d1d0,
                                    0xb3b2b1b0,
                                    CASE_SCRATCH + CASE_STACK_TOP,
                                    CASE_SCRATCH + 0x300,
                                    CASE_SCRATCH + 0x100,
                                    CASE_SCRATCH + 0x200};
  memcpy(machine->gpr, start, sizeof start);
  machine->eflags = FLAGS_ALWAYS;
  machine->fpu.fcw = 0x37f;
  machine->fpu.mxcsr = 0x1f80;
}

bool case_read(const char *text, size_t length, struct machine *machine, struct case_masks *undefined) {
  case_usual_state(machine);
  memset(undefined, 0, sizeof *undefined);
  int st_count = 0;
  char copy[CASE_TEXT_LIMIT];
  if (length >= sizeof copy)
    return false;
  memcpy(copy, text, length);
  copy[length] = 0;
  for (char *token = strtok(copy, " "); token; token = strtok(NULL, " ")) {
    char *equals = strchr(token, '=');
    if (!equals)
      return false;
    *equals = 0;
    if (!read_setting(machine, undefined, &st_count, token, equals + 1))
      return false;
  }
  if (st_count) {
    unsigned top = (unsigned)(8 - st_count) & 7;
    machine->fpu.fsw = (uint16_t)((machine->fpu.fsw & ~STATUS_TOP) | top << 11);
    for (int i = 0; i < st_count; i++)
      machine->fpu.tags |= (uint8_t)(1 << ((top + (unsigned)i) & 7));
  }
  return true;
}

/* --- Writing a result ----------------------------------------------------------------------- */

static void put(struct case_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct case_text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text->at + text->length, sizeof text->at - text->length, format, arguments);
  va_end(arguments);
  if (length < 0 || text->length + (size_t)length >= sizeof text->at)
    text->cut = true;
  else
    text->length += (size_t)length;
}

static void put_wide(struct case_text *text, const char *name, int number, const uint8_t *bytes, int length) {
  put(text, " %s%d=", name, number);
  for (int i = length - 1; i >= 0; i--)
    put(text, "%02x", bytes[i]);
}

static void put_signal(struct case_text *text, const struct machine *out, uint32_t entry) {
  static const struct {
    int number;
    const char *name;
  } names[] = {
      {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGTRAP, "SIGTRAP"}};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].number == out->signal)
      put(text, " %s code=%d", names[i].name, out->signal_code);
  uint32_t offset = out->signal_eip - entry;
  put(text, offset < CODE_LIMIT ? " eip=+%x" : " eip=%08x", offset < CODE_LIMIT ? offset : out->signal_eip);
  /* SEGV_MAPERR, SEGV_ACCERR: a page fault, which has an address. */
  if (out->signal == SIGSEGV && (out->signal_code == 1 || out->signal_code == 2))
    put(text, " address=%08x", out->signal_address);
}

static void put_memory(struct case_text *text, const struct machine *in, const struct machine *out) {
  enum { UNIT = 4 };
  bool open = false;
  for (int at = 0; at < CASE_PAGE; at += UNIT) {
    if (!memcmp(in->memory + at, out->memory + at, UNIT)) {
      open = false;
      continue;
    }
    if (!open)
      put(text, " m%03x=", at);
    open = true;
    for (int i = 0; i < UNIT; i++)
      put(text, "%02x", out->memory[at + i]);
  }
}

static void put_mmx(struct case_text *text, const struct fpu_image *in, const struct fpu_image *out) {
  for (int i = 0; i < 8; i++)
    if (memcmp(in->st[i].bytes, out->st[i].bytes, 10))
      put_wide(text, "mm", i, out->st[i].bytes,
               out->st[i].bytes[8] == 0xff && out->st[i].bytes[9] == 0xff ? 8 : 10);
  if (in->tags != out->tags)
    put(text, " tags=%02x", out->tags);
}

static void put_ymm(struct case_text *text, int number, const struct machine *out) {
  uint8_t bytes[32];
  memcpy(bytes, out->fpu.xmm[number], 16);
  memcpy(bytes + 16, out->ymm_high[number], 16);
  put_wide(text, "ymm", number, bytes, 32);
}

static void put_x87(struct case_text *text, const struct fpu_image *in, const struct fpu_image *out) {
  bool same_stack = in->tags == out->tags && (in->fsw & STATUS_TOP) == (out->fsw & STATUS_TOP);
  for (int i = 0; same_stack && i < 8; i++)
    same_stack = !memcmp(in->st[i].bytes, out->st[i].bytes, 10);
  unsigned top = (unsigned)out->fsw >> 11 & 7;
  for (unsigned i = 0; !same_stack && i < 8; i++)
    if (out->tags >> ((top + i) & 7) & 1)
      put_wide(text, "st", (int)i, out->st[i].bytes, 10);
}

void case_write(struct case_text *text, const struct machine *in, const struct machine *out, uint32_t entry,
                const struct case_masks *undefined, bool mmx_view) {
  text->length = 0;
  text->cut = false;
  text->at[0] = 0;
  if (out->signal)
    put_signal(text, out, entry);
  for (int i = 0; i < 8; i++)
    if (in->gpr[i] != out->gpr[i])
      put(text, " %s=%08x", gpr_name[i], out->gpr[i]);
  uint32_t shown = FLAGS_SHOWN & ~undefined->eflags;
  if ((in->eflags ^ out->eflags) & shown) {
    put(text, " flags=");
    for (int i = 0; i < FLAG_LETTERS; i++)
      if (flag_letter[i].eflag & out->eflags & shown)
        put(text, "%c", flag_letter[i].letter);
  }
  put_memory(text, in, out);
  for (int i = 0; i < 8; i++)
    if (memcmp(in->ymm_high[i], out->ymm_high[i], 16))
      put_ymm(text, i, out);
    else if (memcmp(in->fpu.xmm[i], out->fpu.xmm[i], 16))
      put_wide(text, "xmm", i, out->fpu.xmm[i], 16);
  if (in->fpu.mxcsr != out->fpu.mxcsr)
    put(text, " mxcsr=%04x", out->fpu.mxcsr);
  (mmx_view ? put_mmx : put_x87)(text, &in->fpu, &out->fpu);
  if (in->fpu.fcw != out->fpu.fcw)
    put(text, " fcw=%04x", out->fpu.fcw);
  if ((in->fpu.fsw ^ out->fpu.fsw) & ~undefined->status & 0xffff)
    put(text, " fsw=%04x", out->fpu.fsw & ~undefined->status);
}
