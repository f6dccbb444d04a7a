/* Mapping an ELF program and its interpreter where an x86-64 kernel puts them for a 32-bit process
 * without address-space randomisation:
 *
 *   - ET_EXEC at its own addresses;
 *   - a position-independent program with an interpreter from 0x56555000 (two thirds of the way down
 *     from a third of the address space), moved down to the alignment its segments ask for;
 *   - one without (static-pie, or the dynamic linker run by hand) in the mmap area, top down, so that
 *     it is out of the way of what it may load; its brk starts at 0x56555000;
 *   - the interpreter in the mmap area. An ET_DYN one that was linked for an address gets it if the
 *     program is ET_EXEC and the place is free.
 *
 * Segments are mapped in file order, each over what is there: where they overlap, the later one wins.
 * The pages of a segment's bss are readable and writable whatever its own protections are. */
#include "Loader/program.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIE_BASE 0x56555000u

static const uint32_t page_mask = GUEST_PAGE_SIZE - 1;

static uint32_t page_start(uint32_t address) { return address & ~page_mask; }
static uint32_t page_end(uint32_t address) { return (address + page_mask) & ~page_mask; }

struct mapping {
  const struct loader_file *file;
  const struct elf_image *image;
  const char *name;
  int64_t bias; /* added to the file's addresses; may be negative */
};

