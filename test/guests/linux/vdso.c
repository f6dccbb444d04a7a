/* The vDSO: its ELF image, its functions, and what returns or unwinds through it.
 *
 * guest-test: libraries=-ldl */
#include <stdbool.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

/* --- The image --------------------------------------------------------------------------------- */

static const char *image; /* its ELF header */
static const Elf32_Sym *symbols;
static const uint16_t *versions;
static const Elf32_Verdef *definitions;
static const char *strings;
static uint32_t symbol_count;

static const char *version_name(uint16_t number) {
  for (const Elf32_Verdef *d = definitions;; d = (const void *)((const char *)d + d->vd_next)) {
    if (d->vd_ndx == (number & 0x7FFF))
      return strings + ((const Elf32_Verdaux *)((const char *)d + d->vd_aux))->vda_name;
    if (!d->vd_next)
      return "?";
  }
}

static void *function(const char *name) {
  for (uint32_t i = 1; i < symbol_count; i++)
    if (strcmp(strings + symbols[i].st_name, name) == 0 && ELF32_ST_TYPE(symbols[i].st_info) == STT_FUNC)
      return (void *)(image + symbols[i].st_value);
  printf("no %s\n", name);
  exit(1);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void look_at_image(void) {
  image = (const char *)getauxval(AT_SYSINFO_EHDR);
  const Elf32_Ehdr *header = (const void *)image;
  printf("ELF %d, class %d, type %d, machine %d\n", memcmp(image, ELFMAG, SELFMAG), header->e_ident[EI_CLASS],
         header->e_type, header->e_machine);
  const Elf32_Phdr *segment = (const void *)(image + header->e_phoff);
  const Elf32_Dyn *dynamic = NULL;
  uint32_t soname = 0;
  for (int i = 0; i < header->e_phnum; i++) {
    if (segment[i].p_type == PT_LOAD)
      printf("load: offset %#x address %#x flags %d\n", segment[i].p_offset, segment[i].p_vaddr,
             segment[i].p_flags);
    if (segment[i].p_type == PT_GNU_EH_FRAME)
      printf("unwind tables\n");
    if (segment[i].p_type == PT_DYNAMIC)
      dynamic = (const void *)(image + segment[i].p_vaddr);
  }
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    const void *at = image + dynamic->d_un.d_ptr;
    switch (dynamic->d_tag) {
    case DT_SYMTAB:
      symbols = at;
      break;
    case DT_STRTAB:
      strings = at;
      break;
    case DT_HASH:
      symbol_count = ((const uint32_t *)at)[1];
      break;
    case DT_VERSYM:
      versions = at;
      break;
    case DT_VERDEF:
      definitions = at;
      break;
    case DT_SONAME:
      soname = dynamic->d_un.d_val;
      break;
    }
  }
  printf("name: %s\n", strings + soname);
  char *lines[64];
  uint32_t count = 0;
  for (uint32_t i = 1; i < symbol_count && count < 64; i++)
    if (asprintf(&lines[count], "%s %s%s",
                 ELF32_ST_TYPE(symbols[i].st_info) == STT_FUNC ? "function" : "version",
                 strings + symbols[i].st_name,
                 ELF32_ST_TYPE(symbols[i].st_info) == STT_FUNC ? "" : " itself") >= 0) {
      if (ELF32_ST_TYPE(symbols[i].st_info) == STT_FUNC) {
        char *line = lines[count];
        if (asprintf(&lines[count], "%s of %s", line, version_name(versions[i])) < 0)
          exit(1);
      }
      count++;
    }
  qsort(lines, count, sizeof *lines, compare);
  for (uint32_t i = 0; i < count; i++)
    puts(lines[i]);
  printf("AT_SYSINFO is __kernel_vsyscall: %d\n",
         (void *)getauxval(AT_SYSINFO) == function("__kernel_vsyscall"));
  printf("the entry point, too: %d\n", image + header->e_entry == function("__kernel_vsyscall"));
  Dl_info info = {0};
  const int found = dladdr(function("__kernel_rt_sigreturn"), &info);
  printf("known to the linker: %d\n", found && info.dli_fbase == image);

  char line[256];
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    char permissions[5];
    if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx %4s", &start, &end, permissions) == 3)
      printf("maps: %s, at the image: %d\n", permissions, start == (unsigned long)image);
  }
  fclose(maps);
}

