/* GDB's JIT interface (GDB's manual, "JIT Compilation Interface"): a list of ELF files in memory, and a
 * function in which GDB has a breakpoint. The files say no more than names and how to unwind.
 *
 * GDB gets slow with thousands of files, and a file cannot grow. So two files of like size become one: there
 * are never more than a few, and each name is written again only as often as its file's size has doubled. */
#include "Observe/span.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* --- What GDB knows by name
 * ---------------------------------------------------------------------------------- */

struct jit_code_entry {
  struct jit_code_entry *next_entry, *prev_entry;
  const char *symfile_addr;
  uint64_t symfile_size;
};

enum { JIT_NOACTION = 0, JIT_REGISTER_FN = 1, JIT_UNREGISTER_FN = 2 };

struct jit_descriptor {
  uint32_t version, action_flag;
  struct jit_code_entry *relevant_entry, *first_entry;
};

__attribute__((visibility("default"))) void __jit_debug_register_code(void);
extern struct jit_descriptor __jit_debug_descriptor;

__attribute__((visibility("default"), used)) struct jit_descriptor __jit_debug_descriptor = {.version = 1};

__attribute__((noinline, used)) void __jit_debug_register_code(void) { __asm__ volatile("" : : : "memory"); }

/* --- Files
 * ------------------------------------------------------------------------------------------------------ */

/* A name for code; file.text has what is at `name`. */
struct code {
  uint64_t address;
  uint32_t size, name;
  bool plain_frames;
};

struct file {
  struct jit_code_entry entry;
  struct file *larger; /* the next one, that was made before it */
  unsigned level;      /* it has the spans of 2^level additions */
  struct code *code;
  unsigned count;
  char *text;
  size_t text_size;
};

static struct file *smallest;

