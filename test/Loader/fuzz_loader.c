/* Fuzzes what the loader does with bytes of a file that it has not checked yet: the #! line, the ELF headers,
 * symbol tables, and argument strings for the stack. An input is taken for a file; one that begins with a NUL is taken for
 * arguments. Besides memory errors it looks for broken promises: what the checks let through must hold. */
#include "Loader/program.h"
#include "Loader/script.h"
#include "Loader/stack.h"
#include "Loader/symbols.h"
#include "Loader/unwind_table.h"
#include "Runtime/guest_memory.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise) {
  if (!promise)
    abort();
}

static void fuzz_script(const uint8_t head[LOADER_HEAD_SIZE]) {
  struct script_line line;
  if (script_parse(head, &line))
    return;
  require(strlen(line.interpreter) < SCRIPT_HEAD_SIZE - 2 && !strpbrk(line.interpreter, " \t\n"));
  require(!strchr(line.argument, '\n') && (line.has_argument || !line.argument[0]));
  require(line.argument[0] != ' ' && line.argument[0] != '\t');
}

static void fuzz_elf(const uint8_t *data, size_t size, const uint8_t head[LOADER_HEAD_SIZE],
                     enum elf_role role) {
  struct elf_image *image = malloc(sizeof *image);
  struct loader_error error = {0};
  require(image != NULL);
  if (elf_image_read_header(image, head, LOADER_HEAD_SIZE, size, role, "file", &error) == 0) {
    const size_t length = image->header_count * sizeof image->header[0];
    require(length <= sizeof image->header && image->header_offset + length <= size);
    memcpy(image->header, data + image->header_offset, length);
    if (elf_image_read_segments(image, size, role, "file", &error) == 0) {
      require(image->low < image->high && image->high <= GUEST_TASK_SIZE);
      require(image->alignment >= GUEST_PAGE_SIZE && !(image->alignment & (image->alignment - 1)));
      for (unsigned i = 0; i < image->header_count; i++) {
        const Elf32_Phdr *segment = &image->header[i];
        if (segment->p_type != PT_LOAD)
          continue;
        require(segment->p_filesz <= segment->p_memsz && segment->p_vaddr >= image->low);
        require((uint64_t)segment->p_vaddr + segment->p_memsz <= image->high);
      }
      const struct elf_bounds bounds = elf_image_bounds(image);
      require(bounds.end == image->high && bounds.start_code <= bounds.end_code);
      elf_image_header_address(image);
      if (image->has_interpreter) {
        require((uint64_t)image->interpreter_offset + image->interpreter_size <= size);
        elf_image_check_interpreter((const char *)data + image->interpreter_offset, image->interpreter_size,
                                    "file", &error);
      }
    } else
      require(error.error != 0 && error.message[0]);
  } else
    require(error.error != 0 && error.message[0]);
  free(image);
}

static void fuzz_symbols(const uint8_t *data, size_t size) {
  struct symbols *symbols = symbols_read_bytes(data, size);
  if (!symbols)
    return;
  size_t count;
  const struct symbol *all = symbols_all(symbols, &count);
  for (size_t i = 0; i < count; i++) {
    require(all[i].name[0] && all[i].size && all[i].size <= UINT32_MAX - all[i].address);
    require(i == 0 || all[i - 1].address < all[i].address);
    require(symbols_find(symbols, all[i].address) == &all[i]);
    const uint32_t last = all[i].address + all[i].size - 1;
    const struct symbol *inner = symbols_find(symbols, last);
    require(inner && last - inner->address < inner->size);
  }
  symbols_free(symbols);
}

static void see_function(void *context, uint32_t address, uint32_t length) {
  (void)context, (void)address;
  require(length != 0);
}

/* Strings, each with its NUL; the first is the program's name, odd ones are arguments. */
static void fuzz_stack(const uint8_t *data, size_t size) {
  enum { STRINGS_MAX = 512 };
  char *text = calloc(size + 1, 1);
  char *argv[STRINGS_MAX + 1] = {0}, *envp[STRINGS_MAX + 1] = {0};
  require(text != NULL);
  memcpy(text, data, size);
  size_t argc = 0, envc = 0;
  for (char *at = text; at < text + size && argc + envc < STRINGS_MAX; at += strlen(at) + 1)
    if ((argc + envc) % 2)
      envp[envc++] = at;
    else
      argv[argc++] = at;
  const struct stack_strings strings = {.filename = text, .argv = argv, .envp = envp};
  struct stack_layout layout;
  const struct loader_image image = {0};
  const struct loader_options options = {.min_signal_stack = size & 1, .rseq_feature_size = size & 2};
  struct stack_auxv auxv;
  memset(&layout, 0, sizeof layout);
  stack_auxv_fill(&auxv, &image, &options, &layout);
  if (stack_layout(&layout, &strings, auxv.count) == 0) {
    require(layout.esp % 16 == 0 && layout.auxv + auxv.count * 8 <= layout.random);
    uint8_t *bytes = malloc(GUEST_TASK_SIZE - layout.esp);
    const uint8_t random[16] = {0};
    require(bytes != NULL);
    stack_compose(bytes, &layout, &strings, &auxv, random);
    require(stack_initial_size(&layout, UINT64_MAX) >= GUEST_TASK_SIZE - layout.esp);
    free(bytes);
  }
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size && data[0] == '\0') {
    fuzz_stack(data + 1, size - 1);
    return 0;
  }
  uint8_t head[LOADER_HEAD_SIZE] = {0};
  memcpy(head, data, size < sizeof head ? size : sizeof head);
  if (head[0] == '#' && head[1] == '!')
    fuzz_script(head);
  elf_is_host_program(head, sizeof head);
  fuzz_elf(data, size, head, ELF_PROGRAM);
  fuzz_elf(data, size, head, ELF_INTERPRETER);
  fuzz_symbols(data, size);
  unwind_table_read(data, size, see_function, NULL);
  return 0;
}
