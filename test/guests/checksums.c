/* Checksums over a table of states for every instruction that all CPUs have (checksums.h).
 *
 * guest-test: flags=-msse2 -fno-pie
 * guest-test: link=static
 * guest-test: levels=O2 */
#include "checksums.h"

static const struct form forms[] = {
#include "checksums_basic.inc"
};

int main(void) { return print_checksums(forms, sizeof forms / sizeof forms[0]); }
