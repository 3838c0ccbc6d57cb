// Memory: mapping in an arena at a fixed address, where nothing is ever placed by itself, so that what a call over a
// range finds there is the sequence's own doing. Addresses print as pages of the arena.
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "random.h"

enum { kPages = 24, kPage = 4096 };
static unsigned char* const arena = (unsigned char*)0x800000000;

// Which pages came together, and have been treated alike since: they are one area for certain. Whether areas that look
// alike are one depends on what they had been, and whether they were ever written to (on Linux on their anon_vma),
// which nothing but mremap(2) shows: it is asked about pages that are one.
static unsigned together[2 * kPages], last_together;

static void name_pages(long at, long size, bool mapped) {
  unsigned name = mapped ? ++last_together : 0;
  for (long page = (at - (long)arena) / kPage; page * kPage < at - (long)arena + size; page++) {
    if (page >= 0 && page < 2 * kPages) together[page] = name;
  }
}
static void part_pages(long at, long size) {
  unsigned before = 0;
  for (long page = (at - (long)arena) / kPage; page * kPage < at - (long)arena + size; page++) {
    if (page < 0 || page >= 2 * kPages || together[page] == 0) continue;
    if (together[page] != before) last_together++;
    before = together[page];
    together[page] = last_together;
  }
}
static long length_together(long at, long size) {
  long first = (at - (long)arena) / kPage;
  for (long page = first + 1; page < 2 * kPages && page * kPage < at - (long)arena + size; page++) {
    if (together[first] != 0 && together[page] != 0 && together[page] != together[first])
      return (page - first) * kPage;
  }
  return size;
}

