/* Jumps to every instruction of a stretch of code, after others have run it from its start or not: between
 * instructions all state must be in its place, also where comparisons, branches and the stack pointer are
 * translated together. guest-test: link=static */
#include <stdint.h>
#include <stdio.h>

struct state {
  uint32_t eax, ecx, edx, ebx, esi, esp;
};
/* Runs from `target` on with the state, four words with 7 on the stack and the flags of comparing ECX and EDX. */
void run_from(const void *target, struct state *state);
uint32_t outer_esp, inner_esp;
struct state *result;

__asm__(".text\n"
        "run_from:\n"
        "  push %ebp; push %ebx; push %esi; push %edi\n"
        "  mov 20(%esp),%ebp; mov 24(%esp),%edi; mov %edi,result; mov %esp,outer_esp\n"
        "  mov (%edi),%eax; mov 4(%edi),%ecx; mov 8(%edi),%edx; mov 12(%edi),%ebx; mov 16(%edi),%esi\n"
        "  push $7; push $7; push $7; push $7\n"
        "  mov %esp,inner_esp\n"
        "  cmp %edx,%ecx\n"
        "  jmp *%ebp\n"
        "run_end:\n"
        "  mov result,%edi\n"
        "  mov %eax,(%edi); mov %ecx,4(%edi); mov %edx,8(%edi); mov %ebx,12(%edi); mov %esi,16(%edi)\n"
        "  mov inner_esp,%eax; sub %esp,%eax; mov %eax,20(%edi)\n"
        "  mov outer_esp,%esp\n"
        "  pop %edi; pop %esi; pop %ebx; pop %ebp\n"
        "  ret\n");

/* An instruction with an entry in the table `name`. */
#define I(name, text) "77: " text "\n .pushsection .rodata." name ",\"a\"; .long 77b; .popsection\n"
#define CODE(name)                                                                                                 \
  __asm__(".pushsection .rodata." name ",\"a\"; .balign 4; .globl " name "; " name ": .popsection; .text\n" I(    \
      name, "add $3,%eax") I(name, "cmp $10,%eax") I(name, "ja 1f") I(name, "je 2f") I(name, "push %eax")         \
              I(name, "push %ecx") I(name, "lea 1(%ecx),%ecx") I(name, "cmp (%esp),%ecx") I(name, "jb 3f")         \
                  I(name, "setb %bl") I(name, "adc $0,%eax") I(name, "pop %edx") I(name, "pushl 4(%esp)")          \
                      I(name, "pop %esi") I(name, "cmp %edx,%eax") I(name, "jle 3f") I(name, "sbb %ecx,%ecx")      \
                          I(name, "pop %esi") "3:" I(name, "test %eax,%edx") I(name, "jne 4f")                    \
                              I(name, "rcl $1,%ecx") I(name, "jmp run_end") "1:" I(name, "sbb %edx,%edx")          \
                                  I(name, "je 4f") I(name, "sub $8,%esp") I(name, "inc %ecx")                     \
                                      I(name, "add $8,%esp") I(name, "jmp run_end") "2:" I(name, "setbe %bl")      \
                                          I(name, "dec %ecx") I(name, "jmp run_end") "4:" I(name, "adc %ecx,%eax") \
                                              I(name, "setc %dl") I(name, "jmp run_end") ".pushsection .rodata." name  \
          ",\"a\"; .long 0; .popsection\n")
CODE("forward");
CODE("backward");
CODE("mixed");
extern const void *const forward[], *const backward[], *const mixed[];

static uint32_t sum(const void *target, uint32_t seed) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 64; i++) {
    struct state s = {(i & 7) + 4, i >> 3, seed + i % 3, 0x100, 5, 0};
    run_from(target, &s);
    sum = sum * 31 + s.eax + s.ecx * 3 + s.edx * 5 + s.ebx * 7 + s.esi * 11 + s.esp * 13;
  }
  return sum;
}

int main(void) {
  unsigned count = 0, random = 1;
  while (forward[count])
    count++;
  printf("%u instructions\n", count);
  for (unsigned i = 0; i < count; i++)
    printf("forward %u: %08x\n", i, sum(forward[i], 0));
  for (unsigned i = count; i-- > 0;)
    printf("backward %u: %08x\n", i, sum(backward[i], 1));
  uint32_t total = 0;
  for (unsigned i = 0; i < 2000; i++) {
    random = random * 1103515245 + 12345;
    total = total * 33 + sum(mixed[random / 65536 % count], random >> 30);
  }
  printf("mixed: %08x\n", total);
  return 0;
}
