/* Symbol tables: which name an address has, and that damaged files do no harm. */
#include "Loader/symbols.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* A file with a section of code at 0x1000 bytes, loaded at 0x08048000, and one symbol table. */
enum { CODE = 0x08049000, CODE_SIZE = 0x800, SECTIONS = 4, SYMBOL_LIMIT = 32 };

struct file {
  Elf32_Ehdr header;
  Elf32_Phdr load;
  Elf32_Shdr section[SECTIONS];
  Elf32_Sym symbol[SYMBOL_LIMIT];
  char strings[512];
};

static void start(struct file *file) {
  memset(file, 0, sizeof *file);
  file->header =
      (Elf32_Ehdr){.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                   .e_type = ET_EXEC,
                   .e_machine = EM_386,
                   .e_phoff = offsetof(struct file, load),
                   .e_phentsize = sizeof(Elf32_Phdr),
                   .e_phnum = 1,
                   .e_shoff = offsetof(struct file, section),
                   .e_shentsize = sizeof(Elf32_Shdr),
                   .e_shnum = SECTIONS};
  file->load = (Elf32_Phdr){
      .p_type = PT_LOAD, .p_offset = 0x1000, .p_vaddr = CODE, .p_filesz = CODE_SIZE, .p_memsz = CODE_SIZE};
  file->section[1] = (Elf32_Shdr){.sh_type = SHT_PROGBITS,
                                  .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                                  .sh_addr = CODE,
                                  .sh_offset = 0x1000,
                                  .sh_size = CODE_SIZE};
  file->section[2] = (Elf32_Shdr){.sh_type = SHT_SYMTAB,
                                  .sh_offset = offsetof(struct file, symbol),
                                  .sh_link = 3,
                                  .sh_entsize = sizeof(Elf32_Sym)};
  file->section[3] =
      (Elf32_Shdr){.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct file, strings), .sh_size = 1};
}

static void add(struct file *file, const char *name, uint32_t address, uint32_t size, unsigned binding,
                unsigned type) {
  Elf32_Shdr *table = &file->section[2], *strings = &file->section[3];
  Elf32_Sym *symbol = &file->symbol[table->sh_size / sizeof *symbol];
  table->sh_size += sizeof *symbol;
  *symbol = (Elf32_Sym){.st_name = strings->sh_size,
                        .st_value = address,
                        .st_size = size,
                        .st_shndx = 1,
                        .st_info = (unsigned char)ELF32_ST_INFO(binding, type)};
  strcpy(file->strings + strings->sh_size, name);
  strings->sh_size += (uint32_t)strlen(name) + 1;
}

static const char *name_at(const struct symbols *symbols, uint32_t address) {
  const struct symbol *symbol = symbols_find(symbols, address);
  return symbol ? symbol->name : "-";
}

static void names(void **state) {
  (void)state;
  struct file file;
  start(&file);
  add(&file, "outer", CODE + 0x100, 0x100, STB_GLOBAL, STT_FUNC);
  add(&file, "inner", CODE + 0x140, 0x10, STB_LOCAL, STT_FUNC);
  add(&file, "label", CODE + 0x160, 0, STB_GLOBAL, STT_NOTYPE); /* in a function: no name of its own */
  add(&file, "first", CODE, 0x20, STB_GLOBAL, STT_FUNC);
  add(&file, "open", CODE + 0x300, 0, STB_GLOBAL, STT_NOTYPE); /* up to the next … */
  add(&file, "last", CODE + 0x400, 0, STB_GLOBAL, STT_FUNC);   /* … up to the section's end */
  add(&file, "datum", CODE + 0x30, 4, STB_GLOBAL, STT_OBJECT);
  add(&file, "local_label", CODE + 0x50, 0, STB_LOCAL, STT_NOTYPE);
  struct symbols *symbols = symbols_read_bytes(&file, sizeof file);
  assert_non_null(symbols);
  size_t count;
  const struct symbol *all = symbols_all(symbols, &count);
  assert_int_equal(count, 5);
  for (size_t i = 1; i < count; i++)
    assert_true(all[i - 1].address < all[i].address);
  assert_string_equal(name_at(symbols, CODE - 1), "-");
  assert_string_equal(name_at(symbols, CODE), "first");
  assert_string_equal(name_at(symbols, CODE + 0x1F), "first");
  assert_string_equal(name_at(symbols, CODE + 0x20), "-");
  assert_string_equal(name_at(symbols, CODE + 0x30), "-");
  assert_string_equal(name_at(symbols, CODE + 0x50), "-");
  assert_string_equal(name_at(symbols, CODE + 0x13F), "outer");
  assert_string_equal(name_at(symbols, CODE + 0x140), "inner");
  assert_string_equal(name_at(symbols, CODE + 0x14F), "inner");
  assert_string_equal(name_at(symbols, CODE + 0x150), "outer");
  assert_string_equal(name_at(symbols, CODE + 0x160), "outer");
  assert_string_equal(name_at(symbols, CODE + 0x1FF), "outer");
  assert_string_equal(name_at(symbols, CODE + 0x200), "-");
  assert_string_equal(name_at(symbols, CODE + 0x3FF), "open");
  assert_false(symbols_find(symbols, CODE + 0x300)->sized);
  assert_string_equal(name_at(symbols, CODE + CODE_SIZE - 1), "last");
  assert_string_equal(name_at(symbols, CODE + CODE_SIZE), "-");
  symbols_free(symbols);
}

