/* The i386 table, dense and indexed by number, put together from the areas' rows. Two areas that claim the
 * same number do not compile (-Woverride-init). */
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#define SYSCALL(number, call, count, ...)                                                                    \
  [number] = {.name = #call, .function = sys_##call, .argument_count = (count), .kind = {__VA_ARGS__}},

const struct syscall_row syscall_table[SYSCALL_LIMIT] = {
#include "Linux/syscall_areas.h"
};
