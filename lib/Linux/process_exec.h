/* What execve(2) needs from the program's start. */
#ifndef UEMU_LINUX_PROCESS_EXEC_H
#define UEMU_LINUX_PROCESS_EXEC_H

/* A descriptor of the emulator's own executable for struct process's self_fd, close-on-exec; or a negative
 * errno. Call it once, before any other descriptor is opened. It works without /proc. */
int process_open_self(void);

/* Gives the variables that execve hid from the host's dynamic linker their own names again. */
void process_unmark_environment(char **environment);

#endif
