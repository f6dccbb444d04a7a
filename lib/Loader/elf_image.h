/* What an ELF32 file's headers ask for, checked. Pure functions over bytes: nothing is read, mapped or
 * allocated here, so that tests and the fuzzer need no file.
 *
 * The rules are today's kernel's (fs/binfmt_elf.c) where it has an opinion, and stricter where it would
 * kill the process after the point of no return: here a bad field is refused before anything is touched. */
#ifndef UEMU_LOADER_ELF_IMAGE_H
#define UEMU_LOADER_ELF_IMAGE_H

#include "Loader/loader.h"

#include <elf.h>

enum { ELF_HEADERS_MAX = 65536 /* bytes of program headers */ };

/* Whose headers they are: decides the errno of what is wrong with them. */
enum elf_role { ELF_PROGRAM /* ENOEXEC */, ELF_INTERPRETER /* ELIBBAD */ };

/* Is PT_GNU_STACK there, and what does it ask for? */
enum elf_stack { ELF_STACK_DEFAULT, ELF_STACK_PLAIN, ELF_STACK_EXECUTABLE };

struct elf_image {
  /* From the header, by elf_image_read_header. */
  bool is_dynamic; /* ET_DYN: may be put anywhere */
  uint32_t entry;
  uint32_t header_offset; /* e_phoff */
  uint16_t header_count;  /* e_phnum, 1 to 2048 */

  /* From the program headers, by elf_image_read_segments. */
  Elf32_Phdr header[ELF_HEADERS_MAX / sizeof(Elf32_Phdr)];
  uint32_t first_address; /* p_vaddr of the first PT_LOAD, rounded down to its page */
  uint32_t low, high;     /* bounds of all PT_LOADs; low is rounded down to its page */
  uint32_t alignment;     /* largest p_align that is a power of two, at least a page */
  enum elf_stack stack;
  bool has_interpreter;
  uint32_t interpreter_offset; /* the string's place in the file */
  uint32_t interpreter_size;   /* 2 to PATH_MAX, with its NUL */
};

/* Begins with the ELF magic number? */
bool elf_is_elf(const uint8_t *bytes, size_t length);

/* A program of the host itself: ELF64, x86-64. */
bool elf_is_host_program(const uint8_t *bytes, size_t length);

/* Checks the header in the first `length` bytes of a file of file_size bytes. On success the program
 * headers, header_count of them, are inside the file at header_offset. `name` is for messages.
 * 0, -ENOEXEC or -ELIBBAD. */
int elf_image_read_header(struct elf_image *image, const uint8_t *bytes, size_t length, uint64_t file_size,
                          enum elf_role role, const char *name, struct loader_error *error);

/* Checks image->header[0 .. header_count), which the caller has filled from the file. On success, for
 * each PT_LOAD: p_filesz <= p_memsz, [p_vaddr, p_vaddr+p_memsz) lies below GUEST_TASK_SIZE, and
 * p_offset and p_vaddr agree modulo the page size (if p_filesz is not 0). A PT_LOAD may reach beyond the
 * file's end, as the kernel has it: those pages fault. 0, or -ENOEXEC, -ELIBBAD, -EIO (PT_INTERP
 * outside the file). */
int elf_image_read_segments(struct elf_image *image, uint64_t file_size, enum elf_role role, const char *name,
                            struct loader_error *error);

/* Checks PT_INTERP's string, size bytes: ends in a NUL. 0 or -ENOEXEC. */
int elf_image_check_interpreter(const char *string, size_t size, const char *name,
                                struct loader_error *error);

/* The program headers' address in memory before the load bias: AT_PHDR. 0 if no segment holds them. */
uint32_t elf_image_header_address(const struct elf_image *image);

/* start_code and so on, before the load bias. */
struct elf_bounds {
  uint32_t start_code, end_code, start_data, end_data, end;
};
struct elf_bounds elf_image_bounds(const struct elf_image *image);

#endif
