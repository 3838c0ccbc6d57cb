// The emulator's own structures, and who calls whom. See README.md for the whole.
//
// Rules of this folder. Code that may run with the enclave's FS (signal entry before the switch,
// leaves on the fast path) touches no TLS: no errno, no libc call that sets it, no stack protector
// (the folder is compiled without). It makes its system calls by the functions of raw_syscall.h.
// Memory is allocated only in host context (ioctls, mmap), never in handlers.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "emulator/emulator.h"
#include "emulator/offsets.h"
#include "sgx/arch.h"
#include "sgx/measure.h"

namespace emulator {

using sgx::kPageSize;

// A byte address in the process. Enclave memory is addressed by number: the emulator checks before
// it touches.
using Address = std::uint64_t;
constexpr Address page_of(Address address) { return address & ~Address{kPageSize - 1}; }
constexpr std::uint64_t round_up(std::uint64_t value) {
  return (value + kPageSize - 1) & ~std::uint64_t{kPageSize - 1};
}
// What one entry of Enclave::chunks covers, and what one of Enclave::regions does: 2 MiB and 4 GiB.
inline constexpr std::uint64_t kChunk = 2u << 20;
inline constexpr std::uint64_t kRegion = kChunk << 11;
constexpr bool aligned(Address address, std::uint64_t to) { return (address & (to - 1)) == 0; }
constexpr bool canonical(Address address) {
  const auto top = static_cast<std::int64_t>(address) >> 47;
  return top == 0 || top == -1;
}
template <typename T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

// Rights, as in PROT_* and in SECINFO: the same three bits.
using Rights = std::uint32_t;
inline constexpr Rights kRead = 1, kWrite = 2, kExecute = 4, kAllRights = 7;

// A spin lock that needs no TLS. Held for microseconds at most; never while touching memory that
// may fault into the enclave's own handling.
class Lock {
 public:
  void lock();
  void unlock() { word_.store(0, std::memory_order_release); }

 private:
  std::atomic<std::uint32_t> word_{0};
};
class Locked {
 public:
  explicit Locked(Lock& lock) : lock_(lock) { lock_.lock(); }
  ~Locked() { lock_.unlock(); }
  Locked(const Locked&) = delete;

 private:
  Lock& lock_;
};

// One page's EPCM entry, in 16 bits, and what the emulator needs beside it: `opened`, the rights
// that the host's page tables really grant now, and `max`, the driver's vm_max_prot_bits.
struct Epcm {
  std::uint16_t bits = 0;

  static constexpr unsigned kRights = 0, kType = 3, kPending = 6, kModified = 7, kPr = 8,
                            kOpened = 9, kMax = 12;
  constexpr Rights rights() const { return (bits >> kRights) & 7; }
  constexpr sgx::PageType type() const { return static_cast<sgx::PageType>((bits >> kType) & 7); }
  constexpr bool pending() const { return bits >> kPending & 1; }
  constexpr bool modified() const { return bits >> kModified & 1; }
  constexpr bool pr() const { return bits >> kPr & 1; }
  constexpr Rights opened() const { return (bits >> kOpened) & 7; }
  constexpr Rights max() const { return (bits >> kMax) & 7; }
  // No SECS lies in ELRANGE, so its type number serves for "not there".
  constexpr bool valid() const { return type() != sgx::PageType::kSecs; }
  // Software in the enclave may use it, rights permitting.
  constexpr bool usable() const {
    return type() == sgx::PageType::kReg && !pending() && !modified();
  }

  constexpr Epcm with_rights(Rights r) const { return put(kRights, 7, r); }
  constexpr Epcm with_type(sgx::PageType t) const {
    return put(kType, 7, static_cast<unsigned>(t));
  }
  constexpr Epcm with_pending(bool on) const { return put(kPending, 1, on); }
  constexpr Epcm with_modified(bool on) const { return put(kModified, 1, on); }
  constexpr Epcm with_pr(bool on) const { return put(kPr, 1, on); }
  constexpr Epcm with_opened(Rights r) const { return put(kOpened, 7, r); }
  constexpr Epcm with_max(Rights r) const { return put(kMax, 7, r); }