/* --- The clocks -------------------------------------------------------------------------------- */

struct timespec32 {
  int32_t tv_sec, tv_nsec;
};
struct timespec64 {
  int64_t tv_sec;
  int32_t tv_nsec, padding;
};

static sigjmp_buf back;
static void jump_back(int signal) { siglongjmp(back, signal); }

/* The result, or the signal that came of it. */
static const char *outcome(int result) {
  static char text[32];
  snprintf(text, sizeof text, "%d", result);
  return text;
}
#define TRY(call) (sigsetjmp(back, 1) == 0 ? outcome(call) : "SIGSEGV")

static void look_at_clocks(void) {
  int (*clock_gettime32)(int, void *) = function("__vdso_clock_gettime");
  int (*clock_gettime64)(int, void *) = function("__vdso_clock_gettime64");
  int (*clock_getres32)(int, void *) = function("__vdso_clock_getres");
  int (*gettimeofday32)(void *, void *) = function("__vdso_gettimeofday");
  int (*time32)(void *) = function("__vdso_time");
  int (*getcpu32)(void *, void *, void *) = function("__vdso_getcpu");
  signal(SIGSEGV, jump_back);

  static const int clocks[] = {CLOCK_REALTIME,
                               CLOCK_MONOTONIC,
                               CLOCK_PROCESS_CPUTIME_ID,
                               CLOCK_THREAD_CPUTIME_ID,
                               CLOCK_MONOTONIC_RAW,
                               CLOCK_REALTIME_COARSE,
                               CLOCK_MONOTONIC_COARSE,
                               CLOCK_BOOTTIME,
                               CLOCK_TAI,
                               -1,
                               1000};
  for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
    const int clock = clocks[i];
    struct timespec32 now = {0};
    struct timespec64 before = {0}, now64 = {0};
    const int before_result = syscall(SYS_clock_gettime64, clock, &before) ? -errno : 0;
    const int result = clock_gettime32(clock, &now), result64 = clock_gettime64(clock, &now64);
    const int64_t a = before.tv_sec * 1000000000 + before.tv_nsec;
    const int64_t b = now.tv_sec * 1000000000ll + now.tv_nsec;
    const int64_t c = now64.tv_sec * 1000000000 + now64.tv_nsec;
    printf("clock %d: %d %d %d%s", clock, before_result, result, result64,
           a <= b && b <= c ? ", in order" : ", wrong");
    struct timespec32 resolution = {0};
    struct timespec expected = {0};
    const int known = clock_getres32(clock, &resolution) == (clock_getres(clock, &expected) ? -errno : 0);
    printf("; resolution %s, nowhere %s",
           known && resolution.tv_sec == expected.tv_sec && resolution.tv_nsec == expected.tv_nsec ? "right"
                                                                                                   : "wrong",
           TRY(clock_getres32(clock, NULL)));
    printf("; at 16: %s", TRY(clock_gettime32(clock, (void *)16)));
    printf(" %s", TRY(clock_gettime64(clock, (void *)16)));
    printf(" %s\n", TRY(clock_getres32(clock, (void *)16)));
  }

  struct timespec32 when = {0}, zone = {-1, -1};
  struct timezone expected;
  struct timeval now;
  gettimeofday(&now, NULL);
  syscall(SYS_gettimeofday, &when, &expected);
  printf("gettimeofday %d", gettimeofday32(&when, &zone));
  printf(" %d %d", when.tv_sec - (int)now.tv_sec >= 0 && when.tv_sec - (int)now.tv_sec < 10,
         zone.tv_sec == expected.tz_minuteswest && zone.tv_nsec == expected.tz_dsttime);
  printf(" nowhere %s", TRY(gettimeofday32(NULL, NULL)));
  printf(" at 16: %s", TRY(gettimeofday32((void *)16, NULL)));
  printf(" %s\n", TRY(gettimeofday32(NULL, (void *)16)));

  int32_t seconds = 0;
  const int result = time32(&seconds);
  printf("time: %d %d", result == seconds, result - (int)now.tv_sec >= -1 && result - (int)now.tv_sec < 10);
  printf(" nowhere %d", abs(time32(NULL) - seconds) < 10);
  printf(" at 16: %s\n", TRY(time32((void *)16)));

  unsigned cpu = -1u, node = -1u;
  printf("getcpu: %d", getcpu32(&cpu, &node, NULL));
  printf(" %d %d", (long)cpu < sysconf(_SC_NPROCESSORS_CONF), node != -1u);
  printf(" nowhere %s", TRY(getcpu32(NULL, NULL, NULL)));
  printf(" at 16: %s", TRY(getcpu32((void *)16, NULL, NULL)));
  printf(" %s\n", TRY(getcpu32(NULL, (void *)16, NULL)));

  int pid;
  __asm__ volatile("call *%1" : "=a"(pid) : "r"(function("__kernel_vsyscall")), "a"(SYS_getpid) : "memory");
  printf("getpid through __kernel_vsyscall: %d\n", pid == getpid());
  signal(SIGSEGV, SIG_DFL);
}

