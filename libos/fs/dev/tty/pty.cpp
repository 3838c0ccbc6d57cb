#include "libos/fs/dev/tty/pty.h"

#include <algorithm>
#include <array>

#include "libos/fs/dev/device_path.h"
#include "libos/fs/file_table.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/lib/tree.h"
#include "libos/process/process.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr size_t kKeyChunk = 256;

struct Registry {
  Tree<uint32_t, RefPtr<PtyTerminal>> ptys;
};
constinit SpinLocked<Registry> registry{LockRank::kSocket};

Result<RefPtr<PtyTerminal>> make_pty() {
  for (uint32_t number = 0; number < PtyTerminal::kMaxPtys; ++number) {
    if (find_pty(number) != nullptr) continue;
    auto pty = TRY(make_ref<PtyTerminal>(number));
    TRY(pty->create());
    const auto taken = registry.with([&](Registry& all) -> Result<bool> {
      if (all.ptys.find(number) != nullptr) return true;
      TRY(all.ptys.insert(number, pty));
      return false;
    });
    if (taken.is_error()) return taken.error();
    if (!taken.value()) return pty;
  }
  return Errno::kNoSpc;
}

// An open slave: the master reads an end of file when the last one is closed. A session's own
// reference to its terminal is a plain TtyFile and does not count.
class PtySlaveFile final : public TtyFile {
 public:
  PtySlaveFile(RefPtr<PtyTerminal> pty, uint32_t flags, Path path)
      : TtyFile(RefPtr<Terminal>(pty), flags, std::move(path)), pty_(std::move(pty)) {
    pty_->slave_opened();
  }
  ~PtySlaveFile() override { pty_->slave_closed(); }

 private:
  const RefPtr<PtyTerminal> pty_;
};

class PtyMaster final : public File {
 public:
  PtyMaster(RefPtr<PtyTerminal> pty, uint32_t flags, Path path)
      : File(flags), pty_(std::move(pty)), path_(std::move(path)) {}
  ~PtyMaster() override {
    (void)registry.with([&](Registry& all) { return all.ptys.remove(pty_->number()); });
    pty_->master_closed();
  }

  Result<size_t> read(DataSink& sink) override { return pty_->read_screen(sink, blocking()); }
  Result<size_t> write(DataSource& source) override { return pty_->write_keys(source, blocking()); }
  PollEvents poll(Poller* poller) override { return pty_->poll_master(poller); }
  Inode* inode() override { return &path_.inode(); }
  const Path* path() const override { return &path_; }
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  FileKind kind() const override { return FileKind::kTerminal; }
  AsyncLists async_lists() override { return {&pty_->master_signals(), nullptr}; }

 private:
  Blocking blocking() const { return is_nonblocking() ? Blocking::kNo : Blocking::kYes; }

  const RefPtr<PtyTerminal> pty_;
  const Path path_;
};

Result<long> PtyMaster::ioctl(Thread& self, uint32_t request, uint64_t argument) {
  const UserAddress address(argument);
  switch (request) {
    case kTiocGPtn:
      TRY(UserOut<uint32_t>(address).write(pty_->number()));
      return 0L;
    case kTiocSPtLck:
      pty_->set_locked(TRY(UserIn<int>(address).read()) != 0);
      return 0L;
    case kTiocGPtLck:
      TRY(UserOut<int>(address).write(pty_->is_locked() ? 1 : 0));
      return 0L;
    case kTiocGPtPeer: {
      const auto flags = static_cast<uint32_t>(argument);
      const auto cloexec = (flags & kOpenCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
      TRY(pty_->check_open(self));
      const String name = TRY(pty_->name());
      RefPtr<File> slave =
          TRY(make_ref<PtySlaveFile>(pty_, flags & kOpenStatus, device_path(name.view())));
      return static_cast<long>(TRY(self.files().install(std::move(slave), cloexec)));
    }
    case kFionRead:
      TRY(UserOut<int>(address).write(static_cast<int>(pty_->screen_pending())));
      return 0L;
    case kTiocPkt:
      pty_->set_packet_mode(TRY(UserIn<int>(address).read()) != 0);
      return 0L;
    case kTiocSig: {
      const auto signal = static_cast<uint32_t>(argument);
      if (signal != kSigInt && signal != kSigQuit && signal != kSigTstp) return Errno::kInval;
      if (const Pid group = pty_->foreground_group(); group > 0)
        (void)send_signal_to_group(group, SignalInfo::from_kernel(static_cast<int>(signal)));
      return 0L;
    }
    case kTiocGPkt:
      TRY(UserOut<int>(address).write(pty_->is_packet_mode() ? 1 : 0));
      return 0L;
    default:
      return pty_->shared_ioctl(self, request, argument);
  }
}

}  // namespace

