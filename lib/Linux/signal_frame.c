/* The frames that the kernel puts on a 32-bit process's stack for a handler, and sigreturn(2), which takes
 * the state back from them.
 *
 * Layout and order are those of an x86-64 kernel (arch/x86/kernel/signal_32.c, ia32_setup_frame() and
 * ia32_setup_rt_frame()), from the top of the stack down:
 *
 *     xsave image      64-byte aligned: an fxsave image of 512 bytes, the header, the upper halves of ymm
 *                      registers, and a magic number; the last 48 bytes of the fxsave image describe it.
 *                      For a guest whose CPUID has no XSAVE, the fxsave image alone
 *     fsave image      112 bytes directly below: what sigcontext.fpstate points at
 *     the frame        struct signal_frame or struct rt_signal_frame; (esp + 4) % 16 == 0, as after a call
 *
 * Sigreturn believes the fsave image for the x87 registers and the xsave image for xmm, ymm and MXCSR, again
 * as the kernel does. */
#include "Linux/segment.h"
#include "Linux/signal_calls.h"
#include "Linux/signal_private.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/cpuid.h"
#include "Runtime/fpu.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { SIGRETURN = 119, RT_SIGRETURN = 173 };

struct guest_sigcontext {
  uint32_t gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax;
  uint32_t trapno, err, eip, cs, eflags, esp_at_signal, ss;
  guest_addr fpstate;
  uint32_t oldmask, cr2;
};
_Static_assert(sizeof(struct guest_sigcontext) == 88, "sigcontext of the i386 ABI");

struct guest_fsave {
  uint32_t control, status, tag, ip, cs_opcode, data, data_segment;
  uint8_t st[8][10];
};
_Static_assert(sizeof(struct guest_fsave) == 108, "user_i387_ia32_struct");

struct guest_fxsave {
  uint16_t control, status;
  uint8_t tag, reserved;
  uint16_t opcode;
  uint64_t ip, data;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16];
  uint8_t xmm[16][16];
  uint8_t unused[48];
  struct {
    uint32_t magic, extended_size; /* of fsave image, xsave image and second magic number */
    uint64_t components;
    uint32_t size; /* of the xsave image */
    uint32_t unused[7];
  } software; /* struct _fpx_sw_bytes */
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct guest_fxsave) == 512, "FXSAVE");
enum { XSTATE_MAGIC = 0x46505853, XSTATE_MAGIC2 = 0x46505845 };

/* XSAVE's standard format, with all that a guest can have. */
struct guest_xsave {
  struct guest_fxsave fx;
  uint64_t components, compact, reserved[6];
  uint8_t ymm_high[16][16];
  uint32_t magic2; /* the kernel's; directly behind the components that are in XCR0 */
};
_Static_assert(offsetof(struct guest_xsave, components) == XSAVE_HEADER, "XSAVE");
_Static_assert(offsetof(struct guest_xsave, ymm_high) == XSAVE_YMM, "XSAVE");

/* What sigcontext.fpstate points at. */
struct guest_fpstate {
  struct guest_fsave legacy;
  uint16_t status;
  uint16_t magic; /* 0: an fxsave or xsave image follows; 0xFFFF: none */
};
enum { FXSAVE_OFFSET = 112 };
_Static_assert(sizeof(struct guest_fpstate) == FXSAVE_OFFSET, "_fpstate_32 up to its fxsave image");

struct signal_frame {
  guest_addr return_address;
  int32_t signal;
  struct guest_sigcontext context;
  uint8_t fpstate_unused[624]; /* keeps extra_mask where old programs look for it */
  uint32_t extra_mask;
  uint8_t return_code[8];
};
_Static_assert(offsetof(struct signal_frame, extra_mask) == 720 && sizeof(struct signal_frame) == 732,
               "sigframe_ia32");

