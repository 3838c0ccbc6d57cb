// The smallest program that shows that arguments, environment, output and exit status work.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  printf("hello from a C program with %d arguments\n", argc - 1);
  for (int i = 1; i < argc; i++) printf("argument %d: [%s]\n", i, argv[i]);
  const char* word = getenv("GUEST_WORD");
  printf("environment: [%s]\n", word ? word : "(unset)");
  fprintf(stderr, "a line on stderr\n");
  return 42;
}
