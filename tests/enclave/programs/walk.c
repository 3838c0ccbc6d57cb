// Reads a whole tree and prints a line for each entry: what it is, its size and a hash of its content, or its error.
//
//   walk DIR        in the order of the names, so that two runs can be compared
//   walk DIR wait   the same, then waits for a line on stdin and reads /late (which nobody has read before)
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void file(const char* path) {
  uint64_t hash = 14695981039346656037u;
  static char buffer[65536];
  long total = 0;
  const int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("%s: %s\n", path, strerror(errno));
    return;
  }
  for (;;) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0) {
      printf("%s: %s\n", path, strerror(errno));
      break;
    }
    if (count == 0) {
      printf("%s %ld %016lx\n", path, total, hash);
      break;
    }
    total += count;
    for (ssize_t i = 0; i < count; ++i) hash = (hash ^ (unsigned char)buffer[i]) * 1099511628211u;
  }
  close(fd);
}

static int by_name(const void* a, const void* b) {
  return strcmp(*(char* const*)a, *(char* const*)b);
}

static void walk(const char* path, int depth) {
  char* names[1024];
  int count = 0;
  DIR* directory = opendir(path);
  if (directory == NULL) {
    printf("%s: %s\n", path, strerror(errno));
    return;
  }
  for (;;) {
    errno = 0;
    const struct dirent* entry = readdir(directory);
    if (entry == NULL) {
      if (errno != 0) printf("%s: %s\n", path, strerror(errno));
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (count < 1024) names[count++] = strdup(entry->d_name);
  }
  closedir(directory);
  qsort(names, (size_t)count, sizeof *names, by_name);
  for (int i = 0; i < count; ++i) {
    char child[4096];
    struct stat status;
    snprintf(child, sizeof child, "%s/%s", path, names[i]);
    if (lstat(child, &status) != 0) {
      printf("%s: %s\n", child, strerror(errno));
    } else if (S_ISDIR(status.st_mode) && depth < 16) {
      printf("%s %o\n", child, status.st_mode);
      walk(child, depth + 1);
    } else if (S_ISLNK(status.st_mode)) {
      char target[256] = "";
      if (readlink(child, target, sizeof target - 1) < 0)
        printf("%s: %s\n", child, strerror(errno));
      printf("%s -> %s\n", child, target);
    } else if (S_ISREG(status.st_mode)) {
      file(child);
    }
  }
}

int main(int argc, char** argv) {
  walk(argc > 1 ? argv[1] : "/tree", 0);
  if (argc > 2) {
    char line[16];
    printf("waiting\n");
    fflush(stdout);
    if (read(0, line, sizeof line) < 0) return 2;
    file("/late");
  }
  puts("end");
  return 0;
}
