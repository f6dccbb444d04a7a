/* Hot loops with branches and jumps ahead over code of all lengths, with loops and calls in it that are
 * aligned: which of them are short in translated code, and which loops lie in which lines of the CPU's cache,
 * changes from one to the next.
 *
 * guest-test: tiers=stencil
 * guest-test: link=static
 * guest-test: flags=-Wl,-z,execstack
 * guest-test: levels=O2 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { LENGTHS = 150, WAYS = 8, ROOM = 256, TURNS = 3000, RUNS = 6 };
/* A bit of the way each. */
enum { BY_JUMP = 1, OVER_LOOP = 2, OVER_CALL = 4 };

static unsigned char *at, *callee;

static void bytes(const char *code, unsigned count) {
  memcpy(at, code, count);
  at += count;
}
#define BYTES(code) bytes(code, sizeof(code) - 1)

/* Behind an opcode: 32 bits of displacement, to be set. */
static unsigned char *displacement(void) {
  at += 4;
  return at;
}

static void lead(unsigned char *end, const unsigned char *target) {
  const int32_t distance = (int32_t)(target - end);
  memcpy(end - 4, &distance, 4);
}

/* uint32_t f(uint32_t turns): each odd turn adds `length` and what the way adds. */
static void put(unsigned length, unsigned way) {
  unsigned char *skip, *over, *head;
  BYTES("\x8b\x44\x24\x04\x31\xd2"); /* mov 4(%esp),%eax; xor %edx,%edx */
  head = at;
  BYTES("\xa8\x01"); /* test $1,%al */
  if (way & BY_JUMP) {
    BYTES("\x0f\x85"); /* jne over */
    over = displacement();
    BYTES("\xe9"); /* jmp skip */
    skip = displacement();
    lead(over, at);
  } else {
    BYTES("\x0f\x84"); /* je skip */
    skip = displacement();
  }
  for (unsigned i = 0; i < length / 2; i++)
    BYTES("\x42"); /* inc %edx */
  if (way & OVER_LOOP)
    BYTES("\xb9\x03\x00\x00\x00\x01\xc2\x49\x75\xfb"); /* mov $3,%ecx; 1: add %eax,%edx; dec %ecx; jne 1b */
  if (way & OVER_CALL) {
    BYTES("\xe8");
    lead(displacement(), callee);
  }
  for (unsigned i = length / 2; i < length; i++)
    BYTES("\x42");
  lead(skip, at);
  BYTES("\x48\x0f\x85"); /* dec %eax; jne head */
  lead(displacement(), head);
  BYTES("\x89\xd0\xc3"); /* mov %edx,%eax; ret */
}

static uint32_t expected(unsigned length, unsigned way) {
  uint32_t sum = 0;
  for (uint32_t turn = 1; turn <= TURNS; turn += 2)
    sum += length + (way & OVER_LOOP ? 3 * turn : 0) + (way & OVER_CALL ? 7 : 0);
  return sum;
}

int main(void) {
  unsigned char *code = mmap(NULL, (LENGTHS * WAYS + 1) * ROOM, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  callee = at = code;
  BYTES("\x83\xc2\x07\xc3"); /* add $7,%edx; ret */
  for (unsigned i = 0; i < LENGTHS * WAYS; i++) {
    at = code + (i + 1) * ROOM;
    put(i / WAYS, i % WAYS);
  }
  mprotect(code, (LENGTHS * WAYS + 1) * ROOM, PROT_READ | PROT_EXEC);
  for (unsigned way = 0; way < WAYS; way++) {
    unsigned wrong = 0;
    for (unsigned length = 0; length < LENGTHS; length++)
      for (unsigned run = 0; run < RUNS; run++) {
        const unsigned char *function = code + (length * WAYS + way + 1) * ROOM;
        wrong += ((uint32_t(*)(uint32_t))function)(TURNS) != expected(length, way);
      }
    printf("way %u: wrong %u\n", way, wrong);
  }
  return 0;
}
