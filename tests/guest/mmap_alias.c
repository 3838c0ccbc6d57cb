// One object at several addresses (mmap(2), mremap(2)): two views, mirrored rings, RW beside RX, other rights, other
// processes, threads that use both at once, futexes, and what becomes of it all when a view goes.
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static int make(long pages) {
  int fd = memfd_create("object", 0);
  REQUIRE(fd >= 0);
  REQUIRE(ftruncate(fd, pages * PAGE) == 0);
  return fd;
}

static char* map(int fd, long pages, int prot) {
  char* view = mmap(NULL, pages * PAGE, prot, MAP_SHARED, fd, 0);
  REQUIRE(view != MAP_FAILED);
  return view;
}

static char* reserve(long pages) {
  char* area = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  return area;
}

static char* map_at(char* where, int fd, long pages, int prot) {
  char* view = mmap(where, pages * PAGE, prot, MAP_SHARED | MAP_FIXED, fd, 0);
  REQUIRE(view == where);
  return view;
}

static sigjmp_buf escape;
static volatile int signal_seen;
static void on_fault(int number) {
  signal_seen = number;
  siglongjmp(escape, 1);
}
// The signal that writing (reading) there brings; 0: none.
static int fault_at(volatile char* where, int writes) {
  struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, old[2];
  sigaction(SIGSEGV, &action, &old[0]), sigaction(SIGBUS, &action, &old[1]);
  signal_seen = 0;
  if (sigsetjmp(escape, 1) == 0) {
    if (writes)
      *where = 1;
    else
      (void)*where;
  }
  sigaction(SIGSEGV, &old[0], NULL), sigaction(SIGBUS, &old[1], NULL);
  return signal_seen;
}

CASE(enter) { check_enter_scratch(); }

CASE(two_views) {
  int fd = make(8);
  char *one = map(fd, 8, RW), *two = map(fd, 8, RW);
  CHECK(one != two);
  for (int round = 0; round < 20; round++) {
    for (long i = 0; i < 8; i++) one[i * PAGE + round] = (char)(i + round);
    for (long i = 0; i < 8; i++) CHECK_EQ(two[i * PAGE + round], (char)(i + round));
    two[3 * PAGE] = (char)round;
    CHECK_EQ(one[3 * PAGE], (char)round);
  }
  // Part of it only, and not from the start.
  char* part = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 3 * PAGE);
  REQUIRE(part != MAP_FAILED);
  part[5] = 99;
  CHECK_EQ(one[3 * PAGE + 5], 99);
  CHECK_EQ(two[3 * PAGE + 5], 99);
  // Each has its own end.
  CHECK_OK(munmap(one, 8 * PAGE));
  CHECK_EQ(fault_at(one, 0), SIGSEGV);
  CHECK_EQ(two[3 * PAGE + 5], 99);
  part[6] = 98;
  CHECK_EQ(two[3 * PAGE + 6], 98);
  CHECK_OK(munmap(two, 8 * PAGE));
  CHECK_EQ(part[6], 98);
  CHECK_OK(munmap(part, 2 * PAGE));
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, 3 * PAGE + 6), 1);
  CHECK_EQ(byte, 98);
  close(fd);
}

CASE(read_and_write_see_them) {
  int fd = make(4);
  char *one = map(fd, 4, RW), *two = map_at(reserve(4), fd, 4, RW);
  char buffer[4 * PAGE];
  two[PAGE] = 'x';
  CHECK_EQ(pread(fd, buffer, 1, PAGE), 1);
  CHECK_EQ(buffer[0], 'x');
  CHECK_EQ(pwrite(fd, "abc", 3, PAGE), 3);
  CHECK_EQ(memcmp(two + PAGE, "abc", 3), 0);
  CHECK_EQ(memcmp(one + PAGE, "abc", 3), 0);
  // The object is read into one view, and written from the other.
  memset(one, 'o', 4 * PAGE);
  CHECK_EQ(pwrite(fd, two, 2 * PAGE, 2 * PAGE), 2 * PAGE);
  CHECK_EQ(pread(fd, two, PAGE, PAGE), PAGE);
  CHECK_EQ(pread(fd, buffer, 4 * PAGE, 0), 4 * PAGE);
  CHECK_EQ(memcmp(buffer, one, 4 * PAGE), 0);
  // It shrinks under both.
  two[2 * PAGE] = 1;
  CHECK_OK(ftruncate(fd, 2 * PAGE));
  CHECK_EQ(fault_at(two + 2 * PAGE, 0), SIGBUS);
  CHECK_EQ(fault_at(one + 2 * PAGE, 1), SIGBUS);
  CHECK_OK(ftruncate(fd, 4 * PAGE));
  CHECK_EQ(two[2 * PAGE], 0);
  CHECK_OK(munmap(one, 4 * PAGE));
  CHECK_OK(munmap(two, 4 * PAGE));
  close(fd);
}

