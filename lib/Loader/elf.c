/* ELF programs: reading the headers of the program and of its interpreter. Mapping is elf_map.c's. */
#include "Loader/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>

static bool elf_probe(const uint8_t head[LOADER_HEAD_SIZE]) { return elf_is_elf(head, LOADER_HEAD_SIZE); }

static int read_segments(struct elf_image *image, const struct loader_file *file, enum elf_role role,
                         const char *name, struct loader_error *error) {
  const int result = loader_file_read(file, image->header, image->header_count * sizeof image->header[0],
                                      image->header_offset);
  if (result < 0)
    return loader_fail(error, role == ELF_PROGRAM ? ENOEXEC : ELIBBAD,
                       "%s: cannot read the program headers: %s", name, strerror(-result));
  return elf_image_read_segments(image, (uint64_t)file->status.st_size, role, name, error);
}

static int open_interpreter(struct loader_program *program, struct loader_error *error) {
  struct elf_program *elf = &program->elf;
  const char *name = program->name;
  const size_t size = elf->image.interpreter_size;
  char *path = elf->interpreter_path = malloc(size);
  if (!path)
    return loader_fail(error, ENOMEM, "%s: %s", name, strerror(ENOMEM));
  int result = loader_file_read(&program->file, path, size, elf->image.interpreter_offset);
  if (result < 0)
    return loader_fail(error, -result, "%s: cannot read PT_INTERP: %s", name, strerror(-result));
  result = elf_image_check_interpreter(path, size, name, error);
  if (result < 0)
    return result;

  struct loader_error why;
  result = loader_interpreter_open(&elf->interpreter, path, program->sysroot, &why);
  if (result == -ENOENT)
    return loader_fail(
        error, ENOENT,
        "%.200s: its interpreter %.100s does not exist%s%.100s; expected an i386 system, perhaps "
        "in a sysroot (-L)",
        name, path, program->sysroot ? ", neither on this host nor in " : " on this host",
        program->sysroot ? program->sysroot : "");
  if (result < 0)
    return loader_fail(error, -result, "%.200s: interpreter: %.250s", name, why.message);

  struct loader_file *file = &elf->interpreter;
  if ((uint64_t)file->status.st_size < sizeof(Elf32_Ehdr)) /* the one case where the kernel says EIO */
    return loader_fail(error, EIO, "%s: interpreter %s: is %lld bytes long, expected an ELF header of %zu",
                       name, path, (long long)file->status.st_size, sizeof(Elf32_Ehdr));
  result = elf_image_read_header(&elf->interpreter_image, file->head, sizeof file->head,
                                 (uint64_t)file->status.st_size, ELF_INTERPRETER, path, error);
  return result < 0 ? result : read_segments(&elf->interpreter_image, file, ELF_INTERPRETER, path, error);
}

static int elf_open(struct loader_program *program, struct loader_error *error) {
  const struct loader_file *file = &program->file;
  program->is_host_program = elf_is_host_program(file->head, sizeof file->head);
  if (program->is_host_program)
    return 0;
  struct elf_image *image = &program->elf.image;
  int result = elf_image_read_header(image, file->head, sizeof file->head, (uint64_t)file->status.st_size,
                                     ELF_PROGRAM, program->name, error);
  if (result == 0)
    result = read_segments(image, file, ELF_PROGRAM, program->name, error);
  if (result == 0 && image->has_interpreter)
    result = open_interpreter(program, error);
  return result;
}

/* The interpreters that System V Release 4 for the i386 (iBCS2) names. */
static bool is_svr4_interpreter(const char *path) {
  return strcmp(path, "/usr/lib/libc.so.1") == 0 || strcmp(path, "/usr/lib/ld.so.1") == 0;
}

static void elf_prepare(const struct loader_program *program, struct loader_image *image) {
  const enum elf_stack stack = program->elf.image.stack;
  if (stack == ELF_STACK_DEFAULT) /* linked before PT_GNU_STACK: may run code anywhere */
    image->personality |= READ_IMPLIES_EXEC;
  image->executable_stack = stack != ELF_STACK_PLAIN;
  if (program->elf.interpreter_path && is_svr4_interpreter(program->elf.interpreter_path))
    image->personality |= PER_SVR4;
}

const struct loader_format loader_format_elf = {
    .name = "ELF",
    .probe = elf_probe,
    .open = elf_open,
    .prepare = elf_prepare,
    .load = elf_load,
};
