/* isa_native: executes the instructions of a case file on the CPU it runs on, be that the real one or
 * the emulator, and compares what they did with what the file says, or writes that down.
 *
 *     isa_native check FILE [LINE]    prints a line a difference; with LINE, begins after that line
 *     isa_native record FILE          prints FILE with every result as this CPU gives it
 *
 * It is an i386 program itself: run by the kernel it asks the CPU, run by uemu-llvm it asks the
 * emulator; the file's results came from a CPU. docs/testing.md explains the files:
 *
 *     01c1  add %eax,%ecx
 *       eax=1 ecx=2 => ecx=00000003 flags=P
 *
 * How a case runs. The code of all headings is laid out first, in pages that are then made
 * executable, each followed by a jump to leave_case: translations are not disturbed by later
 * writes. For each case the whole state is set: general registers, flags, the FXSAVE image, one page
 * of scratch memory (with nothing mapped around it) that also holds the stack, FS based at that page
 * and GS 0x800 bytes into it. enter_case loads it and jumps to the code; leave_case stores the state
 * again. A fault ends in a signal handler that takes the state from the signal frame instead. The
 * result names everything that differs from the state before. */
#include <asm/ldt.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, SCRATCH = 0x20000000, CODE = 0x10000000, GS_BASE = 0x800, STACK_TOP = 0xc00 };
enum { SLOT_ALIGNMENT = 16, SLOT_LIMIT = 256, JUMP_LENGTH = 5, LINE_LIMIT = 4096 };

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

