#include "Loader/elf_image.h"

#include "Loader/program.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#ifndef EM_486
#define EM_486 6 /* <elf.h> does not know it; the kernel runs it */
#endif

static const uint32_t page_mask = GUEST_PAGE_SIZE - 1;

bool elf_is_elf(const uint8_t *bytes, size_t length) {
  return length >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

bool elf_is_host_program(const uint8_t *bytes, size_t length) {
  Elf64_Ehdr header;
  if (length < sizeof header || !elf_is_elf(bytes, length))
    return false;
  memcpy(&header, bytes, sizeof header);
  return header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_machine == EM_X86_64 && (header.e_type == ET_EXEC || header.e_type == ET_DYN);
}

static int bad_number(enum elf_role role) { return role == ELF_PROGRAM ? ENOEXEC : ELIBBAD; }

int elf_image_read_header(struct elf_image *image, const uint8_t *bytes, size_t length, uint64_t file_size,
                          enum elf_role role, const char *name, struct loader_error *error) {
  const int bad = bad_number(role);
  Elf32_Ehdr header;
  if (!elf_is_elf(bytes, length))
    return loader_fail(error, bad, "%s: e_ident: expected an ELF file (7f 45 4c 46)", name);
  if (length < sizeof header || file_size < sizeof header)
    return loader_fail(error, bad, "%s: is %" PRIu64 " bytes long, expected an ELF header of %zu", name,
                       file_size, sizeof header);
  memcpy(&header, bytes, sizeof header);

  if (header.e_ident[EI_CLASS] != ELFCLASS32)
    return loader_fail(error, bad, "%s: e_ident[EI_CLASS] is %u, expected %u (ELFCLASS32)", name,
                       header.e_ident[EI_CLASS], ELFCLASS32);
  if (header.e_ident[EI_DATA] != ELFDATA2LSB)
    return loader_fail(error, bad, "%s: e_ident[EI_DATA] is %u, expected %u (little-endian)", name,
                       header.e_ident[EI_DATA], ELFDATA2LSB);
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
    return loader_fail(error, bad, "%s: e_type is %u, expected %u (ET_EXEC) or %u (ET_DYN)", name,
                       header.e_type, ET_EXEC, ET_DYN);
  if (header.e_machine != EM_386 && header.e_machine != EM_486)
    return loader_fail(error, bad, "%s: e_machine is %u, expected %u (EM_386) or %u (EM_486)", name,
                       header.e_machine, EM_386, EM_486);
  if (header.e_phentsize != sizeof(Elf32_Phdr))
    return loader_fail(error, bad, "%s: e_phentsize is %u, expected %zu", name, header.e_phentsize,
                       sizeof(Elf32_Phdr));
  const uint32_t size = header.e_phnum * (uint32_t)sizeof(Elf32_Phdr);
  if (size == 0 || size > ELF_HEADERS_MAX)
    return loader_fail(error, bad, "%s: e_phnum is %u, expected 1 to %zu", name, header.e_phnum,
                       ELF_HEADERS_MAX / sizeof(Elf32_Phdr));
  if ((uint64_t)header.e_phoff + size > file_size)
    return loader_fail(error, bad,
                       "%s: e_phoff is %u, expected %u program headers inside the file's %" PRIu64 " bytes",
                       name, header.e_phoff, header.e_phnum, file_size);
  image->is_dynamic = header.e_type == ET_DYN;
  image->entry = header.e_entry;
  image->header_offset = header.e_phoff;
  image->header_count = header.e_phnum;
  return 0;
}

static int read_load(struct elf_image *image, unsigned number, bool first, enum elf_role role,
                     const char *name, struct loader_error *error) {
  const Elf32_Phdr *segment = &image->header[number];
  const int bad = bad_number(role);
  if (segment->p_filesz > segment->p_memsz)
    return loader_fail(error, bad, "%s: program header %u: p_filesz is 0x%x, expected at most p_memsz, 0x%x",
                       name, number, segment->p_filesz, segment->p_memsz);
  if ((uint64_t)segment->p_vaddr + segment->p_memsz > GUEST_TASK_SIZE || segment->p_vaddr >= GUEST_TASK_SIZE)
    return loader_fail(error, bad,
                       "%s: program header %u: p_vaddr 0x%x and p_memsz 0x%x, expected an end below 0x%x",
                       name, number, segment->p_vaddr, segment->p_memsz, GUEST_TASK_SIZE);
  if (segment->p_filesz && ((segment->p_vaddr - segment->p_offset) & page_mask))
    return loader_fail(error, bad,
                       "%s: program header %u: p_offset is 0x%x, expected to agree with p_vaddr, 0x%x, "
                       "modulo %u",
                       name, number, segment->p_offset, segment->p_vaddr, GUEST_PAGE_SIZE);

  const uint32_t start = segment->p_vaddr & ~page_mask, end = segment->p_vaddr + segment->p_memsz;
  if (first) {
    image->first_address = start;
    image->low = start;
  }
  if (start < image->low)
    image->low = start;
  if (end > image->high)
    image->high = end;
  if (segment->p_align > image->alignment && !(segment->p_align & (segment->p_align - 1)))
    image->alignment = segment->p_align;
  return 0;
}

int elf_image_read_segments(struct elf_image *image, uint64_t file_size, enum elf_role role, const char *name,
                            struct loader_error *error) {
  image->first_address = image->low = image->high = 0;
  image->alignment = GUEST_PAGE_SIZE;
  image->stack = ELF_STACK_DEFAULT;
  image->has_interpreter = false;
  unsigned loads = 0;
  for (unsigned i = 0; i < image->header_count; i++) {
    const Elf32_Phdr *header = &image->header[i];
    switch (header->p_type) {
    case PT_LOAD: {
      const int result = read_load(image, i, loads++ == 0, role, name, error);
      if (result < 0)
        return result;
      break;
    }
    case PT_GNU_STACK: /* the last one counts */
      image->stack = header->p_flags & PF_X ? ELF_STACK_EXECUTABLE : ELF_STACK_PLAIN;
      break;
    case PT_INTERP: /* the first one counts; an interpreter's own is of no interest */
      if (role == ELF_INTERPRETER || image->has_interpreter)
        break;
      if (header->p_filesz < 2 || header->p_filesz > PATH_MAX)
        return loader_fail(error, ENOEXEC,
                           "%s: program header %u (PT_INTERP): p_filesz is %u, expected 2 to %u", name, i,
                           header->p_filesz, PATH_MAX);
      if ((uint64_t)header->p_offset + header->p_filesz > file_size)
        return loader_fail(
            error, EIO,
            "%s: program header %u (PT_INTERP): p_offset is 0x%x, expected its %u bytes inside "
            "the file's %" PRIu64,
            name, i, header->p_offset, header->p_filesz, file_size);
      image->has_interpreter = true;
      image->interpreter_offset = header->p_offset;
      image->interpreter_size = header->p_filesz;
      break;
    }
  }
  if (loads == 0 || image->high == image->low)
    return loader_fail(error, bad_number(role), "%s: program headers: expected a PT_LOAD that is not empty",
                       name);
  if (!image->is_dynamic && image->entry >= GUEST_TASK_SIZE)
    return loader_fail(error, bad_number(role), "%s: e_entry is 0x%x, expected below 0x%x", name,
                       image->entry, GUEST_TASK_SIZE);
  return 0;
}

int elf_image_check_interpreter(const char *string, size_t size, const char *name,
                                struct loader_error *error) {
  if (size == 0 || string[size - 1] != '\0')
    return loader_fail(error, ENOEXEC, "%s: PT_INTERP: expected a string that ends in NUL", name);
  return 0;
}

uint32_t elf_image_header_address(const struct elf_image *image) {
  uint32_t address = 0;
  for (unsigned i = 0; i < image->header_count; i++) {
    const Elf32_Phdr *segment = &image->header[i];
    if (segment->p_type == PT_LOAD && segment->p_offset <= image->header_offset &&
        image->header_offset < (uint64_t)segment->p_offset + segment->p_filesz)
      address = image->header_offset - segment->p_offset + segment->p_vaddr;
  }
  return address;
}

struct elf_bounds elf_image_bounds(const struct elf_image *image) {
  struct elf_bounds bounds = {.start_code = UINT32_MAX};
  for (unsigned i = 0; i < image->header_count; i++) {
    const Elf32_Phdr *segment = &image->header[i];
    if (segment->p_type != PT_LOAD)
      continue;
    const uint32_t file_end = segment->p_vaddr + segment->p_filesz, end = segment->p_vaddr + segment->p_memsz;
    if (segment->p_flags & PF_X) {
      if (segment->p_vaddr < bounds.start_code)
        bounds.start_code = segment->p_vaddr;
      if (file_end > bounds.end_code)
        bounds.end_code = file_end;
    }
    if (segment->p_vaddr > bounds.start_data)
      bounds.start_data = segment->p_vaddr;
    if (file_end > bounds.end_data)
      bounds.end_data = file_end;
    if (end > bounds.end)
      bounds.end = end;
  }
  if (bounds.end_code == 0)
    bounds.start_code = 0;
  return bounds;
}
