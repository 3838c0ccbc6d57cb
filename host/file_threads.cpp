// A few threads carry the requests out, one each at a time, where io_uring is forbidden. A thread is started when a
// request comes and none is free, up to kMostThreads; then requests queue. The threads are detached and block all
// signals, so they neither serve the program's signals nor keep the process from ending.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <system_error>
#include <thread>

#include "host/file_io.h"

namespace host {
namespace {

constexpr unsigned kMostThreads = 8;

class ThreadEngine final : public FileEngine {
 public:
  explicit ThreadEngine(int results_ready) : results_ready_(results_ready) {}

  bool start(const FileRequest& request) override {
    // The number may be closed, and another file's, when a thread comes to it.
    const int own = fcntl(request.fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return false;
    const std::lock_guard guard(mutex_);
    if (idle_ <= requests_.size() && threads_ < kMostThreads && start_thread()) ++threads_;
    if (threads_ == 0) {
      close(own);
      return false;
    }
    requests_.push_back(request);
    requests_.back().fd = own;
    wanted_.notify_one();
    return true;
  }

  size_t collect(std::span<abi::HostEvent> events) override {
    const std::lock_guard guard(mutex_);
    size_t count = 0;
    for (; count < events.size() && !results_.empty(); ++count) {
      events[count] = results_.front();
      results_.pop_front();
    }
    uint64_t signalled = 0;
    if (results_.empty()) [[maybe_unused]]
      const auto drained = read(results_ready_, &signalled, sizeof(signalled));
    return count;
  }

  int descriptor() const override { return results_ready_; }

 private:
  bool start_thread() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);  // inherited
    bool started = true;
    try {
      std::thread([this] { work(); }).detach();
    } catch (const std::system_error&) {
      started = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  [[noreturn]] void work() {
    while (true) {
      const FileRequest request = next();
      const int64_t result = carry_out(request);
      close(request.fd);
      const std::lock_guard guard(mutex_);
      results_.push_back({.token = request.token, .events = static_cast<uint64_t>(result)});
      const uint64_t one = 1;
      [[maybe_unused]] const auto signalled = write(results_ready_, &one, sizeof(one));
    }
  }

  FileRequest next() {
    std::unique_lock guard(mutex_);
    ++idle_;
    wanted_.wait(guard, [this] { return !requests_.empty(); });
    --idle_;
    const FileRequest request = requests_.front();
    requests_.pop_front();
    return request;
  }

  const int results_ready_;  // eventfd
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<FileRequest> requests_;
  std::deque<abi::HostEvent> results_;
  size_t idle_ = 0;
  unsigned threads_ = 0;
};

}  // namespace

std::unique_ptr<FileEngine> make_thread_engine() {
  const int results_ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return results_ready < 0 ? nullptr : std::make_unique<ThreadEngine>(results_ready);
}

}  // namespace host
