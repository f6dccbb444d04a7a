/* qsort, bsearch, hsearch, tsearch: callbacks from libc. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record {
  char name[12];
  int key;
  double weight;
};
static unsigned comparisons;
static int by_key(const void *a, const void *b) {
  comparisons++;
  const struct record *x = a, *y = b;
  return x->key < y->key ? -1 : x->key > y->key;
}
static int by_weight(const void *a, const void *b) {
  const struct record *x = a, *y = b;
  return (x->weight > y->weight) - (x->weight < y->weight);
}
static int by_name(const void *a, const void *b) { return strcmp(((const struct record *)a)->name, ((const struct record *)b)->name); }
static int scaled(const void *a, const void *b, void *scale) { return (*(const int *)a - *(const int *)b) * *(int *)scale; }
static int visited;
static void visit(const void *node, VISIT which, int depth) {
  if (which == postorder || which == leaf)
    visited = visited * 31 + (*(struct record *const *)node)->key;
}

int main(void) {
  enum { count = 2000 };
  static struct record r[count];
  srand(42);
  for (int i = 0; i < count; i++) {
    r[i].key = (i * 7919) % 10007;
    r[i].weight = (double)((i * 104729) % 100003) / 7;
    snprintf(r[i].name, sizeof r[i].name, "n%d", (i * 31337) % 9973);
  }
  int (*const orders[])(const void *, const void *) = {by_key, by_weight, by_name, by_key};
  for (int o = 0; o < 4; o++) {
    qsort(r, count, sizeof *r, orders[o]);
    int ordered = 1;
    for (int i = 1; i < count; i++)
      ordered &= orders[o](&r[i - 1], &r[i]) <= 0;
    printf("%d %s %d %.3f\n", ordered, r[0].name, r[count / 2].key, r[count - 1].weight);
  }
  int found = 0;
  for (int key = 0; key < 10007; key++) {
    struct record wanted = {.key = key};
    found += bsearch(&wanted, r, count, sizeof *r, by_key) != NULL;
  }
  printf("found %d\n", found);
  int numbers[50], scale = -1;
  for (int i = 0; i < 50; i++)
    numbers[i] = i * 37 % 50;
  qsort_r(numbers, 50, sizeof *numbers, scaled, &scale);
  printf("%d %d\n", numbers[0], numbers[49]);
  hcreate(100);
  for (int i = 0; i < 50; i++)
    hsearch((ENTRY){r[i].name, &r[i]}, ENTER);
  ENTRY *entry = hsearch((ENTRY){r[7].name, NULL}, FIND);
  printf("hash %d\n", entry && entry->data == &r[7]);
  void *root = NULL;
  for (int i = 0; i < 300; i++)
    tsearch(&r[(i * 17) % count], &root, by_key);
  twalk(root, visit);
  printf("tree %d\n", visited);
  return 0;
}
