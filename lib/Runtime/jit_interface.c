/* The table that the engine finds in the shared object. */
#include "Runtime/jit.h"

__attribute__((visibility("default"))) const struct jit_interface jit_interface = {
    .compile_stencils = jit_compile_stencils,
    .compile_block = jit_compile_block,
};
