/* What the parts of the loader share: an opened file, the program being opened, the table of formats.
 * Private to lib/Loader (and to its tests). */
#ifndef UEMU_LOADER_PROGRAM_H
#define UEMU_LOADER_PROGRAM_H

#include "Loader/elf_image.h"
#include "Loader/loader.h"

#include <sys/stat.h>

/* The first bytes of a file, by which formats are told apart (BINPRM_BUF_SIZE); zeros after its end. */
enum { LOADER_HEAD_SIZE = 256 };

/* A regular file that exec(2) would open: permissions checked, first bytes read. */
struct loader_file {
  int fd;             /* O_RDONLY|O_CLOEXEC; -1: no file */
  char *path;         /* a path of the host that leads to it; owned */
  struct stat status; /* when it was opened */
  uint8_t head[LOADER_HEAD_SIZE];
};

/* 0, or a negative errno with *error filled. An absolute path means the file under sysroot (may be
 * NULL) if there is one. */
int loader_file_open(struct loader_file *file, const char *path, const char *sysroot,
                     struct loader_error *error);
/* The same for a name that a #! line or PT_INTERP gives: an empty one is EACCES, not ENOENT. */
int loader_interpreter_open(struct loader_file *file, const char *path, const char *sysroot,
                            struct loader_error *error);
void loader_file_close(struct loader_file *file);

/* Reads exactly `length` bytes at `offset`: 0, -EIO if the file ends before, or the errno of read(2). */
int loader_file_read(const struct loader_file *file, void *to, size_t length, uint64_t offset);

/* May this process execute a file of these permissions, as far as the mode tells? */
bool loader_mode_allows_execute(const struct stat *status);

/* Would executing it change the effective ids, if we could (set-user-ID, set-group-ID)? */
bool loader_file_sets_ids(const struct loader_file *file);

struct elf_program {
  struct elf_image image;
  char *interpreter_path; /* PT_INTERP's string; NULL without one */
  struct loader_file interpreter;
  struct elf_image interpreter_image;
};

struct loader_program {
  char *filename; /* as exec(2) was given it: AT_EXECFN */
  char *sysroot;  /* or NULL */
  char *name;     /* what `file` was opened as: filename, or the interpreter that a script names */
  struct loader_file file;
  const struct loader_format *format;
  bool is_host_program;
  bool is_interpreted; /* a #! line has dropped the argv[0] that exec was given */
  char **argv;         /* as the program will get it; strings owned */
  size_t argc;
  uint64_t given_argc, given_argv_bytes; /* of the caller's argv, with NULs: E2BIG looks at both */
  struct elf_program elf;
};

/* A format, as the kernel's struct linux_binfmt. open and load return 0 or a negative errno with
 * *error filled; open may also return LOADER_INTERPRET: program->file and argv are now those of an
 * interpreter, start over. */
enum { LOADER_INTERPRET = 1 };
struct loader_format {
  const char *name;
  bool (*probe)(const uint8_t head[LOADER_HEAD_SIZE]);
  int (*open)(struct loader_program *program, struct loader_error *error);
  int (*load)(struct loader_program *program, struct loader_image *image, struct loader_error *error);
  /* Before anything is mapped: fills image->personality and image->executable_stack. */
  void (*prepare)(const struct loader_program *program, struct loader_image *image);
};
extern const struct loader_format loader_format_script, loader_format_elf;

/* elf_map.c */
int elf_load(struct loader_program *program, struct loader_image *image, struct loader_error *error);

/* vdso.c: maps the vDSO and fills image. */
int vdso_map(struct loader_image *image, struct loader_error *error);

/* Fills *error (the message as printf(3)) and returns -number. */
int loader_fail(struct loader_error *error, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
