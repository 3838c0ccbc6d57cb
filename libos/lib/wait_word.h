// Sleeping until a word changes, as futex(2) does it, for the locks of the LibOS itself. sched/
// implements both functions; the hosted tests implement them with pthreads.
#pragma once

#include <atomic>
#include <cstdint>

namespace occlum {

enum class Wake : std::uint8_t { kOne, kAll };

// Sleeps if `word` still is `expected`, until a wake_word on it. May also return for no reason:
// callers loop. A wake_word that follows the word's change is never missed. No spin locks may be
// held.
void wait_on_word(std::atomic<std::uint32_t>& word, std::uint32_t expected);

// Wakes threads that sleep on `word`, which is used as an address only: it may be gone already.
void wake_word(std::atomic<std::uint32_t>& word, Wake which);

}  // namespace occlum
