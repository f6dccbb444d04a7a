/* Where the vDSO's entry points lie, from its ELF header on: for entry.S, the linker script, and the loader. */
#ifndef UEMU_LOADER_VDSO_LAYOUT_H
#define UEMU_LOADER_VDSO_LAYOUT_H

#define VDSO_TEXT 0x800 /* the first code */
#define VDSO_VSYSCALL 0x800
#define VDSO_SIGRETURN 0x810
#define VDSO_RT_SIGRETURN 0x820
#define VDSO_PAGES 2 /* the image's room */

#endif
