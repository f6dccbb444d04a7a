/* Where log_line() (syscall.h) writes. */
#ifndef UEMU_LINUX_LOG_H
#define UEMU_LINUX_LOG_H

#include <stdbool.h>

/* Opens the log: the file (created, appended to), or for NULL what stderr is now, whatever the
 * guest does to its own descriptor 2 later. 0 or a negative errno. Until it is called, lines go to
 * descriptor 2. */
int log_open(const char *file);

/* The log's descriptor, kept away from the guest's; -1 without one. */
int log_descriptor(void);

/* Moves the log to another descriptor: the guest wants this one. 0 or a negative errno. */
int log_move(void);

/* Writes text to the log, or to descriptor 2 without one, as it is. */
void log_text(const char *text);

#endif
