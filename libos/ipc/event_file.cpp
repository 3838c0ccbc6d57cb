#include "libos/ipc/event_file.h"

#include "libos/lib/memory.h"
#include "libos/lib/string.h"

namespace occlum {

namespace {
constexpr uint64_t kMaxCount = UINT64_MAX - 1;
}  // namespace

Result<size_t> EventFile::read(DataSink& sink) {
  uint64_t value = 0, left = 0;
  if (sink.remaining() < sizeof(value)) return Errno::kInval;
  auto attempt = [&] {
    return state_.with([&](State& state) {
      if (state.count == 0) return false;
      value = mode_ == Mode::kSemaphore ? 1 : state.count;
      left = state.count -= value;
      return true;
    });
  };
  if (!attempt()) {
    if (is_nonblocking()) return Errno::kAgain;
    if (const auto waited = wait_until(readable_, kNever, Interruptible::kYes, attempt);
        waited.is_error()) {
      readable_.wake_one(kReadable);
      return waited.error();
    }
  }
  if (left != 0) readable_.wake_one(kReadable);
  writable_.wake_all(kWritable);
  TRY(sink.write(object_bytes(value)));
  return sizeof(value);
}

Result<size_t> EventFile::write(DataSource& source) {
  uint64_t value = 0;
  if (source.remaining() != sizeof(value)) return Errno::kInval;
  TRY(source.read(writable_object_bytes(value)));
  if (value == UINT64_MAX) return Errno::kInval;
  auto attempt = [&] {
    return state_.with([&](State& state) {
      if (state.count > kMaxCount - value) return false;
      state.count += value;
      return true;
    });
  };
  if (!attempt()) {
    if (is_nonblocking()) return Errno::kAgain;
    TRY(wait_until(writable_, kNever, Interruptible::kYes, attempt));
  }
  if (value != 0) readable_.wake_one(kReadable);
  return sizeof(value);
}

PollEvents EventFile::poll(Poller* poller) {
  if (poller != nullptr) {
    (void)poller->watch(readable_);
    (void)poller->watch(writable_);
  }
  return state_.with([](const State& state) -> PollEvents {
    return (state.count != 0 ? kReadable : 0) | (state.count < kMaxCount ? kWritable : 0);
  });
}

Result<String> EventFile::describe() { return String::create("anon_inode:[eventfd]"); }

uint64_t EventFile::count() const {
  return state_.with([](const State& state) { return state.count; });
}

}  // namespace occlum
