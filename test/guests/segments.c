/* Segments of modify_ldt(2) that are not flat: bases, limits, segments that expand down, read-only ones, 16-bit
 * stacks and code, far transfers between code segments, and what is wrong with them.
 * guest-test: link=static
 * guest-test: flags=-D_GNU_SOURCE -msse2 -fno-pie -no-pie
 * guest-test: levels=O2 */
#include "ldt.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static unsigned char *const memory = (unsigned char *)0x20000000; /* three pages */
static unsigned char alternate[65536];
static uint32_t saved_esp __attribute__((used));
extern char leave_case[];
void run_at(const void *address);

__asm__(".text\n.globl run_at,leave_case\n"
        "run_at:\n"
        "  pusha\n"
        "  mov %esp,saved_esp\n"
        "  mov 36(%esp),%ebp\n  xor %eax,%eax\n"
        "  mov $0x20000000,%esi\n  mov $0x20000100,%edi\n  mov $3,%ecx\n  mov $0x11223344,%edx\n  mov $16,%ebx\n"
        "  jmp *%ebp\n"
        "leave_case: cld; popa; ret\n");

/* Cases end by ud2, in whatever state, or by a fault; the handler shows the registers and puts all right. */
static const void *start;
static void on_signal(int signal, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint32_t offset = (uint32_t)r[REG_EIP] - (uint32_t)start;
  if (signal == SIGILL)
    printf("  done");
  else
    printf("  signal %d code %d trap %d error %x", signal, info->si_code, r[REG_TRAPNO], r[REG_ERR]);
  if (r[REG_TRAPNO] == 14)
    printf(" address %x", (uint32_t)info->si_addr);
  printf(" eip %s%x eax %x ecx %x edx %x ebx %x esi %x edi %x", offset < 256 ? "+" : "", offset < 256 ? offset : (uint32_t)r[REG_EIP],
         r[REG_EAX], r[REG_ECX], r[REG_EDX], r[REG_EBX], r[REG_ESI], r[REG_EDI]);
  if ((uint32_t)r[REG_ESP] < 0x40000000)
    printf(" esp %x", r[REG_ESP]);
  printf(" cs %x ss %x ds %x es %x fs %x\n", r[REG_CS] & 0xffff, r[REG_SS] & 0xffff, r[REG_DS] & 0xffff, r[REG_ES] & 0xffff,
         r[REG_FS] & 0xffff);
  r[REG_EIP] = (greg_t)(uint32_t)leave_case;
  r[REG_ESP] = saved_esp;
  r[REG_CS] = 0x23, r[REG_SS] = 0x2b, r[REG_DS] = 0x2b, r[REG_ES] = 0x2b, r[REG_FS] = 0;
}
static void set(unsigned entry, uint32_t base, uint32_t limit, unsigned contents, int is_32, int read_only, int pages, int absent) {
  if (ldt_set(entry, base, limit, contents, is_32, read_only, pages, absent) < 0)
    perror("modify_ldt");
}

/* Selectors: 7 data at the memory with 256 bytes; 0xf read-only; 0x17 expands down from 255, 32-bit; 0x1f the same, 16-bit;
 * 0x27 16-bit stack; 0x2f absent; 0x37 code at the cases, 32-bit; 0x3f code, 16-bit; 0x47 code that cannot be read;
 * 0x4f a page-granular one; 0x57 wraps around. */
