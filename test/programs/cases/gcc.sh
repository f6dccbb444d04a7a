# gcc with its cc1, as, collect2 and ld builds a program of several files with make; the program runs.
# seconds: 900
source /programs/support/steps.bash
need gcc make as ld
mkdir -p /tmp/build && cd /tmp/build || exit
cat >matrix.h <<'C'
#ifndef MATRIX_H
#define MATRIX_H
struct matrix { int rows, columns; double cell[]; };
struct matrix *matrix_new(int rows, int columns);
struct matrix *matrix_multiply(const struct matrix *a, const struct matrix *b);
double matrix_trace(const struct matrix *m);
#endif
C
cat >matrix.c <<'C'
#include "matrix.h"
#include <stdlib.h>
struct matrix *matrix_new(int rows, int columns) {
  struct matrix *m = calloc(1, sizeof *m + sizeof(double) * rows * columns);
  m->rows = rows, m->columns = columns;
  return m;
}
struct matrix *matrix_multiply(const struct matrix *a, const struct matrix *b) {
  struct matrix *m = matrix_new(a->rows, b->columns);
  for (int i = 0; i < a->rows; i++)
    for (int j = 0; j < b->columns; j++)
      for (int k = 0; k < a->columns; k++)
        m->cell[i * m->columns + j] += a->cell[i * a->columns + k] * b->cell[k * b->columns + j];
  return m;
}
double matrix_trace(const struct matrix *m) {
  double t = 0;
  for (int i = 0; i < m->rows; i++)
    t += m->cell[i * m->columns + i];
  return t;
}
C
cat >words.c <<'C'
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { char *word; int count; struct node *less, *more; };
static struct node *insert(struct node *n, const char *word) {
  if (!n) {
    n = calloc(1, sizeof *n);
    n->word = strdup(word);
  }
  int c = strcmp(word, n->word);
  if (c == 0) n->count++;
  else if (c < 0) n->less = insert(n->less, word);
  else n->more = insert(n->more, word);
  return n;
}
static void print(const struct node *n) {
  if (!n) return;
  print(n->less);
  if (n->count > 20) printf("%5d %s\n", n->count, n->word);
  print(n->more);
}
void count_words(FILE *file) {
  struct node *tree = NULL;
  char word[100];
  while (fscanf(file, "%99s", word) == 1) {
    for (char *p = word; *p; p++) *p = (char)tolower((unsigned char)*p);
    tree = insert(tree, word);
  }
  print(tree);
}
C
cat >main.c <<'C'
#include "matrix.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
void count_words(FILE *file);
static int compare(const void *a, const void *b) { return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b; }
int main(int argc, char **argv) {
  struct matrix *a = matrix_new(40, 50), *b = matrix_new(50, 40);
  for (int i = 0; i < 2000; i++) a->cell[i] = sin(i), b->cell[i] = 1.0 / (i + 1);
  printf("%.17g\n", matrix_trace(matrix_multiply(a, b)));
  uint64_t x = 88172645463325252ull;
  static int v[10000];
  for (int i = 0; i < 10000; i++) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; v[i] = (int)(x % 1000003); }
  qsort(v, 10000, sizeof *v, compare);
  printf("%d %d %d %llu\n", v[0], v[5000], v[9999], (unsigned long long)x);
  FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
  if (file) count_words(file);
  return 7;
}
C
printf 'CFLAGS = -O2 -Wall\nprogram: main.o matrix.o words.o libextra.a\n\t$(CC) -o $@ main.o matrix.o words.o -L. -lextra -lm\n%%.o: %%.c matrix.h\n\t$(CC) $(CFLAGS) -c $<\nlibextra.a: extra.o\n\tar rcD $@ $^\n' >Makefile
echo 'int extra(int x) { return x * 3; }' >extra.c
printf '#include <iostream>\nint main() { std::cout << "x"; }\n' >not.cc
cat >omp.c <<'C'
#include <stdio.h>
int main(void) {
  long s = 0;
#pragma omp parallel for reduction(+ : s)
  for (int i = 0; i < 1000000; i++)
    s += i % 7;
  printf("%ld\n", s);
  return 0;
}
C
printf '  movl $1, %%eax\n  fldl (%%ebx)\n' >two.s
steps <<'STEPS'
make -j3 program 2>&1 | sort
make program
./program /usr/share/common-licenses/GPL-3
md5sum *.o program
for o in -O0 -O1 -O2 -O3 -Os -Ofast; do gcc $o -g -c matrix.c words.c main.c extra.c && md5sum *.o; gcc -o p $o matrix.o words.o main.o -lm && ./p; done
gcc -O3 -msse2 -mfpmath=sse -ftree-vectorize -c matrix.c -o sse.o && md5sum sse.o
gcc -S -O2 -masm=intel words.c -o - | md5sum
gcc -E main.c | grep -v '^#' | md5sum
gcc -fsyntax-only -Wall -Wextra -xc - <<<'int main() { int unused; return "x"; }'
gcc -static -O2 -o static main.c matrix.c words.c -lm && ./static
gcc -shared -fPIC -O2 -o libm2.so matrix.c && gcc -o dyn main.c words.c -L. -lm2 -lm && LD_LIBRARY_PATH=. ./dyn
gcc -pie -fPIE -flto -O2 -o lto main.c matrix.c words.c -lm && ./lto
gcc -fprofile-arcs -ftest-coverage -o cov main.c matrix.c words.c -lm && ./cov; gcov main.c | head -3
gcc -m32 -march=pentium4 -O2 -fopenmp -o omp omp.c && OMP_NUM_THREADS=4 ./omp
gcc nothing.c
objdump -d program | md5sum
objdump -x program | md5sum
readelf -aW program | md5sum
nm program | md5sum
nm -D /usr/lib/i386-linux-gnu/libm.so.6 | md5sum
size program matrix.o
strip -o stripped program && ./stripped; md5sum stripped
strings program | md5sum
objcopy -O binary matrix.o m.bin && md5sum m.bin
addr2line -f -e program 0
ar t libextra.a; ranlib libextra.a
ld -r -o both.o matrix.o words.o && md5sum both.o
ld.gold --version | head -1; gcc -fuse-ld=gold -o g main.o matrix.o words.o -lm && ./g
ldd program | sed 's/0x.*//'
c++filt _ZNSt6vectorIiSaIiEE9push_backEOi
as -al -o /dev/null two.s
gcov --version | head -1; gprof --version | head -1
make -n -B program; make nothing
STEPS
