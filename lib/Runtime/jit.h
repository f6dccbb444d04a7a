/* The compiler's interface: everything that needs LLVM.
 *
 * It lives in a shared object of its own (libuemu-jit.so), opened when a program first needs a
 * shape that the stencil library lacks, or runs in the llvm tier: LLVM costs 15 ms and 58 MB to
 * load. The calls may clobber the x87 and MXCSR state; callers save it. One thread at a time. */
#ifndef UEMU_RUNTIME_JIT_H
#define UEMU_RUNTIME_JIT_H

#include "Frontend/shape.h"
#include "Runtime/stencil.h"

/* What a stencil is made from: instructions of its shape, and the flags kept. */
struct stencil_source {
  struct insn insn[2];
  uint8_t count; /* 1 or 2 */
  uint8_t live;  /* FLAGS_* wanted; rounded as shape_round_flags says */
};

struct stencil_sink {
  void *context;
  /* The stencil's memory is the callee's to copy. */
  void (*made)(void *context, const struct stencil_code *stencil);
  /* The lifter has no meaning for it, or the code broke a rule; `why` is one line. */
  void (*refused)(void *context, const struct stencil_source *source, const char *why);
};

/* Compiles each source; every one ends in made or refused. 0, or -EIO if LLVM itself failed
 * (message to sink->refused). */
int jit_compile_stencils(const struct stencil_source *sources, unsigned count, const struct stencil_sink *sink);

/* --- Blocks: the llvm tier ------------------------------------------------------------------------- */

/* What compiling blocks needs of the engine. */
struct jit_host {
  /* Memory of the code cache, as code_cache_open_in_place and code_cache_close give it. */
  uint8_t *(*open)(size_t size);
  void (*close)(uint8_t *end);
  /* The host address of a stub: STENCIL_DISPATCH and above. */
  uintptr_t (*stub_address)(unsigned symbol);
  /* Gets each block's IR as it was lifted, and after optimisation: whole modules. NULL: not wanted. */
  void (*dump)(const char *text);
};

enum { JIT_BLOCK_LIMIT = 64 }; /* instructions */

struct jit_block {
  const uint8_t *code;
  uint32_t code_size; /* bytes of code */
  uint32_t size;      /* with the constants that follow */
  unsigned insn_count; /* how many instructions it is made of; it may go on after them by the dispatcher */
  /* Where the host's x87 instructions are, and which of insns[] each is: the FPU remembers the address
   * of the last one, and the guest may ask for it. In the order of the code. */
  struct {
    uint16_t host; /* bytes from `code` */
    uint16_t insn;
  } x87[JIT_BLOCK_LIMIT];
  unsigned x87_count;
  char why[160]; /* on failure: the reason */
};

/* What CPU a block is for. */
struct block_mode {
  uint32_t bits;      /* enum cpu_mode */
  uint32_t code_base; /* of the code segment, which eip is an offset in */
  uint32_t code_high; /* the highest offset in it; UINT32_MAX if it is flat */
};

/* Compiles one basic block for a CPU in a mode, insns[0..count), count at most JIT_BLOCK_LIMIT, or as many of
 * the first of them as can be. 0; -ENOTSUP if the lifter has no meaning for the first one; -EIO if LLVM
 * failed. */
int jit_compile_block(const struct jit_host *host, const struct insn *insns, unsigned count, const struct block_mode *mode,
                      struct jit_block *block);

/* --- Regions ------------------------------------------------------------------------------------------ */

/* Where an x87 instruction is: bytes from the region's code, and which of the guest's it is. */
struct x87_row {
  uint32_t host, guest;
};

struct lift_region_source;

/* A place in a region's code that refers to something outside: a 32-bit displacement, relative to its end when
 * addend is -4. */
struct jit_region_reloc {
  uint32_t offset; /* bytes from the region's code */
  int32_t addend;
  uint32_t symbol; /* enum stencil_symbol: STENCIL_DISPATCH and above; or STENCIL_TAKEN: the code of … */
  guest_addr eip;  /* … this guest address */
};

