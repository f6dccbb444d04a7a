/* Every area's rows. The includer defines SYSCALL(number, name, argument_count, kinds…) first. An area that
 * a build leaves out is simply not there: its calls are ENOSYS. */
#if __has_include("Linux/files.def")
#include "Linux/files.def"
#endif
#if __has_include("Linux/descriptor.def")
#include "Linux/descriptor.def"
#endif
#if __has_include("Linux/ioctl.def")
#include "Linux/ioctl.def"
#endif
#if __has_include("Linux/directory.def")
#include "Linux/directory.def"
#endif
#if __has_include("Linux/stat.def")
#include "Linux/stat.def"
#endif
#if __has_include("Linux/attributes.def")
#include "Linux/attributes.def"
#endif
#if __has_include("Linux/event.def")
#include "Linux/event.def"
#endif
#if __has_include("Linux/poll.def")
#include "Linux/poll.def"
#endif
#if __has_include("Linux/memory.def")
#include "Linux/memory.def"
#endif
#if __has_include("Linux/process.def")
#include "Linux/process.def"
#endif
#if __has_include("Linux/thread.def")
#include "Linux/thread.def"
#endif
#if __has_include("Linux/signal.def")
#include "Linux/signal.def"
#endif
#if __has_include("Linux/time.def")
#include "Linux/time.def"
#endif
#if __has_include("Linux/socket.def")
#include "Linux/socket.def"
#endif
#if __has_include("Linux/ipc.def")
#include "Linux/ipc.def"
#endif
#if __has_include("Linux/misc.def")
#include "Linux/misc.def"
#endif
