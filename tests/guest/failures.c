// What becomes of single calls when allocations fail on purpose (fail-nth and /proc/occlum/fail_page_alloc): a call that
// fails has done nothing, or says how much. Natively nothing fails, and the calls just work.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "knobs.h"

#define PAGE 4096
enum { kCameToPass = 14 };
#define KNOBS "/proc/occlum/fail_page_alloc/"

static long read_number(const char* path) {
  long number = -1;
  FILE* file = fopen(path, "r");
  if (file == NULL) return -1;
  if (fscanf(file, "%ld", &number) != 1) number = -1;
  fclose(file);
  return number;
}

static int fails_on_purpose(void) { return access(KNOBS "times", W_OK) == 0; }

// Even this may meet the failure.
static void set_number(const char* path, long number) {
  int result = -1;
  for (int i = 0; i < 100 && result != 0; i++) result = write_number(path, number);
  CHECK_EQ(result, 0);
}

// The n-th allocation of this thread from now on fails; 0: none. Leaves errno alone.
static void set_fail_nth(long n) {
  const int error = errno;
  if (fails_on_purpose()) set_number("/proc/thread-self/fail-nth", n);
  errno = error;
}

// One in `interval` of the pages that this thread asks for fails; 0: none.
static void fail_pages(int interval) {
  if (!fails_on_purpose()) return;
  set_number(KNOBS "interval", interval);
  set_number(KNOBS "probability", 100);
  set_number(KNOBS "times", interval != 0 ? -1 : 0);
  set_number("/proc/thread-self/make-it-fail", interval != 0);
}

CASE(knobs) {
  if (!fails_on_purpose()) return;
  CHECK_EQ(write_number(KNOBS "interval", 77), 0);
  CHECK_EQ(read_number(KNOBS "interval"), 77);
  CHECK_EQ(read_number("/proc/occlum/failslab/interval"), 1);
  CHECK_ERRNO(write_number(KNOBS "probability", 101), EINVAL);
  CHECK_EQ(write_number(KNOBS "times", -1), 0);
  CHECK_EQ(read_number(KNOBS "times"), -1);
  fail_pages(0);
}

// --- execve: an errno and all threads, or the new program, or death ---

static int asked[3][2], answered[3][2];

static void* answer(void* argument) {
  const long i = (long)argument;
  char byte;
  while (read(asked[i][0], &byte, 1) == 1)
    if (write(answered[i][1], &byte, 1) != 1) break;
  return NULL;
}

static int all_answer(void) {
  for (int i = 0; i < 3; i++) {
    char byte = 'a';
    if (write(asked[i][1], &byte, 1) != 1 || read(answered[i][0], &byte, 1) != 1) return 0;
  }
  return 1;
}

static volatile long* next_nth;  // shared with the parent

static void* execute(void* argument) {
  (void)argument;
  for (;; ++*next_nth) {
    set_fail_nth(*next_nth);
    execl(check_program, check_program, "rest", NULL);
    set_fail_nth(0);
    // What fails behind the point of no return must not come here. Asking a thread that is gone would wait for ever.
    alarm(20);
    if (!all_answer()) _exit(2);
    alarm(0);
    if (*next_nth > 5000) _exit(3);
  }
}

