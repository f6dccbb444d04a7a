/* Sets of shapes: what the stencil library is made from. */
#ifndef UEMU_STENCILS_SHAPES_H
#define UEMU_STENCILS_SHAPES_H

#include "Runtime/jit.h"

#include <stdio.h>

struct shape_set {
  struct stencil_source *source;
  uint32_t *uses; /* of the same index: how often it was added */
  size_t count, capacity;
  uint32_t *table; /* hash table of index + 1 */
  size_t table_size;
};

/* Adds the shape of insn[0..count), if it is new. Its index. */
size_t shape_set_add(struct shape_set *set, const struct insn *insn, unsigned count, uint8_t live);

/* A list: a line a shape, the bytes of one or two instructions in hex, a blank, the live flags in
 * hex. As shape_source_write prints it. */
bool shape_set_add_list(struct shape_set *set, const char *path);
void shape_source_write(const struct stencil_source *source, FILE *file);

/* Every shape that translating the file's executable sections would ask for. */
bool shape_set_add_elf(struct shape_set *set, const char *path);

/* Adds what lets the translator do without a shape of its own for an instruction (translate.c,
 * resolve): the parts of pairs, addresses apart from operations, and all registers. */
void shape_set_complete(struct shape_set *set);

/* Fills *general, which is empty, with the shapes of *set, those of one address each as one for all
 * addresses. Returns an array from the index in *set to that in *general; to be freed. */
size_t *shape_set_generalise(const struct shape_set *set, struct shape_set *general);

/* Those added most often first. */
void shape_set_sort(struct shape_set *set);

/* For messages: mnemonics and bytes. */
void shape_source_print(const struct stencil_source *source, char *text, size_t size);

#endif
