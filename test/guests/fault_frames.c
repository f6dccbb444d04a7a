/* What the frame of each kind of fault says, to handlers of both kinds: number, error code, cr2, eip, flags,
 * and si_code and si_addr where there are any. Flags that the instruction before leaves undefined are not used.
 * Arithmetic flags are exact only for handlers that are given siginfo (docs/flags.md). int1 is left out: under some
 * hypervisors it traps before itself.
 * guest-test: link=static
 * guest-test: flags=-D_GNU_SOURCE -msse2 -fno-pie -no-pie
 * guest-test: levels=O2 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { page = 4096 };
static unsigned char *const code = (unsigned char *)0x20000000;  /* two pages of code, a page of data, nothing */
static unsigned char *const data = (unsigned char *)0x30000000;  /* two pages, and nothing */
static unsigned char *const split = (unsigned char *)0x40000000; /* a page, and one that is read-only */
static char alternate[65536];

struct old_context { /* struct sigcontext of the i386 ABI */
  uint32_t gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, trapno, err, eip, cs, eflags, esp_at_signal, ss, fpstate;
  uint32_t oldmask, cr2;
};

extern char after_fault[];
static uint32_t saved_esp __attribute__((used));
static const void *start;

static void show(int number, const siginfo_t *info, struct old_context *c) {
  const uint32_t offset = c->eip - (uint32_t)start, moved = offset < 64 ? offset : c->eip;
  printf("  signal %d trap %u error %x eip %x flags %05x ecx %x esp %s", number, c->trapno, c->err, moved, c->eflags & (info ? ~0x200u : 0x10100), c->ecx, c->esp == saved_esp ? "same" : "moved");
  if (number == SIGSEGV && c->trapno == 14)
    printf(" cr2 %x", c->cr2);
  if (info)
    printf(" code %d address %x", info->si_code,
           info->si_addr == (void *)c->eip ? moved : (uint32_t)info->si_addr);
  printf("\n");
  c->eip = (uint32_t)after_fault;
  c->esp = saved_esp;
  c->eflags &= ~0x40500u;
}

static void with_info(int number, siginfo_t *info, void *context) {
  show(number, info, (struct old_context *)&((ucontext_t *)context)->uc_mcontext);
}
/* The context lies behind the argument; the compiler must not know that nobody reads it after the return. */
static void without_info(int number) {
  struct old_context *context = (struct old_context *)(&number + 1);
  __asm__ volatile("" : "+r"(context) : : "memory");
  show(number, NULL, context);
  __asm__ volatile("" : : "r"(context) : "memory");
}

__asm__(".text\n.globl run_at,after_fault\n"
        "run_at:\n" /* (address, flags) */
        "  pusha\n"
        "  mov %esp,saved_esp\n"
        "  mov 36(%esp),%eax\n"
        "  mov $0x30000000,%esi\n  mov $0x30000ff8,%edi\n  mov $0x40000ffc,%ebx\n  mov $5,%ecx\n  mov $0x11223344,%edx\n"
        "  pushl 40(%esp)\n"
        "  popf\n"
        "  jmp *%eax\n"
        "after_fault:\n"
        "  cld\n  fninit\n"
        "  mov saved_esp,%esp\n"
        "  push $0x1f80\n  ldmxcsr (%esp)\n  pop %eax\n"
        "  popa\n"
        "  ret\n");
void run_at(const void *address, uint32_t flags);

static void run(const char *name, const void *address) {
  start = address;
  printf("%s\n", name);
  run_at(address, 0x202);
  run_at(address, 0x202 | 0x8d5);
}

