/* Gathering shapes.
 *
 * A file's code is read twice over: straight through its executable sections, decoding what comes,
 * and from each function symbol and branch target by discovery, which is what the translator does
 * and knows which flags are live. */
#include "shapes.h"

#include "Frontend/discover.h"
#include "Frontend/stack_fold.h"

#include <Zydis/Mnemonic.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void *checked(void *memory) {
  if (!memory) {
    fprintf(stderr, "uemu-stencils: out of memory\n");
    exit(1);
  }
  return memory;
}

/* --- The set ------------------------------------------------------------------------------------------ */

static size_t table_slot(const struct shape_set *set, const struct shape *shape) {
  size_t mask = set->table_size - 1, slot = shape_hash(shape) & mask;
  for (; set->table[slot]; slot = (slot + 1) & mask) {
    const struct stencil_source *known = &set->source[set->table[slot] - 1];
    struct shape other;
    shape_of(&other, known->insn, known->count, known->live);
    if (memcmp(&other, shape, sizeof other) == 0)
      break;
  }
  return slot;
}

static void table_grow(struct shape_set *set) {
  if (set->table_size > 2 * set->count + 2)
    return;
  free(set->table);
  set->table_size = set->table_size ? set->table_size * 2 : 4096;
  set->table = checked(calloc(set->table_size, sizeof *set->table));
  for (size_t i = 0; i < set->count; i++) {
    struct shape shape;
    shape_of(&shape, set->source[i].insn, set->source[i].count, set->source[i].live);
    set->table[table_slot(set, &shape)] = (uint32_t)i + 1;
  }
}

size_t shape_set_add(struct shape_set *set, const struct insn *insn, unsigned count, uint8_t live) {
  struct shape shape;
  table_grow(set);
  shape_of(&shape, insn, count, live);
  size_t slot = table_slot(set, &shape);
  if (set->table[slot]) {
    set->uses[set->table[slot] - 1]++;
    return set->table[slot] - 1;
  }
  if (set->count == set->capacity) {
    set->capacity = set->capacity ? set->capacity * 2 : 4096;
    set->source = checked(realloc(set->source, set->capacity * sizeof *set->source));
    set->uses = checked(realloc(set->uses, set->capacity * sizeof *set->uses));
  }
  set->uses[set->count] = 1;
  struct stencil_source *source = &set->source[set->count++];
  memset(source, 0, sizeof *source);
  memcpy(source->insn, insn, count * sizeof *insn);
  source->count = (uint8_t)count;
  source->live = (uint8_t)shape.flags_live;
  set->table[slot] = (uint32_t)set->count;
  return set->count - 1;
}

struct used_source {
  struct stencil_source source;
  uint32_t uses;
};

static int by_uses(const void *a, const void *b) {
  uint32_t x = ((const struct used_source *)a)->uses, y = ((const struct used_source *)b)->uses;
  return x > y ? -1 : x < y;
}

void shape_set_sort(struct shape_set *set) {
  struct used_source *all = checked(malloc((set->count + 1) * sizeof *all));
  for (size_t i = 0; i < set->count; i++)
    all[i] = (struct used_source){set->source[i], set->uses[i]};
  qsort(all, set->count, sizeof *all, by_uses);
  for (size_t i = 0; i < set->count; i++) {
    set->source[i] = all[i].source;
    set->uses[i] = all[i].uses;
  }
  free(all);
  free(set->table);
  set->table = NULL;
  set->table_size = 0;
}

/* --- Lists -------------------------------------------------------------------------------------------- */

/* A source keeps no bytes, so the list keeps its own: decoded instructions are written back as the
 * bytes they were read from. */
static const uint8_t *source_bytes(const struct insn *insn);

void shape_source_print(const struct stencil_source *source, char *text, size_t size) {
  int used = snprintf(text, size, "%s", insn_name(&source->insn[0].form));
  if (source->count == 2)
    used += snprintf(text + used, size - (size_t)used, "+%s", insn_name(&source->insn[1].form));
  used += snprintf(text + used, size - (size_t)used, " [");
  for (unsigned i = 0; i < source->count; i++)
    for (unsigned b = 0; b < source->insn[i].length && (size_t)used + 3 < size; b++)
      used += snprintf(text + used, size - (size_t)used, "%02x", source_bytes(&source->insn[i])[b]);
  snprintf(text + used, size - (size_t)used, "] live %02x", source->live);
}

void shape_source_write(const struct stencil_source *source, FILE *file) {
  for (unsigned i = 0; i < source->count; i++)
    for (unsigned b = 0; b < source->insn[i].length; b++)
      fprintf(file, "%02x", source_bytes(&source->insn[i])[b]);
  fprintf(file, " %x\n", source->live);
}

/* Code under analysis lies in this window; eip is an offset into it. It keeps the bytes of every
 * file, one after the other. */
enum { WINDOW_SIZE = 1 << 30 };
static uint8_t *window;
static uint32_t window_used = 4096;

