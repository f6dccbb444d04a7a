/* A linked list: built, reversed, walked; pointer chasing within the cache. */
#include "../kernel.h"

enum { COUNT = 4096, ROUNDS = 50000 };
struct node {
  struct node *next;
  uint32_t value;
};
static struct node node[COUNT];

int main(void) {
  struct node *head = NULL;
  for (int i = 0; i < COUNT; i++) {
    struct node *n = &node[(i * 1237) % COUNT];
    n->value = random_next();
    n->next = head;
    head = n;
  }
  uint32_t sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    struct node *reversed = NULL;
    uint32_t found = 0;
    while (head) {
      struct node *next = head->next;
      found += head->value & 1;
      head->next = reversed;
      reversed = head;
      head = next;
    }
    head = reversed;
    sum = mix(sum, found + head->value);
  }
  return kernel_end(sum);
}
