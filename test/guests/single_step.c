/* Single steps and alignment checks, as a SIGTRAP or SIGBUS handler sees them: after which instructions the
 * trap comes, and all that the frame says. The flags that an instruction leaves undefined are not used.
 * guest-test: link=static
 * guest-test: flags=-D_GNU_SOURCE -msse2 -fno-pie -no-pie
 * guest-test: levels=O2 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ucontext.h>
#include <unistd.h>

enum { TF = 0x100, LIMIT = 200 };

static struct {
  unsigned eip, eflags, ecx, esi, edi, esp;
  int signal, code, trap, error, has_address;
} seen[LIMIT];
static volatile int count, stop_after;
static unsigned char data[64] __attribute__((aligned(16)));

static void handler(int signal, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (count < LIMIT) {
    seen[count].signal = signal;
    seen[count].code = info->si_code;
    seen[count].trap = r[REG_TRAPNO];
    seen[count].error = r[REG_ERR];
    seen[count].eip = (unsigned)r[REG_EIP];
    seen[count].eflags = (unsigned)r[REG_EFL];
    seen[count].ecx = (unsigned)r[REG_ECX];
    seen[count].esi = (unsigned)r[REG_ESI];
    seen[count].edi = (unsigned)r[REG_EDI];
    seen[count].esp = (unsigned)r[REG_ESP];
    seen[count].has_address = (unsigned)(unsigned long)info->si_addr == (unsigned)r[REG_EIP];
    count++;
  }
  if (signal == SIGBUS)
    r[REG_EFL] &= ~0x40000;
  if (count == stop_after)
    r[REG_EFL] &= ~TF;
  if (signal == SIGSEGV || signal == SIGILL || signal == SIGFPE)
    r[REG_EIP] += 2; /* the tests' faulting instructions have two bytes */
}

static void report(const char *name, const void *start) {
  if (strcmp(name, "cpuid") == 0)
    seen[1].ecx = 0; /* the CPU's maker */
  printf("%s:\n", name);
  for (int i = 0; i < count; i++)
    printf("  +%02x signal %d code %d trap %d error %d flags %05x %s ecx %x\n",
           seen[i].eip - (unsigned)(unsigned long)start, seen[i].signal, seen[i].code, seen[i].trap, seen[i].error,
           seen[i].eflags, seen[i].has_address ? "here" : "-", seen[i].ecx);
  count = 0;
  fflush(stdout);
}

#define SET_TF "pushfl; orl $0x100,(%%esp); popfl\n"
#define CLEAR_TF "pushfl; andl $~0x100,(%%esp); popfl\n"
/* The code between the labels runs with TF set; registers are the asm's own. */
#define STEP(name, body)                                                                                     \
  static __attribute__((noinline)) void step_##name(void) {                                                                            \
    extern const char start_##name[];                                                                        \
    __asm__ volatile("xorl %%ecx, %%ecx; movl %0, %%esi; movl %0, %%edi\n"                                   \
                     "cmpl $1, %%ecx\n" SET_TF "start_" #name ": " body "\n" CLEAR_TF "nop"                \
                     :                                                                                       \
                     : "i"(data)                                                                             \
                     : "eax", "ecx", "edx", "ebx", "esi", "edi", "memory", "cc");                            \
    report(#name, start_##name);                                                                             \
  }

