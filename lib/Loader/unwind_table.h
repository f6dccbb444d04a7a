/* Where functions begin, from an ELF32 file's unwind tables: the descriptions in .eh_frame (LSB 5.0, chapter
 * 10), one a function, which stripped files keep. Damaged ones end the list. */
#ifndef UEMU_LOADER_UNWIND_TABLE_H
#define UEMU_LOADER_UNWIND_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* Calls `each` for every description: the function's address, as the file has it (p_vaddr), and its size in
 * bytes. */
void unwind_table_read(const uint8_t *bytes, size_t size,
                       void (*each)(void *context, uint32_t address, uint32_t length), void *context);

#endif
