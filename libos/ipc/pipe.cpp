#include "libos/ipc/pipe.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "libos/lib/memory.h"

namespace occlum {

namespace {

constexpr PollEvents kReadable = kPollIn | kPollRdNorm;
constexpr PollEvents kWritable = kPollOut | kPollWrNorm;
// Pages that an empty pipe keeps, so that a stream does not allocate all the time.
constexpr size_t kKeptPages = Pipe::kDefaultCapacity / kPageSize;

enum class Attempt { kDone, kBusy, kMustWait };

}  // namespace

Result<RefPtr<Pipe>> Pipe::create() {
  auto pipe = TRY(make_ref<Pipe>());
  TRY(pipe->pages_.resize(kDefaultCapacity / kPageSize));
  return pipe;
}

// --- reading ---

Result<Pipe::Turn> Pipe::begin_read(Blocking blocking) {
  Turn turn;
  Attempt outcome = Attempt::kMustWait;
  auto attempt = [&] {
    outcome = state_.with([&](State& state) {
      if (state.reading) {
        state.readers_contend = true;
        return Attempt::kBusy;
      }
      if (state.used() == 0 && state.writers != 0) return Attempt::kMustWait;
      turn = {state.head, state.used()};
      state.reading = turn.bytes != 0;
      return Attempt::kDone;
    });
    return outcome == Attempt::kDone ||
           (outcome == Attempt::kMustWait && blocking == Blocking::kNo);
  };
  if (!attempt()) {
    if (Result<void> waited = wait_until(readable_, kNever, Interruptible::kYes, attempt);
        waited.is_error()) {
      readable_.wake_one(kReadable);  // this wake may have been meant for us alone: pass it on
      return waited.error();
    }
  }
  if (outcome == Attempt::kMustWait) return Errno::kAgain;
  return turn;
}

void Pipe::end_read(size_t consumed) {
  bool trim = false;
  state_.with([&](State& state) {
    state.head += consumed;
    if (state.used() != 0 || state.writing) return;
    state.head = state.tail = 0;  // small messages always use the same, warm page
    if (allocated_pages_ > kKeptPages) state.writing = trim = true;
  });
  if (trim) {
    for (OwnPtr<Page>& page : pages_) page.clear();
    allocated_pages_ = 0;
  }
  bool more = false, contended = false, writers_contended = false;
  state_.with([&](State& state) {
    state.reading = false;
    more = state.used() != 0 || state.writers == 0;
    contended = std::exchange(state.readers_contend, false);
    if (trim) {
      state.writing = false;
      writers_contended = std::exchange(state.writers_contend, false);
    }
  });
  if (contended) {
    readable_.wake_all(kReadable);
  } else if (more) {
    readable_.wake_one(kReadable);
  }
  if (writers_contended) {
    writable_.wake_all(kWritable);
  } else if (consumed != 0) {
    writable_.wake_one(kWritable);
  }
}

Result<std::span<std::byte>> Pipe::page_at(uint64_t position) {
  const size_t slot = static_cast<size_t>(position >> kPageShift) & (pages_.size() - 1);
  if (!pages_[slot]) {
    pages_[slot] = TRY(make_own<Page>());
    ++allocated_pages_;
  }
  return std::span<std::byte>(pages_[slot]->bytes).subspan(position & kPageMask);
}

Result<void> Pipe::copy_out(Turn turn, DataSink& sink) {
  uint64_t position = turn.position;
  for (size_t left = std::min(turn.bytes, sink.remaining()); left != 0;) {
    const std::span<std::byte> page = TRY(page_at(position));
    const size_t count = std::min(left, page.size());
    TRY(sink.write(page.first(count)));
    position += count;
    left -= count;
  }
  return {};
}

Result<size_t> Pipe::read(DataSink& sink, Blocking blocking) {
  if (sink.remaining() == 0) return size_t{0};
  const Turn turn = TRY(begin_read(blocking));
  if (turn.bytes == 0) return size_t{0};
  const size_t before = sink.transferred();
  const Result<void> copied = copy_out(turn, sink);
  const size_t consumed = sink.transferred() - before;
  end_read(consumed);
  if (copied.is_error() && consumed == 0) return copied.error();
  return consumed;
}

// --- writing ---

Result<Pipe::Turn> Pipe::begin_write(size_t size, Blocking blocking) {
  Turn turn;
  Attempt outcome = Attempt::kMustWait;
  // A large blocking write goes page by page at least, so that it does not wake the reader for
  // every byte it gets.
  const size_t needed = size <= kAtomicWrite ? size : blocking == Blocking::kYes ? kPageSize : 1;
  auto attempt = [&] {
    outcome = state_.with([&](State& state) {
      if (state.readers == 0) {
        turn = {};
        return Attempt::kDone;
      }
      if (state.writing) {
        state.writers_contend = true;
        return Attempt::kBusy;
      }
      if (state.free() < needed) return Attempt::kMustWait;
      turn = {state.tail, std::min(size, state.free())};
      state.writing = true;
      return Attempt::kDone;
    });
    return outcome == Attempt::kDone ||
           (outcome == Attempt::kMustWait && blocking == Blocking::kNo);
  };
  if (!attempt()) {
    if (Result<void> waited = wait_until(writable_, kNever, Interruptible::kYes, attempt);
        waited.is_error()) {
      writable_.wake_one(kWritable);
      return waited.error();
    }
  }
  if (outcome == Attempt::kMustWait) return Errno::kAgain;
  return turn;
}

void Pipe::end_write(size_t produced) {
  bool room = false, contended = false;
  state_.with([&](State& state) {
    state.tail += produced;
    state.writing = false;
    room = state.free() != 0;
    contended = std::exchange(state.writers_contend, false);
  });
  if (produced != 0) readable_.wake_one(kReadable);
  if (contended) {
    writable_.wake_all(kWritable);
  } else if (room) {
    writable_.wake_one(kWritable);
  }
}

Result<size_t> Pipe::copy_in(Turn turn, DataSource& source) {
  uint64_t position = turn.position;
  for (size_t left = turn.bytes; left != 0;) {
    const size_t done = static_cast<size_t>(position - turn.position);
    const Result<std::span<std::byte>> page = page_at(position);
    if (page.is_error()) return done != 0 ? Result<size_t>(done) : page.error();
    const size_t count = std::min(left, page.value().size());
    const Result<void> copied = source.read(page.value().first(count));
    if (copied.is_error()) return done != 0 ? Result<size_t>(done) : copied.error();
    position += count;
    left -= count;
  }
  return turn.bytes;
}

Result<size_t> Pipe::write(DataSource& source, Blocking blocking) {
  // What was at most PIPE_BUF at first is written whole or not at all, so only larger writes come
  // round again.
  size_t total = 0;
  while (source.remaining() != 0) {
    const Result<Turn> turn = begin_write(source.remaining(), blocking);
    if (turn.is_error()) return total != 0 ? Result<size_t>(total) : turn.error();
    if (turn.value().bytes == 0) return total != 0 ? Result<size_t>(total) : Errno::kPipe;
    const Result<size_t> written = copy_in(turn.value(), source);
    end_write(written.is_error() ? 0 : written.value());
    if (written.is_error()) return total != 0 ? Result<size_t>(total) : written.error();
    total += written.value();
    if (written.value() < turn.value().bytes) break;
  }
  return total;
}

// --- the rest ---

size_t Pipe::readable_bytes() const {
  return state_.with([](const State& state) { return state.used(); });
}

size_t Pipe::capacity() const {
  return state_.with([](const State& state) { return state.capacity; });
}

Result<size_t> Pipe::set_capacity(size_t bytes) {
  if (bytes > kMaxCapacity) return Errno::kPerm;
  const size_t capacity = std::bit_ceil(std::max(bytes, kPageSize));
  auto larger = TRY(Vec<OwnPtr<Page>>::create(capacity / kPageSize));
  // Both rights, so that nobody copies meanwhile.
  auto attempt = [&] {
    return state_.with([&](State& state) {
      if (state.reading || state.writing) {
        state.readers_contend = state.writers_contend = true;
        return false;
      }
      return state.reading = state.writing = true;
    });
  };
  if (!attempt()) TRY(wait_until(writable_, kNever, Interruptible::kYes, attempt));
  const State before = state_.with([](State& state) { return state; });
  const Result<void> moved = move_ring(before, larger);
  state_.with([&](State& state) {
    state.reading = state.writing = false;
    state.readers_contend = state.writers_contend = false;
    if (moved.is_error()) return;
    state.tail = before.used();
    state.head = 0;
    state.capacity = capacity;
  });
  readable_.wake_all(kReadable);
  writable_.wake_all(kWritable);
  if (moved.is_error()) return moved.error();
  return capacity;
}

// The bytes of the ring to the start of `to`, which becomes the ring. The caller holds both rights.
Result<void> Pipe::move_ring(const State& state, Vec<OwnPtr<Page>>& to) {
  if (state.used() > to.size() * kPageSize) return Errno::kBusy;
  size_t allocated = 0;
  for (size_t done = 0; done < state.used();) {
    if ((done & kPageMask) == 0) {
      to[done >> kPageShift] = TRY(make_own<Page>());
      ++allocated;
    }
    const std::span<std::byte> from = TRY(page_at(state.head + done));
    const std::span<std::byte> target =
        std::span<std::byte>(to[done >> kPageShift]->bytes).subspan(done & kPageMask);
    const size_t count = std::min({from.size(), target.size(), state.used() - done});
    copy_bytes(target, from.first(count));
    done += count;
  }
  pages_ = std::move(to);
  allocated_pages_ = allocated;
  return {};
}

PollEvents Pipe::poll_read_end(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(readable_);
  return state_.with([](const State& state) -> PollEvents {
    PollEvents events = 0;
    if (state.used() != 0) events |= kReadable;
    if (state.writers == 0 && state.writers_ever != 0) events |= kPollHup;
    return events;
  });
}

PollEvents Pipe::poll_write_end(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(writable_);
  return state_.with([](const State& state) -> PollEvents {
    PollEvents events = 0;
    if (state.free() >= std::min(kAtomicWrite, state.capacity)) events |= kWritable;
    if (state.readers == 0) events |= kPollErr;
    return events;
  });
}

void Pipe::add_reader() {
  state_.with([](State& state) { ++state.readers, ++state.readers_ever; });
  writable_.wake_all(kWritable);
}

void Pipe::add_writer() {
  state_.with([](State& state) { ++state.writers, ++state.writers_ever; });
  readable_.wake_all(kReadable);
}

void Pipe::remove_reader() {
  const bool last = state_.with([](State& state) { return --state.readers == 0; });
  if (last) writable_.wake_all(kPollErr | kWritable);
}

void Pipe::remove_writer() {
  const bool last = state_.with([](State& state) { return --state.writers == 0; });
  if (last) readable_.wake_all(kPollHup | kReadable);
}

Result<void> Pipe::wait_for_reader() {
  const uint32_t ever = state_.with([](State& state) { return state.readers_ever; });
  return wait_until(writable_, kNever, Interruptible::kYes, [&] {
    return state_.with(
        [&](State& state) { return state.readers != 0 || state.readers_ever != ever; });
  });
}

Result<void> Pipe::wait_for_writer() {
  const uint32_t ever = state_.with([](State& state) { return state.writers_ever; });
  return wait_until(readable_, kNever, Interruptible::kYes, [&] {
    return state_.with(
        [&](State& state) { return state.writers != 0 || state.writers_ever != ever; });
  });
}

bool Pipe::has_readers() const {
  return state_.with([](const State& state) { return state.readers != 0; });
}

}  // namespace occlum
