/* Reading the object files that LLVM makes: ELF64 with one section of code. */
#include "Runtime/jit_internal.h"

#include <string.h>

bool jit_object_open(struct jit_object *o, const uint8_t *bytes, size_t size) {
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
  *o = (struct jit_object){.bytes = bytes, .size = size};
  if (size < sizeof *header)
    return false;
  o->sections = (const Elf64_Shdr *)(bytes + header->e_shoff);
  o->section_count = header->e_shnum;
  const char *names = (const char *)bytes + o->sections[header->e_shstrndx].sh_offset;
  o->section_names = names;
  for (unsigned i = 0; i < o->section_count; i++) {
    const char *name = names + o->sections[i].sh_name;
    if (strcmp(name, ".text") == 0)
      o->text = &o->sections[i];
    else if (strcmp(name, ".rela.text") == 0)
      o->rela = &o->sections[i];
    else if (o->sections[i].sh_type == SHT_SYMTAB)
      o->symtab = &o->sections[i];
  }
  if (!o->text || !o->symtab)
    return false;
  o->strings = (const char *)bytes + o->sections[o->symtab->sh_link].sh_offset;
  return true;
}

const Elf64_Sym *jit_object_symbols(const struct jit_object *o) {
  return (const Elf64_Sym *)(o->bytes + o->symtab->sh_offset);
}

const Elf64_Rela *jit_object_relocs(const struct jit_object *o, size_t *count) {
  *count = o->rela ? o->rela->sh_size / sizeof(Elf64_Rela) : 0;
  return o->rela ? (const Elf64_Rela *)(o->bytes + o->rela->sh_offset) : NULL;
}