/* --- Signal frames ------------------------------------------------------------------------------- */

int main(void);

static void *volatile returns_to;
static volatile int depth_of_main, frames_seen;
static volatile bool through_vdso;

static _Unwind_Reason_Code look_at_frame(struct _Unwind_Context *context, void *unused) {
  (void)unused;
  frames_seen++;
  const char *pc = (const char *)_Unwind_GetIP(context);
  if (pc >= image && pc < image + 8192)
    through_vdso = true;
  if (_Unwind_FindEnclosingFunction((void *)(pc - 1)) == (void *)main)
    depth_of_main = frames_seen;
  return frames_seen < 100 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

__attribute__((noinline)) static void look_at_stack(void) {
  returns_to = NULL;
  depth_of_main = frames_seen = 0;
  through_vdso = false;
  _Unwind_Backtrace(look_at_frame, NULL);
}

static void plain_handler(int signal) {
  returns_to = __builtin_return_address(0);
  void *kept = returns_to;
  look_at_stack();
  returns_to = kept;
  (void)signal;
}

/* The kernel's own call: the C library's would give a function to return to. */
static void raise_with(int flags) {
  struct {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint32_t mask[2];
  } action = {plain_handler, flags, NULL, {0, 0}};
  syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8);
  depth_of_main = 0;
  raise(SIGUSR1);
  printf("flags %d: returns to %s; main is %sin the backtrace, the vDSO is %s\n", flags,
         returns_to == function(flags & SA_SIGINFO ? "__kernel_rt_sigreturn" : "__kernel_sigreturn")
             ? "the vDSO's sigreturn"
             : "another place",
         depth_of_main ? "" : "not ", through_vdso ? "too" : "not");
}

static void look_at_frames(void) {
  raise_with(0);
  raise_with(SA_SIGINFO);
  static const uint8_t plain[] = {0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80},
                       rt[] = {0xb8, 173, 0, 0, 0, 0xcd, 0x80};
  printf("their bytes: %d %d\n", memcmp(function("__kernel_sigreturn"), plain, sizeof plain),
         memcmp(function("__kernel_rt_sigreturn"), rt, sizeof rt));
}

/* --- Cancellation unwinds from inside a system call ------------------------------------------------- */

static int descriptors[2];
static void clean_up(void *text) { printf("cleaned up: %s\n", (const char *)text); }
__attribute__((noinline)) static void block(void) {
  char byte;
  pthread_cleanup_push(clean_up, "inner");
  if (read(descriptors[0], &byte, 1) != 1)
    puts("read failed");
  pthread_cleanup_pop(0);
}
static void *blocked(void *argument) {
  pthread_cleanup_push(clean_up, argument);
  block();
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel(void) {
  pthread_t thread;
  void *result;
  if (pipe(descriptors) != 0)
    exit(1);
  pthread_create(&thread, NULL, blocked, "outer");
  usleep(100000);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  printf("cancelled: %d\n", result == PTHREAD_CANCELED);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  look_at_image();
  look_at_clocks();
  look_at_frames();
  cancel();
  return 0;
}
