/* The runtime's contract (Runtime/runtime.h) kept by the CPU itself: guest code runs in 32-bit mode, in this
 * process, and nothing is translated.
 *
 * It serves to test lib/Linux and lib/Loader without the translator, and to tell whose a bug is. It needs a
 * kernel that runs 32-bit code and has Syscall User Dispatch (Linux 5.11): with the selector byte set, each
 * int 0x80 of the guest raises SIGSYS instead of entering the kernel.
 *
 * Every way out of the guest is a host signal: its handler finds the guest's registers in the signal context,
 * stores them in struct cpu_state, and makes the context return to C code on the thread's own stack, which
 * calls the hook and enters the guest again (resume()). The x87 state and MXCSR stay in the host's FPU all
 * the while, as the contract has it. Differences from a 32-bit process: FS cannot be used by the guest. */
#include "Linux/host_syscall.h"
#include "Linux/segment.h"
#include "Runtime/cpuid.h"
#include "Runtime/fpu.h"
#include "Runtime/guest_memory.h"
#include "Runtime/runtime.h"

#include <errno.h>
#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "native_runtime.h"

enum { GUEST_CODE_SELECTOR = SELECTOR_USER_CODE, USER_DISPATCH = 2 /* SYS_USER_DISPATCH */ };

void native_enter(struct cpu_state *cpu, volatile uint8_t *selector, uint64_t eflags);
extern const char native_enter_end[], native_enter_interrupted[];

static struct runtime_hooks hooks;
static void (*foreign)(int, siginfo_t *, void *);

/* One a host thread. */
static __thread struct {
  struct cpu_state *cpu;
  volatile uint8_t selector; /* 1: system calls become SIGSYS */
  char *c_stack;
  struct trap trap;
  enum { LEFT_BY_SYSCALL, LEFT_BY_TRAP, LEFT_BY_INTERRUPT } why;
  uint64_t tls[3]; /* what the host's GDT holds */
} native;

struct cpu_state *runtime_current(void) {
  return native.cpu;
}

/* --- The host's tables follow the guest's ------------------------------------------------------------- */

/* set_thread_area exists only as a 32-bit call, which wants its argument below 4 GiB. */
static void set_host_tls(uint32_t index, uint64_t d) {
  struct guest_user_desc *desc = guest_to_host(NATIVE_SCRATCH);
  *desc = (struct guest_user_desc){.entry_number = 12 + index};
  if (d) {
    desc->base = (uint32_t)(d >> 16 & 0xFFFFFF) | (uint32_t)(d >> 56) << 24;
    desc->limit = (uint32_t)(d & 0xFFFF) | (uint32_t)(d >> 48 & 0xF) << 16;
    desc->flags = 1 | (uint32_t)(d >> 42 & 3) << 1 | !(d >> 41 & 1) << 3 | (uint32_t)(d >> 55 & 1) << 4 |
                  (uint32_t)(d >> 52 & 1) << 6;
  } else {
    desc->flags = 0x28;
  }
  long result = 243;
  __asm__ volatile("int $0x80" : "+a"(result) : "b"(desc) : "memory", "r8", "r9", "r10", "r11");
}

static void follow_tables(struct cpu_state *cpu) {
  struct thread *thread = thread_of(cpu);
  static int lock;
  for (uint32_t i = 0; i < 3; i++)
    if (thread->gdt_tls[i] != native.tls[i]) {
      process_lock(&lock);
      set_host_tls(i, thread->gdt_tls[i]);
      process_unlock(&lock);
      native.tls[i] = thread->gdt_tls[i];
    }
}

/* --- In and out ------------------------------------------------------------------------------------------
 */

static void store_guest(struct cpu_state *cpu, const ucontext_t *context) {
  const greg_t *r = context->uc_mcontext.gregs;
  const int order[GPR_COUNT] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
  for (int i = 0; i < GPR_COUNT; i++)
    cpu->gpr[i] = (uint32_t)r[order[i]];
  cpu->eip = (uint32_t)r[REG_RIP];
  cpu_set_eflags(cpu, (uint32_t)r[REG_EFL]);
  memcpy(cpu->xmm, context->uc_mcontext.fpregs->_xmm, sizeof cpu->xmm);
  uint32_t ds, es, gs;
  __asm__("mov %%ds, %0\n mov %%es, %1\n mov %%gs, %2" : "=r"(ds), "=r"(es), "=r"(gs));
  cpu->segment_selector[SEG_DS] = (uint16_t)ds;
  cpu->segment_selector[SEG_ES] = (uint16_t)es;
  cpu->segment_selector[SEG_GS] = (uint16_t)gs;
  uint64_t base;
  __asm__("rdgsbase %0" : "=r"(base));
  cpu->segment_base[SEG_GS] = (uint32_t)base;
}