#define CASES(X)                                                                                             \
  X(divide, "xor %ecx,%ecx; cmp %edx,%ecx; div %ecx")                                                        \
  X(divide_byte, "cmp %ecx,%edx; mov $0x7fff,%ax; div %cl; nop")                                             \
  X(aam, "cmp %ecx,%edx; .byte 0xd4,0")                                                                      \
  X(undefined, "cmp %ecx,%edx; ud2")                                                                         \
  X(undefined_one, "cmp %ecx,%edx; .byte 0x0f,0xb9,0xc0")                                                    \
  X(undefined_map, "cmp %ecx,%edx; .byte 0x0f,0x04")                                                         \
  X(undefined_les, "cmp %ecx,%edx; .byte 0x0f,0xb2,0xc1")                                                    \
  X(undefined_lea, "cmp %ecx,%edx; .byte 0x8d,0xc1")                                                         \
  X(to_cs, "cmp %ecx,%edx; .byte 0x8e,0xc9")                                                                 \
  X(lock_register, "cmp %ecx,%edx; .byte 0xf0,0x01,0xc8")                                                    \
  X(lock_load, "cmp %ecx,%edx; .byte 0xf0,0x8b,0x06")                                                        \
  X(lock_compare, "cmp %ecx,%edx; .byte 0xf0,0x39,0x06")                                                     \
  X(lock_nop, "cmp %ecx,%edx; .byte 0xf0,0x90")                                                              \
  X(lock_movs, "cmp %ecx,%edx; .byte 0xf0,0xa4")                                                             \
  X(long_instruction, "cmp %ecx,%edx; .fill 15,1,0x26; nop")                                                 \
  X(long_branch, "cmp %ecx,%edx; .fill 14,1,0x2e; .byte 0x0f,0x84,0,0,0,0")                                  \
  X(fifteen, "cmp %ecx,%edx; .fill 14,1,0x26; nop; ud2")                                                     \
  X(privileged, "cmp %ecx,%edx; hlt")                                                                        \
  X(in, "cmp %ecx,%edx; in $0x80,%al")                                                                       \
  X(outs, "cmp %ecx,%edx; rep outsb")                                                                        \
  X(cli, "cmp %ecx,%edx; cli")                                                                               \
  X(to_cr0, "cmp %ecx,%edx; mov %eax,%cr0")                                                                  \
  X(from_dr7, "cmp %ecx,%edx; mov %dr7,%eax")                                                                \
  X(lgdt, "cmp %ecx,%edx; lgdt (%esi)")                                                                      \
  X(wrmsr, "cmp %ecx,%edx; wrmsr")                                                                           \
  X(int_0, "cmp %ecx,%edx; int $0")                                                                          \
  X(int_13, "cmp %ecx,%edx; int $13")                                                                        \
  X(int_81, "cmp %ecx,%edx; int $0x81")                                                                      \
  X(int_ff, "cmp %ecx,%edx; int $0xff")                                                                      \
  X(int_3_long, "cmp %ecx,%edx; .byte 0xcd,3")                                                               \
  X(int_4, "cmp %ecx,%edx; .byte 0xcd,4")                                                                    \
  X(int_1, "cmp %ecx,%edx; .byte 0xcd,1")                                                                    \
  X(int3, "cmp %ecx,%edx; int3")                                                                             \
  X(into, "mov $0x7fffffff,%eax; inc %eax; into")                                                            \
  X(bound, "movl $7,(%esi); movl $9,4(%esi); cmp %ecx,%edx; bound %ecx,(%esi)")                              \
  X(bound16, "movw $7,(%esi); movw $9,2(%esi); cmp %ecx,%edx; bound %cx,(%esi)")                             \
  X(bound_fault, "cmp %ecx,%edx; bound %ecx,0xffc(%edi)")                                                    \
  X(bound_split, "cmp %ecx,%edx; bound %ecx,0x1004(%edi)")                                                   \
  X(segment_index, "mov $0x73,%eax; cmp %ecx,%edx; mov %eax,%ds")                                            \
  X(segment_far, "mov $0xfff3,%eax; cmp %ecx,%edx; mov %eax,%es")                                            \
  X(segment_ldt, "mov $0x0f,%eax; cmp %ecx,%edx; mov %eax,%fs")                                              \
  X(segment_code, "mov %cs,%eax; cmp %ecx,%edx; mov %eax,%ss")                                               \
  X(segment_ring, "mov $0x2a,%eax; cmp %ecx,%edx; mov %eax,%ss")                                             \
  X(segment_null, "xor %eax,%eax; cmp %ecx,%edx; mov %eax,%ss")                                              \
  X(segment_kernel, "mov $0x18,%eax; cmp %ecx,%edx; mov %eax,%ds")                                           \
  X(segment_pop, "push $0x73; cmp %ecx,%edx; pop %gs")                                                       \
  X(far_jump, "cmp %ecx,%edx; ljmp $0x73,$0x1234")                                                           \
  X(far_jump_data, "cmp %ecx,%edx; ljmp $0x2b,$0x1234")                                                      \
  X(far_call_null, "cmp %ecx,%edx; lcall $0,$0x1234")                                                        \
  X(far_return, "push $0x77; push $0x1234; cmp %ecx,%edx; lret")                                             \
  X(iret_bad, "push $0x202; push $0x1b; push $0x1234; cmp %ecx,%edx; iret")                                  \
  X(load_split, "cmp %ecx,%edx; mov 0x1006(%edi),%eax")                                                      \
  X(store_split, "cmp %ecx,%edx; mov %edx,0x1006(%edi)")                                                     \
  X(store_read_only, "cmp %ecx,%edx; mov %edx,2(%ebx)")                                                      \
  X(store_read_only_8, "cmp %ecx,%edx; movlps %xmm0,(%ebx)")                                                 \
  X(store_read_only_16, "cmp %ecx,%edx; movups %xmm0,-4(%ebx)")                                              \
  X(store_read_only_10, "fldz; cmp %ecx,%edx; fstpt (%ebx)")                                                 \
  X(add_read_only, "cmp %ecx,%edx; addl $1,2(%ebx)")                                                         \
  X(xadd_read_only, "cmp %ecx,%edx; lock xadd %edx,1(%ebx)")                                                 \
  X(push_read_only, "lea 6(%ebx),%esp; cmp %ecx,%edx; push %edx")                                            \
  X(pusha_read_only, "lea 24(%ebx),%esp; cmp %ecx,%edx; pusha")                                              \
  X(save_read_only, "cmp %ecx,%edx; fnsave -60(%ebx)")                                                       \
  X(environment_read_only, "cmp %ecx,%edx; fnstenv -12(%ebx)")                                               \
  X(fxsave_unaligned, "cmp %ecx,%edx; fxsave 8(%esi)")                                                       \
  X(fxrstor_bad, "fxsave 16(%esi); movl $0x10000,40(%esi); cmp %ecx,%edx; fxrstor 16(%esi)")                 \
  X(ldmxcsr_bad, "movl $0x10000,(%esi); cmp %ecx,%edx; ldmxcsr (%esi)")                                      \
  X(movaps, "cmp %ecx,%edx; movaps 8(%esi),%xmm0")                                                           \
  X(x87_deferred, "fninit; movl $0x37b,(%esi); fldcw (%esi); fld1; fldz; fdivrp; cmp %ecx,%edx; nop; fwait")  \
  X(x87_next, "fninit; movl $0x37b,(%esi); fldcw (%esi); fld1; fldz; fdivrp; cmp %ecx,%edx; fldz")           \
  X(x87_no_wait, "fninit; movl $0x37b,(%esi); fldcw (%esi); fld1; fldz; fdivrp; fnstcw (%esi); fnstsw %ax; cmp %ecx,%edx; fstcw (%esi)") \
  X(x87_invalid, "fninit; movl $0x37e,(%esi); fldcw (%esi); fldz; fldz; fdivp; cmp %ecx,%edx; fwait")        \
  X(x87_stack, "fninit; movl $0x37e,(%esi); fldcw (%esi); fstp %st(0); cmp %ecx,%edx; fwait")                \
  X(x87_denormal, "fninit; movl $0x37d,(%esi); fldcw (%esi); movl $1,(%esi); flds (%esi); fadd %st(0); cmp %ecx,%edx; fwait") \
  X(x87_overflow, "fninit; movl $0x377,(%esi); fldcw (%esi); fld1; fldl2t; fscale; fldl2e; movl $0x7f00,(%esi); fildl (%esi); fld1; fscale; fmul %st(0); cmp %ecx,%edx; fwait") \
  X(x87_underflow, "fninit; movl $0x36f,(%esi); fldcw (%esi); movl $-16000,(%esi); fildl (%esi); fld1; fscale; fmul %st(0); cmp %ecx,%edx; fwait") \
  X(x87_precision, "fninit; movl $0x35f,(%esi); fldcw (%esi); fldpi; fsqrt; cmp %ecx,%edx; fwait")           \
  X(x87_mmx, "fninit; movl $0x37b,(%esi); fldcw (%esi); fld1; fldz; fdivrp; cmp %ecx,%edx; paddb %mm0,%mm1") \
  X(x87_later, "fninit; fld1; fldz; fdivrp; movl $0x37b,(%esi); fldcw (%esi); cmp %ecx,%edx; fld1")          \
  X(sse_divide, "movl $0x1d80,(%esi); ldmxcsr (%esi); xorps %xmm0,%xmm0; cvtsi2ss %ecx,%xmm1; cmp %ecx,%edx; divss %xmm0,%xmm1") \
  X(sse_invalid, "movl $0x1f00,(%esi); ldmxcsr (%esi); xorps %xmm0,%xmm0; cmp %ecx,%edx; divps %xmm0,%xmm0") \
  X(sse_precision, "movl $0x0f80,(%esi); ldmxcsr (%esi); cvtsi2sd %ecx,%xmm0; cmp %ecx,%edx; sqrtsd %xmm0,%xmm0") \
  X(sse_denormal, "movl $0x1e80,(%esi); ldmxcsr (%esi); movl $1,(%esi); movss (%esi),%xmm0; cmp %ecx,%edx; addss %xmm0,%xmm0") \
  X(sse_compare, "movl $0x1f00,(%esi); ldmxcsr (%esi); pcmpeqd %xmm0,%xmm0; cmp %ecx,%edx; comisd %xmm0,%xmm0") \
  X(string_split, "cmp %ecx,%edx; mov $12,%ecx; rep stosb; add $0x1000,%edi; mov $12,%ecx; rep stosb")       \
  X(call_nowhere, "mov $0x50000000,%eax; cmp %ecx,%edx; call *%eax")                                         \
  X(jump_data, "cmp %ecx,%edx; jmp *%esi")                                                                   \
  X(jump_split, "mov $0x20000ffd,%eax; cmp %ecx,%edx; jmp *%eax")                                            \
  X(jump_end, "mov $0x20001000,%eax; cmp %ecx,%edx; jmp *%eax")                                              \
  X(far_pointer_split, "cmp %ecx,%edx; les 0x1004(%edi),%eax")                                               \
  X(cmpxchg16b_lock, "cmp %ecx,%edx; .byte 0xf0,0x0f,0xc7,0xc9")                                             \
  X(bit_far, "mov $0x7fffffff,%eax; cmp %ecx,%edx; bts %eax,(%esi)")                                         \
  X(enter_levels, "lea 20(%ebx),%esp; cmp %ecx,%edx; enter $16,$6")

