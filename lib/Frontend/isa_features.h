/* Features that the guest's CPU lacks, as far as decoding is concerned: their instructions are #UD. */
#ifndef UEMU_FRONTEND_ISA_FEATURES_H
#define UEMU_FRONTEND_ISA_FEATURES_H

#include <stdbool.h>

/* Takes the instructions of a feature away (QEMU's name for it). Before anything is decoded. */
void isa_feature_exclude(const char *feature);

/* Decodes lzcnt as bsr, tzcnt as bsf. Before anything is decoded. (decode.c) */
void insn_decode_without(bool lzcnt, bool tzcnt);

/* Was an instruction of this ZydisISASet and ZydisMnemonic taken away? */
bool isa_is_excluded(unsigned set, unsigned mnemonic);

/* The reason why CPUID does not report this ZydisISASet, and the lifter has not, or not all of, its
 * instructions; NULL if it is not one of those. */
const char *isa_set_left_out(unsigned set);

#endif
