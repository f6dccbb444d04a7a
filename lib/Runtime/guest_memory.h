/* Guest memory: the low 4 GiB of the emulator's own address space, at the same addresses.
 *
 * A guest address is a host address. Guest pages carry the guest's own protections, so a guest
 * fault is a host SIGSEGV; the one exception are pages that hold translated code and are
 * writable: they are write-protected on the host until somebody writes to them
 * (docs/self-modifying-code.md).
 *
 * Addresses and lengths are bytes, pages are 4096 bytes. Functions return 0 or a guest address
 * on success and a negative errno on failure, as the system call of the same name would
 * (mmap(2), mprotect(2), mremap(2), brk(2)). Thread rules: every function may be called from any
 * guest thread's C code; one internal lock orders them; guest_memory_write_fault is
 * async-signal-safe. */
#ifndef UEMU_RUNTIME_GUEST_MEMORY_H
#define UEMU_RUNTIME_GUEST_MEMORY_H

#include "Runtime/cpu_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUEST_PAGE_SIZE = 4096, GUEST_PAGE_SHIFT = 12 };

/* End of user space for a 32-bit process under an x86-64 kernel. */
#define GUEST_TASK_SIZE 0xFFFFE000u

/* What is known of one guest page. Zero: nothing is mapped there. */
enum guest_page {
  GUEST_PAGE_READ = 1 << 0,   /* the guest's PROT_READ */
  GUEST_PAGE_WRITE = 1 << 1,  /* the guest's PROT_WRITE */
  GUEST_PAGE_EXEC = 1 << 2,   /* the guest's PROT_EXEC */
  GUEST_PAGE_MAPPED = 1 << 3, /* some mapping covers the page */
  GUEST_PAGE_SHARED = 1 << 4, /* MAP_SHARED */
  GUEST_PAGE_FILE = 1 << 5,   /* a file is behind it */
  GUEST_PAGE_CODE = 1 << 6,   /* translations were made from it; write-protected if WRITE */
  GUEST_PAGE_GROWS = 1 << 7,  /* MAP_GROWSDOWN: the host kernel extends the mapping downwards */
};

static inline void *guest_to_host(guest_addr address) { return (void *)(uintptr_t)address; }

/* Reserves the guest's range (PROT_NONE, nothing committed). Fails with -EEXIST (something of
 * the host already lies below 4 GiB) or the errno of mmap(2). Call once, first. */
int guest_memory_init(void);

/* Around fork(2), in this order with the runtime's other locks: prepare holds the module's lock, so that
 * the child finds it and what it guards whole; done releases it, in parent and child. */
void guest_memory_fork_prepare(void);
void guest_memory_fork_done(void);

/* READ_IMPLIES_EXEC of personality(2): mappings that ask for PROT_READ get PROT_EXEC too. */
void guest_memory_set_read_implies_exec(bool on);

/* RLIMIT_AS and RLIMIT_DATA of the guest (soft limits, bytes; RLIM_INFINITY for none). The host's own
 * would count the emulator's memory too: guest_memory_init takes the inherited ones over as the guest's
 * and raises the host's to the hard limit; setrlimit(2) of the guest ends here. */
void guest_memory_set_limits(uint64_t address_space, uint64_t data);
void guest_memory_limits(uint64_t *address_space, uint64_t *data);

/* mmap2(2) with flags and protections of the i386 ABI (equal to x86-64's). offset is in bytes.
 * Without MAP_FIXED the address is chosen as an x86-64 kernel does for a 32-bit process: top
 * down below the stack's gap. Returns the guest address or a negative errno. */
int64_t guest_memory_map(guest_addr address, uint32_t length, int prot, int flags, int fd, uint64_t offset);
int guest_memory_unmap(guest_addr address, uint32_t length);
int guest_memory_protect(guest_addr address, uint32_t length, int prot);
int64_t guest_memory_remap(guest_addr old_address, uint32_t old_length, uint32_t new_length, int flags,
                           guest_addr new_address);
