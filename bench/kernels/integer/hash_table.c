/* Words hashed into a table with chains, by way of strlen, memcmp and malloc. */
#include "../kernel.h"

enum { BUCKETS = 1 << 14, WORDS = 20000, ROUNDS = 500 };
struct entry {
  struct entry *next;
  uint32_t length, count;
  char word[];
};
static struct entry *bucket[BUCKETS];
static char text[WORDS][16];

static struct entry *find(const char *word) {
  uint32_t length = (uint32_t)strlen(word), hash = 2166136261u;
  for (uint32_t i = 0; i < length; i++)
    hash = mix(hash, (uint8_t)word[i]);
  struct entry **link = &bucket[hash % BUCKETS];
  for (; *link; link = &(*link)->next)
    if ((*link)->length == length && memcmp((*link)->word, word, length) == 0)
      return *link;
  struct entry *entry = malloc(sizeof *entry + length + 1);
  if (!entry)
    abort();
  entry->next = NULL;
  entry->length = length;
  entry->count = 0;
  memcpy(entry->word, word, length + 1);
  return *link = entry;
}

int main(void) {
  uint32_t sum = 0;
  for (int i = 0; i < WORDS; i++) {
    uint32_t length = 3 + random_next() % 12;
    for (uint32_t k = 0; k < length; k++)
      text[i][k] = (char)('a' + random_next() % 26);
  }
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < WORDS; i++)
      sum = mix(sum, find(text[(i * 7919 + round) % WORDS])->count++);
  return kernel_end(sum);
}
