/* ioctl(2): looks the request up and passes it on.
 *
 * A request that the table does not know is ENOTTY, as from a driver that does not know it, with a
 * line in the log: passed on blindly, one whose data has another layout would write over the guest's
 * memory. */
#include "Linux/host_syscall.h"
#include "Linux/ioctl_table.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

int32_t sys_ioctl(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t request = arg[1];
  const struct ioctl_row *row = ioctl_find(request);
  if (!row) {
    const long valid = HOST_CALL(SYS_fcntl, arg[0], F_GETFD);
    if (valid < 0)
      return (int32_t)valid;
    log_line(LOG_UNIMPLEMENTED, "ioctl request %#x is not implemented", request);
    return -ENOTTY;
  }
  if (row->function)
    return row->function(thread, arg[0], request, arg[2]);

  uint32_t written = row->written;
  if (!written && request > 0xFFFF && (_IOC_DIR(request) & _IOC_READ))
    written = _IOC_SIZE(request);
  if (written)
    guest_memory_write_begin(arg[2], written);
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_ioctl, arg[0], row->host_request ? row->host_request : request, arg[2]));
}
