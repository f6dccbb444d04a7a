/* siginfo_t between the host's layout and the i386 ABI's.
 *
 * The two differ in the width of addresses, times and sigval. Which member of the union is meant follows
 * from the signal and its code (kernel/signal.c, siginfo_layout()). */
#include "Linux/signal.h"

#include <signal.h>
#include <string.h>

enum info_layout { INFO_KILL, INFO_TIMER, INFO_POLL, INFO_FAULT, INFO_CHILD, INFO_QUEUE, INFO_SYSCALL };

/* Signals whose positive codes say what the kernel found, up to which code, and where it put it. */
static const struct {
  uint8_t last_code;
  uint8_t layout; /* enum info_layout */
} kernel_codes[] = {
    [SIGILL] = {11, INFO_FAULT}, [SIGFPE] = {15, INFO_FAULT},  [SIGSEGV] = {10, INFO_FAULT},
    [SIGBUS] = {5, INFO_FAULT},  [SIGTRAP] = {6, INFO_FAULT},  [SIGCHLD] = {6, INFO_CHILD},
    [SIGPOLL] = {6, INFO_POLL},  [SIGSYS] = {2, INFO_SYSCALL},
};

static enum info_layout layout_of(int signal, int code) {
  enum { POLL_CODES = 6 };
  if (code > SI_USER && code < SI_KERNEL) {
    if (signal > 0 && (size_t)signal < sizeof kernel_codes / sizeof *kernel_codes &&
        code <= kernel_codes[signal].last_code)
      return kernel_codes[signal].layout;
    return code <= POLL_CODES ? INFO_POLL : INFO_KILL;
  }
  if (code == SI_TIMER)
    return INFO_TIMER;
  if (code == SI_SIGIO)
    return INFO_POLL;
  return code < 0 ? INFO_QUEUE : INFO_KILL;
}

void signal_info_to_guest(struct guest_siginfo *to, const siginfo_t *from) {
  memset(to, 0, sizeof *to);
  to->signo = from->si_signo;
  to->error = from->si_errno;
  to->code = from->si_code;
  uint32_t *field = to->field;
  switch (layout_of(from->si_signo, from->si_code)) {
  case INFO_KILL:
    field[0] = (uint32_t)from->si_pid;
    field[1] = from->si_uid;
    break;
  case INFO_TIMER:
    field[0] = (uint32_t)from->si_timerid;
    field[1] = (uint32_t)from->si_overrun;
    field[2] = (uint32_t)from->si_int;
    break;
  case INFO_POLL:
    field[0] = (uint32_t)from->si_band;
    field[1] = (uint32_t)from->si_fd;
    break;
  case INFO_FAULT:
    field[0] = (uint32_t)(uintptr_t)from->si_addr;
    if (from->si_signo == SIGBUS && (from->si_code == BUS_MCEERR_AR || from->si_code == BUS_MCEERR_AO))
      field[1] = (uint16_t)from->si_addr_lsb;
    break;
  case INFO_CHILD:
    field[0] = (uint32_t)from->si_pid;
    field[1] = from->si_uid;
    field[2] = (uint32_t)from->si_status;
    field[3] = (uint32_t)from->si_utime;
    field[4] = (uint32_t)from->si_stime;
    break;
  case INFO_QUEUE:
    field[0] = (uint32_t)from->si_pid;
    field[1] = from->si_uid;
    field[2] = (uint32_t)from->si_int;
    break;
  case INFO_SYSCALL:
    field[0] = (uint32_t)(uintptr_t)from->si_call_addr;
    field[1] = (uint32_t)from->si_syscall;
    field[2] = from->si_arch;
    break;
  }
}

void signal_info_from_guest(siginfo_t *to, const struct guest_siginfo *from) {
  memset(to, 0, sizeof *to);
  to->si_signo = from->signo;
  to->si_errno = from->error;
  to->si_code = from->code;
  const uint32_t *field = from->field;
  switch (layout_of(from->signo, from->code)) {
  case INFO_KILL:
    to->si_pid = (pid_t)field[0];
    to->si_uid = field[1];
    break;
  case INFO_TIMER:
    to->si_timerid = (int)field[0];
    to->si_overrun = (int)field[1];
    to->si_int = (int)field[2];
    break;
  case INFO_POLL:
    to->si_band = (int32_t)field[0];
    to->si_fd = (int)field[1];
    break;
  case INFO_FAULT:
    to->si_addr = (void *)(uintptr_t)field[0];
    break;
  case INFO_CHILD:
    to->si_pid = (pid_t)field[0];
    to->si_uid = field[1];
    to->si_status = (int)field[2];
    to->si_utime = (int32_t)field[3];
    to->si_stime = (int32_t)field[4];
    break;
  case INFO_QUEUE:
    to->si_pid = (pid_t)field[0];
    to->si_uid = field[1];
    to->si_int = (int)field[2];
    break;
  case INFO_SYSCALL:
    to->si_call_addr = (void *)(uintptr_t)field[0];
    to->si_syscall = (int)field[1];
    to->si_arch = field[2];
    break;
  }
}
