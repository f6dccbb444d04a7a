/* A 64-bit program that calls crc32() of an i386 program: lifted to LLVM IR, compiled, and linked in
 * (docs/lifted-ir.md).
 *
 *     host PROGRAM TEXT...
 *
 * What lifted code needs is what this file and glue.S give it: guest memory at its own addresses, a register
 * file that GS points at, and the symbols that it leaves to. */
#include "Runtime/cpu_state.h"

#include <asm/prctl.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From the lifted module: what the program calls crc32. Its convention is not C's: only glue.S calls it. */
void guest_crc32(void);

/* glue.S: runs lifted code with the registers of cpu->gpr[] and xmm[], and puts them back there when it
 * returns; then cpu->eip is where it returned to. */
void guest_enter(struct cpu_state *cpu, void (*function)(void));

/* Called by glue.S when lifted code leaves to something that is not here. */
void guest_left(const char *where, guest_addr eip);

void guest_left(const char *where, guest_addr eip) {
  fprintf(stderr, "lifted code went to %s, for address %08x\n", where, eip);
  exit(1);
}

static void check(int good, const char *what) {
  if (!good) {
    perror(what);
    exit(1);
  }
}

/* --- Guest memory: the low 4 GiB of this process -------------------------------------------------------- */

static void map_low(uintptr_t address, size_t length) {
  void *wanted = (void *)address;
  check(mmap(wanted, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
             0) == wanted,
        "mmap");
}

/* The program's segments at their addresses: its code refers to its data by them. */
static void load_program(const char *path) {
  Elf32_Ehdr header;
  const int fd = open(path, O_RDONLY);
  check(fd >= 0 && read(fd, &header, sizeof header) == sizeof header, path);
  for (unsigned i = 0; i < header.e_phnum; i++) {
    Elf32_Phdr segment;
    check(pread(fd, &segment, sizeof segment, header.e_phoff + i * sizeof segment) == sizeof segment, path);
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
      continue;
    const uintptr_t start = segment.p_vaddr & ~(uintptr_t)4095,
                    end = (uintptr_t)segment.p_vaddr + segment.p_memsz;
    map_low(start, end - start);
    check(pread(fd, (void *)(uintptr_t)segment.p_vaddr, segment.p_filesz, segment.p_offset) ==
              (ssize_t)segment.p_filesz,
          path);
  }
  close(fd);
}

enum { STACK = 0x60000000, STACK_SIZE = 1 << 16, DATA = 0x61000000, DATA_SIZE = 1 << 16 };

/* --- Calling ----------------------------------------------------------------------------------------------
 */

static struct cpu_state cpu;

static void push(uint32_t value) {
  cpu.gpr[GPR_ESP] -= 4;
  memcpy((void *)(uintptr_t)cpu.gpr[GPR_ESP], &value, sizeof value);
}

/* As i386 code calls it: arguments and the return address on the guest's stack, the result in EAX. */
static uint32_t crc32(const char *text) {
  const guest_addr back = 0xFFFFFFF0; /* no guest code is there: it only has to come back */
  const size_t length = strnlen(text, DATA_SIZE);
  memcpy((void *)(uintptr_t)DATA, text, length); /* guest code reaches only the low 4 GiB */
  cpu.gpr[GPR_ESP] = STACK + STACK_SIZE;
  push((uint32_t)length);
  push(DATA);
  push(back);
  guest_enter(&cpu, guest_crc32);
  if (cpu.eip != back)
    guest_left("another address than its return address", cpu.eip);
  return cpu.gpr[GPR_EAX];
}

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  load_program(argv[1]);
  map_low(STACK, STACK_SIZE);
  map_low(DATA, DATA_SIZE);
  check(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu) == 0, "arch_prctl");
  for (int i = 2; i < argc; i++)
    printf("%08x  %s\n", crc32(argv[i]), argv[i]);
  return 0;
}