/* A place in a region's code that is made a breakpoint to stop a thread there. */
struct jit_region_stop {
  uint32_t at;  /* bytes from the region's code */
  uint32_t out; /* a loop's poll: where one leaves from there; 0: a return, of one byte */
};

enum { JIT_FRAME_LIMIT = 2048 }; /* bytes of the host stack, of a region */

/* A compiled region: code to be copied to a multiple of its alignment, and completed. */
struct jit_region {
  uint8_t *code;
  uint32_t code_size; /* bytes of code */
  uint32_t size;      /* with the constants that follow */
  uint32_t alignment;
  uint32_t frame_size; /* the host stack that it uses at most, with the return address of a call */
  struct jit_region_reloc *reloc;
  unsigned reloc_count;
  struct jit_region_stop *stop; /* every way out but those in reloc[], and every loop, has one */
  unsigned stop_count;
  struct x87_row *x87; /* its x87 instructions, by their place in the code */
  unsigned x87_count;
  char why[160]; /* on failure: the reason */
};

/* Compiles a region. `dump` gets its IR as it was lifted, and after optimisation; NULL: not wanted. 0, or
 * -EIO with region->why set. One thread at a time, but beside a thread that compiles stencils or blocks. */
int jit_compile_region(const struct lift_region_source *source, void (*dump)(const char *text), struct jit_region *region);
void jit_free_region(struct jit_region *region);

/* --- Lifting a program without running it ---------------------------------------------------------------- */

/* Guest code, for those who show it. */
struct jit_guest_code {
  void *context;
  /* The bytes at eip: how many can be read (up to 16; 0: none) and where. */
  size_t (*fetch)(void *context, guest_addr eip, const uint8_t **bytes);
  /* The name of the function that begins at eip, or a part of one ("memcpy+0x1c"); "" where there is none. */
  void (*name)(void *context, guest_addr eip, char *name, size_t size);
};

enum jit_format { JIT_FORMAT_TEXT, JIT_FORMAT_BITCODE };

struct jit_lift {
  struct jit_guest_code code;
  const guest_addr *root; /* functions to begin with */
  unsigned root_count;
  const char *path, *heading; /* the file to be written; lines of text for its head */
  enum jit_format format;
  /* Told of each instruction that is in the module. */
  void (*lifted)(void *context, const struct insn *insn, bool meaning);
  /* Asked when all is lifted that was asked for: another address to begin with. False: there is none. */
  bool (*more)(void *context, guest_addr *eip);
  /* What `lifted` told is void: lifting begins anew. */
  void (*restarted)(void *context);
};

struct jit_lift_result {
  unsigned functions;        /* lifted: those asked for, and all that they reach */
  unsigned outside;          /* addresses that are reached and have no code in the file */
  uint64_t insns;            /* instructions lifted, counted again where functions share them */
  uint8_t needs_return_flags; /* FLAGS_* that code after a call reads: everything was lifted so that this is right */
  char why[160];             /* on failure: the reason */
};

/* Lifts the roots and what they reach by direct calls and jumps to one module, verifies it, and writes it. 0; or a
 * negative errno with result->why set. */
int jit_lift_program(const struct jit_lift *lift, struct jit_lift_result *result);

/* jit_dump.h */
struct jit_dump;
void jit_set_dump(const struct jit_dump *dump);

/* What the shared object offers, by the name jit_interface. */
struct jit_interface {
  int (*compile_stencils)(const struct stencil_source *, unsigned, const struct stencil_sink *);
  int (*compile_block)(const struct jit_host *, const struct insn *, unsigned, const struct block_mode *, struct jit_block *);
  int (*compile_region)(const struct lift_region_source *, void (*)(const char *), struct jit_region *);
  void (*free_region)(struct jit_region *);
  int (*lift_program)(const struct jit_lift *, struct jit_lift_result *);
  void (*set_dump)(const struct jit_dump *);
};
extern const struct jit_interface jit_interface;

#endif
