/* The code that the kernel itself brings along: the vDSO.
 *
 * An ELF image of our own (vdso/), with the name, symbols and versions of the kernel's: the C library finds
 * __kernel_vsyscall and the clocks in it, signal handlers without SA_RESTORER return to its sigreturn
 * functions, unwinders find its frame descriptions.
 *
 * It lies in an area of the size that the kernel's data (vvar) and vDSO take natively, 8 pages with the code
 * in the last two, so that the libraries loaded below have the addresses of a native run. */
#include "Loader/program.h"
#include "Loader/vdso/layout.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { DATA_PAGES = 6, AREA_PAGES = DATA_PAGES + VDSO_PAGES };

extern const uint8_t vdso_image[], vdso_image_end[];

int vdso_map(struct loader_image *image, struct loader_error *error) {
  const size_t size = (size_t)(vdso_image_end - vdso_image);
  const int64_t area =
      guest_memory_map(0, AREA_PAGES * GUEST_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int result = area < 0 ? (int)area : 0;
  const guest_addr vdso = (guest_addr)area + DATA_PAGES * GUEST_PAGE_SIZE;
  if (result == 0)
    result = guest_memory_protect(vdso, VDSO_PAGES * GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE);
  if (result == 0)
    result = guest_copy_out(vdso, vdso_image, size);
  if (result == 0)
    result = guest_memory_protect(vdso, VDSO_PAGES * GUEST_PAGE_SIZE, PROT_READ | PROT_EXEC);
  if (result < 0)
    return loader_fail(error, -result, "cannot map the vDSO: %s", strerror(-result));
  image->vdso = vdso;
  image->vsyscall = vdso + VDSO_VSYSCALL;
  image->sigreturn_trampoline = vdso + VDSO_SIGRETURN;
  image->rt_sigreturn_trampoline = vdso + VDSO_RT_SIGRETURN;
  return 0;
}