enum { UC_FP_XSTATE = 1 };
struct guest_ucontext {
  uint32_t flags, link; /* flags: UC_FP_XSTATE, the FPU state is an xsave image */
  uint32_t stack_base, stack_flags, stack_size;
  struct guest_sigcontext context;
  uint32_t mask[2];
};

struct rt_signal_frame {
  guest_addr return_address;
  int32_t signal;
  guest_addr info_address, context_address;
  struct guest_siginfo info;
  struct guest_ucontext ucontext;
  uint8_t return_code[8];
};
_Static_assert(offsetof(struct rt_signal_frame, ucontext) == 144 && sizeof(struct rt_signal_frame) == 268,
               "rt_sigframe_ia32");

/* --- x87 state in its two shapes -------------------------------------------------------------- */

/* The full tag word (SDM vol. 1, 8.1.7), which fxsave shortens to a bit a register. */
static uint16_t full_tag(const struct guest_fxsave *fx) {
  enum { VALID, ZERO, SPECIAL, EMPTY };
  const unsigned top = fx->status >> 11 & 7;
  uint16_t tags = 0;
  for (unsigned i = 0; i < 8; i++) {
    unsigned tag = EMPTY;
    if (fx->tag & 1u << i) {
      const uint8_t *st = fx->st[(i - top) & 7]; /* the tag is by physical register */
      uint64_t significand;
      uint16_t exponent;
      memcpy(&significand, st, 8);
      memcpy(&exponent, st + 8, 2);
      exponent &= 0x7FFF;
      if (exponent == 0x7FFF)
        tag = SPECIAL;
      else if (exponent == 0)
        tag = significand == 0 ? ZERO : SPECIAL;
      else
        tag = significand >> 63 ? VALID : SPECIAL;
    }
    tags |= (uint16_t)(tag << 2 * i);
  }
  return tags;
}

static uint8_t short_tag(uint16_t full) {
  uint8_t tag = 0;
  for (unsigned i = 0; i < 8; i++)
    if ((full >> 2 * i & 3) != 3)
      tag |= 1u << i;
  return tag;
}

static void fsave_from_fxsave(struct guest_fpstate *to, const struct guest_fxsave *fx,
                              const struct cpu_state *cpu) {
  memset(to, 0, sizeof *to);
  to->legacy = (struct guest_fsave){
      .control = fx->control | 0xFFFF0000u,
      .status = fx->status | 0xFFFF0000u,
      .tag = full_tag(fx) | 0xFFFF0000u,
      /* A 64-bit kernel does not know the segments of the last instruction: it shows today's. */
      .ip = (uint32_t)fx->ip,
      .cs_opcode = cpu->segment_selector[SEG_CS],
      .data = (uint32_t)fx->data,
      .data_segment = cpu->segment_selector[SEG_DS] | 0xFFFF0000u,
  };
  for (int i = 0; i < 8; i++)
    memcpy(to->legacy.st[i], fx->st[i], 10);
  to->status = fx->status;
}

static void fsave_into_fxsave(struct guest_fxsave *fx, const struct guest_fsave *from) {
  fx->control = (uint16_t)from->control;
  fx->status = (uint16_t)from->status;
  fx->tag = short_tag((uint16_t)from->tag);
  fx->opcode = (uint16_t)(from->cs_opcode >> 16);
  fx->ip = from->ip;
  fx->data = from->data;
  for (int i = 0; i < 8; i++)
    memcpy(fx->st[i], from->st[i], 10);
}

/* Bytes of the xsave image with the components of `xcr0`; of the fxsave image where there is none. */
static uint32_t image_size(uint64_t xcr0) {
  if (!xcr0)
    return sizeof(struct guest_fxsave);
  return xcr0 & XSTATE_YMM ? offsetof(struct guest_xsave, magic2) : offsetof(struct guest_xsave, ymm_high);
}

static void reset_fpu(struct cpu_state *cpu) {
  static const struct guest_fxsave at_reset = {.control = 0x37F, .mxcsr = 0x1F80};
  runtime_fpu_load(cpu, &at_reset);
  memset(cpu->ymm_high, 0, sizeof cpu->ymm_high);
}

