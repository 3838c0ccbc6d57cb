// See file_io.h.
#include "host/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

namespace host {
namespace {

using abi::FileOperation;
using When = FileIoOptions::When;

// A copy of 256 KiB takes some 50 us; a disk that is asked, more than this.
constexpr uint64_t kSlow = 1'000'000;       // ns
constexpr uint64_t kSlowFor = 100'000'000;  // ns

uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

bool is_transfer(FileOperation operation) {
  return operation == FileOperation::kRead || operation == FileOperation::kWrite;
}

uint8_t bit_of(FileOperation operation) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(operation));
}

int64_t kernel_result(long result) { return result < 0 ? -errno : result; }

}  // namespace

int64_t carry_out(const FileRequest& request, int flags) {
  const iovec vector{.iov_base = request.buffer, .iov_len = request.length};
  const auto offset = static_cast<off_t>(request.offset);  // kFilePosition is -1, as preadv2 has it
  switch (request.operation) {
    case FileOperation::kRead:
      return kernel_result(preadv2(request.fd, &vector, 1, offset, flags));
    case FileOperation::kWrite:
      return kernel_result(pwritev2(request.fd, &vector, 1, offset, flags));
    case FileOperation::kSync:
      return kernel_result(fsync(request.fd));
    case FileOperation::kDataSync:
      return kernel_result(fdatasync(request.fd));
    case FileOperation::kAllocate:
      return kernel_result(
          fallocate(request.fd, request.mode, offset, static_cast<off_t>(request.length)));
  }
  return -ENOSYS;
}

FileIo::FileIo(FileIoOptions options, uint8_t* buffers, int epoll_fd)
    : options_(options), buffers_(buffers), epoll_fd_(epoll_fd) {}

std::atomic<uint8_t>& FileIo::lacks(int fd) {
  return lacks_[static_cast<unsigned>(fd) % lacks_.size()];
}

void FileIo::forget(int fd) { lacks(fd).store(0, std::memory_order_relaxed); }

FileEngine* FileIo::engine() {
  std::call_once(engine_made_, [this] {
    if (!options_.threads) engine_owner_ = make_uring_engine();
    if (engine_owner_ == nullptr) engine_owner_ = make_thread_engine();
    if (engine_owner_ == nullptr) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kEpollToken;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, engine_owner_->descriptor(), &event) != 0) return;
    engine_.store(engine_owner_.get(), std::memory_order_release);
  });
  return engine_.load(std::memory_order_acquire);
}

int64_t FileIo::request(FileRequest request) {
  if (buffers_ == nullptr || request.slot >= abi::kFileIoSlots) return -EINVAL;
  if (is_transfer(request.operation) && request.length > abi::kFileIoSlotSize) return -EINVAL;
  request.buffer = buffers_ + request.slot * abi::kFileIoSlotSize;
  if (options_.when == When::kPairs) return start_pair(request);
  if (options_.when != When::kAlways && is_transfer(request.operation)) {
    if (const auto result = try_now(request)) return *result;
  }
  return start(request);
}

// Nothing: it would wait.
std::optional<int64_t> FileIo::try_now(const FileRequest& request) {
  std::atomic<uint8_t>& lacking = lacks(request.fd);
  if ((lacking.load(std::memory_order_relaxed) & bit_of(request.operation)) == 0) {
    const int64_t result = carry_out(request, RWF_NOWAIT);
    if (result == -EAGAIN) return {};
    if (result != -EOPNOTSUPP) return result;
    lacking.fetch_or(bit_of(request.operation), std::memory_order_relaxed);
  }
  return try_timed(request);
}

std::optional<int64_t> FileIo::try_timed(const FileRequest& request) {
  const uint64_t start = now();
  if (start < slow_until_.load(std::memory_order_relaxed)) return {};
  const int64_t result = carry_out(request);
  const uint64_t end = now();
  if (end - start > kSlow) slow_until_.store(end + kSlowFor, std::memory_order_relaxed);
  return result;
}

int64_t FileIo::start(const FileRequest& request) {
  FileEngine* engine = this->engine();
  if (engine != nullptr && engine->start(request)) return abi::kFileIoPending;
  return carry_out(request);
}

int64_t FileIo::start_pair(const FileRequest& request) {
  std::optional<FileRequest> first;
  {
    const std::lock_guard guard(pair_mutex_);
    if (!first_of_pair_) {
      first_of_pair_ = request;
      return abi::kFileIoPending;
    }
    first.swap(first_of_pair_);
  }
  FileEngine* engine = this->engine();
  if (engine == nullptr || !engine->start(*first)) return -EIO;  // only tests come here
  return start(request);
}

size_t FileIo::collect(std::span<abi::HostEvent> events) {
  FileEngine* engine = engine_.load(std::memory_order_acquire);
  return engine == nullptr ? 0 : engine->collect(events);
}

}  // namespace host
