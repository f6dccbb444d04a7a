/* From int 0x80 to a function of one of the areas, and back.
 *
 * While a function runs, EAX still holds the number, so that a call that must start again finds the
 * registers as they were. Then EAX gets the result, and signal_deliver_pending() looks at both what is
 * pending and, as thread->in_syscall says that EAX is a result, at the ERESTART codes: it puts EAX and EIP
 * back to the call or makes the code EINTR. */
#include "Linux/syscall.h"
#include "Linux/signal.h"
#include "Linux/strace.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <string.h>

/* Bytes of the buffer that argument `i` is: the next SIZE says. 0 if it is none that the kernel fills. */
static uint32_t buffer_length(const struct syscall_row *row, const uint32_t arg[6], int i) {
  if (row->kind[i] != OUT_BUFFER || arg[i] == 0)
    return 0;
  for (int j = i + 1; j < row->argument_count; j++)
    if (row->kind[j] == SIZE) {
      const uint32_t room = UINT32_MAX - arg[i];
      return arg[j] < room ? arg[j] : room;
    }
  return 0;
}

/* The host's kernel writes these buffers itself and would stumble over pages that are protected
 * because code was translated from them. */
static void release_buffers(const struct syscall_row *row, const uint32_t arg[6]) {
  for (int i = 0; i < row->argument_count; i++)
    if (buffer_length(row, arg, i))
      guest_memory_write_begin(arg[i], buffer_length(row, arg, i));
}

/* Did it stumble all the same, as another thread ran code from such a page in the meantime? */
static bool are_buffers_protected(const struct syscall_row *row, const uint32_t arg[6]) {
  const uint8_t protected = GUEST_PAGE_WRITE | GUEST_PAGE_CODE;
  for (int i = 0; i < row->argument_count; i++) {
    const uint32_t length = buffer_length(row, arg, i);
    for (uint32_t at = 0; at < length; at += GUEST_PAGE_SIZE)
      if ((guest_memory_page(arg[i] + at) & protected) == protected)
        return true;
  }
  return false;
}

/* exit, exit_group and what replaces the registers have no result to wait for. */
static bool may_not_return(const char *name) {
  return strncmp(name, "exit", 4) == 0 || strncmp(name, "exec", 4) == 0 || strstr(name, "sigreturn") != NULL;
}

void linux_syscall(struct cpu_state *cpu) {
  struct thread *thread = thread_of(cpu);
  const uint32_t number = cpu->gpr[GPR_EAX];
  const uint32_t arg[6] = {cpu->gpr[GPR_EBX], cpu->gpr[GPR_ECX], cpu->gpr[GPR_EDX],
                           cpu->gpr[GPR_ESI], cpu->gpr[GPR_EDI], cpu->gpr[GPR_EBP]};
  const struct syscall_row *row =
      number < SYSCALL_LIMIT && syscall_table[number].name ? &syscall_table[number] : NULL;
  const bool strace = thread->process->strace;

  thread->in_syscall = true;
  thread->syscall_number = number;

  int32_t result = -ENOSYS;
  if (row && row->function) {
    if (strace && may_not_return(row->name))
      strace_final_call(thread, number, row, arg);
    do {
      release_buffers(row, arg);
      result = row->function(thread, arg);
    } while (result == -EFAULT && are_buffers_protected(row, arg));
  } else {
    log_line(LOG_UNIMPLEMENTED, "system call %u%s%s is not implemented (eip %#x)", number, row ? " " : "",
             row ? row->name : "", cpu->eip - 2);
  }

  if (result == SYSCALL_KEEP_EAX) {
    thread->in_syscall = false;
  } else {
    if (strace)
      strace_call(thread, number, row, arg, result);
    cpu->gpr[GPR_EAX] = (uint32_t)result;
  }
  signal_deliver_pending(thread);
  thread->in_syscall = false;
}
