/* What --lift finds in a file, and what becomes of it.
 *
 * Functions are looked for where files tell of them: at the entry point, in the symbol tables, in the unwind
 * tables. What these reach by direct calls and jumps comes with them (lib/Runtime/jit_lift.c). Code is read
 * from the file, at the addresses that it asks for: a library's begin at 0. */
#include "Lift/lift_program.h"

#include "Frontend/insn.h"
#include "Loader/symbols.h"
#include "Loader/unwind_table.h"
#include "Runtime/engine.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum source { FROM_ENTRY, FROM_SYMBOLS, FROM_UNWINDING, SOURCE_COUNT };

/* What is known of a byte of code. */
enum { IN_FUNCTION = 1 /* symbols or unwind tables say so */, COVERED = 2, TRIED = 4 };

struct root {
  guest_addr address;
  uint8_t source; /* enum source: the first that tells of it */
};

struct range {
  uint32_t address, size;
};

enum { RANGE_LIMIT = 64, REASON_LIMIT = 256 };

static struct {
  const uint8_t *bytes;
  size_t size;
  const Elf32_Ehdr *header;
  struct symbols *symbols;
  struct root *root;
  unsigned root_count, root_room;
  struct range code[RANGE_LIMIT]; /* executable sections; segments, where there are no sections */
  unsigned code_count;
  uint8_t *known;    /* a byte for each of theirs, one after the other */
  uint64_t next_gap; /* up to here find_gap() has looked */
  unsigned gaps;
  /* Instructions without a meaning, by name. */
  struct {
    const char *name;
    unsigned count;
  } reason[REASON_LIMIT];
  unsigned reason_count;
} file;

/* --- The file
 * ------------------------------------------------------------------------------------------------ */

static int open_file(const char *path, char *why, size_t size) {
  struct stat status;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) < 0) {
    const int error = errno;
    snprintf(why, size, "%s: %s", path, strerror(error));
    if (fd >= 0)
      close(fd);
    return -error;
  }
  file.size = (size_t)status.st_size;
  file.bytes = file.size ? mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  file.header = (const Elf32_Ehdr *)file.bytes;
  if (file.bytes == MAP_FAILED || file.size < sizeof *file.header ||
      memcmp(file.header->e_ident, ELFMAG, SELFMAG) != 0 || file.header->e_ident[EI_CLASS] != ELFCLASS32 ||
      file.header->e_machine != EM_386) {
    snprintf(why, size, "%s: not an ELF32 file for i386", path);
    return -ENOEXEC;
  }
  file.symbols = symbols_read_bytes(file.bytes, file.size);
  if (!file.symbols) {
    snprintf(why, size, "%s: out of memory for its symbols", path);
    return -ENOMEM;
  }
  return 0;
}

/* Program header i, and section header i; NULL if it is not all in the file, or not aligned. */
static const Elf32_Phdr *segment(unsigned i) {
  const uint64_t at = file.header->e_phoff + (uint64_t)i * sizeof(Elf32_Phdr);
  const bool there = i < file.header->e_phnum && at % 4 == 0 && at + sizeof(Elf32_Phdr) <= file.size;
  return there ? (const Elf32_Phdr *)(file.bytes + at) : NULL;
}

static const Elf32_Shdr *section(unsigned i) {
  const uint64_t at = file.header->e_shoff + (uint64_t)i * sizeof(Elf32_Shdr);
  const bool there = at && at % 4 == 0 && i < file.header->e_shnum && at + sizeof(Elf32_Shdr) <= file.size;
  return there ? (const Elf32_Shdr *)(file.bytes + at) : NULL;
}

static size_t fetch(void *context, guest_addr eip, const uint8_t **bytes) {
  enum { INSN_MAX = 16 };
  const Elf32_Phdr *load;
  (void)context;
  for (unsigned i = 0; (load = segment(i)); i++) {
    const uint64_t inside = eip - load->p_vaddr, at = load->p_offset + inside;
    if (load->p_type != PT_LOAD || !(load->p_flags & PF_X) || eip < load->p_vaddr ||
        inside >= load->p_filesz || at >= file.size)
      continue;
    uint64_t left = load->p_filesz - inside;
    left = left < file.size - at ? left : file.size - at;
    *bytes = file.bytes + at;
    return left < INSN_MAX ? (size_t)left : INSN_MAX;
  }
  return 0;
}

