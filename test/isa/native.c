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
#include "case_text.c"

#include <asm/ldt.h>
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

enum { CODE = 0x10000000, SLOT_ALIGNMENT = 16, JUMP_LENGTH = 5 };

/* One heading: code and how its results are shown. */
struct code {
  uint32_t address;
  bool mmx_view; /* the text names %mm registers */
};

/* Shared with the assembly below; a case runs on the main thread only. */
struct machine case_in, case_out;
uint32_t case_entry, case_host_esp, case_fs, case_gs, case_host_gs;
uint8_t case_ymm[8][16]; /* upper halves, before and after */
uint32_t case_uses_ymm;  /* the file has some */
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
        "  cmpl $0, case_uses_ymm\n"
        "  je 1f\n"
        "  vinsertf128 $1, case_ymm + 0, %ymm0, %ymm0\n"
        "  vinsertf128 $1, case_ymm + 16, %ymm1, %ymm1\n"
        "  vinsertf128 $1, case_ymm + 32, %ymm2, %ymm2\n"
        "  vinsertf128 $1, case_ymm + 48, %ymm3, %ymm3\n"
        "  vinsertf128 $1, case_ymm + 64, %ymm4, %ymm4\n"
        "  vinsertf128 $1, case_ymm + 80, %ymm5, %ymm5\n"
        "  vinsertf128 $1, case_ymm + 96, %ymm6, %ymm6\n"
        "  vinsertf128 $1, case_ymm + 112, %ymm7, %ymm7\n"
        "1:\n"
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
        "  cmpl $0, case_uses_ymm\n"
        "  je 1f\n"
        "  vextractf128 $1, %ymm0, case_ymm + 0\n"
        "  vextractf128 $1, %ymm1, case_ymm + 16\n"
        "  vextractf128 $1, %ymm2, case_ymm + 32\n"
        "  vextractf128 $1, %ymm3, case_ymm + 48\n"
        "  vextractf128 $1, %ymm4, case_ymm + 64\n"
        "  vextractf128 $1, %ymm5, case_ymm + 80\n"
        "  vextractf128 $1, %ymm6, case_ymm + 96\n"
        "  vextractf128 $1, %ymm7, case_ymm + 112\n"
        "  vzeroupper\n"
        "1:\n"
        "  fninit\n"
        "  popf\n"
        "  pop %edi\n"
        "  pop %esi\n"
        "  pop %ebp\n"
        "  pop %ebx\n"
        "  ret\n");
_Static_assert(offsetof(struct machine, gpr) == 0 && offsetof(struct machine, eflags) == 32 &&
                   offsetof(struct machine, fpu) == 48,
               "used above");

static _Noreturn void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("isa_native: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(2);
}

/* --- Faults ------------------------------------------------------------------------------- */

/* The upper halves out of a frame's XSAVE image (SDM vol. 1, 13.4; the kernel's struct _fpx_sw_bytes). */
static void take_ymm(const uint8_t *image) {
  enum { SOFTWARE = 464, HEADER = 512, YMM = 576, MAGIC = 0x46505853, HAS_YMM = 4 };
  uint32_t magic;
  memcpy(&magic, image + SOFTWARE, sizeof magic);
  if (magic != MAGIC)
    memset(case_ymm, 0xEE, sizeof case_ymm); /* no such image: wrong, and seen to be */
  else if (image[HEADER] & HAS_YMM)
    memcpy(case_ymm, image + YMM, sizeof case_ymm);
  else
    memset(case_ymm, 0, sizeof case_ymm);
}

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
  if (case_uses_ymm)
    take_ymm((const uint8_t *)frame->uc_mcontext.fpregs + 112);
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
  map_at(CASE_SCRATCH, CASE_PAGE, PROT_READ | PROT_WRITE);
  case_fs = make_segment(CASE_SCRATCH);
  case_gs = make_segment(CASE_SCRATCH + CASE_GS_BASE);
  __asm__("mov %%gs, %0" : "=r"(case_host_gs));
  catch_faults();
}

/* --- Running -------------------------------------------------------------------------------- */

static void run_case(const struct code *code) {
  memcpy((void *)CASE_SCRATCH, case_in.memory, CASE_PAGE);
  memset(&case_out, 0, sizeof case_out);
  memcpy(case_ymm, case_in.ymm_high, sizeof case_ymm);
  case_entry = code->address;
  if (sigsetjmp(case_fault, 1) == 0)
    enter_case();
  if (case_uses_ymm)
    memcpy(case_out.ymm_high, case_ymm, sizeof case_ymm);
  memcpy(case_out.memory, (void *)CASE_SCRATCH, CASE_PAGE);
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

static bool is_heading(const char *line) { return case_hex_digit(line[0]) >= 0; }
static bool is_case(const char *line) { return line[0] == ' '; }

/* Writes the code of every heading and what leads back, and makes it executable. */
static struct code *lay_out_code(const struct file *file) {
  size_t size = 0;
  for (int i = 0; i < file->line_count; i++)
    size += strlen(file->line[i]) / 2 + JUMP_LENGTH + SLOT_ALIGNMENT;
  size = (size + CASE_PAGE - 1) & ~(size_t)(CASE_PAGE - 1);
  uint8_t *area = map_at(CODE, size, PROT_READ | PROT_WRITE), *at = area;
  memset(area, 0xf4, size); /* hlt: running off the end is a fault */
  struct code *code = calloc((size_t)file->line_count + 1, sizeof *code);
  for (int i = 0; i < file->line_count; i++) {
    const char *text = file->line[i];
    if (!is_heading(text))
      continue;
    int length = case_read_bytes(&text, at, (int)(area + size - at));
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
  for (int i = 0; i < file.line_count; i++)
    case_uses_ymm |= strstr(file.line[i], "ymm") != NULL;
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
    struct case_masks undefined;
    struct case_text result;
    size_t before_length = arrow ? (size_t)(arrow - line) : strlen(line);
    if (!case_read(line, before_length, &case_in, &undefined))
      die("%s:%d: malformed case: %s", file.name, i + 1, line);
    run_case(code);
    case_write(&result, &case_in, &case_out, code->address, &undefined, code->mmx_view);
    if (result.cut)
      die("%s:%d: the result is longer than %d characters", file.name, i + 1, CASE_TEXT_LIMIT);
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
