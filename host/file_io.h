// Input and output of host files for the enclave, without a vCPU thread that waits for a disk.
//
// request() first tries what cannot wait: preadv2 with RWF_NOWAIT, which gives what the kernel's page cache has. What
// would wait goes to an engine, and the enclave is told that its slot is pending; the result is an event that kWait
// collects. The engine is io_uring, or a few threads where io_uring is forbidden or missing. Both start when they are
// first needed: most programs find everything in the page cache.
//
// Many files lack RWF_NOWAIT: writes on ext4, all of tmpfs and overlayfs. That is remembered per descriptor. Such calls
// are nearly always copies to or from the page cache, and faster than any hand-over. So they are made at once, and
// timed: after one that did wait, all such calls go to the engine for a while. fsync and fallocate always do.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "abi/host_call.h"
#include "host/runtime.h"

namespace host {

struct FileRequest {
  abi::FileOperation operation;
  int fd;
  uint64_t slot;
  uint64_t length;
  uint64_t offset;
  int mode;
  uint64_t token;
  void* buffer = nullptr;  // the slot's
};

// Makes the call and waits for it: the result, or a negative errno. `flags`: RWF_*.
int64_t carry_out(const FileRequest& request, int flags = 0);

// Carries requests out while the caller goes on. For use by many threads.
class FileEngine {
 public:
  virtual ~FileEngine() = default;
  // False: it cannot take it now.
  virtual bool start(const FileRequest& request) = 0;
  // Results that are there: tokens and counts. Returns how many.
  virtual size_t collect(std::span<abi::HostEvent> events) = 0;
  // Ready for reading, as poll(2) has it, while there are results.
  virtual int descriptor() const = 0;
};

std::unique_ptr<FileEngine> make_uring_engine();   // null: the kernel has none for us
std::unique_ptr<FileEngine> make_thread_engine();  // null: no descriptor left

class FileIo {
 public:
  // `buffers`: the slots', or null. `epoll_fd`: where the engine's descriptor is added, with kEpollToken.
  FileIo(FileIoOptions options, uint8_t* buffers, int epoll_fd);

  static constexpr uint64_t kEpollToken = abi::kFileIoToken;  // no request has it

  // kFileIo: see abi/host_call.h.
  int64_t request(FileRequest request);
  // At most events.size() results.
  size_t collect(std::span<abi::HostEvent> events);
  // The descriptor is closed: what was known of it is void.
  void forget(int fd);

 private:
  std::optional<int64_t> try_now(const FileRequest& request);
  std::optional<int64_t> try_timed(const FileRequest& request);
  std::atomic<uint8_t>& lacks(int fd);
  int64_t start(const FileRequest& request);
  int64_t start_pair(const FileRequest& request);
  FileEngine* engine();

  const FileIoOptions options_;
  uint8_t* const buffers_;
  const int epoll_fd_;
  // What lacks RWF_NOWAIT, by descriptor (a hint: descriptors share entries): bits by operation.
  std::array<std::atomic<uint8_t>, 4096> lacks_{};
  std::atomic<uint64_t> slow_until_{0};  // calls that were timed have waited: none until then, ns
  std::once_flag engine_made_;
  std::unique_ptr<FileEngine> engine_owner_;
  std::atomic<FileEngine*> engine_{nullptr};
  std::mutex pair_mutex_;
  std::optional<FileRequest> first_of_pair_;
};

}  // namespace host
