/* Lifts the functions of i386 programs as regions: each must pass LLVM's verifier, and one in so many is
 * compiled as well. The programs are the arguments. */
#include "Frontend/lift_region.h"
#include "Runtime/jit.h"

#include <elf.h>
#include <llvm-c/Analysis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  uint8_t *bytes;
  size_t size;
} file;

static bool read_file(const char *path) {
  FILE *stream = fopen(path, "rb");
  if (!stream)
    return false;
  fseek(stream, 0, SEEK_END);
  file.size = (size_t)ftell(stream);
  rewind(stream);
  file.bytes = realloc(file.bytes, file.size + 16);
  bool whole = file.bytes && fread(file.bytes, 1, file.size, stream) == file.size;
  fclose(stream);
  return whole && file.size > sizeof(Elf32_Ehdr) && memcmp(file.bytes, ELFMAG, SELFMAG) == 0;
}

static size_t fetch(void *context, guest_addr eip, const uint8_t **bytes) {
  (void)context;
  const Elf32_Ehdr *header = (const Elf32_Ehdr *)file.bytes;
  const Elf32_Phdr *segment = (const Elf32_Phdr *)(file.bytes + header->e_phoff);
  for (unsigned i = 0; i < header->e_phnum; i++, segment++)
    if (segment->p_type == PT_LOAD && segment->p_flags & PF_X && eip >= segment->p_vaddr &&
        eip - segment->p_vaddr < segment->p_filesz) {
      uint32_t offset = eip - segment->p_vaddr, left = segment->p_filesz - offset;
      *bytes = file.bytes + segment->p_offset + offset;
      return left < 16 ? left : 16;
    }
  return 0;
}

static unsigned lifted, compiled, refused, failures;
static uint64_t guest_insns, host_bytes;

static void try_function(guest_addr entry, unsigned compile_every, bool verbose) {
  static struct lift_region_source source;
  const struct discover_options options = {.fetch = fetch, .follow = true, .insn_limit = UNIT_INSN_LIMIT};
  if (!discover(&source.unit, entry, &options))
    return;
  struct lifter lifter;
  lifter_init(&lifter, LIFT_REGION);
  const bool is_region = lifter_region(&lifter, "region", &source) != NULL;
  char *message = NULL;
  if (LLVMVerifyModule(lifter.module, LLVMReturnStatusAction, &message)) {
    printf("%08x: invalid IR: %s\n", entry, message);
    failures++;
  }
  LLVMDisposeMessage(message);
  lifter_dispose(&lifter);
  if (!is_region || lifted++ % compile_every)
    return;
  struct jit_region region;
  if (jit_compile_region(&source, NULL, &region) < 0) {
    printf("%08x: cannot be compiled: %s\n", entry, region.why);
    refused++;
    return;
  }
  if (verbose)
    printf("%08x: %u instructions, %u bytes of code, frame of %u\n", entry, source.unit.insn_count,
           region.code_size, region.frame_size);
  compiled++;
  guest_insns += source.unit.insn_count;
  host_bytes += region.code_size;
  jit_free_region(&region);
}

static void try_program(const char *path, unsigned limit, unsigned compile_every, bool verbose) {
  if (!read_file(path)) {
    printf("%s: cannot be read, or is no ELF file\n", path);
    failures++;
    return;
  }
  const Elf32_Ehdr *header = (const Elf32_Ehdr *)file.bytes;
  const Elf32_Shdr *section = (const Elf32_Shdr *)(file.bytes + header->e_shoff);
  unsigned tried = 0;
  for (unsigned s = 0; s < header->e_shnum; s++) {
    if (section[s].sh_type != SHT_SYMTAB && section[s].sh_type != SHT_DYNSYM)
      continue;
    const Elf32_Sym *symbol = (const Elf32_Sym *)(file.bytes + section[s].sh_offset);
    unsigned count = section[s].sh_size / sizeof *symbol, step = count / (limit + 1) + 1;
    for (unsigned i = 0; i < count && tried < limit; i += step)
      if (ELF32_ST_TYPE(symbol[i].st_info) == STT_FUNC && symbol[i].st_shndx != SHN_UNDEF) {
        try_function(symbol[i].st_value, compile_every, verbose);
        tried++;
      }
  }
}

/* region_test [-v] LIMIT EVERY PROGRAM...: LIMIT functions of each, of which one in EVERY is compiled. */
int main(int argc, char **argv) {
  const bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
  argv += verbose;
  argc -= verbose;
  if (argc < 4) {
    fprintf(stderr, "usage: region_test [-v] LIMIT EVERY PROGRAM...\n");
    return 2;
  }
  for (int i = 3; i < argc; i++)
    try_program(argv[i], (unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]), verbose);
  printf("%u regions lifted; %u compiled, of %llu instructions, to %llu bytes; %u refused\n", lifted,
         compiled, (unsigned long long)guest_insns, (unsigned long long)host_bytes, refused);
  return failures || refused * 50 > compiled || !compiled;
}