static void aliases(void **state) {
  (void)state;
  struct file file;
  start(&file);
  add(&file, "__libc_malloc", CODE, 0x10, STB_GLOBAL, STT_FUNC);
  add(&file, "malloc", CODE, 0x10, STB_GLOBAL, STT_FUNC);
  add(&file, "a_local", CODE, 0x10, STB_LOCAL, STT_FUNC);
  add(&file, "__write", CODE + 0x20, 0x10, STB_GLOBAL, STT_FUNC);
  add(&file, "write", CODE + 0x20, 0x10, STB_WEAK, STT_FUNC);
  add(&file, "start_label", CODE + 0x40, 0, STB_GLOBAL, STT_NOTYPE);
  add(&file, "_start", CODE + 0x40, 0x10, STB_LOCAL, STT_FUNC);
  struct symbols *symbols = symbols_read_bytes(&file, sizeof file);
  assert_non_null(symbols);
  assert_string_equal(name_at(symbols, CODE), "malloc");
  assert_string_equal(name_at(symbols, CODE + 0x20), "write");
  assert_string_equal(name_at(symbols, CODE + 0x40), "_start");
  symbols_free(symbols);
}

static void offsets(void **state) {
  (void)state;
  struct file file;
  start(&file);
  file.load.p_offset = 0x1234;
  file.load.p_vaddr = 0x2234;
  struct symbols *symbols = symbols_read_bytes(&file, sizeof file);
  uint32_t address;
  assert_non_null(symbols);
  assert_true(symbols_address_of_offset(symbols, 0x1234, &address));
  assert_int_equal(address, 0x2234);
  assert_true(symbols_address_of_offset(symbols, 0x1000, &address)); /* its page is mapped, too */
  assert_int_equal(address, 0x2000);
  assert_false(symbols_address_of_offset(symbols, 0xFFF, &address));
  assert_true(symbols_address_of_offset(symbols, 0x1234 + CODE_SIZE - 1, &address));
  assert_false(symbols_address_of_offset(symbols, 0x1234 + CODE_SIZE, &address));
  symbols_free(symbols);
}

static void from_a_file(void **state) {
  (void)state;
  extern const uint8_t vdso_image[], vdso_image_end[];
  const size_t size = (size_t)(vdso_image_end - vdso_image);
  const int fd = memfd_create("vdso", MFD_CLOEXEC);
  assert_int_equal(write(fd, vdso_image, size), size);
  struct symbols *symbols = symbols_read(fd);
  close(fd);
  assert_non_null(symbols);
  size_t count;
  const struct symbol *all = symbols_all(symbols, &count);
  bool found = false;
  for (size_t i = 0; i < count; i++)
    found |= strcmp(all[i].name, "__kernel_vsyscall") == 0;
  assert_true(found);
  symbols_free(symbols);
  assert_null(symbols_read(-1));
}

/* Any field of the tables may say anything, and the file may end anywhere. */
static void damage(void **state) {
  (void)state;
  struct file file;
  start(&file);
  add(&file, "outer", CODE + 0x100, 0x100, STB_GLOBAL, STT_FUNC);
  add(&file, "open", CODE + 0x300, 0, STB_GLOBAL, STT_NOTYPE);
  add(&file, "last", CODE + 0x400, 0, STB_GLOBAL, STT_FUNC);
  static const uint32_t values[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, sizeof file, CODE};
  uint8_t *bytes = malloc(sizeof file);
  for (size_t at = 0; at + 4 <= offsetof(struct file, strings); at += 2)
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
      memcpy(bytes, &file, sizeof file);
      memcpy(bytes + at, &values[v], 4);
      struct symbols *symbols = symbols_read_bytes(bytes, sizeof file);
      size_t count = 0;
      const struct symbol *all = symbols ? symbols_all(symbols, &count) : NULL;
      for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(symbols_find(symbols, all[i].address), &all[i]);
        assert_true(strlen(all[i].name) > 0);
      }
      symbols_free(symbols);
    }
  free(bytes);
  for (size_t size = 0; size < sizeof file; size++) {
    bytes = malloc(size + !size); /* so that reading further is seen */
    memcpy(bytes, &file, size);
    symbols_free(symbols_read_bytes(bytes, size));
    free(bytes);
  }
  symbols_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(aliases),
                                     cmocka_unit_test(offsets), cmocka_unit_test(from_a_file),
                                     cmocka_unit_test(damage)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
