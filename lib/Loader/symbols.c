/* Reading symbol tables.
 *
 * Sections are found by the section headers: stripped files keep those of .dynsym. Each table is read as a
 * whole with its strings, its functions are collected, then all are sorted and thinned out: aliases go, and
 * labels without a size go where a function around them has one.
 *
 * Functions can lie inside each other. `around` chains each symbol to the one that encloses it, so that a
 * look-up is a binary search for the last start, and then outwards to the first that reaches far enough. */
#include "Loader/symbols.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTION_LIMIT = 1 << 16, LOAD_LIMIT = 64, TABLE_LIMIT = 4, NONE = -1 };

struct load {
  uint32_t offset, size, address;
};

struct symbols {
  struct symbol *symbol;
  int32_t *around; /* of the same index: the symbol that encloses it, or NONE */
  size_t count;
  struct load load[LOAD_LIMIT];
  unsigned load_count;
  char *strings[TABLE_LIMIT]; /* what names point into */
  unsigned strings_count;
};

/* --- Reading ------------------------------------------------------------------------------------------- */

struct input {
  int fd; /* -1: the bytes are in memory */
  const uint8_t *bytes;
  uint64_t size;
};

static bool input_read(const struct input *input, void *to, uint64_t offset, size_t length) {
  if (offset > input->size || length > input->size - offset)
    return false;
  if (input->fd < 0) {
    memcpy(to, input->bytes + offset, length);
    return true;
  }
  for (size_t done = 0; done < length;) {
    const ssize_t got = pread(input->fd, (char *)to + done, length - done, (off_t)(offset + done));
    if (got > 0)
      done += (size_t)got;
    else if (got == 0 || errno != EINTR)
      return false;
  }
  return true;
}

/* A part of the file in memory of its own, with a NUL behind it; NULL if it is not all there. */
static void *input_part(const struct input *input, uint64_t offset, uint64_t length) {
  if (offset > input->size || length > input->size - offset)
    return NULL;
  char *part = malloc((size_t)length + 1);
  if (!part || !input_read(input, part, offset, (size_t)length)) {
    free(part);
    return NULL;
  }
  part[length] = '\0';
  return part;
}

/* --- Collecting ------------------------------------------------------------------------------------------
 */

/* A symbol on its way, with what decides between aliases. */
struct candidate {
  uint32_t address, size, limit; /* limit: its section's end */
  uint8_t rank;                  /* lower is better */
  const char *name;
};

struct candidates {
  struct candidate *list;
  size_t count, room;
};

static bool add(struct candidates *all, const struct candidate *one) {
  if (all->count == all->room) {
    const size_t room = all->room ? 2 * all->room : 256;
    struct candidate *list = realloc(all->list, room * sizeof *list);
    if (!list)
      return false;
    all->list = list;
    all->room = room;
  }
  all->list[all->count++] = *one;
  return true;
}

/* Of aliases the one in use: sized, not local, with few underscores in front, not weak; in this order. */
static uint8_t rank_of(const Elf32_Sym *symbol, const char *name) {
  enum { NOT_SIZED = 16, LOCAL = 8, UNDERSCORE = 2, WEAK = 1, UNDERSCORES_MAX = 3 };
  const unsigned binding = ELF32_ST_BIND(symbol->st_info);
  const size_t underscores = strspn(name, "_");
  return (uint8_t)((symbol->st_size ? 0 : NOT_SIZED) | (binding == STB_LOCAL ? LOCAL : 0) |
                   UNDERSCORE * (underscores < UNDERSCORES_MAX ? underscores : UNDERSCORES_MAX) |
                   (binding == STB_WEAK ? WEAK : 0));
}

/* Assembly files often forget a symbol's type; as code counts then what lies in a section of code. */
static bool is_function(const Elf32_Sym *symbol, const Elf32_Shdr *section) {
  const unsigned type = ELF32_ST_TYPE(symbol->st_info);
  if (type == STT_FUNC || type == STT_GNU_IFUNC)
    return true;
  return type == STT_NOTYPE && ELF32_ST_BIND(symbol->st_info) != STB_LOCAL && section &&
         section->sh_flags & SHF_EXECINSTR;
}

