/* Stubs that are one indirect jump, as between libraries: each leads to one place for long, and then to another. Some of
 * these read the carry that the caller has set, first without a handler that is shown flags, then with one.
 * guest-test: link=static
 * guest-test: flags=-fno-pie -no-pie */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

enum { ROUNDS = 30000 };

uint32_t stub_target, stub_table[2];
uint32_t through_constant(uint32_t value, uint32_t carry), through_register(uint32_t value, uint32_t carry),
    through_table(uint32_t value, uint32_t carry);
extern char adds_one[], adds_carry[], doubles[];
__asm__(".pushsection .text\n"
        /* eax = value, with carry set if edx is not 0 */
        ".macro CALL_STUB name\n"
        "\\name:\n"
        "  push %ebx\n"
        "  mov 8(%esp),%eax\n"
        "  mov $stub_table-4,%ebx\n"
        "  mov stub_choice,%ecx\n"
        "  mov 12(%esp),%edx\n"
        "  neg %edx\n"
        "  call \\name\\()_stub\n"
        "  pop %ebx\n"
        "  ret\n"
        ".globl \\name\n"
        ".endm\n"
        "CALL_STUB through_constant\n"
        "CALL_STUB through_register\n"
        "CALL_STUB through_table\n"
        "through_constant_stub: jmp *stub_target\n"
        "through_register_stub: nop\n  jmp *4(%ebx)\n"
        "through_table_stub: jmp *stub_table(,%ecx,4)\n"
        ".globl adds_one,adds_carry,doubles\n"
        "adds_one: inc %eax\n  ret\n"
        "adds_carry: adc $0,%eax\n  ret\n"
        "doubles: add %eax,%eax\n  ret\n"
        ".popsection\n");
uint32_t stub_choice;

static void run(const char *name) {
  char *const targets[] = {adds_one, adds_carry, doubles, adds_carry, adds_one};
  uint32_t constant = 1, in_register = 1, in_table = 1;
  for (unsigned phase = 0; phase < sizeof targets / sizeof targets[0]; phase++) {
    stub_target = stub_table[0] = (uint32_t)targets[phase];
    stub_table[1] = (uint32_t)adds_one;
    for (uint32_t i = 0; i < ROUNDS; i++) {
      stub_choice = i % 7 == 6;
      constant = through_constant(constant, i % 3 == 0) * 3 + i;
      in_register = through_register(in_register, i % 3 == 1) * 5 + i;
      in_table = through_table(in_table, i % 3 == 2) * 7 + i;
    }
    printf("%s, phase %u: %08x %08x %08x\n", name, phase, (unsigned)constant, (unsigned)in_register, (unsigned)in_table);
  }
}

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  (void)context;
}

int main(void) {
  run("without a handler");
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  run("with a handler");
  return 0;
}
