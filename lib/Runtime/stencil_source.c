/* Where stencils come from: the library built into the program, the user's library in the cache
 * directory, and those compiled in this process, which are added to the user's.
 *
 * The user's library is replaced as a whole by rename(2): a reader has the old one or the new one,
 * and of two writers the last one wins; what the other made is made again when it is next missed.
 * A file of another build, or a damaged one, is ignored with a line in the log. */
#include "Runtime/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern const uint8_t stencil_library_start[], stencil_library_end[]; /* stencil_library.S */

enum { USER_LIBRARY_LIMIT = 64 << 20 };

static const struct stencil_library_header *built_in, *user;
static struct stencil_collection *made_here;
static bool user_is_open;

int stencil_source_init(void) {
  size_t size = (size_t)(stencil_library_end - stencil_library_start);
  built_in = (const struct stencil_library_header *)stencil_library_start;
  return stencil_library_valid(built_in, size, built_in->build_id, false) ? 0 : -ENOEXEC;
}

/* --- The user's library ---------------------------------------------------------------------------------- */

static bool user_path(char path[PATH_MAX], const char *suffix) {
  if (!engine.options.cache_dir)
    return false;
  int length = snprintf(path, PATH_MAX, "%s/stencils%s", engine.options.cache_dir, suffix);
  return length > 0 && length < PATH_MAX;
}

/* Maps it, when a stencil is first missed: most programs never look. */
static void open_user(void) {
  char path[PATH_MAX];
  struct stat st;
  user_is_open = true;
  if (!user_path(path, ""))
    return;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return;
  if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= USER_LIBRARY_LIMIT) {
    void *library = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (library != MAP_FAILED && stencil_library_valid(library, (size_t)st.st_size, built_in->build_id, true)) {
      user = library;
    } else if (library != MAP_FAILED) {
      engine_log("%s: damaged, or of another build: ignored", path);
      munmap(library, (size_t)st.st_size);
    }
  }
  close(fd);
}

static bool write_all(int fd, const uint8_t *data, size_t size) {
  while (size) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    data += n;
    size -= (size_t)n;
  }
  return true;
}

/* The folder and those above it; whether it worked shows when the file is opened. */
static void make_folders(const char *folder) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", folder);
  for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = '\0';
    mkdir(path, 0777);
  }
  mkdir(path, 0777);
}

static void save_user(void) {
  char path[PATH_MAX], temporary[PATH_MAX], suffix[32];
  snprintf(suffix, sizeof suffix, ".%ld", (long)getpid());
  if (!user_path(path, "") || !user_path(temporary, suffix))
    return;
  struct stencil_collection *all = stencil_collection_new();
  size_t size = 0;
  uint8_t *library = NULL;
  if (all && (!user || stencil_collection_add_library(all, user)) &&
      stencil_collection_add_collection(all, made_here))
    library = stencil_collection_library(all, built_in->build_id, &size);
  stencil_collection_free(all);
  if (!library || size > USER_LIBRARY_LIMIT) {
    free(library);
    return;
  }
  make_folders(engine.options.cache_dir);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) {
    engine_log("%s: cannot be written: %s", temporary, strerror(errno));
  } else {
    bool good = write_all(fd, library, size);
    close(fd);
    if (!good || rename(temporary, path) < 0) {
      engine_log("%s: cannot be written: %s", path, strerror(errno));
      unlink(temporary);
    }
  }
  free(library);
}

/* --- Looking up ---------------------------------------------------------------------------------------------- */

const struct stencil *stencil_source_find(const struct shape *shape) {
  uint64_t hash = shape_hash(shape);
  if (insn_uses_ymm(&shape->first)) /* here, because what is looked up goes into a unit */
    runtime_use_ymm();
  const struct stencil *stencil = stencil_find(built_in, shape, hash);
  if (stencil)
    return stencil;
  if (!user_is_open)
    open_user();
  stencil = user ? stencil_find(user, shape, hash) : NULL;
  return !stencil && made_here ? stencil_collection_find(made_here, shape) : stencil;
}

uint32_t stencil_source_place(const struct stencil *stencil) {
  const uint8_t *at = (const uint8_t *)stencil;
  const bool is_built_in = at >= stencil_library_start && at < stencil_library_end;
  return is_built_in ? (uint32_t)(at - stencil_library_start) : 0;
}

const struct stencil *stencil_source_at(uint32_t place) {
  return (const struct stencil *)(stencil_library_start + place);
}

/* --- Making --------------------------------------------------------------------------------------------------- */

static void made(void *context, const struct stencil_code *stencil) {
  (void)context;
  if (!stencil_collection_add(made_here, stencil))
    engine_fatal(0, "out of memory for stencils");
}

static void refused(void *context, const struct stencil_source *source, const char *why) {
  (void)context;
  engine_log("0x%08x: no stencil for '%s': %s", source->insn[0].eip, insn_name(&source->insn[0].form), why);
  struct stencil_code none = {.flags = STENCIL_REFUSED};
  shape_of(&none.shape, source->insn, source->count, source->live);
  made(context, &none);
}

void stencil_source_make(const struct stencil_source *sources, unsigned count) {
  if (!made_here && !(made_here = stencil_collection_new()))
    engine_fatal(sources[0].insn[0].eip, "out of memory for stencils");
  struct stencil_sink sink = {.made = made, .refused = refused};
  struct compiler_fpu fpu;
  compiler_enter(sources[0].insn[0].eip, &fpu)->compile_stencils(sources, count, &sink);
  compiler_leave(&fpu);
  engine_statistics.stencils_made += count;
  engine_log("0x%08x: %u stencils made on demand", sources[0].insn[0].eip, count);
  save_user();
}
