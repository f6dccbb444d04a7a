/* The compiler's shared object: opened when it is first needed, from beside the program's lib folder or
 * where the linker looks. */
#include "Runtime/engine.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static const struct jit_interface *interface;
static uint64_t entered; /* when, if that is measured */
static char complaint[256];

static void load(void) {
  void *object = dlopen("libuemu-jit.so", RTLD_NOW | RTLD_LOCAL);
  if (object)
    interface = dlsym(object, "jit_interface");
  if (!interface)
    snprintf(complaint, sizeof complaint, "%s", dlerror());
  else
    interface->set_dump(engine.options.dump_files);
}

const struct jit_interface *compiler_open(const char **why) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  *why = complaint;
  return interface;
}

/* In the format that keeps selectors, and of the last instruction's address the half that counts. */
const struct jit_interface *compiler_enter(guest_addr eip, struct compiler_fpu *fpu) {
  uint32_t mxcsr = 0x1F80;
  entered = observe_clock();
  __asm__ volatile("fxsave %0\n\tfnstenv %1\n\tfninit\n\tldmxcsr %2"
                   : "=m"(fpu->image), "=m"(fpu->environment)
                   : "m"(mxcsr)
                   : "memory");
  const char *why;
  if (!compiler_open(&why))
    engine_fatal(eip, "the compiler cannot be loaded: %s", why);
  return interface;
}

void compiler_leave(const struct compiler_fpu *fpu) {
  observe_compiled(entered);
  enum { STATUS_AT = 2, EXCEPTION_PENDING = 0x80 };
  __asm__ volatile("fxrstor %0" : : "m"(fpu->image) : "memory");
  if (!(fpu->image[STATUS_AT] & EXCEPTION_PENDING)) /* fldenv would raise it; and the image has the addresses then */
    __asm__ volatile("fldenv %0" : : "m"(fpu->environment));
}