/* Registers as the encoding numbers them. */
static const char *const gpr_name[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

struct machine {
  uint32_t gpr[8]; /* enter_case and leave_case know this offset */
  uint32_t eflags; /* and this */
  struct fpu_image fpu;
  uint8_t memory[PAGE];
  int signal, signal_code; /* 0: left normally */
  uint32_t signal_eip, signal_address;
};

enum {
  FLAGS_SHOWN = 0xcd5, /* CF PF AF ZF SF DF OF */
  FLAGS_ALWAYS = 0x202,
  CONDITION_CODES = 0x4700, /* C0 C1 C2 C3 of the x87 status word */
  STATUS_TOP = 0x3800,
};
static const struct {
  char letter;
  uint32_t eflag, status; /* the bit in EFLAGS, or in the x87 status word */
} flag_letter[] = {
    {'C', 0x001, 0}, {'P', 0x004, 0}, {'A', 0x010, 0}, {'Z', 0x040, 0}, {'S', 0x080, 0},  {'D', 0x400, 0},
    {'O', 0x800, 0}, {'0', 0, 0x100}, {'1', 0, 0x200}, {'2', 0, 0x400}, {'3', 0, 0x4000},
};
enum { FLAG_LETTERS = sizeof flag_letter / sizeof flag_letter[0] };

/* One heading: code and how its results are shown. */
struct code {
  uint32_t address;
  bool mmx_view; /* the text names %mm registers */
};

/* Shared with the assembly below; a case runs on the main thread only. */
struct machine case_in, case_out;
uint32_t case_entry, case_host_esp, case_fs, case_gs, case_host_gs;
static sigjmp_buf case_fault;

void enter_case(void);
void leave_case(void);
__asm__(".text\n"
        "enter_case:\n"
        "  push %ebx\n"
        "  push %ebp\n"
        "  push %esi\n"
        "  push %edi\n"
        "  pushf\n"
        "  mov %esp, case_host_esp\n"
        "  fxrstor case_in + 48\n"
        "  mov case_fs, %fs\n"
        "  mov case_gs, %gs\n"
        "  pushl case_in + 32\n"
        "  popf\n"
        "  mov case_in + 0, %eax\n"
        "  mov case_in + 4, %ecx\n"
        "  mov case_in + 8, %edx\n"
        "  mov case_in + 12, %ebx\n"
        "  mov case_in + 16, %esp\n"
        "  mov case_in + 20, %ebp\n"
        "  mov case_in + 24, %esi\n"
        "  mov case_in + 28, %edi\n"
        "  jmp *case_entry\n"
        "leave_case:\n"
        "  mov %eax, case_out + 0\n"
        "  mov %ecx, case_out + 4\n"
        "  mov %edx, case_out + 8\n"
        "  mov %ebx, case_out + 12\n"
        "  mov %esp, case_out + 16\n"
        "  mov %ebp, case_out + 20\n"
        "  mov %esi, case_out + 24\n"
        "  mov %edi, case_out + 28\n"
        "  mov case_host_esp, %esp\n"
        "  pushf\n"
        "  popl case_out + 32\n"
        "  mov case_host_gs, %gs\n"
        "  fxsave case_out + 48\n"
        "  fninit\n"
        "  popf\n"
        "  pop %edi\n"
        "  pop %esi\n"
        "  pop %ebp\n"
        "  pop %ebx\n"
        "  ret\n");
_Static_assert(offsetof(struct machine, eflags) == 32 && offsetof(struct machine, fpu) == 48, "used above");

static _Noreturn void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("isa_native: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(2);
}

/* --- Faults ------------------------------------------------------------------------------- */

/* The kernel leaves GS as the case had it, and libc's thread data hang on it: restore it first. It also
 * leaves AC, under which ordinary code faults. */
__attribute__((optimize("no-stack-protector"))) static void on_fault(int number, siginfo_t *info,
                                                                     void *context) {
  __asm__ volatile("mov %0, %%gs\n\tpushl $0x202\n\tpopf" ::"r"(case_host_gs) : "memory", "cc");
  const ucontext_t *frame = context;
  static const uint8_t register_index[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX,
                                            REG_ESP, REG_EBP, REG_ESI, REG_EDI};
  for (int i = 0; i < 8; i++)
    case_out.gpr[i] = (uint32_t)frame->uc_mcontext.gregs[register_index[i]];
  case_out.eflags = (uint32_t)frame->uc_mcontext.gregs[REG_EFL];
  case_out.signal = number;
  case_out.signal_code = info->si_code;
  case_out.signal_eip = (uint32_t)frame->uc_mcontext.gregs[REG_EIP];
  case_out.signal_address = (uint32_t)(uintptr_t)info->si_addr;
  /* The i386 frame holds an FSAVE image and, behind its 112 bytes, the FXSAVE image. */
  if (frame->uc_mcontext.fpregs)
    memcpy(&case_out.fpu, (const uint8_t *)frame->uc_mcontext.fpregs + 112, sizeof case_out.fpu);
  siglongjmp(case_fault, 1);
}

static void catch_faults(void) {
  static uint8_t stack[1 << 16];
  sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
    if (sigaction(signals[i], &action, NULL) < 0)
      die("sigaction %d: %s", signals[i], strerror(errno));
}

/* --- Memory and segments ------------------------------------------------------------------ */

static uint16_t make_segment(uint32_t base) {
  struct user_desc area = {.entry_number = -1u,
                           .base_addr = base,
                           .limit = 0xfffff,
                           .seg_32bit = 1,
                           .limit_in_pages = 1,
                           .useable = 1};
  if (syscall(SYS_set_thread_area, &area) < 0)
    die("set_thread_area: %s", strerror(errno));
  return (uint16_t)(area.entry_number << 3 | 3);
}

static void *map_at(uint32_t address, size_t length, int protection) {
  void *at =
      mmap((void *)address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != (void *)address)
    die("cannot map %zu bytes at %#x: %s", length, address, strerror(errno));
  return at;
}

static void prepare_machine(void) {
  map_at(SCRATCH, PAGE, PROT_READ | PROT_WRITE);
  case_fs = make_segment(SCRATCH);
  case_gs = make_segment(SCRATCH + GS_BASE);
  __asm__("mov %%gs, %0" : "=r"(case_host_gs));
  catch_faults();
}

/* --- Reading a case ------------------------------------------------------------------------ */

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hex digits at *text, two a byte, into `bytes`; returns how many bytes, -1 if malformed. */
static int read_bytes(const char **text, uint8_t *bytes, int limit) {
  int count = 0;
  while (hex_digit((*text)[0]) >= 0) {
    int low = hex_digit((*text)[1]);
    if (low < 0 || count == limit)
      return -1;
    bytes[count++] = (uint8_t)(hex_digit((*text)[0]) << 4 | low);
    *text += 2;
  }
  return count;
}

/* A register of `length` bytes, written as one number: most significant byte first. */
static bool read_wide(const char *text, uint8_t *bytes, int length) {
  uint8_t reversed[16];
  if (read_bytes(&text, reversed, length) != length || *text)
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

struct masks {
  uint32_t eflags;
  uint16_t status;
};

/* One NAME=VALUE into the state, or into what is not compared. */
static bool read_setting(struct machine *machine, struct masks *undefined, int *st_count, const char *name,
                         const char *value) {
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
    return number < PAGE && read_bytes(&value, machine->memory + number, (int)(PAGE - number)) > 0 && !*value;
  }
  if (!strncmp(name, "xmm", 3) && name[3] >= '0' && name[3] <= '7' && !name[4])
    return read_wide(value, machine->fpu.xmm[name[3] - '0'], 16);
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

/* The state that `text`, up to its "=>" or end, describes, over the state every case starts from. */
static bool read_case(const char *text, size_t length, struct machine *machine, struct masks *undefined) {
  memset(machine, 0, sizeof *machine);
  memset(undefined, 0, sizeof *undefined);
  static const uint32_t start[8] = {0xa3a2a1a0,          0xc3c2c1c0,      0xd3d2d1d0,      0xb3b2b1b0,
                                    SCRATCH + STACK_TOP, SCRATCH + 0x300, SCRATCH + 0x100, SCRATCH + 0x200};
  memcpy(machine->gpr, start, sizeof start);
  machine->eflags = FLAGS_ALWAYS;
  machine->fpu.fcw = 0x37f;
  machine->fpu.mxcsr = 0x1f80;
  int st_count = 0;
  char copy[LINE_LIMIT];
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

struct text {
  char at[LINE_LIMIT];
  size_t length;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text->at + text->length, sizeof text->at - text->length, format, arguments);
  va_end(arguments);
  if (length < 0 || text->length + (size_t)length >= sizeof text->at)
    die("a result is longer than %d characters", LINE_LIMIT);
  text->length += (size_t)length;
}

static void put_wide(struct text *text, const char *name, int number, const uint8_t *bytes, int length) {
  put(text, " %s%d=", name, number);
  for (int i = length - 1; i >= 0; i--)
    put(text, "%02x", bytes[i]);
}

static void put_signal(struct text *text, const struct machine *out, uint32_t entry) {
  static const struct {
    int number;
    const char *name;
  } names[] = {
      {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGTRAP, "SIGTRAP"}};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].number == out->signal)
      put(text, " %s code=%d", names[i].name, out->signal_code);
  uint32_t offset = out->signal_eip - entry;
  put(text, offset < SLOT_LIMIT ? " eip=+%x" : " eip=%08x", offset < SLOT_LIMIT ? offset : out->signal_eip);
  /* SEGV_MAPERR, SEGV_ACCERR: a page fault, which has an address. */
  if (out->signal == SIGSEGV && (out->signal_code == 1 || out->signal_code == 2))
    put(text, " address=%08x", out->signal_address);
}

