/* execve(2), execveat(2): the new program runs under the emulator too.
 *
 * First everything that can fail is tried while the caller is whole: the strings are read, the loader opens
 * and checks the file. Then the host executes the emulator itself, by its descriptor (so that neither /proc
 * nor a path to it is needed), with the options of this run and the new program's path and arguments. The
 * host's execve then does all that execve promises: other threads end, a vfork parent continues,
 * close-on-exec descriptors close, ids, limits, umask, the pending signals, timers and so on stay. A program
 * of the host's own kind is simply executed by the host.
 *
 * The descriptor stays open across that execve: where /proc is not mounted the new emulator has no other way
 * to itself, and the kernel tells it the number (process_open_self()).
 *
 * The strings are not copied: guest memory is host memory, so the host's kernel takes them from there. */
#include "Linux/process_exec.h"
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/path.h"
#include "Linux/signal.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Loader/loader.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STRING_LIMIT = 128 * 1024 }; /* MAX_ARG_STRLEN */

/* --- Vectors of strings ------------------------------------------------------------------------------ */

/* The guest's NULL-terminated vector as one of the host's, which the caller frees. A null pointer is an
 * empty vector. */
static int read_vector(guest_addr vector, char ***result) {
  size_t count = 0, room = 64;
  char **strings = malloc(room * sizeof *strings);
  if (!strings)
    return -ENOMEM;
  for (int error = 0;; count++) {
    guest_addr string = 0;
    if (vector && guest_copy_in(&string, vector + 4 * (guest_addr)count, sizeof string) < 0)
      error = -EFAULT;
    if (error == 0 && string) {
      const int64_t length = guest_string_length(string, STRING_LIMIT);
      error = length == -ENAMETOOLONG ? -E2BIG : length < 0 ? (int)length : 0;
    }
    if (error == 0 && count == room) {
      char **more = realloc(strings, 2 * room * sizeof *strings);
      if (more) {
        strings = more;
        room *= 2;
      } else {
        error = -ENOMEM;
      }
    }
    if (error) {
      free(strings);
      return error;
    }
    strings[count] = guest_to_host(string);
    if (!string)
      break;
  }
  *result = strings;
  return 0;
}

static size_t vector_length(char *const *vector) {
  size_t length = 0;
  while (vector[length])
    length++;
  return length;
}

/* --- The emulator again -------------------------------------------------------------------------------- */

/* uemu-llvm OPTIONS… -0 ARGV0 PATH ARGUMENTS… */
static char **emulator_vector(const struct process *process, const char *path, char *const *argv) {
  static char self[] = "uemu-llvm", argv0_option[] = "-0", empty[] = "";
  const size_t options = process->self_options ? vector_length(process->self_options) : 0;
  const size_t arguments = vector_length(argv);
  char **vector = calloc(options + arguments + 5, sizeof *vector);
  if (!vector)
    return NULL;
  size_t n = 0;
  vector[n++] = self;
  for (size_t i = 0; i < options; i++)
    vector[n++] = process->self_options[i];
  vector[n++] = argv0_option;
  vector[n++] = arguments ? argv[0] : empty;
  vector[n++] = (char *)path;
  for (size_t i = 1; i < arguments; i++)
    vector[n++] = argv[i];
  return vector;
}

/* --- The environment ----------------------------------------------------------------------------------- */

/* The host's dynamic linker and allocator start the emulator with the guest's environment. What they would
 * read there is meant for the guest's (ldd sets LD_TRACE_LOADED_OBJECTS, stdbuf LD_PRELOAD), so it travels
 * under other names, the mark in front of its own, and in its place among the others. */
static const char mark[] = "UEMU_GUEST_";

static bool is_for_startup(const char *variable) {
  static const char *const prefixes[] = {"LD_", "GLIBC_TUNABLES", "MALLOC_", mark};
  for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
    if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
      return true;
  return false;
}

/* Replaces such variables; *storage holds the new strings, for the caller to free. */
static int mark_environment(char **environment, char **storage) {
  size_t size = 0;
  for (char **e = environment; *e; e++)
    if (is_for_startup(*e))
      size += strlen(mark) + strlen(*e) + 1;
  *storage = NULL;
  if (size == 0)
    return 0;
  char *to = *storage = malloc(size);
  if (!to)
    return -ENOMEM;
  for (char **e = environment; *e; e++)
    if (is_for_startup(*e)) {
      char *const marked = to;
      to = stpcpy(stpcpy(to, mark), *e) + 1;
      *e = marked;
    }
  return 0;
}

