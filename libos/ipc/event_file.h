// eventfd(2): a counter that is read and written as a file.
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/lib/lock.h"

namespace occlum {

class EventFile : public File {
 public:
  enum class Mode : uint8_t { kCounter, kSemaphore };
  EventFile(uint64_t initial, Mode mode, uint32_t flags) : File(flags), mode_(mode) {
    state_.with([&](State& state) { state.count = initial; });
  }

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  PollEvents poll(Poller* poller) override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kEvent; }
  uint64_t count() const;  // for fdinfo

 private:
  struct State {
    uint64_t count = 0;
  };
  const Mode mode_;
  SpinLocked<State> state_{LockRank::kPipe};
  WaitQueue readable_, writable_;
};

}  // namespace occlum
