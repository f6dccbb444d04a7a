/* From a failure to its shortest form: a program without the instructions that do not matter, and a state
 * that is the usual one but where it matters. Each step is tried on both targets and kept if they still
 * differ. */
#include "fuzzer.h"
#include "undefined.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Page 0 of a job can be read at READ_ONLY_ADDRESS; a case keeps the one it was found with. */
enum { CASE_PAGE_NUMBER = 1 };

void case_of_execution(const struct job *job, const struct program *program, unsigned number, unsigned state,
                       struct fuzz_case *c) {
  const struct job_program *entry = &job->program[number];
  const struct job_state *s = &job->state[entry->first_state + state];
  memset(c, 0, sizeof *c);
  c->program = *program;
  c->state.eflags = s->eflags;
  c->state.fpu = s->fpu;
  memcpy(c->ymm_high, s->ymm_high, sizeof c->ymm_high);
  for (int i = 0; i < 8; i++) {
    c->state.gpr[i] = program->role[i] == ROLE_EXIT ? entry->exit : s->gpr[program->role[i]][i];
    c->program.role[i] = ROLE_DATA;
  }
  memcpy(c->state.memory, job->page[s->page], CASE_PAGE);
  if (job->keep_exit)
    memcpy(c->state.memory + EXIT_OFFSET, &entry->exit, sizeof entry->exit);
}

static void run_case(struct fuzzer *fuzzer, const struct fuzz_case *c) {
  struct job *job = fuzzer->job;
  uint32_t exit = target_exit_routine(&fuzzer->native);
  batch_lay_out(job, &c->program, 1, exit);
  job->keep_exit = 0;
  job->keep_memory = 1;
  job->program[0].first_state = 0;
  job->program[0].state_count = 1;
  struct job_state *state = &job->state[0];
  state->fpu = c->state.fpu;
  memcpy(state->ymm_high, c->ymm_high, sizeof state->ymm_high);
  state->eflags = c->state.eflags;
  state->page = CASE_PAGE_NUMBER;
  memcpy(state->gpr[ROLE_DATA], c->state.gpr, sizeof c->state.gpr);
  memcpy(job->page[CASE_PAGE_NUMBER], c->state.memory, CASE_PAGE);
  batch_run(fuzzer);
}

bool case_fails(struct fuzzer *fuzzer, struct fuzz_case *c, char difference[DIFFERENCE_LIMIT]) {
  if (!program_analyse(&fuzzer->definitions, &c->program, &c->masks) && !c->replayed)
    return false;
  run_case(fuzzer, c);
  return !compare_results(&fuzzer->native.results->result[0], &fuzzer->emulated.results->result[0],
                          &c->program, fuzzer->job->program[0].entry, &c->masks, difference);
}

/* Keeps `candidate` if it fails. */
static bool try_case(struct fuzzer *fuzzer, struct fuzz_case *c, struct fuzz_case *candidate) {
  char difference[DIFFERENCE_LIMIT];
  if (!memcmp(c, candidate, sizeof *c) || !case_fails(fuzzer, candidate, difference))
    return false;
  *c = *candidate;
  return true;
}

static bool remove_instruction(struct fuzzer *fuzzer, struct fuzz_case *c, unsigned number) {
  struct fuzz_case candidate = *c;
  struct program *program = &candidate.program;
  unsigned from = program->start[number], to = program->start[number + 1];
  memmove(program->code + from, program->code + to, program->length - to);
  program->length = (uint8_t)(program->length - (to - from));
  memset(program->code + program->length, 0, CODE_LIMIT - program->length);
  if (program->random_bytes)
    memset(program->code + program->length, NOP, NOP_COUNT);
  return try_case(fuzzer, c, &candidate);
}

static void shrink_program(struct fuzzer *fuzzer, struct fuzz_case *c) {
  struct fuzz_case candidate = *c;
  candidate.program.at_page_end = false;
  try_case(fuzzer, c, &candidate);
  bool changed = true;
  while (changed) {
    changed = false;
    for (unsigned i = c->program.insn_count; i-- > 0;)
      if (c->program.insn_count > 1 && i < c->program.insn_count)
        changed |= remove_instruction(fuzzer, c, i);
  }
}

