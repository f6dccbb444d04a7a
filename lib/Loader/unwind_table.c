#include "Loader/unwind_table.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

/* Pointer encodings (LSB 5.0, 10.5.1): the low half is the form, the high half what it is relative to. */
enum {
  FORM = 0x0F,
  FORM_ABSOLUTE = 0x00,
  FORM_UDATA4 = 0x03,
  FORM_SDATA4 = 0x0B,
  RELATIVE = 0x70,
  RELATIVE_PC = 0x10
};

/* The section, and a place in it. Reading past `end` sets `failed` and gives zeros. */
struct reader {
  const uint8_t *at, *end;
  bool failed;
};

static uint32_t read_bytes(struct reader *r, size_t count) {
  uint32_t value = 0;
  if ((size_t)(r->end - r->at) < count) {
    r->failed = true;
    r->at = r->end;
    return 0;
  }
  memcpy(&value, r->at, count);
  r->at += count;
  return value;
}

/* LEB128, signed or not: what it says does not matter here but for small numbers. */
static uint32_t read_leb(struct reader *r) {
  uint32_t value = 0, byte;
  unsigned shift = 0;
  do {
    byte = read_bytes(r, 1);
    value |= shift < 32 ? (byte & 0x7F) << shift : 0;
    shift += 7;
  } while (byte & 0x80 && !r->failed);
  return value;
}

static bool is_known(unsigned encoding) {
  const unsigned form = encoding & FORM, relative = encoding & RELATIVE;
  return (form == FORM_ABSOLUTE || form == FORM_UDATA4 || form == FORM_SDATA4) &&
         (relative == 0 || relative == RELATIVE_PC) && !(encoding & 0x80);
}

/* How a common description (CIE) says that its functions' pointers are encoded; -1: in no way that is known
 * here. */
static int encoding_of(struct reader r) {
  read_bytes(&r, 4); /* its length */
  read_bytes(&r, 4);
  const uint32_t version = read_bytes(&r, 1);
  const char *augmentation = (const char *)r.at;
  while (read_bytes(&r, 1))
    ;
  if (r.failed || (version != 1 && version != 3))
    return -1;
  read_leb(&r);
  read_leb(&r);
  if (version == 1)
    read_bytes(&r, 1);
  else
    read_leb(&r);
  if (augmentation[0] != 'z')
    return augmentation[0] ? -1 : FORM_ABSOLUTE;
  read_leb(&r);
  int encoding = FORM_ABSOLUTE;
  for (const char *letter = augmentation + 1; *letter && !r.failed; letter++) {
    if (*letter == 'R') {
      encoding = (int)read_bytes(&r, 1);
    } else if (*letter == 'L') {
      read_bytes(&r, 1);
    } else if (*letter == 'P') {
      if (!is_known(read_bytes(&r, 1) & 0x7F))
        return -1;
      read_bytes(&r, 4);
    } else if (*letter != 'S') {
      return -1;
    }
  }
  return !r.failed && is_known((unsigned)encoding) ? encoding : -1;
}

static void read_frames(const uint8_t *frames, size_t size, uint32_t address,
                        void (*each)(void *context, uint32_t address, uint32_t length), void *context) {
  struct reader r = {.at = frames, .end = frames + size};
  while ((size_t)(r.end - r.at) >= 8) {
    struct reader one = r;
    const uint32_t length = read_bytes(&one, 4);
    if (length < 4 ||
        length > (size_t)(one.end - one.at)) /* 0: the end; 64-bit lengths: not in 32-bit files */
      return;
    one.end = r.at = one.at + length;
    const size_t id_at = (size_t)(one.at - frames);
    const uint32_t back = read_bytes(&one, 4);
    if (back == 0 || back > id_at)
      continue;
    struct reader common = {.at = frames + id_at - back, .end = frames + size};
    const int encoding = encoding_of(common);
    if (encoding < 0)
      continue;
    const uint32_t place = address + (uint32_t)(one.at - frames);
    uint32_t start = read_bytes(&one, 4);
    const uint32_t covered = read_bytes(&one, 4);
    if ((encoding & RELATIVE) == RELATIVE_PC)
      start += place;
    if (!one.failed && covered)
      each(context, start, covered);
  }
}

void unwind_table_read(const uint8_t *bytes, size_t size,
                       void (*each)(void *context, uint32_t address, uint32_t length), void *context) {
  Elf32_Ehdr header;
  if (size < sizeof header)
    return;
  memcpy(&header, bytes, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS32 ||
      header.e_shentsize != sizeof(Elf32_Shdr) || header.e_shoff > size ||
      (size - header.e_shoff) / sizeof(Elf32_Shdr) < header.e_shnum || header.e_shstrndx >= header.e_shnum)
    return;
  Elf32_Shdr section, names;
  memcpy(&names, bytes + header.e_shoff + header.e_shstrndx * sizeof names, sizeof names);
  static const char wanted[] = ".eh_frame";
  for (unsigned i = 0; i < header.e_shnum; i++) {
    memcpy(&section, bytes + header.e_shoff + i * sizeof section, sizeof section);
    const uint64_t name = (uint64_t)names.sh_offset + section.sh_name;
    if (name + sizeof wanted <= size && memcmp(bytes + name, wanted, sizeof wanted) == 0 &&
        section.sh_type != SHT_NOBITS && section.sh_offset <= size &&
        section.sh_size <= size - section.sh_offset)
      read_frames(bytes + section.sh_offset, section.sh_size, section.sh_addr, each, context);
  }
}
