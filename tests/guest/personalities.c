// personality(2): what uname(2) says, and rights of mappings.
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "check.h"

static struct utsname name_of_system(void) {
  struct utsname name;
  CHECK_OK(uname(&name));
  return name;
}

// Runs `body` in a child, whose personality is its own.
static void in_child(int (*body)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int status = body();
    fflush(stdout);
    _exit(status || check_failures);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

CASE(usual) {
  CHECK_EQ(personality(0xffffffff) & PER_MASK, PER_LINUX);
  CHECK_STR(name_of_system().machine, "x86_64");
}

static int linux32(void) {
  struct utsname before = name_of_system();
  CHECK_EQ(personality(PER_LINUX32) & PER_MASK, PER_LINUX);
  struct utsname now = name_of_system();
  CHECK_STR(now.machine, "i686");
  CHECK_STR(now.release, before.release);
  CHECK_EQ(personality(0xffffffff), PER_LINUX32);
  // It outlasts exec, and goes back.
  FILE* pipe = popen("/bin/uname -m", "r");
  char line[64] = "";
  CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL);
  CHECK_STR(line, "i686\n");
  CHECK_EQ(pclose(pipe), 0);
  CHECK_EQ(personality(PER_LINUX32_3GB), PER_LINUX32);
  CHECK_STR(name_of_system().machine, "i686");
  CHECK_EQ(personality(PER_LINUX), PER_LINUX32_3GB);
  CHECK_STR(name_of_system().machine, "x86_64");
  return 0;
}
CASE(machine) { in_child(linux32); }

// 6.1.0-name is 2.6.61-name.
static int uname26(void) {
  unsigned major, minor, old_minor;
  CHECK_EQ(sscanf(name_of_system().release, "%u.%u", &major, &minor), 2);
  CHECK_OK(personality(PER_LINUX | UNAME26));
  CHECK_EQ(sscanf(name_of_system().release, "2.6.%u", &old_minor), 1);
  CHECK_EQ(old_minor, minor + 60);
  CHECK_STR(name_of_system().machine, "x86_64");
  return 0;
}
CASE(release) { in_child(uname26); }

// The rights of the mapping at `address`, as /proc/self/maps has them.
static const char* rights_at(void* address) {
  static char rights[8];
  FILE* maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != NULL);
  char line[512];
  unsigned long start, end;
  strcpy(rights, "none");
  while (fgets(line, sizeof line, maps)) {
    char here[8];
    if (sscanf(line, "%lx-%lx %4s", &start, &end, here) != 3) continue;
    if (start <= (unsigned long)address && (unsigned long)address < end) strcpy(rights, here);
  }
  fclose(maps);
  return rights;
}

static void* map(int prot) {
  void* at = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(at != MAP_FAILED);
  return at;
}

static int readable_is_executable(void) {
  void* before = map(PROT_READ | PROT_WRITE);
  CHECK_OK(personality(PER_LINUX | READ_IMPLIES_EXEC));
  CHECK_STR(rights_at(before), "rw-p");
  CHECK_OK(mprotect(before, 4096, PROT_READ));
  CHECK_STR(rights_at(before), "r-xp");
  CHECK_OK(mprotect(before, 4096, PROT_WRITE));
  CHECK_STR(rights_at(before), "-w-p");
  unsigned char* code = map(PROT_READ | PROT_WRITE);
  CHECK_STR(rights_at(code), "rwxp");
  memcpy(code, "\xb8\x2a\0\0\0\xc3", 6);  // mov $42, %eax; ret
  CHECK_EQ(((int (*)(void))(void*)code)(), 42);
  CHECK_STR(rights_at(map(PROT_NONE)), "---p");
  FILE* file = fopen("/proc/self/exe", "r");
  REQUIRE(file != NULL);
  void* text = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fileno(file), 0);
  REQUIRE(text != MAP_FAILED);
  CHECK_STR(rights_at(text), "r-xp");
  CHECK(memcmp(text, "\177ELF", 4) == 0);
  fclose(file);
  CHECK_OK(personality(PER_LINUX));
  CHECK_STR(rights_at(map(PROT_READ | PROT_WRITE)), "rw-p");
  return 0;
}
CASE(read_implies_exec) { in_child(readable_is_executable); }

// A 64-bit program starts without that, whatever its parent had.
static int executed(void) {
  CHECK_OK(personality(PER_LINUX | READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE));
  execl("/proc/self/exe", "personalities", "after_exec", (char*)NULL);
  return 9;
}
CASE(after_exec) {
  if ((personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0) {
    in_child(executed);
  } else {
    CHECK_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
  }
}

CHECK_MAIN
