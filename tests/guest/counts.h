// The LibOS's own counts of its objects (/proc/occlum/stats), for tests that look for what is left behind. Natively there
// are none, and nothing is compared.
//
//     struct counts before, after;
//     counts_read(&before); ...; CHECK_COUNTS(before);
#pragma once

#include <dirent.h>

#include "check.h"

#define COUNTS_MOST 32

// One of them; 0 where it is not there.
__attribute__((unused)) static long statistic(const char* wanted) {
  FILE* file = fopen("/proc/occlum/stats", "r");
  if (file == NULL) return 0;
  char name[64];
  long value = 0, found = 0;
  while (fscanf(file, "%63s %ld", name, &value) == 2)
    if (strcmp(name, wanted) == 0) found = value;
  fclose(file);
  return found;
}

struct counts {
  int number;
  struct {
    char name[64];
    long value;
  } of[COUNTS_MOST];
};

static long counts_of(const struct counts* counts, const char* name) {
  for (int i = 0; i < counts->number; i++)
    if (strcmp(counts->of[i].name, name) == 0) return counts->of[i].value;
  return 0;
}

// All `objects.*`, and the pages that are held aside. Names of files and their inodes are a cache and not counted.
static void counts_look(struct counts* counts) {
  counts->number = 0;
  FILE* file = fopen("/proc/occlum/stats", "r");
  if (file == NULL) return;
  char name[64];
  long value;
  while (counts->number < COUNTS_MOST && fscanf(file, "%63s %ld", name, &value) == 2) {
    if (strncmp(name, "objects.", 8) != 0 && strcmp(name, "memory.held_pages") != 0) continue;
    if (strcmp(name, "objects.inodes") == 0 || strcmp(name, "objects.names") == 0 ||
        strcmp(name, "objects.memory_objects") == 0)
      continue;
    strcpy(counts->of[counts->number].name, name);
    counts->of[counts->number++].value = value;
  }
  fclose(file);
}

static int counts_differ(const struct counts* before, const struct counts* now) {
  for (int i = 0; i < before->number; i++)
    if (counts_of(now, before->of[i].name) != before->of[i].value) return 1;
  return 0;
}

// What an ended process leaves goes a little later than its parent hears of the end: so it is awaited, for so long.
static int counts_patience_ms = 10000;

// Before: when nothing goes any more.
__attribute__((unused)) static void counts_read(struct counts* counts) {
  static struct counts earlier;
  counts_look(counts);
  for (int waited = 0, same = 0; counts->number != 0 && same < 5 && waited < counts_patience_ms;
       waited += 10) {
    earlier = *counts;
    check_sleep_ms(10);
    counts_look(counts);
    same = counts_differ(&earlier, counts) ? 0 : same + 1;
  }
}

__attribute__((unused)) static void counts_check(const struct counts* before, int line) {
  static struct counts now;
  for (int waited = 0;; waited += 10) {
    counts_look(&now);
    if (!counts_differ(before, &now) || waited >= counts_patience_ms) break;
    check_sleep_ms(10);
  }
  for (int i = 0; i < before->number; i++) {
    long value = counts_of(&now, before->of[i].name);
    if (value != before->of[i].value)
      check_fail("counts", line, before->of[i].name, value, before->of[i].value);
  }
}
#define CHECK_COUNTS(before) counts_check(&(before), __LINE__)

// Open descriptors of this process, the one that looks not counted.
__attribute__((unused)) static int counts_descriptors(void) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == NULL) return -1;
  int number = -1;
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;)
    if (entry->d_name[0] != '.') number++;
  closedir(directory);
  return number;
}