static bool is_guest(const ucontext_t *context) {
  return (uint16_t)context->uc_mcontext.gregs[REG_CSGSFS] == GUEST_CODE_SELECTOR;
}

static _Noreturn void resume(void) {
  struct cpu_state *cpu = native.cpu;
  switch (native.why) {
  case LEFT_BY_SYSCALL: {
    const uint32_t number = cpu->gpr[GPR_EAX], ebx = cpu->gpr[GPR_EBX], ecx = cpu->gpr[GPR_ECX];
    hooks.syscall(cpu);
    if (number == 123 && ebx == 0x11 && (int32_t)cpu->gpr[GPR_EAX] == 0)
      HOST_CALL(SYS_modify_ldt, 0x11, (uintptr_t)ecx, sizeof(struct guest_user_desc));
    break;
  }
  case LEFT_BY_TRAP:
    hooks.trap(cpu, &native.trap);
    break;
  case LEFT_BY_INTERRUPT:
    hooks.interrupt(cpu);
    break;
  }
  for (;;) {
    native_prepare();
    follow_tables(cpu);
    HOST_CALL(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &native.selector);
    native_enter(cpu, &native.selector, cpu_eflags(cpu) | EFLAGS_IF);
    hooks.interrupt(cpu); /* it came back: an interrupt was pending */
  }
}

/* Makes the handler return to resume() on the C stack. */
static void leave_guest(ucontext_t *context) {
  greg_t *r = context->uc_mcontext.gregs;
  native.selector = 0;
  r[REG_RIP] = (greg_t)(uintptr_t)resume;
  r[REG_RSP] = (greg_t)(uintptr_t)native.c_stack - 8; /* as after a call */
  r[REG_EFL] &= ~(greg_t)(EFLAGS_DF | EFLAGS_TF | EFLAGS_AC);
  r[REG_CSGSFS] = (r[REG_CSGSFS] & ~(greg_t)0xFFFF) | 0x33;
}

void runtime_interrupted(void *opaque) {
  ucontext_t *context = opaque;
  greg_t *r = context->uc_mcontext.gregs;
  if (!native.cpu)
    return;
  if (is_guest(context)) {
    store_guest(native.cpu, context);
    native.why = LEFT_BY_INTERRUPT;
    leave_guest(context);
  } else if (r[REG_RIP] >= (greg_t)(uintptr_t)native_enter &&
             r[REG_RIP] < (greg_t)(uintptr_t)native_enter_end) {
    native.selector = 0;
    native.why = LEFT_BY_INTERRUPT;
    leave_guest(context);
  }
}

/* --- Host signals ------------------------------------------------------------------------------------------
 */

static void on_fault(int signal, siginfo_t *info, void *opaque) {
  ucontext_t *context = opaque;
  greg_t *r = context->uc_mcontext.gregs;
  if (info->si_code > 0 && is_guest(context)) {
    native.trap = (struct trap){.vector = (uint32_t)r[REG_TRAPNO],
                                .error_code = (uint32_t)r[REG_ERR],
                                .address = (guest_addr)r[REG_CR2],
                                .host_signal = signal,
                                .host_code = info->si_code};
    store_guest(native.cpu, context);
    native.why = LEFT_BY_TRAP;
    leave_guest(context);
    return;
  }
  const uintptr_t fixup = info->si_code > 0 ? guest_copy_fixup((uintptr_t)r[REG_RIP]) : 0;
  if (fixup)
    r[REG_RIP] = (greg_t)fixup;
  else
    foreign(signal, info, context);
}

struct host_action {
  uintptr_t handler;
  uint64_t flags;
  void (*restorer)(void);
  uint64_t mask;
};
extern void signal_host_restorer(void);

/* SIGSYS is the guest's too: what lib/Linux installed for it is called for those that were sent. */
static struct host_action guest_sigsys;

static void on_sigsys(int signal, siginfo_t *info, void *opaque) {
  ucontext_t *context = opaque;
  if (info->si_code == USER_DISPATCH) {
    store_guest(native.cpu, context);
    native.cpu->gpr[GPR_EAX] = (uint32_t)info->si_syscall;
    native.why = LEFT_BY_SYSCALL;
    leave_guest(context);
  } else if (guest_sigsys.handler > 1) {
    ((void (*)(int, siginfo_t *, void *))guest_sigsys.handler)(signal, info, opaque);
  } else if (guest_sigsys.handler == 0) {
    HOST_CALL(SYS_rt_sigaction, SIGSYS, &guest_sigsys, 0, 8);
    HOST_CALL(SYS_tkill, gettid(), SIGSYS);
  }
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *)) {
  const struct host_action action = {(uintptr_t)handler, SA_SIGINFO | SA_ONSTACK | 0x04000000,
                                     signal_host_restorer, ~UINT64_C(0)};
  HOST_CALL(SYS_rt_sigaction, signal, &action, 0, 8);
}