RefPtr<PtyTerminal> find_pty(uint32_t number) {
  return registry.with([&](Registry& all) {
    RefPtr<PtyTerminal>* found = all.ptys.find(number);
    return found != nullptr ? *found : RefPtr<PtyTerminal>();
  });
}

Result<Vec<uint32_t>> pty_numbers() {
  Vec<uint32_t> numbers;
  TRY(numbers.reserve(64));
  TRY(registry.with([&](Registry& all) -> Result<void> {
    for (auto& entry : all.ptys) TRY(numbers.push(entry.key));
    return {};
  }));
  return numbers;
}

Result<RefPtr<File>> open_ptmx(const Path& path, uint32_t flags) {
  auto pty = TRY(make_pty());
  pty->inode().change({.uid = current_thread().credentials().fsuid});
  return RefPtr<File>(TRY(make_ref<PtyMaster>(std::move(pty), flags & kOpenStatus, path)));
}

Result<RefPtr<File>> open_pty_slave(uint32_t number, const Path& path, uint32_t flags) {
  RefPtr<PtyTerminal> pty = find_pty(number);
  if (pty == nullptr) return Errno::kNoEnt;
  if (pty->is_locked() || pty->is_hung_up()) return Errno::kIo;
  TRY(pty->check_open(current_thread()));
  auto file = TRY(make_ref<PtySlaveFile>(pty, flags & kOpenStatus, path));
  if ((flags & kOpenNoCtty) == 0) (void)pty->become_controlling(current_thread().process(), *file);
  return RefPtr<File>(std::move(file));
}

// --- the terminal ---

PtyTerminal::PtyTerminal(uint32_t number)
    : Terminal(make_device(136 + number / 256, number % 256)), number_(number) {}

Result<void> PtyTerminal::create() {
  TRY(Terminal::create());
  auto ring = TRY(Vec<std::byte>::create(kScreenSize));
  screen_.with([&](Screen& screen) { screen.ring = std::move(ring); });
  return {};
}

Result<String> PtyTerminal::name() const {
  String text;
  TRY(append_format(text, "/dev/pts/{}", number_));
  return text;
}

size_t PtyTerminal::screen_pending() const {
  return screen_.with([](const Screen& screen) { return screen.used(); });
}

size_t PtyTerminal::screen_room() { return kScreenSize - screen_pending(); }

Result<void> PtyTerminal::put_screen(std::span<const std::byte> output) {
  screen_.with([&](Screen& screen) {
    const std::span<std::byte> ring = screen.ring.span();
    size_t count = std::min(output.size(), kScreenSize - screen.used());
    while (count != 0) {
      const std::span<std::byte> place = ring.subspan(screen.tail % kScreenSize);
      const size_t step = std::min(count, place.size());
      copy_bytes(place, output.first(step));
      output = output.subspan(step);
      screen.tail += step;
      count -= step;
    }
  });
  master_queue_.wake_all(kReadable);
  master_signals_.post(IoReason::kIn);
  return {};
}

void PtyTerminal::flush_screen() {
  screen_.with([](Screen& screen) { screen.head = screen.tail; });
  tell_status(0, kPacketFlushWrite);
  made_room(kWritable);
}

void PtyTerminal::tell_status(uint8_t clear, uint8_t set) {
  const bool is_told = screen_.with([&](Screen& screen) {
    if (screen.is_packet_mode) screen.status = static_cast<uint8_t>((screen.status & ~clear) | set);
    return screen.is_packet_mode;
  });
  if (is_told) master_queue_.wake_all(kReadable | kPollPri);
}

