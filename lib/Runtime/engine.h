/* The engine's own interfaces: code cache, units of translated code, and the threads that run
 * them (docs/engine.md).
 *
 * One lock, the engine lock, orders everything that changes: translating, linking, dropping.
 * Translated code takes no lock. */
#ifndef UEMU_RUNTIME_ENGINE_H
#define UEMU_RUNTIME_ENGINE_H

#include "Frontend/discover.h"
#include "Frontend/flag_record.h"
#include "Runtime/jit.h"
#include "Runtime/observe.h"
#include "Runtime/runtime.h"
#include "Runtime/stencil.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* --- code_cache.c: memory for host code ---------------------------------------------------------
 * One range of addresses: code, then data. No page is writable and executable; code is not
 * changed once it has run. What must change (where a jump to another unit goes) is in slots, in
 * the data part, that code jumps through.
 *
 * Code goes in chunks, each with its share of the slots. What was made between two flushes (flush.c) is a
 * generation, and its chunks are freed together. */

enum { CODE_CHUNK_SIZE = 4 << 20, CODE_CHUNK_SLOTS = 1 << 17, CODE_CHUNK_LIMIT = 256 };
/* Of a slot: where its exit goes on while it counts, and the guest address that it leads to. */
struct slot_target {
  uint64_t host;
  guest_addr eip;
};

/* Jumps to a target are counted by adding to its counter until that overflows: then it is hot, and translated
 * anew as a larger unit. That costs about 50 us and saves a few nanoseconds a jump. Targets share counters
 * now and then, which makes them hot sooner. (engine.hot_count, which is this but for tests. With 1 all units
 * are large.) */
enum { HOT_COUNT = 3000, COUNTER_BITS = 16 };
/* A program in which so many places got hot, and that still comes to new code, has much code, and will come
 * to this again: from then on new code is translated in large units at once. (Start-up stays below: python3
 * -c pass has 63.) */
enum { HOT_PLACES_ENOUGH = 256 };
static inline uint32_t counter_of(guest_addr eip) { return (eip ^ eip >> COUNTER_BITS) % (1u << COUNTER_BITS); }

struct code_cache {
  uint8_t *code, *code_end;  /* the whole code part */
  uint32_t chunk_count;      /* of it */
  uint32_t chunk;            /* which of them is being filled */
  uint64_t generation;       /* of the code that is made now; 1 at first */
  uintptr_t head;            /* the next free byte of code */
  ptrdiff_t to_code;         /* from where code is written to where it runs */
  uint64_t *slot;            /* host addresses that code jumps through */
  struct slot_target *target; /* of the same index */
  uint32_t *counter;         /* of 1 << COUNTER_BITS */
  uintptr_t link;            /* where unlinked slots lead: to engine_link, with the slot in r11d */
};
extern struct code_cache code_cache;

/* in_place: code is written at the address where it runs, as LLVM's linker needs it. bound: bytes of code
 * that a generation may have, CODE_CACHE_LEAST to CODE_CACHE_MOST. */
int code_cache_init(bool in_place, size_t bound);
/* Where to write up to `size` bytes of code, a chunk's at most. */
uint8_t *code_cache_open(size_t size);
/* The same, at the address where the code will run: LLVM's linker relocates it for where it lies. Its pages
 * cannot be executed until it is closed. */
uint8_t *code_cache_open_in_place(size_t size);
/* Ends writing: [open's result, end) is executable from now on. */
void code_cache_close(uint8_t *end);
/* The address at which a byte written at `at`, since the last open, will run. */
static inline uintptr_t code_address(const void *at) { return (uintptr_t)at + (uintptr_t)code_cache.to_code; }
/* Where to write the 4 bytes at `offset` of code that is running: within 8 aligned ones, so that it is done
 * at once. */