/* The x87 state in a form that the text has: `full` registers from st0 on, the others empty and zero. */
static void make_x87(struct fpu_image *fpu, unsigned full) {
  enum { TOP = 0x3800 };
  unsigned top = (8 - full) & 7;
  fpu->fsw = (uint16_t)((fpu->fsw & ~TOP) | top << 11);
  fpu->tags = 0;
  for (unsigned i = 0; i < 8; i++)
    if (i < full)
      fpu->tags |= (uint8_t)(1 << ((top + i) & 7));
    else
      memset(fpu->st[i].bytes, 0, sizeof fpu->st[i].bytes);
}

static void shrink_ymm(struct fuzzer *fuzzer, struct fuzz_case *c) {
  for (unsigned i = 0; i < 8; i++) {
    struct fuzz_case candidate = *c;
    memset(candidate.ymm_high[i], 0, sizeof candidate.ymm_high[i]);
    try_case(fuzzer, c, &candidate);
  }
}

static void shrink_fpu(struct fuzzer *fuzzer, struct fuzz_case *c, const struct machine *usual) {
  struct fuzz_case candidate = *c;
  candidate.state.fpu = usual->fpu;
  if (try_case(fuzzer, c, &candidate))
    return;
  for (unsigned full = 0; full <= 8; full++) {
    candidate = *c;
    make_x87(&candidate.state.fpu, full);
    if (try_case(fuzzer, c, &candidate))
      break;
  }
#define TRY(field)                                                                                           \
  candidate = *c;                                                                                            \
  candidate.state.fpu.field = usual->fpu.field;                                                              \
  try_case(fuzzer, c, &candidate)
  TRY(fcw);
  TRY(mxcsr);
  for (unsigned i = 0; i < 8; i++) {
    candidate = *c;
    memset(candidate.state.fpu.xmm[i], 0, 16);
    try_case(fuzzer, c, &candidate);
    TRY(st[i]);
  }
  TRY(fsw);
#undef TRY
  for (unsigned bit = 0; bit < 16; bit++) {
    candidate = *c;
    if (bit < 11 || bit > 13)
      candidate.state.fpu.fsw &= (uint16_t) ~(1u << bit);
    try_case(fuzzer, c, &candidate);
  }
}

static void shrink_memory(struct fuzzer *fuzzer, struct fuzz_case *c, unsigned from, unsigned length) {
  static const uint8_t zeroes[CASE_PAGE];
  if (!memcmp(c->state.memory + from, zeroes, length))
    return;
  struct fuzz_case candidate = *c;
  memset(candidate.state.memory + from, 0, length);
  if (try_case(fuzzer, c, &candidate) || length <= 4)
    return;
  shrink_memory(fuzzer, c, from, length / 2);
  shrink_memory(fuzzer, c, from + length / 2, length / 2);
}

static void shrink_registers(struct fuzzer *fuzzer, struct fuzz_case *c, const struct machine *usual) {
  static const uint32_t flags[] = {EFLAG_C, EFLAG_P, EFLAG_A, EFLAG_Z, EFLAG_S, EFLAG_D, EFLAG_O};
  for (unsigned i = 0; i < 8; i++) {
    struct fuzz_case candidate = *c;
    candidate.state.gpr[i] = usual->gpr[i];
    try_case(fuzzer, c, &candidate);
  }
  for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++) {
    struct fuzz_case candidate = *c;
    candidate.state.eflags &= ~flags[i];
    try_case(fuzzer, c, &candidate);
  }
}

bool case_shrink(struct fuzzer *fuzzer, struct fuzz_case *c) {
  char difference[DIFFERENCE_LIMIT];
  if (!case_fails(fuzzer, c, difference))
    return false;
  struct machine usual;
  case_usual_state(&usual);
  shrink_program(fuzzer, c);
  shrink_fpu(fuzzer, c, &usual);
  if (fuzzer->job->use_ymm)
    shrink_ymm(fuzzer, c);
  shrink_memory(fuzzer, c, 0, CASE_PAGE);
  shrink_registers(fuzzer, c, &usual);
  shrink_program(fuzzer, c);
  return true;
}

/* --- Text ----------------------------------------------------------------------------------------------- */

/* Instructions as the assembler of generate.py reads them, with ";" between. */
static void disassemble(const struct program *program, char *text, size_t size) {
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
  text[0] = 0;
  for (unsigned i = 0; i < program->insn_count; i++) {
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
    unsigned start = program->start[i];
    char line[128] = "?";
    if (decode(program->code + start, program->length - start, &zi, zo))
      ZydisFormatterFormatInstruction(&formatter, &zi, zo, zi.operand_count_visible, line, sizeof line,
                                      CODE_ADDRESS + start, NULL);
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", i ? "; " : "", line);
  }
}

