/* uemu-native [-L SYSROOT] [-strace] [-0 ARGV0] PROGRAM [ARGUMENTS…]: runs an i386 program through lib/Loader
 * and lib/Linux on the CPU's own 32-bit mode (native_runtime.c). */
#include "Linux/log.h"
#include "Linux/proc.h"
#include "Linux/process.h"
#include "Linux/process_exec.h"
#include "Linux/segment.h"
#include "Linux/signal.h"
#include "Linux/syscall.h"
#include "Loader/loader.h"
#include "Runtime/guest_memory.h"
#include "Runtime/runtime.h"
#include "native_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static struct process process;
static struct thread main_thread;

static _Noreturn void fail(const char *what, const struct loader_error *error) {
  fprintf(stderr, "uemu-native: %s: %s\n", what, error->message);
  exit(loader_exit_status(error));
}

int main(int argc, char **argv) {
  static char *options[8];
  int option_count = 0, i = 1;
  struct loader_options load = {.stack_limit = 8 << 20, .hwcap = 0xBFEBFBFF};
  for (; i < argc && argv[i][0] == '-'; i++) {
    if (strcmp(argv[i], "-L") == 0 && i + 1 < argc) {
      options[option_count++] = argv[i];
      options[option_count++] = argv[i + 1];
      process.sysroot = argv[++i];
    } else if (strcmp(argv[i], "-strace") == 0) {
      options[option_count++] = argv[i];
      process.strace = true;
      log_items |= LOG_STRACE | LOG_SIGNAL | LOG_EXEC;
    } else if (strcmp(argv[i], "-0") == 0 && i + 1 < argc) {
      load.argv0 = argv[++i];
    } else {
      break;
    }
  }
  if (argc == 2 && strcmp(argv[1], "--check") == 0)
    return native_is_possible() ? 0 : 1;
  if (i >= argc) {
    fprintf(stderr, "usage: uemu-native [-L SYSROOT] [-strace] [-0 ARGV0] PROGRAM [ARGUMENTS]\n");
    return 2;
  }
  process_unmark_environment(environ);
  process.self_fd = process_open_self();
  process.self_options = options;
  struct rlimit stack;
  if (getrlimit(RLIMIT_STACK, &stack) == 0)
    load.stack_limit = stack.rlim_cur;

  struct loader_error error = {0};
  struct loader_image image = {0};
  if (guest_memory_init() < 0) {
    fprintf(stderr, "uemu-native: the low 4 GiB are taken\n");
    return 1;
  }
  guest_memory_set_stack_limit(load.stack_limit);
  guest_memory_map(NATIVE_SCRATCH, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  struct loader_program *program = loader_open(argv[i], &argv[i], process.sysroot, &error);
  if (!program || loader_load(program, environ, &load, &image, &error) < 0)
    fail(argv[i], &error);
  process_take_image(&process, program, &image);
  proc_publish(&process);
  loader_close(program);

  static const struct runtime_hooks hooks = {
      .syscall = linux_syscall, .trap = linux_trap, .interrupt = linux_interrupt};
  static const struct runtime_options none;
  signal_inherit(&process);
  runtime_init(&none, &hooks);
  main_thread = (struct thread){.process = &process, .tid = gettid()};
  main_thread.cpu = runtime_cpu_new(&main_thread);
  main_thread.cpu->eip = image.entry;
  main_thread.cpu->gpr[GPR_ESP] = image.stack;
  signal_init(&process, &main_thread);
  runtime_run(main_thread.cpu, NULL);
}
