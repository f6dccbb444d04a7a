/* What the kernel comparison cannot show: translated code, copies, the host's side of things. */
#include "Runtime/guest_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = GUEST_PAGE_SIZE, RW = PROT_READ | PROT_WRITE, RWX = RW | PROT_EXEC, AT = 0x40000000 };
enum { ANON = MAP_PRIVATE | MAP_ANONYMOUS };

/* The runtime's part: faults of the guest go to write_fault first, then to the copies' fix-up. */
static volatile sig_atomic_t faults;
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  faults++;
  if (guest_memory_write_fault((guest_addr)(uintptr_t)info->si_addr))
    return;
  ucontext_t *const ucontext = context;
  const uintptr_t fixup = guest_copy_fixup((uintptr_t)ucontext->uc_mcontext.gregs[REG_RIP]);
  if (!fixup)
    _exit(99);
  ucontext->uc_mcontext.gregs[REG_RIP] = (greg_t)fixup;
}

/* cmocka puts its own handlers in place before each test. */
static void catch_faults(void) {
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

static guest_addr dropped_at;
static uint32_t dropped_length;
static unsigned drops;
static void on_drop(guest_addr address, uint32_t length) {
  __atomic_add_fetch(&drops, 1, __ATOMIC_SEQ_CST);
  dropped_at = address;
  dropped_length = length;
}

static int prepare(void **state) {
  (void)state;
  if (guest_memory_init() != 0)
    return -1;
  guest_memory_set_code_dropper(on_drop);
  return 0;
}

static guest_addr map_at(guest_addr address, unsigned pages, int prot) {
  const int64_t got = guest_memory_map(address, pages * PAGE, prot, ANON | MAP_FIXED, -1, 0);
  assert_int_equal(got, address);
  catch_faults();
  drops = 0;
  faults = 0;
  return address;
}
static void clean(void **state) {
  (void)state;
  assert_int_equal(guest_memory_unmap(AT, 1024 * PAGE), 0);
}
static volatile uint8_t *byte(guest_addr address) { return guest_to_host(address); }
static bool is_code(guest_addr address) { return guest_memory_page(address) & GUEST_PAGE_CODE; }

/* --- Translated code ------------------------------------------------------------------------ */

static void a_write_drops_its_page_only(void **state) {
  map_at(AT, 4, RWX);
  guest_memory_code_translated(AT + 10, 3 * PAGE);
  assert_true(is_code(AT) && is_code(AT + 3 * PAGE));
  *byte(AT + PAGE + 5) = 7;
  assert_int_equal(faults, 1);
  assert_int_equal(drops, 1);
  assert_int_equal(dropped_at, AT + PAGE);
  assert_int_equal(dropped_length, PAGE);
  *byte(AT + PAGE + 6) = 8;
  assert_int_equal(faults, 1);
  assert_true(is_code(AT) && !is_code(AT + PAGE) && is_code(AT + 2 * PAGE));
  assert_int_equal(*byte(AT + PAGE + 5), 7);
  clean(state);
}

static void pages_that_cannot_be_written_stay(void **state) {
  map_at(AT, 2, PROT_READ | PROT_EXEC);
  guest_memory_code_translated(AT, PAGE);
  guest_memory_write_begin(AT, 2 * PAGE);
  assert_int_equal(drops, 0);
  assert_false(guest_memory_write_fault(AT));
  /* Regions rely on it that the page cannot be written to, so write permission alone is a change. */
  assert_int_equal(guest_memory_protect(AT, PAGE, RWX), 0);
  assert_int_equal(drops, 1);
  assert_false(is_code(AT));
  *byte(AT) = 1;
  assert_int_equal(drops, 1);
  clean(state);
}

static void what_ends_code(void **state) {
  const int fd = memfd_create("code", 0);
  assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
  for (int how = 0; how < 8; how++) {
    map_at(AT, 4, RWX);
    guest_memory_code_translated(AT, 4 * PAGE);
    switch (how) {
    case 0:
      assert_int_equal(guest_memory_unmap(AT + PAGE, PAGE), 0);
      break;
    case 1:
      assert_int_equal(guest_memory_protect(AT + PAGE, PAGE, RW), 0);
      break;
    case 2:
      assert_int_equal(guest_memory_advise(AT + PAGE, PAGE, MADV_DONTNEED), 0);
      break;
    case 3:
      assert_int_equal(guest_memory_map(AT + PAGE, PAGE, RWX, MAP_PRIVATE | MAP_FIXED, fd, 0), AT + PAGE);
      break;
    case 4:
      assert_int_equal(
          guest_memory_remap(AT + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT + 64 * PAGE),
          AT + 64 * PAGE);
      assert_false(is_code(AT + 64 * PAGE));
      *byte(AT + 64 * PAGE) = 1;
      break;
    case 5:
      guest_memory_write_begin(AT + PAGE + 100, 10);
      break;
    case 6:
      assert_int_equal(guest_copy_out(AT + PAGE, "x", 1), 0);
      break;
    case 7:
      map_at(AT + 64 * PAGE, 1, RW);
      assert_int_equal(
          guest_memory_remap(AT + 64 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT + PAGE),
          AT + PAGE);
      break;
    }
    assert_int_equal(drops, 1);
    assert_int_equal(dropped_at, AT + PAGE);
    assert_int_equal(dropped_length, PAGE);
    assert_int_equal(faults, 0);
    assert_false(is_code(AT + PAGE));
    assert_true(is_code(AT) && is_code(AT + 2 * PAGE));
  }
  close(fd);
  clean(state);
}

static void a_failed_call_leaves_pages_usable(void **state) {
  map_at(AT, 4, RWX);
  guest_memory_code_translated(AT, 4 * PAGE);
  *byte(AT) = 5;
  assert_int_equal(guest_memory_map(AT, PAGE, RW, MAP_PRIVATE | MAP_FIXED, 999, 0), -EBADF);
  assert_int_equal(guest_memory_map(AT, PAGE, RW, MAP_ANONYMOUS | MAP_FIXED, -1, 0), -EINVAL);
  assert_int_equal(guest_memory_remap(AT, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE, 0), -EFAULT);
  assert_int_equal(*byte(AT), 5);
  for (guest_addr page = AT; page < AT + 4 * PAGE; page += PAGE)
    *byte(page) = 6;
  clean(state);
}

/* Many threads write to pages whose code is translated again and again: every write arrives. */
enum { WRITERS = 4, ROUNDS = 3000 };
static volatile bool writers_done;
static void *write_often(void *argument) {
  volatile uint32_t *const word = argument;
  for (uint32_t i = 0; i < ROUNDS; i++)
    *word = *word + 1;
  return NULL;
}
static void *translate_often(void *unused) {
  (void)unused;
  while (!__atomic_load_n(&writers_done, __ATOMIC_ACQUIRE))
    guest_memory_code_translated(AT, 2 * PAGE);
  return NULL;
}
static void threads_race(void **state) {
  map_at(AT, 2, RWX);
  pthread_t writer[WRITERS], translator;
  pthread_create(&translator, NULL, translate_often, NULL);
  for (unsigned i = 0; i < WRITERS; i++)
    pthread_create(&writer[i], NULL, write_often, guest_to_host(AT + i * (PAGE / 2) + 8));
  for (unsigned i = 0; i < WRITERS; i++)
    pthread_join(writer[i], NULL);
  __atomic_store_n(&writers_done, true, __ATOMIC_RELEASE);
  pthread_join(translator, NULL);
  for (unsigned i = 0; i < WRITERS; i++)
    assert_int_equal(*(volatile uint32_t *)guest_to_host(AT + i * (PAGE / 2) + 8), ROUNDS);
  clean(state);
}

/* --- Copies --------------------------------------------------------------------------------- */

static void copies_are_exact(void **state) {
  uint8_t from[700], to[700];
  map_at(AT, 2, RW);
  for (unsigned i = 0; i < sizeof from; i++)
    from[i] = (uint8_t)(i * 7 + 1);
  for (unsigned length = 0; length <= sizeof from; length += length < 40 ? 1 : 37) {
    memset((void *)byte(AT), 0, 1024);
    memset(to, 0, sizeof to);
    assert_int_equal(guest_copy_out(AT + 3, from, length), 0);
    assert_int_equal(*byte(AT + 3 + length), 0);
    assert_int_equal(guest_copy_in(to, AT + 3, length), 0);
    assert_memory_equal(to, from, length);
  }
  clean(state);
}

static void copies_survive_bad_addresses(void **state) {
  uint8_t buffer[3 * PAGE] = {0};
  map_at(AT, 1, RW);
  map_at(AT + PAGE, 1, PROT_READ);
  for (unsigned length = 1; length < 400; length++) {
    assert_int_equal(guest_copy_in(buffer, AT + 2 * PAGE - length + 1, length), -EFAULT);
    assert_int_equal(guest_copy_out(AT + PAGE - length + 1, buffer, length), -EFAULT);
  }
  assert_int_equal(guest_copy_in(buffer, AT + PAGE, PAGE), 0);
  assert_int_equal(guest_copy_out(AT + PAGE, buffer, 1), -EFAULT);
  assert_int_equal(guest_copy_in(buffer, 0, 4), -EFAULT);
  assert_int_equal(guest_copy_in(buffer, 0xFFFFFFFC, 8), -EFAULT);
  assert_int_equal(guest_copy_in(buffer, GUEST_TASK_SIZE - 4, 8), -EFAULT);
  assert_int_equal(guest_copy_in(buffer, 0xFFFFFFFF, (size_t)1 << 33), -EFAULT);
  assert_int_equal(guest_copy_in(buffer, 0, 0), 0);
  clean(state);
}

static void strings(void **state) {
  map_at(AT, 1, RW);
  assert_int_equal(guest_copy_out(AT + PAGE - 6, "hello", 6), 0);
  assert_int_equal(guest_string_length(AT + PAGE - 6, 100), 5);
  assert_int_equal(guest_string_length(AT + PAGE - 6, 6), 5);
  assert_int_equal(guest_string_length(AT + PAGE - 6, 5), -ENAMETOOLONG);
  *byte(AT + PAGE - 1) = '!';
  assert_int_equal(guest_string_length(AT + PAGE - 6, 100), -EFAULT);
  assert_int_equal(guest_string_length(AT + PAGE - 6, 6), -ENAMETOOLONG);
  assert_int_equal(guest_string_length(AT + 64 * PAGE, 6), -EFAULT);
  assert_int_equal(guest_string_length(0xFFFFFFFF, 6), -EFAULT);
  assert_int_equal(guest_string_length(AT, 0), -ENAMETOOLONG);
  clean(state);
}

static void past_the_end_of_a_file(void **state) {
  const int fd = memfd_create("short", 0);
  uint8_t buffer[16];
  assert_int_equal(ftruncate(fd, 100), 0);
  assert_int_equal(guest_memory_map(AT, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0), AT);
  close(fd);
  catch_faults();
  assert_int_equal(guest_copy_in(buffer, AT + 200, 16), 0);
  assert_int_equal(guest_copy_in(buffer, AT + PAGE, 16), -EFAULT); /* by SIGBUS */
  clean(state);
}

/* --- Host ------------------------------------------------------------------------------------ */

/* Below 4 GiB the host has guest mappings, reservation and room for stacks, and no more. */
static void the_host_keeps_out(void **state) {
  (void)state;
  for (int i = 0; i < 64; i++) {
    void *const p = mmap(NULL, PAGE, PROT_NONE, ANON | MAP_32BIT, -1, 0);
    assert_ptr_equal(p, MAP_FAILED);
  }
  assert_int_equal(guest_memory_init(), -EEXIST);
}

static void unmapping_leaves_the_reservation(void **state) {
  map_at(AT, 16, RW);
  clean(state);
  void *const p = mmap(guest_to_host(AT), PAGE, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
  assert_ptr_equal(p, MAP_FAILED);
  assert_int_equal(errno, EEXIST);
  uint8_t value;
  assert_int_equal(guest_copy_in(&value, AT, 1), -EFAULT);
}

static void questions(void **state) {
  map_at(AT, 4, RW);
  assert_int_equal(guest_memory_protect(AT + 2 * PAGE, PAGE, PROT_READ), 0);
  assert_true(guest_memory_has(AT + 100, 2 * PAGE, GUEST_PAGE_READ));
  assert_true(guest_memory_has(AT, 2 * PAGE, GUEST_PAGE_WRITE));
  assert_false(guest_memory_has(AT, 2 * PAGE + 1, GUEST_PAGE_WRITE));
  assert_false(guest_memory_has(AT, 5 * PAGE, GUEST_PAGE_MAPPED));
  assert_true(guest_memory_has(0, 0, GUEST_PAGE_MAPPED));
  assert_false(guest_memory_has(0xFFFFFFFF, 2, 0xFF));
  guest_addr start = AT;
  uint32_t length;
  uint8_t bits;
  guest_memory_code_translated(AT, PAGE);
  assert_true(guest_memory_next_run(&start, &length, &bits));
  assert_int_equal(start, AT);
  assert_int_equal(length, 2 * PAGE);
  assert_int_equal(bits, GUEST_PAGE_MAPPED | GUEST_PAGE_READ | GUEST_PAGE_WRITE);
  clean(state);
  start = AT;
  assert_false(guest_memory_next_run(&start, &length, &bits) && start < AT + 1024 * PAGE);
}

static void reading_implies_executing(void **state) {
  guest_memory_set_read_implies_exec(true);
  map_at(AT, 1, PROT_READ);
  map_at(AT + PAGE, 1, PROT_WRITE);
  assert_true(guest_memory_has(AT, 1, GUEST_PAGE_EXEC));
  assert_false(guest_memory_has(AT + PAGE, 1, GUEST_PAGE_EXEC));
  assert_int_equal(guest_memory_protect(AT, PAGE, PROT_NONE), 0);
  assert_false(guest_memory_has(AT, 1, GUEST_PAGE_EXEC));
  assert_int_equal(guest_memory_protect(AT, 2 * PAGE, RW), 0);
  assert_true(guest_memory_has(AT, 2 * PAGE, GUEST_PAGE_EXEC));
  guest_memory_set_read_implies_exec(false);
  clean(state);
}

/* A stack grows by the guest's writes, by the kernel's, and with code on its lowest page. */
static void stacks_grow(void **state) {
  const guest_addr stack = AT + 256 * PAGE;
  assert_int_equal(guest_memory_map(stack, PAGE, RWX, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0), stack);
  catch_faults();
  faults = 0;
  *byte(stack - 1) = 1;
  assert_int_equal(faults, 0);
  assert_true(guest_memory_has(stack - PAGE, PAGE, GUEST_PAGE_WRITE | GUEST_PAGE_MAPPED));
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "abc", 3), 3);
  assert_int_equal(read(ends[0], guest_to_host(stack - 10 * PAGE), 3), 3);
  close(ends[0]), close(ends[1]);
  guest_memory_code_translated(stack - 10 * PAGE, 1);
  assert_true(is_code(stack - 10 * PAGE));
  drops = 0;
  *byte(stack - 12 * PAGE) = 9;
  assert_int_equal(*byte(stack - 12 * PAGE), 9);
  assert_true(is_code(stack - 10 * PAGE));
  assert_int_equal(drops, 0);
  assert_int_equal(*byte(stack - 10 * PAGE), 'a');
  clean(state);
  uint8_t value = 1;
  assert_int_equal(guest_copy_out(stack - 20 * PAGE, &value, 1), -EFAULT);
}

