/* The whole state that a handler of a fault sees: every register, the flags, xmm, the x87 stack, the kind of
 * fault, and what memory had been written, for instructions of every kind that can fault, some of them midway.
 * Everything lies at fixed addresses, so that all of it can be shown.
 * guest-test: link=static
 * guest-test: flags=-msse2 -fno-pie -no-pie
 * guest-test: levels=O2 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { page = 4096 };
static unsigned char *const data = (unsigned char *)0x20000000;     /* two pages, the second cannot be touched */
static unsigned char *const stack = (unsigned char *)0x30001000;    /* a page above one that cannot */
static unsigned char *const read_only = (unsigned char *)0x40000000; /* a page, and then nothing */
static char alternate[65536];

/* Runs the case at `code` with the registers from *in; faults come back to after_fault. */
struct registers {
  uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, eflags, target;
};
struct registers in;
uint32_t saved_esp;
void enter_case(void);
extern char after_fault[];
__asm__(".text\n.globl enter_case,after_fault\n"
        "enter_case:\n"
        "  pusha\n"
        "  mov %esp,saved_esp\n"
        "  pushl in+32\n"
        "  popf\n"
        "  mov in+0,%edi\n  mov in+4,%esi\n  mov in+8,%ebp\n  mov in+12,%esp\n"
        "  mov in+16,%ebx\n  mov in+20,%edx\n  mov in+24,%ecx\n  mov in+28,%eax\n"
        "  jmp *in+36\n"
        "after_fault:\n"
        "  cld\n"
        "  mov saved_esp,%esp\n"
        "  popa\n"
        "  ret\n");

static uint32_t case_start;
static uint32_t flags_shown; /* CPUs differ in what a fault midway through repe scas and cmps leaves of them */
static void on_fault(int number, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  greg_t *r = u->uc_mcontext.gregs;
  struct _libc_fpstate *f = u->uc_mcontext.fpregs;
  const uint32_t *xmm = (const uint32_t *)((const char *)f + 112 + 160);
  printf("  signal %d code %d address %x trap %d error %x cr2 %lx\n", number, info->si_code, (unsigned)info->si_addr - (number == SIGFPE || number == SIGILL ? case_start : 0),
         r[REG_TRAPNO], r[REG_ERR], number == SIGSEGV ? u->uc_mcontext.cr2 : 0);
  printf("  eip +%x flags %x eax %x ecx %x edx %x ebx %x esp %x ebp %x esi %x edi %x\n", r[REG_EIP] - case_start,
         r[REG_EFL] & flags_shown, r[REG_EAX], r[REG_ECX], r[REG_EDX], r[REG_EBX], r[REG_ESP], r[REG_EBP], r[REG_ESI], r[REG_EDI]);
  printf("  x87 %lx %lx", f->sw & 0xffff, f->tag & 0xffff);
  for (int i = 0; i < 2; i++)
    if ((f->tag >> 2 * (((f->sw >> 11 & 7) + i) & 7) & 3) != 3)
      printf(" %x:%08x%08x", f->_st[i].exponent, *(uint32_t *)(f->_st[i].significand + 2), *(uint32_t *)f->_st[i].significand);
  printf(" xmm0 %08x%08x%08x%08x xmm7 %08x\n", xmm[3], xmm[2], xmm[1], xmm[0], xmm[28]);
  r[REG_EIP] = (greg_t)after_fault;
}

static uint32_t checksum(const unsigned char *bytes) {
  uint32_t sum = 0;
  for (int i = 0; i < page; i++)
    sum = (sum << 5 | sum >> 27) ^ bytes[i];
  return sum;
}

/* Registers before: esi at the data, edi 8 bytes before its end, ebp at what is read-only, ebx where nothing is,
 * esp at the lowest word of the stack, with every flag set, or none. */
