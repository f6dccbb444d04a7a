/* The table that the engine finds in the shared object. */
#include "Runtime/jit.h"

__attribute__((visibility("default"))) const struct jit_interface jit_interface = {
    .compile_stencils = jit_compile_stencils,
    .compile_block = jit_compile_block,
    .compile_region = jit_compile_region,
    .free_region = jit_free_region,
    .lift_program = jit_lift_program,
    .set_dump = jit_set_dump,
};