#define DEFINE(name, text) extern char case_##name[]; __asm__(".text\ncase_" #name ":\n  " text "\n  jmp after_fault\n");
CASES(DEFINE)
#define ROW(name, text) {#name, case_##name},
static const struct {
  const char *name, *code;
} cases[] = {CASES(ROW)};

/* Some CPUs keep it only while an exception is pending. */
static const char *opcode_is(uint32_t opcode, uint32_t expected) {
  return opcode == expected || opcode == 0 ? "its" : "another's";
}

/* What the x87 remembers of its last instruction. Zero: a switch to another process has lost it (fpu_images.c); once
 * more. */
static void pointers(void) {
  static uint32_t environment[7];
  static double number = 1.5;
  extern char last[], last_store[];
  for (int tries = 0; tries < 20 && !environment[3]; tries++)
    __asm__ volatile("fninit; last: fldl %1; fnstenv %0; fstp %%st(0)" : "=m"(environment) : "m"(number));
  printf("fnstenv: eip %s selector %x opcode %s operand %s\n", environment[3] == (uint32_t)last ? "its" : "another's",
         environment[4] & 0xffff, opcode_is(environment[4] >> 16, 0x505), environment[5] == (uint32_t)&number ? "its" : "another's");
  static uint32_t saved[27];
  for (int tries = 0; tries < 20 && !saved[3]; tries++)
    __asm__ volatile("fninit; fld1; last_store: fstpl %1; fnsave %0" : "=m"(saved), "=m"(number));
  printf("fnsave: eip %s opcode %s operand %s\n", saved[3] == (uint32_t)last_store ? "its" : "another's", opcode_is(saved[4] >> 16, 0x51d),
         saved[5] == (uint32_t)&number ? "its" : "another's");
}