CASE(mirrored_ring) {
  enum { PAGES = 4 };
  long size = PAGES * PAGE;
  int fd = make(PAGES);
  char* ring = reserve(2 * PAGES);
  map_at(ring, fd, PAGES, RW);
  map_at(ring + size, fd, PAGES, RW);
  // Records of a size that does not divide the ring's, written across its end.
  char record[700], seen[700];
  for (long n = 0, at = 0; n < 200; n++, at = (at + (long)sizeof record) % size) {
    memset(record, (char)n, sizeof record);
    memcpy(ring + at, record, sizeof record);
    memcpy(seen, ring + at, sizeof seen);
    CHECK_EQ(memcmp(seen, record, sizeof seen), 0);
    CHECK_EQ(ring[at], (char)n);
    long last = (at + (long)sizeof record - 1) % size;
    CHECK_EQ(ring[last], (char)n);
    CHECK_EQ(ring[last + size], (char)n);
  }
  // A number that lies across the end.
  long long number = 0x0123456789abcdef, back;
  memcpy(ring + size - 3, &number, sizeof number);
  memcpy(&back, ring + size - 3, sizeof back);
  CHECK_EQ(back, number);
  CHECK_EQ(memcmp(ring, (char*)&number + 3, 5), 0);
  CHECK_OK(munmap(ring, 2 * size));
  close(fd);
}

CASE(written_here_executed_there) {
  int fd = make(1);
  unsigned char* code = (unsigned char*)map(fd, 1, RW);
  int (*function)(void) = (int (*)(void))map_at(reserve(1), fd, 1, PROT_READ | PROT_EXEC);
  for (unsigned char n = 1; n < 50; n++) {
    const unsigned char body[] = {0xb8, n, 0, 0, 0, 0xc3};  // mov $n,%eax; ret
    memcpy(code, body, sizeof body);
    CHECK_EQ(function(), n);
  }
  CHECK_EQ(fault_at((char*)(void*)function, 1), SIGSEGV);
  munmap(code, PAGE), munmap((void*)function, PAGE);
  close(fd);
}

CASE(rights_of_each_view) {
  int fd = make(2);
  char *writer = map(fd, 2, RW), *reader = map(fd, 2, PROT_READ);
  writer[0] = 1;
  CHECK_EQ(reader[0], 1);
  CHECK_EQ(fault_at(reader, 1), SIGSEGV);
  CHECK_OK(mprotect(writer, PAGE, PROT_READ));
  CHECK_EQ(fault_at(writer, 1), SIGSEGV);
  CHECK_EQ(writer[0], 1);
  CHECK_OK(mprotect(reader, 2 * PAGE, RW));
  reader[0] = 2, reader[PAGE] = 3;
  CHECK_EQ(writer[0], 2);
  CHECK_EQ(writer[PAGE], 3);
  CHECK_OK(mprotect(reader, PAGE, PROT_NONE));
  CHECK_EQ(fault_at(reader, 0), SIGSEGV);
  CHECK_EQ(writer[0], 2);
  CHECK_EQ(fault_at(reader + PAGE, 1), 0);
  CHECK_EQ(writer[PAGE], 1);
  munmap(writer, 2 * PAGE), munmap(reader, 2 * PAGE);
  close(fd);
}