int32_t *code_cache_field(uint32_t offset);
/* Is the code at `offset` another process's too? */
bool code_cache_is_shared(uint32_t offset);
void code_cache_fork_parent(void);
void code_cache_fork_child(void);
static inline bool code_cache_contains(uintptr_t pc) {
  return pc >= (uintptr_t)code_cache.code && pc < (uintptr_t)code_cache.code_end;
}
static inline uint32_t code_chunk_of(uintptr_t pc) {
  return (uint32_t)((pc - (uintptr_t)code_cache.code) / CODE_CHUNK_SIZE);
}
/* What is made from now on is of another generation. The first time, what is there already, stubs, is for
 * ever. */
void code_cache_begin_generation(void);
/* Should a generation end before more is made? */
bool code_cache_is_full(void);
/* Are there chunks for what one thread may want to add at once, and more? */
bool code_cache_has_chunks(void);
/* Frees the chunks of all generations before `oldest`, with their slots and units; how many bytes of code
 * they had. */
uint64_t code_cache_free(uint64_t oldest);

/* --- unit.c: units of translated code ------------------------------------------------------------- */

/* Where an instruction's host code starts. */
struct unit_insn {
  uint16_t host;  /* bytes from the unit's code */
  uint16_t guest; /* bytes from the unit's lowest guest address */
  int16_t stack;  /* bytes that guest ESP is above its register (stack_fold.h) */
  uint8_t host_flags; /* FLAGS_* that are in the host's EFLAGS (direct.h), and perhaps nowhere else */
};

/* A byte of a region's code that is made a breakpoint to stop a thread there; what it was, and what the instruction
 * does that begins with it (x86_64/region_stop.c). */
struct region_stop {
  uint32_t at;  /* bytes from the unit's code */
  uint32_t out; /* a loop's poll: where one leaves the region from there; 0 elsewhere */
  uint8_t byte;
};
struct region_stops {
  uint32_t wanted; /* by how many threads; the breakpoints are there unless it is 0 */
  uint32_t count;
  struct region_stop stop[]; /* sorted by `at` */
};

/* A unit in the code cache; immutable but for `dropped`. Freed with its chunk: frames may return into it
 * until then. */
struct code_unit {
  const uint8_t *code;
  uint32_t code_size; /* with its exits */
  uint32_t body_size; /* bytes covered by insn[] */
  guest_addr low;     /* base of unit_insn.guest */
  bool dropped;
  bool large;          /* about a function; else one stretch of code */
  bool commits;        /* a block, or a region that commits: the register file, not host registers, has the state;
                        * but for eip at the entry, where host registers have the same state */
  bool region;         /* host registers have the state at its first byte, and nobody has it elsewhere */
  struct region_stops *stops; /* of a region: in each of its loops, and on each way out */
  uint16_t insn_count, page_count;
  uint16_t ordered_count; /* of insn[], the first ones: in the order of guest addresses, but for a few that overlap */
  struct unit_insn *insn; /* sorted by host */
  uint32_t *page;         /* guest pages whose contents the translation depends on */
};

int units_init(void);
/* Is there room in the chunk that is being filled for the slots and records of what one thread adds at once?
 */
bool units_have_room(void);
/* Memory that is freed with the chunk that is being filled; zero. Fewer than 1 MiB. */
void *unit_record(size_t size);
/* Takes a unit whose code is at the code cache's end, with its arrays copied; the copy. Engine lock held. */
const struct code_unit *unit_add(const struct code_unit *unit);
/* The unit whose code holds host address pc, dropped or not; NULL. Async-signal-safe for the thread that is
 * at pc; others have the engine lock. */
const struct code_unit *unit_of_pc(uintptr_t pc);
/* The index of the instruction that pc belongs to; *exact: pc is its first byte. -1 outside the body. */
int unit_insn_of_pc(const struct code_unit *unit, uintptr_t pc, bool *exact);

/* Host code of guest address eip in the map, 0 if there is none. Engine lock held, as for all below. */
uintptr_t unit_lookup(guest_addr eip);
bool unit_has_code(guest_addr eip);
bool unit_lookup_large(guest_addr eip);
/* Is there code for eip that is not to be replaced when it gets hot? */
bool unit_is_settled(guest_addr eip);
/* Lets code outside enter the unit at any of its instructions: unit_of_eip finds it. */
void unit_share(const struct code_unit *unit);
/* The unit that has the instruction at eip, and which of its own that is; NULL if there is none that can be
 * entered there. */
