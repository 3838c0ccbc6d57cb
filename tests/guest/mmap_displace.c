// Mappings that replace a part of a shared one (mmap(2), MAP_FIXED; mremap(2)): the rest of it stays what it is, for
// the process that does so, for its family and for strangers.
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static char* shared_pages(long pages) {
  char* area = mmap(NULL, pages * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  for (long i = 0; i < pages; i++) memset(area + i * PAGE, 'a' + (int)i, PAGE);
  return area;
}

static int object(long pages) {
  int fd = memfd_create("object", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, pages * PAGE) == 0);
  return fd;
}

static char* view_of(int fd) {
  char* area = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
  REQUIRE(area != MAP_FAILED);
  return area;
}

// Zeroes are there, and what is written stays there.
static void replace(char* at, long pages) {
  char* area = mmap(at, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  REQUIRE(area == at);
  for (long i = 0; i < pages * PAGE; i++) REQUIRE(area[i] == 0);
  memset(area, 'z', pages * PAGE);
}

static void expect(const char* area, const char* pages) {
  for (long i = 0; pages[i] != 0; i++) {
    CHECK_EQ(area[i * PAGE], pages[i]);
    CHECK_EQ(area[i * PAGE + PAGE - 1], pages[i]);
  }
}

static void wait_for(pid_t pid) {
  int status = -1;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}

CASE(a_page_in_the_middle) {
  char* area = shared_pages(4);
  replace(area + PAGE, 1);
  expect(area, "azcd");
  memset(area + 3 * PAGE, 'D', PAGE);
  pid_t child = fork();
  if (child == 0) {
    memset(area, 'A', PAGE);
    memset(area + PAGE, 'B', PAGE);
    _exit(0);
  }
  wait_for(child);
  expect(area, "AzcD");
  CHECK(munmap(area, 4 * PAGE) == 0);
}

CASE(where_a_part_was_unmapped) {
  char* area = shared_pages(4);
  CHECK(munmap(area + PAGE, 2 * PAGE) == 0);
  replace(area + 2 * PAGE, 1);
  CHECK_EQ(area[0], 'a');
  expect(area + 2 * PAGE, "zd");
  char* behind =
      mmap(area + 4 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(behind == area + 4 * PAGE || errno == EEXIST);
  expect(area + 2 * PAGE, "zd");
}

CASE(where_nobody_maps_it_any_more) {
  int fd = object(4);
  char* area = view_of(fd);
  memset(area, 'f', 4 * PAGE);
  CHECK(munmap(area, 4 * PAGE) == 0);
  replace(area, 4);
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, 2 * PAGE), 1);
  CHECK_EQ(byte, 'f');
  char* again = view_of(fd);
  REQUIRE(again != area);
  again[0] = 'g';
  CHECK_EQ(pread(fd, &byte, 1, 0), 1);
  CHECK_EQ(byte, 'g');
  expect(area, "zzzz");
  close(fd);
}

CASE(by_members_of_a_family) {
  char* area = shared_pages(6);
  pid_t children[4];
  for (int i = 0; i < 4; i++) {
    children[i] = fork();
    if (children[i] != 0) continue;
    replace(area + (i + 1) * PAGE, 1);
    for (int round = 0; round < 50; round++) {
      __atomic_fetch_add(area + 8, 1, __ATOMIC_SEQ_CST);
      CHECK_EQ(area[(i + 1) * PAGE], 'z');
    }
    area[(i == 3 ? 1 : i + 2) * PAGE + 16 + i] = (char)('0' + i);
    _exit(0);
  }
  for (int i = 0; i < 4; i++) wait_for(children[i]);
  CHECK_EQ((unsigned char)area[8], (unsigned char)('a' + 200));
  for (int i = 0; i < 4; i++) CHECK_EQ(area[(i == 3 ? 1 : i + 2) * PAGE + 16 + i], '0' + i);
  for (long i = 1; i < 6; i++) CHECK_EQ(area[i * PAGE], 'a' + i);
  replace(area + 5 * PAGE, 1);
  pid_t grandchild = fork();
  if (grandchild == 0) {
    memset(area + 4 * PAGE, 'E', PAGE);
    memset(area + 5 * PAGE, '-', PAGE);
    _exit(0);
  }
  wait_for(grandchild);
  expect(area + 4 * PAGE, "Ez");
}

