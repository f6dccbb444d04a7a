/* str… and mem…, at every alignment and length, against loops that are too simple to be wrong. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>

static unsigned failures;
static void check(int good, const char *what, int a, int b) {
  if (!good && failures++ < 20)
    printf("FAILED %s %d %d\n", what, a, b);
}
static int sign(int n) { return (n > 0) - (n < 0); }

int main(void) {
  static unsigned char source[512], target[512], wanted[512];
  for (int offset = 0; offset < 17; offset++)
    for (int length = 0; length < 140; length += length < 40 ? 1 : 7) {
      for (int i = 0; i < 512; i++)
        source[i] = (unsigned char)(1 + (i * 7 + length) % 255), target[i] = wanted[i] = (unsigned char)(i ^ 0x5a);
      for (int i = 0; i < length; i++)
        wanted[offset + i] = source[16 - offset + i];
      memcpy(target + offset, source + 16 - offset, length);
      check(!memcmp(target, wanted, 512), "memcpy", offset, length);
      memset(target + offset, 0xee, length);
      for (int i = 0; i < length; i++)
        wanted[offset + i] = 0xee;
      check(!memcmp(target, wanted, 512), "memset", offset, length);
      for (int i = 0; i < 512; i++)
        target[i] = wanted[i] = source[i];
      for (int i = length - 1; i >= 0; i--)
        wanted[offset + 3 + i] = wanted[offset + i];
      memmove(target + offset + 3, target + offset, length);
      check(!memcmp(target, wanted, 512), "memmove up", offset, length);
      memcpy(target, source, 512), memcpy(wanted, source, 512);
      for (int i = 0; i < length; i++)
        wanted[offset + i] = wanted[offset + 5 + i];
      memmove(target + offset, target + offset + 5, length);
      check(!memcmp(target, wanted, 512), "memmove down", offset, length);
      char *text = (char *)target + offset;
      memset(text, 'a', length);
      text[length] = 0;
      check((int)strlen(text) == length, "strlen", offset, length);
      check((int)strnlen(text, 20) == (length < 20 ? length : 20), "strnlen", offset, length);
      check(strchr(text, 0) == text + length && !strchr(text, 'b'), "strchr", offset, length);
      if (length > 2) {
        text[length / 2] = 'b';
        check(strchr(text, 'b') == text + length / 2, "strchr", offset, length);
        check(strrchr(text, 'a') == text + length - 1, "strrchr", offset, length);
        check(memchr(text, 'b', length) == text + length / 2, "memchr", offset, length);
        check(strcspn(text, "b") == (size_t)(length / 2), "strcspn", offset, length);
        char other[200];
        strcpy(other, text);
        check(!strcmp(other, text), "strcpy", offset, length);
        other[length - 1] = 'z';
        check(sign(strcmp(other, text)) == 1 && sign(strcmp(text, other)) == -1, "strcmp", offset, length);
        check(sign(memcmp(text, other, length)) == -1, "memcmp", offset, length);
        check(strncmp(text, other, length - 1) == 0, "strncmp", offset, length);
        check(strstr(text, "ba") == (length > 3 || length / 2 + 1 < length ? text + length / 2 : NULL), "strstr", offset, length);
      }
    }
  char words[] = "one,two;;three four", *rest, *list = words;
  for (char *word; (word = strsep(&list, ",; "));)
    printf("[%s]", word);
  puts("");
  char more[] = "a b  c";
  for (char *word = strtok_r(more, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
    printf("(%s)", word);
  puts("");
  printf("%d %d %s %s\n", strcasecmp("HeLLo", "hEllO"), sign(strncasecmp("abc", "ABD", 3)), strpbrk("hello", "xyl"), strcasestr("FooBar", "obA"));
  printf("%s %d\n", (char *)memmem("abcdef", 6, "cd", 2), (int)strspn("112233x", "123"));
  wchar_t wide[40];
  swprintf(wide, 40, L"%ls-%d", L"wide", 7);
  printf("%zu %ls %d\n", wcslen(wide), wide, wcscmp(wide, L"wide-7"));
  int classes = 0;
  for (int c = 0; c < 256; c++)
    classes = classes * 3 + !!isalpha(c) + 2 * !!isdigit(c) + 4 * !!isspace(c) + 8 * !!ispunct(c) + toupper(c);
  printf("classes %d, failures %u\n", classes, failures);
  return failures != 0;
}
