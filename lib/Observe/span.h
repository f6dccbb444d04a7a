/* The parts of a unit, each of one guest function, and the tools that are told of them. */
#ifndef UEMU_OBSERVE_SPAN_H
#define UEMU_OBSERVE_SPAN_H

#include "Observe/observe.h"

enum { SPAN_NAME_SIZE = 256, SPAN_LIMIT = 512 };

struct span {
  const uint8_t *code;
  uint32_t size;
  guest_addr eip;            /* of its first instruction */
  bool plain_frames;         /* as in struct observed_unit */
  unsigned name_length;      /* of "memcpy+0x1c" in … */
  char name[SPAN_NAME_SIZE]; /* "memcpy+0x1c [small]" */
};

/* How many there are, at most SPAN_LIMIT: then the last one has the rest. They lie in the order of addresses,
 * and good until the next call. */
unsigned span_split(const struct observed_unit *unit, const struct span **spans);

int perf_map_start(void);
void perf_map_add(const struct span *span, unsigned count);
void perf_map_forked(void);

int jitdump_start(const char *folder);
void jitdump_add(const struct span *span, unsigned count);
void jitdump_forked(void);

void gdb_jit_add(const struct span *span, unsigned count);
void gdb_jit_forget(void);

/* --- frame.c: how to unwind code whose frames are plain
 * ------------------------------------------------------ */

/* The contents of .eh_frame for `size` bytes of code that lie `distance` bytes behind them. The description
 * of the code is at FRAME_CODE. */
enum { FRAME_SIZE = 64, FRAME_CODE = 24 };
void frame_describe(uint8_t bytes[FRAME_SIZE], int64_t distance, uint64_t size);

#endif
