/* What the fuzzer and its runner share: a job (programs, and the states to run them from) in one file that
 * both map, and results in another.
 *
 * The fuzzer (isafuzz) writes a job, sends the runner a byte, and gets one back when all is executed. The
 * runner is an i386 program that runs twice: by the kernel, where the CPU executes the programs, and under
 * the emulator. It has both files open from the start. Structures have the same layout in 32 and 64 bits. */
#ifndef UEMU_TEST_ISAFUZZ_PROTOCOL_H
#define UEMU_TEST_ISAFUZZ_PROTOCOL_H

#include "../isa/case_text.h"

enum { JOB_FD = 3, RESULT_FD = 4 };

/* Where things are in the runner; everything else in its address space is unmapped. */
enum {
  CODE_ADDRESS = 0x10000000,
  CODE_PAGES = 32,      /* contiguous, with nothing mapped behind them */
  EDGE_PAGES = 8,       /* single pages, each with nothing mapped behind it */
  EDGE_STRIDE = 0x2000, /* from one to the next */
  EDGE_ADDRESS = CODE_ADDRESS + 0x100000,
  EXIT_ADDRESS = CODE_ADDRESS + 0x180000, /* a page with nothing but the programs' exit, in its middle */
  JOB_ADDRESS = 0x30000000,
  CONTROL_ADDRESS = 0x16c53000, /* where no sum of powers of two is */
  READ_ONLY_ADDRESS = CASE_SCRATCH + 0x10000, /* the job's page 0, which cannot be written */
};

enum {
  PROGRAM_LIMIT = 256,
  STATE_LIMIT = 512,
  PAGE_LIMIT = 32,
  EXECUTION_LIMIT = 16384,
  KEPT_PAGES = 32, /* executions whose memory the results have in full */
};

/* What a program expects of a general register. A state has a value for each; the program says which. */
enum role {
  ROLE_DATA,    /* any number */
  ROLE_POINTER, /* mostly an address in the scratch page */
  ROLE_INDEX,   /* mostly a small number */
  ROLE_EXIT,    /* the address of the program's end */
  ROLE_COUNT,
};

struct job_program {
  uint32_t entry, exit; /* exit: the address of the jump that ends it */
  uint32_t first_state, state_count;
  uint8_t role[8];
};

struct job_state {
  struct fpu_image fpu;
  uint32_t gpr[ROLE_EXIT][8];
  uint32_t eflags, page;
  uint32_t unused[6];
  uint8_t ymm_high[8][16];
};

/* The address of the program's end is also in memory, for indirect jumps and returns. */
enum { EXIT_OFFSET = 0x7f0 };

struct job {
  uint32_t program_count;
  uint32_t first_execution; /* the results of those before are there from a runner that died */
  uint32_t keep_memory;     /* the first KEPT_PAGES executions' memory is wanted */
  uint32_t keep_exit;       /* EXIT_OFFSET is filled in */
  uint32_t use_ymm;         /* upper halves of ymm registers are part of the state */
  struct job_program program[PROGRAM_LIMIT];
  uint8_t skip[EXECUTION_LIMIT];
  struct job_state state[STATE_LIMIT] __attribute__((aligned(4096)));
  uint8_t page[PAGE_LIMIT][CASE_PAGE] __attribute__((aligned(4096)));
  uint8_t code[CODE_PAGES + EDGE_PAGES][CASE_PAGE] __attribute__((aligned(4096)));
};

/* How an execution ended and left the machine. */
struct result {
  struct fpu_image fpu;
  uint32_t gpr[8];
  uint32_t eflags, eip; /* eip: of the signal frame; the program's exit if it ended there */
  uint32_t signal, code, address;
  uint32_t trap, error, cr2; /* of the signal frame */
  uint16_t segment[6];       /* es cs ss ds fs gs */
  uint32_t memory_digest[4];
  uint32_t unused;
  uint8_t ymm_high[8][16];
};
_Static_assert(sizeof(struct result) == 512 + 96 + 128, "the same in 32 and 64 bits");

/* The file of results. The runner maps its first page only and writes the others as files are written: a
 * program's stray stores must not reach results, nor its loads what differs between the two runs. */
struct results {
  uint32_t exit_routine;       /* where programs jump to in the end; set once the runner is ready */
  volatile uint32_t execution; /* the one going on */
  volatile uint32_t written;   /* results of those before it are in the file */
  struct result result[EXECUTION_LIMIT] __attribute__((aligned(4096)));
  uint8_t memory[KEPT_PAGES][CASE_PAGE] __attribute__((aligned(4096)));
};

enum { SIGNAL_TIME_LIMIT = 14 /* SIGALRM */, SIGNAL_SKIPPED = 0xff };

#endif
