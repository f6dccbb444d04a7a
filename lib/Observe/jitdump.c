/* jit-PID.dump: the code itself, with names and times, as perf inject(1) reads it (jitdump specification,
 * version 1 of the format, tools/perf/Documentation/jitdump-specification.txt in perf's source).
 *
 * perf record notices the file because a page of it is mapped executable; that mapping stays. The file is
 * opened anew for each unit, as the guest must not see a descriptor of it. A forked child writes only what it
 * adds: perf itself lets it inherit what its parent had. */
#include "Observe/span.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { JIT_CODE_LOAD = 0, JIT_CODE_UNWINDING_INFO = 4 };

struct file_header {
  uint32_t magic, version, size, machine, pad, pid;
  uint64_t time, flags;
};

struct record {
  uint32_t id, size;
  uint64_t time;
};

struct load {
  struct record record;
  uint32_t pid, tid;
  uint64_t vma, code_address, code_size, index;
  /* the name with its NUL, the code */
};

/* The table that perf looks frame descriptions up in (LSB, .eh_frame_hdr), with one row; all addresses are
 * distances: of `frame` from the field, of the others from the header. */
struct frame_header {
  uint8_t version, frame_encoding, count_encoding, table_encoding;
  int32_t frame;
  uint32_t count;
  int32_t code, description;
};

struct unwinding {
  struct record record;
  uint64_t size, header_size, mapped_size;
  /* .eh_frame, struct frame_header */
};

static char folder[PATH_MAX], path[PATH_MAX + 32];
static uint64_t next_index;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* A new file with its header, mapped once. */
static int begin(void) {
  snprintf(path, sizeof path, "%s/jit-%d.dump", folder, (int)getpid());
  unlink(path); /* of a process that had the number before; it may still be mapped */
  const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0)
    return -errno;
  const struct file_header header = {.magic = 0x4A695444, /* "JiTD" */
                                     .version = 1,
                                     .size = sizeof header,
                                     .machine = EM_X86_64,
                                     .pid = (uint32_t)getpid(),
                                     .time = now()};
  int result = write(fd, &header, sizeof header) == sizeof header ? 0 : -EIO;
  if (result == 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
    result = -errno;
  close(fd);
  return result;
}

int jitdump_start(const char *where) {
  if (!realpath(where, folder)) /* the guest may change its directory */
    return -errno;
  return begin();
}

void jitdump_forked(void) { begin(); }

static void add_unwinding(int fd, uint64_t time, const struct span *span) {
  enum { ENCODING_PCREL_SDATA4 = 0x1B, ENCODING_UDATA4 = 0x03, ENCODING_DATAREL_SDATA4 = 0x3B };
  struct frame_header header = {1, ENCODING_PCREL_SDATA4, ENCODING_UDATA4, ENCODING_DATAREL_SDATA4, 0, 1, 0,
                                0};
  uint8_t frames[FRAME_SIZE];
  /* In the file that perf inject makes of it they lie behind the code, which it rounds up to 8 bytes. */
  const int32_t code_size = (int32_t)((span->size + 7) & ~7u);
  frame_describe(frames, -code_size, span->size);
  header.frame = -FRAME_SIZE - (int32_t)offsetof(struct frame_header, frame);
  header.code = -FRAME_SIZE - code_size;
  header.description = -FRAME_SIZE + FRAME_CODE;
  struct unwinding record = {.record = {JIT_CODE_UNWINDING_INFO, 0, time},
                             .size = sizeof frames + sizeof header,
                             .header_size = sizeof header,
                             .mapped_size = sizeof frames + sizeof header};
  record.record.size = (uint32_t)(sizeof record + record.size);
  const struct iovec parts[] = {{&record, sizeof record}, {frames, sizeof frames}, {&header, sizeof header}};
  if (writev(fd, parts, 3) < 0)
    return;
}

void jitdump_add(const struct span *span, unsigned count) {
  const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return;
  const uint64_t time = now();
  for (unsigned i = 0; i < count; i++) {
    const size_t name_size = strlen(span[i].name) + 1;
    if (span[i].plain_frames)
      add_unwinding(fd, time, &span[i]);
    struct load load = {.record = {JIT_CODE_LOAD, 0, time},
                        .pid = (uint32_t)getpid(),
                        .tid = (uint32_t)gettid(),
                        .vma = (uint64_t)(uintptr_t)span[i].code,
                        .code_address = (uint64_t)(uintptr_t)span[i].code,
                        .code_size = span[i].size,
                        .index = next_index++};
    load.record.size = (uint32_t)(sizeof load + name_size + span[i].size);
    const struct iovec parts[] = {
        {&load, sizeof load}, {(char *)span[i].name, name_size}, {(uint8_t *)span[i].code, span[i].size}};
    if (writev(fd, parts, 3) < 0)
      break; /* a full disk: the rest has no names */
  }
  close(fd);
}
