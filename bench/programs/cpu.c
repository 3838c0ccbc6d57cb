// Work that never enters the kernel: SHA-256 of 1 GB (FIPS 180-4, portable) and a quicksort. Prints the time in ns.
#include "bench.h"

static const uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void compress(uint32_t state[8], const unsigned char* block) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++) {
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
           (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t e = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25);
    uint32_t t1 = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRound[i] + w[i];
    uint32_t a = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22);
    uint32_t t2 = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t1;
    s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

static void sha256(void) {
  enum { kBuffer = 1 << 20 };
  static unsigned char buffer[kBuffer];
  for (int i = 0; i < kBuffer; i++) buffer[i] = (unsigned char)(i * 7);
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  int64_t begin = now_ns();
  for (int round = 0; round < 1024; round++) {
    for (int at = 0; at < kBuffer; at += 64) compress(state, buffer + at);
  }
  int64_t took = now_ns() - begin;
  require(state[0] != 0, "the hash");
  printf("%ld\n", (long)took);
}

static void quicksort(int* first, int* last) {
  while (last - first > 16) {
    int pivot = first[(last - first) / 2], *left = first, *right = last - 1;
    while (left <= right) {
      while (*left < pivot) left++;
      while (*right > pivot) right--;
      if (left <= right) {
        int swap = *left;
        *left++ = *right;
        *right-- = swap;
      }
    }
    if (right + 1 - first < last - left) {
      quicksort(first, right + 1);
      first = left;
    } else {
      quicksort(left, last);
      last = right + 1;
    }
  }
  for (int* at = first + 1; at < last; at++) {
    int value = *at, *to = at;
    for (; to > first && to[-1] > value; to--) *to = to[-1];
    *to = value;
  }
}

static void sort(void) {
  enum { kCount = 8 << 20 };
  int* data = malloc(kCount * sizeof(int));
  require(data != NULL, "malloc");
  uint32_t x = 12345;
  for (int i = 0; i < kCount; i++) data[i] = (int)((x = x * 1664525 + 1013904223) >> 1);
  int64_t begin = now_ns();
  quicksort(data, data + kCount);
  int64_t took = now_ns() - begin;
  for (int i = 1; i < kCount; i++) require(data[i - 1] <= data[i], "the order");
  printf("%ld\n", (long)took);
}

static const struct benchmark list[] = {{"sha256", sha256}, {"sort", sort}};
BENCHMARKS(list)
