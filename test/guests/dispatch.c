/* Indirect control flow: switch tables, computed goto, tables of functions, virtual calls that change
 * their target all the time. */
#include <stdint.h>
#include <stdio.h>

enum { PUSH, ADD, MUL, DUP, SWAP, DEC, JNZ, DROP, HALT };
static const int program[] = {PUSH, 1, PUSH, 2000, SWAP, PUSH, 3, MUL, PUSH, 7, ADD, SWAP, DEC, DUP, JNZ, 4, DROP, HALT};

static unsigned by_switch(const int *code) {
  unsigned stack[16], *top = stack;
  for (int at = 0;;)
    switch (code[at++]) {
    case PUSH: *top++ = (unsigned)code[at++]; break;
    case ADD: top--, top[-1] += *top; break;
    case MUL: top--, top[-1] *= *top; break;
    case DUP: *top = top[-1], top++; break;
    case SWAP: { unsigned t = top[-1]; top[-1] = top[-2], top[-2] = t; break; }
    case DEC: top[-1]--; break;
    case JNZ: at = *--top ? code[at] : at + 1; break;
    case DROP: top--; break;
    case HALT: return top[-1];
    }
}

static unsigned by_goto(const int *code) {
  static const void *const label[] = {&&push, &&add, &&mul, &&dup, &&swap, &&dec, &&jnz, &&drop, &&halt};
  unsigned stack[16], *top = stack, t;
#define NEXT goto *label[*code++]
  const int *start = code;
  NEXT;
push: *top++ = (unsigned)*code++; NEXT;
add: top--, top[-1] += *top; NEXT;
mul: top--, top[-1] *= *top; NEXT;
dup: *top = top[-1], top++; NEXT;
swap: t = top[-1], top[-1] = top[-2], top[-2] = t; NEXT;
dec: top[-1]--; NEXT;
jnz: code = *--top ? start + *code : code + 1; NEXT;
drop: top--; NEXT;
halt: return top[-1];
}

#define OPERATION(n) static unsigned op##n(unsigned a) { return a * (2 * n + 3) + n; }
OPERATION(0) OPERATION(1) OPERATION(2) OPERATION(3) OPERATION(4) OPERATION(5) OPERATION(6) OPERATION(7)
static unsigned (*const operations[])(unsigned) = {op0, op1, op2, op3, op4, op5, op6, op7};

struct shape {
  const struct methods { int (*area)(const struct shape *); int (*sides)(const struct shape *); } *methods;
  int a, b;
};
static int square_area(const struct shape *s) { return s->a * s->a; }
static int oblong_area(const struct shape *s) { return s->a * s->b; }
static int triangle_area(const struct shape *s) { return s->a * s->b / 2; }
static int four(const struct shape *s) { return 4; }
static int three(const struct shape *s) { return 3 + (s->a == s->b); }
static const struct methods kinds[] = {{square_area, four}, {oblong_area, four}, {triangle_area, three}};

static int sparse(unsigned n) {
  switch (n) {
  case 0 ... 9: return 1;
  case 100: return 2;
  case 1000: return 3;
  case 0x80000000: return 4;
  case 0xffffffff: return 5;
  default: return n % 3 ? 6 : 7;
  }
}
static const char *dense(int n) {
  switch (n) {
  case -3: return "a"; case -2: return "b"; case -1: return "c"; case 0: return "d"; case 1: return "e";
  case 2: return "f"; case 3: return "g"; case 4: return "h"; case 5: return "i"; default: return "-";
  }
}

int main(void) {
  printf("%u %u\n", by_switch(program), by_goto(program));
  uint32_t state = 1, sum = 0;
  for (int i = 0; i < 200000; i++) {
    state = state * 1664525 + 1013904223;
    sum = operations[state >> 29](sum);
  }
  printf("%u\n", sum);
  struct shape shapes[30];
  for (int i = 0; i < 30; i++)
    shapes[i] = (struct shape){&kinds[i * 7 % 3], i, i % 5};
  for (int i = 0; i < 100000; i++) {
    const struct shape *s = &shapes[(i * 13) % 30];
    sum += (unsigned)(s->methods->area(s) * s->methods->sides(s));
  }
  printf("%u\n", sum);
  static const unsigned points[] = {0, 9, 10, 99, 100, 1000, 1001, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff};
  for (int i = 0; i < 12; i++)
    printf("%d", sparse(points[i]));
  for (int i = -6; i < 9; i++)
    printf("%s", dense(i));
  puts("");
  return 0;
}
