/* A byte-code interpreter's loop: a switch through a jump table, memory operands. */
#include "../kernel.h"

enum { LOOPS = 12000000 };
enum op { PUSH, LOAD, STORE, ADD, SUB, MUL, XOR, SHIFT, LESS, JUMP_IF, DUP, DROP, END };

static const uint8_t program[] = {
    PUSH, 0, STORE, 0,                                  /* i = 0 */
    PUSH, 1, STORE, 1,                                  /* x = 1 */
    LOAD, 1, PUSH, 3, MUL, LOAD, 0, ADD, STORE, 1,      /* x = x * 3 + i */
    LOAD, 1, DUP, SHIFT, XOR, STORE, 1,                 /* x ^= x >> 5 */
    LOAD, 0, PUSH, 1, ADD, STORE, 0,                    /* i = i + 1 */
    LOAD, 0, LOAD, 2, LESS, JUMP_IF, 8, LOAD, 1, END,   /* while (i < limit) */
};

static uint32_t run(uint32_t limit) {
  uint32_t stack[16], variable[4] = {0, 0, limit, 0}, *sp = stack;
  for (const uint8_t *pc = program;;)
    switch ((enum op)*pc++) {
    case PUSH: *sp++ = *pc++; break;
    case LOAD: *sp++ = variable[*pc++]; break;
    case STORE: variable[*pc++] = *--sp; break;
    case ADD: sp--; sp[-1] += *sp; break;
    case SUB: sp--; sp[-1] -= *sp; break;
    case MUL: sp--; sp[-1] *= *sp; break;
    case XOR: sp--; sp[-1] ^= *sp; break;
    case SHIFT: sp[-1] >>= 5; break;
    case LESS: sp--; sp[-1] = sp[-1] < *sp; break;
    case JUMP_IF: pc = *--sp ? program + *pc : pc + 1; break;
    case DUP: *sp = sp[-1]; sp++; break;
    case DROP: sp--; break;
    case END: return sp[-1];
    }
}

int main(void) { return kernel_end(run(LOOPS)); }