static void name_of(void *context, guest_addr eip, char *name, size_t size) {
  const struct symbol *symbol = symbols_find(file.symbols, eip);
  (void)context;
  if (!symbol)
    name[0] = '\0';
  else if (symbol->address == eip)
    snprintf(name, size, "%s", symbol->name);
  else
    snprintf(name, size, "%s+0x%x", symbol->name, eip - symbol->address);
}

static bool is_in_file(uint64_t offset, uint64_t size) {
  return offset <= file.size && size <= file.size - offset;
}

static void find_code(void) {
  const Elf32_Shdr *s;
  const Elf32_Phdr *p;
  file.code_count = 0;
  for (unsigned i = 0; (s = section(i)) && file.code_count < RANGE_LIMIT; i++)
    if (s->sh_flags & SHF_EXECINSTR && s->sh_type != SHT_NOBITS && is_in_file(s->sh_offset, s->sh_size))
      file.code[file.code_count++] = (struct range){s->sh_addr, s->sh_size};
  for (unsigned i = 0; file.header->e_shnum == 0 && (p = segment(i)) && file.code_count < RANGE_LIMIT; i++)
    if (p->p_type == PT_LOAD && p->p_flags & PF_X && is_in_file(p->p_offset, p->p_filesz))
      file.code[file.code_count++] = (struct range){p->p_vaddr, p->p_filesz};
}

static uint64_t code_bytes(void) {
  uint64_t total = 0;
  for (unsigned i = 0; i < file.code_count; i++)
    total += file.code[i].size;
  return total;
}

/* --- Roots
 * ------------------------------------------------------------------------------------------------------ */

static bool add_root(guest_addr address, enum source source) {
  const uint8_t *bytes;
  if (!fetch(NULL, address, &bytes))
    return false;
  if (file.root_count == file.root_room) {
    const unsigned room = file.root_room ? 2 * file.root_room : 1024;
    struct root *root = realloc(file.root, room * sizeof *root);
    if (!root)
      return false;
    file.root = root;
    file.root_room = room;
  }
  file.root[file.root_count++] = (struct root){address, (uint8_t)source};
  return true;
}

/* The byte of `known` for an address; NULL where there is none. */
static uint8_t *known_at(guest_addr address) {
  uint8_t *known = file.known;
  for (unsigned i = 0; i < file.code_count; known += file.code[i++].size)
    if (address - file.code[i].address < file.code[i].size)
      return known + (address - file.code[i].address);
  return NULL;
}

static void mark_function(guest_addr address, uint32_t length) {
  uint8_t *known;
  for (uint32_t i = 0; i < length && (known = known_at(address + i)); i++)
    *known |= IN_FUNCTION;
}

static void add_described(void *context, uint32_t address, uint32_t length) {
  (void)context;
  mark_function(address, length);
  add_root(address, FROM_UNWINDING);
}

static int compare_roots(const void *left, const void *right) {
  const struct root *a = left, *b = right;
  return a->address != b->address ? (a->address < b->address ? -1 : 1) : (int)a->source - (int)b->source;
}

static void find_roots(void) {
  size_t count;
  const struct symbol *all = symbols_all(file.symbols, &count);
  if (file.header->e_entry)
    add_root(file.header->e_entry, FROM_ENTRY);
  for (size_t i = 0; i < count; i++) {
    add_root(all[i].address, FROM_SYMBOLS);
    if (all[i].sized)
      mark_function(all[i].address, all[i].size);
  }
  unwind_table_read(file.bytes, file.size, add_described, NULL);
}

