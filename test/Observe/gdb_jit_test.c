/* GDB's JIT interface, read as GDB reads it: the list, and the ELF files in it. */
#include "Observe/span.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct jit_code_entry {
  struct jit_code_entry *next_entry, *prev_entry;
  const char *symfile_addr;
  uint64_t symfile_size;
};
extern struct {
  uint32_t version, action_flag;
  struct jit_code_entry *relevant_entry, *first_entry;
} __jit_debug_descriptor;

enum { ADDITIONS = 300, EACH = 3 };
static const uint64_t base = 0x7f0012340000;

static uint64_t address_of(unsigned n) { return base + n * 0x40; }

static void add(unsigned addition) {
  struct span spans[EACH];
  memset(spans, 0, sizeof spans);
  for (unsigned i = 0; i < EACH; i++) {
    const unsigned n = addition * EACH + i;
    spans[i].code = (const uint8_t *)(uintptr_t)address_of(n);
    spans[i].size = 0x40;
    spans[i].plain_frames = true;
    spans[i].name_length = (unsigned)sprintf(spans[i].name, "function_%u", n);
    strcpy(spans[i].name + spans[i].name_length, " [small]");
  }
  gdb_jit_add(spans, EACH);
}

static const Elf64_Shdr *section(const struct jit_code_entry *entry, const char *name) {
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)entry->symfile_addr;
  assert_memory_equal(header->e_ident, ELFMAG, SELFMAG);
  assert_int_equal(header->e_ident[EI_CLASS], ELFCLASS64);
  assert_int_equal(header->e_machine, EM_X86_64);
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(entry->symfile_addr + header->e_shoff);
  const char *names = entry->symfile_addr + sections[header->e_shstrndx].sh_offset;
  for (unsigned i = 1; i < header->e_shnum; i++) {
    if (sections[i].sh_type != SHT_NOBITS)
      assert_true(sections[i].sh_offset + sections[i].sh_size <= entry->symfile_size);
    if (strcmp(names + sections[i].sh_name, name) == 0)
      return &sections[i];
  }
  fail_msg("no section %s", name);
  return NULL;
}

static void names_and_places(void **state) {
  (void)state;
  static unsigned seen[ADDITIONS * EACH];
  for (unsigned i = 0; i < ADDITIONS; i++)
    add(i);
  assert_int_equal(__jit_debug_descriptor.version, 1);
  unsigned files = 0;
  const struct jit_code_entry *before = NULL;
  for (const struct jit_code_entry *entry = __jit_debug_descriptor.first_entry; entry;
       entry = entry->next_entry) {
    assert_ptr_equal(entry->prev_entry, before);
    before = entry;
    files++;
    const Elf64_Shdr *text = section(entry, ".text"), *symbols = section(entry, ".symtab");
    const char *strings = entry->symfile_addr + section(entry, ".strtab")->sh_offset;
    const Elf64_Sym *symbol = (const Elf64_Sym *)(entry->symfile_addr + symbols->sh_offset);
    for (unsigned i = 1; i < symbols->sh_size / sizeof *symbol; i++) {
      unsigned n;
      assert_int_equal(sscanf(strings + symbol[i].st_name, "function_%u", &n), 1);
      assert_null(strchr(strings + symbol[i].st_name, ' '));
      assert_true(n < ADDITIONS * EACH);
      seen[n]++;
      assert_int_equal(symbol[i].st_value, address_of(n));
      assert_int_equal(symbol[i].st_size, 0x40);
      assert_true(symbol[i].st_value >= text->sh_addr);
      assert_true(symbol[i].st_value + 0x40 <= text->sh_addr + text->sh_size);
    }
  }
  assert_in_range(files, 1, 10);
  for (unsigned i = 0; i < ADDITIONS * EACH; i++)
    assert_int_equal(seen[i], 1);
}

/* Each description of a frame says where it is, from its own place in a section that lies at address 0. */
static void frames(void **state) {
  (void)state;
  unsigned count = 0;
  for (const struct jit_code_entry *entry = __jit_debug_descriptor.first_entry; entry;
       entry = entry->next_entry) {
    const Elf64_Shdr *frames = section(entry, ".eh_frame");
    const uint8_t *start = (const uint8_t *)entry->symfile_addr + frames->sh_offset, *at = start;
    uint32_t length, id;
    for (; memcpy(&length, at, 4), length; at += 4 + length) {
      memcpy(&id, at + 4, 4);
      if (!id)
        continue;
      uint32_t common;
      int64_t distance;
      uint64_t size;
      memcpy(&common, at + 4 - id + 4, 4);
      assert_int_equal(common, 0); /* what it goes back to is a CIE */
      memcpy(&distance, at + 8, 8);
      memcpy(&size, at + 16, 8);
      const uint64_t address = (uint64_t)(at + 8 - start) + (uint64_t)distance;
      assert_int_equal(size, 0x40);
      assert_int_equal((address - base) % 0x40, 0);
      assert_in_range(address, base, address_of(ADDITIONS * EACH - 1));
      count++;
    }
    assert_true(at + 4 <= start + frames->sh_size);
  }
  assert_int_equal(count, ADDITIONS * EACH);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_places), cmocka_unit_test(frames)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
