/* Models of CPUs (-cpu): what cpuid reports, and which instructions are #UD. */
#ifndef UEMU_RUNTIME_CPU_MODEL_H
#define UEMU_RUNTIME_CPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu_model {
  const char *name;        /* as QEMU names it */
  const char *description; /* what cpuid gives as the processor's name; "" for none */
  const char *vendor;      /* 12 bytes; NULL: all is as the host has it */
  uint8_t family, model, stepping;
  uint32_t level, extended_level; /* the highest leaves; 0 for no extended ones */
  const char *features;           /* separated by blanks */
};

/* Chooses what `specification` says: NAME, then any of +FEATURE, -FEATURE, FEATURE=on, FEATURE=off, by commas. Before
 * anything is decoded. False, with *why saying what is wrong. */
bool cpu_model_select(const char *specification, char *why, size_t size);

/* The model that was chosen; NULL: the host's CPU, as far as it is implemented. */
const struct cpu_model *cpu_model_chosen(void);

/* The models, ended by a name of NULL. */
extern const struct cpu_model cpu_models[];

#endif
