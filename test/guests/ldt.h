/* Descriptors of the local table, for guest programs: modify_ldt(2) with a struct user_desc of these fields. */
#ifndef UEMU_TEST_GUESTS_LDT_H
#define UEMU_TEST_GUESTS_LDT_H

#include <asm/ldt.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0, or -1 with errno set. */
static int ldt_set(unsigned entry, uint32_t base, uint32_t limit, unsigned contents, int is_32, int read_only, int pages, int absent) {
  struct user_desc desc = {.entry_number = entry, .base_addr = base, .limit = limit, .seg_32bit = is_32, .contents = contents,
                           .read_exec_only = read_only, .limit_in_pages = pages, .seg_not_present = absent, .useable = 1};
  return (int)syscall(SYS_modify_ldt, 0x11, &desc, sizeof desc);
}

#endif
