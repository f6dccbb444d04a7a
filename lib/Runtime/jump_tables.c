/* Tables of code addresses in guest memory, for what the code that they lead to reads of flags (docs/flags.md).
 *
 * Many units jump by the same table: an interpreter's. Its pages count as code of theirs, so that they go
 * when those can be written. */
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

enum { TABLE_COUNT = 64, TABLE_ENTRY_LIMIT = 1024 };
static struct table {
  guest_addr address, end;
  uint64_t code_changes; /* when it was looked at */
  uint8_t read;
} tables[TABLE_COUNT];

static bool is_constant(guest_addr address) {
  return (guest_memory_page(address) & (GUEST_PAGE_READ | GUEST_PAGE_WRITE)) == GUEST_PAGE_READ;
}

/* An entry of a table that cannot change unheard of. */
static bool read_entry(guest_addr entry, guest_addr *target) {
  enum { ENTRY_SIZE = sizeof *target };
  if (entry % ENTRY_SIZE || !is_constant(entry))
    return false;
  guest_memory_code_translated(entry, ENTRY_SIZE);
  return is_constant(entry) && guest_copy_in(target, entry, ENTRY_SIZE) == 0;
}

/* A table ends where something else than the address of code stands. */
static void look_at_table(struct table *table, guest_addr address) {
  *table = (struct table){.address = address, .end = address, .code_changes = engine.code_changes};
  for (unsigned i = 0; i < TABLE_ENTRY_LIMIT && table->read != FLAGS_ALL; i++, table->end += 4) {
    guest_addr target;
    bool is_cut = true;
    const bool is_read = read_entry(table->end, &target);
    if (is_read && !(guest_memory_page(target) & GUEST_PAGE_EXEC))
      break;
    table->read |= is_read ? translate_flags_read(target, &is_cut) : 0;
    table->read |= is_cut ? FLAGS_ALL : 0;
  }
  if (table->end == address)
    table->read = FLAGS_ALL;
}

uint8_t jump_table_flags(guest_addr address, struct fetch *fetch) {
  struct table *table = &tables[(address * 0x9E3779B1u) >> 26];
  const guest_addr first = address & ~(guest_addr)(GUEST_PAGE_SIZE - 1);
  bool is_known = table->address == address && table->code_changes == engine.code_changes;
  for (guest_addr page = first; is_known && page < table->end; page += GUEST_PAGE_SIZE)
    is_known = guest_memory_page(page) & GUEST_PAGE_CODE; /* else it has been written to since */
  if (!is_known)
    look_at_table(table, address);
  for (guest_addr page = first; table->read != FLAGS_ALL && page < table->end; page += GUEST_PAGE_SIZE)
    if (!fetch_depend(fetch, page >> GUEST_PAGE_SHIFT))
      return FLAGS_ALL;
  return table->read;
}
