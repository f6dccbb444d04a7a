/* Every field that can be wrong: its errno, and a message that names it. */
#include "support.h"

#include "Loader/elf_image.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static struct test_elf elf;
static struct elf_image image;
static struct loader_error error;

static int check(enum elf_role role) {
  memset(&error, 0, sizeof error);
  int result = elf_image_read_header(&image, elf.bytes, 256, elf.size, role, "FILE", &error);
  if (result == 0) {
    memcpy(image.header, elf.bytes + image.header_offset, image.header_count * sizeof image.header[0]);
    result = elf_image_read_segments(&image, elf.size, role, "FILE", &error);
  }
  return result;
}

static void refused(int number, const char *field) {
  assert_int_equal(check(ELF_PROGRAM), -number);
  assert_int_equal(error.error, number);
  assert_non_null(strstr(error.message, "FILE"));
  if (!strstr(error.message, field) || !strstr(error.message, "expected"))
    fail_msg("\"%s\" does not name %s and what was expected", error.message, field);
  if (number == ENOEXEC && !strstr(error.message, "PT_INTERP")) {
    assert_int_equal(check(ELF_INTERPRETER), -ELIBBAD);
    assert_non_null(strstr(error.message, field));
  }
}

static Elf32_Ehdr *header(void) {
  elf_reset(&elf, CODE_EXIT);
  return elf_header(&elf);
}

static Elf32_Phdr *segment(void) {
  header();
  return elf_segment(&elf, 0);
}

static void test_good(void **state) {
  (void)state;
  header();
  assert_int_equal(check(ELF_PROGRAM), 0);
  assert_int_equal(image.low, 0x08048000);
  assert_int_equal(image.high, 0x08049000);
  assert_int_equal(image.stack, ELF_STACK_PLAIN);
  assert_false(image.is_dynamic);
  assert_int_equal(elf_image_header_address(&image), 0x08048034);
  header()->e_machine = 6; /* EM_486 */
  assert_int_equal(check(ELF_PROGRAM), 0);
  header()->e_type = ET_DYN;
  assert_int_equal(check(ELF_PROGRAM), 0);
  assert_true(image.is_dynamic);
  /* A file may end before its segments do: those pages fault when they are used. */
  segment()->p_offset = 0x100000;
  assert_int_equal(check(ELF_PROGRAM), 0);
  assert_int_equal(elf_image_header_address(&image), 0);
}

static void test_header(void **state) {
  (void)state;
  header()->e_ident[0] = 0;
  refused(ENOEXEC, "e_ident");
  header()->e_ident[EI_CLASS] = ELFCLASS64;
  refused(ENOEXEC, "EI_CLASS");
  header()->e_ident[EI_DATA] = ELFDATA2MSB;
  refused(ENOEXEC, "EI_DATA");
  header()->e_type = ET_REL;
  refused(ENOEXEC, "e_type");
  header()->e_type = ET_CORE;
  refused(ENOEXEC, "e_type");
  header()->e_machine = EM_X86_64;
  refused(ENOEXEC, "e_machine");
  header()->e_phentsize = 56;
  refused(ENOEXEC, "e_phentsize");
  header()->e_phnum = 0;
  refused(ENOEXEC, "e_phnum");
  header()->e_phnum = 2049;
  refused(ENOEXEC, "e_phnum");
  header()->e_phnum = PN_XNUM;
  refused(ENOEXEC, "e_phnum");
  header()->e_phnum = 2048; /* 64 KiB: allowed, but not in this file */
  refused(ENOEXEC, "e_phoff");
  header()->e_phoff = 4096 - 32;
  refused(ENOEXEC, "e_phoff");
  header()->e_phoff = UINT32_MAX - 15;
  refused(ENOEXEC, "e_phoff");
  header()->e_entry = GUEST_TASK_SIZE;
  refused(ENOEXEC, "e_entry");
  for (elf.size = 4; elf.size < sizeof(Elf32_Ehdr); elf.size += 12)
    refused(ENOEXEC, "header");
}

static void test_segments(void **state) {
  (void)state;
  segment()->p_filesz = 4097;
  refused(ENOEXEC, "p_filesz");
  segment()->p_vaddr = 0xfffff000;
  refused(ENOEXEC, "p_vaddr");
  segment()->p_vaddr = GUEST_TASK_SIZE - 4096 + 1;
  refused(ENOEXEC, "p_vaddr");
  segment()->p_vaddr = GUEST_TASK_SIZE - 4096;
  assert_int_equal(check(ELF_PROGRAM), 0);
  segment()->p_memsz = UINT32_MAX;
  refused(ENOEXEC, "p_memsz");
  segment()->p_offset = 1;
  refused(ENOEXEC, "p_offset");
  segment()->p_type = PT_NULL;
  refused(ENOEXEC, "PT_LOAD");
  *segment() = (Elf32_Phdr){.p_type = PT_LOAD};
  refused(ENOEXEC, "PT_LOAD");
}