const struct code_unit *unit_of_eip(guest_addr eip, unsigned *insn);
/* What becomes of code that is jumped to often. */
enum place_kind {
  PLACE_SMALL,   /* a large unit takes its place */
  PLACE_LARGE,   /* a region does */
  PLACE_SETTLED, /* it stays; it is large */
};
/* eip's code is at host: exits to it are linked anew. loads_flags: stub_write_entry wrote it. */
void unit_map_insert(guest_addr eip, uintptr_t host, enum place_kind kind, bool loads_flags);
/* eip's code, if there is any, is to stay. */
void unit_settle(guest_addr eip);

/* A new exit slot, for code in the chunk that is being filled, of jumps to `target`. */
uint32_t slot_new(guest_addr target);
/* The slot's exit is at `entry`, where its first instruction is a jump whose displacement, aligned to 4 bytes, is
 * changed from now on; `indirect` jumps through the slot; `counting` counts on the way, 0: it need not. */
void slot_set_code(uint32_t slot, uintptr_t entry, uintptr_t indirect, uintptr_t counting);
/* A jump that leads to the slot's exit has its displacement at `field`, in one aligned 8 bytes, which the CPU
 * reads at once: from now on it is changed with the exit's own. has_flags: all flags are in EFLAGS there,
 * too, so that nobody needs to load them. */
void slot_add_jump(uint32_t slot, uintptr_t field, bool has_flags);
/* Somebody came by: from now on the slot goes to what code its target has. */
void slot_used(uint32_t slot);
/* An exit to `target` that counts and is in use; 0 if there is none. */
uintptr_t slot_entry(guest_addr target);
guest_addr slot_target(uint32_t slot);

/* Drops the units that depend on pages of [address, address + length). */
void unit_drop(guest_addr address, uint32_t length);
void unit_drop_all(void);
void unit_drop_regions(void);
/* Forgets all units and the whole map; who is inside, stays there. */
void units_forget(void);
/* Frees what a chunk has of units and slots. */
void units_free(uint32_t chunk);

/* --- flush.c: emptying the code cache ----------------------------------------------------------------- */

/* Empties the cache if it is full; frees what nobody runs any more. By a thread that goes on at what it
 * translates or finds in the map next, with its open frames forgotten if code was flushed. Engine lock held,
 * but let go of now and then. */
void flush_if_full(struct cpu_state *cpu);

/* --- fetch.c: guest code, as translation reads it --------------------------------------------------------- */

enum { FETCH_PAGE_LIMIT = 96 };
struct fetch {
  uint32_t page[FETCH_PAGE_LIMIT]; /* pages fetched from */
  unsigned page_count;
  uint32_t mode;    /* enum cpu_mode: how instructions are decoded */
  bool unprotected; /* leave the pages writable: later writes to them go unseen */
};
/* Makes what is translated depend on a page that is no code, too; false if there are too many. */
bool fetch_depend(struct fetch *fetch, uint32_t page);
/* jump_tables.c: flags that the code reads which a table of addresses at a constant place leads to, FLAGS_ALL if that cannot be told. The
 * table's pages become such as what is made of *fetch depends on. Engine lock held. */
uint8_t jump_table_flags(guest_addr address, struct fetch *fetch);
/* jump_guess.c: where the indirect jump leads that the unit begins with, with the registers as they are in
 * *cpu; 0 if it begins otherwise, or that cannot be told. Engine lock held. */
guest_addr jump_guess(const struct unit *unit, const struct cpu_state *cpu);
/* As discover_options wants it; context is a struct fetch. */
size_t fetch_code(void *context, guest_addr eip, const uint8_t **bytes);

/* --- translate.c, translate_block.c ----------------------------------------------------------------------- */

/* Host code for cpu->eip, translated if need be: for hot code as a large unit, else as a small one. 0 if the
 * bytes there cannot be fetched, with *fault set to the address. Engine lock held. */
