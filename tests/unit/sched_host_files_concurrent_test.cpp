// Requests to the host's files against a host that answers late, in any order, twice, with nonsense, and for requests
// that nobody made.
#include "libos/sched/host_files.h"

// The C++ run time's own `abi`, which gtest includes, must not be ours.
#define abi cxx_run_time_abi
#include <gtest/gtest.h>
#undef abi

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "libos/arch/enclave/host_exit.h"
#include "libos/host/calls.h"
#include "libos/sched/scheduler.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {

namespace {

struct Sent {
  uint64_t operation, fd, slot, length, offset, mode, token;
};

std::vector<uint64_t> buffers(abi::kFileIoSlots* abi::kFileIoSlotSize / 8);
uint64_t buffers_at() { return reinterpret_cast<uint64_t>(buffers.data()); }
std::byte* buffer_of(uint64_t slot) {
  return reinterpret_cast<std::byte*>(buffers_at() + slot * abi::kFileIoSlotSize);
}

std::function<int64_t(const Sent&)> host_side;
std::atomic<long> direct_calls = 0;
std::atomic<int> awaited = 0;

// What was sent and waits for an answer.
class Inbox {
 public:
  void put(const Sent& sent) {
    const std::lock_guard guard(mutex_);
    waiting_.push_back(sent);
    changed_.notify_all();
  }
  // When there are `count`.
  std::vector<Sent> take(size_t count) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return waiting_.size() >= count; });
    return std::exchange(waiting_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Sent> waiting_;
};

}  // namespace

uint64_t file_io_buffers() { return buffers_at(); }
bool runs_task() { return true; }
void note_file_wait(int change) { awaited += change; }

int64_t make_host_call(abi::HostCallNumber number, uint64_t a0, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6) {
  EXPECT_EQ(number, abi::HostCallNumber::kFileIo);
  return host_side({a0, a1, a2, a3, a4, a5, a6});
}
Result<void> copy_from_untrusted(std::span<std::byte> to, uint64_t from) {
  if (!to.empty()) std::memcpy(to.data(), reinterpret_cast<const void*>(from), to.size());
  return {};
}
Result<void> copy_to_untrusted(uint64_t to, std::span<const std::byte> from) {
  if (!from.empty()) std::memcpy(reinterpret_cast<void*>(to), from.data(), from.size());
  return {};
}

namespace host {
Untrusted<long> system_call(long, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) {
  ++direct_calls;
  return Untrusted<long>(7);
}
// As libos/host/calls.cpp.
Result<long> check(Untrusted<long> result, long limit) {
  const long value = result.any_value_is_harmless();
  if (value >= 0) return value <= limit ? Result<long>(value) : Errno::kIo;
  return value >= -133 ? static_cast<Errno>(-value) : Errno::kIo;
}
}  // namespace host