static void test_alignment(void **state) {
  (void)state;
  static const struct {
    uint32_t align, expected;
  } rows[] = {{0, 4096}, {1, 4096}, {4096, 4096}, {0x10000, 0x10000}, {0x18000, 4096}, {1u << 31, 1u << 31}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    segment()->p_align = rows[i].align;
    assert_int_equal(check(ELF_PROGRAM), 0);
    assert_int_equal(image.alignment, rows[i].expected);
  }
}

static void test_stack_header(void **state) {
  (void)state;
  header();
  elf_segment(&elf, 1)->p_flags |= PF_X;
  assert_int_equal(check(ELF_PROGRAM), 0);
  assert_int_equal(image.stack, ELF_STACK_EXECUTABLE);
  header();
  elf_segment(&elf, 1)->p_type = PT_NULL;
  assert_int_equal(check(ELF_PROGRAM), 0);
  assert_int_equal(image.stack, ELF_STACK_DEFAULT);
}

static void test_interpreter(void **state) {
  (void)state;
  header();
  elf_add_interpreter(&elf, "/lib/ld.so");
  assert_int_equal(check(ELF_PROGRAM), 0);
  assert_true(image.has_interpreter);
  assert_int_equal(image.interpreter_size, 11);
  /* An interpreter's own interpreter is nobody's business, right or wrong. */
  elf_segment(&elf, 2)->p_filesz = 0;
  assert_int_equal(check(ELF_INTERPRETER), 0);
  assert_false(image.has_interpreter);

  refused(ENOEXEC, "PT_INTERP");
  elf_segment(&elf, 2)->p_filesz = 1;
  refused(ENOEXEC, "PT_INTERP");
  elf_segment(&elf, 2)->p_filesz = PATH_MAX + 1;
  refused(ENOEXEC, "PT_INTERP");
  elf_segment(&elf, 2)->p_filesz = 16;
  elf_segment(&elf, 2)->p_offset = 4090;
  refused(EIO, "PT_INTERP");
  elf_segment(&elf, 2)->p_offset = UINT32_MAX;
  refused(EIO, "PT_INTERP");
  assert_int_equal(elf_image_check_interpreter("/lib/ld.so", 10, "FILE", &error), -ENOEXEC);
  assert_non_null(strstr(error.message, "PT_INTERP"));
  assert_int_equal(elf_image_check_interpreter("/lib/ld.so", 11, "FILE", &error), 0);
}

static void test_bounds(void **state) {
  (void)state;
  header();
  elf_add_segment(&elf, (Elf32_Phdr){.p_type = PT_LOAD,
                                     .p_vaddr = 0x08050010,
                                     .p_offset = 0x10,
                                     .p_filesz = 0x100,
                                     .p_memsz = 0x5000,
                                     .p_flags = PF_R | PF_W});
  assert_int_equal(check(ELF_PROGRAM), 0);
  const struct elf_bounds bounds = elf_image_bounds(&image);
  assert_int_equal(bounds.start_code, 0x08048000);
  assert_int_equal(bounds.end_code, 0x08049000);
  assert_int_equal(bounds.start_data, 0x08050010);
  assert_int_equal(bounds.end_data, 0x08050110);
  assert_int_equal(bounds.end, 0x08055010);
  /* The last segment that holds the headers' offset says where they are. */
  assert_int_equal(elf_image_header_address(&image), 0x08050034);
}

static void test_host_program(void **state) {
  (void)state;
  Elf64_Ehdr host = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                     .e_type = ET_DYN,
                     .e_machine = EM_X86_64};
  assert_true(elf_is_host_program((const uint8_t *)&host, sizeof host));
  assert_false(elf_is_host_program((const uint8_t *)&host, sizeof host - 1));
  host.e_machine = EM_AARCH64;
  assert_false(elf_is_host_program((const uint8_t *)&host, sizeof host));
  host.e_machine = EM_X86_64;
  host.e_ident[EI_CLASS] = ELFCLASS32; /* x32 */
  assert_false(elf_is_host_program((const uint8_t *)&host, sizeof host));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),         cmocka_unit_test(test_header),
      cmocka_unit_test(test_segments),     cmocka_unit_test(test_alignment),
      cmocka_unit_test(test_stack_header), cmocka_unit_test(test_interpreter),
      cmocka_unit_test(test_bounds),       cmocka_unit_test(test_host_program),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
