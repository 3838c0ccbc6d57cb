// File mappings: private copies, shared coherence with read and write, msync(2), memfd_create(2), the end of the file.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "check.h"

#define PAGE 4096L

static int make(const char* path, long size) {
  int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
  REQUIRE(fd >= 0);
  char page[PAGE];
  for (long i = 0; i < size; i += PAGE) {
    memset(page, 'a' + (int)(i / PAGE % 26), PAGE);
    long part = size - i < PAGE ? size - i : PAGE;
    REQUIRE(write(fd, page, part) == part);
  }
  return fd;
}

static sigjmp_buf escape;
static volatile siginfo_t fault;
static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  fault = *info;
  siglongjmp(escape, 1);
}

CASE(enter) { check_enter_scratch(); }

CASE(private_is_a_copy) {
  int fd = make("private", 3 * PAGE);
  char* map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  REQUIRE(map != MAP_FAILED);
  CHECK_EQ(map[0], 'a');
  CHECK_EQ(map[2 * PAGE], 'c');
  map[0] = 'X';
  char byte;
  CHECK_EQ(pread(fd, &byte, 1, 0), 1);
  CHECK_EQ(byte, 'a');
  CHECK_OK(madvise(map, PAGE, MADV_DONTNEED));
  CHECK_EQ(map[0], 'a');  // The file's content again.
  close(fd);
  CHECK_EQ(map[PAGE], 'b');
  CHECK_OK(munmap(map, 3 * PAGE));
}

// Whatever was in the memory before, what is written to the file shows in pages that nobody has used.
CASE(private_shows_what_is_written_before_its_use) {
  enum { LENGTH = 16 * 4096 };
  static char text[LENGTH];
  int fd = open("written", O_CREAT | O_RDWR | O_TRUNC, 0600);
  memset(text, 'a', LENGTH);
  REQUIRE(fd >= 0 && pwrite(fd, text, LENGTH, 0) == LENGTH);
  char* used = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(used != MAP_FAILED);
  memset(used, 'x', LENGTH);
  CHECK_OK(munmap(used, LENGTH));
  char* map = mmap(used, LENGTH, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);
  REQUIRE(map == used);
  memset(text, 'b', LENGTH);
  CHECK_EQ(pwrite(fd, text, LENGTH, 0), LENGTH);
  CHECK_EQ(memcmp(map, text, LENGTH), 0);
  CHECK_OK(munmap(map, LENGTH));
  close(fd);
}

CASE(shared_is_the_file) {
  int fd = make("shared", 3 * PAGE);
  char* one = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(one != MAP_FAILED);
  one[5] = 'S';
  char byte;
  CHECK_EQ(pread(fd, &byte, 1, 5), 1);
  CHECK_EQ(byte, 'S');
  CHECK_EQ(pwrite(fd, "W", 1, PAGE + 7), 1);
  CHECK_EQ(one[PAGE + 7], 'W');
  CHECK_OK(msync(one, 3 * PAGE, MS_SYNC));
  CHECK_ERRNO(msync(one + 1, PAGE, MS_SYNC), EINVAL);
  close(fd);
  one[9] = 'T';
  CHECK_OK(munmap(one, 3 * PAGE));
  fd = open("shared", O_RDONLY);
  CHECK_EQ(pread(fd, &byte, 1, 9), 1);
  CHECK_EQ(byte, 'T');
  close(fd);
}

CASE(two_shared_mappings_agree) {
  int fd = make("twice", 2 * PAGE);
  volatile char* one = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  volatile char* two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
  for (int i = 0; i < 100; i++) {
    one[i] = (char)i;
    CHECK_EQ(two[i], i);
    two[PAGE + i] = (char)(i + 1);
    CHECK_EQ(one[PAGE + i], i + 1);
  }
  munmap((void*)one, 2 * PAGE);
  munmap((void*)two, 2 * PAGE);
  close(fd);
}

CASE(offset) {
  int fd = make("offset", 4 * PAGE);
  char* map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);
  REQUIRE(map != MAP_FAILED);
  CHECK_EQ(map[0], 'c');
  munmap(map, PAGE);
  CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
  close(fd);
}

