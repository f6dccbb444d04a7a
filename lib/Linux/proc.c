/* /proc/self of the guest: maps, cmdline, environ, auxv, stat.
 *
 * The kernel would show the emulator there. What these files say for the guest is put together when one is
 * opened, and stands in an anonymous file (memfd) from then on. maps is the kernel's own list, cut down to
 * pages that are mapped for the guest, with the guest's protections: so names, offsets and inodes are
 * right without our keeping track of files. */
#include "Linux/proc.h"
#include "Linux/host_syscall.h"
#include "Linux/path.h"
#include "Linux/syscall.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A growing text; `failed` once there was no memory for it. */
struct text {
  char *bytes;
  size_t length, capacity;
  bool failed;
};

static bool reserve(struct text *text, size_t more) {
  if (text->length + more <= text->capacity)
    return !text->failed;
  const size_t capacity = (text->length + more) * 2;
  char *bytes = realloc(text->bytes, capacity);
  text->failed |= !bytes;
  if (text->failed)
    return false;
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (length >= 0 && reserve(text, (size_t)length + 1)) {
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, arguments);
    text->length += (size_t)length;
  }
  va_end(arguments);
}

/* All of a file of the host's /proc, with a NUL behind it. */
static void add_host_file(struct text *text, const char *path) {
  const int fd = (int)HOST_CALL(SYS_open, path, O_RDONLY | O_CLOEXEC);
  long got = fd;
  while (fd >= 0 && reserve(text, 65536)) {
    got = HOST_CALL(SYS_read, fd, text->bytes + text->length, 65535);
    if (got <= 0)
      break;
    text->length += (size_t)got;
  }
  if (fd >= 0)
    HOST_CALL(SYS_close, fd);
  text->failed |= got < 0;
  if (reserve(text, 1))
    text->bytes[text->length] = '\0';
}

/* --- maps ------------------------------------------------------------------------------------ */

/* One line to be, which the next one may turn out to continue. */
struct mapping {
  uint64_t start, end;
  uint8_t bits;
  char sharing;
  uint64_t offset;
  char file[32]; /* device and inode, as the kernel wrote them */
  const char *name;
  int name_length;
};

static const char *name_of(const struct process *process, const struct mapping *mapping, int *length) {
  const guest_addr brk = guest_memory_brk(0);
  const char *name = "";
  if (mapping->name_length) {
    *length = mapping->name_length;
    return mapping->name;
  }
  if (process->vdso && mapping->start <= process->vdso && process->vdso < mapping->end)
    name = "[vdso]";
  else if (process->vdso && mapping->end == process->vdso)
    name = "[vvar]";
  else if (mapping->start <= process->start_stack && process->start_stack < mapping->end)
    name = "[stack]";
  else if (mapping->start < brk && mapping->end > process->start_brk)
    name = "[heap]";
  *length = (int)strlen(name);
  return name;
}

static void add_mapping(struct text *text, const struct process *process, const struct mapping *mapping) {
  enum { NAME_COLUMN = 73 };
  if (mapping->start == mapping->end)
    return;
  const size_t line = text->length;
  add(text, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %s ", mapping->start, mapping->end,
      mapping->bits & GUEST_PAGE_READ ? 'r' : '-', mapping->bits & GUEST_PAGE_WRITE ? 'w' : '-',
      mapping->bits & GUEST_PAGE_EXEC ? 'x' : '-', mapping->sharing, mapping->offset, mapping->file);
  int length;
  const char *name = name_of(process, mapping, &length);
  const size_t used = text->length - line;
  if (length)
    add(text, "%*s%.*s", used < NAME_COLUMN ? (int)(NAME_COLUMN - used) : 0, "", length, name);
  add(text, "\n");
}

static bool continues(const struct mapping *before, const struct mapping *next) {
  const uint8_t protection = GUEST_PAGE_READ | GUEST_PAGE_WRITE | GUEST_PAGE_EXEC;
  return before->end == next->start && (before->bits & protection) == (next->bits & protection) &&
         before->sharing == next->sharing && strcmp(before->file, next->file) == 0 &&
         before->name_length == next->name_length &&
         memcmp(before->name, next->name, (size_t)next->name_length) == 0 &&
         (next->name_length == 0 || before->offset + (before->end - before->start) == next->offset);
}