 private:
  constexpr Epcm put(unsigned shift, unsigned mask, unsigned value) const {
    return {static_cast<std::uint16_t>((bits & ~(mask << shift)) | (value << shift))};
  }
};
static_assert(sizeof(Epcm) == 2);
static_assert(static_cast<int>(sgx::PageType::kSecs) == 0);

inline constexpr Epcm kAugmented = Epcm{}
                                       .with_type(sgx::PageType::kReg)
                                       .with_rights(kRead | kWrite)
                                       .with_pending(true)
                                       .with_max(kAllRights);

struct Enclave;

// A TCS: the fields that EENTER and AEX use, in linear addresses. fast.S knows the first ones by
// offset.
struct Tcs {
  Address address = ~Address{0};       // 0x00
  std::atomic<std::uint32_t> busy{0};  // 0x08: a logical processor is on it
  std::atomic<std::uint32_t> validated{
      0};  // 0x0c: TCS and all SSA frames passed EENTER's checks; cleared by ioctls
  std::uint32_t ssa_free = 0;  // 0x10: CSSA < NSSA
  std::uint32_t reserved = 0;
  Address gpr = 0;         // 0x18: GPRSGX of SSA[CSSA]
  Address entry = 0;       // 0x20
  Address fsbase = 0;      // 0x28
  Address gsbase = 0;      // 0x30
  Address aep = 0;         // 0x38
  std::uint64_t cssa = 0;  // 0x40
  std::uint64_t nssa = 0;
  Address ossa = 0;
  std::uint64_t flags = 0;
  Enclave* enclave = nullptr;

  void set_cssa(std::uint64_t n);
  Address frame(std::uint64_t n) const;
};
static_assert(offsetof(Tcs, address) == TCS_ADDRESS && offsetof(Tcs, busy) == TCS_BUSY);
static_assert(offsetof(Tcs, validated) == TCS_VALIDATED && offsetof(Tcs, ssa_free) == TCS_SSA_FREE);
static_assert(offsetof(Tcs, gpr) == TCS_GPR && offsetof(Tcs, entry) == TCS_ENTRY);
static_assert(offsetof(Tcs, fsbase) == TCS_FSBASE && offsetof(Tcs, gsbase) == TCS_GSBASE);
static_assert(offsetof(Tcs, aep) == TCS_AEP && offsetof(Tcs, cssa) == TCS_CSSA);

// A mapping of the device, as the kernel's VMA.
struct Vma {
  Address start = 0;
  Address end = 0;
  Rights rights = 0;
};

// A set of disjoint, sorted ranges.
class Ranges {
 public:
  void add(Address start, Address end, Rights rights);
  void remove(Address start, Address end);
  // The range that holds `address`, or null.
  const Vma* find(Address address) const;
  const std::vector<Vma>& all() const { return list_; }
  bool overlaps(Address start, Address end) const;
  bool empty() const { return list_.empty(); }

 private:
  std::vector<Vma> list_;
};

// What an access to enclave memory came to.
struct Access {
  bool allowed = false;
  std::uint32_t error = 0;  // of the #PF, if not
};

// Where the stubs of patched sites are. See patch.cpp.
struct StubRegion {
  Address start = 0;
  std::size_t size = 0;
};

// Pages that were added where the device is not mapped yet: their contents wait here.
struct Stash {
  Address start = 0;
  Address end = 0;
  Address contents = 0;
};

struct Enclave {
  Lock lock;
  int fd = -1;
  std::uint64_t id = 0;
  std::atomic<bool> in_ioctl{false};
  bool created = false;
  std::atomic<bool> initialized{false};
  bool patched = false;

  Address base = 0;
  std::uint64_t size = 0;
  sgx::Secs secs{};
  sgx::Sigstruct sigstruct{};
  sgx::Measurement measurement;
  std::uint64_t attributes_allowed = 0;
  std::uint32_t frame_size = 0;  // bytes of an SSA frame

  Ranges vmas;                 // under lock
  Ranges backed;               // really mapped; under lock
  std::vector<Stash> stashes;  // under lock
  Ranges added;                // by EADD: where sites to patch may be; under lock
  std::atomic<std::uint64_t> vma_generation{1};

  std::atomic<std::uint16_t>* epcm = nullptr;  // one per page of ELRANGE
  std::atomic<std::uint8_t>* chunks =
      nullptr;  // one per 2 MiB: bit 0 any page there, bit 1 any page ever opened
  std::atomic<std::uint8_t>* regions = nullptr;  // one per 4 GiB: 1 when a chunk there is not 0
  std::vector<std::unique_ptr<Tcs>> tcss;        // under lock
  std::vector<std::unique_ptr<Tcs>> retired;     // under lock
  StubRegion stubs;

