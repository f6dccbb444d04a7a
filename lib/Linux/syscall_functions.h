/* Declares sys_NAME() for every row of every area; the areas' own .c files include it. */
#ifndef UEMU_LINUX_SYSCALL_FUNCTIONS_H
#define UEMU_LINUX_SYSCALL_FUNCTIONS_H

#include "Linux/syscall.h"

#define SYSCALL(number, name, ...) syscall_function sys_##name;
#include "Linux/syscall_areas.h"
#undef SYSCALL

#endif
