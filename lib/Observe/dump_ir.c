#include "Observe/dump_ir.h"
#include "Observe/guest_names.h"

#include "Runtime/guest_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- What is wanted ----------------------------------------------------------------------------------------
 */

static bool parse_range(struct jit_dump *dump, const char *range) {
  char *end;
  const unsigned long low = strtoul(range, &end, 16);
  if (end == range || *end != '-')
    return false;
  const char *second = end + 1;
  const unsigned long high = strtoul(second, &end, 16);
  dump->low = (guest_addr)low;
  dump->high = (guest_addr)high;
  return end != second && !*end && low <= high && high <= UINT32_MAX;
}

static bool parse_item(struct jit_dump *dump, const char *item) {
  static const char function[] = "function=", range[] = "range=";
  if (strcmp(item, "lifted") == 0)
    dump->stages |= JIT_DUMP_LIFTED;
  else if (strcmp(item, "optimized") == 0)
    dump->stages |= JIT_DUMP_OPTIMIZED;
  else if (strcmp(item, "asm") == 0)
    dump->stages |= JIT_DUMP_ASM;
  else if (strcmp(item, "bitcode") == 0)
    dump->bitcode = true;
  else if (strncmp(item, function, sizeof function - 1) == 0 && item[sizeof function - 1])
    dump->function = item + sizeof function - 1;
  else
    return strncmp(item, range, sizeof range - 1) == 0 && parse_range(dump, item + sizeof range - 1);
  return true;
}

const char *dump_ir_parse(struct jit_dump *dump, const char *items) {
  static char complaint[256];
  *dump = (struct jit_dump){.high = UINT32_MAX};
  char *copy = strdup(items); /* kept: a function's name is in it */
  for (char *rest = copy, *item; (item = strsep(&rest, ","));)
    if (!parse_item(dump, item)) {
      snprintf(complaint, sizeof complaint,
               "--dump-ir does not know '%s' (it knows lifted, optimized, asm, bitcode, function=NAME, "
               "range=FIRST-LAST)",
               item);
      return complaint;
    }
  if (!copy)
    return "out of memory";
  return dump->stages ? NULL : "--dump-ir wants at least one of lifted, optimized and asm";
}

/* --- What it is shown with
 * ------------------------------------------------------------------------------------ */

/* Copied, as the guest may unmap it meanwhile. */
static size_t fetch(void *context, guest_addr eip, const uint8_t **bytes) {
  static _Thread_local uint8_t copy[16];
  size_t size = sizeof copy;
  (void)context;
  while (size && guest_copy_in(copy, eip, size) != 0)
    size--;
  *bytes = copy;
  return size;
}

static void name(void *context, guest_addr eip, char *text, size_t size) {
  const struct guest_name found = guest_name_of(eip);
  (void)context;
  text[0] = '\0';
  if (found.function || found.file)
    guest_name_format(&found, eip, text, size);
}

void dump_ir_start(struct jit_dump *dump, const char *folder,
                   void (*complain)(const char *format, ...) __attribute__((format(printf, 1, 2)))) {
  static char absolute[4096];
  dump->code = (struct jit_guest_code){.fetch = fetch, .name = name};
  dump->folder = realpath(folder, absolute) ? absolute : folder; /* the guest may change its directory */
  dump->complain = complain;
}
