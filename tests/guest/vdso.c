// The vDSO: found as C libraries find it, and of one mind with the system calls.
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "check.h"

static const ElfW(Ehdr) * vdso;
static const char* strings;
static const ElfW(Sym) * symbols;
static const uint32_t* hash;
static const uint16_t* versions;
static const ElfW(Verdef) * definitions;

static int (*vdso_gettime)(int, struct timespec*);
static int (*vdso_gettimeofday)(struct timeval*, struct timezone*);
static time_t (*vdso_time)(time_t*);
static int (*vdso_getres)(int, struct timespec*);
static long (*vdso_getcpu)(unsigned*, unsigned*, void*);

static const char* version_of(uint32_t symbol) {
  for (const ElfW(Verdef)* d = definitions;; d = (const void*)((const char*)d + d->vd_next)) {
    if ((d->vd_ndx & 0x7fff) == (versions[symbol] & 0x7fff)) {
      return strings + ((const ElfW(Verdaux)*)((const char*)d + d->vd_aux))->vda_name;
    }
    if (d->vd_next == 0) return "";
  }
}

static void* find(const char* name) {
  uint32_t value = 0;
  for (const char* c = name; *c; c++) {
    value = (value << 4) + (unsigned char)*c;
    value = (value ^ (value >> 24 & 0xf0)) & 0x0fffffff;
  }
  for (uint32_t i = hash[2 + value % hash[0]]; i != 0; i = hash[2 + hash[0] + i]) {
    if (strcmp(strings + symbols[i].st_name, name) != 0 || symbols[i].st_shndx == SHN_UNDEF)
      continue;
    CHECK_EQ(ELF64_ST_TYPE(symbols[i].st_info), STT_FUNC);
    CHECK_STR(version_of(i), "LINUX_2.6");
    return (char*)vdso + symbols[i].st_value;
  }
  return NULL;
}

CASE(is_an_elf_file_with_the_functions) {
  vdso = (const void*)getauxval(AT_SYSINFO_EHDR);
  REQUIRE(vdso != NULL);
  REQUIRE(memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0);
  CHECK_EQ(vdso->e_type, ET_DYN);
  CHECK_EQ(vdso->e_machine, EM_X86_64);
  const ElfW(Phdr)* headers = (const void*)((const char*)vdso + vdso->e_phoff);
  const ElfW(Dyn)* dynamic = NULL;
  int loads = 0;
  for (int i = 0; i < vdso->e_phnum; i++) {
    if (headers[i].p_type == PT_DYNAMIC)
      dynamic = (const void*)((const char*)vdso + headers[i].p_offset);
    if (headers[i].p_type != PT_LOAD) continue;
    CHECK_EQ(headers[i].p_flags, PF_R | PF_X);
    loads++;
  }
  CHECK_EQ(loads, 1);
  REQUIRE(dynamic != NULL);
  uint64_t soname = 0;
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    const void* at = (const char*)vdso + dynamic->d_un.d_ptr;
    if (dynamic->d_tag == DT_STRTAB) strings = at;
    if (dynamic->d_tag == DT_SYMTAB) symbols = at;
    if (dynamic->d_tag == DT_HASH) hash = at;
    if (dynamic->d_tag == DT_VERSYM) versions = at;
    if (dynamic->d_tag == DT_VERDEF) definitions = at;
    if (dynamic->d_tag == DT_SONAME) soname = dynamic->d_un.d_val;
  }
  REQUIRE(strings != NULL && symbols != NULL && hash != NULL && versions != NULL &&
          definitions != NULL);
  CHECK_STR(strings + soname, "linux-vdso.so.1");
  vdso_gettime = find("__vdso_clock_gettime");
  vdso_gettimeofday = find("__vdso_gettimeofday");
  vdso_time = find("__vdso_time");
  vdso_getres = find("__vdso_clock_getres");
  vdso_getcpu = find("__vdso_getcpu");
  REQUIRE(vdso_gettime && vdso_gettimeofday && vdso_time && vdso_getres && vdso_getcpu);
  CHECK(find("clock_gettime") == (void*)vdso_gettime);
  CHECK(find("nothing_of_the_kind") == NULL);
}

CASE(is_in_the_maps) {
  FILE* maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != NULL);
  char line[512], rights[8], name[256];
  int found = 0;
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    name[0] = 0;
    sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &start, &end, rights, name);
    if (strcmp(name, "[vdso]") != 0) continue;
    found++;
    CHECK_EQ(start, getauxval(AT_SYSINFO_EHDR));
    CHECK(rights[0] == 'r' && rights[1] == '-' && rights[2] == 'x');
  }
  fclose(maps);
  CHECK_EQ(found, 1);
}

