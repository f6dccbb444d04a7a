/* One event for each CPU, which all threads inherit: an event for a thread on any CPU could not be inherited
 * and have a buffer. The descriptors are closed at once, as the guest must not see them; the buffer keeps its
 * event. */
#include "Observe/sampler.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_LIMIT = 256, PAGE = 4096, DATA_PAGES = 64, PERIOD_NS = 2000000 };

static struct perf_event_mmap_page *buffers[CPU_LIMIT];
static unsigned buffer_count;

static struct perf_event_mmap_page *open_buffer(int cpu) {
  struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                       .size = sizeof attributes,
                                       .config = PERF_COUNT_SW_CPU_CLOCK,
                                       .sample_period = PERIOD_NS,
                                       .sample_type = PERF_SAMPLE_IP,
                                       .exclude_kernel = 1,
                                       .exclude_hv = 1,
                                       .inherit = 1,
                                       .inherit_thread = 1};
  const int fd = (int)syscall(SYS_perf_event_open, &attributes, 0, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0)
    return NULL;
  void *buffer = mmap(NULL, (1 + DATA_PAGES) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return buffer == MAP_FAILED ? NULL : buffer;
}

bool sampler_start(void) {
  const long cpus = sysconf(_SC_NPROCESSORS_CONF);
  for (int cpu = 0; cpu < cpus && buffer_count < CPU_LIMIT; cpu++) {
    struct perf_event_mmap_page *buffer = open_buffer(cpu);
    if (buffer)
      buffers[buffer_count++] = buffer;
  }
  return buffer_count > 0;
}

void sampler_forked(void) {
  buffer_count = 0; /* the kernel does not copy such mappings */
  sampler_start();
}

/* Records are multiples of 8 bytes, and so is the buffer: a word is never cut in two. */
static uint64_t word_at(const struct perf_event_mmap_page *buffer, uint64_t at) {
  const uint64_t *data = (const uint64_t *)((const char *)buffer + PAGE);
  return data[at / 8 % (DATA_PAGES * PAGE / 8)];
}

static void drain(struct perf_event_mmap_page *buffer, void (*each)(uint64_t pc)) {
  const uint64_t head = __atomic_load_n(&buffer->data_head, __ATOMIC_ACQUIRE);
  uint64_t tail = buffer->data_tail;
  while (tail < head) {
    const uint64_t header = word_at(buffer, tail);
    const uint32_t type = (uint32_t)header, size = (uint32_t)(header >> 48);
    if (type == PERF_RECORD_SAMPLE)
      each(word_at(buffer, tail + 8));
    if (!size)
      break;
    tail += size;
  }
  __atomic_store_n(&buffer->data_tail, tail, __ATOMIC_RELEASE);
}

void sampler_drain(void (*each)(uint64_t pc)) {
  for (unsigned i = 0; i < buffer_count; i++)
    drain(buffers[i], each);
}
