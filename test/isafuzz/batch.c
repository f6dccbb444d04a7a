/* Jobs: laying out code, and executing on both targets. */
#include "fuzzer.h"

#include <signal.h>
#include <string.h>

enum { JUMP = 0xe9, JUMP_LENGTH = 5, HLT = 0xf4, SHORT_REACH = 128 };

_Static_assert(PROGRAM_LIMIT *(2 * SHORT_REACH + 16 + CODE_LIMIT + NOP_COUNT + JUMP_LENGTH) <=
                   CODE_PAGES * CASE_PAGE,
               "all programs fit");

void batch_lay_out(struct job *job, const struct program *programs, unsigned count, uint32_t exit) {
  uint8_t *code = job->code[0];
  uint32_t at = 0, edges = 0;
  memset(job->code, HLT, sizeof job->code);
  for (unsigned i = 0; i < count; i++) {
    const struct program *program = &programs[i];
    struct job_program *entry = &job->program[i];
    entry->exit = exit;
    memcpy(entry->role, program->role, sizeof entry->role);
    if (program->at_page_end) {
      memcpy(job->code[CODE_PAGES + edges] + CASE_PAGE - program->length, program->code, program->length);
      entry->entry = EDGE_ADDRESS + edges * EDGE_STRIDE + CASE_PAGE - program->length;
      edges++;
      continue;
    }
    /* Short branches of random bytes stay outside their neighbours: what they do is theirs alone. */
    at += (program->random_bytes ? SHORT_REACH : 0) + (program->code[0] & 15); /* all alignments */
    entry->entry = CODE_ADDRESS + at;
    memcpy(code + at, program->code, program->length);
    at += program->length;
    if (program->random_bytes) {
      memset(code + at, NOP, NOP_COUNT);
      at += NOP_COUNT;
    }
    uint32_t distance = exit - (CODE_ADDRESS + at + JUMP_LENGTH);
    code[at] = JUMP;
    memcpy(code + at + 1, &distance, sizeof distance);
    at += JUMP_LENGTH + (program->random_bytes ? SHORT_REACH : 0);
  }
  job->program_count = count;
}

bool batch_run(struct fuzzer *fuzzer) {
  struct job *job = fuzzer->job;
  memset(job->skip, 0, sizeof job->skip);
  if (!target_run(&fuzzer->native))
    return false;
  uint32_t at = 0;
  for (uint32_t p = 0; p < job->program_count; p++)
    for (uint32_t s = 0; s < job->program[p].state_count; s++, at++) {
      uint32_t signal = fuzzer->native.results->result[at].signal;
      job->skip[at] = signal == SIGALRM || signal == SIGNAL_DIED || signal == SIGNAL_HUNG;
    }
  return target_run(&fuzzer->emulated);
}