/* One by name or address. */
static bool find_function(const char *name) {
  size_t count;
  const struct symbol *all = symbols_all(file.symbols, &count);
  char *end;
  const unsigned long address = strtoul(name, &end, 16);
  if (strncmp(name, "0x", 2) == 0 && !*end && address <= UINT32_MAX)
    return add_root((guest_addr)address, FROM_SYMBOLS);
  for (size_t i = 0; i < count; i++)
    if (strcmp(all[i].name, name) == 0)
      return add_root(all[i].address, FROM_SYMBOLS);
  return false;
}

static int find_functions(const char *names, char *why, size_t size) {
  char *copy = strdup(names);
  int status = copy ? 0 : -ENOMEM;
  for (char *rest = copy, *name; status == 0 && (name = strsep(&rest, ","));)
    if (!find_function(name)) {
      snprintf(why, size, "there is no function '%s' in the file's symbol tables", name);
      status = -ENOENT;
    }
  free(copy);
  return status;
}

static void sort_roots(void) {
  unsigned kept = 0;
  qsort(file.root, file.root_count, sizeof *file.root, compare_roots);
  for (unsigned i = 0; i < file.root_count; i++)
    if (!kept || file.root[i].address != file.root[kept - 1].address)
      file.root[kept++] = file.root[i];
  file.root_count = kept;
}

/* --- What became of it
 * ---------------------------------------------------------------------------------------------- */

static void note_reason(const char *name) {
  unsigned i = 0;
  while (i < file.reason_count && strcmp(file.reason[i].name, name) != 0)
    i++;
  if (i == REASON_LIMIT)
    return;
  if (i == file.reason_count)
    file.reason[file.reason_count++].name = name;
  file.reason[i].count++;
}

static void lifted(void *context, const struct insn *insn, bool meaning) {
  (void)context;
  for (unsigned i = 0; i < insn->length; i++) {
    uint8_t *known = known_at(insn->eip + i);
    if (known && i == 0 && !(*known & COVERED) && !meaning)
      note_reason(insn_name(&insn->form));
    if (known)
      *known |= COVERED;
  }
}

static void restarted(void *context) {
  (void)context;
  for (uint64_t i = 0; i < code_bytes(); i++)
    file.known[i] &= IN_FUNCTION;
  file.reason_count = file.gaps = 0;
  file.next_gap = 0;
}

/* What fills the room between functions: nop in its forms, int3, zeros. Its length; 0: it is something else.
 */
static uint32_t padding_at(guest_addr address) {
  const uint8_t *bytes;
  struct insn insn;
  const size_t size = fetch(NULL, address, &bytes);
  if (size && bytes[0] == 0)
    return 1;
  const char *name = size && insn_decode(&insn, bytes, size, address) == INSN_OK ? insn_name(&insn.form) : "";
  return strcmp(name, "nop") == 0 || strcmp(name, "int3") == 0 ? insn.length : 0;
}

/* Code inside a function that nothing has reached: behind an indirect jump comes what its table leads to. */
static bool find_gap(void *context, guest_addr *eip) {
  uint64_t before = 0;
  (void)context;
  for (unsigned i = 0; i < file.code_count; before += file.code[i++].size)
    while (file.next_gap < before + file.code[i].size) {
      const guest_addr address = file.code[i].address + (guest_addr)(file.next_gap - before);
      uint8_t *known = &file.known[file.next_gap];
      const uint32_t padding = *known == IN_FUNCTION ? padding_at(address) : 1;
      file.next_gap += padding;
      if (padding)
        continue;
      *known |= TRIED;
      file.gaps++;
      *eip = address;
      return true;
    }
  return false;
}

static bool find_nothing(void *context, guest_addr *eip) {
  (void)context, (void)eip;
  return false;
}

/* Bytes of padding that no function has. */
static uint64_t count_padding(void) {
  uint64_t padding = 0;
  for (unsigned i = 0; i < file.code_count; i++)
    for (uint32_t at = 0, length; at < file.code[i].size; at += length ? length : 1) {
      const guest_addr address = file.code[i].address + at;
      length = *known_at(address) & COVERED ? 0 : padding_at(address);
      padding += length;
    }
  return padding;
}