namespace {

std::byte content(uint64_t offset) { return static_cast<std::byte>(offset * 131 >> 3); }

// Serves a read from a file of which every byte is known.
void fill(const Sent& sent) {
  for (uint64_t i = 0; i < sent.length; ++i) buffer_of(sent.slot)[i] = content(sent.offset + i);
}

TEST(HostFiles, AnswersInAnyOrderReachWhoAsked) {
  constexpr int kThreads = 16, kReads = 50;
  Inbox inbox;
  host_side = [&](const Sent& sent) {
    inbox.put(sent);
    return abi::kFileIoPending;
  };
  std::atomic<bool> done = false;
  std::thread host([&] {
    std::mt19937 random(5);
    while (!done) {
      auto sent = inbox.take(1);
      std::shuffle(sent.begin(), sent.end(), random);
      for (const Sent& one : sent) {
        if (one.length == 0) continue;  // the last
        fill(one);
        complete_host_file(one.token, static_cast<int64_t>(one.length));
      }
    }
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < kThreads; ++i) {
    readers.emplace_back([i] {
      std::mt19937 random(static_cast<unsigned>(i));
      std::vector<std::byte> data(5000);
      for (int round = 0; round < kReads; ++round) {
        const uint64_t offset = random();
        const size_t size = random() % data.size() + 1;
        const auto count = host::pread(3, std::span(data).first(size), offset);
        ASSERT_FALSE(count.is_error());
        ASSERT_EQ(count.value(), size);
        for (size_t at = 0; at < size; ++at) ASSERT_EQ(data[at], content(offset + at));
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  done = true;
  inbox.put({});
  host.join();
  EXPECT_EQ(awaited, 0);
}

TEST(HostFiles, ASlotIsNotUsedAgainBeforeItsAnswer) {
  constexpr size_t kThreads = 100;
  Inbox inbox;
  std::mutex mutex;
  std::set<uint64_t> in_flight;
  host_side = [&](const Sent& sent) {
    {
      const std::lock_guard guard(mutex);
      EXPECT_LT(sent.slot, abi::kFileIoSlots);
      EXPECT_TRUE(in_flight.insert(sent.slot).second);
    }
    inbox.put(sent);
    return abi::kFileIoPending;
  };
  std::vector<std::thread> writers;
  std::atomic<size_t> finished = 0;
  for (size_t i = 0; i < kThreads; ++i) {
    writers.emplace_back([&] {
      const std::array<std::byte, 100> data = {};
      const auto count = host::pwrite(3, data, 0);
      EXPECT_TRUE(!count.is_error() && count.value() == data.size());
      ++finished;
    });
  }
  // All slots are taken; the others wait for one.
  auto sent = inbox.take(abi::kFileIoSlots);
  EXPECT_EQ(sent.size(), abi::kFileIoSlots);
  for (size_t served = 0; served < kThreads;) {
    for (const Sent& one : sent) {
      {
        const std::lock_guard guard(mutex);
        in_flight.erase(one.slot);
      }
      complete_host_file(one.token, static_cast<int64_t>(one.length));
      ++served;
    }
    if (served < kThreads) sent = inbox.take(1);
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(finished, kThreads);
}

TEST(HostFiles, OnlyTheFirstAnswerToTheRequestInFlightCounts) {
  Inbox inbox;
  host_side = [&](const Sent& sent) {
    inbox.put(sent);
    return abi::kFileIoPending;
  };
  std::array<std::byte, 16> data = {};
  const auto read_one = [&](int64_t answer, std::vector<uint64_t> wrong) {
    Result<size_t> count = Errno::kIo;
    std::thread reader([&] { count = host::read_file(3, data); });
    const uint64_t token = inbox.take(1).at(0).token;
    for (const uint64_t other : {token + 1, token - 1, token + 256, token - 256, uint64_t{0},
                                 token & ~abi::kFileIoToken, token | 0xff, UINT64_MAX})
      complete_host_file(other, 3);
    for (const uint64_t other : wrong) complete_host_file(other, 3);
    complete_host_file(token, answer);
    complete_host_file(token, 4);
    reader.join();
    complete_host_file(token, 4);
    if (answer > 16) {
      EXPECT_EQ(count.error(), Errno::kIo);
    } else {
      EXPECT_EQ(count.value(), static_cast<size_t>(answer));
    }
    return token;
  };
  const uint64_t first = read_one(5, {});
  const uint64_t second = read_one(16, {first});
  EXPECT_NE(first, second);
  read_one(17, {first, second});
  read_one(INT64_MAX, {first, second});
}

TEST(HostFiles, AnAnswerBeforeTheCallReturnsIsNotLost) {
  host_side = [&](const Sent& sent) {
    complete_host_file(sent.token, 9);
    return abi::kFileIoPending;
  };
  std::array<std::byte, 16> data = {};
  EXPECT_EQ(host::read_file(3, data).value(), 9u);
  // Answered twice, in both ways: what the call returns is taken, and the next use is not disturbed.
  host_side = [&](const Sent& sent) {
    complete_host_file(sent.token, 9);
    return int64_t{2};
  };
  EXPECT_EQ(host::read_file(3, data).value(), 2u);
  EXPECT_EQ(host::read_file(3, data).value(), 2u);
}

TEST(HostFiles, ASignalDoesNotEndTheWait) {
  Inbox inbox;
  host_side = [&](const Sent& sent) {
    inbox.put(sent);
    return abi::kFileIoPending;
  };
  std::atomic<testing::ThreadTask*> task = nullptr;
  std::atomic<bool> returned = false;
  std::thread writer([&] {
    task = &testing::this_task();
    EXPECT_FALSE(host::fsync(3, true).is_error());
    returned = true;
  });
  const Sent sent = inbox.take(1).at(0);
  EXPECT_EQ(sent.operation, static_cast<uint64_t>(abi::FileOperation::kDataSync));
  for (int i = 0; i < 100; ++i) task.load()->interrupt();
  EXPECT_FALSE(returned);
  complete_host_file(sent.token, 0);
  writer.join();
}

TEST(HostFiles, AHostThatDoesNotWaitIsAskedAgainByTheVcpuItself) {
  for (const Errno errno_then : {Errno::kAgain, Errno::kIntr, Errno::kCanceled}) {
    host_side = [&](const Sent&) { return -static_cast<int64_t>(errno_then); };
    std::array<std::byte, 16> data = {};
    direct_calls = 0;
    EXPECT_EQ(host::read_file(3, data).value(), 7u);
    EXPECT_EQ(host::write_file(3, data).value(), 7u);
    EXPECT_EQ(host::fsync(3, false).error(), Errno::kIo);  // 7 is not what fsync returns
    EXPECT_EQ(direct_calls, 3);
  }
}

TEST(HostFiles, NonsenseGivesErrorsOrShortData) {
  std::mt19937 random(11);
  Inbox inbox;
  const auto any_number = [&]() -> int64_t {
    switch (random() % 7) {
      case 0:
        return -static_cast<int64_t>(random() % 300);
      case 1:
        return INT64_MAX;
      case 2:
        return INT64_MIN + 1;
      case 3:
        return static_cast<int64_t>(random() % 100);
      default:
        return static_cast<int64_t>((uint64_t{random()} << 32 | random()) >> random() % 64);
    }
  };
  host_side = [&](const Sent& sent) {
    const int64_t at_once = any_number();
    std::memset(buffer_of(sent.slot), 0x5a, 1000);
    if (random() % 2 == 0) return at_once;
    complete_host_file(sent.token ^ (random() % 3), any_number());
    complete_host_file(sent.token, any_number());
    complete_host_file(sent.token, any_number());
    return abi::kFileIoPending;
  };
  std::array<std::byte, 600> data;
  for (int round = 0; round < 20'000; ++round) {
    data.fill(std::byte{1});
    const size_t size = random() % 300;
    const auto read = host::read_file(3, std::span(data).first(size));
    if (read.is_error()) {
      ASSERT_GE(static_cast<int>(read.error()), 1);
      ASSERT_LE(static_cast<int>(read.error()), 133);
    } else {
      ASSERT_LE(read.value(), size);
    }
    for (size_t at = size; at < data.size(); ++at) ASSERT_EQ(data[at], std::byte{1});
    const auto written = host::write_file(3, std::span(data).first(size));
    if (!written.is_error()) ASSERT_LE(written.value(), size);
    (void)host::fsync(3, random() % 2 == 0);
    (void)host::fallocate(3, 0, random(), random());
  }
  EXPECT_EQ(awaited, 0);
}

}  // namespace
}  // namespace occlum