static void run(const char *name, const void *code, uint32_t flags, int at_limit) {
  for (int i = 0; i < page; i++)
    data[i] = stack[i] = (unsigned char)(i * 7);
  in = (struct registers){.edi = (uint32_t)data + page - 8, .esi = (uint32_t)data + 256, .ebp = (uint32_t)read_only + 128,
                          .esp = (uint32_t)stack + (at_limit ? 0 : 2048), .ebx = 0x50000040, .edx = 0x01020304,
                          .ecx = 5, .eax = 0x11223344, .eflags = flags, .target = (uint32_t)code};
  case_start = (uint32_t)code;
  flags_shown = strcmp(name, "scan") && strcmp(name, "compare_string") ? 0xcd5 : 0x400;
  printf("%s\n", name);
  __asm__ volatile("fninit; fldpi; fld1; movd %0,%%xmm0; pshufd $0,%%xmm0,%%xmm0; movdqa %%xmm0,%%xmm7" ::"r"(0x40490fdb) : "xmm0", "xmm7");
  enter_case();
  printf("  data %08x stack %08x\n", checksum(data), checksum(stack));
}

/* The cases: a name and the code. */
#define CASES(X)                                                                                                      \
  X(push, "push %eax") X(push_memory, "push (%ebx)") X(push_edge, "push 6(%edi)") X(pusha, "add $16,%esp; pusha")   \
  X(push_immediate, "push $0x1234") X(pushf, "pushf") X(call, "call 1f; 1:") X(call_register, "call *%edx")            \
  X(call_memory, "call *(%ebx)") X(call_read_only, "call *(%ebp)") X(jump_memory, "jmp *8(%edi)")                     \
  X(enter, "enter $32,$0") X(pop_memory, "pop (%ebp)") X(pop_far, "pop 8(%edi)") X(pop_by_esp, "pop -2052(%esp)")     \
  X(pop_empty, "mov %ebx,%esp; pop %eax") X(leave, "mov %ebx,%ebp; leave") X(ret, "mov %ebx,%esp; ret")               \
  X(popa, "mov %ebx,%esp; popa") X(popf, "lea 8(%edi),%esp; popf")                                               \
  X(load, "mov (%ebx),%eax") X(load_into_base, "mov 8(%edi),%edi") X(load_byte, "mov (%ebx),%ah")                     \
  X(load_edge, "mov 6(%edi),%ecx") X(zero_extend, "movzwl 7(%edi),%edi") X(store, "mov %eax,(%ebp)")                  \
  X(store_edge, "mov %eax,5(%edi)") X(store_byte, "movb $1,(%ebx)") X(store_immediate, "movl $99,8(%edi)")            \
  X(add_to, "add %eax,(%ebp)") X(add_from, "add (%ebx),%eax") X(adc_from, "adc 8(%edi),%eax") X(sub_edge, "sub %ecx,6(%edi)") \
  X(inc, "incl (%ebp)") X(neg, "negl (%ebx)") X(not, "notb (%ebp)") X(compare, "cmp %eax,(%ebx)")                     \
  X(compare_jump, "cmp (%ebx),%al; je 1f; nop; 1: nop") X(test_set, "testl $4,8(%edi); setne %al") X(shift, "shll %cl,(%ebp)") \
  X(rotate, "rcrl $1,(%ebx)") X(shift_double, "shld $3,%eax,(%ebp)") X(bit_test, "btl $9,(%ebx)") X(bit_set, "btsl %eax,(%ebx)") \
  X(multiply, "mull (%ebx)") X(multiply_three, "imul $5,(%ebx),%ecx") X(divide_memory, "divl (%ebx)")                 \
  X(divide_zero, "xor %ecx,%ecx; stc; div %ecx") X(divide_large, "cmp %eax,%edx; div %cl") X(divide_word, "stc; divw %cx") \
  X(divide_signed, "mov $0x80000000,%eax; cltd; mov $-1,%ecx; cmp %eax,%ecx; idiv %ecx") X(aam, "stc; .byte 0xd4,0")  \
  X(exchange, "xchg %eax,(%ebp)") X(exchange_edge, "xchg %ecx,6(%edi)") X(compare_exchange, "cmpxchg %ecx,(%ebx)")    \
  X(compare_exchange_locked, "lock cmpxchg %ecx,8(%edi)") X(compare_exchange_8, "lock cmpxchg8b (%ebx)")             \
  X(exchange_add, "lock xadd %eax,(%ebx)") X(locked_or, "lock orl $1,(%ebp)") X(locked_dec, "lock decl (%ebx)")       \
  X(move_string, "rep movsl") X(move_bytes, "mov $20,%ecx; rep movsb") X(move_down, "mov $0x20000010,%esi; mov $0x20000210,%edi; mov $50,%ecx; std; rep movsl") \
  X(move_from_end, "xchg %esi,%edi; mov $30,%ecx; rep movsb") X(store_string, "rep stosl") X(store_read_only, "mov %ebp,%edi; stosb") \
  X(load_string, "mov %edi,%esi; rep lodsb; rep lodsl; lodsl; lodsl; lodsl") X(scan, "mov $30,%ecx; mov $1,%al; repne scasb") \
  X(compare_string, "lea -512(%edi),%edi; mov %edi,%esi; mov $900,%ecx; repe cmpsb") X(translate, "xlat")                                        \
  X(sse_load, "movups (%ebx),%xmm0") X(sse_aligned, "movaps 4(%esi),%xmm0") X(sse_edge, "movups (%edi),%xmm7")        \
  X(sse_add, "addps (%ebx),%xmm0") X(sse_store, "movups %xmm0,(%ebp)") X(sse_scalar, "cvtsi2ss 8(%edi),%xmm7")        \
  X(sse_half, "movhps (%ebx),%xmm0") X(sse_compare, "ucomiss (%ebx),%xmm0; ja 1f; nop; 1: nop") X(sse_stream, "movntps %xmm0,4(%esi)") \
  X(mmx_load, "movq (%ebx),%mm1") X(fld, "flds (%ebx)") X(fld_edge, "fldt (%edi)") X(fild, "fildll 4(%edi)")          \
  X(fstp, "fstps (%ebp)") X(fstp_edge, "fstpt (%edi)") X(fadd, "fadds (%ebx)") X(fist, "fistl (%ebp)") X(fnstcw, "fnstcw (%ebp)") \
  X(fldcw, "fldcw (%ebx)") X(fnstenv, "fnstenv (%ebx)") X(fbstp, "fbstp (%edi)")                                       \
  X(undefined, "cmp %eax,%ecx; ud2") X(halt, "add %eax,%eax; hlt") X(break, "dec %eax; int3") X(bound, "bound %eax,(%esi)") \
  X(overflow, "mov $0x7fffffff,%ecx; inc %ecx; into; into") X(jump_nowhere, "add $1,%eax; jmp *%ebx") X(call_nowhere, "call *%ebx")  \
  X(return_nowhere, "push %ebx; sub %eax,%eax; ret") X(segment, "mov %eax,%fs") X(lds, "les (%ebx),%eax")              \
  X(input, "inc %edx; inb %dx,%al")

