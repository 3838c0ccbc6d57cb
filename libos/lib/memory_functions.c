// The functions that the compiler calls by itself: memcpy, memmove, memset, memcmp, bcmp, strlen,
// memchr.
//
// Without vector registers the fast ways are overlapping words for small sizes, a loop of four
// words for middling ones and REP MOVSB/STOSB for the rest (the processors of SGX2 have ERMS; Intel
// optimization manual, 3.7.6). DF is clear: every entry into the enclave clears it. This is a C
// file, compiled with -fno-builtin, so that the compiler does not recognise the loops and replace
// them by calls to themselves. The hosted builds use the libc's.
//
// Invariant of the raw part: each function touches exactly the bytes that the C standard says.
// memcpy is memmove: it loads what it stores last before its first store, and goes upwards unless
// that would overwrite what it still needs.
#include <stddef.h>
#include <stdint.h>

#pragma clang unsafe_buffer_usage begin

enum { kStringInstructionFrom = 256 };

void* memcpy(void* restrict to, const void* restrict from, size_t count);
void* memmove(void* to, const void* from, size_t count);
void* memset(void* to, int value, size_t count);
int memcmp(const void* a, const void* b, size_t count);
int bcmp(const void* a, const void* b, size_t count);
size_t strlen(const char* text);
void* memchr(const void* bytes, int value, size_t count);

static inline uint64_t load64(const unsigned char* from) {
  uint64_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

static inline uint32_t load32(const unsigned char* from) {
  uint32_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}

static inline void store64(unsigned char* to, uint64_t value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

static inline void store32(unsigned char* to, uint32_t value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

// Up to 16 bytes, in two overlapping halves that are loaded before either is stored.
static inline void move_small(unsigned char* to, const unsigned char* from, size_t count) {
  if (count >= 8) {
    const uint64_t low = load64(from);
    const uint64_t high = load64(from + count - 8);
    store64(to, low);
    store64(to + count - 8, high);
  } else if (count >= 4) {
    const uint32_t low = load32(from);
    const uint32_t high = load32(from + count - 4);
    store32(to, low);
    store32(to + count - 4, high);
  } else if (count != 0) {
    const unsigned char low = from[0];
    const unsigned char middle = from[count / 2];
    const unsigned char high = from[count - 1];
    to[0] = low;
    to[count / 2] = middle;
    to[count - 1] = high;
  }
}

static inline void move_upwards(unsigned char* to, const unsigned char* from, size_t count) {
  if (count >= kStringInstructionFrom) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return;
  }
  const uint64_t last = load64(from + count - 8);
  unsigned char* const last_to = to + count - 8;
  for (; count >= 32; count -= 32, to += 32, from += 32) {
    const uint64_t a = load64(from), b = load64(from + 8);
    const uint64_t c = load64(from + 16), d = load64(from + 24);
    store64(to, a);
    store64(to + 8, b);
    store64(to + 16, c);
    store64(to + 24, d);
  }
  for (; count > 8; count -= 8, to += 8, from += 8) store64(to, load64(from));
  store64(last_to, last);
}

static inline void move_downwards(unsigned char* to, const unsigned char* from, size_t count) {
  const uint64_t first = load64(from);
  for (; count > 8; count -= 8) store64(to + count - 8, load64(from + count - 8));
  store64(to, first);
}

void* memmove(void* to, const void* from, size_t count) {
  if (count <= 16) {
    move_small(to, from, count);
  } else if ((uintptr_t)to - (uintptr_t)from >= count) {
    move_upwards(to, from, count);
  } else {
    move_downwards(to, from, count);
  }
  return to;
}

void* memcpy(void* restrict to, const void* restrict from, size_t count) {
  return memmove(to, from, count);
}

void* memset(void* to, int value, size_t count) {
  unsigned char* at = to;
  const uint64_t word = 0x0101010101010101u * (unsigned char)value;
  if (count >= kStringInstructionFrom) {
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"((unsigned char)value) : "memory");
  } else if (count >= 8) {
    store64(at + count - 8, word);
    for (; count > 8; count -= 8, at += 8) store64(at, word);
  } else if (count >= 4) {
    store32(at, (uint32_t)word);
    store32(at + count - 4, (uint32_t)word);
  } else if (count != 0) {
    at[0] = (unsigned char)value;
    at[count / 2] = (unsigned char)value;
    at[count - 1] = (unsigned char)value;
  }
  return to;
}

int memcmp(const void* a, const void* b, size_t count) {
  const unsigned char* left = a;
  const unsigned char* right = b;
  for (; count >= 8; count -= 8, left += 8, right += 8) {
    const uint64_t x = load64(left), y = load64(right);
    if (x != y) return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
  }
  for (; count != 0; --count, ++left, ++right) {
    if (*left != *right) return *left < *right ? -1 : 1;
  }
  return 0;
}

int bcmp(const void* a, const void* b, size_t count) { return memcmp(a, b, count); }

size_t strlen(const char* text) {
  const char* end = text;
  while (*end != 0) ++end;
  return (size_t)(end - text);
}

void* memchr(const void* bytes, int value, size_t count) {
  const unsigned char* at = bytes;
  for (; count != 0; --count, ++at) {
    if (*at == (unsigned char)value) return (void*)(uintptr_t)at;
  }
  return NULL;
}

// libc++ calls it to find a 32-bit value in an array.
int* wmemchr(const int* values, int value, size_t count) {
  for (; count != 0; --count, ++values) {
    if (*values == value) return (int*)(uintptr_t)values;
  }
  return NULL;
}

#pragma clang unsafe_buffer_usage end