static void a_forked_child_goes_on(void **state) {
  map_at(AT, 1, RW);
  *byte(AT) = 1;
  guest_memory_fork_prepare();
  const pid_t pid = fork();
  guest_memory_fork_done();
  if (pid == 0) {
    *byte(AT) = 2;
    _exit(guest_memory_map(0, PAGE, RW, ANON, -1, 0) > 0 ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  assert_int_equal(*byte(AT), 1);
  clean(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_write_drops_its_page_only),
      cmocka_unit_test(pages_that_cannot_be_written_stay),
      cmocka_unit_test(what_ends_code),
      cmocka_unit_test(a_failed_call_leaves_pages_usable),
      cmocka_unit_test(threads_race),
      cmocka_unit_test(copies_are_exact),
      cmocka_unit_test(copies_survive_bad_addresses),
      cmocka_unit_test(strings),
      cmocka_unit_test(past_the_end_of_a_file),
      cmocka_unit_test(the_host_keeps_out),
      cmocka_unit_test(unmapping_leaves_the_reservation),
      cmocka_unit_test(questions),
      cmocka_unit_test(reading_implies_executing),
      cmocka_unit_test(stacks_grow),
      cmocka_unit_test(a_forked_child_goes_on),
  };
  return cmocka_run_group_tests(tests, prepare, NULL);
}
