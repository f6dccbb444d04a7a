/* Between the files of uemu-native. */
#ifndef UEMU_TEST_NATIVE_RUNTIME_H
#define UEMU_TEST_NATIVE_RUNTIME_H

/* A guest page that the runtime keeps for itself. */
#define NATIVE_SCRATCH 0x10000u

#include <stdbool.h>

/* Has this host what it takes? */
bool native_is_possible(void);

/* Before each entry: SIGSYS is ours. */
void native_prepare(void);

#endif