CASE(a_view_is_replaced) {
  int fd = make(4);
  char *one = map(fd, 4, RW), *two = map(fd, 4, RW);
  one[PAGE] = 7;
  CHECK_EQ(two[PAGE], 7);
  // Private memory over a part of each, then the object again.
  CHECK(mmap(two + PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == two + PAGE);
  CHECK_EQ(two[PAGE], 0);
  two[PAGE] = 8;
  CHECK_EQ(one[PAGE], 7);
  CHECK(mmap(two + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE) == two + PAGE);
  two[PAGE] = 9;
  CHECK_EQ(one[2 * PAGE], 9);
  CHECK_EQ(two[2 * PAGE], 9);
  munmap(one, 4 * PAGE), munmap(two, 4 * PAGE);
  close(fd);
}

// --- mremap(2) of shared mappings ---

CASE(moved) {
  int fd = make(8);
  char* one = map(fd, 2, RW);
  one[0] = 1, one[PAGE] = 2;
  char* place = reserve(8);
  char* moved = mremap(one, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
  CHECK(moved == place);
  CHECK_EQ(fault_at(one, 0), SIGSEGV);
  CHECK_EQ(moved[0], 1);
  CHECK_EQ(moved[PAGE], 2);
  moved[1] = 3;
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, 1), 1);
  CHECK_EQ(byte, 3);
  // It cannot grow here: the rest of the reservation is behind it.
  CHECK(mremap(moved, 2 * PAGE, 8 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
  char* grown = mremap(moved, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(grown != MAP_FAILED);
  CHECK_EQ(grown[1], 3);
  grown[7 * PAGE] = 4;
  CHECK_EQ(pread(fd, &byte, 1, 7 * PAGE), 1);
  CHECK_EQ(byte, 4);
  // Length 0: a second view of the same pages.
  char* second = mremap(grown, 0, 8 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(second != MAP_FAILED);
  CHECK(second != grown);
  second[0] = 5;
  CHECK_EQ(grown[0], 5);
  CHECK(mremap(grown, 0, 8 * PAGE, 0) == MAP_FAILED);
  CHECK(mremap(second, 8 * PAGE, 3 * PAGE, 0) == second);
  CHECK_EQ(fault_at(second + 3 * PAGE, 0), SIGSEGV);
  second[2 * PAGE] = 6;
  CHECK_EQ(grown[2 * PAGE], 6);
  munmap(grown, 8 * PAGE), munmap(second, 3 * PAGE);
  close(fd);
}

CASE(shared_anonymous) {
  char* one = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(one != MAP_FAILED);
  one[0] = 1;
  char* two = mremap(one, 0, 4 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(two != MAP_FAILED);
  two[PAGE] = 2;
  CHECK_EQ(two[0], 1);
  CHECK_EQ(one[PAGE], 2);
  munmap(one, 4 * PAGE);
  CHECK_EQ(two[PAGE], 2);
  munmap(two, 4 * PAGE);
}

// Length 0 again: what it is taken from stays one mapping, and may be what the duplicate replaces.
CASE(duplicated_from_within) {
  int fd = make(8);
  char* one = map(fd, 4, RW);
  one[2 * PAGE] = 1;
  char* two = mremap(one + 2 * PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(two != MAP_FAILED);
  CHECK_EQ(two[0], 1);
  char* moved = mremap(one, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, reserve(4));
  REQUIRE(moved != MAP_FAILED);
  char* grown = mremap(moved + PAGE, 3 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(grown != MAP_FAILED);
  CHECK_EQ(grown[PAGE], 1);
  CHECK(mremap(two, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, two) == MAP_FAILED);
  CHECK_EQ(errno, EFAULT);
  CHECK_EQ(fault_at(two, 0), SIGSEGV);
  CHECK_EQ(grown[PAGE], 1);
  munmap(moved, PAGE), munmap(grown, 6 * PAGE);
  close(fd);
}

CASE(grows_while_mapped) {
  int fd = make(1);
  char* first = map(fd, 1, RW);
  first[0] = 1;
  // Much more than the first mapping showed that there might be.
  enum { MANY = 4096 };
  REQUIRE(ftruncate(fd, MANY * PAGE) == 0);
  char* all = map(fd, MANY, RW);
  CHECK_EQ(all[0], 1);
  all[(MANY - 1) * PAGE] = 2, all[1] = 3;
  CHECK_EQ(first[1], 3);
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, (MANY - 1) * PAGE), 1);
  CHECK_EQ(byte, 2);
  munmap(first, PAGE), munmap(all, MANY * PAGE);
  close(fd);
}

CASE(system_v) {
  int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
  REQUIRE(id >= 0);
  char *one = shmat(id, NULL, 0), *two = shmat(id, NULL, SHM_RDONLY);
  REQUIRE(one != (void*)-1 && two != (void*)-1);
  CHECK(one != two);
  one[2 * PAGE] = 5;
  CHECK_EQ(two[2 * PAGE], 5);
  CHECK_EQ(fault_at(two, 1), SIGSEGV);
  struct shmid_ds info;
  CHECK_OK(shmctl(id, IPC_STAT, &info));
  CHECK_EQ(info.shm_nattch, 2);
  CHECK_OK(shmdt(one));
  CHECK_EQ(two[2 * PAGE], 5);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_OK(shmdt(two));
}

// --- processes ---

static int status_of(pid_t pid) {
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

CASE(inherited) {
  int fd = make(4), to_child[2], to_parent[2];
  REQUIRE(pipe(to_child) == 0 && pipe(to_parent) == 0);
  char *one = map(fd, 4, RW), *two = map_at(reserve(4), fd, 4, RW);
  two[0] = 1;
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    for (char round = 0; round < 50; round++) {
      if (read(to_child[0], &byte, 1) != 1) _exit(2);
      if (one[PAGE] != round || two[PAGE] != round) _exit(3);
      (round % 2 ? one : two)[2 * PAGE] = (char)(round + 1);
      if (write(to_parent[1], &byte, 1) != 1) _exit(4);
    }
    // Private memory where the parent has a view.
    if (mmap(two, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != two) _exit(5);
    strcpy(two, "the child's own");
    if (write(to_parent[1], "x", 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(6);
    _exit(strcmp(two, "the child's own") == 0 && one[0] == 77 ? 0 : 7);
  }
  char byte = 0;
  for (char round = 0; round < 50; round++) {
    (round % 3 ? one : two)[PAGE] = round;
    CHECK_EQ(write(to_child[1], "x", 1), 1);
    CHECK_EQ(read(to_parent[0], &byte, 1), 1);
    CHECK_EQ(one[2 * PAGE], (char)(round + 1));
    CHECK_EQ(two[2 * PAGE], (char)(round + 1));
  }
  CHECK_EQ(read(to_parent[0], &byte, 1), 1);
  CHECK_EQ(two[0], 1);
  two[0] = 77;
  CHECK_EQ(write(to_child[1], "x", 1), 1);
  CHECK_EQ(status_of(pid), 0);
  CHECK_EQ(one[0], 77);
  munmap(one, 4 * PAGE), munmap(two, 4 * PAGE);
  close(fd);
  for (int i = 0; i < 2; i++) close(to_child[i]), close(to_parent[i]);
}

// A process that maps the object at an address of its own choice while the other has it where it was put.
CASE(elsewhere_in_another_process) {
  int fd = make(2), pipes[2];
  REQUIRE(pipe(pipes) == 0);
  char* one = map(fd, 2, RW);
  char* place = reserve(2);
  one[0] = 1;
  pid_t pid = fork();
  if (pid == 0) {
    munmap(one, 2 * PAGE);
    char* view = mmap(place, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
    if (view != place || view[0] != 1) _exit(2);
    view[PAGE] = 2;
    char byte;
    close(pipes[1]);
    if (read(pipes[0], &byte, 1) != 0) _exit(3);
    _exit(view[0] == 3 ? 0 : 4);
  }
  close(pipes[0]);
  while (((volatile char*)one)[PAGE] != 2) sched_yield();
  one[0] = 3;
  close(pipes[1]);
  CHECK_EQ(status_of(pid), 0);
  munmap(one, 2 * PAGE), munmap(place, 2 * PAGE);
  close(fd);
}

// --- threads ---

static atomic_int* counter_at[2];
enum { ADDITIONS = 500 };
static void* add(void* argument) {
  for (int i = 0; i < ADDITIONS; i++) atomic_fetch_add(counter_at[(long)argument], 1);
  return NULL;
}

CASE(threads_use_both) {
  int fd = make(1);
  counter_at[0] = (atomic_int*)map(fd, 1, RW);
  counter_at[1] = (atomic_int*)map(fd, 1, RW);
  pthread_t threads[4];
  for (long i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, add, (void*)(i % 2)) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(atomic_load(counter_at[0]), 4 * ADDITIONS);
  CHECK_EQ(atomic_load(counter_at[1]), 4 * ADDITIONS);
  munmap(counter_at[0], PAGE), munmap(counter_at[1], PAGE);
  close(fd);
}

static atomic_int* word_at[2];
static void* wait_there(void* argument) {
  (void)argument;
  while (atomic_load(word_at[1]) == 0) syscall(SYS_futex, word_at[1], FUTEX_WAIT, 0, NULL, NULL, 0);
  return NULL;
}

CASE(a_futex_is_the_same_at_both) {
  int fd = make(1);
  word_at[0] = (atomic_int*)map(fd, 1, RW), word_at[1] = (atomic_int*)map(fd, 1, RW);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, wait_there, NULL) == 0);
  // Until it waits there.
  while (syscall(SYS_futex, word_at[0], FUTEX_REQUEUE, 0, (void*)1L, word_at[0] + 1, 0) == 0)
    sched_yield();
  atomic_store(word_at[0], 1);
  syscall(SYS_futex, word_at[0], FUTEX_WAKE, 1, NULL, NULL, 0);
  syscall(SYS_futex, word_at[0] + 1, FUTEX_WAKE, 1, NULL, NULL, 0);
  pthread_join(thread, NULL);
  munmap(word_at[0], PAGE), munmap(word_at[1], PAGE);
  close(fd);
}

CASE(synced_to_a_file) {
  int fd = open("file", O_CREAT | O_RDWR | O_TRUNC, 0600);
  REQUIRE(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
  char *one = map(fd, 2, RW), *two = map(fd, 2, RW);
  two[PAGE] = 'y', one[0] = 'x';
  CHECK_OK(msync(two, 2 * PAGE, MS_SYNC));
  CHECK_OK(munmap(one, 2 * PAGE));
  CHECK_OK(munmap(two, 2 * PAGE));
  close(fd);
  fd = open("file", O_RDONLY);
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, PAGE), 1);
  CHECK_EQ(byte, 'y');
  close(fd);
}

CHECK_MAIN
