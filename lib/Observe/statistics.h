/* --stats: what a process did and where its time went, as one table at its end (docs/profiling.md). */
#ifndef UEMU_OBSERVE_STATISTICS_H
#define UEMU_OBSERVE_STATISTICS_H

#include "Linux/process.h"

#include <stdbool.h>

/* The process begins: its clock runs, and samples are taken where the host allows it. */
void statistics_start(void);

/* The same for the child of a fork. */
void statistics_forked(void);

/* Samples are kept in little memory: takes out those that are there. To be called now and then. */
void statistics_drain(void);

/* Writes the table to the log. */
void statistics_print(const struct process *process, const char *how);

#endif
