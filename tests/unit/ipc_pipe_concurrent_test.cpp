// Pipes: what one thread sees of them, and many writers and readers at once.
#include "libos/ipc/pipe.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "tests/unit/harness/heap.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {
namespace {

std::span<const std::byte> bytes(std::span<const uint8_t> data) { return std::as_bytes(data); }

Result<size_t> put(Pipe& pipe, std::span<const uint8_t> data, Blocking blocking = Blocking::kNo) {
  DataSource source(bytes(data));
  return pipe.write(source, blocking);
}

Result<size_t> get(Pipe& pipe, std::span<uint8_t> data, Blocking blocking = Blocking::kNo) {
  DataSink sink(std::as_writable_bytes(data));
  return pipe.read(sink, blocking);
}

RefPtr<Pipe> open_pipe() {
  RefPtr<Pipe> pipe = MUST(Pipe::create());
  pipe->add_reader();
  pipe->add_writer();
  return pipe;
}

std::vector<uint8_t> pattern(size_t size, uint8_t start = 0) {
  std::vector<uint8_t> data(size);
  std::iota(data.begin(), data.end(), start);
  return data;
}

TEST(Pipe, HoldsItsCapacityAndGivesItBack) {
  RefPtr<Pipe> pipe = open_pipe();
  const auto data = pattern(Pipe::kDefaultCapacity + 100);
  EXPECT_EQ(MUST(put(*pipe, data)), Pipe::kDefaultCapacity);
  EXPECT_EQ(put(*pipe, data).error(), Errno::kAgain);
  EXPECT_EQ(pipe->readable_bytes(), Pipe::kDefaultCapacity);
  std::vector<uint8_t> out(Pipe::kDefaultCapacity + 1);
  EXPECT_EQ(MUST(get(*pipe, out)), Pipe::kDefaultCapacity);
  EXPECT_TRUE(std::equal(out.begin(), out.end() - 1, data.begin()));
  EXPECT_EQ(get(*pipe, out).error(), Errno::kAgain);
}

TEST(Pipe, SmallWritesAreWholeOrNotAtAll) {
  RefPtr<Pipe> pipe = open_pipe();
  const auto most = pattern(Pipe::kDefaultCapacity - 100);
  EXPECT_EQ(MUST(put(*pipe, most)), most.size());
  EXPECT_EQ(put(*pipe, pattern(101)).error(), Errno::kAgain);
  EXPECT_EQ(MUST(put(*pipe, pattern(100))), 100u);
  std::vector<uint8_t> out(50);
  EXPECT_EQ(MUST(get(*pipe, out)), 50u);
  // A page that is read from is still used.
  EXPECT_EQ(put(*pipe, pattern(5000)).error(), Errno::kAgain);
  std::vector<uint8_t> page(4096 - 50);
  EXPECT_EQ(MUST(get(*pipe, page)), page.size());
  // A larger write takes what fits.
  EXPECT_EQ(MUST(put(*pipe, pattern(5000))), 4096u);
}

TEST(Pipe, EndsAreSeen) {
  RefPtr<Pipe> pipe = open_pipe();
  std::array<uint8_t, 10> out;
  EXPECT_EQ(MUST(put(*pipe, pattern(3))), 3u);
  EXPECT_EQ(pipe->poll_read_end(nullptr), kPollIn | kPollRdNorm);
  pipe->remove_writer();
  EXPECT_EQ(pipe->poll_read_end(nullptr), kPollIn | kPollRdNorm | kPollHup);
  EXPECT_EQ(MUST(get(*pipe, out)), 3u);
  EXPECT_EQ(MUST(get(*pipe, out)), 0u);
  pipe->add_writer();
  EXPECT_EQ(get(*pipe, out).error(), Errno::kAgain);
  pipe->remove_reader();
  EXPECT_EQ(put(*pipe, pattern(3)).error(), Errno::kPipe);
  EXPECT_EQ(pipe->poll_write_end(nullptr), kPollOut | kPollWrNorm | kPollErr);
}

TEST(Pipe, IsResized) {
  RefPtr<Pipe> pipe = open_pipe();
  const auto data = pattern(60000);
  EXPECT_EQ(MUST(put(*pipe, data)), data.size());
  std::vector<uint8_t> out(50001);
  EXPECT_EQ(MUST(get(*pipe, out)), out.size());
  EXPECT_EQ(MUST(put(*pipe, pattern(30000))), 30000u);  // wraps round
  EXPECT_EQ(pipe->set_capacity(4096).error(), Errno::kBusy);
  EXPECT_EQ(pipe->set_capacity(Pipe::kMaxCapacity + 1).error(), Errno::kPerm);
  EXPECT_EQ(MUST(pipe->set_capacity(100'000)), 131072u);
  EXPECT_EQ(pipe->capacity(), 131072u);
  std::vector<uint8_t> rest(40000);
  EXPECT_EQ(MUST(get(*pipe, rest)), 9999u + 30000u);
  EXPECT_TRUE(std::equal(data.begin() + 50001, data.end(), rest.begin()));
  EXPECT_EQ(rest[9999], 0);
  EXPECT_EQ(rest[9999 + 29999], static_cast<uint8_t>(29999));
  EXPECT_EQ(MUST(pipe->set_capacity(1)), 4096u);
  EXPECT_EQ(MUST(put(*pipe, pattern(5000))), 4096u);
}

TEST(Pipe, PacketsAreReadOneByOne) {
  RefPtr<Pipe> pipe = open_pipe();
  for (const size_t size : {10u, 20u}) {
    const auto data = pattern(size);
    DataSource source(bytes(data));
    EXPECT_EQ(MUST(pipe->write(source, Blocking::kNo, Pipe::Packets::kYes)), size);
  }
  std::vector<uint8_t> out(15);
  EXPECT_EQ(MUST(get(*pipe, out)), 10u);
  EXPECT_EQ(MUST(get(*pipe, out)), 15u);  // the rest of it is gone
  EXPECT_EQ(get(*pipe, out).error(), Errno::kAgain);
}

TEST(Pipe, SlotsMoveAndAreCopied) {
  RefPtr<Pipe> from = open_pipe(), to = open_pipe();
  const auto data = pattern(6000);
  EXPECT_EQ(MUST(put(*from, data)), 6000u);
  EXPECT_EQ(MUST(Pipe::transfer(*from, *to, 5000, Blocking::kNo, Pipe::Transfer::kCopy)), 5000u);
  EXPECT_EQ(from->readable_bytes(), 6000u);
  EXPECT_EQ(MUST(Pipe::transfer(*from, *to, 5000, Blocking::kNo, Pipe::Transfer::kMove)), 5000u);
  EXPECT_EQ(from->readable_bytes(), 1000u);
  std::vector<uint8_t> out(20000);
  EXPECT_EQ(MUST(get(*to, out)), 10000u);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 5000, data.begin()));
  EXPECT_TRUE(std::equal(out.begin() + 5000, out.begin() + 10000, data.begin()));
  EXPECT_EQ(Pipe::transfer(*to, *from, 1, Blocking::kNo, Pipe::Transfer::kMove).error(),
            Errno::kAgain);
  from->remove_writer();
  EXPECT_EQ(MUST(Pipe::transfer(*from, *to, 5000, Blocking::kNo, Pipe::Transfer::kMove)), 1000u);
  EXPECT_EQ(MUST(Pipe::transfer(*from, *to, 5000, Blocking::kNo, Pipe::Transfer::kMove)), 0u);
}

TEST(Pipe, SurvivesFailedAllocations) {
  testing::with_each_allocation_failing([] {
    auto pipe = Pipe::create();
    if (pipe.is_error()) {
      EXPECT_EQ(pipe.error(), Errno::kNoMem);
      return;
    }
    pipe.value()->add_reader();
    pipe.value()->add_writer();
    const auto data = pattern(10000);
    const auto written = put(*pipe.value(), data);
    if (written.is_error()) {
      EXPECT_EQ(written.error(), Errno::kNoMem);
      return;
    }
    std::vector<uint8_t> out(10000);
    EXPECT_EQ(MUST(get(*pipe.value(), out)), written.value());
    EXPECT_TRUE(
        std::equal(out.begin(), out.begin() + static_cast<long>(written.value()), data.begin()));
    (void)pipe.value()->set_capacity(1 << 20);
  });
}

TEST(Pipe, AStreamArrivesInOrder) {
  RefPtr<Pipe> pipe = open_pipe();
  constexpr size_t kTotal = 4 << 20;
  std::thread writer([&] {
    std::mt19937 random(1);
    uint8_t next = 0;
    for (size_t sent = 0; sent < kTotal;) {
      const auto data = pattern(std::min<size_t>(random() % 100'000 + 1, kTotal - sent), next);
      ASSERT_EQ(MUST(put(*pipe, data, Blocking::kYes)), data.size());
      next = static_cast<uint8_t>(next + data.size());
      sent += data.size();
    }
    pipe->remove_writer();
  });
  std::mt19937 random(2);
  uint8_t expected = 0;
  size_t received = 0;
  for (;;) {
    std::vector<uint8_t> out(random() % 70'000 + 1);
    const size_t count = MUST(get(*pipe, out, Blocking::kYes));
    if (count == 0) break;
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], expected++);
    received += count;
  }
  writer.join();
  EXPECT_EQ(received, kTotal);
}

TEST(Pipe, ManyWritersAndReadersLoseNothing) {
  RefPtr<Pipe> pipe = open_pipe();
  MUST(pipe->set_capacity(4096));
  constexpr int kWriters = 4, kReaders = 3, kRecords = 3000;
  constexpr size_t kRecord = 100;
  std::vector<std::thread> writers, readers;
  std::atomic<int> seen = 0;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      // Atomic records: all bytes of one are equal.
      const std::vector<uint8_t> record(kRecord, static_cast<uint8_t>(w + 1));
      for (int i = 0; i < kRecords; ++i)
        ASSERT_EQ(MUST(put(*pipe, record, Blocking::kYes)), kRecord);
    });
  }
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&] {
      for (;;) {
        std::array<uint8_t, kRecord> out;
        const size_t count = MUST(get(*pipe, out, Blocking::kYes));
        if (count == 0) return;
        ASSERT_EQ(count, kRecord);
        for (const uint8_t byte : out) ASSERT_EQ(byte, out[0]);
        ++seen;
      }
    });
  }
  for (auto& thread : writers) thread.join();
  pipe->remove_writer();
  for (auto& thread : readers) thread.join();
  EXPECT_EQ(seen.load(), kWriters * kRecords);
}

TEST(Pipe, ABlockedReaderIsInterrupted) {
  RefPtr<Pipe> pipe = open_pipe();
  std::atomic<testing::ThreadTask*> reader = nullptr;
  std::thread thread([&] {
    reader = &testing::this_task();
    std::array<uint8_t, 1> out;
    EXPECT_EQ(get(*pipe, out, Blocking::kYes).error(), Errno::kRestartSys);
  });
  while (reader.load() == nullptr) std::this_thread::yield();
  reader.load()->interrupt();
  thread.join();
}

TEST(Pipe, ABlockedWriterSeesTheReaderGo) {
  RefPtr<Pipe> pipe = open_pipe();
  MUST(pipe->set_capacity(4096));
  EXPECT_EQ(MUST(put(*pipe, pattern(4096))), 4096u);
  std::thread thread(
      [&] { EXPECT_EQ(put(*pipe, pattern(10), Blocking::kYes).error(), Errno::kPipe); });
  pipe->remove_reader();
  thread.join();
}

}  // namespace
}  // namespace occlum