CASE(permissions) {
  int fd = make("perm", PAGE);
  close(fd);
  fd = open("perm", O_RDONLY);
  CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
        errno == EACCES);
  char* map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(map != MAP_FAILED);
  munmap(map, PAGE);
  map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  CHECK_ERRNO(mprotect(map, PAGE, PROT_READ | PROT_WRITE), EACCES);
  munmap(map, PAGE);
  close(fd);
  fd = open("perm", O_WRONLY);
  CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES);
  close(fd);
  fd = open(".", O_RDONLY);
  CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV);
  close(fd);
}

CASE(end_of_file) {
  int fd = make("end", PAGE + 100);
  char* map = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
  REQUIRE(map != MAP_FAILED);
  CHECK_EQ(map[PAGE + 99], 'b');
  CHECK_EQ(map[PAGE + 100], 0);  // The rest of the last page is zero.
  CHECK_EQ(map[2 * PAGE - 1], 0);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  CHECK_OK(sigaction(SIGBUS, &action, NULL));
  if (sigsetjmp(escape, 1) == 0) {
    (void)*(volatile char*)(map + 2 * PAGE);
    CHECK(!"beyond the end is SIGBUS");
  } else {
    CHECK_EQ(fault.si_signo, SIGBUS);
    CHECK_EQ(fault.si_code, BUS_ADRERR);
    CHECK(fault.si_addr == map + 2 * PAGE);
  }
  // A system call meets it as EFAULT.
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_ERRNO(write(ends[1], map + 2 * PAGE, 1), EFAULT);
  close(ends[0]);
  close(ends[1]);
  signal(SIGBUS, SIG_DFL);
  munmap(map, 3 * PAGE);
  close(fd);
}

CASE(truncation_under_a_mapping) {
  int fd = make("cut", 2 * PAGE);
  char* map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  map[PAGE + 1] = 'z';
  CHECK_OK(ftruncate(fd, PAGE));
  CHECK_OK(ftruncate(fd, 2 * PAGE));
  CHECK_EQ(map[PAGE + 1], 0);
  munmap(map, 2 * PAGE);
  close(fd);
}

CASE(memory_file) {
  int fd = memfd_create("name", MFD_CLOEXEC);
  REQUIRE(fd >= 0);
  CHECK_OK(ftruncate(fd, 2 * PAGE));
  char* map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(map != MAP_FAILED);
  strcpy(map + 10, "in a memory file");
  char text[32] = "";
  CHECK_EQ(pread(fd, text, 17, 10), 17);
  CHECK_STR(text, "in a memory file");
  munmap(map, 2 * PAGE);
  close(fd);
}

CASE(shared_anonymous) {
  char* map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(map != MAP_FAILED);
  CHECK_EQ(map[0], 0);
  map[PAGE] = 1;
  CHECK_EQ(map[PAGE], 1);
  CHECK_OK(munmap(map, 2 * PAGE));
}

CASE(memfd_keeps_its_attributes) {
  int fd = memfd_create("owned", 0);
  REQUIRE(fd >= 0);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_mode, S_IFREG | 0777);
  CHECK_OK(fchmod(fd, 0640));
  if (geteuid() == 0) CHECK_OK(fchown(fd, 1000, 65534));
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_mode, S_IFREG | 0640);
  if (geteuid() == 0) CHECK_EQ(status.st_uid, 1000);
  if (geteuid() == 0) CHECK_EQ(status.st_gid, 65534);
  close(fd);
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define F_SEAL_EXEC 0x20
#endif
CASE(memfd_sealed_against_execution) {
  int fd = memfd_create("data", MFD_NOEXEC_SEAL);
  REQUIRE(fd >= 0);
  CHECK_OK(fchmod(fd, 0640));
  CHECK_ERRNO(fchmod(fd, 0641), EPERM);
  close(fd);
  // Sealed as executable it is not written to any more.
  fd = memfd_create("code", MFD_ALLOW_SEALING);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
  CHECK_EQ(fcntl(fd, F_GET_SEALS),
           F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
  CHECK_ERRNO(fchmod(fd, 0666), EPERM);
  CHECK_OK(fchmod(fd, 0755));
  close(fd);
}

CASE(executable_mapping) {
  // A function's bytes in a file, mapped executable: mov $42,%eax; ret.
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  check_write_file("code", code, sizeof code);
  int fd = open("code", O_RDONLY);
  int (*function)(void) =
      (int (*)(void))mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  REQUIRE((void*)function != MAP_FAILED);
  CHECK_EQ(function(), 42);
  munmap((void*)function, PAGE);
  close(fd);
}

CHECK_MAIN