static void put_memory(struct text *text, const struct machine *in, const struct machine *out) {
  enum { UNIT = 4 };
  bool open = false;
  for (int at = 0; at < PAGE; at += UNIT) {
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

static void put_mmx(struct text *text, const struct fpu_image *in, const struct fpu_image *out) {
  for (int i = 0; i < 8; i++)
    if (memcmp(in->st[i].bytes, out->st[i].bytes, 10))
      put_wide(text, "mm", i, out->st[i].bytes,
               out->st[i].bytes[8] == 0xff && out->st[i].bytes[9] == 0xff ? 8 : 10);
  if (in->tags != out->tags)
    put(text, " tags=%02x", out->tags);
}

static void put_x87(struct text *text, const struct fpu_image *in, const struct fpu_image *out) {
  bool same_stack = in->tags == out->tags && (in->fsw & STATUS_TOP) == (out->fsw & STATUS_TOP);
  for (int i = 0; same_stack && i < 8; i++)
    same_stack = !memcmp(in->st[i].bytes, out->st[i].bytes, 10);
  unsigned top = (unsigned)out->fsw >> 11 & 7;
  for (unsigned i = 0; !same_stack && i < 8; i++)
    if (out->tags >> ((top + i) & 7) & 1)
      put_wide(text, "st", (int)i, out->st[i].bytes, 10);
}

static void write_result(struct text *text, const struct code *code, const struct machine *in,
                         const struct machine *out, const struct masks *undefined) {
  text->length = 0;
  text->at[0] = 0;
  if (out->signal)
    put_signal(text, out, code->address);
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
    if (memcmp(in->fpu.xmm[i], out->fpu.xmm[i], 16))
      put_wide(text, "xmm", i, out->fpu.xmm[i], 16);
  if (in->fpu.mxcsr != out->fpu.mxcsr)
    put(text, " mxcsr=%04x", out->fpu.mxcsr);
  (code->mmx_view ? put_mmx : put_x87)(text, &in->fpu, &out->fpu);
  if (in->fpu.fcw != out->fpu.fcw)
    put(text, " fcw=%04x", out->fpu.fcw);
  if ((in->fpu.fsw ^ out->fpu.fsw) & ~undefined->status & 0xffff)
    put(text, " fsw=%04x", out->fpu.fsw & ~undefined->status);
}

/* --- Running -------------------------------------------------------------------------------- */

static void run_case(const struct code *code) {
  memcpy((void *)SCRATCH, case_in.memory, PAGE);
  memset(&case_out, 0, sizeof case_out);
  case_entry = code->address;
  if (sigsetjmp(case_fault, 1) == 0)
    enter_case();
  memcpy(case_out.memory, (void *)SCRATCH, PAGE);
}

/* The file, read whole, and cut into lines. */
struct file {
  const char *name;
  char *text;
  char **line; /* NUL-terminated, without newline */
  int line_count;
};

static struct file read_file(const char *name) {
  struct file file = {.name = name};
  struct stat status;
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) < 0)
    die("%s: %s", name, strerror(errno));
  size_t size = (size_t)status.st_size, have = 0;
  file.text = malloc(size + 1);
  while (have < size) {
    ssize_t got = read(fd, file.text + have, size - have);
    if (got <= 0)
      die("%s: cannot be read", name);
    have += (size_t)got;
  }
  close(fd);
  file.text[size] = 0;
  for (size_t i = 0; i < size; i++)
    file.line_count += file.text[i] == '\n';
  file.line = calloc((size_t)file.line_count + 1, sizeof *file.line);
  char *at = file.text;
  for (int i = 0; i < file.line_count; i++) {
    file.line[i] = at;
    at = strchr(at, '\n');
    *at++ = 0;
  }
  return file;
}