#define LDS(selector) "mov $" #selector ",%eax; mov %eax,%ds; "
#define LES(selector) "mov $" #selector ",%eax; mov %eax,%es; "
#define LFS(selector) "mov $" #selector ",%eax; mov %eax,%fs; "
#define CASES(X)                                                                                             \
  X(base, LDS(7) "mov 4(%ebx),%edx; mov 16,%ecx")                                                            \
  X(store, LDS(7) "mov %edx,32(%ebx); addl $1,32(%ebx); mov %cs:0x20000030,%edx")                            \
  X(limit_last, LDS(7) "mov 252,%edx; movb 255,%cl")                                                         \
  X(limit_over, LDS(7) "mov 253,%edx")                                                                       \
  X(limit_byte, LDS(7) "movb 256,%cl")                                                                       \
  X(limit_negative, LDS(7) "mov -17(%ebx),%edx")                                       \
  X(limit_store, LDS(7) "mov %edx,254")                                                                      \
  X(limit_read_write, LDS(7) "xor %edx,253")                                                                 \
  X(limit_ebp, "mov $7,%eax; mov $300,%ebp; mov %eax,%ds; mov (%ebp),%edx; mov %ds:(%ebp),%edx")             \
  X(limit_x87, LDS(7) "fldl 240; fldl 250")                                                                  \
  X(limit_sse, LDS(7) "movups 240,%xmm0; movups 241,%xmm0")                                                  \
  X(limit_string, LES(7) "mov $250,%edi; mov $10,%ecx; rep stosb")                                           \
  X(limit_source, LDS(7) "mov $248,%esi; mov $10,%ecx; rep movsl")                                           \
  X(string, LDS(7) LES(7) "mov $16,%esi; mov $64,%edi; rep movsl; cmpsb; scasl; lodsb")                      \
  X(override, LES(7) "mov %es:16,%edx; mov %es:300,%ecx")                                                    \
  X(override_fs, LFS(7) "mov %fs:16,%edx; mov %fs:252,%ecx; mov %fs:256,%ecx")                               \
  X(override_cs, LDS(7) "mov %cs:(%esi),%edx; mov %cs:0x20000010,%ecx; mov %ecx,%cs:0x20000010")             \
  X(read_only, LDS(0xf) "mov 16,%edx; mov %edx,16")                                                          \
  X(read_only_modify, LDS(0xf) "incl 16")                                                                    \
  X(read_only_stack, "mov $0xf,%eax; mov %eax,%ss")                                                          \
  X(down, LDS(0x17) "mov 256,%edx; mov 0x1000,%ecx; movb 255,%dl")                                           \
  X(down_edge, LDS(0x17) "mov 252,%edx")                                                                     \
  X(down_16, LDS(0x1f) "mov 256,%edx; mov 0xfffc-0xe000,%ecx; mov 0x10000,%edx")                             \
  X(down_16_edge, LDS(0x1f) "mov 0xfffd,%edx")                                                               \
  X(absent, LDS(0x2f) "nop")                                                                                 \
  X(absent_stack, "mov $0x2f,%eax; mov %eax,%ss")                                                            \
  X(null, "xor %eax,%eax; mov %eax,%ds; mov (%esi),%edx")                                                    \
  X(null_es, "xor %eax,%eax; mov %eax,%es; stosb")                                                           \
  X(pages, LDS(0x4f) "mov 0x1ffc,%edx; mov 0x2000,%edx")                                                     \
  X(wraps, LDS(0x57) "mov 0x20000010,%edx; mov 0x20000020,%ecx; mov 0x10,%edx")                        \
  X(stack_16, "mov $0x27,%eax; mov %eax,%ss; mov $0xabcd0080,%esp; push %edx; pushw $7; pop %ecx; mov %esp,%ebx; call 1f; 1: pop %eax; push %ebx; xor %eax,%eax") \
  X(stack_16_frame, "mov $0x27,%eax; mov %eax,%ss; mov $0xabcd0080,%esp; mov $0x1234,%ebp; enter $8,$0; mov %ebp,%ebx; leave; mov %ebp,%ecx; pusha; popa; pushf; popf") \
  X(stack_16_wrap, "mov $0x27,%eax; mov %eax,%ss; mov $0x12340002,%esp; pushw %dx; push %edx")               \
  X(stack_limit, "mov $7,%eax; mov %eax,%ss; mov $258,%esp; pop %eax")                                       \
  X(stack_limit_push, "mov $7,%eax; mov %eax,%ss; mov $2,%esp; push %eax")                                   \
  X(stack_limit_call, "mov $7,%eax; mov %eax,%ss; mov $260,%esp; call 1f; 1: nop")                           \
  X(stack_limit_ebp, "mov $7,%eax; mov %eax,%ss; mov $300,%ebp; mov $128,%esp; mov (%ebp),%eax")             \
  X(stack_base, "mov $7,%eax; mov %eax,%ss; mov $128,%esp; push %edx; mov (%esp),%ecx; mov %cs:0x2000007c,%ebx; ret $2") \
  X(far_call, "lcall $0x37,$1f-cases_start; mov %esp,%ebx; sub %cs:saved_esp,%ebx; ud2; 1: mov %cs,%edx; lret")         \
  X(far_jump, "ljmp $0x37,$1f-cases_start; 1: mov %cs,%edx; call 2f; 2: pop %ecx")    \
  X(far_jump_memory, "movl $1f-cases_start,(%esi); movw $0x37,4(%esi); ljmp *(%esi); ud2; 1: mov %cs,%edx; mov $5,%ecx") \
  X(far_jump_limit, "ljmp $0x37,$0xfffff")                                                                   \
  X(far_jump_absent, "ljmp $0x5f,$0")                                                                        \
  X(far_jump_data, "ljmp $7,$0")                                                                             \
  X(far_call_empty, "lcall $0x67,$0")                                                                        \
  X(code_write, "ljmp $0x37,$1f-cases_start; 1: mov %edx,%cs:0")                                             \
  X(code_unreadable, "ljmp $0x47,$1f-cases_start; 1: mov $1,%ecx; mov %cs:0,%edx")                           \
  X(code_end, "ljmp $0x6f,$1f-cases_start; .skip 1; 1: nop; nop; nop")                                       \
  X(code_16, "ljmp $0x3f,$1f-cases_start; .code16; 1: mov $0x1234,%ax; mov %ax,%cx; add $1,%ecx; mov $0x10,%bx; call 2f; jmp 3f; 2: inc %dx; ret; 3: push %bx; pop %si; ljmpl $0x23,$4f; .code32; 4: nop") \
  X(code_16_memory, LDS(7) "ljmp $0x3f,$1f-cases_start; .code16; 1: mov $16,%bx; mov $4,%si; mov %ds:(%bx,%si),%eax; movw $0x5555,8(%bx); mov 8(%bx),%cx; addr32 mov (%ebx),%edx; lodsw; xlat; ljmpl $0x23,$2f; .code32; 2: nop") \
  X(code_16_loop, "ljmp $0x3f,$1f-cases_start; .code16; 1: mov $5,%cx; xor %ax,%ax; 2: add %cx,%ax; loop 2b; jcxz 3f; ud2; 3: cmp $15,%ax; je 4f; ud2; 4: ljmpl $0x23,$5f; .code32; 5: nop") \
  X(code_16_fault, LDS(7) "ljmp $0x3f,$1f-cases_start; .code16; 1: mov $255,%bx; mov (%bx),%ax; .code32")    \
  X(code_16_far, "ljmp $0x3f,$1f-cases_start; .code16; 1: lcall $0x3f,$2f-cases_start; ljmpl $0x23,$3f; 2: mov $9,%dx; lret; .code32; 3: nop") \
  X(interrupt_return, "pushf; push $0x37; push $1f-cases_start; iret; ud2; 1: mov %cs,%edx")                 \
  X(return_to_16, "push $0x3f; push $1f-cases_start; lret; .code16; 1: mov $3,%ax; ljmpl $0x23,$2f; .code32; 2: nop") \
  X(load_far, "movl $0x20,(%esi); movw $7,4(%esi); lds (%esi),%ebx; mov (%ebx),%edx")                        \
  X(load_far_bad, "movl $0x20,(%esi); movw $0x7f,4(%esi); les (%esi),%ebx")                                  \
  X(pop_segment, "push $7; pop %ds; mov 16,%edx; push %ds; pop %ecx")                                        \
  X(bit, LDS(7) "mov $100,%eax; bts %eax,16; mov 28,%edx; mov $2048,%eax; bt %eax,0")                        \
  X(exchange, LDS(7) "xchg %edx,16; lock cmpxchg %ecx,16; lock xadd %edx,253")                               \
  X(save, LDS(7) "fxsave 0; ")                                                                               \
  X(environment, LDS(7) "fnstenv 228; fnstenv 230")                                                          \
  X(lea, LDS(7) "lea 4(%ebx),%edx; lea 0x12345,%ecx")                                                        \
  X(prefix_ignored, LDS(7) "mov %ss:(%esp),%edx; xor %edx,%edx; nop")                                        \
  X(system_call, LDS(7) "mov $20,%eax; int $0x80; test %eax,%eax; setg %al; movzx %al,%eax; mov 16,%edx")