void PtyTerminal::set_packet_mode(bool on) {
  screen_.with([&](Screen& screen) {
    if (on && !screen.is_packet_mode) screen.status = 0;
    screen.is_packet_mode = on;
  });
}

bool PtyTerminal::is_packet_mode() const {
  return screen_.with([](const Screen& screen) { return screen.is_packet_mode; });
}

void PtyTerminal::input_taken() {
  master_queue_.wake_all(kWritable);
  if (master_misses_room_.load(std::memory_order_relaxed) && input_room() > kKeyChunk &&
      master_misses_room_.exchange(false)) {
    master_signals_.post(IoReason::kOut);
  }
}

// In packet mode the status, when there is news, by itself; or the output behind a 0.
size_t PtyTerminal::Screen::read(std::span<std::byte> out) {
  size_t done = 0;
  if (is_packet_mode) {
    out[0] = static_cast<std::byte>(std::exchange(status, 0));
    if (out[0] != std::byte{0}) return 1;
    if (used() != 0) done = 1;
  }
  const size_t end = std::min(out.size(), done + used());
  while (done < end) {
    const std::span<std::byte> place = ring.span().subspan(head % kScreenSize);
    const size_t step = std::min(end - done, place.size());
    copy_bytes(out.subspan(done), place.first(step));
    head += step;
    done += step;
  }
  return done;
}

Result<size_t> PtyTerminal::read_screen(DataSink& sink, Blocking blocking) {
  if (sink.remaining() == 0) return size_t{0};
  auto buffer = TRY(Vec<std::byte>::create(std::min<size_t>(sink.remaining(), 4096)));
  size_t count = 0;
  bool ended = false;
  auto attempt = [&] {
    screen_.with([&](Screen& screen) {
      count = screen.read(buffer.span());
      ended = count == 0 && screen.has_ended();
    });
    return count != 0 || ended;
  };
  if (!attempt()) {
    if (blocking == Blocking::kNo) return Errno::kAgain;
    TRY(wait_until(master_queue_, kNever, Interruptible::kYes, attempt));
  }
  if (ended) return Errno::kIo;
  made_room(kWritable);
  TRY(sink.write(buffer.span().first(count)));
  return count;
}

Result<size_t> PtyTerminal::write_keys(DataSource& source, Blocking blocking) {
  std::array<std::byte, kKeyChunk> keys;
  size_t total = 0;
  while (source.remaining() != 0) {
    auto has_room = [&] { return input_room() > kKeyChunk; };
    if (!has_room()) {
      master_misses_room_.store(true, std::memory_order_relaxed);
      if (blocking == Blocking::kNo) return total != 0 ? Result<size_t>(total) : Errno::kAgain;
      const Result<void> waited = wait_until(master_queue_, kNever, Interruptible::kYes, has_room);
      if (waited.is_error()) return total != 0 ? Result<size_t>(total) : waited.error();
    }
    const std::span<std::byte> some =
        std::span(keys).first(std::min(source.remaining(), kKeyChunk));
    if (const auto copied = source.read(some); copied.is_error()) {
      return total != 0 ? Result<size_t>(total) : copied.error();
    }
    receive(some);
    total += some.size();
  }
  return total;
}

PollEvents PtyTerminal::poll_master(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(master_queue_);
  PollEvents events = screen_.with([](const Screen& screen) -> PollEvents {
    const bool has_news = screen.is_packet_mode && screen.status != 0;
    return (screen.used() != 0 ? kReadable : 0) | (has_news ? kReadable | kPollPri : 0) |
           (screen.has_ended() ? kPollHup : 0);
  });
  if (input_room() > kKeyChunk) events |= kWritable;
  return events;
}

void PtyTerminal::master_closed() { hang_up(HangUp::kForEver); }

void PtyTerminal::slave_opened() {
  screen_.with([](Screen& screen) {
    ++screen.slaves;
    screen.was_opened = true;
  });
}

void PtyTerminal::slave_closed() {
  const bool last = screen_.with([](Screen& screen) { return --screen.slaves == 0; });
  if (last) master_queue_.wake_all(kReadable | kPollHup);
}

}  // namespace occlum
