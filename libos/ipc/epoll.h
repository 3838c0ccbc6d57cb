// epoll(7): a set of watched files that remembers which of them may be ready.
//
// Each watched descriptor has an *item* that sits in the file's wait queues. A wake puts the item
// on the ready list and wakes one waiting task; that is all a waker does, under the small lock of
// the ready list, whatever the number of items. epoll_wait takes items off the list one by one,
// asks each file what it is ready for now, and puts level-triggered ones back at the end. Nothing
// is locked while a file is asked, so sets may watch sets: the outer one is woken through a timer
// that is due at once, because a waker cannot wake a second queue from inside the first.
//
// An item holds its file; the file's last close takes the item out of every set (EpollRegistry).
#pragma once

#include <array>

#include "libos/fs/vfs/file.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/tree.h"
#include "libos/lib/vec.h"
#include "libos/sched/timer.h"
#include "libos/syscall/linux_ipc.h"

namespace occlum {

constexpr uint32_t kEpollExclusive = 1u << 28, kEpollWakeup = 1u << 29, kEpollOneShot = 1u << 30,
                   kEpollEdge = 1u << 31;

class EpollFile : public File {
 public:
  EpollFile() : File(2), nested_wake_(*this) {}
  ~EpollFile() override;

  // epoll_ctl(2). Errors: kExist, kNoEnt, kInval, kLoop, kPerm (a file that is always ready),
  // kNoMem.
  Result<void> add(int fd, const RefPtr<File>& file, EpollEvent event);
  Result<void> modify(int fd, File& file, EpollEvent event);
  Result<void> remove(int fd, File& file);

  // epoll_wait(2): fills `events` from the front. 0 after `deadline` (0: do not wait). Errors:
  // kIntr.
  Result<size_t> wait(std::span<EpollEvent> events, Nanoseconds deadline);

  PollEvents poll(Poller* poller) override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kEpoll; }
  // It has requests of its own (EPIOCSPARAMS, of busy polling) and knows no others.
  Result<long> ioctl(Thread&, uint32_t, uint64_t) override { return Errno::kInval; }

  // For /proc/<pid>/fdinfo.
  struct Watched {
    int fd;
    EpollEvent event;
  };
  Result<Vec<Watched>> watched() const;
  // For kcmp(2): the file that was added as `fd`; one number may stand for several files, `offset` chooses. kNoEnt.
  Result<RefPtr<File>> target(int fd, uint32_t offset) const;

 private:
  friend class EpollRegistry;

  class Item final : public RefCounted<Item>, public Poller {
   public:
    Item(EpollFile& set, int fd, RefPtr<File> file) : set_(set), fd_(fd), file_(std::move(file)) {}
    ~Item();
    Result<void> watch(WaitQueue& queue) override;
    void leave_queues();
    File& file() const { return *file_; }

   private:
    friend class EpollFile;
    class Place : public Waiter {
     public:
      ~Place() override { leave(); }
      void join(Item& item, WaitQueue& queue);
      void leave();
      bool on_wake(uint32_t events) override;

     private:
      Item* item_ = nullptr;
      WaitQueue* queue_ = nullptr;
    };

    EpollFile& set_;
    const int fd_;
    const RefPtr<File> file_;
    struct Places {
      Place first;
      bool first_used = false;
      Vec<OwnPtr<Place>> more;
      bool failed = false;  // a place could not be had
      bool closed = false;  // the item has left, and joins no more
    };
    bool watch_failed() const;
    mutable SpinLocked<Places> places_{LockRank::kPoll};
    // Under the set's ready lock:
    ListNode ready_node_;
    uint32_t events_ = 0;  // with the flags
    uint64_t data_ = 0;
    bool is_spent_ = false;  // a one-shot item that was reported
    bool is_gone_ = false;
  };
  struct Key {
    int fd;
    const File* file;
    bool operator<(const Key& other) const {
      return fd != other.fd ? fd < other.fd : file < other.file;
    }
  };
  struct Sleeper {
    explicit Sleeper(Task& t) : task(t) {}
    Task& task;
    ListNode node;
  };
  struct Ready {
    IntrusiveList<Item, &Item::ready_node_> items;
    IntrusiveList<Sleeper, &Sleeper::node> sleepers;
  };
  struct Items {
    Tree<Key, RefPtr<Item>> tree;
  };
  class NestedWake : public Timer {
   public:
    explicit NestedWake(EpollFile& set) : set_(set) {}
    ~NestedWake() override { cancel(); }
    void expired() override;

   private:
    EpollFile& set_;
  };

  bool item_woken(Item& item, uint32_t events);
  // What is to be reported of `current` (ready lock held); 0: nothing.
  static PollEvents reported(const Item& item, PollEvents current);
  void make_ready(Item& item);
  static void wake_sleeper(Ready& ready);
  void drop(RefPtr<Item> item);
  void forget(const File& file);
  void look_into_sets();
  RefPtr<Item> next_ready();
  bool collect(Item& item, PollEvents current, EpollEvent& event);
  size_t collect_all(std::span<EpollEvent> events);
  // Whether `target` can be reached from here; kLoop when it can or when sets are nested too
  // deeply.
  Result<void> check_nesting(const EpollFile& target, int depth) const;
  Result<Vec<RefPtr<File>>> watched_sets() const;

  SpinLocked<Items> items_{LockRank::kPoll};
  SpinLocked<Ready> ready_{LockRank::kReady};
  WaitQueue pollers_;                   // who polls or watches this set
  std::atomic<bool> is_polled_{false};  // somebody ever did
  std::atomic<bool> has_sets_{false};   // it ever watched another set
  NestedWake nested_wake_;
};

// Which sets watch a file, so that its last close finds them.
class EpollRegistry {
 public:
  static Result<void> add(File& file, EpollFile& set);
  static void remove(const File& file, EpollFile& set);
  static void forget(File& file);  // File::leave_epolls()
  // The length of the longest row of sets that contain this one; `limit` + 1 when it is longer.
  static int sets_above(const File& file, int limit);
};

}  // namespace occlum
