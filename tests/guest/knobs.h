// Files of /proc that hold a number, and what happens when one is written there.
#pragma once

#include <fcntl.h>

#include "check.h"

// 0, or -1 and errno.
static int write_number(const char* path, long number) {
  char text[24];
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd == -1) return -1;
  int size = snprintf(text, sizeof text, "%ld\n", number);
  int written = (int)write(fd, text, (size_t)size);
  close(fd);
  return written == size ? 0 : -1;
}