void process_unmark_environment(char **environment) {
  for (char **e = environment; *e; e++)
    if (strncmp(*e, mark, strlen(mark)) == 0)
      *e += strlen(mark);
}

/* The soft limit on the address space is kept for the guest by guest_memory; the new emulator takes it over
 * from the host. Below what the emulator needs to start with it would be no use to anybody. */
static void hand_on_limits(bool to_emulator, struct rlimit saved[2]) {
  enum { EMULATOR_START = 256 << 20 };
  uint64_t soft[2];
  guest_memory_limits(&soft[0], &soft[1]);
  static const int resource[2] = {RLIMIT_AS, RLIMIT_DATA};
  for (int i = 0; i < 2; i++) {
    getrlimit(resource[i], &saved[i]);
    struct rlimit limit = saved[i];
    limit.rlim_cur = to_emulator && soft[i] < EMULATOR_START ? EMULATOR_START : soft[i];
    if (limit.rlim_cur > limit.rlim_max)
      limit.rlim_cur = limit.rlim_max;
    setrlimit(resource[i], &limit);
  }
}

static void take_back_limits(const struct rlimit saved[2]) {
  setrlimit(RLIMIT_AS, &saved[0]);
  setrlimit(RLIMIT_DATA, &saved[1]);
}

int process_open_self(void) {
  static const char by_descriptor[] = "/dev/fd/"; /* what the kernel calls a file executed by descriptor */
  const char *name = (const char *)getauxval(AT_EXECFN);
  if (name && strncmp(name, by_descriptor, sizeof by_descriptor - 1) == 0) {
    char *end;
    const long fd = strtol(name + sizeof by_descriptor - 1, &end, 10);
    if (*end == 0 && fd >= 0 && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0)
      return (int)fd;
  }
  int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
  if (fd < 0 && name)
    fd = open(name, O_PATH | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  const int high = descriptor_move_high(fd);
  return high < 0 ? fd : high;
}

/* Never returns on success. Changes envp. */
static int32_t execute(struct thread *thread, const struct loader_program *program, const char *path,
                       char *const *argv, char **envp) {
  const struct process *process = thread->process;
  const bool native = loader_is_host_program(program);
  char **emulator = native ? NULL : emulator_vector(process, path, argv);
  char *marked = NULL;
  if (!native && (!emulator || mark_environment(envp, &marked) < 0)) {
    free(emulator);
    return -ENOMEM;
  }
  if (!signal_hold(thread)) {
    free(emulator);
    free(marked);
    return -ERESTARTNOINTR;
  }
  struct signal_exec_saved saved;
  struct rlimit limits[2];
  hand_on_limits(!native, limits);
  if (!native)
    fcntl(process->self_fd, F_SETFD, 0); /* for process_open_self() over there */
  signal_exec_prepare(thread, &saved);
  process_at_end(process, "execve");
  /* Not entered if the mask has let in a signal with a handler: this program is the one to handle it. */
  const long error =
      native ? HOST_CALL_BLOCKING(thread, SYS_execve, loader_path(program), loader_argv(program), envp)
             : HOST_CALL_BLOCKING(thread, SYS_execveat, process->self_fd, "", emulator, envp, AT_EMPTY_PATH);
  signal_exec_restore(thread, &saved);
  take_back_limits(limits);
  fcntl(process->self_fd, F_SETFD, FD_CLOEXEC);
  free(emulator);
  free(marked);
  return error == -ERESTARTSYS ? -ERESTARTNOINTR : (int32_t)error;
}

/* An option of ours must not be made of a program's name. */
static const char *path_argument(const char *path, char *buffer, size_t size) {
  if (path[0] != '-')
    return path;
  return snprintf(buffer, size, "./%s", path) < (int)size ? buffer : path;
}

static int32_t exec_path(struct thread *thread, const char *path, guest_addr argv_address,
                         guest_addr envp_address) {
  char **argv = NULL, **envp = NULL;
  int32_t result = read_vector(argv_address, &argv);
  if (result == 0)
    result = read_vector(envp_address, &envp);
  if (result == 0) {
    struct loader_error error = {0};
    struct rlimit stack;
    getrlimit(RLIMIT_STACK, &stack);
    const uint64_t descriptors = descriptor_limit_raise(); /* the kernel needs none to open a program */
    struct loader_program *program = loader_open(path, argv, thread->process->sysroot, &error);
    descriptor_limit_restore(descriptors);
    if (!program || loader_check_arguments(program, envp, stack.rlim_cur, &error) < 0) {
      log_line(LOG_EXEC, "execve: %s", error.message);
      result = -error.error;
    } else {
      char buffer[PATH_MAX];
      log_line(LOG_EXEC, "execve %s%s", path,
               loader_is_host_program(program) ? " (the host's own kind)" : "");
      result = execute(thread, program, path_argument(path, buffer, sizeof buffer), argv, envp);
    }
    if (program)
      loader_close(program);
  }
  free(argv);
  free(envp);
  return result;
}

/* --- The calls --------------------------------------------------------------------------------------------
 */

/* What the path argument says, unresolved: the loader looks under the sysroot. /proc/self/exe is the guest's.
 */
static int read_path(struct thread *thread, guest_addr address, char *path) {
  const int64_t length = guest_string_length(address, PATH_MAX);
  if (length < 0)
    return (int)length;
  if (guest_copy_in(path, address, (size_t)length + 1) < 0)
    return -EFAULT;
  const char *name = path_in_proc_self(path);
  if (name && strcmp(name, "exe") == 0)
    memcpy(path, thread->process->exe_path, PATH_MAX);
  return 0;
}

int32_t sys_execve(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  const int error = read_path(thread, arg[0], path);
  if (error)
    return error;
  return path[0] ? exec_path(thread, path, arg[1], arg[2]) : -ENOENT;
}

/* A path to what descriptor `fd` refers to: by its name, if that still leads there; else through /proc, by a
 * duplicate that stays open across the exec. */
static int descriptor_path(int fd, char *path, int *kept) {
  struct stat by_fd, by_name;
  char link[32];
  *kept = -1;
  if (fstat(fd, &by_fd) != 0)
    return -errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0)
    return -ENOENT;
  path[length] = 0;
  if (stat(path, &by_name) == 0 && by_name.st_dev == by_fd.st_dev && by_name.st_ino == by_fd.st_ino)
    return 0;
  *kept = dup(fd);
  if (*kept < 0)
    return -errno;
  snprintf(path, PATH_MAX, "/proc/self/fd/%d", *kept);
  return 0;
}