void native_prepare(void) {
  struct host_action now;
  const uint64_t sigsys = UINT64_C(1) << (SIGSYS - 1);
  HOST_CALL(SYS_rt_sigaction, SIGSYS, 0, &now, 8);
  if (now.handler != (uintptr_t)on_sigsys) {
    guest_sigsys = now;
    install(SIGSYS, on_sigsys);
  }
  HOST_CALL(SYS_rt_sigprocmask, SIG_UNBLOCK, &sigsys, 0, 8);
}

bool native_is_possible(void) {
  enum { HWCAP2_FSGSBASE = 2 };
  static volatile uint8_t off;
  return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE &&
         prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &off) == 0;
}

int runtime_init(const struct runtime_options *options, const struct runtime_hooks *given) {
  (void)options;
  hooks = *given;
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    install(faults[i], on_fault);
  return 0;
}

void runtime_set_foreign_signal(void (*handler)(int, siginfo_t *, void *)) { foreign = handler; }

/* --- The rest of the contract ----------------------------------------------------------------------------
 */

struct cpu_state *runtime_cpu_new(void *owner) {
  struct cpu_state *cpu = aligned_alloc(_Alignof(struct cpu_state), sizeof *cpu);
  if (!cpu)
    return NULL;
  memset(cpu, 0, sizeof *cpu);
  cpu_set_eflags(cpu, EFLAGS_ONE | EFLAGS_IF);
  cpu->segment_selector[SEG_CS] = SELECTOR_USER_CODE;
  cpu->segment_selector[SEG_SS] = cpu->segment_selector[SEG_DS] = cpu->segment_selector[SEG_ES] =
      SELECTOR_USER_DATA;
  cpu->owner = owner;
  return cpu;
}

void runtime_cpu_free(struct cpu_state *cpu) { free(cpu); }

_Noreturn void runtime_run(struct cpu_state *cpu, const void *fxsave) {
  static const struct {
    uint16_t control, rest[11];
    uint32_t mxcsr;
    uint8_t zero[484];
  } reset __attribute__((aligned(16))) = {.control = 0x37F, .mxcsr = 0x1F80};
  memset((void *)native.tls, 0, sizeof native.tls);
  native.cpu = cpu;
  native.c_stack = (char *)((uintptr_t)__builtin_frame_address(0) & -64l) - 256;
  native.why = LEFT_BY_INTERRUPT;
  runtime_fpu_load(cpu, fxsave ? fxsave : &reset);
  resume();
}

void runtime_interrupt(struct cpu_state *cpu) { cpu->interrupt = 1; }
void runtime_interrupt_others(void) {}
void runtime_set_segment_base(struct cpu_state *cpu, enum segment segment, uint32_t base, bool is_null) {
  (void)is_null;
  cpu->segment_base[segment] = base;
}
void runtime_commit_regions(void) {}
void runtime_set_precise(bool on) { (void)on; }
void runtime_fork_prepare(void) { guest_memory_fork_prepare(); }
void runtime_fork_parent(void) { guest_memory_fork_done(); }
void runtime_fork_child(void) { guest_memory_fork_done(); }

enum { FXSAVE_XMM = 160 };

void runtime_fpu_save(const struct cpu_state *cpu, void *fxsave) {
  uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16)));
  memset(image, 0, sizeof image);
  __asm__ volatile("fxsave %0" : "+m"(image));
  memset(image + FXSAVE_XMM, 0, FXSAVE_SIZE - FXSAVE_XMM);
  memcpy(image + FXSAVE_XMM, cpu->xmm, sizeof cpu->xmm);
  memcpy(fxsave, image, sizeof image);
}

void runtime_fpu_load(struct cpu_state *cpu, const void *fxsave) {
  uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16)));
  memcpy(image, fxsave, sizeof image);
  memcpy(cpu->xmm, image + FXSAVE_XMM, sizeof cpu->xmm);
  __asm__ volatile("fxrstor %0"
                   :
                   : "m"(image)
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                     "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* A machine without XSAVE, as far as signal frames go: ymm registers stay where they are. */
uint64_t guest_xcr0(void) { return 0; }
void runtime_use_ymm(void) {}
uint64_t fpu_components_in_use(const struct cpu_state *cpu) {
  (void)cpu;
  return XSTATE_X87 | XSTATE_SSE;
}

bool fpu_image_is_valid(const void *fxsave) {
  enum { MXCSR = 24, MXCSR_BITS = 0xFFFF };
  uint32_t mxcsr;
  memcpy(&mxcsr, (const uint8_t *)fxsave + MXCSR, sizeof mxcsr);
  return (mxcsr & ~(uint32_t)MXCSR_BITS) == 0;
}
