/* The compiler's shared object: opened when it is first needed, from beside the program's lib folder or
 * where the linker looks. */
#include "Runtime/engine.h"

#include <dlfcn.h>

static const struct jit_interface *interface;
static uint64_t entered; /* when, if that is measured */

static void open_compiler(guest_addr eip) {
  void *object = dlopen("libuemu-jit.so", RTLD_NOW | RTLD_LOCAL);
  if (object)
    interface = dlsym(object, "jit_interface");
  if (!interface)
    engine_fatal(eip, "the compiler cannot be loaded: %s", dlerror());
}

const struct jit_interface *compiler_enter(guest_addr eip, struct compiler_fpu *fpu) {
  uint32_t mxcsr = 0x1F80;
  entered = observe_clock();
  __asm__ volatile("fxsave64 %0\n\tfninit\n\tldmxcsr %1" : "=m"(fpu->image) : "m"(mxcsr) : "memory");
  if (!interface)
    open_compiler(eip);
  return interface;
}

void compiler_leave(const struct compiler_fpu *fpu) {
  engine_statistics.compilations++;
  engine_statistics.compile_nanoseconds += observe_clock() - entered;
  __asm__ volatile("fxrstor64 %0" : : "m"(fpu->image) : "memory");
}
