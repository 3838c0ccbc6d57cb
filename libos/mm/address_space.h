// AddressSpace: what one process has mapped. (mmap(2), mprotect(2), mremap(2), madvise(2), brk(2))
//
// All processes live in one linear range, so an address space is a set of *areas*, each with its range of linear
// addresses. Address spaces that want the same addresses (after a fork, or programs linked there) form a conflict group
// (conflict_group.h): one of them at a time is *resident*, that is its content is in the pages. Every operation here
// waits for that first, except questions about areas. Pages of an area are committed on the first touch, with some
// around them. The owner check of user copies looks areas up here.
//
// Locking (rank kAddressSpace): lookups and user copies are readers, faults exclude each other, and whatever adds,
// removes or restricts areas is alone (shared_locked.h). A copy is one read from its owner check to its last byte, so
// the pages under it cannot be unmapped and given to another process meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "libos/arch/memory.h"
#include "libos/arch/prot.h"
#include "libos/lib/counted.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/tree.h"
#include "libos/lib/vec.h"
#include "libos/mm/mapped_object.h"
#include "libos/mm/page_lock.h"

namespace occlum {

enum class Access : uint8_t { kRead, kWrite, kExecute };

// What a mapping shows. A private mapping copies pages of the object; a shared one shows its pages themselves.
struct MapSource : MappedObject {
  uint64_t offset = 0;  // bytes, page-aligned
  bool shared = false;
  bool may_write =
      true;  // a shared mapping of a file not opened for writing never gets PROT_WRITE (EACCES)

  Result<MapSource> another() const;  // the same once more
};

enum class Placement { kAnywhere, kHint, kFixed, kFixedNoReplace };

struct MapRequest {
  uint64_t address = 0;
  uint64_t length = 0;  // bytes, rounded up to pages
  Prot prot = Prot::kNone;
  Placement placement = Placement::kAnywhere;
  bool grows_down = false;   // touched below, it grows: see stack_growth.h
  bool is_stack = false;     // MAP_STACK: faults bring few pages at a time
  bool is_stubs = false;     // AreaData::Kind::kStubs
  uint64_t room_behind = 0;  // kAnywhere: free bytes that follow, for now; if it grows, below
  bool populate = false;
  bool not_reserved = false;  // MAP_NORESERVE
  bool keeps_size = false;    // VM_DONTEXPAND: mremap(2) neither enlarges nor empties it
  PageLock lock = PageLock::kNone;
  MapSource source;

  Result<MapRequest> another() const;  // the same once more
};

struct Area {
  uint64_t start, end;
  Prot prot;
  bool shared, may_write, grows_down;
  RefPtr<MemoryObject> object;
  uint64_t offset;
  String name;
  uint64_t device, inode;
  PageLock lock;
  bool is_not_dumped;  // MADV_DONTDUMP
};

// A fault, judged: what the caller must do.
enum class FaultResult {
  kResolved,
  kStale /* judge_fault: the page is there with the right, and was before, or at another of its addresses */
  ,
  kNoMapping /* SEGV_MAPERR */,
  kNoPermission /* SEGV_ACCERR */,
  kBusError /* SIGBUS, BUS_ADRERR */,
  kOutOfMemory
};

class ConflictGroup;

class AddressSpace : public RefCounted<AddressSpace>, Counted<AddressSpace> {
 public:
  static Result<RefPtr<AddressSpace>> create();
  ~AddressSpace();  // frees every area

  // fork(2): the same areas with the same content, in a conflict group with this one. The companion is not copied.
  // Errors: kNoMem.
  Result<RefPtr<AddressSpace>> fork();

  // mmap(2). Returns the address. Errors: kInval, kNoMem, kExist, kAccess, kPerm.
  Result<uint64_t> map(MapRequest request);
  Result<void> unmap(uint64_t address, uint64_t length);
  Result<void> protect(uint64_t address, uint64_t length, Prot prot);
  enum class Remap { kInPlace, kMayMove, kFixed };
  // What a mapping that moves leaves behind: nothing, or itself without its pages (MREMAP_DONTUNMAP), which then moves in
  // any case, if it can to the address that is otherwise for kFixed only.
  enum class Behind { kNothing, kEmpty };
  Result<uint64_t> remap(uint64_t address, uint64_t old_length, uint64_t new_length, Remap how,
                         uint64_t fixed, Behind behind = Behind::kNothing);
  // madvise(2): MADV_DONTNEED zeroes private anonymous pages and re-reads private file pages. Unknown advice: kInval.
  Result<void> advise(uint64_t address, uint64_t length, int advice);
  Result<void> sync(uint64_t address, uint64_t length, int flags);  // msync(2)
  Result<void> check_mapped(uint64_t address, uint64_t length);     // kNoMem when there is a hole
  // mincore(2): one bool per page.
  Result<void> residency(uint64_t address, uint64_t length, FunctionRef<void(bool)> page);

  // For core files, of a range within one area: the first page that is there (`end`: none is), and whether one may differ
  // from the object that it is a copy of.
  uint64_t next_present_page(uint64_t start, uint64_t end);
  bool has_modified_page(uint64_t start, uint64_t end);

  // mlock(2), munlock(2): marks what is mapped there, up to the first hole (kNoMem). Fills nothing.
  Result<void> set_lock(uint64_t address, uint64_t length, PageLock lock);
  // mlockall(2): of all there is, where `now` says so, and of what is mapped from now on.
  void set_all_locks(std::optional<PageLock> now, PageLock future);
  PageLock future_lock() const;
  // How much of the range is locked. An object that is mapped twice counts once.
  uint64_t locked_bytes(uint64_t start = 0, uint64_t end = UINT64_MAX) const;