/* The guest's part of one mapping of the host's. */
static void add_host_mapping(struct text *text, const struct process *process, const struct mapping *host,
                             struct mapping *open) {
  guest_addr at = (guest_addr)host->start;
  uint32_t length;
  uint8_t bits;
  while (guest_memory_next_run(&at, &length, &bits) && at < host->end) {
    struct mapping part = *host;
    part.start = at;
    part.end = (uint64_t)at + length < host->end ? (uint64_t)at + length : host->end;
    part.bits = bits;
    if (host->name_length)
      part.offset += part.start - host->start;
    if (continues(open, &part)) {
      open->end = part.end;
    } else {
      add_mapping(text, process, open);
      *open = part;
    }
    if (part.end > UINT32_MAX)
      break;
    at = (guest_addr)part.end;
  }
}

static void add_maps(struct text *text, const struct thread *thread) {
  struct text host = {0};
  add_host_file(&host, "/proc/self/maps");
  struct mapping open = {.name = ""};
  char *line = host.failed ? NULL : host.bytes;
  for (char *end; line && *line; line = end + 1) {
    end = strchr(line, '\n');
    if (!end)
      break;
    *end = '\0';
    struct mapping mapping = {0};
    char permissions[5], device[12];
    uint64_t inode;
    int name = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %11s %" SCNu64 " %n", &mapping.start,
               &mapping.end, permissions, &mapping.offset, device, &inode, &name) < 6 ||
        mapping.start > UINT32_MAX)
      break;
    mapping.sharing = permissions[3];
    snprintf(mapping.file, sizeof mapping.file, "%s %" PRIu64, device, inode);
    if (line[name] == '/')
      path_strip_sysroot(thread->process, line + name);
    mapping.name = line + name;
    mapping.name_length = line[name] == '/' ? (int)strlen(line + name) : 0;
    add_host_mapping(text, thread->process, &mapping, &open);
  }
  add_mapping(text, thread->process, &open);
  text->failed |= host.failed;
  free(host.bytes);
}

/* --- The others ------------------------------------------------------------------------------ */

static void add_guest_memory(struct text *text, guest_addr start, guest_addr end) {
  if (end <= start || !reserve(text, end - start))
    return;
  if (guest_copy_in(text->bytes + text->length, start, end - start) == 0) /* unmapped by now: nothing */
    text->length += end - start;
}

static void add_cmdline(struct text *text, const struct thread *thread) {
  add_guest_memory(text, thread->process->arg_start, thread->process->arg_end);
}
static void add_environ(struct text *text, const struct thread *thread) {
  add_guest_memory(text, thread->process->env_start, thread->process->env_end);
}
static void add_auxv(struct text *text, const struct thread *thread) {
  add_guest_memory(text, thread->process->auxv_start,
                   thread->process->auxv_start + thread->process->auxv_length);
}

static uint64_t mapped_bytes(void) {
  guest_addr at = 0;
  uint32_t length;
  uint8_t bits;
  uint64_t total = 0;
  while (guest_memory_next_run(&at, &length, &bits)) {
    total += length;
    if ((uint64_t)at + length > UINT32_MAX)
      break;
    at += length;
  }
  return total;
}

