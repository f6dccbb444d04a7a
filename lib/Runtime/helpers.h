/* Helpers: C functions that translated code calls, by name.
 *
 * A helper gets the register file with the whole guest state committed and may change any of it.
 * Translated code reaches it through a stub in the code cache (Runtime/x86_64/enter.S), which saves
 * and reloads the pinned registers. cpu->eip is what the instruction gave: its own address, or the
 * next one's for helpers that act after it. */
#ifndef UEMU_RUNTIME_HELPERS_H
#define UEMU_RUNTIME_HELPERS_H

/* name, what it does */
#define UEMU_HELPERS(X)                                                                                      \
  X(syscall)      /* int 0x80; eip is after it */                                                            \
  X(trap_ud)      /* #UD; eip is at the instruction, as for the next ones */                                 \
  X(trap_gp)      /* #GP(0) */                                                                               \
  X(trap_ss)      /* #SS(0) */                                                                               \
  X(trap_de)      /* #DE */                                                                                  \
  X(trap_br)      /* #BR */                                                                                  \
  X(trap_db)      /* #DB of int1; eip is after it, as for the next ones */                                   \
  X(trap_bp)      /* int3 */                                                                                 \
  X(trap_of)      /* into, with OF set */                                                                    \
  X(cpuid)                                                                                                   \
  X(pushf)        /* pushes all of EFLAGS, 4 bytes */                                                        \
  X(popf)         /* pops it */                                                                              \
  X(pushf16)                                                                                                 \
  X(popf16)                                                                                                  \
  X(popa)         /* 4 bytes each */                                                                         \
  X(popa16)                                                                                                  \
  X(load_es)      /* loads the segment register with cpu->helper_argument */                                 \
  X(load_ss)      /* of mov and pop */                                                                       \
  X(load_ss_far)  /* of lss */                                                                               \
  X(load_ds)                                                                                                 \
  X(load_fs)                                                                                                 \
  X(load_gs)                                                                                                 \
  X(ask_segment)  /* lar, lsl, verr, verw of selector helper_argument: decodes the instruction itself */     \
  X(fxsave)       /* at address helper_argument, as 32-bit code sees it */                                   \
  X(fpu_pointers) /* corrects what fnstenv or fnsave just stored at helper_argument */                       \
  X(fpu_loaded)   /* notes what fldenv or frstor just loaded from helper_argument … */                       \
  X(fpu_loaded16) /* … in 16-bit format */                                                                   \
  X(fxrstor)                                                                                                 \
  X(xsave)        /* at address helper_argument, components edx:eax; as are the next three */                \
  X(xsaveopt)                                                                                                \
  X(xsavec)                                                                                                  \
  X(xrstor)                                                                                                  \
  X(xgetbv)                                                                                                  \
  X(far)          /* far call, jmp, ret, iret: decodes the instruction at eip itself */                      \
  X(show_flags)   /* flags go from the record to the register file (docs/flags.md); changes nothing else */      \
  X(uncompiled)   /* the lifter does not know the instruction at eip: #UD with one log line */

enum helper {
#define UEMU_HELPER_ENUM(name) HELPER_##name,
  UEMU_HELPERS(UEMU_HELPER_ENUM)
#undef UEMU_HELPER_ENUM
      HELPER_COUNT
};

#endif