// In a process with four threads, one of which calls execve. `shares`: another process has its descriptors too.
static void try_execve(int is_leader, int shares) {
  next_nth = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(next_nth != MAP_FAILED);
  *next_nth = 1;
  int status = 0, goes_on = 0;
  do {
    pid_t pid = fork();
    if (pid == 0) {
      dup2(open("/dev/null", O_RDWR), 2);  // the linker may say why it cannot go on
      pthread_t thread;
      for (long i = 0; i < 3; i++) {
        if (pipe2(asked[i], O_CLOEXEC) != 0 || pipe2(answered[i], O_CLOEXEC) != 0) _exit(4);
        if (pthread_create(&thread, NULL, answer, (void*)i) != 0) _exit(5);
      }
      if (shares) {
        const pid_t parent = getpid();
        if (syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0) {
          while (getppid() == parent) check_sleep_ms(1);
          _exit(0);
        }
      }
      if (is_leader) execute(NULL);
      if (pthread_create(&thread, NULL, execute, NULL) != 0) _exit(6);
      for (;;) pause();
    }
    REQUIRE(pid != -1);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    ++*next_nth;
    goes_on = WIFSIGNALED(status)
                  ? WTERMSIG(status) == SIGSEGV
                  : WEXITSTATUS(status) == kCameToPass || WEXITSTATUS(status) == 127;
  } while (goes_on);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 13);
  munmap((void*)next_nth, PAGE);
}
CASE(execve_of_the_leader) { try_execve(1, 0); }
CASE(execve_of_another_thread) { try_execve(0, 0); }
CASE(execve_with_shared_descriptors) { try_execve(1, 1); }

// --- pages of files ---

static int memory_file(int pages) {
  int file = memfd_create("file", MFD_CLOEXEC);
  REQUIRE(file != -1);
  char page[PAGE];
  for (int i = 0; i < pages; i++) {
    memset(page, 'a' + i, sizeof page);
    REQUIRE(write(file, page, sizeof page) == sizeof page);
  }
  return file;
}

static void check_content(int file, int pages) {
  char page[PAGE];
  for (int i = 0; i < pages; i++) {
    CHECK_EQ(pread(file, page, sizeof page, (off_t)i * PAGE), sizeof page);
    CHECK_EQ(page[0], 'a' + i);
    CHECK_EQ(page[PAGE - 1], 'a' + i);
  }
}