void memory_begin(void) {
  // A little to begin with: two writable areas with a hole between.
  mmap(arena + 2 * kPage, 6 * kPage, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap(arena + 10 * kPage, 4 * kPage, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  name_pages((long)arena + 2 * kPage, 6 * kPage, true);
  name_pages((long)arena + 10 * kPage, 4 * kPage, true);
}

// An address in the arena, mostly at the beginning of a page.
static long place(void) {
  long page = below(kPages), byte = percent(4) ? ONE_OF(1, 8, 4095) : 0;
  if (byte) {
    say(" page %ld+%ld", page, byte);
  } else {
    say(" page %ld", page);
  }
  return (long)arena + page * kPage + byte;
}
static long page_length(void) {
  if (percent(2)) return number(0);
  return number((long)(1 + below(6)) * kPage - (percent(10) ? ONE_OF(1, 4095, 100) : 0));
}
static void say_place(long r) {
  if (r < 0 && r >= -4095) {
    say(") = %s", errno_name(-r));
  } else if (r >= (long)arena && r < (long)arena + kPages * kPage) {
    say(") = page %ld", (r - (long)arena) / kPage);
  } else {
    say(") = placed%s", r & (kPage - 1) ? " oddly" : "");
  }
}
static long protection(void) {
  return hex(ONE_OF(0, 1, 3, 3, 3, 5, 7, 2, 4, PROT_READ | PROT_WRITE | 0x8));
}

static void map(long address, long size, long bits, long type, long fd, long at) {
  long r = quiet(SYS_mmap, address, size, bits, type, fd, at);
  say_place(r);
  if (r == address && address != 0) {
    name_pages(address, size, true);
  } else if (address != 0) {
    part_pages(address, size);
  }
  // What was placed elsewhere goes again: only the arena is looked at.
  if ((r > 0 || r < -4095) && (r < (long)arena || r >= (long)arena + kPages * kPage))
    QUIET_3(munmap, r, size, 0);
}
#define MAP_BITS some_of_list(LIST(MAP_NORESERVE, MAP_POPULATE))
OP(kMemory, 10, mmap_fixed) {
  long at = place(), size = page_length(), bits = protection();
  map(at, size, bits, hex(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_BITS), -1, 0);
}
OP(kMemory, 6, mmap_fixed_shared) {
  long at = place(), size = page_length(), bits = protection();
  map(at, size, bits, hex(MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_BITS), -1, 0);
}
OP(kMemory, 5, mmap_noreplace) {
  long at = place(), size = page_length(), bits = protection();
  map(at, size, bits, hex(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), -1, 0);
}
OP(kMemory, 4, mmap_anywhere) {
  long size = page_length(), bits = protection();
  map(0, size, bits,
      hex(ONE_OF(MAP_PRIVATE, MAP_SHARED, 0, 3, MAP_PRIVATE | MAP_STACK,
                 MAP_PRIVATE | MAP_GROWSDOWN) |
          MAP_ANONYMOUS | MAP_BITS),
      -1, 0);
}
static long file_offset(void) { return number(percent(96) ? (long)below(4) * kPage : 1); }
OP(kMemory, 8, mmap_file) {
  long at = place(), size = page_length(), bits = protection(), fd = fd_of(kFile);
  if (kind_of(fd) & (kPipeEnd | kSocket)) fd = -1;
  map(at, size, bits, hex(MAP_PRIVATE | MAP_FIXED), fd, file_offset());
}
OP(kMemory, 5, mmap_file_shared) {
  long size = page_length(), bits = protection(), fd = fd_of(kFile);
  if (kind_of(fd) & (kPipeEnd | kSocket))
    fd = -1;  // which of two errors comes first depends on the mount
  map(0, size, bits,
      hex(ONE_OF(MAP_SHARED, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_SHARED_VALIDATE | 1 << 27)), fd,
      file_offset());
}
OP(kMemory, 8, munmap) {
  long at = place(), size = page_length();
  if (CALL(munmap, at, size) == 0) name_pages(at, size, false);
}
// Over holes, too, where what comes before the hole is changed.
OP(kMemory, 4, mprotect_anywhere) {
  long at = place(), size = page_length();
  CALL(mprotect, at, size, protection());
  part_pages(at, size);
}
OP(kMemory, 10, mprotect) {
  long at = place(), size = page_length(), bits = protection();
  unsigned char vector[16];
  if (QUIET_3(mincore, at & -(long)kPage, (at & (kPage - 1)) + size, vector) != 0)
    return say(") not mapped");
  CALL(mprotect, at, size, bits);
  part_pages(at, size);
}
static void remap(long bits) {
  long from = place(), old_size = page_length(), new_size = page_length(),
       to = bits & MREMAP_FIXED ? place() : 0;
  long one = length_together(from, old_size < new_size ? old_size : new_size);
  if (one < old_size && one < new_size) say(" the first %ld", old_size = one);
  long r = quiet(SYS_mremap, from, old_size, new_size, hex(bits), to, 0);
  say_place(r);
  if (r > 0 || r < -4095) {
    long kept = old_size < new_size ? old_size : new_size;
    if (r != from) {
      if (bits & MREMAP_DONTUNMAP) {
        part_pages(from, old_size);
      } else {
        name_pages(from, old_size, false);
      }
      name_pages(r, new_size, true);
    } else if (old_size != new_size) {
      long end = (kept + kPage - 1) & -(long)kPage;
      name_pages(from + end, old_size - end, false);
      name_pages(from, new_size, true);
    }
  } else {
    part_pages(from, old_size);
    if (bits & MREMAP_FIXED) part_pages(to, new_size);
  }
  if ((r > 0 || r < -4095) && (r < (long)arena || r >= (long)arena + kPages * kPage))
    QUIET_3(munmap, r, new_size, 0);
}
OP(kMemory, 4, mremap_inplace) { remap(0); }
OP(kMemory, 4, mremap_maymove) { remap(MREMAP_MAYMOVE); }
OP(kMemory, 5, mremap_fixed) { remap(MREMAP_MAYMOVE | MREMAP_FIXED); }
OP(kMemory, 3, mremap_dontunmap) {
  remap(MREMAP_MAYMOVE | MREMAP_DONTUNMAP | (percent(60) ? MREMAP_FIXED : 0));
}
OP(kMemory, 1, mremap_wrong) {
  remap(ONE_OF(MREMAP_FIXED, 8, MREMAP_DONTUNMAP, -1 & ~MREMAP_FIXED));
}
#define MADVISE(kind, advice, weight)        \
  OP(kMemory, weight, madvise_##kind) {      \
    long at = place(), size = page_length(); \
    CALL(madvise, at, size, advice);         \
    part_pages(at, size);                    \
  }
MADVISE(normal, MADV_NORMAL, 1)
MADVISE(random, MADV_RANDOM, 1)
MADVISE(sequential, MADV_SEQUENTIAL, 1)
MADVISE(willneed, MADV_WILLNEED, 2)
MADVISE(dontneed, MADV_DONTNEED, 6)
MADVISE(remove, MADV_REMOVE, 2)
MADVISE(dontfork, MADV_DONTFORK, 1)
MADVISE(dofork, MADV_DOFORK, 1)
MADVISE(dontdump, MADV_DONTDUMP, 1)
MADVISE(dodump, MADV_DODUMP, 1)
MADVISE(wipeonfork, MADV_WIPEONFORK, 1)
MADVISE(keeponfork, MADV_KEEPONFORK, 1)
MADVISE(populate_read, MADV_POPULATE_READ, 2)
MADVISE(populate_write, MADV_POPULATE_WRITE, 2)
MADVISE(dontneed_locked, MADV_DONTNEED_LOCKED, 1)
MADVISE(unknown, number(ONE_OF(5, 6, 7, 26, 99, -1)), 1)
OP(kMemory, 3, msync) {
  CALL(msync, place(), page_length(), hex(ONE_OF(MS_SYNC, MS_ASYNC, MS_INVALIDATE, 0, 5, 8)));
}
OP(kMemory, 3, mincore) {
  unsigned char vector[16];
  // Which pages of the areas are in memory is the kernel's affair.
  CALL(mincore, place(), number((long)below(8) * kPage), pointer(vector, "vector"));
}
OP(kMemory, 3, mlock) {
  long at = place(), size = page_length();
  CALL(mlock, at, size);
  part_pages(at, size);
}
OP(kMemory, 2, mlock2) {
  long at = place(), size = page_length();
  CALL(mlock2, at, size, PICK(0, 1, 2));
  part_pages(at, size);
}
OP(kMemory, 3, munlock) {
  long at = place(), size = page_length();
  CALL(munlock, at, size);
  part_pages(at, size);
}
OP(kMemory, 1, mlockall) { CALL(mlockall, number(ONE_OF(1, 2, 3, 4, 0, 8))); }
OP(kMemory, 1, munlockall) { CALL(munlockall, 0); }
OP(kMemory, 3, brk) {
  static long first;
  if (!first) first = QUIET_1(brk, 0);
  long want = ONE_OF(0, 4096, 100000, 1, 65536, -4096);
  say("%ld", want);
  long r = QUIET_1(brk, want < 0 ? 0 : first + want);
  say(") = +%ld", r - first);
}
OP(kMemory, 2, memfd_create) {
  long bits = hex(ONE_OF(0, 1, 2, 3, 8, 0x10, 0x20));
  if (bits & 4) bits = 0;
  long fd = CALL(memfd_create, pointer("name", "\"name\""), bits);
  if (fd >= 0) note_fd(fd, kMemFd);
}

// Touching: what a page holds, or the fault it gives.
struct touch {
  unsigned char* at;
  int value;
};
// A page that is not mapped is not touched: in the enclave what another process left there may still be accessible.
static bool mapped(const void* at) {
  unsigned char vector[1];
  if (mincore((void*)((unsigned long)at & -(unsigned long)kPage), 1, vector) == 0) return true;
  say(" not mapped");
  return false;
}
static void load(void* argument) {
  struct touch* touch = argument;
  touch->value = *(volatile unsigned char*)touch->at;
}
static void store(void* argument) {
  struct touch* touch = argument;
  *(volatile unsigned char*)touch->at = (unsigned char)touch->value;
}
OP(kMemory, 10, load) {
  long page = below(kPages);
  long byte = ONE_OF(0, 1, 100, 4095);
  say("%ld+%ld)", page, byte);
  struct touch touch = {arena + page * kPage + byte, 0};
  if (mapped(touch.at) && guarded(load, &touch)) say(" = %d", touch.value);
}
OP(kMemory, 14, store) {
  long page = below(kPages);
  long byte = ONE_OF(0, 1, 100, 4095);
  struct touch touch = {arena + page * kPage + byte, 1 + (int)below(255)};
  say("%ld+%ld, %d)", page, byte, touch.value);
  if (mapped(touch.at)) guarded(store, &touch);
}
// The system's view of the same: copies from and to the areas.
OP(kMemory, 5, write_from_arena) {
  long fd = fd_of(kFile), from = place();
  CALL(write, fd, from, number(ONE_OF(1, 100, 4096, 8192, 5000)));
}
OP(kMemory, 5, read_into_arena) {
  long fd = fd_of(kFile), to = place();
  CALL(pread64, fd, to, number(ONE_OF(1, 100, 4096, 8192, 5000)), number(ONE_OF(0, 0, 10, 4096)));
}
static void copy_own(int call) {
  output();
  say("<-)");
  struct iovec here = {output_buffer, (size_t)ONE_OF(1, 100, 8192)},
               there = {(void*)place(), (size_t)ONE_OF(1, 100, 4096, 8192)};
  say(" %zu %zu", here.iov_len, there.iov_len);
  long r = quiet(call, getpid(), (long)&here, 1, (long)&there, 1, 0);
  say_result(r);
  if (call == SYS_process_vm_readv && r > 0) say_bytes(output_buffer, (size_t)r);
}
OP(kMemory, 4, process_vm_readv) { copy_own(SYS_process_vm_readv); }
OP(kMemory, 3, process_vm_writev) { copy_own(SYS_process_vm_writev); }

// /proc/self/maps over the arena, neighbours of the same kind joined.
OP(kMemory, 8, maps) {
  say(")");
  FILE* file = fopen("/proc/self/maps", "re");
  if (!file) return;
  char text[512], last[8] = "";
  unsigned long begin = 0, end = 0;
  while (fgets(text, sizeof text, file)) {
    unsigned long from, to;
    char rights[8];
    if (sscanf(text, "%lx-%lx %4s", &from, &to, rights) != 3) continue;
    if (to <= (unsigned long)arena || from >= (unsigned long)arena + kPages * kPage) continue;
    from = (from - (unsigned long)arena) / kPage;
    to = (to - (unsigned long)arena) / kPage;
    if (to > kPages) to = kPages;
    if (from == end && strcmp(rights, last) == 0) {
      end = to;
      continue;
    }
    if (end) say(" %lu-%lu:%s", begin, end, last);
    begin = from;
    end = to;
    strcpy(last, rights);
  }
  if (end) say(" %lu-%lu:%s", begin, end, last);
  fclose(file);
}