static int segment_protection(uint32_t flags) {
  return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

static int segment_fail(const struct mapping *mapping, unsigned number, uint32_t address, uint32_t length,
                        int number_of_error, struct loader_error *error) {
  return loader_fail(error, number_of_error, "%s: program header %u: cannot map 0x%x bytes at 0x%08x: %s",
                     mapping->name, number, length, address, strerror(number_of_error));
}

/* Zeroes the rest of the last page that came from the file. */
static int clear_tail(const struct mapping *mapping, const Elf32_Phdr *segment, uint32_t file_end) {
  static const uint8_t zeros[GUEST_PAGE_SIZE];
  const uint32_t length = page_end(file_end) - file_end;
  if (length == 0 || !(segment->p_flags & PF_W)) /* the kernel leaves what it cannot write */
    return 0;
  const uint64_t page_offset = (uint64_t)segment->p_offset + segment->p_filesz - (file_end & page_mask);
  struct stat status; /* a page beyond the file's end would be SIGBUS */
  if (fstat(mapping->file->fd, &status) < 0 || page_offset >= (uint64_t)status.st_size)
    return -EFAULT;
  return guest_copy_out(file_end, zeros, length);
}

static int map_segment(const struct mapping *mapping, unsigned number, struct loader_error *error) {
  const Elf32_Phdr *segment = &mapping->image->header[number];
  const int64_t start = segment->p_vaddr + mapping->bias;
  if (start < 0 || start + segment->p_memsz > GUEST_TASK_SIZE)
    return loader_fail(error, ENOMEM,
                       "%s: program header %u: p_vaddr 0x%x moved by %" PRId64 " leaves the address space",
                       mapping->name, number, segment->p_vaddr, mapping->bias);
  const uint32_t address = (uint32_t)start, in_page = address & page_mask;
  const uint32_t file_end = address + segment->p_filesz;
  const int protection = segment_protection(segment->p_flags);
  uint32_t bss = page_start(address);

  if (segment->p_filesz) {
    const uint32_t length = page_end(in_page + segment->p_filesz);
    const int64_t mapped = guest_memory_map(address - in_page, length, protection, MAP_PRIVATE | MAP_FIXED,
                                            mapping->file->fd, segment->p_offset - in_page);
    if (mapped < 0)
      return segment_fail(mapping, number, address - in_page, length, (int)-mapped, error);
    bss = page_end(file_end);
    if (segment->p_memsz > segment->p_filesz && clear_tail(mapping, segment, file_end) < 0)
      return loader_fail(error, EFAULT,
                         "%s: program header %u: the file ends before the page that its bss begins in",
                         mapping->name, number);
  }
  const uint32_t end = page_end(address + segment->p_memsz);
  if (segment->p_memsz > segment->p_filesz && end > bss) {
    const int64_t mapped = guest_memory_map(bss, end - bss, PROT_READ | PROT_WRITE | (protection & PROT_EXEC),
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (mapped < 0)
      return segment_fail(mapping, number, bss, end - bss, (int)-mapped, error);
  }
  return 0;
}

static int map_segments(const struct mapping *mapping, struct loader_error *error) {
  for (unsigned i = 0; i < mapping->image->header_count; i++) {
    const int result = mapping->image->header[i].p_type == PT_LOAD ? map_segment(mapping, i, error) : 0;
    if (result < 0)
      return result;
  }
  return 0;
}

/* Finds room for all of a position-independent image and leaves it unmapped. flags: MAP_FIXED_NOREPLACE, or
 * 0 if `wanted` is only a wish. The room's address, or a negative errno. */
static int64_t find_room(const struct elf_image *image, uint32_t wanted, int flags) {
  const uint32_t length = page_end(image->high - image->low);
  const int64_t address =
      guest_memory_map(wanted, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  if (address < 0)
    return address;
  const int result = guest_memory_unmap((guest_addr)address, length);
  return result < 0 ? result : address;
}

static int64_t choose_program_base(const struct elf_image *image) {
  const uint32_t aligned = ~(image->alignment - 1);
  if (image->has_interpreter)
    return find_room(image, PIE_BASE & aligned, MAP_FIXED_NOREPLACE);
  const int64_t address = find_room(image, 0, 0);
  if (address < 0 || (address & (image->alignment - 1)) == 0)
    return address;
  return find_room(image, (uint32_t)address & aligned, MAP_FIXED_NOREPLACE);
}

/* Maps the image at `base` if it is position-independent, else at its own addresses. */
static int map_image(struct mapping *mapping, int64_t base, struct loader_error *error) {
  if (!mapping->image->is_dynamic)
    return map_segments(mapping, error);
  if (base < 0)
    return loader_fail(error, (int)-base, "%s: no room for its 0x%x bytes: %s", mapping->name,
                       mapping->image->high - mapping->image->low, strerror((int)-base));
  mapping->bias = base - mapping->image->first_address;
  return map_segments(mapping, error);
}

/* ET_EXEC may not lie where the stack is. */
static int check_free(const struct mapping *mapping, struct loader_error *error) {
  guest_addr start = mapping->image->low;
  uint32_t length;
  uint8_t bits;
  if (!mapping->image->is_dynamic && guest_memory_next_run(&start, &length, &bits) &&
      start < mapping->image->high)
    return loader_fail(error, EEXIST, "%s: wants 0x%08x to 0x%08x, which is in use from 0x%08x (the stack)",
                       mapping->name, mapping->image->low, mapping->image->high, start);
  return 0;
}

int elf_load(struct loader_program *program, struct loader_image *image, struct loader_error *error) {
  struct elf_program *elf = &program->elf;
  struct mapping main_mapping = {.file = &program->file, .image = &elf->image, .name = program->name};
  int result = check_free(&main_mapping, error);
  if (result == 0)
    result = map_image(&main_mapping, elf->image.is_dynamic ? choose_program_base(&elf->image) : 0, error);
  if (result < 0)
    return result;

  int64_t entry = elf->image.entry + main_mapping.bias;
  image->program_entry = (guest_addr)entry;
  if (elf->interpreter_path) {
    const struct elf_image *interpreter = &elf->interpreter_image;
    struct mapping mapping = {.file = &elf->interpreter, .image = interpreter, .name = elf->interpreter_path};
    const uint32_t wish = main_mapping.bias == 0 ? interpreter->first_address : 0;
    result = map_image(&mapping, interpreter->is_dynamic ? find_room(interpreter, wish, 0) : 0, error);
    if (result < 0)
      return result;
    image->interpreter_base = (guest_addr)mapping.bias;
    entry = interpreter->entry + mapping.bias;
  }
  if (entry < 0 || entry >= GUEST_TASK_SIZE)
    return loader_fail(error, EINVAL, "%s: the entry point leaves the address space",
                       elf->interpreter_path ? elf->interpreter_path : program->name);
  image->entry = (guest_addr)entry;

  const guest_addr bias = (guest_addr)main_mapping.bias;
  const struct elf_bounds bounds = elf_image_bounds(&elf->image);
  image->start_code = bounds.start_code + bias;
  image->end_code = bounds.end_code + bias;
  image->start_data = bounds.start_data + bias;
  image->end_data = bounds.end_data + bias;
  image->header_address = elf_image_header_address(&elf->image) + bias;
  image->header_count = elf->image.header_count;
  image->start_brk = elf->image.is_dynamic && !elf->interpreter_path ? PIE_BASE : page_end(bounds.end + bias);
  return 0;
}