/* --- Building ------------------------------------------------------------------------------ */

/* Where the frame of `size` bytes goes, and the fpstate above it; 0 if it would leave the alternate stack
 * (get_sigframe()). */
static guest_addr place_frame(struct thread *thread, const struct guest_sigaction *action, uint32_t size,
                              guest_addr *fpstate) {
  const struct cpu_state *cpu = thread->cpu;
  enum { USER_DS = SELECTOR_USER_DATA };
  uint32_t sp = cpu->gpr[GPR_ESP];
  const bool nested = signal_on_altstack(thread, sp);
  bool entering = false;
  if (action->flags & SA_ONSTACK) {
    if (!nested && thread->altstack_size) {
      sp = thread->altstack_base + thread->altstack_size;
      entering = true;
    }
  } else if (!nested && cpu->segment_selector[SEG_SS] != USER_DS && !(action->flags & GUEST_SA_RESTORER) &&
             action->restorer) {
    sp = action->restorer; /* how it was done before sigaltstack(2) */
    entering = true;
  }
  const uint64_t xcr0 = guest_xcr0();
  const uint32_t magic2_size = xcr0 ? sizeof(uint32_t) : 0;
  const uint32_t image = (sp - image_size(xcr0) - magic2_size) & -64u;
  *fpstate = image - FXSAVE_OFFSET;
  const uint32_t frame = ((*fpstate - size + 4) & -16u) - 4;
  if ((nested || entering) && !signal_on_altstack_memory(thread, frame))
    return 0;
  return frame;
}

static void fill_context(struct guest_sigcontext *to, const struct thread *thread, guest_addr fpstate,
                         uint64_t mask) {
  const struct cpu_state *cpu = thread->cpu;
  *to = (struct guest_sigcontext){
      .gs = cpu->segment_selector[SEG_GS],
      .fs = cpu->segment_selector[SEG_FS],
      .es = cpu->segment_selector[SEG_ES],
      .ds = cpu->segment_selector[SEG_DS],
      .edi = cpu->gpr[GPR_EDI],
      .esi = cpu->gpr[GPR_ESI],
      .ebp = cpu->gpr[GPR_EBP],
      .esp = cpu->gpr[GPR_ESP],
      .ebx = cpu->gpr[GPR_EBX],
      .edx = cpu->gpr[GPR_EDX],
      .ecx = cpu->gpr[GPR_ECX],
      .eax = cpu->gpr[GPR_EAX],
      .trapno = thread->trap_number,
      .err = thread->trap_error,
      .eip = cpu->eip,
      .cs = cpu->segment_selector[SEG_CS],
      .eflags = cpu_eflags(cpu),
      .esp_at_signal = cpu->gpr[GPR_ESP],
      .ss = cpu->segment_selector[SEG_SS],
      .fpstate = fpstate,
      .oldmask = (uint32_t)mask,
      .cr2 = thread->trap_address,
  };
}

static int write_fpstate(const struct cpu_state *cpu, guest_addr fpstate) {
  struct {
    struct guest_fpstate legacy;
    struct guest_xsave x;
  } image;
  _Static_assert(offsetof(__typeof__(image), x) == FXSAVE_OFFSET, "no gap between the images");
  const uint64_t xcr0 = guest_xcr0();
  uint32_t size = FXSAVE_OFFSET + image_size(xcr0);
  memset(&image.x, 0, sizeof image.x);
  runtime_fpu_save(cpu, &image.x.fx);
  /* The kernel saves it in 64-bit format, where addresses reach into the selectors' places. */
  image.x.fx.ip = (uint32_t)image.x.fx.ip;
  image.x.fx.data = (uint32_t)image.x.fx.data;
  fsave_from_fxsave(&image.legacy, &image.x.fx, cpu);
  if (xcr0) {
    const uint32_t magic2 = XSTATE_MAGIC2;
    image.x.fx.software.magic = XSTATE_MAGIC;
    image.x.fx.software.extended_size = size + sizeof magic2;
    image.x.fx.software.components = xcr0;
    image.x.fx.software.size = size - FXSAVE_OFFSET;
    image.x.components = fpu_components_in_use(cpu) | XSTATE_X87 | XSTATE_SSE;
    memcpy(image.x.ymm_high, cpu->ymm_high, sizeof cpu->ymm_high);
    memcpy((uint8_t *)&image + size, &magic2, sizeof magic2);
    size += sizeof magic2;
  }
  return guest_copy_out(fpstate, &image, size);
}

