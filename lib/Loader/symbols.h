/* Names of code: the function symbols of an ELF32 file (System V ABI, chapter 4), of .symtab and .dynsym.
 *
 * For those who look at a program from outside (profiles, debuggers, lifted IR); running one needs none of
 * it. Damaged files are harmless: what cannot be read is left out. Addresses are the file's own (p_vaddr),
 * before a load bias. Nothing here is shared: a struct symbols may be read by several threads. */
#ifndef UEMU_LOADER_SYMBOLS_H
#define UEMU_LOADER_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
  uint32_t address;
  uint32_t size;    /* bytes; not 0: where the file gives none, up to the next symbol or its section's end */
  bool sized;       /* the file gives the size */
  const char *name; /* lives as long as the struct symbols */
};

struct symbols;

/* Reads the file, which may be closed afterwards. NULL if it is no ELF32 file or there is no memory; a file
 * without symbols gives an empty list. */
struct symbols *symbols_read(int fd);
/* The same from bytes, which need not be kept. */
struct symbols *symbols_read_bytes(const void *bytes, size_t size);
void symbols_free(struct symbols *symbols);

/* All of them, by address, one for each address: the name that a person would choose. */
const struct symbol *symbols_all(const struct symbols *symbols, size_t *count);

/* The innermost one that covers the address; NULL if there is none. */
const struct symbol *symbols_find(const struct symbols *symbols, uint32_t address);

/* The address that an offset in the file is loaded at, by its PT_LOADs. False if it is not loaded. */
bool symbols_address_of_offset(const struct symbols *symbols, uint64_t offset, uint32_t *address);

#endif
