/* Memory calls that other areas dispatch to as well: ipc(2) carries shmat and shmdt. */
#ifndef UEMU_LINUX_MEMORY_H
#define UEMU_LINUX_MEMORY_H

#include "Runtime/cpu_state.h"

#include <stdint.h>

/* shmat(2), shmdt(2): the address as the guest sees it in EAX, or 0, or a negative errno. */
int32_t memory_attach(int shmid, guest_addr address, int flags);
int32_t memory_detach(guest_addr address);

#endif
