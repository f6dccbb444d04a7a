#include "Loader/stack.h"

#include "Runtime/guest_memory.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#define AT_RSEQ_ALIGN 28
#endif

static const char platform[] = "i686";
enum { TOP_PADDING = 8, RANDOM_SIZE = 16, INITIAL_GROWTH = 128 * 1024 };
static const uint64_t page_mask = GUEST_PAGE_SIZE - 1;

static const char *argument(const struct stack_strings *strings, uint32_t number) {
  return number == 0 && strings->argv0 ? strings->argv0 : strings->argv[number];
}

int stack_layout(struct stack_layout *layout, const struct stack_strings *strings, uint32_t auxv_count) {
  *layout = (struct stack_layout){0};
  uint64_t arguments = 0, environment = 0;
  for (; strings->argv[layout->argc]; layout->argc++)
    arguments += strlen(argument(strings, layout->argc)) + 1;
  for (; strings->envp[layout->envc]; layout->envc++)
    environment += strlen(strings->envp[layout->envc]) + 1;
  const uint64_t filename = strlen(strings->filename) + 1;
  const uint64_t words = 1 + layout->argc + 1 + layout->envc + 1;
  const uint64_t total = filename + environment + arguments + 4 * words;
  if (total > GUEST_TASK_SIZE / 2)
    return -E2BIG;

  guest_addr at = GUEST_TASK_SIZE - TOP_PADDING;
  layout->filename = at -= (guest_addr)filename;
  layout->env_end = at;
  layout->env_start = at -= (guest_addr)environment;
  layout->arg_end = at;
  layout->arg_start = at -= (guest_addr)arguments;
  at &= ~15u;
  layout->platform = at -= sizeof platform;
  layout->random = at -= RANDOM_SIZE;
  at -= auxv_count * 8;
  layout->esp = (at - 4 * (guest_addr)words) & ~15u;
  layout->argv = layout->esp + 4;
  layout->envp = layout->argv + 4 * (layout->argc + 1);
  layout->auxv = layout->envp + 4 * (layout->envc + 1);
  return 0;
}

static void add(struct stack_auxv *auxv, uint32_t type, uint32_t value) {
  auxv->entry[auxv->count].type = type;
  auxv->entry[auxv->count++].value = value;
}

void stack_auxv_fill(struct stack_auxv *auxv, const struct loader_image *image,
                     const struct loader_options *options, const struct stack_layout *layout) {
  auxv->count = 0;
  if (image->vdso) {
    add(auxv, AT_SYSINFO, image->vsyscall);
    add(auxv, AT_SYSINFO_EHDR, image->vdso);
  }
  if (options->min_signal_stack)
    add(auxv, AT_MINSIGSTKSZ, options->min_signal_stack);
  add(auxv, AT_HWCAP, options->hwcap);
  add(auxv, AT_PAGESZ, GUEST_PAGE_SIZE);
  add(auxv, AT_CLKTCK, (uint32_t)sysconf(_SC_CLK_TCK));
  add(auxv, AT_PHDR, image->header_address);
  add(auxv, AT_PHENT, sizeof(Elf32_Phdr));
  add(auxv, AT_PHNUM, image->header_count);
  add(auxv, AT_BASE, image->interpreter_base);
  add(auxv, AT_FLAGS, 0);
  add(auxv, AT_ENTRY, image->program_entry);
  add(auxv, AT_UID, getuid());
  add(auxv, AT_EUID, geteuid());
  add(auxv, AT_GID, getgid());
  add(auxv, AT_EGID, getegid());
  add(auxv, AT_SECURE, image->secure);
  add(auxv, AT_RANDOM, layout->random);
  add(auxv, AT_HWCAP2, options->hwcap2);
  add(auxv, AT_EXECFN, layout->filename);
  add(auxv, AT_PLATFORM, layout->platform);
  if (options->rseq_feature_size) {
    add(auxv, AT_RSEQ_FEATURE_SIZE, options->rseq_feature_size);
    add(auxv, AT_RSEQ_ALIGN, options->rseq_align);
  }
  add(auxv, AT_NULL, 0);
}

/* Where things go while they are written: host bytes for guest addresses. */
struct composer {
  uint8_t *to;
  guest_addr base;
};

static void put(const struct composer *composer, guest_addr address, const void *bytes, size_t length) {
  memcpy(composer->to + (address - composer->base), bytes, length);
}

static void put_word(const struct composer *composer, guest_addr address, uint32_t word) {
  put(composer, address, &word, sizeof word);
}

/* A string and the pointer to it; moves both on. */
static void put_string(const struct composer *composer, guest_addr *vector, guest_addr *at,
                       const char *string) {
  const size_t length = strlen(string) + 1;
  put_word(composer, *vector, *at);
  put(composer, *at, string, length);
  *vector += 4;
  *at += (guest_addr)length;
}

void stack_compose(uint8_t *to, const struct stack_layout *layout, const struct stack_strings *strings,
                   const struct stack_auxv *auxv, const uint8_t random[16]) {
  const struct composer composer = {to, layout->esp};
  memset(to, 0, GUEST_TASK_SIZE - layout->esp);
  put_word(&composer, layout->esp, layout->argc);
  guest_addr vector = layout->argv, at = layout->arg_start;
  for (uint32_t i = 0; i < layout->argc; i++)
    put_string(&composer, &vector, &at, argument(strings, i));
  vector = layout->envp;
  at = layout->env_start;
  for (uint32_t i = 0; i < layout->envc; i++)
    put_string(&composer, &vector, &at, strings->envp[i]);
  put(&composer, layout->auxv, auxv->entry, auxv->count * sizeof auxv->entry[0]);
  put(&composer, layout->random, random, RANDOM_SIZE);
  put(&composer, layout->platform, platform, sizeof platform);
  put(&composer, layout->filename, strings->filename, strlen(strings->filename) + 1);
}

uint64_t stack_initial_size(const struct stack_layout *layout, uint64_t stack_limit) {
  const uint64_t limit = stack_limit & ~page_mask;
  const uint64_t strings = (GUEST_TASK_SIZE - layout->arg_start + page_mask) & ~page_mask;
  const uint64_t vectors = (GUEST_TASK_SIZE - layout->esp + page_mask) & ~page_mask;
  uint64_t size = strings + INITIAL_GROWTH;
  if (size > limit)
    size = limit;
  if (size < strings)
    size = strings;
  if (vectors <= size)
    return size;
  return vectors <= limit ? vectors : 0;
}
