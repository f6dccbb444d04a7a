/* uemu-llvm: runs an i386 Linux program. */
#include "options.h"
#include "uemu_version.h"

#include "Linux/descriptor_table.h"
#include "Linux/log.h"
#include "Linux/proc.h"
#include "Linux/process.h"
#include "Linux/process_exec.h"
#include "Linux/segment.h"
#include "Linux/signal.h"
#include "Linux/syscall.h"
#include "Lift/lift_program.h"
#include "Loader/loader.h"
#include "Observe/dump_ir.h"
#include "Observe/guest_names.h"
#include "Observe/observe.h"
#include "Observe/statistics.h"
#include "Runtime/cpu_model.h"
#include "Runtime/cpuid.h"
#include "Runtime/guest_memory.h"
#include "Runtime/runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

static struct options options;
static struct process process;
static struct thread main_thread;

enum { EXIT_USAGE = 2, EXIT_CANNOT_RUN = 126 };

static void complain(const char *format, va_list arguments) {
  fputs("uemu-llvm: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
}

static _Noreturn void fail(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  complain(format, arguments);
  va_end(arguments);
  exit(status);
}

static void warn(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  complain(format, arguments);
  va_end(arguments);
}

static void log_jit(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  log_line(LOG_JIT, "%s", line);
}

/* $UEMU_CACHE_DIR, else uemu-llvm in $XDG_CACHE_HOME or ~/.cache. NULL: keep nothing. */
static const char *cache_dir(void) {
  static char path[PATH_MAX];
  const char *own = getenv("UEMU_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int length;
  if (own)
    length = snprintf(path, sizeof path, "%s", own);
  else if (xdg && *xdg == '/')
    length = snprintf(path, sizeof path, "%s/uemu-llvm", xdg);
  else if (home && *home == '/')
    length = snprintf(path, sizeof path, "%s/.cache/uemu-llvm", home);
  else
    return NULL;
  return length > 0 && length < PATH_MAX ? path : NULL;
}

/* The host kernel grows the guest's stack, so -s is RLIMIT_STACK, which the guest's children inherit, as after
 * `ulimit -s`. It also holds for this thread's own stack: that is as large as it will be before it is set. */
static uint64_t stack_limit(void) {
  enum { OWN_STACK = 1 << 20 };
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) < 0)
    fail(EXIT_CANNOT_RUN, "the limit of the stack cannot be read: %s", strerror(errno));
  if (options.stack_size) {
    explicit_bzero(__builtin_alloca(OWN_STACK), OWN_STACK);
    limit.rlim_cur = options.stack_size;
    if (setrlimit(RLIMIT_STACK, &limit) < 0)
      fail(EXIT_CANNOT_RUN, "a stack of %llu bytes cannot be had: %s", (unsigned long long)options.stack_size,
           errno == EINVAL ? "RLIMIT_STACK's hard limit is lower" : strerror(errno));
  }
  return limit.rlim_cur;
}

static int lift(void) {
  const struct lift_options wanted = {.program = options.program[0], .output = options.output, .functions = options.functions};
  char why[256];
  if (lift_program(&wanted, stdout, why, sizeof why) < 0)
    fail(EXIT_CANNOT_RUN, "%s", why);
  return 0;
}

static struct cpu_state *first_cpu(const struct loader_image *image) {
  struct cpu_state *cpu = runtime_cpu_new(&main_thread);
  if (!cpu)
    fail(EXIT_CANNOT_RUN, "out of memory for the first thread");
  cpu->eip = image->entry;
  cpu->gpr[GPR_ESP] = image->stack;
  segment_init(cpu);
  return cpu;
}

/* A program that the host itself can run is the host's to run. */
static _Noreturn void run_natively(const struct loader_program *program) {
  execve(loader_path(program), loader_argv(program), options.environment);
  fail(EXIT_CANNOT_RUN, "%s: cannot be executed: %s", loader_path(program), strerror(errno));
}

static void list_cpus(void) {
  printf("CPU models:\n");
  for (const struct cpu_model *model = cpu_models; model->name; model++)
    printf("  %-16s %s\n", model->name, model->description);
  printf("\nFeatures, after a comma as +FEATURE or -FEATURE (the host must have them):\n ");
  for (unsigned i = 0, column = 1; cpuid_feature_name(i); i++) {
    column += (unsigned)strlen(cpuid_feature_name(i)) + 1;
    if (column > 78) {
      printf("\n ");
      column = (unsigned)strlen(cpuid_feature_name(i)) + 2;
    }
    printf(" %s", cpuid_feature_name(i));
  }
  printf("\n");
}