/* proc(5) counts the fields from 1: the pid, the name in parentheses, the state … */
static void add_stat(struct text *text, const struct thread *thread) {
  const struct process *process = thread->process;
  const struct {
    int field;
    uint64_t value;
  } ours[] = {
      {23, mapped_bytes()},       {26, process->start_code}, {27, process->end_code},
      {28, process->start_stack}, {45, process->start_data}, {46, process->end_data},
      {47, process->start_brk},   {48, process->arg_start},  {49, process->arg_end},
      {50, process->env_start},   {51, process->env_end},
  };
  struct text host = {0};
  add_host_file(&host, "/proc/self/stat");
  char *name = host.failed ? NULL : strchr(host.bytes, '(');
  char *rest = name ? strrchr(name, ')') : NULL;
  if (rest) {
    const bool named = process->comm[0] != '\0';
    add(text, "%.*s(%.*s)", (int)(name - host.bytes), host.bytes,
        named ? (int)sizeof process->comm : (int)(rest - name - 1), named ? process->comm : name + 1);
    char *position = NULL;
    int field = 3;
    for (char *word = strtok_r(rest + 1, " \n", &position); word; word = strtok_r(NULL, " \n", &position)) {
      size_t i = 0;
      while (i < sizeof ours / sizeof ours[0] && ours[i].field != field)
        i++;
      if (i < sizeof ours / sizeof ours[0])
        add(text, " %" PRIu64, ours[i].value);
      else
        add(text, " %s", word);
      field++;
    }
    add(text, "\n");
  }
  text->failed |= !rest;
  free(host.bytes);
}

static const struct {
  const char *name;
  void (*add)(struct text *text, const struct thread *thread);
} files[] = {
    {"auxv", add_auxv}, {"cmdline", add_cmdline}, {"environ", add_environ},
    {"maps", add_maps}, {"stat", add_stat},
};

/* The text as a descriptor that reads it from the start. */
static int32_t text_descriptor(const struct text *text, const char *name, uint32_t flags) {
  const int fd = (int)HOST_CALL(SYS_memfd_create, name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
  if (fd < 0)
    return fd;
  size_t written = 0;
  while (written < text->length) {
    const long done = HOST_CALL(SYS_write, fd, text->bytes + written, text->length - written);
    if (done <= 0) {
      HOST_CALL(SYS_close, fd);
      return done ? (int32_t)done : -EIO;
    }
    written += (size_t)done;
  }
  HOST_CALL(SYS_lseek, fd, 0, SEEK_SET);
  return fd;
}

int32_t proc_open(struct thread *thread, const char *path, uint32_t flags) {
  const char *name = path_in_proc_self(path);
  if (!name || (flags & (O_ACCMODE | O_PATH | O_DIRECTORY | O_CREAT)) != O_RDONLY)
    return -ENOENT;
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    if (strcmp(name, files[i].name) != 0)
      continue;
    struct text text = {0};
    files[i].add(&text, thread);
    const int32_t fd = text.failed ? -ENOMEM : text_descriptor(&text, name, flags);
    free(text.bytes);
    return fd;
  }
  return -ENOENT;
}

/* --- For others ------------------------------------------------------------------------------ */

/* Where the host's own heap starts; 0 if it cannot be found out. */
static uint64_t host_start_brk(void) {
  enum { STATE_FIELD = 3, START_BRK_FIELD = 47 };
  struct text text = {0};
  add_host_file(&text, "/proc/self/stat");
  const char *at = text.failed ? NULL : strrchr(text.bytes, ')');
  for (int field = STATE_FIELD; at && field <= START_BRK_FIELD; field++)
    at = strchr(at + 1, ' ');
  const uint64_t start = at ? strtoull(at, NULL, 10) : 0;
  free(text.bytes);
  return start;
}

void proc_publish(const struct process *process) {
  if (process->comm[0])
    HOST_CALL(SYS_prctl, PR_SET_NAME, process->comm);
  const struct prctl_mm_map map = {
      .start_code = process->start_code,
      .end_code = process->end_code,
      .start_data = process->start_data,
      .end_data = process->end_data,
      .start_brk = host_start_brk(), /* the heap stays the C library's */
      .brk = (uint64_t)HOST_CALL(SYS_brk, 0),
      .start_stack = process->start_stack,
      .arg_start = process->arg_start,
      .arg_end = process->arg_end,
      .env_start = process->env_start,
      .env_end = process->env_end,
      .exe_fd = UINT32_MAX, /* as it is */
  };
  const long error =
      map.start_brk ? HOST_CALL(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map) : -ENOENT;
  if (error)
    log_line(LOG_EXEC, "/proc/%d shows the emulator to other processes: %s", getpid(), strerror((int)-error));
}