static void machine_of_result(const struct result *result, const uint8_t *memory, struct machine *machine) {
  memset(machine, 0, sizeof *machine);
  memcpy(machine->gpr, result->gpr, sizeof machine->gpr);
  machine->eflags = result->eflags;
  machine->fpu = result->fpu;
  memcpy(machine->memory, memory, CASE_PAGE);
  machine->signal = (int)result->signal;
  machine->signal_code = (int)result->code;
  machine->signal_eip = result->eip;
  machine->signal_address = result->address;
}

/* The state before, as a difference from the usual one: the same words as a result's. */
static void write_state(struct case_text *text, const struct machine *state, bool mmx_view) {
  struct machine usual;
  struct case_masks none = {0};
  case_usual_state(&usual);
  case_write(text, &usual, state, 0, &none, mmx_view);
}

static void write_masks(char text[8], const struct masks *masks, bool ended) {
  static const struct {
    uint32_t bit;
    char letter;
  } letters[] = {{EFLAG_C, 'C'}, {EFLAG_P, 'P'}, {EFLAG_A, 'A'},
                 {EFLAG_Z, 'Z'}, {EFLAG_S, 'S'}, {EFLAG_O, 'O'}};
  size_t length = 0;
  for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
    if ((ended ? masks->at_end : masks->anywhere) & letters[i].bit)
      text[length++] = letters[i].letter;
  text[length] = 0;
}

void case_print(struct fuzzer *fuzzer, struct fuzz_case *c) {
  char assembly[1024], undefined[8], difference[DIFFERENCE_LIMIT];
  bool fails = case_fails(fuzzer, c, difference);
  disassemble(&c->program, assembly, sizeof assembly);
  bool mmx_view = strstr(assembly, "%mm") != NULL;
  for (unsigned i = 0; i < c->program.length; i++)
    printf("%02x", c->program.code[i]);
  printf("  %s\n", assembly);

  const struct result *native = &fuzzer->native.results->result[0],
                      *emulated = &fuzzer->emulated.results->result[0];
  struct machine machine;
  struct case_text before, after;
  write_state(&before, &c->state, mmx_view);
  write_masks(undefined, &c->masks, native->signal == 0);
  uint32_t masked = native->signal ? c->masks.anywhere : c->masks.at_end;
  struct case_masks masks = {.eflags = masked};
  machine_of_result(native, fuzzer->native.results->memory[0], &machine);
  case_write(&after, &c->state, &machine, fuzzer->job->program[0].entry, &masks, mmx_view);
  printf(" %s%s%s =>%s\n", before.length ? before.at : " ", undefined[0] ? " undefined=" : "", undefined,
         after.at);
  for (unsigned i = 0; i < 8 && fuzzer->job->use_ymm; i++)
    if (memcmp(c->ymm_high[i], (uint8_t[16]){0}, 16)) {
      printf("# upper half of ymm%u before: ", i);
      for (int b = 15; b >= 0; b--)
        printf("%02x", c->ymm_high[i][b]);
      putchar('\n');
    }
  machine_of_result(emulated, fuzzer->emulated.results->memory[0], &machine);
  case_write(&after, &c->state, &machine, fuzzer->job->program[0].entry, &masks, mmx_view);
  printf("# %s:%s\n# CPU/emulator:%s\n", fuzzer->emulated.name, after.at, fails ? difference : " the same");
  fflush(stdout);
}

bool case_parse(struct fuzzer *fuzzer, const char *text, struct fuzz_case *c) {
  memset(c, 0, sizeof *c);
  int length = case_read_bytes(&text, c->program.code, CODE_LIMIT - NOP_COUNT);
  if (length <= 0 || (*text && *text != ' '))
    return false;
  c->program.length = (uint8_t)length;
  memset(c->program.code + length, NOP, NOP_COUNT);
  c->program.random_bytes = c->replayed = true;
  const char *arrow = strstr(text, "=>");
  struct case_masks undefined;
  if (!case_read(text, arrow ? (size_t)(arrow - text) : strlen(text), &c->state, &undefined))
    return false;
  program_analyse(&fuzzer->definitions, &c->program, &c->masks);
  return true;
}