static void collect(struct symbols *symbols, struct candidates *all, const struct input *input,
                    const Elf32_Shdr *sections, unsigned section_count, const Elf32_Shdr *table) {
  if (table->sh_link >= section_count || symbols->strings_count == TABLE_LIMIT)
    return;
  const Elf32_Shdr *names = &sections[table->sh_link];
  Elf32_Sym *list = input_part(input, table->sh_offset, table->sh_size);
  char *strings = input_part(input, names->sh_offset, names->sh_size);
  if (!list || !strings) {
    free(list);
    free(strings);
    return;
  }
  symbols->strings[symbols->strings_count++] = strings;
  const size_t count = table->sh_size / sizeof *list;
  for (size_t i = 0; i < count; i++) {
    const Elf32_Sym *symbol = &list[i];
    const Elf32_Shdr *section = symbol->st_shndx < section_count ? &sections[symbol->st_shndx] : NULL;
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= names->sh_size || !strings[symbol->st_name] ||
        !is_function(symbol, section))
      continue;
    const char *name = strings + symbol->st_name;
    struct candidate one = {
        .address = symbol->st_value, .size = symbol->st_size, .rank = rank_of(symbol, name), .name = name};
    one.limit = UINT32_MAX;
    if (section && one.address - section->sh_addr < section->sh_size &&
        section->sh_size <= UINT32_MAX - section->sh_addr)
      one.limit = section->sh_addr + section->sh_size;
    if (one.size > UINT32_MAX - one.address)
      one.size = UINT32_MAX - one.address;
    if (!add(all, &one))
      break;
  }
  free(list);
}

static void read_sections(struct symbols *symbols, struct candidates *all, const struct input *input,
                          const Elf32_Ehdr *header) {
  unsigned count = header->e_shnum;
  Elf32_Shdr first;
  if (header->e_shentsize != sizeof first || !header->e_shoff ||
      !input_read(input, &first, header->e_shoff, sizeof first))
    return;
  if (count == 0) /* more than fit into e_shnum */
    count = first.sh_size < SECTION_LIMIT ? first.sh_size : SECTION_LIMIT;
  Elf32_Shdr *sections = input_part(input, header->e_shoff, (uint64_t)count * sizeof *sections);
  for (unsigned i = 0; sections && i < count; i++)
    if (sections[i].sh_type == SHT_SYMTAB || sections[i].sh_type == SHT_DYNSYM)
      collect(symbols, all, input, sections, count, &sections[i]);
  free(sections);
}

static void read_loads(struct symbols *symbols, const struct input *input, const Elf32_Ehdr *header) {
  if (header->e_phentsize != sizeof(Elf32_Phdr))
    return;
  for (unsigned i = 0; i < header->e_phnum && symbols->load_count < LOAD_LIMIT; i++) {
    Elf32_Phdr segment;
    if (!input_read(input, &segment, header->e_phoff + (uint64_t)i * sizeof segment, sizeof segment))
      return;
    if (segment.p_type == PT_LOAD && segment.p_filesz)
      symbols->load[symbols->load_count++] =
          (struct load){segment.p_offset, segment.p_filesz, segment.p_vaddr};
  }
}

/* --- In order
 * ----------------------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right) {
  const struct candidate *a = left, *b = right;
  if (a->address != b->address)
    return a->address < b->address ? -1 : 1;
  if (a->rank != b->rank)
    return a->rank < b->rank ? -1 : 1;
  if (a->size != b->size)
    return a->size > b->size ? -1 : 1;
  return strcmp(a->name, b->name);
}

static bool covers(const struct symbol *symbol, uint32_t address) {
  return address - symbol->address < symbol->size;
}

/* From `at` outwards, the first that covers the address. */
static int32_t enclosing(const struct symbols *symbols, int32_t at, uint32_t address) {
  while (at != NONE && !covers(&symbols->symbol[at], address))
    at = symbols->around[at];
  return at;
}