// Two that have nothing in common but the file.
CASE(by_strangers) {
  int fd = object(4);
  char* area = view_of(fd);
  memset(area, 'm', 4 * PAGE);
  int to_child[2], to_parent[2];
  REQUIRE(pipe(to_child) == 0 && pipe(to_parent) == 0);
  pid_t child = vfork();
  if (child == 0) {
    char number[3][16];
    snprintf(number[0], sizeof number[0], "%d", fd);
    snprintf(number[1], sizeof number[1], "%d", to_child[0]);
    snprintf(number[2], sizeof number[2], "%d", to_parent[1]);
    execl(check_program, check_program, "stranger", number[0], number[1], number[2], NULL);
    _exit(100);
  }
  char byte = 0;
  REQUIRE(read(to_parent[0], &byte, 1) == 1);  // it has the file mapped, too
  replace(area + PAGE, 2);
  memset(area, 'n', PAGE);
  REQUIRE(write(to_child[1], "x", 1) == 1);
  wait_for(child);
  expect(area, "nzzq");
  CHECK_EQ(pread(fd, &byte, 1, PAGE), 1);
  CHECK_EQ(byte, 'p');
}

static int stranger(char** argv) {
  const int fd = atoi(argv[2]), in = atoi(argv[3]), out = atoi(argv[4]);
  char* area = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
  if (area == MAP_FAILED || area[PAGE] != 'm') return 1;
  memset(area + PAGE, 'o', PAGE);
  char byte;
  if (write(out, "x", 1) != 1 || read(in, &byte, 1) != 1) return 2;
  if (area[0] != 'n' || area[PAGE] != 'o' || area[2 * PAGE] != 'm') return 3;
  memset(area + PAGE, 'p', PAGE);
  memset(area + 3 * PAGE, 'q', PAGE);
  return 0;
}

CASE(by_the_object_itself) {
  int fd = object(4);
  char* area = view_of(fd);
  for (int i = 0; i < 4; i++) memset(area + i * PAGE, '0' + i, PAGE);
  REQUIRE(mmap(area + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE) == area + PAGE);
  expect(area, "0223");
  memset(area + PAGE, 'x', PAGE);
  expect(area, "0xx3");
}

CASE(by_mremap) {
  char* area = shared_pages(4);
  char* other = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(other != MAP_FAILED);
  memset(other, 'm', PAGE);
  REQUIRE(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 2 * PAGE) ==
          area + 2 * PAGE);
  expect(area, "abmd");
  char* view = shared_pages(1);
  REQUIRE(mremap(view, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area) == area);
  expect(area, "abmd");
  memset(area, 'v', PAGE);
  expect(area, "vbmd");
}

// What was unmapped of a shared object is free for what is in front of it to grow.
CASE(by_mremap_in_place) {
  char* area = shared_pages(4);
  REQUIRE(munmap(area, 3 * PAGE) == 0);
  REQUIRE(mmap(area, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
  memset(area, 'p', PAGE);
  REQUIRE(mremap(area, PAGE, 3 * PAGE, 0) == area);
  memset(area + PAGE, 'q', 2 * PAGE);
  expect(area, "pqqd");
  CHECK_ERRNO((long)mremap(area, 3 * PAGE, 4 * PAGE, 0), ENOMEM);
}

CASE(by_mremap_beside_a_shared_object) {
  char* area = mmap(NULL, 6 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  char* object = area + 2 * PAGE;
  REQUIRE(mmap(object, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == object);
  memset(object + 3 * PAGE, 's', PAGE);
  REQUIRE(munmap(object, 2 * PAGE) == 0);
  REQUIRE(mremap(area, 2 * PAGE, 4 * PAGE, 0) == area);
  memset(area, 'p', 4 * PAGE);
  expect(area, "pppp");
  CHECK_EQ(area[5 * PAGE], 's');
}

// Threads write all the time; not one of their writes may be lost.
#define WRITERS 3
static char* counted;
static atomic_int stop;

static void* count(void* argument) {
  long* slot = (long*)(counted + ((long)argument * 2 + 1) * PAGE);
  long written = 0;
  while (!atomic_load(&stop)) *(volatile long*)slot = ++written;
  return (void*)written;
}

CASE(while_threads_write) {
  for (int round = 0; round < 30; round++) {
    counted = shared_pages(2 * WRITERS + 1);
    memset(counted, 0, (2 * WRITERS + 1) * PAGE);
    atomic_store(&stop, 0);
    pthread_t threads[WRITERS];
    for (long i = 0; i < WRITERS; i++)
      REQUIRE(pthread_create(&threads[i], NULL, count, (void*)i) == 0);
    for (int i = 0; i <= WRITERS; i++) {
      replace(counted + 2 * i * PAGE, 1);
      sched_yield();
    }
    atomic_store(&stop, 1);
    for (long i = 0; i < WRITERS; i++) {
      void* written = NULL;
      pthread_join(threads[i], &written);
      CHECK_EQ(*(long*)(counted + (i * 2 + 1) * PAGE), (long)written);
      CHECK_EQ(counted[2 * i * PAGE], 'z');
    }
    munmap(counted, (2 * WRITERS + 1) * PAGE);
  }
}

int main(int argc, char** argv) {
  if (argc > 4 && strcmp(argv[1], "stranger") == 0) return stranger(argv);
  return check_main(argc, argv);
}
