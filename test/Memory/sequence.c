/* A long sequence of memory calls. Every call's arguments and result go to print(), so that two runs, one
 * under the kernel and one in the guest-memory module, can be compared line by line. */
#include "calls.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { ARENA = 0x40000000, ARENA_PAGES = 512, FILE_BYTES = 5 * PAGE + 100 };

/* --- Touching memory ------------------------------------------------------------------------ */

static sigjmp_buf fault_jump;
static volatile int fault_signal, fault_detail;

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)context;
  const uint32_t address = (uint32_t)(uintptr_t)info->si_addr;
  if (number == SIGSEGV && fault_is_retried(address))
    return;
  fault_signal = number;
  fault_detail = number == SIGSEGV ? fault_code(address, info->si_code) : info->si_code;
  siglongjmp(fault_jump, 1);
}

static void catch_faults(void) {
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

static void read_at(uint32_t address) {
  volatile uint32_t *const word = (volatile uint32_t *)(uintptr_t)address;
  if (sigsetjmp(fault_jump, 0))
    print("read %#x: signal %d code %d\n", address, fault_signal, fault_detail);
  else
    print("read %#x: %#x\n", address, *word);
}

static void write_at(uint32_t address, uint32_t value) {
  volatile uint32_t *const word = (volatile uint32_t *)(uintptr_t)address;
  if (sigsetjmp(fault_jump, 0)) {
    print("write %#x: signal %d code %d\n", address, fault_signal, fault_detail);
  } else {
    *word = value;
    print("write %#x\n", address);
  }
}

/* --- Calls, printed ------------------------------------------------------------------------- */

static uint32_t show(int32_t result) {
  if (result < 0 && result > -4096)
    print(" = error %d\n", -result);
  else
    print(" = %#x\n", (uint32_t)result);
  return (uint32_t)result;
}
static bool failed(uint32_t result) { return result > (uint32_t)-4096; }

static uint32_t map(uint32_t address, uint32_t length, int prot, int flags, int fd, uint32_t page_offset) {
  print("mmap %#x %#x %d %#x %s %#x", address, length, prot, flags, fd < 0 ? "-" : "fd", page_offset);
  return show(call_map(address, length, prot, flags, fd, page_offset));
}
static uint32_t unmap(uint32_t address, uint32_t length) {
  print("munmap %#x %#x", address, length);
  return show(call_unmap(address, length));
}
static uint32_t protect(uint32_t address, uint32_t length, int prot) {
  print("mprotect %#x %#x %#x", address, length, prot);
  return show(call_protect(address, length, prot));
}
static uint32_t remap(uint32_t old, uint32_t old_length, uint32_t new_length, int flags, uint32_t new) {
  print("mremap %#x %#x %#x %d %#x", old, old_length, new_length, flags, new);
  return show(call_remap(old, old_length, new_length, flags, new));
}
static uint32_t move_break(uint32_t wanted) {
  print("brk %#x", wanted);
  return show(call_brk(wanted));
}
static void advise(uint32_t address, uint32_t length, int advice) {
  print("madvise %#x %#x %d", address, length, advice);
  show(call_advise(address, length, advice));
}
static void sync_range(uint32_t address, uint32_t length, int flags) {
  print("msync %#x %#x %d", address, length, flags);
  show(call_sync(address, length, flags));
}
static void in_core(uint32_t address, uint32_t length) {
  static uint8_t vector[ARENA_PAGES];
  print("mincore %#x %#x", address, length);
  show(call_in_core(address, length, vector));
}
static void lock(uint32_t address, uint32_t length, int flags) {
  print("mlock2 %#x %#x %d", address, length, flags);
  show(call_lock(address, length, flags));
}
static void unlock(uint32_t address, uint32_t length) {
  print("munlock %#x %#x", address, length);
  show(call_unlock(address, length));
}

static int open_file(const char *directory, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/file", directory);
  const int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
  return fd;
}

static void make_file(const char *directory) {
  const int fd = open_file(directory, O_RDWR | O_TRUNC);
  uint32_t word;
  for (uint32_t offset = 0; offset < FILE_BYTES; offset += sizeof word) {
    word = 0xF0000000 + offset;
    if (write(fd, &word, sizeof word) != sizeof word)
      print("cannot write the file\n");
  }
  close(fd);
}

/* --- Each rule by itself -------------------------------------------------------------------- */

static void map_errors(void) {
  print("# mmap: arguments\n");
  map(0, 0, RW, ANON, -1, 0);
  map(0, 0xFFFFF000, RW, ANON, -1, 0);
  map(0, 0xFFFFFFFF, RW, ANON, -1, 0);
  map(0, 0xFFFFE000, RW, ANON | MAP_NORESERVE, -1, 0);
  unmap(map(0, 0xC0000000, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), 0xC0000000);
  map(ARENA + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0);
  map(0xFFFFE000, PAGE, RW, ANON | MAP_FIXED, -1, 0);
  map(0xFFFFD000, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  map(0xFFFFF000, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  map(0, PAGE, RW, MAP_ANONYMOUS, -1, 0);
  map(0, PAGE, RW, MAP_ANONYMOUS | 7, -1, 0);
  map(0, PAGE, RW, MAP_PRIVATE, -1, 0);
  map(0, 0, RW, MAP_PRIVATE, -1, 0);
  map(0, PAGE, RW, MAP_PRIVATE, 999, 0);
  map(ARENA + 1, PAGE, RW, MAP_PRIVATE | MAP_FIXED, 999, 0);
  map(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
  unmap(map(0, PAGE, RW | 0x40, ANON, -1, 0), PAGE);
  unmap(map(0, PAGE, RW, ANON, -1, 0x12345), PAGE);
  unmap(map(0, 100, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 7), PAGE);
}

static void map_hints(void) {
  print("# mmap: hints\n");
  const uint32_t a = map(ARENA, 3 * PAGE, RW, ANON, -1, 0);
  map(ARENA, PAGE, RW, ANON, -1, 0);
  map(ARENA + 3 * PAGE + 5, PAGE, RW, ANON, -1, 0);
  map(ARENA - PAGE, 2 * PAGE, RW, ANON, -1, 0);
  map(ARENA - 2 * PAGE, 2 * PAGE, RW, ANON, -1, 0);
  map(5, PAGE, RW, ANON, -1, 0);
  map(0x1000, PAGE, PROT_NONE, ANON, -1, 0);
  map(0xFFFFF000, PAGE, RW, ANON, -1, 0);
  map(0xFFFFD000, 4 * PAGE, RW, ANON, -1, 0);
  map(0, PAGE, RW, ANON | MAP_32BIT, -1, 0);
  map(ARENA, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  map(ARENA + 8 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  map(ARENA + 7 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  map(ARENA + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
  write_at(a + PAGE, 1);
  write_at(a + 2 * PAGE, 1);
  print_runs();
  unmap(0x1000, 16 * PAGE);
  unmap(ARENA - 2 * PAGE, 16 * PAGE);
}

static void map_gaps(void) {
  print("# mmap: which gap\n");
  uint32_t at[8];
  for (int i = 0; i < 8; i++)
    at[i] = map(0, (uint32_t)(i + 1) * 4 * PAGE, i & 1 ? RW : PROT_READ, ANON, -1, 0);
  unmap(at[1], 8 * PAGE);
  unmap(at[4], 20 * PAGE);
  unmap(at[6] + PAGE, 3 * PAGE);
  map(0, 3 * PAGE, RW, ANON, -1, 0);
  map(0, 12 * PAGE, RW, ANON, -1, 0);
  map(0, 9 * PAGE, RW, ANON, -1, 0);
  map(0, 3 * PAGE, RW, ANON, -1, 0);
  map(0, 2 * PAGE, RW, ANON, -1, 0);
  map(0, PAGE, RW, ANON, -1, 0);
  map(0, 64u << 20, RW, ANON | MAP_NORESERVE, -1, 0);
  print("# until it is full\n");
  for (uint32_t size = 1u << 30; size >= 1u << 24; size >>= 1)
    for (int i = 0; i < 4; i++)
      if (failed(map(0, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0)))
        break;
  print_runs();
}

static void unmap_rules(void) {
  print("# munmap\n");
  unmap(ARENA + 1, PAGE);
  unmap(ARENA, 0);
  unmap(0xFFFFF000, PAGE);
  unmap(0xFFFFE000, 0);
  unmap(0xFFFFE000, PAGE);
  unmap(ARENA, 0xFFFFF000);
  unmap(ARENA, 64 * PAGE);
  map(ARENA, 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  unmap(ARENA + 2 * PAGE, PAGE + 1);
  read_at(ARENA + PAGE);
  read_at(ARENA + 2 * PAGE);
  read_at(ARENA + 3 * PAGE);
  read_at(ARENA + 4 * PAGE);
  unmap(ARENA - 4 * PAGE, 64 * PAGE);
  read_at(ARENA);
}

static void protect_rules(void) {
  print("# mprotect\n");
  map(ARENA, 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  unmap(ARENA + 4 * PAGE, PAGE);
  protect(ARENA + 1, PAGE, RW);
  protect(ARENA, 0, 0x1000);
  protect(ARENA, PAGE, 0x1000);
  protect(ARENA, PAGE, PROT_READ | 0x8);
  protect(ARENA, PAGE, 0x03000000);
  protect(ARENA, PAGE, 0x02000000);
  protect(ARENA, PAGE, 0x01000000);
  protect(ARENA + 4 * PAGE, PAGE, PROT_READ);
  protect(ARENA + 2 * PAGE, 4 * PAGE, PROT_NONE);
  protect(0xFFFFE000, PAGE, PROT_READ);
  protect(ARENA, 0xFFFFFFFF, PROT_READ | PROT_WRITE);
  protect(ARENA + 6 * PAGE, PAGE, PROT_NONE);
  for (uint32_t i = 0; i < 8; i++) {
    write_at(ARENA + i * PAGE, i);
    read_at(ARENA + i * PAGE);
  }
  print_runs();
  unmap(ARENA, 8 * PAGE);
}

static void file_rules(const char *directory) {
  print("# files\n");
  make_file(directory);
  const int rw = open_file(directory, O_RDWR), ro = open_file(directory, O_RDONLY);
  const int wo = open_file(directory, O_WRONLY), dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  map(ARENA, 3 * PAGE, RW, MAP_SHARED | MAP_FIXED, ro, 0);
  map(ARENA, 3 * PAGE, RW, MAP_SHARED | MAP_FIXED, wo, 0);
  map(ARENA, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, wo, 0);
  map(ARENA, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, dir, 0);
  map(ARENA, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN, ro, 0);
  map(ARENA, 3 * PAGE, PROT_READ, 3 /* MAP_SHARED_VALIDATE */ | MAP_FIXED | 0x10000000, ro, 0);
  map(ARENA, 8 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, ro, 0);
  read_at(ARENA);
  read_at(ARENA + 5 * PAGE);
  read_at(ARENA + 5 * PAGE + 200);
  read_at(ARENA + 6 * PAGE);
  write_at(ARENA, 1);
  protect(ARENA, PAGE, RW);
  map(ARENA + 8 * PAGE, 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, ro, 1);
  protect(ARENA, 12 * PAGE, RW);
  write_at(ARENA + 8 * PAGE, 1);
  write_at(ARENA + 11 * PAGE, 1);
  read_at(ARENA + 11 * PAGE + 4);
  map(ARENA + 12 * PAGE, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, rw, 2);
  write_at(ARENA + 12 * PAGE, 0x77);
  read_at(ARENA + 2 * PAGE);
  sync_range(ARENA + 12 * PAGE, 4 * PAGE, MS_SYNC);
  sync_range(ARENA + 12 * PAGE, 8 * PAGE, MS_SYNC);
  sync_range(ARENA + 12 * PAGE, PAGE, MS_SYNC | MS_ASYNC);
  sync_range(ARENA + 12 * PAGE + 1, PAGE, MS_ASYNC);
  sync_range(ARENA + 30 * PAGE, 0, MS_ASYNC);
  print("remap_file_pages");
  show(call_remap_file(ARENA + 12 * PAGE, PAGE, 0, 3, 0));
  read_at(ARENA + 12 * PAGE);
  print("remap_file_pages");
  show(call_remap_file(ARENA + 8 * PAGE, PAGE, 0, 3, 0));
  print("remap_file_pages");
  show(call_remap_file(ARENA + 12 * PAGE, PAGE, PROT_READ, 3, 0));
  print("remap_file_pages");
  show(call_remap_file(ARENA + 20 * PAGE, PAGE, 0, 3, 0));
  map(0, 2 * PAGE, PROT_READ, MAP_PRIVATE, ro, 0x80000000);
  map(0, 2 * PAGE, PROT_READ, MAP_PRIVATE, ro, 0xFFFFFFFF);
  print_runs();
  unmap(ARENA, 16 * PAGE);
  close(rw), close(ro), close(wo), close(dir);
}

static void remap_rules(const char *directory) {
  print("# mremap\n");
  const uint32_t far = ARENA + 64 * PAGE;
  map(ARENA, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  write_at(ARENA, 0x1234);
  remap(ARENA + 1, PAGE, PAGE, 0, 0);
  remap(ARENA, PAGE, 0, 0, 0);
  remap(ARENA, PAGE, PAGE, 8, 0);
  remap(ARENA, PAGE, 0xFFFFFFFF, 1, 0);
  remap(ARENA, PAGE, PAGE, MREMAP_FIXED, far);
  remap(ARENA, 4 * PAGE, 4 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, ARENA + PAGE);
  remap(ARENA, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, far + 1);
  remap(ARENA, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, 0xFFFFE000);
  remap(ARENA, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, 0);
  remap(ARENA - PAGE, PAGE, PAGE, 0, 0);
  remap(ARENA - PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
  remap(ARENA, 0, PAGE, MREMAP_MAYMOVE, 0);
  remap(ARENA, 5 * PAGE, 8 * PAGE, MREMAP_MAYMOVE, 0);
  remap(ARENA, 5 * PAGE, 5 * PAGE, 0, 0);
  print("# grow in place, shrink, move\n");
  remap(ARENA, 4 * PAGE, 8 * PAGE, 0, 0);
  write_at(ARENA + 7 * PAGE, 7);
  remap(ARENA, 8 * PAGE, 3 * PAGE, 0, 0);
  read_at(ARENA + 3 * PAGE);
  map(ARENA + 5 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
  remap(ARENA, 3 * PAGE, 6 * PAGE, 0, 0);
  uint32_t moved = remap(ARENA, 3 * PAGE, 6 * PAGE, MREMAP_MAYMOVE, 0);
  read_at(moved);
  read_at(ARENA);
  write_at(moved + 5 * PAGE, 1);
  remap(moved, 2 * PAGE, 3 * PAGE, 0, 0);
  remap(moved, 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, far);
  read_at(far);
  remap(far, 6 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, ARENA);
  read_at(ARENA);
  read_at(far + 4 * PAGE);
  remap(ARENA, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, far);
  read_at(far);
  moved = remap(far, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  read_at(moved);
  read_at(far);
  remap(far, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, ARENA + 32 * PAGE);
  remap(far, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, ARENA + 48 * PAGE);
  print_runs();
  print("# mixed protections, holes, shared\n");
  map(ARENA, 6 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  write_at(ARENA, 0x55);
  protect(ARENA + 2 * PAGE, 2 * PAGE, PROT_READ);
  remap(ARENA, 6 * PAGE, 12 * PAGE, MREMAP_MAYMOVE, 0);
  remap(ARENA, 6 * PAGE, 2 * PAGE, 0, 0);
  map(ARENA, 6 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  unmap(ARENA + 2 * PAGE, PAGE);
  remap(ARENA, 6 * PAGE, PAGE, 0, 0);
  remap(ARENA, 3 * PAGE, 6 * PAGE, MREMAP_MAYMOVE, 0);
  const uint32_t shared = map(ARENA, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  write_at(shared, 0x66);
  moved = remap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE, 0);
  read_at(moved);
  remap(shared, 0, 2 * PAGE, 0, 0);
  remap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, far);
  read_at(far);
  make_file(directory);
  const int fd = open_file(directory, O_RDWR);
  map(ARENA, 2 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 1);
  close(fd);
  remap(ARENA, 2 * PAGE, 4 * PAGE, 0, 0);
  read_at(ARENA + 3 * PAGE);
  remap(ARENA, 4 * PAGE, 6 * PAGE, 0, 0);
  read_at(ARENA + 5 * PAGE);
  remap(ARENA, 6 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, far);
  read_at(far);
  remap(0xFFFFF000, PAGE, PAGE, 0, 0);
  print_runs();
  unmap(ARENA, 256 * PAGE);
}

static void break_rules(void) {
  print("# brk\n");
  const uint32_t start = move_break(0);
  move_break(1);
  move_break(start + 10);
  uint32_t up = move_break(start + 0x20000);
  write_at(up - 4, 1);
  move_break(start + 0x10000);
  read_at(start + 0x18000);
  move_break(start + 0x20001);
  read_at(start + 0x18000);
  move_break(0xFFFFFFF0);
  move_break(0xF0000000);
  const uint32_t top = (start + 0x20001 + PAGE - 1) & ~(uint32_t)(PAGE - 1);
  const uint32_t wall = top + 0x10000;
  map(wall, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
  move_break(wall);
  move_break(wall - PAGE + 1);
  move_break(wall - PAGE);
  move_break(wall - 2 * PAGE);
  map(wall + 512 * PAGE, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
  unmap(wall, PAGE);
  move_break(wall + 258 * PAGE);
  move_break(wall + 255 * PAGE);
  move_break(wall + 255 * PAGE + 1);
  unmap(wall + 512 * PAGE, PAGE);
  unmap(top, PAGE);
  move_break(start);
  move_break(start + 0x3000);
  print_runs();
  move_break(start);
}

static void growth_rules(void) {
  print("# MAP_GROWSDOWN\n");
  const uint32_t stack = ARENA + 256 * PAGE;
  map(stack, 2 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
  write_at(stack - 4, 0x11);
  write_at(stack - 40 * PAGE, 0x22);
  read_at(stack - 20 * PAGE);
  in_core(stack - 40 * PAGE, 42 * PAGE);
  in_core(stack - 41 * PAGE, PAGE);
  print_runs();
  map(stack - 45 * PAGE, 2 * PAGE, RW, ANON, -1, 0);
  map(stack - 45 * PAGE, 2 * PAGE, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  map(stack - 41 * PAGE, 2 * PAGE, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  write_at(stack - 42 * PAGE, 0x33);
  write_at(stack - 44 * PAGE, 0x33);
  unmap(stack - 45 * PAGE, 2 * PAGE);
  write_at(stack - 45 * PAGE, 0x44);
  protect(stack, PAGE, PROT_READ | 0x01000000 /* PROT_GROWSDOWN */);
  write_at(stack - 50 * PAGE, 0x33);
  write_at(stack, 0x33);
  write_at(stack + PAGE, 0x33);
  unmap(stack - 10 * PAGE, 4 * PAGE);
  write_at(stack - 7 * PAGE, 0x34);
  write_at(stack - 8 * PAGE, 0x34);
  print_runs();
  map(stack - 100 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
  write_at(stack - 90 * PAGE, 0x35);
  unmap(ARENA, 512 * PAGE);
  read_at(stack - PAGE);
  write_at(stack - 7 * PAGE, 0x34);
  print("# a guard gap below it\n");
  const uint32_t low = map(0, 300 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
  const uint32_t below = map(0, 2 * PAGE, RW, ANON, -1, 0);
  map(low - 2 * PAGE, PAGE, RW, ANON, -1, 0);
  unmap(low, 300 * PAGE);
  map(0, 256 * PAGE, RW, ANON, -1, 0);
  unmap(below, 2 * PAGE);
}

static void walk_rules(void) {
  print("# madvise, mincore, mlock\n");
  map(ARENA, 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
  unmap(ARENA + 4 * PAGE, PAGE);
  write_at(ARENA + 2 * PAGE, 5);
  write_at(ARENA + 6 * PAGE, 5);
  advise(ARENA, PAGE, 77);
  advise(ARENA + 1, PAGE, MADV_DONTNEED);
  advise(ARENA, 0, MADV_DONTNEED);
  advise(ARENA + 64 * PAGE, PAGE, MADV_DONTNEED);
  advise(ARENA + 64 * PAGE, PAGE, 77);
  advise(ARENA, 8 * PAGE, MADV_DONTNEED);
  read_at(ARENA + 2 * PAGE);
  read_at(ARENA + 6 * PAGE);
  advise(ARENA, 8 * PAGE, MADV_REMOVE);
  advise(ARENA, 8 * PAGE, 23 /* MADV_POPULATE_WRITE */);
  advise(ARENA, 4 * PAGE, 23);
  advise(ARENA, 0xFFFFFFFF, MADV_NORMAL);
  in_core(ARENA, 4 * PAGE);
  in_core(ARENA, 5 * PAGE);
  in_core(ARENA + 1, PAGE);
  in_core(ARENA + 4 * PAGE, PAGE);
  in_core(ARENA + 4 * PAGE, 0);
  in_core(0xFFFFF000, 2 * PAGE);
  lock(ARENA, 2 * PAGE, 0);
  lock(ARENA + 5, 1, 1);
  lock(ARENA, 2 * PAGE, 2);
  lock(ARENA, 8 * PAGE, 0);
  lock(ARENA + 4 * PAGE, PAGE, 0);
  lock(ARENA + 4 * PAGE, 0, 0);
  unlock(ARENA, 4 * PAGE);
  unlock(ARENA, 8 * PAGE);
  protect(ARENA, PAGE, PROT_NONE);
  lock(ARENA, 2 * PAGE, 0);
  unlock(ARENA, 2 * PAGE);
  print("mlockall");
  show(call_lock_all(0));
  print("mlockall");
  show(call_lock_all(4));
  print("mlockall");
  show(call_lock_all(8 | 1));
  print("munlockall");
  show(call_unlock_all());
  unmap(ARENA, 8 * PAGE);
}

static void segment_rules(void) {
  print("# shmat\n");
  const int id = shmget(IPC_PRIVATE, 3 * PAGE + 1, 0600 | IPC_CREAT);
  print("shmat");
  show(call_attach(-1, 0, 0));
  print("shmat");
  show(call_attach(id, 0, SHM_REMAP));
  print("shmat");
  show(call_attach(id, ARENA + 1, 0));
  print("shmat");
  show(call_attach(id, 5, SHM_REMAP | SHM_RND));
  print("shmat");
  show(call_attach(id, 0xFFFFD000, 0));
  print("shmat");
  const uint32_t a = show(call_attach(id, 0, 0));
  write_at(a, 0x99);
  print("shmat");
  const uint32_t b = show(call_attach(id, ARENA + 5, SHM_RND | SHM_RDONLY));
  read_at(b);
  write_at(b, 1);
  print("shmat");
  show(call_attach(id, ARENA + PAGE, 0));
  print("shmat");
  show(call_attach(id, ARENA + 4 * PAGE, 0));
  print_runs();
  print("shmdt");
  show(call_detach(ARENA + PAGE));
  print("shmdt");
  show(call_detach(ARENA + 5));
  print("shmdt");
  show(call_detach(ARENA));
  read_at(ARENA);
  read_at(ARENA + 4 * PAGE);
  print("shmat");
  show(call_attach(id, ARENA + 2 * PAGE, SHM_REMAP));
  print("shmdt");
  show(call_detach(ARENA + 2 * PAGE));
  map(ARENA + 6 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
  print("shmat");
  show(call_attach(id, ARENA + 4 * PAGE, 0));
  unmap(ARENA, 16 * PAGE);
  print("shmdt");
  show(call_detach(a));
  read_at(a);
  print_runs();
  shmctl(id, IPC_RMID, NULL);
  print("shmat");
  show(call_attach(id, 0, 0));
}

static void limit_rules(void) {
  print("# RLIMIT_AS, RLIMIT_DATA\n");
  call_limit(RLIMIT_AS, 300u << 20);
  uint32_t a = map(0, 200u << 20, PROT_READ, ANON, -1, 0);
  map(0, 150u << 20, PROT_READ, ANON, -1, 0);
  map(a, 200u << 20, PROT_READ, ANON | MAP_FIXED, -1, 0);
  remap(a, 200u << 20, 350u << 20, MREMAP_MAYMOVE, 0);
  a = remap(a, 200u << 20, 250u << 20, MREMAP_MAYMOVE, 0);
  unmap(a, 250u << 20);
  call_limit(RLIMIT_AS, RLIM_INFINITY);
  call_limit(RLIMIT_DATA, 100u << 20);
  map(0, 120u << 20, RW, ANON, -1, 0);
  a = map(0, 120u << 20, PROT_READ, ANON, -1, 0);
  protect(a, 120u << 20, RW);
  protect(a, 60u << 20, RW);
  const uint32_t start = move_break(0);
  move_break(start + (90u << 20));
  move_break(start + (20u << 20));
  move_break(start);
  unmap(a, 120u << 20);
  call_limit(RLIMIT_DATA, RLIM_INFINITY);
}

void sequence_directed(const char *directory) {
  catch_faults();
  map_errors();
  map_hints();
  unmap_rules();
  protect_rules();
  file_rules(directory);
  remap_rules(directory);
  break_rules();
  growth_rules();
  walk_rules();
  segment_rules();
  limit_rules();
  map_gaps();
}

/* --- Where the first mappings go --------------------------------------------------------------- */

void sequence_placement(void) {
  catch_faults();
  map(0, PAGE, RW, ANON, -1, 0);
  map(0, 1u << 20, RW, ANON, -1, 0);
  map(0, 1u << 30, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
  map(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  map(0, 2u << 20, RW, ANON, -1, 0);
}

/* --- Anything, many times ------------------------------------------------------------------------ */

static uint32_t random_state;
static uint32_t below(uint32_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state % limit;
}
static int random_access(void) {
  static const int access[] = {PROT_NONE,      PROT_READ,  RW,       RW, PROT_READ | PROT_EXEC,
                               RW | PROT_EXEC, PROT_WRITE, PROT_EXEC};
  return access[below(8)];
}
static uint32_t random_length(void) {
  const uint32_t length = (1 + below(24)) * PAGE;
  return below(8) ? length : length - 100;
}
static uint32_t random_place(void) { return ARENA + below(ARENA_PAGES) * PAGE; }

/* What the kernel placed for us, so that it can be taken apart too. */
enum { CHOSEN = 32 };
static uint32_t chosen[CHOSEN];
static uint32_t any_place(void) {
  const uint32_t place = chosen[below(CHOSEN)];
  return place && below(3) == 0 ? place + below(8) * PAGE : random_place();
}
static void remember(uint32_t place) {
  if (!failed(place) && place != 0)
    chosen[below(CHOSEN)] = place;
}

static void random_step(int fd) {
  static const int flags[] = {ANON, ANON, ANON, MAP_SHARED | MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED};
  const int kind = flags[below(6)];
  const int file = kind & MAP_ANONYMOUS ? -1 : fd;
  const uint32_t place = any_place(), length = random_length(), other = random_length();
  const uint32_t offset = below(4);
  switch (below(16)) {
  case 0:
  case 1:
    remember(map(0, length, random_access(), kind, file, offset));
    break;
  case 2:
    remember(map(place, length, random_access(), kind, file, offset));
    break;
  case 3:
  case 4:
    map(random_place(), length, random_access(), kind | MAP_FIXED, file, offset);
    break;
  case 5:
    map(random_place(), length, random_access(), kind | MAP_FIXED_NOREPLACE, file, offset);
    break;
  case 6:
    if (below(4) == 0)
      map(random_place(), length, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    else
      write_at(place, below(1000));
    break;
  case 7:
  case 8:
    unmap(place, length > 8 * PAGE ? 8 * PAGE : length);
    break;
  case 9:
  case 10:
    protect(random_place(), length, random_access());
    break;
  case 11:
    remember(remap(place, length, other, MREMAP_MAYMOVE, 0));
    break;
  case 12:
    remap(place, length, other, 0, 0);
    break;
  case 13:
    remap(place, length, below(2) ? length : other, MREMAP_MAYMOVE | MREMAP_FIXED, random_place());
    break;
  case 14:
    write_at(place, below(1000));
    read_at(place + PAGE);
    break;
  case 15:
    if (below(2))
      advise(random_place(), length, MADV_DONTNEED);
    else
      in_core(random_place(), length);
    break;
  }
}

void sequence_random(const char *directory, uint32_t seed, int steps) {
  catch_faults();
  make_file(directory);
  const int fd = open_file(directory, O_RDWR);
  random_state = seed * 2654435761u + 1;
  memset(chosen, 0, sizeof chosen);
  /* Steps reach some pages beyond what was chosen: this one keeps them off the vDSO above. */
  map(0, 64 * PAGE, PROT_NONE, ANON, -1, 0);
  for (int step = 0; step < steps; step++) {
    print("%d: ", step);
    random_step(fd);
    if (step % 100 == 99)
      print_runs();
  }
  print_runs();
  close(fd);
}