STEP(plain, "nop; incl %%ecx; movl $5, %%edx; addl %%edx, %%ecx")
STEP(fused, "cmpl %%ecx, %%ecx; je 1f; nop; 1: setz %%al")
STEP(loop, "movl $3, %%ecx; 1: decl %%ecx; jnz 1b")
STEP(calls, "call 1f; jmp 2f; 1: ret; 2: nop")
STEP(thunk, "call 1f; 1: popl %%eax")
STEP(indirect, "movl $1f, %%eax; jmp *%%eax; nop; 1: nop")
STEP(rep_movs, "movl $3, %%ecx; cld; rep movsb; nop")
STEP(rep_zero, "xorl %%ecx, %%ecx; rep movsb; nop")
STEP(repe_cmps, "movl $3, %%ecx; repe cmpsb; nop")
STEP(repne_scas, "movl $4, %%ecx; xorl %%eax, %%eax; repne scasl; nop")
STEP(rep_stos16, "movw $2, %%cx; addr16 rep stosb; nop")
STEP(mov_ss, "movl %%ss, %%eax; movl %%eax, %%ss; nop; nop")
STEP(pop_ss, "pushl %%ss; popl %%ss; nop; nop")
STEP(lss, "pushl %%ss; pushl $0; lss (%%esp), %%eax; nop; leal 8(%%esp), %%esp")
STEP(mov_ds, "movl %%ds, %%eax; movl %%eax, %%ds; nop")
STEP(syscall, "movl $20, %%eax; int $0x80; nop; nop")
STEP(unknown_syscall, "movl $-1, %%eax; int $0x80; nop; nop")
STEP(pushf, "pushfl; popl %%eax; nop")
STEP(popf, "pushfl; popfl; nop")
STEP(popf16, "pushfw; popfw; nop")
STEP(int3, "int3; nop")
STEP(into, "xorl %%eax, %%eax; into; nop")
STEP(undefined, "ud2; nop; nop")
STEP(divide, "xorl %%ecx, %%ecx; divl %%ecx; nop")
STEP(fault, "movl %%eax, (%%ecx); nop")
STEP(cpuid, "xorl %%eax, %%eax; cpuid; xorl %%ecx, %%ecx; nop")
STEP(x87, "fldz; fstp %%st(0); fwait; nop")
STEP(sse, "xorps %%xmm0, %%xmm0; movups %%xmm0, (%%esi)")
STEP(locked, "lock incl (%%esi); xchgl %%eax, (%%esi); lock cmpxchg %%eax, (%%esi)")
STEP(iret, "pushfl; pushl %%cs; pushl $1f; iret; nop; 1: nop")
STEP(far_return, "pushl %%cs; pushl $1f; lret; nop; 1: nop")
STEP(enter, "enter $8, $0; leave; pusha; popa; nop")

/* sigreturn sets TF: the handler of SIGUSR1 does it, the one of SIGTRAP clears it after three traps. */
static void set_tf(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TF;
}

static void by_sigreturn(void) {
  extern const char start_sigreturn[];
  stop_after = 3;
  __asm__ volatile("movl $37, %%eax; testl %%eax, %%eax; int $0x80\nstart_sigreturn: nop; nop; nop; nop; nop; xorl %%ecx, %%ecx"
                   :
                   : "b"(getpid()), "c"(SIGUSR1)
                   : "memory");
  for (int i = 0; i < count; i++)
    seen[i].ecx = 0;
  report("sigreturn", start_sigreturn);
  stop_after = 0;
}

/* --- Alignment ------------------------------------------------------------------------------------------------ */

#define SET_AC "pushfl; orl $0x40000,(%%esp); popfl\n"
#define CLEAR_AC "pushfl; andl $~0x40000,(%%esp); popfl\n"
#define ALIGN(name, body)                                                                                    \
  static __attribute__((noinline)) void align_##name(void) {                                                                           \
    extern const char aligned_##name[];                                                                        \
    __asm__ volatile("xorl %%ecx, %%ecx; movl %0, %%esi; movl %0, %%edi\n"                                   \
                     "movl %%esp, %%ebx; cmpl $1, %%ecx\n" SET_AC "aligned_" #name ": " body "\n" CLEAR_AC  \
                     "movl %%ebx, %%esp; fninit"                                                              \
                     :                                                                                       \
                     : "i"(data)                                                                             \
                     : "eax", "ecx", "edx", "ebx", "esi", "edi", "memory", "cc", "xmm0", "xmm1");            \
    report(#name, aligned_##name);                                                                             \
  }

