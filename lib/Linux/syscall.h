/* The system-call table: one row a call, declared in the area's .def file.
 *
 * An area (files, memory, signals …) is a .c file with one small function a call and a .def file
 * with one row a call:
 *
 *     SYSCALL(3, read, 3, FD, OUT_BUFFER, SIZE)
 *
 * is number 3 of the i386 table, is done by sys_read(), takes 3 arguments, printed by -strace
 * and checked as the named kinds say. syscall_table.c includes every .def file.
 *
 * A function gets the six arguments as the guest's registers held them (ebx ecx edx esi edi ebp)
 * and returns what goes into EAX: a result, or a negative errno. */
#ifndef UEMU_LINUX_SYSCALL_H
#define UEMU_LINUX_SYSCALL_H

#include "Linux/process.h"

typedef int32_t syscall_function(struct thread *thread, const uint32_t arg[6]);

/* What an argument is: for -strace, and for buffers that the host kernel writes.
 * A kind marked (writes) makes the dispatcher call guest_memory_write_begin first. */
enum argument_kind {
  ARG_NONE,
  INT,        /* signed decimal */
  UINT,       /* unsigned decimal */
  HEX,        /* flags and the like */
  OCTAL,      /* modes */
  FD,         /* file descriptor; AT_FDCWD by name */
  PTR,        /* address */
  PATH,       /* NUL-terminated string */
  STRING,     /* the same, not a file's name */
  SIZE,       /* byte count */
  IN_BUFFER,  /* bytes; the next SIZE argument says how many */
  OUT_BUFFER, /* (writes) bytes; the next SIZE argument says how many at most */
  SIGNAL,     /* by name */
  OPEN_FLAGS, /* by name */
  MAP_PROT,   /* by name */
  MAP_FLAGS,  /* by name */
};

struct syscall_row {
  const char *name;
  syscall_function *function; /* NULL: ENOSYS */
  uint8_t argument_count;
  uint8_t kind[6]; /* enum argument_kind */
};

enum { SYSCALL_LIMIT = 512 };
extern const struct syscall_row syscall_table[SYSCALL_LIMIT];

/* Returned by a function that set the registers itself (sigreturn): EAX is left alone. In the range of errnos
 * but none of them, and so nothing that a call could return: addresses from 2 GiB up look negative. */
#define SYSCALL_KEEP_EAX (-4001)

/* As the kernel's own: the call was interrupted before it did anything. The dispatcher either
 * restarts it (eip -= 2) or turns it into EINTR, by the handler's SA_RESTART. */
#define ERESTARTSYS 512          /* restart if the handler has SA_RESTART */
#define ERESTARTNOINTR 513       /* restart always */
#define ERESTARTNOHAND 514       /* restart only if no handler ran */
#define ERESTART_RESTARTBLOCK 516 /* nanosleep and friends: as NOHAND, through restart_syscall */

/* One host system call, raw: the result or a negative errno; errno is untouched. If an interrupt
 * is pending for the thread (thread->cpu->interrupt) when it would enter the kernel, it does not
 * enter and returns -ERESTARTSYS: so a signal that arrives between the check and the block is
 * never lost (docs/signals.md). Use it for every call that may block. A call that the kernel
 * interrupted returns -EINTR as the kernel said: functions for restartable calls turn that into
 * -ERESTARTSYS with syscall_restartable(). */
long host_syscall(struct thread *thread, long number, long a0, long a1, long a2, long a3, long a4, long a5);

/* A call that did not enter the kernel starts again whatever the handler's flags: the signal came before it,
 * and a call that would not have blocked must not fail with EINTR. One that the kernel interrupted gives
 * `interrupted`: -EINTR, or what makes the dispatcher start it again. */
static inline int32_t syscall_interrupted(long result, int32_t interrupted) {
  if (result == -ERESTARTSYS)
    return -ERESTARTNOINTR;
  return result == -4 /* EINTR */ ? interrupted : (int32_t)result;
}

static inline int32_t syscall_restartable(long result) { return syscall_interrupted(result, -ERESTARTSYS); }

/* The path that a guest path means on the host: under the sysroot if the file is there, else
 * itself; /proc/self/exe and friends resolved by the caller. Copies into buffer (PATH_MAX bytes)
 * and returns 0, or -EFAULT, -ENAMETOOLONG, -ENOENT (empty). Only absolute paths are looked up
 * under the sysroot. */
int guest_path(struct thread *thread, guest_addr path, char *buffer);

/* The hook of the runtime: dispatches cpu's call through the table, with -strace. */
void linux_syscall(struct cpu_state *cpu);

/* One line to the log (-D FILE or stderr) if item is switched on (-d ITEMS). */
enum log_item { LOG_UNIMPLEMENTED = 1, LOG_STRACE = 2, LOG_EXEC = 4, LOG_SIGNAL = 8, LOG_JIT = 16, LOG_PAGE = 32, LOG_STATS = 64 };
extern uint32_t log_items;
void log_line(uint32_t item, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
