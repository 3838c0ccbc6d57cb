// The signals of open files (fcntl(2), "Managing signals"; fs/fcntl.c has the rules): whom a file's signals go to
// (F_SETOWN), which one it sends (F_SETSIG), and which events it sends it for (O_ASYNC, leases).
//
// What has such events keeps an AsyncList of the files that want to hear of them. Events come with locks held and in
// wake-ups, where no signal can be sent; they are posted, which wakes the task that sends them (process/signals/
// io_signal.h). A system call sends what is posted before it returns, so that its caller finds the signals pending.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "libos/lib/list.h"
#include "libos/lib/result.h"
#include "libos/sched/task.h"

namespace occlum {

class File;
class AsyncList;

// F_SETOWN_EX: a thread, a process, or a process group; and who said so.
struct IoOwner {
  enum class Kind : uint8_t { kThread, kProcess, kGroup };
  Kind kind = Kind::kThread;
  int32_t number = 0;  // 0: nobody
  uint32_t uid = 0, euid = 0;
  Nanoseconds since = 0;  // who has started later is another one of that number
};

// siginfo's POLL_IN and so on.
enum class IoReason : uint8_t { kIn = 1, kOut, kMessage, kError, kPriority, kHangup };
constexpr size_t kIoReasons = 6;

// What is to be sent for one file.
struct PostedIo {
  IoOwner owner;
  int signal = 0;  // 0: SIGIO without further information
  int fd = -1;
  std::array<uint32_t, kIoReasons> times = {};
  bool is_urgent = false;  // SIGURG as well
};

// A file's place in one list.
struct AsyncEntry {
  ListNode node, posted_node;
  class IoSignals* signals = nullptr;
  AsyncList* list = nullptr;  // null: in none
  int fd = -1;                // si_fd
  bool is_posted = false;
  std::array<uint32_t, kIoReasons> times = {};
};

// A file's owner and signal, made when one of these is first set. One lock guards them all, and all lists.
class IoSignals {
 public:
  explicit IoSignals(File& file);
  ~IoSignals();
  IoSignals(const IoSignals&) = delete;
  IoSignals& operator=(const IoSignals&) = delete;

  enum class Replace : uint8_t { kNo, kYes };
  void set_owner(const IoOwner& owner, Replace replace = Replace::kYes);
  IoOwner owner() const;
  void set_signal(int signal);
  int signal() const;

  // O_ASYNC, which is then set in the file's flags: `fd` is what is told. A file is in two lists at most.
  void join(AsyncList& list, int fd);
  void leave();
  // Urgent data: SIGURG for the owner, with or without O_ASYNC; with it and a signal of its own that one too. As
  // AsyncList::post().
  void post_urgent();
  // A lease ends: nobody owns the file any more.
  void reset();

 private:
  friend class AsyncList;
  friend bool take_posted_io(PostedIo& posted);
  File& file_;
  IoOwner owner_;
  int signal_ = 0;
  std::array<AsyncEntry, 2> entries_;
  AsyncEntry urgent_;  // in no list
};

class AsyncList {
 public:
  AsyncList() = default;
  ~AsyncList();
  AsyncList(const AsyncList&) = delete;
  AsyncList& operator=(const AsyncList&) = delete;

  // With any locks held before kReady's.
  void post(IoReason reason) {
    if (has_entries_.load(std::memory_order_relaxed)) [[unlikely]]
      post_to_all(reason);
  }

 private:
  void post_to_all(IoReason reason);

  friend class IoSignals;
  IntrusiveList<AsyncEntry, &AsyncEntry::node> entries_;
  std::atomic<bool> has_entries_{false};
};

// For those who send. The next one that is posted; each is reported as sent when it was.
bool take_posted_io(PostedIo& posted);
void note_posted_io_sent();
// Whether anything was posted and not yet reported as sent.
bool has_posted_io();
// Who is woken when there is something to send.
void set_io_sender(Task& sender);

}  // namespace occlum