static int64_t ns_of(const struct timespec* t) { return t->tv_sec * 1000000000ll + t->tv_nsec; }
static int64_t by_syscall(int clock) {
  struct timespec t = {0, 0};
  CHECK_EQ(syscall(SYS_clock_gettime, clock, &t), 0);
  return ns_of(&t);
}
static int64_t by_vdso(int clock) {
  struct timespec t = {0, -1};
  CHECK_EQ(vdso_gettime(clock, &t), 0);
  CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
  return ns_of(&t);
}

CASE(clocks_agree_with_the_system_call) {
  REQUIRE(vdso_gettime != NULL);
  static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
                               CLOCK_MONOTONIC_RAW};
  for (int c = 0; c < 4; c++) {
    for (int i = 0; i < 1000; i++) {
      int64_t before = by_syscall(clocks[c]), now = by_vdso(clocks[c]),
              after = by_syscall(clocks[c]);
      CHECK(before <= now);
      CHECK(now <= after);
    }
  }
  static const int coarse[] = {CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
  for (int c = 0; c < 2; c++) {
    int64_t difference = by_syscall(coarse[c]) - by_vdso(coarse[c]);
    CHECK(difference >= -20000000 && difference <= 20000000);
  }
}

CASE(clocks_that_need_the_kernel) {
  REQUIRE(vdso_gettime != NULL);
  CHECK(by_vdso(CLOCK_PROCESS_CPUTIME_ID) > 0);
  CHECK(by_vdso(CLOCK_THREAD_CPUTIME_ID) > 0);
  struct timespec t;
  CHECK_EQ(vdso_gettime(12345, &t), -EINVAL);
  CHECK_EQ(vdso_getres(12345, &t), -EINVAL);
}

CASE(never_goes_back) {
  REQUIRE(vdso_gettime != NULL);
  int64_t last = 0, back = 0;
  for (int i = 0; i < 200000; i++) {
    int64_t now = by_vdso(CLOCK_MONOTONIC);
    back += now < last;
    last = now;
  }
  CHECK_EQ(back, 0);
}

CASE(time_of_day) {
  REQUIRE(vdso_gettimeofday != NULL && vdso_time != NULL);
  struct timeval now;
  struct timezone zone = {5, 5};
  int64_t before = by_syscall(CLOCK_REALTIME) / 1000;
  CHECK_EQ(vdso_gettimeofday(&now, &zone), 0);
  int64_t after = by_syscall(CLOCK_REALTIME) / 1000;
  int64_t value = now.tv_sec * 1000000ll + now.tv_usec;
  CHECK(before <= value && value <= after);
  CHECK(zone.tz_minuteswest != 5 || zone.tz_dsttime != 5);
  CHECK_EQ(vdso_gettimeofday(NULL, NULL), 0);
  time_t stored = 0;
  time_t seconds = vdso_time(&stored);
  CHECK_EQ(stored, seconds);
  CHECK(seconds >= before / 1000000 - 1 && seconds <= after / 1000000 + 1);
  CHECK(vdso_time(NULL) >= seconds);
}

CASE(resolution) {
  REQUIRE(vdso_getres != NULL);
  for (int clock = 0; clock <= 7; clock++) {
    struct timespec by_call = {1, 1}, mine = {2, 2};
    CHECK_EQ(syscall(SYS_clock_getres, clock, &by_call), 0);
    CHECK_EQ(vdso_getres(clock, &mine), 0);
    CHECK_EQ(ns_of(&mine), ns_of(&by_call));
    CHECK_EQ(vdso_getres(clock, NULL), 0);
  }
}

CASE(processor) {
  REQUIRE(vdso_getcpu != NULL);
  unsigned cpu = 9999, node = 9999;
  CHECK_EQ(vdso_getcpu(&cpu, &node, NULL), 0);
  CHECK(cpu < 1024);
  CHECK_EQ(node, 0);
  CHECK_EQ(vdso_getcpu(NULL, NULL, NULL), 0);
}

CASE(the_c_library_uses_it) {
  // A trap for each would take seconds.
  struct timespec t;
  int64_t begin = by_syscall(CLOCK_MONOTONIC);
  for (int i = 0; i < 1000000; i++) clock_gettime(CLOCK_MONOTONIC, &t);
  CHECK(by_syscall(CLOCK_MONOTONIC) - begin < 1500000000);
}

CHECK_MAIN
