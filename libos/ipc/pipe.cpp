#include "libos/ipc/pipe.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "libos/lib/memory.h"

namespace occlum {

namespace {

enum class Attempt { kDone, kBusy, kMustWait };

}  // namespace

Result<RefPtr<Pipe>> Pipe::create() {
  auto pipe = TRY(make_ref<Pipe>());
  auto slots = TRY(Vec<Slot>::create(kDefaultCapacity / kPageSize));
  pipe->state_.with([&](State& state) { state.slots = std::move(slots); });
  return pipe;
}

// --- reading ---

Result<Pipe::ReadTurn> Pipe::begin_read(Blocking blocking) {
  ReadTurn turn;
  Attempt outcome = Attempt::kMustWait;
  auto attempt = [&] {
    outcome = state_.with([&](State& state) {
      if (state.reading) {
        state.readers_contend = true;
        return Attempt::kBusy;
      }
      if (state.bytes == 0 && state.writers != 0) return Attempt::kMustWait;
      turn.has_bytes = state.reading = state.bytes != 0;
      return Attempt::kDone;
    });
    return outcome == Attempt::kDone ||
           (outcome == Attempt::kMustWait && blocking == Blocking::kNo);
  };
  if (!attempt()) {
    turn.waited = true;
    writer_signals_.post(IoReason::kOut);
    if (Result<void> waited = wait_until(readable_, kNever, Interruptible::kYes, attempt);
        waited.is_error()) {
      readable_.wake_one(kReadable);  // this wake may have been meant for us alone: pass it on
      return waited.error();
    }
  }
  if (outcome == Attempt::kMustWait) return Errno::kAgain;
  return turn;
}

// Wakes another reader only if a wake-up may have been used up here, and writers only when the pipe
// was full: edge-triggered watchers see the same edges as on Linux.
void Pipe::end_read(bool waited, bool made_room) {
  bool more = false, contended = false;
  state_.with([&](State& state) {
    state.reading = false;
    more = state.bytes != 0 || state.writers == 0;
    contended = std::exchange(state.readers_contend, false);
  });
  if (contended) {
    readable_.wake_all(kReadable);
  } else if (more && waited) {
    readable_.wake_one(kReadable);
  }
  if (made_room) writable_.wake_one(kWritable);
}

Pipe::View Pipe::view(size_t index) {
  return state_.with([&](State& state) -> View {
    if (index >= state.used()) return {};
    const Slot& slot = state.at(state.tail + index);
    return {std::span<const std::byte>(slot.page->bytes).subspan(slot.offset, slot.length),
            slot.packet};
  });
}

bool Pipe::consume(size_t bytes, Rest rest) {
  OwnPtr<Page> gone;
  return state_.with([&](State& state) {
    Slot& slot = state.at(state.tail);
    const auto taken = rest == Rest::kDrop ? slot.length : static_cast<uint32_t>(bytes);
    slot.offset += taken;
    slot.length -= taken;
    state.bytes -= taken;
    if (slot.length != 0) return false;
    // The writer that adds to it will see what to do.
    if (state.merging && state.used() == 1) return false;
    const bool was_full = state.is_full();
    ++state.tail;
    const auto spare = std::ranges::find_if(state.spare, [](const auto& page) { return !page; });
    (spare != state.spare.end() ? *spare : gone) = std::move(slot.page);
    return was_full;
  });
}

Result<size_t> Pipe::take(size_t limit, Blocking blocking, PacketEnds ends, Put put) {
  const ReadTurn turn = TRY(begin_read(blocking));
  if (!turn.has_bytes) return size_t{0};
  size_t total = 0;
  bool made_room = false;
  std::optional<Errno> error;
  while (total < limit) {
    const View front = view(0);
    if (front.bytes.empty()) break;
    const size_t count = std::min(limit - total, front.bytes.size());
    const Result<size_t> put_bytes = put(front.bytes.first(count));
    if (put_bytes.is_error()) {
      error = put_bytes.error();
      break;
    }
    const size_t taken = put_bytes.value();
    if (taken == 0) break;
    total += taken;
    const bool ends_here = front.packet && ends == PacketEnds::kYes;
    made_room |= consume(taken, ends_here ? Rest::kDrop : Rest::kKeep);
    if (taken < count || ends_here) break;
  }
  end_read(turn.waited, made_room);
  if (total == 0 && error) return *error;
  return total;
}

// A slot that did not reach the program whole stays, as on Linux. Each read tells the writers, whatever it finds, as each
// write tells the readers.
Result<size_t> Pipe::read(DataSink& sink, Blocking blocking) {
  const size_t wanted = sink.remaining();
  if (wanted == 0) return size_t{0};
  const Result<size_t> taken = take(wanted, blocking, PacketEnds::kYes,
                                    [&](std::span<const std::byte> bytes) -> Result<size_t> {
                                      TRY(sink.write(bytes));
                                      return bytes.size();
                                    });
  writer_signals_.post(IoReason::kOut);
  return taken;
}

// --- writing ---

Result<Pipe::WriteTurn> Pipe::begin_write(size_t merge, Blocking blocking) {
  WriteTurn turn;
  Attempt outcome = Attempt::kMustWait;
  auto attempt = [&] {
    outcome = state_.with([&](State& state) {
      turn.grant = Grant::kBroken;
      if (state.readers == 0) return Attempt::kDone;
      if (state.writing) {
        state.writers_contend = true;
        return Attempt::kBusy;
      }
      if (merge != 0 && state.used() != 0) {
        Slot& last = state.at(state.head - 1);
        const size_t end = last.offset + last.length;
        if (last.can_merge && merge <= kPageSize - end) {
          turn.grant = Grant::kMerge;
          turn.room = std::span<std::byte>(last.page->bytes).subspan(end, merge);
          state.writing = state.merging = true;
          return Attempt::kDone;
        }
      }
      if (state.is_full()) return Attempt::kMustWait;
      turn.grant = Grant::kSlot;
      state.writing = true;
      return Attempt::kDone;
    });
    return outcome == Attempt::kDone ||
           (outcome == Attempt::kMustWait && blocking == Blocking::kNo);
  };
  if (!attempt()) {
    turn.waited = true;
    reader_signals_.post(IoReason::kIn);
    if (Result<void> waited = wait_until(writable_, kNever, Interruptible::kYes, attempt);
        waited.is_error()) {
      writable_.wake_one(kWritable);
      return waited.error();
    }
  }
  if (outcome == Attempt::kMustWait) return Errno::kAgain;
  return turn;
}

void Pipe::end_write(bool waited, bool produced) {
  bool room = false, contended = false;
  state_.with([&](State& state) {
    state.writing = false;
    room = !state.is_full();
    contended = std::exchange(state.writers_contend, false);
  });
  if (produced) readable_.wake_one(kReadable);
  if (contended) {
    writable_.wake_all(kWritable);
  } else if (room && waited) {
    writable_.wake_one(kWritable);
  }
}

// The reader may have emptied the slot meanwhile: then it goes now, unless something was added.
void Pipe::end_merge(size_t bytes) {
  OwnPtr<Page> gone;
  bool made_room = false;
  state_.with([&](State& state) {
    Slot& last = state.at(state.head - 1);
    state.merging = false;
    last.length += static_cast<uint32_t>(bytes);
    state.bytes += bytes;
    if (last.length != 0) return;
    gone = std::move(last.page);
    made_room = state.is_full();
    ++state.tail;
  });
  if (made_room) writable_.wake_one(kWritable);
}

size_t Pipe::free_slots() const {
  return state_.with([](const State& state) { return state.slots.size() - state.used(); });
}

Result<OwnPtr<Pipe::Page>> Pipe::take_page() {
  OwnPtr<Page> spare = state_.with([](State& state) -> OwnPtr<Page> {
    for (OwnPtr<Page>& page : state.spare) {
      if (page) return std::move(page);
    }
    return nullptr;
  });
  if (spare) return spare;
  return make_own<Page>();
}

void Pipe::publish(Slot slot) {
  state_.with([&](State& state) {
    state.bytes += slot.length;
    state.at(state.head++) = std::move(slot);
  });
}

// New slots, until none is free or all is written; adds to `total`.
Result<void> Pipe::write_slots(DataSource& source, Packets packets, size_t& total) {
  const bool packet = packets == Packets::kYes;
  while (source.remaining() != 0 && free_slots() != 0) {
    OwnPtr<Page> page = TRY(take_page());
    const size_t count = std::min(source.remaining(), kPageSize);
    TRY(source.read(std::span<std::byte>(page->bytes).first(count)));
    publish({.page = std::move(page),
             .offset = 0,
             .length = static_cast<uint32_t>(count),
             .can_merge = !packet,
             .packet = packet});
    total += count;
  }
  return {};
}

Result<size_t> Pipe::write(DataSource& source, Blocking blocking, Packets packets) {
  if (source.remaining() == 0) return size_t{0};
  const Result<size_t> written = write_all(source, blocking, packets);
  reader_signals_.post(IoReason::kIn);
  return written;
}

Result<size_t> Pipe::write_all(DataSource& source, Blocking blocking, Packets packets) {
  size_t total = 0;
  const auto stopped_by = [&](Errno error) { return total != 0 ? Result<size_t>(total) : error; };
  while (source.remaining() != 0) {
    // What is not whole pages goes to the last slot, if it fits there; only at the beginning.
    const size_t merge = total == 0 ? source.remaining() & kPageMask : 0;
    const Result<WriteTurn> begun = begin_write(merge, blocking);
    if (begun.is_error()) return stopped_by(begun.error());
    const WriteTurn& turn = begun.value();
    if (turn.grant == Grant::kBroken) return stopped_by(Errno::kPipe);
    const size_t before = total;
    Result<void> copied{};
    if (turn.grant == Grant::kMerge) {
      copied = source.read(turn.room);
      if (!copied.is_error()) total += merge;
      end_merge(total - before);
    }
    if (!copied.is_error()) copied = write_slots(source, packets, total);
    end_write(turn.waited, total != before);
    if (copied.is_error()) return stopped_by(copied.error());
  }
  return total;
}

// --- the rest ---

size_t Pipe::readable_bytes() const {
  return state_.with([](const State& state) { return state.bytes; });
}

size_t Pipe::capacity() const {
  return state_.with([](const State& state) { return state.slots.size() * kPageSize; });
}

Result<size_t> Pipe::set_capacity(size_t bytes) {
  if (bytes > size_t{1} << 31) return Errno::kInval;
  const size_t capacity = std::bit_ceil(std::max(bytes, kPageSize));
  if (capacity > kMaxCapacity && capacity > this->capacity()) return Errno::kPerm;
  auto slots = TRY(Vec<Slot>::create(capacity / kPageSize));
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
  const bool fits = state_.with([&](State& state) {
    state.reading = state.writing = false;
    state.readers_contend = state.writers_contend = false;
    const size_t used = state.used();
    if (used > slots.size()) return false;
    for (size_t i = 0; i < used; ++i) slots[i] = std::move(state.at(state.tail + i));
    std::swap(state.slots, slots);
    state.tail = 0;
    state.head = used;
    return true;
  });
  readable_.wake_all(kReadable);
  writable_.wake_all(kWritable);
  if (!fits) return Errno::kBusy;
  return capacity;
}

PollEvents Pipe::poll_read_end(Poller* poller, uint32_t since) {
  if (poller != nullptr) (void)poller->watch(readable_);
  return state_.with([&](const State& state) -> PollEvents {
    PollEvents events = 0;
    if (state.bytes != 0) events |= kReadable;
    if (state.writers == 0 && state.writers_ever != since) events |= kPollHup;
    return events;
  });
}

PollEvents Pipe::poll_write_end(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(writable_);
  return state_.with([](const State& state) -> PollEvents {
    PollEvents events = 0;
    if (!state.is_full()) events |= kWritable;
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

void Pipe::note_close() {
  if (has_readers() == has_writers()) return;
  reader_signals_.post(IoReason::kIn);
  writer_signals_.post(IoReason::kOut);
}

void Pipe::reset_when_unused() {
  if (has_readers() || has_writers()) return;
  auto fresh = Vec<Slot>::create(kDefaultCapacity / kPageSize);
  Vec<Slot> old;
  if (fresh.is_error()) return;
  state_.with([&](State& state) {
    if (state.readers != 0 || state.writers != 0) return;
    old = std::exchange(state.slots, fresh.release_value());
    state.head = state.tail = state.bytes = 0;
  });
}

Result<void> Pipe::wait_for_reader() {
  const uint32_t ever = state_.with([](State& state) { return state.readers_ever; });
  return wait_until(writable_, kNever, Interruptible::kYes, [&] {
    return state_.with(
        [&](State& state) { return state.readers != 0 || state.readers_ever != ever; });
  });
}

Result<void> Pipe::wait_for_writer() {
  const uint32_t ever = writers_ever();
  return wait_until(readable_, kNever, Interruptible::kYes, [&] {
    return state_.with(
        [&](State& state) { return state.writers != 0 || state.writers_ever != ever; });
  });
}

bool Pipe::has_readers() const {
  return state_.with([](const State& state) { return state.readers != 0; });
}

bool Pipe::has_writers() const {
  return state_.with([](const State& state) { return state.writers != 0; });
}

uint32_t Pipe::writers_ever() const {
  return state_.with([](const State& state) { return state.writers_ever; });
}

}  // namespace occlum