/* Where the handler returns to. */
static guest_addr return_address(const struct guest_sigaction *action, guest_addr trampoline,
                                 guest_addr code) {
  if (action->flags & GUEST_SA_RESTORER)
    return action->restorer;
  return trampoline ? trampoline : code;
}

static int push_old_frame(struct thread *thread, int signal, const struct guest_sigaction *action,
                          uint64_t mask, guest_addr *address) {
  guest_addr fpstate;
  *address = place_frame(thread, action, sizeof(struct signal_frame), &fpstate);
  if (!*address || write_fpstate(thread->cpu, fpstate) < 0)
    return -EFAULT;
  struct signal_frame frame = {
      .signal = signal,
      .extra_mask = (uint32_t)(mask >> 32),
      .return_code = {0x58 /* pop %eax */, 0xB8 /* mov $, %eax */, SIGRETURN, 0, 0, 0, 0xCD, 0x80},
  };
  frame.return_address = return_address(action, thread->process->sigreturn_trampoline,
                                        *address + offsetof(struct signal_frame, return_code));
  fill_context(&frame.context, thread, fpstate, mask);
  /* What lies in the unused part stays as it is. */
  const size_t head = offsetof(struct signal_frame, fpstate_unused),
               tail = offsetof(struct signal_frame, extra_mask);
  if (guest_copy_out(*address, &frame, head) < 0)
    return -EFAULT;
  return guest_copy_out((guest_addr)(*address + tail), &frame.extra_mask, sizeof frame - tail);
}

static int push_rt_frame(struct thread *thread, int signal, const siginfo_t *info,
                         const struct guest_sigaction *action, uint64_t mask, guest_addr *address) {
  guest_addr fpstate;
  *address = place_frame(thread, action, sizeof(struct rt_signal_frame), &fpstate);
  if (!*address || write_fpstate(thread->cpu, fpstate) < 0)
    return -EFAULT;
  struct rt_signal_frame frame = {
      .signal = signal,
      .info_address = *address + offsetof(struct rt_signal_frame, info),
      .context_address = *address + offsetof(struct rt_signal_frame, ucontext),
      .ucontext = {.flags = guest_xcr0() ? UC_FP_XSTATE : 0,
                   .stack_base = thread->altstack_base,
                   .stack_flags = thread->altstack_flags,
                   .stack_size = thread->altstack_size,
                   .mask = {(uint32_t)mask, (uint32_t)(mask >> 32)}},
      .return_code = {0xB8 /* mov $, %eax */, RT_SIGRETURN, 0, 0, 0, 0xCD, 0x80},
  };
  frame.return_address = return_address(action, thread->process->rt_sigreturn_trampoline,
                                        *address + offsetof(struct rt_signal_frame, return_code));
  signal_info_to_guest(&frame.info, info);
  fill_context(&frame.ucontext.context, thread, fpstate, mask);
  return guest_copy_out(*address, &frame, sizeof frame);
}