uintptr_t translate(const struct cpu_state *cpu, bool hot, guest_addr *fault);
/* An exit that leads to eip, for jumps from elsewhere than a unit. */
uintptr_t translate_exit(guest_addr eip);
/* Flags that may be newer in the register file than in the record, between any two instructions; those that nobody reads are as old. */
uint8_t translate_newer_flags(guest_addr eip);
/* Flags that the code at eip is seen to read (discover_flags_read). */
uint8_t translate_flags_read(guest_addr eip, bool *is_cut);
/* Host code in the llvm tier: the basic block at eip. */
uintptr_t translate_block(guest_addr eip, guest_addr *fault);
/* Only the instruction at eip, to be run once: nothing else leads to it, and it does not have its page
 * protected, so that it can write there. */
uintptr_t translate_once(guest_addr eip, const struct block_mode *mode, guest_addr *fault);
/* The block at eip for a CPU in a mode: nothing leads to it. NULL for 0. */
const struct code_unit *translate_careful(guest_addr eip, const struct block_mode *mode, guest_addr *fault);

/* Emits an exit to eip at `at`; *entry gets where jumps to it go. Returns the end. */
uint8_t *translate_write_exit(uint8_t *at, guest_addr eip, bool counts, uint8_t **entry, uint32_t *slot);

/* --- region.c: regions of hot code ------------------------------------------------------------------------ */

/* The code at eip, in a large unit, has been jumped to often: have a region made of it, now or later; or never,
 * then it is settled. Engine lock held. */
void region_want(guest_addr eip);
/* Around fork(2). The first waits for what is being compiled, and takes the engine lock. */
void regions_fork_prepare(void);
void regions_fork_parent(void);
void regions_fork_child(void);
/* From now on regions commit; those that do not are dropped. Engine lock held. */
void regions_commit(void);
/* No more regions, and none of those that are there. Engine lock held. */
void regions_end(void);
/* Code of pages has been dropped: regions made of what they had are not to be. Engine lock held. */
void regions_drop_pages(uint32_t first_page, uint32_t last_page);

/* --- compiler.c: the shared object that has LLVM -------------------------------------------------------------- */

/* LLVM may use the FPU, and the guest's state is in it. While no exception is pending, AMD's CPUs save the addresses of
 * the last x87 instruction and of its operand in the environment only. */
struct compiler_fpu {
  uint32_t environment[7];
  uint8_t image[512] __attribute__((aligned(16)));
};
/* Loads it, if it was not; NULL with *why set if that cannot be. Any thread. */
const struct jit_interface *compiler_open(const char **why);
/* Loads it, if it was not, and gives it the FPU until compiler_leave. */
const struct jit_interface *compiler_enter(guest_addr eip, struct compiler_fpu *fpu);
void compiler_leave(const struct compiler_fpu *fpu);

/* --- stencil_source.c: where stencils come from -------------------------------------------------------- */

/* The stencil of a shape: in the built-in library, in the user's, among those made before; NULL. Good until
 * the next stencil_source_make. */
const struct stencil *stencil_source_find(const struct shape *shape);
/* Where a stencil of the built-in library is, which is good for as long as the process runs; 0 for others. */
uint32_t stencil_source_place(const struct stencil *stencil);
const struct stencil *stencil_source_at(uint32_t place);
/* Has the missing ones compiled (LLVM is loaded now, if it was not); each can be found afterwards,
 * as a stencil or as one that is refused (STENCIL_REFUSED). */
void stencil_source_make(const struct stencil_source *sources, unsigned count);
int stencil_source_init(void);

/* --- observe.c: for who watches ---------------------------------------------------------------------------- */

extern struct statistics engine_statistics; /* under the engine lock */
enum unit_kind unit_kind(const struct code_unit *unit);
/* A unit was added. Engine lock held, as for all of these. */
void observe_unit(const struct code_unit *unit);
/* All units are about to be forgotten. */
void observe_flush(void);
/* The time in nanoseconds, if it is to be measured, else 0. */
uint64_t observe_clock(void);
/* LLVM was at work since then. */
void observe_compiled(uint64_t began);
/* A unit was made of the instructions, which began then. */
void observe_translated(enum unit_kind kind, const struct insn *insns, unsigned count, uint64_t began);