ALIGN(aligned, "movl (%%esi), %%eax; movw 2(%%esi), %%ax; movb 1(%%esi), %%al; pushl %%eax; popl %%eax; nop")
ALIGN(load4, "movl 2(%%esi), %%eax; nop")
ALIGN(load2, "movw 1(%%esi), %%ax; nop")
ALIGN(store4, "movl %%eax, 1(%%esi)")
ALIGN(add_memory, "addl %%ecx, 3(%%esi)")
ALIGN(push, "leal -2(%%esp), %%esp; pushl %%eax")
ALIGN(pop, "leal -2(%%esp), %%esp; popl %%eax")
ALIGN(call, "leal -2(%%esp), %%esp; call 1f; 1: leal 4(%%esp), %%esp")
ALIGN(pushf, "leal -2(%%esp), %%esp; pushfl")
ALIGN(pusha, "leal -2(%%esp), %%esp; pushal")
ALIGN(popa, "movl %%ebx, 48(%%esi); movl %%ebp, 52(%%esi); leal -2(%%esp), %%esp; popal; movl %c0+48, %%ebx; movl %c0+52, %%ebp")
ALIGN(popa_aligned, "pushal; popal; leal -4(%%esp), %%esp; pushal; popal")
ALIGN(enter, "leal -2(%%esp), %%esp; enter $0, $0; leave")
ALIGN(movs, "incl %%esi; movl $2, %%ecx; rep movsl")
ALIGN(stos, "addl $2, %%edi; stosl")
ALIGN(bt, "movl $37, %%ecx; btl %%ecx, 1(%%esi)")
ALIGN(fld8, "fldl 4(%%esi)")
ALIGN(fld4, "flds 2(%%esi)")
ALIGN(fld10, "fldt 4(%%esi)")
ALIGN(fld10_aligned, "fldt 8(%%esi)")
ALIGN(fild2, "filds 1(%%esi)")
ALIGN(fldcw, "fnstcw 1(%%esi)")
ALIGN(fstenv, "fnstenv 2(%%esi)")
ALIGN(movq, "movq 4(%%esi), %%xmm0")
ALIGN(movss, "movss 2(%%esi), %%xmm0")
ALIGN(movups, "movups 4(%%esi), %%xmm0; movups 8(%%esi), %%xmm0; movups 1(%%esi), %%xmm0")
ALIGN(movdqu, "movdqu %%xmm0, 4(%%esi)")
ALIGN(cmpxchg8b, "cmpxchg8b 4(%%esi)")
ALIGN(locked, "lock incl 2(%%esi)")
ALIGN(xchg, "xchgl %%eax, 2(%%esi)")
ALIGN(selector, "movw %%ds, 4(%%esi); movw %%ds, 6(%%esi); movw %%ds, 1(%%esi)")
ALIGN(syscall, "movl $20, %%eax; int $0x80; movl 1(%%esi), %%eax")

int main(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGTRAP, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGFPE, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  action.sa_sigaction = set_tf;
  sigaction(SIGUSR1, &action, NULL);
  step_plain(), step_fused(), step_loop(), step_calls(), step_thunk(), step_indirect();
  step_rep_movs(), step_rep_zero(), step_repe_cmps(), step_repne_scas(), step_rep_stos16();
  step_mov_ss(), step_pop_ss(), step_lss(), step_mov_ds(), step_syscall(), step_unknown_syscall();
  step_pushf(), step_popf(), step_popf16(), step_int3(), step_into();
  step_undefined(), step_divide(), step_fault(), step_cpuid(), step_x87(), step_sse(), step_locked();
  step_iret(), step_far_return(), step_enter();
  by_sigreturn();
  align_aligned(), align_load4(), align_load2(), align_store4(), align_add_memory(), align_push(), align_pop();
  align_call(), align_pushf(), align_pusha(), align_popa(), align_popa_aligned(), align_enter(), align_movs();
  align_stos(), align_bt(), align_fld8(), align_fld4(), align_fld10(), align_fld10_aligned(), align_fild2();
  align_fldcw(), align_fstenv(), align_movq(), align_movss(), align_movups(), align_movdqu(), align_cmpxchg8b();
  align_locked(), align_xchg(), align_selector(), align_syscall();
  return 0;
}