static bool is_heading(const char *line) { return hex_digit(line[0]) >= 0; }
static bool is_case(const char *line) { return line[0] == ' '; }

/* Writes the code of every heading and what leads back, and makes it executable. */
static struct code *lay_out_code(const struct file *file) {
  size_t size = 0;
  for (int i = 0; i < file->line_count; i++)
    size += strlen(file->line[i]) / 2 + JUMP_LENGTH + SLOT_ALIGNMENT;
  size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
  uint8_t *area = map_at(CODE, size, PROT_READ | PROT_WRITE), *at = area;
  memset(area, 0xf4, size); /* hlt: running off the end is a fault */
  struct code *code = calloc((size_t)file->line_count + 1, sizeof *code);
  for (int i = 0; i < file->line_count; i++) {
    const char *text = file->line[i];
    if (!is_heading(text))
      continue;
    int length = read_bytes(&text, at, (int)(area + size - at));
    if (length <= 0 || *text != ' ')
      die("%s:%d: malformed heading", file->name, i + 1);
    code[i] = (struct code){.address = (uint32_t)(uintptr_t)at, .mmx_view = strstr(text, "%mm") != NULL};
    at += length;
    int32_t distance = (int32_t)((uintptr_t)leave_case - (uintptr_t)(at + JUMP_LENGTH));
    at[0] = 0xe9; /* jmp rel32 */
    memcpy(at + 1, &distance, sizeof distance);
    at += JUMP_LENGTH;
    at += -(uintptr_t)at % SLOT_ALIGNMENT;
  }
  if (mprotect(area, size, PROT_READ | PROT_EXEC) < 0)
    die("mprotect: %s", strerror(errno));
  return code;
}

/* Unbuffered: whoever runs this program learns where it was when it died. */
static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  fflush(stdout);
}

int main(int argc, char *argv[]) {
  bool record = argc == 3 && !strcmp(argv[1], "record");
  if (!record && !((argc == 3 || argc == 4) && !strcmp(argv[1], "check"))) {
    fputs("usage: isa_native check FILE [LINE] | isa_native record FILE\n", stderr);
    return 2;
  }
  int after = argc == 4 ? atoi(argv[3]) : 0, checked = 0, failed = 0;
  struct file file = read_file(argv[2]);
  prepare_machine();
  const struct code *codes = lay_out_code(&file), *code = NULL;
  const char *heading = "";

  for (int i = 0; i < file.line_count; i++) {
    char *line = file.line[i];
    if (is_heading(line)) {
      code = &codes[i];
      heading = strchr(line, ' ') + 2;
      if (!record && i + 1 > after)
        tell("at %d\n", i + 1);
    }
    if (!is_case(line) || !code) {
      if (record)
        puts(line);
      continue;
    }
    if (code < &codes[after])
      continue;
    const char *arrow = strstr(line, "=>");
    struct masks undefined;
    struct text result;
    size_t before_length = arrow ? (size_t)(arrow - line) : strlen(line);
    if (!read_case(line, before_length, &case_in, &undefined))
      die("%s:%d: malformed case: %s", file.name, i + 1, line);
    run_case(code);
    write_result(&result, code, &case_in, &case_out, &undefined);
    while (before_length > 0 && line[before_length - 1] == ' ')
      before_length--;
    if (record) {
      printf("%s%.*s =>%s\n", before_length ? "" : " ", (int)before_length, line, result.at);
      continue;
    }
    checked++;
    if (!arrow || strcmp(arrow + 2, result.at) != 0) {
      failed++;
      tell("%s:%d: %s\n  state   %.*s\n  expected%s\n  got     %s\n", file.name, i + 1, heading,
           (int)before_length, line, arrow ? arrow + 2 : " (nothing recorded)", result.at);
    }
  }
  if (!record)
    tell("checked %d cases, %d failed\n", checked, failed);
  return failed > 0;
}
