// Every kind of bad pointer, for programs that put them where system calls take one.
//
//     struct bad_place bad[kBadPlaces];
//     bad_places(bad);
#pragma once

#include <sys/mman.h>

#include "check.h"
#include "libos_places.h"
#include "neighbour.h"

struct bad_place {
  const char* name;
  unsigned long address;
};

enum { kBadPage = 4096, kClosedPlace = 12, kReadOnlyPlace = 13, kBadPlaces = 19 };

// The pages of ours among them: one that can only be read; one that is full of 'a' before a hole; one that is closed.
static char* bad_pages;

__attribute__((unused)) static void bad_places_fill(void) {
  memset(bad_pages + 3 * kBadPage, 'a', kBadPage);
}

__attribute__((unused)) static void bad_places(struct bad_place* bad,
                                               const struct neighbour* spawned,
                                               const struct neighbour* forked) {
  bad_pages = mmap(NULL, 8 * kBadPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(bad_pages != MAP_FAILED);
  REQUIRE(mprotect(bad_pages + kBadPage, kBadPage, PROT_READ) == 0);
  REQUIRE(mprotect(bad_pages + 5 * kBadPage, kBadPage, PROT_NONE) == 0);
  REQUIRE(munmap(bad_pages + 4 * kBadPage, kBadPage) == 0);
  bad_places_fill();
  const unsigned long pages = (unsigned long)bad_pages;
  const struct bad_place places[kBadPlaces] = {
      {"first page", 0x10},
      {"nowhere", 0x10000},
      {"odd", 0x10003},
      {"LibOS memory", LIBOS_MEMORY},
      {"LibOS image", LIBOS_IMAGE},
      {"LibOS odd", LIBOS_IMAGE + 1},
      {"host", ELRANGE_END + 0x1000},
      {"user's last", 0x7ffffffff000 - 4},
      {"behind user", 0x7ffffffff000},
      {"not canonical", 0x8000000000000000},
      {"kernel", 0xffffffff81000000},
      {"last", (unsigned long)-1},
      [kClosedPlace] = {"none", pages + 5 * kBadPage},
      [kReadOnlyPlace] = {"read only", pages + kBadPage},
      {"straddles", pages + 4 * kBadPage - 4},
      {"another's", (unsigned long)spawned->memory},
      {"another's end", (unsigned long)spawned->memory + kNeighbourSize - 4},
      {"another's stack", (unsigned long)spawned->stack},
      {"the family's", (unsigned long)forked->memory},
  };
  memcpy(bad, places, sizeof places);
}

// What most of them give is said once.
__attribute__((unused)) static void bad_places_print(const char* name, const char** results,
                                                     const struct bad_place* bad) {
  printf("%s: %s", name, results[0]);
  for (int i = 1; i < kBadPlaces; i++) {
    if (strcmp(results[i], results[0]) != 0) printf(", %s %s", bad[i].name, results[i]);
  }
  printf("\n");
}