  // brk(2): sets the program break when it can; returns the break that holds now.
  uint64_t set_break(uint64_t address);
  // Reserves the heap behind the program; called once by exec.
  Result<void> create_heap();

  // More than one task will execute here at a time: from now on pages appear with their content, whole.
  void note_threads();

  // Resolves an access by this process, from a fault or from a user copy. May wait for memory (shortage.h).
  FaultResult handle_fault(uint64_t address, Access access);
  // The same, but tells a fault for which nothing had to be done, or which may come at once again: whoever counts those
  // can tell a host that denies what it granted, and an instruction that can never be done.
  FaultResult judge_fault(uint64_t address, Access access);

  // Calls `use(at, bytes, fault_address)` for the parts of the range, in order. Each part is mapped here with the right,
  // present, and stays so during the call, which must not sleep. When `use` returns false (an access faulted at
  // fault_address) the part is made accessible and tried again. Errors: kFault; kAgain when the fault was elsewhere,
  // on the LibOS's side of a copy (only a page of a shared object can do that, and MemoryObject knows what to do).
  Result<void> access(uint64_t address, uint64_t length, Access access,
                      FunctionRef<bool(uint64_t at, size_t bytes, uint64_t& fault_address)> use);

  // Writes into private pages whatever their rights are (ptrace, /proc/<pid>/mem, patched text). Pages of shared
  // mappings need kWrite. Errors: kFault, kNoMem.
  Result<void> poke(uint64_t address, std::span<const std::byte> data);

  // The area that holds `address`, without its name.
  std::optional<Area> find_area(uint64_t address) const;
  // Whether `address` is in an area that was mapped as MapRequest::is_stubs.
  bool has_stubs(uint64_t address) const;

  // What the mapping at `address` shows from there on, to map it once more. Errors: kInval without one; kNoMem.
  Result<MapSource> source_at(uint64_t address) const;

  // The owner check: every byte of the range is mapped here with the right. Pages may still be uncommitted.
  bool may_access(uint64_t address, uint64_t length, Access access) const;

  // Calls back for each area in order of address, on copies (for /proc/<pid>/maps).
  Result<Vec<Area>> areas() const;

  // An identity for /proc and logs, and the futex key's `space`; what a vCPU says that it executes.
  uint64_t id() const;

  // --- residency (residency.cpp) ---
  // Whether programs may execute here. What the scheduler and the way back to user mode ask; changes at any time.
  bool is_resident() const { return is_resident_.load(std::memory_order_seq_cst); }
  // Waits for the turn of this address space. May sleep; no lock of rank kConflicts or later may be held.
  void await_residency();
  // Threads of this memory that can run, and others who use it: while there are any, the slice is used to its end.
  void note_runnable();
  void note_waiting();
  // sched_yield(2): the rest of the slice is given up.
  void give_up_slice();

  // Takes everything away, whatever turn it is, for lack of memory. Only when none of its threads will execute its
  // program again; what they do for it in the LibOS finds no memory. No locks may be held.
  void abandon();

  uint64_t mapped_bytes() const;
  uint64_t committed_bytes() const;
  uint64_t footprint() const;  // bytes: that, and what is held aside for it
  // The most that these two have been. What was committed is looked at before some of it goes: an eighth of a megabyte or
  // a 64th of what is mapped may be missing, and pages of a shared object that somebody else took away.
  uint64_t peak_mapped_bytes() const;
  uint64_t peak_committed_bytes() const;

  // Futex keys: (object, offset) for shared mappings, else (this, address).
  struct FutexKey {
    uint64_t space;
    uint64_t offset;
    bool operator==(const FutexKey&) const = default;
  };
  Result<FutexKey> futex_key(uint64_t address, bool process_private) const;

  // What exec noted, for /proc and prctl(PR_SET_MM).
  struct Layout {
    uint64_t code_start = 0, code_end = 0, data_start = 0, data_end = 0, brk_start = 0,
             stack_top = 0;
    uint64_t args_start = 0, args_end = 0, env_start = 0, env_end = 0;
  };
  Layout layout;
  ExecutionHold program;  // what was loaded cannot be written to
  Vec<uint64_t> auxv;     // pairs, for /proc/<pid>/auxv

  // What goes along with the memory and is not mm's: process/rewrite's. Set before the first thread runs, or null.
  class Companion {
   public:
    virtual ~Companion() = default;
  };
  OwnPtr<Companion> companion;

 private:
  struct State;
  template <typename T, typename... Args>
  friend T* ptr_detail::construct_on_heap(Args&&... args);
  AddressSpace();
  void populate(AddressRange range);
  FaultResult resolve_fault(uint64_t address, Access access);
  FaultResult grow_stack(uint64_t address);

  friend class ConflictGroup;
  friend class Freeze;
  friend class SpaceList;
  ListNode all_node_;  // in the list of all address spaces
  std::atomic<bool> is_resident_{true};
  std::atomic<int32_t> runnable_{0};
  std::atomic<bool> is_contended_{false};  // others of the group wait
  ConflictGroup* turn_group_ = nullptr;    // guarded by the lock of turns
  OwnPtr<State> state_;
};

}  // namespace occlum