int main(int argc, char **argv) {
  process_unmark_environment(environ);
  const char *complaint = options_parse(&options, argc, argv, environ);
  if (complaint)
    fail(EXIT_USAGE, "%s", complaint);
  if (options.help) {
    options_help();
    return 0;
  }
  if (options.version) {
    printf("uemu-llvm %s\n", UEMU_VERSION);
    return 0;
  }
  if (options.lift)
    return lift();
  if (options_cpu_help(&options)) {
    list_cpus();
    return 0;
  }
  char why[160];
  if (options.cpu && !cpu_model_select(options.cpu, why, sizeof why))
    fail(EXIT_USAGE, "%s", why);
  const uint64_t descriptors = descriptor_limit_raise();
  process.self_fd = process_open_self();
  log_items = options.log_items;
  if (log_items || options.log_file || options.dump_ir) {
    int status = log_open(options.log_file);
    if (status < 0)
      fail(EXIT_CANNOT_RUN, "%s: cannot be opened for the log: %s", options.log_file, strerror(-status));
  }
  struct loader_error error;
  struct loader_program *program = loader_open(options.program[0], options.program, options.sysroot, &error);
  if (!program)
    fail(loader_exit_status(&error), "%s", error.message);
  if (loader_is_host_program(program)) {
    descriptor_limit_restore(descriptors);
    run_natively(program);
  }

  int status = guest_memory_init();
  if (status < 0)
    fail(EXIT_CANNOT_RUN, "the guest's 4 GiB of addresses cannot be reserved: %s", strerror(-status));
  const struct runtime_hooks hooks = {
      .syscall = linux_syscall, .trap = linux_trap, .interrupt = linux_interrupt, .load_segment = linux_load_segment,
      .ask_segment = linux_ask_segment};
  if (options.dump_files)
    dump_ir_start(&options.dump, options.dump_dir, warn);
  const bool statistics = log_items & LOG_STATS;
  const struct observe_options observe = {.perf_map = options.perf_map,
                                          .jitdump = options.jitdump,
                                          .gdb_jit = options.gdb_jit,
                                          .statistics = statistics,
                                          .complain = warn};
  const struct runtime_options runtime = {.tier = options.tier,
                                          .hot_count = options.hot_count,
                                          .region_count = options.region_count,
                                          .code_cache_size = options.code_cache_size,
                                          .compile_threads = options.compile_threads,
                                          .dump_ir = options.dump_ir,
                                          .dump = log_text,
                                          .dump_files = options.dump_files ? &options.dump : NULL,
                                          .cache_dir = cache_dir(),
                                          .log = log_jit,
                                          .thread_begins = descriptor_table_leave,
                                          .observer = observe_start(&observe),
                                          .measure = statistics};
  signal_inherit(&process);
  status = runtime_init(&runtime, &hooks);
  if (status < 0)
    fail(EXIT_CANNOT_RUN, "the runtime cannot start: %s", strerror(-status));

  const struct loader_options load = {.stack_limit = stack_limit(),
                                      .argv0 = options.argv0,
                                      .hwcap = guest_cpuid(1, 0).edx,
                                      .min_signal_stack = (uint32_t)getauxval(AT_MINSIGSTKSZ),
                                      .hwcap2 = (uint32_t)getauxval(AT_HWCAP2),
                                      .personality = (uint32_t)personality(0xFFFFFFFF)};
  static struct loader_image image;
  if (loader_load(program, options.environment, &load, &image, &error) < 0)
    fail(EXIT_CANNOT_RUN, "%s", error.message);
  process.sysroot = options.sysroot;
  process.self_options = options.handed_on;
  process.strace = options.strace;
  process_take_image(&process, program, &image);
  guest_names_set_vdso(image.vdso);
  process.at_end = statistics ? statistics_print : NULL;
  proc_publish(&process);
  log_line(LOG_EXEC, "%d: %s", (int)getpid(), process.exe_path);
  loader_close(program);
  descriptor_limit_restore(descriptors);

  main_thread.process = &process;
  main_thread.tid = gettid();
  main_thread.cpu = first_cpu(&image);
  signal_init(&process, &main_thread);
  runtime_run(main_thread.cpu, NULL);
}