static void install(int with) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++) {
    if (with) {
      struct sigaction action = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO | SA_ONSTACK};
      sigaction(signals[i], &action, NULL);
    } else {
      struct sigaction action = {.sa_handler = without_info, .sa_flags = SA_ONSTACK};
      sigaction(signals[i], &action, NULL);
    }
  }
}

static uint32_t sum(const unsigned char *bytes) {
  uint32_t total = 0;
  for (int i = 0; i < page; i++)
    total = total * 31 + bytes[i];
  return total;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  if (mmap(code, page, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) != code ||
      mmap(code + page, page, PROT_READ | PROT_WRITE, flags, -1, 0) != code + page ||
      mmap(data, 2 * page, PROT_READ | PROT_WRITE, flags, -1, 0) != data ||
      mmap(split, page, PROT_READ | PROT_WRITE, flags, -1, 0) != split ||
      mmap(split + page, page, PROT_READ, flags, -1, 0) != split + page)
    return 1;
  (void)*(volatile unsigned char *)(split + page); /* a page that was never touched is not present to the CPU */
  memcpy(code + page - 3, "\xb8\x01\x02", 3); /* mov $, %eax goes on behind the page */
  for (int with = 0; with < 2; with++) {
    install(with);
    printf("%s\n", with ? "with siginfo" : "without siginfo");
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
      memset(split, 0x11, page);
      run(cases[i].name, cases[i].code);
      if (sum(split) != (memset(split, 0x11, page), sum(split)))
        printf("  memory was written\n");
    }
  }
  pointers();
  return 0;
}