static void window_init(void) {
  if (!window) {
    window =
        mmap(NULL, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (window == MAP_FAILED) {
      perror("uemu-stencils: mmap");
      exit(1);
    }
  }
}

static const uint8_t *source_bytes(const struct insn *insn) { return window + insn->eip; }

static unsigned hex_digit(char c) { return c >= 'a' ? (unsigned)(c - 'a' + 10) : (unsigned)(c - '0'); }

bool shape_set_add_list(struct shape_set *set, const char *path) {
  window_init();
  FILE *file = fopen(path, "r");
  if (!file)
    return false;
  char line[128];
  bool good = true;
  while (good && fgets(line, sizeof line, file)) {
    if (line[0] == '#' || line[0] == '\n')
      continue;
    uint32_t start = window_used;
    const char *p = line;
    for (; p[0] != ' ' && p[0] && p[1]; p += 2)
      window[window_used++] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
    uint8_t live = (uint8_t)strtoul(p, NULL, 16);
    struct insn insn[2];
    unsigned count = 0;
    for (uint32_t at = start; at < window_used && count < 2; at += insn[count++].length)
      if (insn_decode(&insn[count], window + at, window_used - at, at) != INSN_OK)
        break;
    good = count > 0 && insn_next(&insn[count - 1]) == window_used;
    if (good)
      shape_set_add(set, insn, count, live);
  }
  fclose(file);
  return good;
}

/* --- ELF files ----------------------------------------------------------------------------------------- */

struct code_range {
  uint32_t start, end;
};

static size_t fetch(void *context, guest_addr eip, const uint8_t **bytes) {
  const struct code_range *range = context;
  if (eip < range->start || eip >= range->end)
    return 0;
  *bytes = window + eip;
  return range->end - eip < 16 ? range->end - eip : 16;
}

static void add_unit(struct shape_set *set, const struct unit *unit) {
  for (unsigned b = 0; b < unit->block_count; b++) {
    const struct block *block = &unit->block[b];
    for (unsigned i = block->first, end = i + block->count; i < end; i++) {
      const struct insn *insn = &unit->insn[i];
      if (i + 1 < end && shape_can_fuse(insn, insn + 1)) {
        shape_set_add(set, insn, 2, unit->live[i + 1]);
        i++;
      } else {
        shape_set_add(set, insn, 1, unit->live[i]);
      }
    }
  }
}

/* Walks the range unit by unit: each starts where the last one's first stretch ended, so that all
 * code is met as the translator would meet it, and data in between costs little. */
static void add_range(struct shape_set *set, struct code_range range) {
  static struct unit unit;
  struct discover_options options = {
      .fetch = fetch, .context = &range, .insn_limit = UNIT_INSN_LIMIT, .follow = true};
  for (uint32_t at = range.start; at < range.end;) {
    if (!discover(&unit, at, &options)) {
      at++;
      continue;
    }
    add_unit(set, &unit);
    /* On past the stretch that began at `at`. */
    uint32_t end = at;
    for (unsigned i = 0; i < unit.insn_count; i++)
      if (unit.insn[i].eip == end)
        end = insn_next(&unit.insn[i]);
    at = end > at ? end : at + 1;
  }
}

bool shape_set_add_elf(struct shape_set *set, const char *path) {
  window_init();
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0)
    return false;
  if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(Elf32_Ehdr)) {
    close(fd);
    return false;
  }
  size_t size = (size_t)st.st_size;
  const uint8_t *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (file == MAP_FAILED)
    return false;
  const Elf32_Ehdr *header = (const Elf32_Ehdr *)file;
  bool good = memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS32 &&
              header->e_machine == EM_386 &&
              header->e_shoff + (uint64_t)header->e_shnum * sizeof(Elf32_Shdr) <= size;
  for (unsigned i = 0; good && i < header->e_shnum; i++) {
    const Elf32_Shdr *section = (const Elf32_Shdr *)(file + header->e_shoff) + i;
    if (section->sh_type != SHT_PROGBITS || !(section->sh_flags & SHF_EXECINSTR) ||
        (uint64_t)section->sh_offset + section->sh_size > size ||
        window_used + section->sh_size + 64 > WINDOW_SIZE)
      continue;
    memcpy(window + window_used, file + section->sh_offset, section->sh_size);
    add_range(set, (struct code_range){window_used, window_used + section->sh_size});
    window_used += section->sh_size + 64;
  }
  munmap((void *)file, size);
  return good;
}

/* --- Completion ----------------------------------------------------------------------------------------- */

/* Every addressing form, into the temporary. */
static void add_addresses(struct shape_set *set) {
  static const uint32_t segments[] = {0, 1 + SEG_FS, 1 + SEG_GS};
  uint8_t load[] = {0x8B, 0x00}; /* mov eax,[eax]: what is varied */
  struct insn insn, parts[2];
  insn_decode(&insn, load, sizeof load, 0);
  for (unsigned s = 0; s < 3; s++)
    for (uint32_t base = 0; base <= REGISTER_NONE; base++)
      for (uint32_t index = 0; index <= REGISTER_NONE; index++)
        for (uint32_t scale = 0; scale < (index == REGISTER_NONE ? 1 : 4); scale++)
          for (uint32_t disp = 0; disp < 2; disp++) {
            if (index == GPR_ESP || (base == REGISTER_NONE && !disp))
              continue;
            struct operand *op = &insn.form.op[1];
            op->reg = base;
            op->index = index;
            op->scale = scale;
            op->has_disp = disp;
            op->segment = segments[s];
            if (shape_split_address(&insn, parts))
              shape_set_add(set, &parts[0], 1, 0);
          }
}

