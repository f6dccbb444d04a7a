/* Prints calls after they are done, so that one line holds arguments, buffers the kernel filled, and the
 * result. Arguments are decoded by the kinds in the call's row. */
#include "Linux/strace.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { STRING_SHOWN = 32 /* strace's default -s */, RESULT_COLUMN = 40 };

struct line {
  size_t length;
  char text[1024];
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line->text + line->length, sizeof line->text - line->length, format, arguments);
  va_end(arguments);
  if (length > 0)
    line->length += (size_t)length;
  if (line->length >= sizeof line->text)
    line->length = sizeof line->text - 1;
}

struct flag_name {
  uint32_t bits; /* zero: printed when nothing else was */
  const char *name;
};

/* Longer combinations stand before the bits they contain. */
static const struct flag_name open_flag_names[] = {
    {04010000, "O_SYNC"},     {020200000, "O_TMPFILE"}, {0100, "O_CREAT"},
    {0200, "O_EXCL"},         {0400, "O_NOCTTY"},       {01000, "O_TRUNC"},
    {02000, "O_APPEND"},      {04000, "O_NONBLOCK"},    {010000, "O_DSYNC"},
    {020000, "O_ASYNC"},      {040000, "O_DIRECT"},     {0100000, "O_LARGEFILE"},
    {0200000, "O_DIRECTORY"}, {0400000, "O_NOFOLLOW"},  {01000000, "O_NOATIME"},
    {02000000, "O_CLOEXEC"},  {010000000, "O_PATH"},    {0, NULL},
};
static const struct flag_name map_prot_names[] = {
    {PROT_READ, "PROT_READ"},           {PROT_WRITE, "PROT_WRITE"},     {PROT_EXEC, "PROT_EXEC"},
    {PROT_GROWSDOWN, "PROT_GROWSDOWN"}, {PROT_GROWSUP, "PROT_GROWSUP"}, {0, "PROT_NONE"},
};
static const struct flag_name map_flag_names[] = {
    {MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE"},
    {MAP_SHARED, "MAP_SHARED"},
    {MAP_PRIVATE, "MAP_PRIVATE"},
    {MAP_FIXED, "MAP_FIXED"},
    {MAP_ANONYMOUS, "MAP_ANONYMOUS"},
    {MAP_GROWSDOWN, "MAP_GROWSDOWN"},
    {MAP_DENYWRITE, "MAP_DENYWRITE"},
    {MAP_LOCKED, "MAP_LOCKED"},
    {MAP_NORESERVE, "MAP_NORESERVE"},
    {MAP_POPULATE, "MAP_POPULATE"},
    {MAP_NONBLOCK, "MAP_NONBLOCK"},
    {MAP_STACK, "MAP_STACK"},
    {MAP_HUGETLB, "MAP_HUGETLB"},
    {MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE"},
    {0, "0"},
};

static void add_flags(struct line *line, uint32_t value, const struct flag_name *names,
                      const char *separator) {
  for (; names->bits; names++)
    if ((value & names->bits) == names->bits) {
      add(line, "%s%s", separator, names->name);
      separator = "|";
      value &= ~names->bits;
    }
  if (value)
    add(line, "%s0x%x", separator, value);
  else if (separator[0] == '\0' && names->name)
    add(line, "%s", names->name);
}

static void add_open_flags(struct line *line, uint32_t value) {
  static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
  add(line, "%s", access[value & O_ACCMODE]);
  add_flags(line, value & ~(uint32_t)O_ACCMODE, open_flag_names, "|");
}

/* Bytes in C notation, at most STRING_SHOWN of them. */
static void add_bytes(struct line *line, guest_addr address, size_t length) {
  unsigned char bytes[STRING_SHOWN];
  const size_t shown = length < sizeof bytes ? length : sizeof bytes;
  if (guest_copy_in(bytes, address, shown) < 0) {
    add(line, "0x%x", address);
    return;
  }
  add(line, "\"");
  for (size_t i = 0; i < shown; i++) {
    static const char escaped[] = "\a\b\t\n\v\f\r\"\\", letter[] = "abtnvfr\"\\";
    const char *found = bytes[i] ? strchr(escaped, bytes[i]) : NULL;
    const bool digit_follows = i + 1 < shown && bytes[i + 1] >= '0' && bytes[i + 1] <= '9';
    if (found)
      add(line, "\\%c", letter[found - escaped]);
    else if (bytes[i] >= ' ' && bytes[i] < 127)
      add(line, "%c", bytes[i]);
    else
      add(line, digit_follows ? "\\%03o" : "\\%o", bytes[i]);
  }
  add(line, length > shown ? "\"..." : "\"");
}

static void add_string(struct line *line, guest_addr address, size_t limit) {
  char text[512];
  int64_t length = address ? guest_string_length(address, sizeof text - 1) : -EFAULT;
  if (address == 0)
    add(line, "NULL");
  else if (length == -ENAMETOOLONG)
    add_bytes(line, address, sizeof text);
  else if (length < 0 || guest_copy_in(text, address, (size_t)length) < 0)
    add(line, "0x%x", address);
  else if ((size_t)length > limit)
    add_bytes(line, address, (size_t)length);
  else
    add(line, "\"%.*s\"", (int)length, text);
}

/* How many bytes the buffer argument `i` holds: the next SIZE says, and for a buffer that the kernel filled
 * the result. */
static size_t buffer_length(const struct syscall_row *row, const uint32_t arg[6], int i, bool filled,
                            int32_t result) {
  size_t length = 0;
  for (int j = i + 1; j < row->argument_count; j++)
    if (row->kind[j] == SIZE) {
      length = arg[j];
      break;
    }
  return filled && (size_t)result < length ? (size_t)result : length;
}

static void add_argument(struct line *line, const struct syscall_row *row, const uint32_t arg[6], int i,
                         bool done, int32_t result) {
  const uint32_t value = arg[i];
  switch ((enum argument_kind)row->kind[i]) {
  case INT:
    add(line, "%d", (int32_t)value);
    break;
  case UINT:
  case SIZE:
    add(line, "%u", value);
    break;
  case OCTAL:
    add(line, "%#o", value);
    break;
  case FD:
    if ((int32_t)value == AT_FDCWD)
      add(line, "AT_FDCWD");
    else
      add(line, "%d", (int32_t)value);
    break;
  case PTR:
    if (value == 0)
      add(line, "NULL");
    else
      add(line, "0x%x", value);
    break;
  case PATH:
    add_string(line, value, 256);
    break;
  case STRING:
    add_string(line, value, STRING_SHOWN);
    break;
  case IN_BUFFER:
    if (value == 0)
      add(line, "NULL");
    else
      add_bytes(line, value, buffer_length(row, arg, i, false, 0));
    break;
  case OUT_BUFFER:
    if (done && result >= 0 && value != 0)
      add_bytes(line, value, buffer_length(row, arg, i, true, result));
    else
      add(line, value ? "0x%x" : "NULL", value);
    break;
  case SIGNAL: {
    const char *name = value < 32 ? sigabbrev_np((int)value) : NULL;
    if (name)
      add(line, "SIG%s", name);
    else if (value >= 32 && value <= GUEST_SIGNAL_COUNT)
      add(line, "SIGRT_%u", value - 32);
    else
      add(line, "%d", (int32_t)value);
    break;
  }
  case OPEN_FLAGS:
    add_open_flags(line, value);
    break;
  case MAP_PROT:
    add_flags(line, value, map_prot_names, "");
    break;
  case MAP_FLAGS:
    add_flags(line, value, map_flag_names, "");
    break;
  case ARG_NONE:
  case HEX:
    add(line, value ? "%#x" : "0", value);
    break;
  }
}

static void add_call(struct line *line, const struct thread *thread, uint32_t number,
                     const struct syscall_row *row, const uint32_t arg[6], bool done, int32_t result) {
  add(line, "%d ", thread->tid);
  const size_t start = line->length;
  if (row) {
    add(line, "%s(", row->name);
    for (int i = 0; i < row->argument_count; i++) {
      add(line, i ? ", " : "");
      add_argument(line, row, arg, i, done, result);
    }
  } else {
    add(line, "syscall_%u(%#x, %#x, %#x, %#x, %#x, %#x", number, arg[0], arg[1], arg[2], arg[3], arg[4],
        arg[5]);
  }
  add(line, ")");
  const size_t used = line->length - start;
  add(line, "%*s= ", used < RESULT_COLUMN ? (int)(RESULT_COLUMN - used) : 1, "");
}

static const char *restart_meaning(int32_t error) {
  switch (error) {
  case ERESTARTSYS:
    return "ERESTARTSYS (To be restarted if SA_RESTART is set)";
  case ERESTARTNOINTR:
    return "ERESTARTNOINTR (To be restarted)";
  case ERESTARTNOHAND:
    return "ERESTARTNOHAND (To be restarted if no handler)";
  case ERESTART_RESTARTBLOCK:
    return "ERESTART_RESTARTBLOCK (Interrupted by signal)";
  default:
    return NULL;
  }
}

static bool returns_address(const char *name) {
  static const char *const names[] = {"brk", "mmap", "mmap2", "mremap", "shmat"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return false;
}

void strace_call(const struct thread *thread, uint32_t number, const struct syscall_row *row,
                 const uint32_t arg[6], int32_t result) {
  struct line line = {.length = 0};
  add_call(&line, thread, number, row, arg, true, result);
  if (result < 0 && restart_meaning(-result))
    add(&line, "? %s", restart_meaning(-result));
  else if (result < 0 && result >= -4095 && strerrorname_np(-result))
    add(&line, "-1 %s (%s)", strerrorname_np(-result), strerrordesc_np(-result));
  else if (row && returns_address(row->name))
    add(&line, "%#x", (uint32_t)result);
  else
    add(&line, "%d", result);
  log_line(LOG_STRACE, "%s", line.text);
}

void strace_final_call(const struct thread *thread, uint32_t number, const struct syscall_row *row,
                       const uint32_t arg[6]) {
  struct line line = {.length = 0};
  add_call(&line, thread, number, row, arg, false, 0);
  log_line(LOG_STRACE, "%s?", line.text);
}
