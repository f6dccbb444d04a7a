/* stdio: formats, scanning, files, seeking, buffers, pipes to memory, both output streams. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  printf("%d %5d|%-5d|%05d %+d %x %#X %o %u %c %s %.3s %p %%\n", -1, 42, 42, 42, 42, 255, 255, 8, 4000000000u, 'x', "str", "truncated", (void *)0x1234);
  printf("%ld %lld %hd %hhd %zu %jd %td\n", -1L, -1LL, (short)70000, (char)300, sizeof(long), (intmax_t)-5, (ptrdiff_t)7);
  int n = 0;
  printf("count%n", &n);
  printf(" %d\n", n);
  int a;
  unsigned b;
  char word[20], set[20];
  printf("%d ", sscanf("12 0x1f word [abc]", "%d %x %19s [%19[a-c]]", &a, &b, word, set));
  printf("%d %u %s %s\n", a, b, word, set);
  FILE *file = fopen("data", "w+");
  if (!file)
    return 1;
  for (int i = 0; i < 2000; i++)
    fprintf(file, "line %d of text\n", i);
  fseek(file, 1000, SEEK_SET);
  char line[100];
  printf("%s", fgets(line, sizeof line, file) ? line : "?\n");
  printf("%s", fgets(line, sizeof line, file) ? line : "?\n");
  fseek(file, -20, SEEK_END);
  size_t got = fread(line, 1, sizeof line, file);
  printf("%zu %d %d %ld\n", got, feof(file) != 0, ferror(file) != 0, ftell(file));
  rewind(file);
  int lines = 0, c;
  unsigned sum = 0;
  while ((c = getc(file)) != EOF)
    lines += c == '\n', sum = sum * 31 + (unsigned)c;
  printf("%d lines %08x\n", lines, sum);
  clearerr(file);
  ungetc('Z', file);
  printf("%c\n", getc(file));
  rewind(file);
  char *allocated = NULL;
  size_t size = 0;
  ssize_t length = getline(&allocated, &size, file);
  printf("%zd %s", length, allocated);
  free(allocated);
  fclose(file);
  file = freopen("data", "r", fopen("data", "r"));
  setvbuf(file, NULL, _IONBF, 0);
  c = getc(file);
  printf("%c%c\n", c, getc(file));
  fclose(file);
  int removed = remove("data"), again = remove("data");
  printf("remove %d, again %d %s\n", removed, again, strerror(errno));
  char *text;
  FILE *memory = open_memstream(&text, &size);
  for (int i = 0; i < 100; i++)
    fprintf(memory, "%d,", i * i);
  fclose(memory);
  printf("%zu %.30s\n", size, text);
  free(text);
  memory = fmemopen("77 88 99", 8, "r");
  int x, y, z;
  n = fscanf(memory, "%d %d %d", &x, &y, &z);
  printf("%d %d\n", n, x + y + z);
  fclose(memory);
  fflush(stdout);
  fprintf(stderr, "to standard error, %s\n", "unbuffered");
  perror("after the last error");
  fputs("no newline at the end", stdout);
  return 0;
}