/* --- engine.c ---------------------------------------------------------------------------------------- */

struct engine {
  struct runtime_options options;
  struct runtime_hooks hooks;
  void (*foreign_signal)(int signal, siginfo_t *info, void *ucontext);
  bool precise;
  uint8_t return_flags; /* discover.h */
  uint64_t code_changes; /* what was found out about guest code is true as long as this stays the same */
  uint32_t hot_count;    /* jumps that make a counter overflow */
  uint32_t hot_places;   /* how many have */
  uint32_t region_rounds; /* overflows that make a large unit's code a region */
  bool regions_at_once; /* code is made a region when it is first come to: for tests */
  struct engine_thread *threads; /* under the engine lock */
};
extern struct engine engine;

enum { PASSING_LIMIT = 1 << 12, PASSING_FILTER_WORDS = 1 << 8 };
struct engine_thread {
  struct cpu_state *cpu;
  struct engine_thread *next;
  uint8_t *frames;      /* lowest byte of the frame stack; a guard page lies below */
  size_t frames_size;
  void *signal_stack;
  uint64_t generation;  /* of the code that it may be inside, or return to; under the engine lock */
  bool once;            /* llvm tier: a write to code; run its instruction alone, then go on */
  int pid, tid;         /* tid 0: it has not run yet */
  uint32_t in_syscall;  /* in the system call's hook: a signal would interrupt what it waits for (atomic) */
  bool traps_after;     /* TF was set when the instruction began: #DB when it has ended */
  const struct code_unit *stopping; /* the region that it has had made breakpoints in, to stop it there; or NULL */
  bool stepping;        /* single-stepping to the next instruction boundary */
  uint8_t open_bases;   /* which of cpu->guarded_base can be read, a bit each */
  bool pending_trap;    /* a fault to be delivered by engine_after_signal … */
  bool pending_interrupt; /* … or an interrupt */
  struct trap trap;
  struct statistics_exits exits;
  struct {
    unsigned count;
    uint16_t entry[PASSING_LIMIT]; /* numbers of those of cpu->table_jumps whose code may be replaced */
    uint64_t filter[PASSING_FILTER_WORDS]; /* a bit for some addresses each: may one be one of theirs? */
  } passing;
};
static inline struct engine_thread *engine_thread_of(struct cpu_state *cpu) {
  return (struct engine_thread *)(uintptr_t)cpu->runtime_private;
}

/* --- jump_cache.c: where indirect jumps lead ---------------------------------------------------------------
 * Engine lock held for all; the first may be asked by the thread itself without. */

/* The thread's entry for eip; NULL if there is none. */
struct jump_cache_entry *engine_cached_jump(struct cpu_state *cpu, guest_addr eip);
/* The same, made if need be. */
struct jump_cache_entry *engine_room_for_jump(struct cpu_state *cpu, guest_addr eip);
/* The row of cpu_state.table_jumps for jumps by the guest's table at that address or offset. */
unsigned engine_table_row(uint32_t table);
/* The entry at that offset in bytes was found empty by a jump to eip: it gets what the jump cache has. */
void engine_cache_table_jump(struct cpu_state *cpu, uint32_t offset, guest_addr eip);
/* Of a new thread, whose memory is zero. */
void engine_begin_jumps(struct cpu_state *cpu);
/* Empties the entries for eip, or all, of all threads, which may be looking at them. */
void engine_forget_jumps_to(guest_addr eip);
void engine_forget_jumps(void);

/* observe.c */
void observe_thread_ended(const struct engine_thread *thread);
void observe_forked(struct engine_thread *self);