/* What becomes of a push of memory. */
static void add_pushes(struct shape_set *set) {
  const uint8_t push[] = {0xFF, 0x30}; /* push (%eax) */
  struct insn insn;
  struct stack_fold fold;
  insn_decode(&insn, push, sizeof push, 0);
  if (stack_fold(&fold, &insn, 0, 0) == STACK_FOLDED)
    for (unsigned i = 0; i < fold.count; i++)
      shape_set_add(set, &fold.insn[i], 1, 0);
}

static bool takes_any_register(const struct insn *insn) {
  return insn->form.op[0].kind != OPERAND_CONSTANT && insn->form.op[1].kind != OPERAND_CONSTANT &&
         insn->form.op[2].kind != OPERAND_CONSTANT;
}

/* The instruction, or a pair, with every choice of general registers for the first one's explicit register
 * operands. */
static void add_registers(struct shape_set *set, const struct insn *insns, unsigned count, uint8_t live) {
  unsigned at[2], free = 0;
  for (unsigned i = 0; i < 4 && free < 2; i++)
    if (insns[0].form.op[i].kind == OPERAND_GPR)
      at[free++] = i;
  shape_set_add(set, insns, count, live);
  if (free == 0 || !takes_any_register(insns))
    return;
  for (unsigned a = 0; a < GPR_COUNT; a++)
    for (unsigned b = 0; b < (free == 2 ? GPR_COUNT : 1); b++) {
      struct insn other[2] = {insns[0], insns[count - 1]};
      other[0].form.op[at[0]].reg = a;
      if (free == 2)
        other[0].form.op[at[1]].reg = b;
      shape_set_add(set, other, count, live);
    }
}

/* Shifts by cl, in and out of ax: their registers are not free. */
static bool registers_are_free(const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_SHL:
  case ZYDIS_MNEMONIC_SHR:
  case ZYDIS_MNEMONIC_SAR:
  case ZYDIS_MNEMONIC_ROL:
  case ZYDIS_MNEMONIC_ROR:
  case ZYDIS_MNEMONIC_RCL:
  case ZYDIS_MNEMONIC_RCR:
  case ZYDIS_MNEMONIC_SHLD:
  case ZYDIS_MNEMONIC_SHRD:
  case ZYDIS_MNEMONIC_IN:
  case ZYDIS_MNEMONIC_OUT:
    return false;
  default:
    return !(insn->form.attributes & INSN_STRING);
  }
}

static bool uses_temporary(const struct insn *insn) {
  for (unsigned i = 0; i < 4; i++)
    if (insn->form.op[i].kind == OPERAND_GPR && insn->form.op[i].reg == REGISTER_TEMPORARY)
      return true;
  return false;
}

void shape_set_complete(struct shape_set *set) {
  static const uint8_t kept[] = {0, FLAGS_ALL};
  add_addresses(set);
  add_pushes(set);
  size_t count = set->count;
  for (size_t i = 0; i < count; i++)
    for (unsigned k = 0; k < set->source[i].count; k++)
      for (unsigned f = 0; f < 2; f++) {
        struct insn insn = set->source[i].insn[k], parts[2];
        const struct insn *use = &insn;
        if (uses_temporary(&insn))
          continue;
        if (shape_split_address(&insn, parts))
          use = &parts[1];
        if (registers_are_free(use))
          add_registers(set, use, 1, kept[f]);
        else
          shape_set_add(set, use, 1, kept[f]);
      }
  /* Comparisons with memory and their jumps: the commonest pairs, with any register. */
  for (size_t i = 0; i < count; i++) {
    const struct stencil_source source = set->source[i];
    struct insn parts[3];
    if (source.count == 2 && source.insn[1].flow == FLOW_CONDITIONAL &&
        shape_split_address(&source.insn[0], parts)) {
      parts[2] = source.insn[1];
      add_registers(set, &parts[1], 2, 0);
    }
  }
}

size_t *shape_set_generalise(const struct shape_set *set, struct shape_set *general) {
  size_t *index = checked(malloc((set->count + 1) * sizeof *index));
  for (size_t i = 0; i < set->count; i++) {
    const struct stencil_source *source = &set->source[i];
    struct insn insn[2] = {source->insn[0], source->insn[1]}, parts[2];
    struct shape shape;
    shape_of(&shape, insn, source->count, source->live);
    if (shape_generalise(&shape) >= 0 && shape_split_address(&insn[0], parts))
      insn[0] = parts[1];
    index[i] = shape_set_add(general, insn, source->count, source->live);
  }
  return index;
}
