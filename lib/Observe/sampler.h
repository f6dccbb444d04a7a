/* Where a process spends its time, by the host's perf events: what the CPU is at, every few milliseconds of
 * user time. No signals, no system calls: the kernel writes samples to memory. */
#ifndef UEMU_OBSERVE_SAMPLER_H
#define UEMU_OBSERVE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

/* Starts to sample the threads of this process, those to come included. False if the host does not allow it
 * (perf_event_open(2), /proc/sys/kernel/perf_event_paranoid). */
bool sampler_start(void);
/* In the child of a fork: the parent's samples are not there. */
void sampler_forked(void);
/* Calls `each` for the samples since the last time; the address. */
void sampler_drain(void (*each)(uint64_t pc));

#endif
