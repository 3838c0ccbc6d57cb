// The first thread ends before the others: the process lives until the last one, and its status is that one's exit.
#include "check.h"

static void* outlive(void* unused) {
  check_sleep_ms(100);
  printf("the second thread ends the process\n");
  exit(21);
  return unused;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  pthread_t thread;
  if (pthread_create(&thread, NULL, outlive, NULL) != 0) return 1;
  printf("the first thread leaves\n");
  pthread_exit(NULL);
}