  Address end() const { return base + size; }
  bool contains(Address address) const { return address - base < size; }
  bool contains(Address address, std::uint64_t bytes) const {
    return contains(address) && bytes <= end() - address;
  }
  std::atomic<std::uint16_t>& entry(Address address) { return epcm[(address - base) >> 12]; }
  Epcm page(Address address) { return {entry(address).load(std::memory_order_acquire)}; }
  // Replaces an entry that is still `expected`.
  bool exchange(Address address, Epcm expected, Epcm desired) {
    return entry(address).compare_exchange_strong(expected.bits, desired.bits,
                                                  std::memory_order_acq_rel);
  }
  std::uint8_t chunk(Address address) { return chunks[(address - base) / kChunk].load(); }
  void mark_chunk(Address address, std::uint8_t bit) {
    std::atomic<std::uint8_t>& region = regions[(address - base) / kRegion];
    if (region.load(std::memory_order_relaxed) == 0) region.store(1);
    chunks[(address - base) / kChunk].fetch_or(bit);
  }
  // `address`, or where the next region begins that has a chunk that is not 0; `limit` where there is none below it.
  Address skip_regions(Address address, Address limit) {
    while (address < limit && regions[(address - base) / kRegion].load() == 0)
      address = base + ((address - base) / kRegion + 1) * kRegion;
    return std::min(address, limit);
  }
};
inline constexpr std::uint8_t kChunkUsed = 1, kChunkOpened = 2;

// The general registers of a context, in GPRSGX's order.
struct Registers {
  std::uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
  std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  std::uint64_t rflags, rip;
};
static_assert(sizeof(Registers) == offsetof(sgx::Gprsgx, ursp));

struct IretFrame {
  std::uint64_t rip, cs, rflags, rsp, ss;
};

// A host thread. It sits at the start of a 64 KiB slot, whose rest is the leaf stack and the
// alternate signal stack, so that a handler finds it from RSP; and the slot's number is in ES, so
// that code with the enclave's FS finds it too.
struct ThreadBlock {
  ThreadBlock* self;       // 0x00
  Tcs* current;            // 0x08: in enclave mode on this TCS, or null
  Tcs* cached;             // 0x10: the last TCS entered; never null
  std::uint64_t host_fs;   // 0x18
  std::uint64_t host_gs;   // 0x20
  std::uint32_t in_leaf;   // 0x28: C++ code runs on behalf of an ENCLU: signals wait
  std::uint32_t deferred;  // 0x2c: a signal waits
  Address site_tail;       // 0x30: where the leaf's stub continues
  Address site;            // 0x38: the stub
  Registers regs;          // 0x40
  IretFrame iret;          // 0xd0
  std::uint64_t resume_rsp, resume_rbp;
  std::uint64_t count_eenter, count_eexit;
  Address xsave;
  std::uint64_t xfrm;
  std::uint64_t new_fs, new_gs;
  int pid, tid;
  siginfo_t deferred_info;
  std::uint64_t deferred_more;  // further signals that wait: bit n-1 for signal n