#define DEFINE(name, text) extern char case_##name[]; __asm__("case_" #name ":\n  " text "\n  ud2\n");
__asm__(".text\n.globl cases_start\n.p2align 4\ncases_start:\n");
CASES(DEFINE)
#define ROW(name, text) {#name, case_##name},
static const struct {
  const char *name, *code;
} cases[] = {CASES(ROW)};
extern char cases_start[];

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++)
    sigaction(signals[i], &action, NULL);
  mmap(memory, 0x13000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  const uint32_t base = (uint32_t)memory, text = (uint32_t)cases_start;
  set(0, base, 255, 0, 1, 0, 0, 0);
  set(1, base, 255, 0, 1, 1, 0, 0);
  set(2, base, 255, 1, 1, 0, 0, 0);
  set(3, base, 255, 1, 0, 0, 0, 0);
  set(4, base, 0xFFFF, 0, 0, 0, 0, 0);
  set(5, base, 255, 0, 1, 0, 0, 1);
  set(6, text, 0xFFFF, 2, 1, 0, 0, 0);
  set(7, text, 0xFFFF, 2, 0, 0, 0, 0);
  set(8, text, 0xFFFF, 2, 1, 1, 0, 0);
  set(9, base, 1, 0, 1, 0, 1, 0);
  set(10, 0xFFFFFFF0u, 0xFFFFF, 0, 1, 0, 1, 0);
  set(11, text, 0xFFFF, 2, 1, 0, 0, 1);
  set(13, text, (uint32_t)(case_code_end - cases_start) + 9, 2, 1, 0, 0, 0);
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int b = 0; b < 0x3000; b++)
      memory[b] = (unsigned char)(b * 7 + (b >> 8));
    start = cases[i].code;
    printf("%s\n", cases[i].name);
    run_at(cases[i].code);
    uint32_t sum = 0;
    for (int b = 0; b < 0x12000; b++)
      sum = sum * 31 + memory[b];
    printf("  memory %08x\n", sum);
  }
  return 0;
}
