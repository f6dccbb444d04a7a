/* The memory calls that the sequence is written in. Two programs provide them: an i386 one by system calls
 * of the kernel (native.c), the test by the guest-memory module (sequence_test.c). Results are as the
 * system call's: a value or a negative errno. */
#ifndef UEMU_TEST_MEMORY_CALLS_H
#define UEMU_TEST_MEMORY_CALLS_H

#include <stdint.h>

int32_t call_map(uint32_t address, uint32_t length, int prot, int flags, int fd, uint32_t page_offset);
int32_t call_unmap(uint32_t address, uint32_t length);
int32_t call_protect(uint32_t address, uint32_t length, int prot);
int32_t call_remap(uint32_t old, uint32_t old_length, uint32_t new_length, int flags, uint32_t new);
int32_t call_brk(uint32_t wanted);
int32_t call_advise(uint32_t address, uint32_t length, int advice);
int32_t call_sync(uint32_t address, uint32_t length, int flags);
int32_t call_in_core(uint32_t address, uint32_t length, uint8_t *vector);
int32_t call_remap_file(uint32_t address, uint32_t length, int prot, uint32_t page_offset, int flags);
int32_t call_lock(uint32_t address, uint32_t length, int flags);
int32_t call_unlock(uint32_t address, uint32_t length);
int32_t call_lock_all(int flags);
int32_t call_unlock_all(void);
int32_t call_attach(int shmid, uint32_t address, int flags);
int32_t call_detach(uint32_t address);
/* RLIMIT_AS or RLIMIT_DATA, the soft limit. */
void call_limit(int resource, uint64_t bytes);

/* What faults mean to the guest: the si_code a SIGSEGV has for it; and whether the access may be tried
 * again, having been a matter between emulator and host. */
int fault_code(uint32_t address, int host_code);
int fault_is_retried(uint32_t address);

/* Prints every run of mapped pages with equal permissions: "START-END rwxs". */
void print_runs(void);

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* sequence.c: the calls, and what they gave, printed line by line. `directory` is for files. */
void sequence_directed(const char *directory);
void sequence_random(const char *directory, uint32_t seed, int steps);
void sequence_placement(void);

#endif
