/* Key management: keyrings(7). Two of keyctl's operations have pointers inside structs. */
#include "Linux/abi_misc.h"
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/iovec.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <linux/keyctl.h>

int32_t sys_add_key(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_add_key, guest_to_host(arg[0]), guest_to_host(arg[1]), guest_to_host(arg[2]),
                            arg[3], (int)arg[4]);
}

int32_t sys_request_key(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_request_key, guest_to_host(arg[0]),
                                                guest_to_host(arg[1]), guest_to_host(arg[2]), (int)arg[3]));
}

static int32_t key_instantiate(const uint32_t arg[6]) {
  struct iovec vector[GUEST_IOVEC_LIMIT];
  const int count = arg[2] == 0 ? 0 : guest_iovec(arg[2], arg[3], false, vector);
  if (count < 0)
    return count;
  return (int32_t)HOST_CALL(SYS_keyctl, KEYCTL_INSTANTIATE_IOV, (int)arg[1], count ? vector : NULL, count,
                            (int)arg[4]);
}

static int32_t key_agree(const uint32_t arg[6]) {
  struct guest_keyctl_kdf_params narrow;
  struct keyctl_kdf_params wide = {0};
  const void *host = arg[4] ? HOST_UNREADABLE : NULL;
  if (arg[4] != 0 && guest_copy_in(&narrow, arg[4], sizeof narrow) == 0) {
    host = &wide;
    wide.hashname = guest_to_host(narrow.hashname);
    wide.otherinfo = guest_to_host(narrow.otherinfo);
    wide.otherinfolen = narrow.otherinfolen;
    for (int i = 0; i < 8; i++)
      wide.__spare[i] = narrow.reserved[i];
  }
  return (int32_t)HOST_CALL(SYS_keyctl, KEYCTL_DH_COMPUTE, guest_to_host(arg[1]), guest_to_host(arg[2]),
                            arg[3], host);
}

static void release(guest_addr address, uint32_t length) {
  const uint32_t room = UINT32_MAX - address;
  if (address != 0)
    guest_memory_write_begin(address, length < room ? length : room);
}

/* What the operation is going to write. */
static void release_output(const uint32_t arg[6]) {
  struct keyctl_pkey_params sizes;
  switch (arg[0]) {
  case KEYCTL_DESCRIBE:
  case KEYCTL_READ:
  case KEYCTL_GET_SECURITY:
  case KEYCTL_DH_COMPUTE:
    release(arg[2], arg[3]);
    break;
  case KEYCTL_CAPABILITIES:
    release(arg[1], arg[2]);
    break;
  case KEYCTL_PKEY_QUERY:
    release(arg[4], sizeof(struct keyctl_pkey_query));
    break;
  case KEYCTL_PKEY_ENCRYPT:
  case KEYCTL_PKEY_DECRYPT:
  case KEYCTL_PKEY_SIGN:
    if (guest_copy_in(&sizes, arg[1], sizeof sizes) == 0)
      release(arg[4], sizes.out_len);
    break;
  default:
    break;
  }
}

int32_t sys_keyctl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  release_output(arg);
  switch (arg[0]) {
  case KEYCTL_INSTANTIATE_IOV:
    return key_instantiate(arg);
  case KEYCTL_DH_COMPUTE:
    return key_agree(arg);
  default:
    return (int32_t)HOST_CALL(SYS_keyctl, (int)arg[0], arg[1], arg[2], arg[3], arg[4]);
  }
}
