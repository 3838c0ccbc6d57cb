// A process beside this one with memory at addresses where this process has nothing: nowhere natively, and another
// process's pages in an enclave, where all lie in one range. The neighbour looks after its memory itself. It is nobody's
// child here, so that calls that wait for children find none.
//
//     if (argc > 1 && strcmp(argv[1], "neighbour") == 0) return neighbour_main();  // first in main()
//     struct neighbour n = neighbour_spawned();  // or neighbour_forked()
//     ... n.memory ...; REQUIRE(neighbour_unharmed(&n)); ...; neighbour_end(&n);
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

enum {
  kNeighbourPage = 4096,
  kNeighbourSize = 16 * kNeighbourPage,
  // Descriptors of a neighbour that is spawned; those of this process stay out of a test's way.
  kNeighbourAsked = 3,
  kNeighbourSaid = 4,
  kNeighbourFds = 200,
};

struct neighbour {
  int ask, answer;
  char* memory;  // kNeighbourSize bytes, written by the neighbour only
  char* image;   // a page of its program; NULL if it is this process's too
  char* stack;
};

static unsigned char neighbour_byte(size_t at) { return (unsigned char)(at * 7 + at / 256 + 1); }

static void neighbour_fill(unsigned char* memory) {
  for (size_t i = 0; i < kNeighbourSize; i++) memory[i] = neighbour_byte(i);
}

static char neighbour_whole(const volatile unsigned char* memory) {
  for (size_t i = 0; i < kNeighbourSize; i++)
    if (memory[i] != neighbour_byte(i)) return 'n';
  return 'y';
}

// Tells where its memory is; then answers each question with whether it is as it was, until it is told to go.
__attribute__((noreturn)) static void neighbour_answers(int asked, int said, void* memory,
                                                        void* image) {
  char question = 0;
  void* places[3] = {memory, image, &places};
  neighbour_fill(memory);
  if (write(said, places, sizeof places) != sizeof places) _exit(1);
  while (read(asked, &question, 1) == 1 && question == '?') {
    char answer = neighbour_whole(memory);
    if (write(said, &answer, 1) != 1) break;
  }
  _exit(0);
}

__attribute__((unused)) static int neighbour_main(void) {
  void* memory =
      mmap(NULL, kNeighbourSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  neighbour_answers(kNeighbourAsked, kNeighbourSaid, memory,
                    (void*)((uintptr_t)&neighbour_main & ~(uintptr_t)(kNeighbourPage - 1)));
}

static int neighbour_mapped_here(const void* at) {
  unsigned char vector;
  uintptr_t page = (uintptr_t)at & ~(uintptr_t)(kNeighbourPage - 1);
  return mincore((void*)page, kNeighbourPage, &vector) == 0 || errno != ENOMEM;
}

static int neighbour_move_up(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, kNeighbourFds);
  close(fd);
  return moved;
}

static void neighbour_start(struct neighbour* n, void (*begin)(int asked, int said, char* at),
                            char* at) {
  int asked[2], said[2], status = -1;
  REQUIRE(pipe2(asked, O_CLOEXEC) == 0 && pipe2(said, O_CLOEXEC) == 0);
  pid_t parent = fork();
  REQUIRE(parent != -1);
  if (parent == 0) {
    close(asked[1]), close(said[0]);
    begin(asked[0], said[1], at);
    _exit(0);
  }
  close(asked[0]), close(said[1]);
  n->ask = neighbour_move_up(asked[1]);
  n->answer = neighbour_move_up(said[0]);
  REQUIRE(waitpid(parent, &status, 0) == parent && status == 0);
  void* places[3];
  REQUIRE(read(n->answer, places, sizeof places) == sizeof places);
  n->memory = places[0], n->image = places[1], n->stack = places[2];
  REQUIRE(!neighbour_mapped_here(n->memory));
}

static void neighbour_spawn(int asked, int said, char* unused) {
  (void)unused;
  // Out of the way of the numbers that the new program finds them at.
  asked = neighbour_move_up(asked), said = neighbour_move_up(said);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, asked, kNeighbourAsked);
  posix_spawn_file_actions_adddup2(&actions, said, kNeighbourSaid);
  char* arguments[] = {"neighbour", "neighbour", NULL};
  char* environment[] = {NULL};
  pid_t pid;
  if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environment) != 0) _exit(1);
}

static void neighbour_fork(int asked, int said, char* at) {
  if (fork() != 0) return;
  void* memory = mmap(at, kNeighbourSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory != at) _exit(1);
  neighbour_answers(asked, said, memory, NULL);
}

// Another program, whose addresses are its own altogether.
__attribute__((unused)) static struct neighbour neighbour_spawned(void) {
  struct neighbour n = {0};
  neighbour_start(&n, neighbour_spawn, NULL);
  REQUIRE(!neighbour_mapped_here(n.image) && !neighbour_mapped_here(n.stack));
  return n;
}

// A member of this process's family: it maps memory where this one has nothing, in the middle of a hole that no later
// mapping reaches.
__attribute__((unused)) static struct neighbour neighbour_forked(void) {
  const size_t hole = 64 << 20;
  struct neighbour n = {0};
  char* at = mmap(NULL, hole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(at != MAP_FAILED && munmap(at, hole) == 0);
  neighbour_start(&n, neighbour_fork, at + hole / 2);
  return n;
}

__attribute__((unused)) static int neighbour_unharmed(const struct neighbour* n) {
  char answer = 0;
  return write(n->ask, "?", 1) == 1 && read(n->answer, &answer, 1) == 1 && answer == 'y';
}

// A later neighbour may hold what this one is asked by: closing that would not end it.
__attribute__((unused)) static void neighbour_end(struct neighbour* n) {
  char answer;
  CHECK_EQ(write(n->ask, "-", 1), 1);
  CHECK_EQ(read(n->answer, &answer, 1), 0);
  close(n->ask), close(n->answer);
}