#define DEFINE(name, text) extern char case_##name[]; __asm__(".text\ncase_" #name ":\n  " text "\n  jmp after_fault\n");
CASES(DEFINE)
#define ROW(name, text) {#name, case_##name},
static const struct {
  const char *name, *code;
} cases[] = {CASES(ROW)};

static void *map(void *at, size_t size, int protection) {
  return mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

int main(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  if (map(data, page, PROT_READ | PROT_WRITE) != data || map(data + page, page, PROT_NONE) != data + page ||
      map(stack - page, page, PROT_NONE) != stack - page || map(stack, page, PROT_READ | PROT_WRITE) != stack ||
      map(read_only, page, PROT_READ) != read_only)
    return 1;
  for (int i = 0; i < 5; i++)
    sigaction(signals[i], &action, NULL);
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int at_limit = i <= 11; /* up to enter: pushes that find no room */
    run(cases[i].name, cases[i].code, 0x202, at_limit);
    run(cases[i].name, cases[i].code, 0x202 | 0x8d5, at_limit);
  }
  /* Once more, when the code is known to run often. */
  for (unsigned i = 0; i < 3; i++)
    for (unsigned c = 0; c < sizeof cases / sizeof cases[0]; c++)
      if (!strcmp(cases[c].name, "add_from") || !strcmp(cases[c].name, "push"))
        run(cases[c].name, cases[c].code, 0x202 | 0x8d5, c <= 11);
  return 0;
}