  std::uint64_t leaf_count[sgx::kEncluLeaves];
  std::uint64_t aex_count, eaug_count, open_count, trap_count, injected_count, deferred_count;
  std::uint32_t slot;
  std::uint32_t in_handler;
  Tcs* resuming;  // fast ERESUME: the TCS claimed
  std::uint64_t vma_generation;
  Enclave* vma_enclave;
  Vma vma;  // a copy of the VMA last looked up, good while the generation is the enclave's
  Enclave* dispatch;  // whose ELRANGE Syscall User Dispatch covers
  stack_t old_stack;
  std::uint64_t random;
  std::uint64_t race_count;  // augments that came second
  Address
      lost_race;  // a leaf's operand whose #PF is still to be reported: the fast path traps first
};
static_assert(offsetof(ThreadBlock, current) == TB_CURRENT &&
              offsetof(ThreadBlock, cached) == TB_CACHED);
static_assert(offsetof(ThreadBlock, host_fs) == TB_HOST_FS &&
              offsetof(ThreadBlock, host_gs) == TB_HOST_GS);
static_assert(offsetof(ThreadBlock, in_leaf) == TB_IN_LEAF &&
              offsetof(ThreadBlock, deferred) == TB_DEFERRED);
static_assert(offsetof(ThreadBlock, site_tail) == TB_SITE_TAIL &&
              offsetof(ThreadBlock, site) == TB_SITE);
static_assert(offsetof(ThreadBlock, regs) == TB_REGS && offsetof(ThreadBlock, iret) == TB_IRET);
static_assert(offsetof(ThreadBlock, resume_rsp) == TB_RESUME_RSP);
static_assert(offsetof(ThreadBlock, resume_rbp) == TB_RESUME_RBP);
static_assert(offsetof(ThreadBlock, count_eenter) == TB_COUNT_EENTER);
static_assert(offsetof(ThreadBlock, count_eexit) == TB_COUNT_EEXIT);
static_assert(offsetof(ThreadBlock, xsave) == TB_XSAVE && offsetof(ThreadBlock, xfrm) == TB_XFRM);
static_assert(offsetof(ThreadBlock, new_fs) == TB_NEW_FS &&
              offsetof(ThreadBlock, new_gs) == TB_NEW_GS);
static_assert(offsetof(ThreadBlock, pid) == TB_PID && offsetof(ThreadBlock, tid) == TB_TID);
static_assert(offsetof(ThreadBlock, deferred_info) == TB_DEFERRED_INFO);
static_assert(sizeof(ThreadBlock) < 0x1000);

// An exception or interrupt that leaves the enclave.
struct Event {
  std::uint32_t exitinfo = 0;  // 0 for interrupts
  std::uint8_t vector = 0;     // what the vDSO reports
  std::uint16_t error = 0;
  Address address = 0;
};
Event exception(std::uint8_t vector, std::uint16_t error = 0, Address address = 0);

// A thread's interrupted state while a handler works on it: the kernel's signal frame, and the
// bases that the frame lacks.
struct Context {
  ThreadBlock* thread;
  ucontext_t* frame;
  std::uint64_t fs;
  std::uint64_t gs;

  greg_t& reg(int index) { return frame->uc_mcontext.gregs[index]; }
  std::uint64_t rip() { return static_cast<std::uint64_t>(reg(REG_RIP)); }
  void set_rip(Address to) { reg(REG_RIP) = static_cast<greg_t>(to); }
  void get(Registers& out);
  void set(const Registers& in);
};

// What a leaf came to.
enum class LeafResult : std::uint32_t {
  kDone = 0,   // registers hold the result
  kFault = 1,  // `event` is delivered at the ENCLU
};

// options.cpp
const Options& options();
void freeze_options();
void spend(std::uint32_t nanoseconds);  // the cost model's delay
bool inject(ThreadBlock& thread, std::uint32_t one_in);
std::uint64_t next_random(std::uint64_t& state);
[[noreturn]] void die(const char* what, std::uint64_t a = 0, std::uint64_t b = 0);

// enclave.cpp: memory.
inline constexpr std::size_t kMaxEnclaves = 64;
Enclave* enclave_at(Address address);  // the created enclave whose ELRANGE holds it, or null
// Decides an access by VMA and EPCM, adds a page as the driver would, and opens the page and its
// like neighbours for real.
Access resolve(Enclave& enclave, Address address, Rights access, ThreadBlock* thread);
// True if the emulator may access the bytes now with these rights; resolves if need be.
bool ensure(Enclave& enclave, Address address, std::uint64_t size, Rights access,
            ThreadBlock* thread, Access& denied);
// Makes the real rights of [start, end) no larger than VMA and EPCM allow; with `eager` makes them
// equal. Lock held.
void apply_rights(Enclave& enclave, Address start, Address end, bool eager);
// The driver's reaction to a touch of an absent page of the enclave: EAUG. kLost: the page is there,
// but the access is reported as a fault.
enum class Augmented { kRefused, kDone, kLost };
Augmented augment(Enclave& enclave, Address address, ThreadBlock* thread);

// device.cpp, for ioctls.cpp. Lock held.
void invalidate(Enclave& enclave, Address start, Address end);
void unstash(Enclave& enclave, Address start, Address end);
// ioctls.cpp: 0 or a negative errno.
int enclave_ioctl(Enclave& enclave, unsigned long request, void* argument);
bool injected(Enclave& enclave, std::uint32_t one_in);  // strict mode, in host context

// xstate.cpp
struct Xstate {
  std::uint64_t supported;  // XCR0
  struct {
    std::uint32_t offset, size;
  } component[64];
};
const Xstate& xstate();
std::uint64_t xsave_area_size(std::uint64_t xfrm);
void save_xstate(Context& context, Address area,
                 std::uint64_t xfrm);  // frame -> SSA, synthetic state -> frame
bool load_xstate(Context& context, Address area, std::uint64_t xfrm);  // SSA -> frame; false: #GP
bool valid_xstate(Address area, std::uint64_t xfrm);

// transition.cpp: EENTER, EEXIT, AEX, ERESUME.
Tcs* find_tcs(Address address);
bool eenter(Context& context, Event& fault);
void eexit(Context& context);
void aex(Context& context, const Event& event);
bool eresume(Context& context, Event& fault);
void undo_resume(Context& context);  // a fast ERESUME that has begun: back to before it

// leaves.cpp. `thread` is in enclave mode; `regs` has the operands and takes the results; RIP is
// the caller's.
LeafResult execute_leaf(ThreadBlock& thread, Registers& regs, Event& fault);
// keys.cpp
LeafResult ereport(ThreadBlock& thread, Registers& regs, Event& fault);
LeafResult egetkey(ThreadBlock& thread, Registers& regs, Event& fault);

// patch.cpp
void patch_sites(Enclave& enclave);
// The stub that holds `rip`, or 0.
Address stub_of(const Enclave& enclave, Address rip);
Address site_of_stub(Address stub);
inline constexpr Address kSiteSize = 6;  // ENCLU and the NOP, or the jump and its NOP

// settle.cpp
inline bool within(Address rip, const char* start, const char* end) {
  return rip >= reinterpret_cast<Address>(start) && rip < reinterpret_cast<Address>(end);
}
void settle(Context& context);

// signals.cpp
bool install_handlers();
bool stepping();  // step_ticks() is on: enclaves run with TF
// thread.cpp
ThreadBlock* block_of(Address stack);  // the thread whose slot holds the address, or null
bool prepare_threads();
void allow_cpuid(bool allow);  // of this thread; only where faulting works
void follow_enclave(ThreadBlock& thread, Enclave& enclave);
extern bool syscall_dispatch_works;
extern bool cpuid_faulting_works;

}  // namespace emulator