// A file's pages have to go where it is mapped, and cannot, and some cannot go back.
CASE(shared_mapping_at_a_fixed_address) {
  char* place = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(place != MAP_FAILED);
  for (int round = 0; round < 8 * 30; round++) {
    int file = memory_file(8);
    fail_pages(round % 8);
    set_fail_nth(round / 8);
    char* at = mmap(place, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
    set_fail_nth(0);
    const int error = errno;
    fail_pages(0);
    CHECK(at == place || error == ENOMEM);
    for (int i = 0; at == place && i < 8; i++) CHECK_EQ(place[i * PAGE], 'a' + i);
    check_content(file, 8);
    CHECK_OK(munmap(place, 8 * PAGE));
    check_content(file, 8);
    close(file);
  }
}

// What write(2) says is what it has done.
CASE(written_pages) {
  static char data[6 * PAGE];
  memset(data, 'n', sizeof data);
  for (int nth = 1; nth < 40; nth++) {
    int file = memory_file(4);
    set_fail_nth(nth);
    ssize_t written = pwrite(file, data, sizeof data, PAGE / 2);
    set_fail_nth(0);
    CHECK(written > 0 || errno == ENOMEM);
    if (written < 0) written = 0;
    static char found[8 * PAGE];
    ssize_t size = pread(file, found, sizeof found, 0);
    CHECK(size >= 4 * PAGE && size >= PAGE / 2 + written);
    for (ssize_t i = 0; i < size; i++) {
      const int is_new = i >= PAGE / 2 && i < PAGE / 2 + written;
      const char wanted = is_new ? 'n' : (char)('a' + i / PAGE);
      if (found[i] != wanted) {
        CHECK_EQ(i, -1);
        break;
      }
    }
    close(file);
  }
}

// A call says ENOMEM; a page fault is tried again.
CASE(calls_and_faults) {
  char* fresh = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(fresh != MAP_FAILED);
  int file = memory_file(0);
  char block[PAGE] = "some bytes";
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  REQUIRE(write(ends[1], block, 10) == 10);
  fail_pages(1);
  for (int i = 0; i < 32; i++) fresh[i * PAGE] = 'x';
  errno = 0;
  const ssize_t written = write(file, block, sizeof block);
  const int error = errno;
  const ssize_t got = read(ends[0], fresh + 40 * PAGE, 10);  // the copy needs a page
  fail_pages(0);
  CHECK_EQ(got, 10);
  CHECK_EQ(written, fails_on_purpose() ? -1 : PAGE);
  CHECK_EQ(error, fails_on_purpose() ? ENOMEM : 0);
  for (int i = 0; i < 32; i++) CHECK_EQ(fresh[i * PAGE], 'x');
  CHECK_EQ(write(file, block, sizeof block), PAGE);
  close(file);
}

// How many bytes of the page at `at` are not `wanted`.
static int other_bytes(const char* at, char wanted) {
  int others = 0;
  for (int i = 0; i < PAGE; i++) others += at[i] != wanted;
  return others;
}

// What cannot be moved is where it was; what can be moved is whole.
static void move(int flags, int old_pages, int new_pages) {
  for (int nth = 1; nth < 40; nth++) {
    const size_t old_size = (size_t)old_pages * PAGE, new_size = (size_t)new_pages * PAGE;
    char* area =
        mmap(NULL, old_size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(area != MAP_FAILED);
    for (int i = 0; i < old_pages + 1; i++) memset(area + i * PAGE, 'a' + i, PAGE);
    set_fail_nth(nth);
    char* moved = mremap(area, old_size, new_size, flags | MREMAP_MAYMOVE, NULL);
    set_fail_nth(0);
    CHECK(moved != MAP_FAILED || errno == ENOMEM);
    const char* now = moved != MAP_FAILED ? moved : area;
    const int pages = moved != MAP_FAILED && new_pages < old_pages ? new_pages : old_pages;
    for (int i = 0; i < pages; i++) CHECK_EQ(other_bytes(now + i * PAGE, (char)('a' + i)), 0);
    for (int i = pages; moved != MAP_FAILED && i < new_pages; i++)
      CHECK_EQ(other_bytes(now + i * PAGE, 0), 0);
    CHECK_EQ(other_bytes(area + old_size, (char)('a' + old_pages)), 0);
    munmap(area, old_size + PAGE);
    if (moved != MAP_FAILED) munmap(moved, new_size);
  }
}
CASE(mremap_that_moves) { move(0, 6, 20); }
CASE(mremap_that_leaves) { move(MREMAP_DONTUNMAP, 6, 6); }
CASE(mremap_that_shrinks) { move(0, 6, 2); }

// Two addresses of the same pages, used by turns.
CASE(two_views_of_a_file) {
  for (int interval = 1; interval < 8; interval++) {
    int file = memory_file(8);
    char* one = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char* two = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
    fail_pages(interval);
    int wrong = 0;
    for (int round = 0; round < 4; round++) {
      for (int i = 0; i < 8; i++) {
        one[i * PAGE + 1 + round] = 'x';
        wrong += two[i * PAGE + 1 + round] != 'x' || two[i * PAGE] != 'a' + i;
        two[i * PAGE + 100 + round] = 'y';
      }
    }
    fail_pages(0);
    CHECK_EQ(wrong, 0);
    check_content(file, 8);
    for (int i = 0; i < 8; i++) CHECK_EQ(one[i * PAGE + 103], 'y');
    munmap(one, 8 * PAGE);
    munmap(two, 8 * PAGE);
    close(file);
  }
}

// From file to file without a buffer of ours: as many bytes arrive as the call says.
CASE(copied_pages) {
  for (int how = 0; how < 2; how++) {
    for (int nth = 1; nth < 40; nth++) {
      int from = memory_file(6), to = memory_file(6);
      loff_t at = 100, place = PAGE / 2;
      REQUIRE(lseek(to, place, SEEK_SET) == place);
      set_fail_nth(nth);
      ssize_t copied = how == 0 ? copy_file_range(from, &at, to, &place, 4 * PAGE, 0)
                                : sendfile(to, from, &at, 4 * PAGE);
      set_fail_nth(0);
      CHECK(copied > 0 || errno == ENOMEM);
      if (copied < 0) copied = 0;
      static char found[8 * PAGE];
      CHECK_EQ(pread(to, found, sizeof found, 0), 6 * PAGE);
      int wrong = 0;
      for (int i = 0; i < 6 * PAGE; i++) {
        const int is_new = i >= PAGE / 2 && i < PAGE / 2 + copied;
        const int origin = is_new ? i - PAGE / 2 + 100 : i;
        wrong += found[i] != 'a' + origin / PAGE;
      }
      CHECK_EQ(wrong, 0);
      CHECK_EQ(at, 100 + copied);
      close(from);
      close(to);
    }
  }
}

// What is left of a file that is cut or punched is what it was.
CASE(cut_and_punched) {
  for (int nth = 1; nth < 20; nth++) {
    int file = memory_file(6);
    set_fail_nth(nth);
    int result = fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE + 100, 2 * PAGE);
    set_fail_nth(0);
    CHECK(result == 0 || errno == ENOMEM);
    char page[PAGE];
    CHECK_EQ(pread(file, page, PAGE, PAGE), PAGE);
    CHECK_EQ(page[99], 'b');
    CHECK_EQ(page[100], result == 0 ? 0 : page[PAGE - 1]);
    set_fail_nth(nth);
    result = ftruncate(file, 4 * PAGE + 10);
    set_fail_nth(0);
    struct stat status;
    CHECK_OK(fstat(file, &status));
    CHECK_EQ(status.st_size, result == 0 ? 4 * PAGE + 10 : 6 * PAGE);
    CHECK_OK(ftruncate(file, 5 * PAGE));
    CHECK_EQ(pread(file, page, PAGE, 4 * PAGE), PAGE);
    CHECK_EQ(page[9], 'e');
    CHECK_EQ(page[10], result == 0 ? 0 : 'e');
    close(file);
  }
}

// Parent and child take turns, and what each has is held aside: nothing of it is lost, and nobody is killed.
static void take_turns(int interval, char* data, int pages) {
  memset(data, 'p', (size_t)pages * PAGE);
  int there[2], back[2];
  REQUIRE(pipe(there) == 0 && pipe(back) == 0);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  char byte = 'b';
  if (pid == 0) {
    fail_pages(interval);
    int wrong = 0;
    for (int i = 0; i < pages; i++) {
      if (data[i * PAGE + i] != 'p') wrong++;
      data[i * PAGE + i] = 'c';
      if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) _exit(100);
    }
    for (int i = 0; i < pages; i++)
      if (data[i * PAGE + i] != 'c' || data[i * PAGE + PAGE - 1] != 'p') wrong++;
    _exit(wrong);
  }
  close(there[1]);
  for (int i = 0; i < pages; i++) {
    if (read(there[0], &byte, 1) != 1) break;
    CHECK_EQ(data[i * PAGE + i], 'p');
    data[i * PAGE + i] = 'q';
    if (write(back[1], &byte, 1) != 1) break;
  }
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  fail_pages(0);
  for (int i = 0; i < pages; i++) {
    CHECK_EQ(data[i * PAGE + i], 'q');
    CHECK_EQ(data[i * PAGE + PAGE - 1], 'p');
  }
  close(there[0]), close(back[0]), close(back[1]);
}
CASE(fork_with_failing_pages) {
  char* data = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(data != MAP_FAILED);
  for (int interval = 1; interval < 12; interval++) take_turns(interval, data, 64);
  munmap(data, 64 * PAGE);
}

// The program that execve starts: whether the failure is still to come. (127: the linker has met it.)
int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "rest") == 0)
    return fails_on_purpose() && read_number("/proc/thread-self/fail-nth") == 0 ? kCameToPass : 13;
  return check_main(argc, argv);
}