int signal_frame_push(struct thread *thread, int signal, const siginfo_t *info,
                      const struct guest_sigaction *action, uint64_t mask) {
  struct cpu_state *cpu = thread->cpu;
  const bool rt = action->flags & SA_SIGINFO;
  guest_addr frame;
  const int error = rt ? push_rt_frame(thread, signal, info, action, mask, &frame)
                       : push_old_frame(thread, signal, action, mask, &frame);
  if (error < 0)
    return error;

  cpu->gpr[GPR_ESP] = frame;
  cpu->eip = action->handler;
  /* The arguments are on the stack; handlers built with -mregparm=3 find them here. */
  cpu->gpr[GPR_EAX] = (uint32_t)signal;
  cpu->gpr[GPR_EDX] = rt ? frame + (uint32_t)offsetof(struct rt_signal_frame, info) : 0;
  cpu->gpr[GPR_ECX] = rt ? frame + (uint32_t)offsetof(struct rt_signal_frame, ucontext) : 0;
  cpu_set_eflags(cpu, cpu_eflags(cpu) & ~(uint32_t)(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF));
  segment_load_or_clear(cpu, SEG_CS, SELECTOR_USER_CODE);
  segment_load_or_clear(cpu, SEG_SS, SELECTOR_USER_DATA);
  segment_load_or_clear(cpu, SEG_DS, SELECTOR_USER_DATA);
  segment_load_or_clear(cpu, SEG_ES, SELECTOR_USER_DATA);
  reset_fpu(cpu);
  runtime_redirect(cpu);
  return 0;
}

/* --- Returning ----------------------------------------------------------------------------- */

/* Does the fxsave image's description of what follows it hold? What does not is a frame of a program that
 * knows only fxsave, and copied no more (check_xstate_in_sigframe()). */
static bool has_xsave_image(const struct guest_fxsave *fx, guest_addr image, uint64_t xcr0) {
  uint32_t magic2;
  return xcr0 && fx->software.magic == XSTATE_MAGIC &&
         fx->software.size >= image_size(XSTATE_X87 | XSTATE_SSE) && fx->software.size <= image_size(xcr0) &&
         fx->software.size <= fx->software.extended_size &&
         guest_copy_in(&magic2, image + fx->software.size, sizeof magic2) == 0 && magic2 == XSTATE_MAGIC2;
}

/* What the image does not have, or does not vouch for, is put into its initial state. */
static int restore_fpstate(struct cpu_state *cpu, guest_addr fpstate) {
  reset_fpu(cpu);
  if (!fpstate)
    return 0;
  const guest_addr image = fpstate + FXSAVE_OFFSET;
  struct guest_fsave legacy;
  struct guest_xsave x;
  uint64_t components = XSTATE_X87 | XSTATE_SSE;
  if (guest_copy_in(&legacy, fpstate, sizeof legacy) < 0 || guest_copy_in(&x.fx, image, sizeof x.fx) < 0)
    return -EFAULT;
  if (has_xsave_image(&x.fx, image, guest_xcr0())) {
    if (guest_copy_in(&x, image, image_size(guest_xcr0())) < 0)
      return -EFAULT;
    static const uint64_t zero[6];
    if (x.components & ~guest_xcr0() || x.compact || memcmp(x.reserved, zero, sizeof zero) != 0)
      return -EINVAL;
    components = x.components & x.fx.software.components;
  }
  if (!fpu_image_is_valid(&x.fx))
    return -EINVAL;
  fsave_into_fxsave(&x.fx, &legacy);
  if (!(components & XSTATE_X87)) {
    x.fx.control = 0x37F;
    x.fx.status = x.fx.tag = 0;
  }
  if (!(components & XSTATE_SSE))
    memset(x.fx.xmm, 0, sizeof x.fx.xmm);
  runtime_fpu_load(cpu, &x.fx);
  if (components & XSTATE_YMM) {
    memcpy(cpu->ymm_high, x.ymm_high, sizeof cpu->ymm_high);
    runtime_use_ymm();
  }
  return 0;
}

