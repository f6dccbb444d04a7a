/* What a guest sees of the command line: each argument asks for one thing.
 *   argv0        prints its own name       env NAME   prints a variable, or that it is unset
 *   deep N       uses N bytes of stack     exit N     ends with status N
 *   kill N       ends by signal N */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((noinline)) void use_stack(unsigned long size) {
  volatile char *space = __builtin_alloca(size);
  for (unsigned long at = size; at > 0; at -= at < 4096 ? at : 4096)
    space[at - 1] = 1;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int i = 1; i < argc; i++) {
    const char *ask = argv[i], *argument = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(ask, "argv0") == 0) {
      puts(argv[0]);
    } else if (strcmp(ask, "deep") == 0) {
      use_stack(strtoul(argument, NULL, 0));
      i++;
    } else if (strcmp(ask, "env") == 0) {
      const char *value = getenv(argument);
      printf("%s%s%s\n", argument, value ? "=" : " unset", value ? value : "");
      i++;
    } else if (strcmp(ask, "exit") == 0) {
      exit(atoi(argument));
    } else if (strcmp(ask, "kill") == 0) {
      raise(atoi(argument));
      i++;
    } else {
      printf("%s?\n", ask);
    }
  }
  return 0;
}
