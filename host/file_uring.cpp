// io_uring carries the requests out (io_uring(7)). There are never more in flight than the enclave has slots, so
// neither queue can be full. Submitting and collecting are one system call and none; both sides have a lock, since any
// vCPU thread may do either.
//
// Requests go straight to the kernel's workers (IOSQE_ASYNC). That they would wait is known; and the alternative for
// reads, to finish them in the context of the thread that submitted, would interrupt a vCPU in the enclave.
#include <liburing.h>

#include <thread>

#include "host/file_io.h"

namespace host {
namespace {

class UringEngine final : public FileEngine {
 public:
  static std::unique_ptr<FileEngine> create() {
    auto engine = std::unique_ptr<UringEngine>(new UringEngine);
    if (io_uring_queue_init(abi::kFileIoSlots, &engine->ring_, 0) != 0) return nullptr;
    engine->exists_ = true;
    return engine->has_operations() ? std::move(engine) : nullptr;
  }
  ~UringEngine() override {
    if (exists_) io_uring_queue_exit(&ring_);
  }

  bool start(const FileRequest& request) override {
    const std::lock_guard guard(submission_);
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return false;
    prepare(*entry, request);
    entry->flags |= IOSQE_ASYNC;
    entry->user_data = request.token;
    // It is in the queue: there is no way back, but the kernel may be short of memory for a moment.
    while (io_uring_submit(&ring_) < 0) std::this_thread::yield();
    return true;
  }

  size_t collect(std::span<abi::HostEvent> events) override {
    const std::lock_guard guard(completion_);
    size_t count = 0;
    for (io_uring_cqe* entry = nullptr;
         count < events.size() && io_uring_peek_cqe(&ring_, &entry) == 0; ++count) {
      events[count] = {.token = entry->user_data,
                       .events = static_cast<uint64_t>(static_cast<int64_t>(entry->res))};
      io_uring_cqe_seen(&ring_, entry);
    }
    return count;
  }

  int descriptor() const override { return ring_.ring_fd; }

 private:
  UringEngine() = default;

  bool has_operations() {
    io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
    if (probe == nullptr) return false;
    bool all = true;
    for (const int code : {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC, IORING_OP_FALLOCATE})
      all = all && io_uring_opcode_supported(probe, code) != 0;
    io_uring_free_probe(probe);
    return all && (ring_.features & IORING_FEAT_RW_CUR_POS) != 0;
  }

  static void prepare(io_uring_sqe& entry, const FileRequest& request) {
    const auto length = static_cast<unsigned>(request.length);
    switch (request.operation) {
      case abi::FileOperation::kRead:
        return io_uring_prep_read(&entry, request.fd, request.buffer, length, request.offset);
      case abi::FileOperation::kWrite:
        return io_uring_prep_write(&entry, request.fd, request.buffer, length, request.offset);
      case abi::FileOperation::kSync:
        return io_uring_prep_fsync(&entry, request.fd, 0);
      case abi::FileOperation::kDataSync:
        return io_uring_prep_fsync(&entry, request.fd, IORING_FSYNC_DATASYNC);
      case abi::FileOperation::kAllocate:
        return io_uring_prep_fallocate(&entry, request.fd, request.mode,
                                       static_cast<off_t>(request.offset),
                                       static_cast<off_t>(request.length));
    }
    io_uring_prep_nop(&entry);
  }

  io_uring ring_{};
  bool exists_ = false;
  std::mutex submission_, completion_;
};

}  // namespace

std::unique_ptr<FileEngine> make_uring_engine() { return UringEngine::create(); }

}  // namespace host
