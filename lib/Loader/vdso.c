/* The code that the kernel itself brings along: what a native process has in its vDSO.
 *
 * There is no vDSO image yet, only its sigreturn trampolines, which signal handlers without SA_RESTORER
 * return to. Debuggers and unwinders know these functions by their bytes, so they are the kernel's:
 *
 *     __kernel_sigreturn:     pop %eax ; mov $119,%eax ; int $0x80
 *     __kernel_rt_sigreturn:  mov $173,%eax ; int $0x80
 *
 * each after a nop, because an unwinder looks up the byte before a return address.
 *
 * They lie in an area of the size that vvar and vDSO take natively (8 pages, code in the last two), so that
 * the libraries loaded below have the addresses of a native run; what is not used has no access. */
#include "Loader/program.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { VDSO_AREA_PAGES = 8, VDSO_CODE_PAGE = 6 };
enum { SIGRETURN_OFFSET = 0x10, RT_SIGRETURN_OFFSET = 0x20, NOP = 0x90 };

static const uint8_t sigreturn[] = {0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80};
static const uint8_t rt_sigreturn[] = {0xb8, 173, 0, 0, 0, 0xcd, 0x80};

int vdso_map(struct loader_image *image, struct loader_error *error) {
  const int64_t area =
      guest_memory_map(0, VDSO_AREA_PAGES * GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int result = area < 0 ? (int)area : 0;
  const guest_addr page = (guest_addr)area + VDSO_CODE_PAGE * GUEST_PAGE_SIZE;
  uint8_t code[RT_SIGRETURN_OFFSET + sizeof rt_sigreturn];
  memset(code, NOP, sizeof code);
  memcpy(code + SIGRETURN_OFFSET, sigreturn, sizeof sigreturn);
  memcpy(code + RT_SIGRETURN_OFFSET, rt_sigreturn, sizeof rt_sigreturn);
  if (result == 0)
    result = guest_memory_protect(page, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE);
  if (result == 0)
    result = guest_copy_out(page, code, sizeof code);
  if (result == 0)
    result = guest_memory_protect(page, GUEST_PAGE_SIZE, PROT_READ | PROT_EXEC);
  if (result < 0)
    return loader_fail(error, -result, "cannot map the sigreturn trampolines: %s", strerror(-result));
  image->sigreturn_trampoline = page + SIGRETURN_OFFSET;
  image->rt_sigreturn_trampoline = page + RT_SIGRETURN_OFFSET;
  return 0;
}
