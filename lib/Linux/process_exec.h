/* What execve(2) needs from the program's start. */
#ifndef UEMU_LINUX_PROCESS_EXEC_H
#define UEMU_LINUX_PROCESS_EXEC_H

/* A descriptor of the emulator's own executable for struct process's self_fd, close-on-exec; or a negative
 * errno. Call it once, before any other descriptor is opened. It works without /proc. */
int process_open_self(void);

/* Gives the variables that execve hid from the host's dynamic linker their own names again. */
void process_unmark_environment(char **environment);

struct process;
struct loader_program;
struct loader_image;
/* Makes *process the one of a program that has been loaded: where its parts lie, its path and name, which the host is told,
 * too. */
void process_take_image(struct process *process, const struct loader_program *program,
                        const struct loader_image *image);

#endif