static void print_report(FILE *report, const struct lift_options *options,
                         const struct jit_lift_result *result) {
  static const char *const sources[SOURCE_COUNT] = {"entry point", "symbol tables", "unwind tables only"};
  unsigned by_source[SOURCE_COUNT] = {0};
  uint64_t total = code_bytes(), covered = 0, missing = 0;
  for (unsigned i = 0; i < file.root_count; i++)
    by_source[file.root[i].source]++;
  for (uint64_t i = 0; i < total; i++)
    covered += file.known[i] & COVERED ? 1 : 0;
  for (unsigned i = 0; i < file.reason_count; i++)
    missing += file.reason[i].count;
  fprintf(report, "%s: lifted to %s\n  functions     %u:", options->program, options->output,
          file.root_count);
  for (unsigned s = 0; s < SOURCE_COUNT; s++)
    fprintf(report, "%s %s %u", s ? "," : "", sources[s], by_source[s]);
  fprintf(report,
          "\n  pieces        %u: these, what calls and jumps reach, instructions that helpers do, and %u "
          "gaps in\n"
          "                functions, which only indirect jumps reach\n",
          result->functions, file.gaps);
  fprintf(report, "  instructions  %llu lifted; %llu without a meaning", (unsigned long long)result->insns,
          (unsigned long long)missing);
  for (unsigned i = 0; i < file.reason_count; i++)
    fprintf(report, "%s %s %u", i ? "," : ":", file.reason[i].name, file.reason[i].count);
  const uint64_t padding = count_padding(), real = total - padding;
  fprintf(
      report,
      "\n  code          %llu of %llu bytes in executable sections, and %llu of padding: %llu.%02llu %%\n",
      (unsigned long long)covered, (unsigned long long)total, (unsigned long long)padding,
      (unsigned long long)(real ? covered * 100 / real : 0),
      (unsigned long long)(real ? covered * 10000 / real % 100 : 0));
  fprintf(report, "  outside       %u addresses that are reached, and have no code in the file\n",
          result->outside);
}

int lift_program(const struct lift_options *options, FILE *report, char *why, size_t size) {
  int status = open_file(options->program, why, size);
  if (status < 0)
    return status;
  find_code();
  file.known = calloc(1, (size_t)code_bytes() + 1);
  if (!file.known) {
    snprintf(why, size, "out of memory");
    return -ENOMEM;
  }
  if (options->functions)
    status = find_functions(options->functions, why, size);
  else
    find_roots();
  if (status < 0)
    return status;
  sort_roots();
  guest_addr *roots = malloc((file.root_count + 1) * sizeof *roots);
  if (!roots) {
    snprintf(why, size, "out of memory");
    return -ENOMEM;
  }
  for (unsigned i = 0; i < file.root_count; i++)
    roots[i] = file.root[i].address;
  char heading[512];
  snprintf(heading, sizeof heading, "Lifted from %s by uemu-llvm: see docs/lifted-ir.md.\n",
           options->program);
  const size_t length = strlen(options->output);
  const bool bitcode = length > 3 && strcmp(options->output + length - 3, ".bc") == 0;
  const struct jit_lift lift = {.code = {.fetch = fetch, .name = name_of},
                                .root = roots,
                                .root_count = file.root_count,
                                .path = options->output,
                                .heading = heading,
                                .format = bitcode ? JIT_FORMAT_BITCODE : JIT_FORMAT_TEXT,
                                .lifted = lifted,
                                .more = options->functions ? find_nothing : find_gap,
                                .restarted = restarted};
  struct jit_lift_result result;
  struct compiler_fpu fpu;
  status = compiler_enter(0, &fpu)->lift_program(&lift, &result);
  compiler_leave(&fpu);
  if (status < 0)
    snprintf(why, size, "%s", result.why);
  else
    print_report(report, options, &result);
  free(roots);
  free(file.known);
  free(file.root);
  symbols_free(file.symbols);
  return status;
}