int32_t sys_execveat(struct thread *thread, const uint32_t arg[6]) {
  const int directory = (int32_t)arg[0];
  const uint32_t flags = arg[4];
  if (flags & ~(uint32_t)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
    return -EINVAL;
  char path[PATH_MAX], base[PATH_MAX];
  int error = read_path(thread, arg[1], path);
  if (error)
    return error;
  if (!path[0] && !(flags & AT_EMPTY_PATH))
    return -ENOENT;
  struct stat status;
  if (path[0] && flags & AT_SYMLINK_NOFOLLOW && fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISLNK(status.st_mode))
    return -ELOOP;
  int kept = -1;
  if (path[0] != '/' && directory != AT_FDCWD) {
    error = descriptor_path(directory, base, &kept);
    if (error)
      return error;
    const size_t length = strlen(base);
    if (path[0] && length + 1 + strlen(path) >= PATH_MAX) {
      error = -ENAMETOOLONG;
    } else {
      if (path[0]) {
        base[length] = '/';
        memcpy(base + length + 1, path, strlen(path) + 1);
      }
      memcpy(path, base, sizeof path);
    }
  }
  if (error == 0)
    error = exec_path(thread, path, arg[2], arg[3]);
  if (kept >= 0)
    close(kept);
  return error;
}

void process_take_image(struct process *process, const struct loader_program *program,
                        const struct loader_image *image) {
  process->start_code = image->start_code;
  process->end_code = image->end_code;
  process->start_data = image->start_data;
  process->end_data = image->end_data;
  process->start_brk = image->start_brk;
  process->start_stack = image->start_stack;
  process->arg_start = image->arg_start;
  process->arg_end = image->arg_end;
  process->env_start = image->env_start;
  process->env_end = image->env_end;
  process->auxv_start = image->auxv_start;
  process->auxv_length = image->auxv_length;
  process->vdso = image->vdso;
  process->sigreturn_trampoline = image->sigreturn_trampoline;
  process->rt_sigreturn_trampoline = image->rt_sigreturn_trampoline;
  process->personality = image->personality;
  memcpy(process->exe_path, image->exe_path, sizeof process->exe_path);
  const char *name = loader_filename(program);
  const char *slash = strrchr(name, '/');
  snprintf(process->comm, sizeof process->comm, "%s", slash ? slash + 1 : name);
  prctl(PR_SET_NAME, process->comm);
}
