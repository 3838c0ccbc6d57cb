// Small and large writes to a pipe, read back: copies between a program and the LibOS's own memory.
//
//   pipe ROUNDS [FULL]
//
// With FULL so many other pipes are filled first, and the one that is used lies behind them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char sent[60000], got[sizeof sent];

static int there_and_back(int ends[2], size_t bytes) {
  if (write(ends[1], sent, bytes) != (ssize_t)bytes) {
    perror("write");
    return 0;
  }
  size_t done = 0;
  while (done < bytes) {
    const ssize_t count = read(ends[0], got + done, bytes - done);
    if (count <= 0) {
      perror("read");
      return 0;
    }
    done += (size_t)count;
  }
  return memcmp(sent, got, bytes) == 0;
}

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? atoi(argv[1]) : 100;
  int ends[2];
  for (int full = argc > 2 ? atoi(argv[2]) : 0; full > 0; --full) {
    if (pipe(ends) != 0 || write(ends[1], sent, sizeof sent) != sizeof sent) return 1;
  }
  if (pipe(ends) != 0) return 1;
  for (int i = 0; i < rounds; ++i) {
    memset(sent, i, sizeof sent);
    for (int j = 0; j < 10; ++j) {
      if (!there_and_back(ends, 4)) return 1;
    }
    if (!there_and_back(ends, sizeof sent)) return 1;
  }
  printf("%d rounds\n", rounds);
  return 0;
}