int guest_memory_advise(guest_addr address, uint32_t length, int advice);
int guest_memory_sync(guest_addr address, uint32_t length, int flags);
int guest_memory_in_core(guest_addr address, uint32_t length, uint8_t *vector);
int guest_memory_remap_file(guest_addr address, uint32_t length, int prot, uint32_t page_offset, int flags);
/* mlock2(2), munlock(2), mlockall(2), munlockall(2). */
int guest_memory_lock(guest_addr address, uint32_t length, int flags);
int guest_memory_unlock(guest_addr address, uint32_t length);
int guest_memory_lock_all(int flags);
int guest_memory_unlock_all(void);
/* shmat(2), shmdt(2): address as the guest asked, or 0. */
int64_t guest_memory_attach(int shmid, guest_addr address, int flags);
int guest_memory_detach(guest_addr address);

/* The break. guest_memory_set_brk_start is the loader's; guest_memory_brk is brk(2): returns the
 * new break, or the old one where the move is not possible. */
void guest_memory_set_brk_start(guest_addr start);
guest_addr guest_memory_brk(guest_addr wanted);

/* Sets where the top-down search for free addresses begins: below the stack of stack_limit
 * bytes (RLIMIT_STACK) and its gap, as the kernel's mmap_base() does. The loader calls it before it maps
 * anything; it then maps the stack's first pages (as many as it fills, and 128 KiB more, as exec does)
 * with MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED|MAP_GROWSDOWN, and the host kernel grows them. */
void guest_memory_set_stack_limit(uint64_t stack_limit);

/* The enum guest_page bits of the page that holds `address`. Lock-free. */
uint8_t guest_memory_page(guest_addr address);

/* Does every page of [address, address+length) have all of `bits`? length 0: true. */
bool guest_memory_has(guest_addr address, uint32_t length, uint8_t bits);

/* Walks mappings upward for /proc/self/maps and dumps: finds the first run of mapped pages with equal
 * bits (GUEST_PAGE_CODE left out) at or above *start; false when there is none. */
bool guest_memory_next_run(guest_addr *start, uint32_t *length, uint8_t *bits);

/* Another number whenever a file's pages become executable: who remembers which file is mapped where must
 * look again. Lock-free. */
uint32_t guest_memory_code_files(void);

/* --- Translated code ----------------------------------------------------------------------
 * The code cache registers what must be dropped when guest code changes or goes. It is called
 * with the lock held, for page-aligned ranges that had GUEST_PAGE_CODE. */
void guest_memory_set_code_dropper(void (*drop)(guest_addr address, uint32_t length));

/* The translator reads instructions from [address, address+length): mark its pages CODE and
 * write-protect those that are writable. Call it before reading the bytes: a write by another thread
 * in between would go unseen. */
void guest_memory_code_translated(guest_addr address, uint32_t length);

/* The host kernel, or C code, is about to write [address, address+length): drop the translations
 * of those pages and lift the protection, so that the write neither fails nor goes unseen. */
void guest_memory_write_begin(guest_addr address, uint32_t length);

/* From the host's SIGSEGV handler: true if the fault was a write to a page that is writable for
 * the guest and was protected for its translations; they are dropped and the write may be
 * retried. */
bool guest_memory_write_fault(guest_addr address);

/* --- C code reading and writing guest memory ----------------------------------------------
 * Copies that survive bad guest addresses: 0, or -EFAULT when a byte could not be accessed.
 * guest_copy_out does guest_memory_write_begin itself. */
int guest_copy_in(void *to, guest_addr from, size_t length);
int guest_copy_out(guest_addr to, const void *from, size_t length);
/* Length in bytes of the NUL-terminated string at `from`, without the NUL; -EFAULT if it runs into
 * an unreadable page, -ENAMETOOLONG if there is no NUL within `limit` bytes. */
int64_t guest_string_length(guest_addr from, size_t limit);

/* For the SIGSEGV handler: if host address `pc` is inside one of the copies above, the address to
 * resume at so that the copy returns -EFAULT; else 0. */
uintptr_t guest_copy_fixup(uintptr_t pc);

#endif