static int restore_context(struct cpu_state *cpu, const struct guest_sigcontext *from) {
  const uint32_t restored = EFLAGS_AC | EFLAGS_OF | EFLAGS_DF | EFLAGS_TF | EFLAGS_SF | EFLAGS_ZF |
                            EFLAGS_AF | EFLAGS_PF | EFLAGS_CF;
  const uint32_t gpr[GPR_COUNT] = {
      [GPR_EAX] = from->eax, [GPR_ECX] = from->ecx, [GPR_EDX] = from->edx, [GPR_EBX] = from->ebx,
      [GPR_ESP] = from->esp, [GPR_EBP] = from->ebp, [GPR_ESI] = from->esi, [GPR_EDI] = from->edi,
  };
  memcpy(cpu->gpr, gpr, sizeof gpr);
  cpu->eip = from->eip;
  cpu_change_eflags(cpu, restored, from->eflags);
  enum { RPL_USER = 3 };
  segment_load_or_clear(cpu, SEG_CS, (uint16_t)from->cs | RPL_USER);
  segment_load_or_clear(cpu, SEG_SS, (uint16_t)from->ss | RPL_USER);
  const struct {
    enum segment segment;
    uint16_t selector;
  } data[] = {{SEG_DS, (uint16_t)from->ds},
              {SEG_ES, (uint16_t)from->es},
              {SEG_FS, (uint16_t)from->fs},
              {SEG_GS, (uint16_t)from->gs}};
  for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
    /* A null selector stays null, every other one is the user's. */
    const uint16_t selector = data[i].selector > RPL_USER ? data[i].selector | RPL_USER : data[i].selector;
    if (selector != cpu->segment_selector[data[i].segment])
      segment_load_or_clear(cpu, data[i].segment, selector);
  }
  runtime_redirect(cpu);
  return restore_fpstate(cpu, from->fpstate);
}

/* EAX is the frame's. A restarted call that the handler interrupted ends with EINTR. */
static int32_t returned(struct thread *thread) {
  thread->restart.resume = NULL;
  return SYSCALL_KEEP_EAX;
}

static int32_t bad_frame(struct thread *thread, guest_addr frame) {
  log_line(LOG_SIGNAL, "bad signal frame at %#x", frame);
  thread->cpu->gpr[GPR_EAX] = 0;
  thread->in_syscall = false;
  signal_force(thread, SIGSEGV, SI_KERNEL, 0);
  return SYSCALL_KEEP_EAX;
}

int32_t sys_sigreturn(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  enum { POPPED = 8 }; /* the handler's ret and the trampoline's pop */
  struct cpu_state *cpu = thread->cpu;
  const guest_addr address = cpu->gpr[GPR_ESP] - POPPED;
  struct guest_sigcontext context;
  uint32_t extra_mask;
  if (guest_copy_in(&context, address + offsetof(struct signal_frame, context), sizeof context) < 0 ||
      guest_copy_in(&extra_mask, address + offsetof(struct signal_frame, extra_mask), sizeof extra_mask) < 0)
    return bad_frame(thread, address);
  if (!signal_set_mask(thread, (uint64_t)extra_mask << 32 | context.oldmask))
    return -ERESTARTNOINTR;
  if (restore_context(cpu, &context) < 0)
    return bad_frame(thread, address);
  return returned(thread);
}

int32_t sys_rt_sigreturn(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  enum { POPPED = 4 };
  struct cpu_state *cpu = thread->cpu;
  const guest_addr address = cpu->gpr[GPR_ESP] - POPPED;
  struct guest_ucontext context;
  if (guest_copy_in(&context, address + offsetof(struct rt_signal_frame, ucontext), sizeof context) < 0)
    return bad_frame(thread, address);
  if (!signal_set_mask(thread, (uint64_t)context.mask[1] << 32 | context.mask[0]))
    return -ERESTARTNOINTR;
  if (restore_context(cpu, &context.context) < 0)
    return bad_frame(thread, address);
  signal_altstack_set(thread, context.stack_base, context.stack_flags, context.stack_size);
  return returned(thread);
}
