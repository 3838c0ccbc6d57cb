// Pipes as splice(2), vmsplice(2) and tee(2) use them: see pipe.h. Slots that are made here are not
// added to by later writes; a slot that moves whole keeps what it was.
#include <algorithm>

#include "libos/ipc/pipe.h"
#include "libos/lib/memory.h"

namespace occlum {

Result<size_t> Pipe::drain(size_t limit, Blocking blocking, Put put) {
  if (limit == 0) return size_t{0};
  const size_t taken = TRY(take(limit, blocking, PacketEnds::kNo, put));
  if (taken != 0) writer_signals_.post(IoReason::kOut);
  return taken;
}

Result<size_t> Pipe::fill(Blocking blocking, Get get) {
  const WriteTurn turn = TRY(begin_write(0, blocking));
  if (turn.grant == Grant::kBroken) return Errno::kPipe;
  size_t total = 0;
  const Result<void> filled = [&]() -> Result<void> {
    for (size_t free = free_slots(); free != 0; --free) {
      OwnPtr<Page> page = TRY(take_page());
      const size_t count = TRY(get(page->bytes, free * kPageSize));
      if (count == 0) break;
      publish({.page = std::move(page), .offset = 0, .length = static_cast<uint32_t>(count)});
      total += count;
    }
    return {};
  }();
  end_write(turn.waited, total != 0);
  if (total != 0) reader_signals_.post(IoReason::kIn);
  if (filled.is_error() && total == 0) return filled.error();
  return total;
}

Result<void> Pipe::wait_for_room() {
  return wait_until(writable_, kNever, Interruptible::kYes, [&] {
    return state_.with([](State& state) { return state.readers == 0 || !state.is_full(); });
  });
}

// Takes the oldest slot out if it is at most `limit` long and nobody adds to it.
bool Pipe::take_slot(size_t limit, Slot& slot, bool& made_room) {
  return state_.with([&](State& state) {
    Slot& oldest = state.at(state.tail);
    if (oldest.length > limit || (state.merging && state.used() == 1)) return false;
    made_room |= state.is_full();
    state.bytes -= oldest.length;
    slot = std::move(oldest);
    ++state.tail;
    return true;
  });
}

Result<void> Pipe::publish_copy(std::span<const std::byte> bytes, bool packet) {
  OwnPtr<Page> page = TRY(take_page());
  copy_bytes(std::span<std::byte>(page->bytes).first(bytes.size()), bytes);
  publish({.page = std::move(page),
           .offset = 0,
           .length = static_cast<uint32_t>(bytes.size()),
           .can_merge = false,
           .packet = packet});
  return {};
}

Result<size_t> Pipe::move_slots(Pipe& from, Pipe& to, size_t limit, bool& made_room) {
  size_t total = 0;
  while (total < limit && to.free_slots() != 0) {
    const View front = from.view(0);
    if (front.bytes.empty()) break;
    const size_t count = std::min(limit - total, front.bytes.size());
    Slot slot;
    if (from.take_slot(count, slot, made_room)) {
      total += slot.length;
      to.publish(std::move(slot));
      continue;
    }
    if (const Result<void> copied = to.publish_copy(front.bytes.first(count), front.packet);
        copied.is_error()) {
      if (total != 0) break;
      return copied.error();
    }
    made_room |= from.consume(count, Rest::kKeep);
    total += count;
  }
  return total;
}

Result<size_t> Pipe::copy_slots(Pipe& from, Pipe& to, size_t limit) {
  size_t total = 0;
  for (size_t i = 0; total < limit && to.free_slots() != 0; ++i) {
    const View source = from.view(i);
    if (source.bytes.empty()) break;
    const size_t count = std::min(limit - total, source.bytes.size());
    if (const Result<void> copied = to.publish_copy(source.bytes.first(count), source.packet);
        copied.is_error()) {
      if (total != 0) break;
      return copied.error();
    }
    total += count;
  }
  return total;
}

Result<size_t> Pipe::transfer(Pipe& from, Pipe& to, size_t limit, Blocking blocking, Transfer how) {
  if (limit == 0) return size_t{0};
  while (true) {
    const ReadTurn reading = TRY(from.begin_read(blocking));
    if (!reading.has_bytes) {
      if (!to.has_readers()) return Errno::kPipe;
      return size_t{0};
    }
    // Without waiting: whoever fills `to` may need what `from` has.
    const Result<WriteTurn> writing = to.begin_write(0, Blocking::kNo);
    if (writing.is_error() || writing.value().grant == Grant::kBroken) {
      from.end_read(reading.waited, false);
      if (!writing.is_error()) return Errno::kPipe;
      if (writing.error() != Errno::kAgain || blocking == Blocking::kNo) return writing.error();
      TRY(to.wait_for_room());
      continue;
    }
    bool made_room = false;
    const Result<size_t> total = how == Transfer::kMove ? move_slots(from, to, limit, made_room)
                                                        : copy_slots(from, to, limit);
    to.end_write(writing.value().waited, !total.is_error() && total.value() != 0);
    from.end_read(reading.waited, made_room);
    if (!total.is_error() && total.value() != 0) {
      to.reader_signals_.post(IoReason::kIn);
      if (how == Transfer::kMove) from.writer_signals_.post(IoReason::kOut);
    }
    return total;
  }
}

}  // namespace occlum