static bool put_in_order(struct symbols *symbols, struct candidates *all) {
  if (all->count == 0)
    return true;
  qsort(all->list, all->count, sizeof *all->list, compare);
  symbols->symbol = malloc(all->count * sizeof *symbols->symbol);
  symbols->around = malloc(all->count * sizeof *symbols->around);
  if (!symbols->symbol || !symbols->around || all->count > INT32_MAX)
    return false;
  for (size_t i = 0; i < all->count; i++) {
    const struct candidate *one = &all->list[i];
    const int32_t last = (int32_t)symbols->count - 1;
    if (last >= 0 && symbols->symbol[last].address == one->address)
      continue;
    const int32_t around = last < 0 ? NONE : enclosing(symbols, last, one->address);
    if (one->size == 0 && around != NONE && symbols->symbol[around].sized)
      continue;
    uint32_t size = one->size;
    for (size_t next = i + 1; !size && next < all->count; next++)
      if (all->list[next].address != one->address) {
        const uint32_t end = all->list[next].address < one->limit ? all->list[next].address : one->limit;
        size = end - one->address;
      }
    if (!size)
      size = one->limit - one->address;
    if (!size)
      continue;
    symbols->around[symbols->count] = around;
    symbols->symbol[symbols->count++] = (struct symbol){one->address, size, one->size != 0, one->name};
  }
  return true;
}

/* --- The interface
 * -------------------------------------------------------------------------------------------- */

static struct symbols *read_input(const struct input *input) {
  Elf32_Ehdr header;
  if (!input_read(input, &header, 0, sizeof header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS32 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return NULL;
  struct symbols *symbols = calloc(1, sizeof *symbols);
  struct candidates all = {0};
  if (!symbols)
    return NULL;
  read_loads(symbols, input, &header);
  read_sections(symbols, &all, input, &header);
  if (!put_in_order(symbols, &all)) {
    symbols_free(symbols);
    symbols = NULL;
  }
  free(all.list);
  return symbols;
}

struct symbols *symbols_read(int fd) {
  struct stat status;
  if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
    return NULL;
  return read_input(&(struct input){.fd = fd, .size = (uint64_t)status.st_size});
}

struct symbols *symbols_read_bytes(const void *bytes, size_t size) {
  return read_input(&(struct input){.fd = -1, .bytes = bytes, .size = size});
}

void symbols_free(struct symbols *symbols) {
  if (!symbols)
    return;
  for (unsigned i = 0; i < symbols->strings_count; i++)
    free(symbols->strings[i]);
  free(symbols->symbol);
  free(symbols->around);
  free(symbols);
}

const struct symbol *symbols_all(const struct symbols *symbols, size_t *count) {
  *count = symbols->count;
  return symbols->symbol;
}

const struct symbol *symbols_find(const struct symbols *symbols, uint32_t address) {
  size_t low = 0, high = symbols->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (symbols->symbol[middle].address <= address)
      low = middle + 1;
    else
      high = middle;
  }
  const int32_t found = low ? enclosing(symbols, (int32_t)low - 1, address) : NONE;
  return found == NONE ? NULL : &symbols->symbol[found];
}

bool symbols_address_of_offset(const struct symbols *symbols, uint64_t offset, uint32_t *address) {
  enum { PAGE = 4096 };
  for (unsigned i = 0; i < symbols->load_count; i++) {
    const struct load *load = &symbols->load[i];
    const uint32_t before = load->offset % PAGE; /* whole pages are mapped */
    if (offset + before >= load->offset && offset - (load->offset - before) < (uint64_t)load->size + before) {
      *address = load->address + (uint32_t)(offset - load->offset);
      return true;
    }
  }
  return false;
}