// Shared with fast.S.
extern "C" {
extern thread_local emulator::ThreadBlock* emu_thread __attribute__((tls_model("initial-exec")));
extern std::uint8_t emu_fast_path;
extern std::uint8_t emu_costs;
extern std::uint64_t emu_slots;

int emu_enter_enclave(unsigned long rdi, unsigned long rsi, unsigned long rdx,
                      unsigned int function, unsigned long r8, unsigned long r9,
                      struct sgx_enclave_run* run);
extern const char emu_restorer[];
int emu_peek(emulator::Address where);  // while a fault is handled
extern const char emu_peek_failed[];
extern const char emu_aep[], emu_after_enclu[], emu_handle_exception[];
extern const char emu_eenter_begin[], emu_eenter_tried[], emu_eenter_claimed[],
    emu_eenter_committed[], emu_eenter_end[];
extern const char emu_resume_begin[], emu_resume_end[];
extern const char emu_eexit_begin[], emu_eexit_cleared[], emu_eexit_committed[],
    emu_eexit_released[], emu_eexit_end[], emu_eexit_enclu[];
extern const char emu_leaf_begin[], emu_leaf_saved[], emu_leaf_done[], emu_leaf_end[];
extern const char emu_leaf_r15[], emu_leaf_r15_end[];
extern const char emu_stub[], emu_stub_trap[], emu_stub_tail[], emu_stub_tail_fault[],
    emu_stub_jump[], emu_stub_literals[], emu_stub_end[];  // literals: EEXIT, leaf, slots, site
struct EmuStubBlock {
  std::uint32_t leaf, begin, rcx_saved, rdx_saved, recovery, end;
};
extern const EmuStubBlock emu_stub_blocks[4];

std::uint32_t emu_leaf(emulator::ThreadBlock* thread);
std::uint32_t emu_resume_prepare(emulator::ThreadBlock* thread);
std::uint32_t emu_attach();
void emu_spend_crossing();
void emu_signal(int signal, siginfo_t* info, void* frame);
[[noreturn]] void emu_deliver(emulator::Address stack, void* handler, int signal, siginfo_t* info,
                              void* frame, void* frame_start);
void emu_delivered(void* frame_start, std::uint64_t bases[2]);
}