void engine_lock(void);
void engine_unlock(void);
/* Has the handler of an execution fault in the code cache wait until nobody is writing to it. */
void engine_wait_unlocked(void);
/* Tells a thread, or all, that open frames may lead into dropped code. Engine lock held. */
void engine_frames_stale_of(struct engine_thread *thread);
void engine_frames_stale(void);
/* Has every other thread leave translated code before its next instruction. Engine lock held. */
void engine_interrupt_others(void);
/* Is this signal what engine_interrupt_others() sends? Async-signal-safe. */
bool engine_is_interruption(int signal, const siginfo_t *info);
void engine_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An error of the emulator itself: one line with the guest address, then abort. */
_Noreturn void engine_fatal(guest_addr eip, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Called from x86_64/enter.S, on the thread's C stack with the state committed. */
/* The slot has no target yet, or with SLOT_IS_HOT, has one that should be in a large unit. */
enum { SLOT_IS_HOT = 1 << 30 };
uintptr_t engine_link(struct cpu_state *cpu, uint32_t slot);
uintptr_t engine_dispatch(struct cpu_state *cpu);
uintptr_t engine_table_miss(struct cpu_state *cpu, uint32_t offset);
uintptr_t engine_return(struct cpu_state *cpu);
uintptr_t engine_leave(struct cpu_state *cpu);
/* Runs helper `index`. 0: go on where it was called; else forget open frames and go there. */
uintptr_t engine_helper(struct cpu_state *cpu, uint32_t index);
uintptr_t engine_after_signal(struct cpu_state *cpu);

typedef void helper_function(struct cpu_state *cpu);
extern helper_function *const helper_functions[];

/* --- fault.c: what page faults say of themselves --------------------------------------------------------- */

/* The error code of a fault that C code had on behalf of the guest. */
uint32_t fault_error(guest_addr address, bool write);
/* Corrects the error code of a fault of translated code; cpu->eip is the instruction's. */
void fault_complete(const struct cpu_state *cpu, struct trap *trap);
/* What an access beyond its segment's limit is: TRAP_SS or TRAP_GP, by the instruction at eip. */
uint32_t fault_beyond_limit(const struct cpu_state *cpu, guest_addr address);

/* --- x86_64/ ------------------------------------------------------------------------------------------- */

/* Writes the stubs that translated code reaches by name to the start of the code cache. */
void stubs_init(void);
/* Host address of a stencil symbol that is a stub (STENCIL_DISPATCH and above). */
uintptr_t stub_address(unsigned symbol);
/* That of the one that has C look eip in r13d up. */
uintptr_t stub_dispatch_miss(void);
/* A jump to an address. */
uint8_t *stub_write_jump(uint8_t *at, uintptr_t target);

/* The inline jump to eip in r13d, by the thread's jump cache. Where flags in the register file may be older than the record
 * it does not go to code that reads them: C brings them up to date first. */
enum { PROBE_SIZE = 64 };
enum probe_flags { PROBE_FLAGS_KEPT, PROBE_FLAGS_OLDER };
uint8_t *stub_write_probe(uint8_t *at, enum probe_flags flags);
/* The same by the thread's row of table jumps (jump_cache.c), with the guest's index in a host register.
 * *miss gets the displacement of the jump for who is not found there, to what stub_write_table_miss writes.
 */
uint8_t *stub_write_table_probe(uint8_t *at, unsigned index, unsigned row, uint8_t **miss);
uint8_t *stub_write_table_miss(uint8_t *at, unsigned row, enum probe_flags flags);
/* A jump, its displacement left open at its end, if r13d is eip. */
uint8_t *stub_write_comparison(uint8_t *at, guest_addr eip);
/* What a region begins with: touches the host stack that it will need, frame_size bytes of it, so that the fault there
 * is here, where everything is in its place. */
enum { FRAME_PROBE_SIZE = 7 };
uint8_t *stub_write_frame_probe(uint8_t *at, uint32_t frame_size);
/* An exit: the jump to its target, the way there through the slot, and one that counts. at + 1 is aligned to
 * 4 bytes. The way that counts goes on by a direct jump, or by a word of the slot's behind that. */
enum { EXIT_COUNTED_JUMP = 13, EXIT_COUNTED_INDIRECT = 17 }; /* its displacement, and what is behind it */
uint8_t *stub_write_exit(uint8_t *at, uint32_t slot, bool counts);
/* The way to a block at host address `target` that begins with flags in EFLAGS, for who has them elsewhere:
 * all of them in the record, if there is one, or what is read of them in the register file. */
uint8_t *stub_write_entry(uint8_t *at, uintptr_t target, bool recorded);
/* That target, of the code at host address `entry`. */
uintptr_t stub_entry_target(uintptr_t entry);
/* eip to r13d, and a jump to the helper. */
uint8_t *stub_write_helper_jump(uint8_t *at, guest_addr eip, unsigned helper);
/* A call of the helper, where r13d is eip. */
uint8_t *stub_write_helper_call(uint8_t *at, unsigned helper);

/* Host numbers of the registers that the guest's are pinned to (docs/guest-abi.md). */
extern const uint8_t host_register[GPR_COUNT];
/* Of ModRM and SIB bytes. */
enum { RM_SIB = 4, RM_NO_BASE = 5, SIB_NO_INDEX = 4 };
/* Writes ModRM byte, SIB byte and displacement for the guest's address, of host registers (index 4: none);
 * `reg` is the ModRM byte's middle. Returns how many bytes these are: 1 to 6. */
unsigned write_address(uint8_t *modrm, unsigned reg, unsigned base, unsigned index, unsigned scale,
                       uint32_t disp);
/* How far a stencil's code has moved: what is behind the REX prefix, and what is behind the operand. */
struct shift {
  int8_t rex, operand;
};
/* Copies the stencil's code with the guest's address in place of the temporary; a REX prefix goes that is
 * empty and need not be there. */
struct shift stencil_copy_with_address(uint8_t *code, const struct stencil *stencil,
                                       const struct operand *address, uint32_t disp);
/* Where an offset in the stencil has come to. */
unsigned stencil_shifted(const struct stencil *stencil, struct shift shift, unsigned offset);
/* The record of an instruction, before it; guest ESP is `stack` above its register. */
uint8_t *flag_record_write(uint8_t *at, const struct insn *insn, int32_t stack);
uint8_t *flag_record_write_void(uint8_t *at);
/* The access to the memory operand of an instruction that can be recorded late: its value goes to the
 * temporary register, and *rest gets what is left to do. */
uint8_t *flag_record_write_access(uint8_t *at, struct insn *rest, const struct insn *insn);
/* The record behind it, if flag_record_can_be_late: with its registers, the temporary one included, and the
 * host's flags as the instruction left them, and they stay so. */
uint8_t *flag_record_write_late(uint8_t *at, const struct insn *insn);
/* Flags that are only recorded go to their fields, for all to see: at an instruction that can fault, where a unit is left … */
void flag_record_read(struct cpu_state *cpu);
/* … or between any two instructions. */
void flag_record_end(struct cpu_state *cpu);

/* x86_64/region_stop.c: for handlers of host signals; thread is the one that runs. */
/* Has the thread, at pc of the region, stop where it next comes to one of its loops or ways out. False: that cannot be, it
 * must be stepped. */
bool region_stop_want(struct engine_thread *thread, const struct code_unit *unit, uintptr_t pc);
/* A thread that is stepped is at pc: if that is a loop's poll it goes on by the way out. */
bool region_stop_leave(const struct code_unit *unit, uintptr_t pc, mcontext_t *context);
/* Is pc at a return of a region? The guest's registers are in their places, and it is about to go on at r13d's address. */
bool region_stop_returns(const struct code_unit *unit, uintptr_t pc);
/* Behind a breakpoint: the thread goes on as it would without it, but stays at a return if somebody asks for it; or goes
 * out of a loop, which ends in C. */
enum region_way { REGION_NO_STOP, REGION_PASSED, REGION_LEFT };
enum region_way region_stop_pass(struct engine_thread *thread, mcontext_t *context);
/* The thread leaves the region in another way. */
void region_stop_forget(struct engine_thread *thread);

int signals_init(void);

/* enter.S */
_Noreturn void enter_guest(struct cpu_state *cpu, uintptr_t host);
extern const char enter_link[], enter_dispatch_miss[], enter_table_miss[], enter_return_miss[], enter_leave[],
    enter_helper[], enter_with_flags[], enter_with_record[], enter_after_signal[];
extern const char enter_text_start[], enter_text_end[];

#endif
