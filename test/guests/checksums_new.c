/* Checksums over a table of states for the instructions of newer CPUs (checksums.h); some are AMD's alone.
 *
 * guest-test: flags=-msse2 -fno-pie
 * guest-test: link=static
 * guest-test: levels=O2
 * guest-test: needs=sse4a avx2 fma f16c bmi2 adx gfni vaes vpclmulqdq sha_ni movbe */
#define CHECKSUMS_YMM
#include "checksums.h"

static const struct form forms[] = {
#include "checksums_others.inc"
};

int main(void) { return print_checksums(forms, sizeof forms / sizeof forms[0]); }
