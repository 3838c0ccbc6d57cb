// What a program finds when it starts: the auxiliary vector, the stack, constructors, bss and TLS.
// Sources: getauxval(3), System V ABI AMD64 section 3.4.
#include <elf.h>
#include <link.h>
#include <stdalign.h>
#include <sys/auxv.h>

#include "check.h"

extern char** environ;

#define BIG_BSS (64 << 20)
static char big_bss[BIG_BSS];
static __thread int tls_data = 1234;
static __thread char tls_zero[5000];
static __thread struct {
  alignas(64) char bytes[64];
} tls_aligned = {{5}};

static int order[8], order_count;
__attribute__((constructor(102))) static void second(void) { order[order_count++] = 2; }
__attribute__((constructor(101))) static void first(void) { order[order_count++] = 1; }
__attribute__((constructor(103))) static void third(void) { order[order_count++] = 3; }
__attribute__((destructor)) static void last(void) {
  static const char text[] = "destructor ran\n";
  if (write(1, text, sizeof text - 1) < 0) _exit(9);
}

CASE(constructors_in_order) {
  CHECK_EQ(order_count, 3);
  for (int i = 0; i < 3; i++) CHECK_EQ(order[i], i + 1);
}

CASE(auxiliary_vector) {
  CHECK_EQ(getauxval(AT_PAGESZ), 4096);
  CHECK_EQ(getauxval(AT_CLKTCK), 100);
  CHECK_EQ(getauxval(AT_SECURE), 0);
  CHECK_EQ(getauxval(AT_UID), getuid());
  CHECK_EQ(getauxval(AT_EUID), geteuid());
  CHECK_EQ(getauxval(AT_GID), getgid());
  CHECK_EQ(getauxval(AT_EGID), getegid());
  CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
  CHECK(getauxval(AT_PHNUM) > 2);
  CHECK(getauxval(AT_ENTRY) != 0);
  CHECK_STR((const char*)getauxval(AT_PLATFORM), "x86_64");
  const char* name = (const char*)getauxval(AT_EXECFN);
  REQUIRE(name != NULL);
  CHECK_STR(name, check_program);
  errno = 0;
  CHECK_EQ(getauxval(9999), 0);
  CHECK_EQ(errno, ENOENT);
}

CASE(random_bytes) {
  const unsigned char* random = (const unsigned char*)getauxval(AT_RANDOM);
  REQUIRE(random != NULL);
  int different = 0;
  for (int i = 1; i < 16; i++) different += random[i] != random[0];
  CHECK(different > 0);
}

CASE(program_headers_describe_us) {
  const Elf64_Phdr* header = (const Elf64_Phdr*)getauxval(AT_PHDR);
  size_t count = getauxval(AT_PHNUM), loads = 0, executable = 0;
  uintptr_t bias = 0, here = (uintptr_t)&case_program_headers_describe_us;
  for (size_t i = 0; i < count; i++) {
    // The headers follow the ELF header, which the segment at offset 0 maps.
    if (header[i].p_type == PT_LOAD && header[i].p_offset == 0)
      bias = (uintptr_t)header - sizeof(Elf64_Ehdr) - header[i].p_vaddr;
  }
  for (size_t i = 0; i < count; i++) {
    if (header[i].p_type != PT_LOAD) continue;
    loads++;
    uintptr_t start = bias + header[i].p_vaddr;
    if ((header[i].p_flags & PF_X) && here >= start && here < start + header[i].p_memsz)
      executable++;
  }
  CHECK(loads >= 2);
  CHECK_EQ(executable, 1);
}

CASE(stack) {
  alignas(64) char local[64] = {1};
  CHECK_EQ((uintptr_t)local % 64, 0);
  // The strings lie above the pointers, which lie above every frame.
  CHECK((uintptr_t)environ > (uintptr_t)local);
  CHECK((uintptr_t)check_program > (uintptr_t)environ);
  int variables = 0;
  for (char** e = environ; *e; e++) variables++;
  CHECK(variables > 0);
  CHECK_STR(getenv("GUEST_WORD"), "a word from the environment");
}

CASE(big_bss_is_zero_and_writable) {
  for (size_t i = 0; i < BIG_BSS; i += 4096) {
    if (big_bss[i] != 0) CHECK_EQ(big_bss[i], 0);
  }
  CHECK_EQ(big_bss[BIG_BSS - 1], 0);
  big_bss[BIG_BSS - 1] = 1;
  big_bss[BIG_BSS / 2] = 2;
  CHECK_EQ(big_bss[BIG_BSS - 1] + big_bss[BIG_BSS / 2], 3);
}

static void* look_at_tls(void* argument) {
  CHECK_EQ((uintptr_t)&tls_aligned % 64, 0);
  CHECK_EQ(tls_aligned.bytes[0], 5);
  CHECK_EQ(tls_data, 1234);
  for (size_t i = 0; i < sizeof tls_zero; i++) CHECK_EQ(tls_zero[i], 0);
  tls_data = 1;
  memset(tls_zero, 1, sizeof tls_zero);
  return argument;
}

CASE(tls) {
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, look_at_tls, NULL) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
  }
  look_at_tls(NULL);
}

static void at_exit(void) { printf("atexit ran\n"); }
CASE(exit_handlers) { CHECK_EQ(atexit(at_exit), 0); }

CHECK_MAIN