/* The sections, in this order. */
enum {
  SECTION_NONE,
  SECTION_TEXT,
  SECTION_FRAMES,
  SECTION_SYMBOLS,
  SECTION_STRINGS,
  SECTION_NAMES,
  SECTION_COUNT
};
static const char section_names[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.shstrtab";

/* The file's text is the string table of its symbols: it begins with a NUL. */
static bool make_elf(struct file *file) {
  uint64_t low = UINT64_MAX, high = 0;
  size_t frames = 0;
  for (unsigned i = 0; i < file->count; i++) {
    const struct code *code = &file->code[i];
    low = code->address < low ? code->address : low;
    high = code->address + code->size > high ? code->address + code->size : high;
    frames += code->plain_frames ? FRAME_SIZE - 8 : 0; /* without the end marks but one */
  }
  frames += 8;
  const size_t symbols = (file->count + 1) * sizeof(Elf64_Sym);
  const size_t at_symbols = sizeof(Elf64_Ehdr) + SECTION_COUNT * sizeof(Elf64_Shdr),
               at_frames = at_symbols + symbols, at_strings = at_frames + frames,
               at_names = at_strings + file->text_size, size = at_names + sizeof section_names;
  char *image = calloc(1, size);
  if (!image)
    return false;
  Elf64_Ehdr *header = (Elf64_Ehdr *)image;
  Elf64_Shdr *section = (Elf64_Shdr *)(header + 1);
  Elf64_Sym *symbol = (Elf64_Sym *)(image + at_symbols);
  *header = (Elf64_Ehdr){.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_shoff = sizeof *header,
                         .e_ehsize = sizeof *header,
                         .e_shentsize = sizeof *section,
                         .e_shnum = SECTION_COUNT,
                         .e_shstrndx = SECTION_NAMES};
  section[SECTION_TEXT] = (Elf64_Shdr){.sh_name = 1,
                                       .sh_type = SHT_NOBITS,
                                       .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                                       .sh_addr = low,
                                       .sh_size = high - low,
                                       .sh_addralign = 1};
  section[SECTION_FRAMES] = (Elf64_Shdr){
      .sh_name = 7, .sh_type = SHT_PROGBITS, .sh_offset = at_frames, .sh_size = frames, .sh_addralign = 8};
  section[SECTION_SYMBOLS] = (Elf64_Shdr){.sh_name = 17,
                                          .sh_type = SHT_SYMTAB,
                                          .sh_offset = at_symbols,
                                          .sh_size = symbols,
                                          .sh_link = SECTION_STRINGS,
                                          .sh_info = 1,
                                          .sh_addralign = 8,
                                          .sh_entsize = sizeof *symbol};
  section[SECTION_STRINGS] = (Elf64_Shdr){.sh_name = 25,
                                          .sh_type = SHT_STRTAB,
                                          .sh_offset = at_strings,
                                          .sh_size = file->text_size,
                                          .sh_addralign = 1};
  section[SECTION_NAMES] = (Elf64_Shdr){.sh_name = 33,
                                        .sh_type = SHT_STRTAB,
                                        .sh_offset = at_names,
                                        .sh_size = sizeof section_names,
                                        .sh_addralign = 1};
  uint8_t *frame = (uint8_t *)image + at_frames;
  for (unsigned i = 0; i < file->count; i++) {
    const struct code *code = &file->code[i];
    *++symbol = (Elf64_Sym){.st_name = code->name,
                            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                            .st_shndx = SECTION_TEXT,
                            .st_value = code->address,
                            .st_size = code->size};
    if (!code->plain_frames)
      continue;
    /* The section is taken to lie at address 0. */
    uint8_t bytes[FRAME_SIZE];
    frame_describe(bytes, (int64_t)code->address - (frame - ((uint8_t *)image + at_frames)), code->size);
    memcpy(frame, bytes, FRAME_SIZE - 8);
    frame += FRAME_SIZE - 8;
  }
  memcpy(image + at_strings, file->text, file->text_size);
  memcpy(image + at_names, section_names, sizeof section_names);
  file->entry.symfile_addr = image;
  file->entry.symfile_size = size;
  return true;
}

static void tell(struct file *file, uint32_t action) {
  struct jit_code_entry *entry = &file->entry, **first = &__jit_debug_descriptor.first_entry;
  if (action == JIT_REGISTER_FN) {
    entry->prev_entry = NULL;
    entry->next_entry = *first;
    if (*first)
      (*first)->prev_entry = entry;
    *first = entry;
  } else {
    *(entry->prev_entry ? &entry->prev_entry->next_entry : first) = entry->next_entry;
    if (entry->next_entry)
      entry->next_entry->prev_entry = entry->prev_entry;
  }
  __jit_debug_descriptor.relevant_entry = entry;
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_register_code();
  __jit_debug_descriptor.action_flag = JIT_NOACTION;
}

static void file_free(struct file *file) {
  free((char *)file->entry.symfile_addr);
  free(file->code);
  free(file->text);
  free(file);
}

static struct file *file_new(unsigned count, size_t text_size) {
  struct file *file = calloc(1, sizeof *file);
  if (!file)
    return NULL;
  file->code = malloc(count * sizeof *file->code);
  file->text = malloc(text_size);
  if (!file->code || !file->text) {
    file_free(file);
    return NULL;
  }
  file->text[0] = '\0';
  file->text_size = 1;
  return file;
}

static void file_add(struct file *file, const struct code *code, const char *name, size_t length) {
  file->code[file->count] = *code;
  file->code[file->count++].name = (uint32_t)file->text_size;
  memcpy(file->text + file->text_size, name, length);
  file->text[file->text_size + length] = '\0';
  file->text_size += length + 1;
}

/* Both in one, of which GDB is not told yet; they stay as they are. NULL: no memory. */
static struct file *file_merge(const struct file *a, const struct file *b) {
  struct file *file = file_new(a->count + b->count, a->text_size + b->text_size);
  const struct file *const parts[] = {a, b};
  for (unsigned p = 0; file && p < 2; p++)
    for (unsigned i = 0; i < parts[p]->count; i++) {
      const char *name = parts[p]->text + parts[p]->code[i].name;
      file_add(file, &parts[p]->code[i], name, strlen(name));
    }
  if (file)
    file->level = a->level + 1;
  return file;
}

void gdb_jit_add(const struct span *span, unsigned count) {
  size_t text_size = 1;
  for (unsigned i = 0; i < count; i++)
    text_size += span[i].name_length + 1;
  struct file *file = file_new(count, text_size);
  if (!file)
    return;
  for (unsigned i = 0; i < count; i++)
    file_add(file, &(struct code){(uint64_t)(uintptr_t)span[i].code, span[i].size, 0, span[i].plain_frames},
             span[i].name, span[i].name_length);
  while (smallest && smallest->level == file->level) {
    struct file *both = file_merge(smallest, file), *merged = smallest;
    if (!both)
      break;
    tell(merged, JIT_UNREGISTER_FN);
    smallest = merged->larger;
    file_free(merged);
    file_free(file);
    file = both;
  }
  if (!make_elf(file)) {
    file_free(file); /* no memory: these have no names */
    return;
  }
  file->larger = smallest;
  smallest = file;
  tell(file, JIT_REGISTER_FN);
}

void gdb_jit_forget(void) {
  while (smallest) {
    struct file *file = smallest;
    tell(file, JIT_UNREGISTER_FN);
    smallest = file->larger;
    file_free(file);
  }
}
