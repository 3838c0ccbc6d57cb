// The test enclave (emulator_enclave.S) as an object: loads it through the emulator's device
// functions and calls it.
#pragma once

#include <asm/sgx.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <memory>

#include "emulator/emulator.h"
#include "sgx/measure.h"
#include "sgx/sigstruct.h"

extern "C" {
extern const std::byte test_enclave[], test_enclave_end[];
struct Entry {
  vdso_sgx_enter_enclave_t function;
  std::uint64_t rdi, rsi, rdx, leaf;
  sgx_enclave_run* run;
  void* stack;
};
int enter_saving(const Entry* entry);
std::uint64_t cross_with_vectors(const Entry* entry, std::uint64_t pattern);
}

inline bool trap_path = false, strict = false;

constexpr std::uint64_t kPage = sgx::kPageSize;
constexpr int kEenter = 2, kEresume = 3, kEexit = 4;
namespace flag = sgx::secinfo_flags;

enum Operation : std::uint64_t {
  kNop,
  kStore,
  kLoad,
  kLeaf,
  kSyscall,
  kUd2,
  kInt3,
  kDivide,
  kBases,
  kSpin,
  kRange,
  kRegs,
  kFlags,
  kPlainLeaf,
  kOperandLeaf,
  kCall,
};

struct Call {
  std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rflags = 0, secinfo = 0, result = 0;
};

inline const sgx::SigningKey& key() {
  static const sgx::SigningKey generated = std::move(*sgx::SigningKey::generate());
  return generated;
}

inline std::uint64_t supported_xfrm() {
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const std::uint64_t known = sgx::xfrm::kLegacy | sgx::xfrm::kAvx | sgx::xfrm::kAvx512;
  return (low | std::uint64_t{high} << 32) & known;
}

// Retries what the driver may refuse for a moment, as a host must.
template <typename Try>
int retry(Try attempt) {
  for (;;) {
    const int result = attempt();
    if (result == 0 || (errno != EAGAIN && errno != EINTR && errno != EBUSY)) return result;
  }
}

class TestEnclave {
 public:
  struct Layout {
    std::uint64_t base = ~0ull;  // anywhere
    std::uint64_t size = 4u << 20;
    std::uint64_t image_at = 0;
    std::uint64_t attributes = sgx::attribute::kMode64Bit;
  };

  explicit TestEnclave(Layout layout) : layout_(layout) { ok_ = build(); }
  TestEnclave() : TestEnclave(Layout{}) {}
  ~TestEnclave() {
    if (mapped_ != nullptr) emulator::munmap(mapped_, mapped_size_);
    emulator::close(fd_);
  }

  bool ok() const { return ok_; }
  std::uint64_t base() const { return base_; }
  std::uint64_t image() const { return base_ + layout_.image_at; }
  std::uint64_t tcs(int n) const { return image() + static_cast<std::uint64_t>(n) * kPage; }
  std::uint64_t dynamic() const { return image() + 0x10000; }
  const sgx::Hash& mrenclave() const { return mrenclave_; }
  int fd() const { return fd_; }

  int enter(sgx_enclave_run& run, int function, std::uint64_t rdi = 0, void* rsi = nullptr,
            std::uint64_t rdx = 0) const {
    const Entry entry{emulator::enter_function(),
                      rdi,
                      reinterpret_cast<std::uint64_t>(rsi),
                      rdx,
                      static_cast<std::uint64_t>(function),
                      &run,
                      nullptr};
    return enter_saving(&entry);
  }
  // On a stack of its own: the same depth for the call and for its ERESUME.
  int enter_outer(sgx_enclave_run& run, int function, std::uint64_t rdi = 0,
                  void* rsi = nullptr) const {
    alignas(16) static thread_local std::byte stack[65536];
    const Entry entry{emulator::enter_function(),
                      rdi,
                      reinterpret_cast<std::uint64_t>(rsi),
                      0,
                      static_cast<std::uint64_t>(function),
                      &run,
                      stack + sizeof stack};
    return enter_saving(&entry);
  }
  sgx_enclave_run call(Operation operation, Call& call, int tcs_number = 0) const {
    sgx_enclave_run run{};
    run.tcs = tcs(tcs_number);
    result_ = enter_outer(run, kEenter, operation, &call);
    // Strict mode's spurious #PF: the page is there, so resume. Other faults are the caller's.
    while (strict && run.function == kEresume && run.exception_vector == 14 &&
           (run.exception_error_code & sgx::pf_error::kSgx) == 0 && !expects_fault_) {
      result_ = enter_outer(run, kEresume);
    }
    return run;
  }
  // As call(), for an operation that must fault. A #PF that strict mode made does not come twice.
  sgx_enclave_run call_faulting(Operation operation, Call& c, int tcs_number = 0) {
    expects_fault_ = true;
    auto run = call(operation, c, tcs_number);
    expects_fault_ = false;
    if (strict && run.function == kEresume && run.exception_vector == 14 &&
        (run.exception_error_code & sgx::pf_error::kSgx) == 0) {
      result_ = enter_outer(run, kEresume);
    }
    return run;
  }
  // Ends the interrupted call of a TCS: the handler adds `skip` to RIP, then ERESUME.
  sgx_enclave_run skip_and_resume(std::uint64_t skip, int tcs_number = 0) const {
    sgx_enclave_run run{};
    run.tcs = tcs(tcs_number);
    EXPECT_EQ(enter(run, kEenter, 0, nullptr, skip), 0);
    EXPECT_EQ(run.function, static_cast<unsigned>(kEexit));
    run = {};
    run.tcs = tcs(tcs_number);
    result_ = enter_outer(run, kEresume);
    return run;
  }
  std::uint64_t leaf(std::uint64_t leaf, std::uint64_t rcx, std::uint64_t secinfo,
                     std::uint64_t rdx = 0, int tcs_number = 0, Operation operation = kLeaf) const {
    Call c{.rax = leaf, .rcx = rcx, .rdx = rdx, .secinfo = secinfo};
    const auto run = call(operation, c, tcs_number);
    EXPECT_EQ(run.function, static_cast<unsigned>(kEexit)) << "vector " << run.exception_vector;
    EXPECT_EQ((c.rflags >> 6 & 1) != 0, c.rax != 0 && leaf != 6 && leaf != 9);
    return c.rax;
  }
  std::uint64_t accept(std::uint64_t page, std::uint64_t secinfo, int tcs_number = 0) const {
    return leaf(5, page, secinfo, 0, tcs_number);
  }
  int last_result() const { return result_; }

 private:
  bool build() {
    fd_ = emulator::open_device();
    if (fd_ < 0) {
      ADD_FAILURE() << "open_device: " << emulator::unavailable_reason();
      return false;
    }
    if (layout_.base == ~0ull) {
      mapped_size_ = 2 * layout_.size;
      mapped_ = emulator::mmap(nullptr, mapped_size_, PROT_NONE, MAP_SHARED, fd_, 0);
      base_ = (reinterpret_cast<std::uint64_t>(mapped_) + layout_.size - 1) & ~(layout_.size - 1);
    } else {
      base_ = layout_.base;
      const std::uint64_t low = std::max<std::uint64_t>(base_, 0x10000);
      mapped_size_ = base_ + layout_.size - low;
      mapped_ = emulator::mmap(reinterpret_cast<void*>(low), mapped_size_,
                               PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE,
                               fd_, 0);
    }
    if (mapped_ == MAP_FAILED) {
      ADD_FAILURE() << "mmap: " << strerror(errno);
      mapped_ = nullptr;
      return false;
    }
    return create() && add() && init() && map();
  }

  bool create() {
    alignas(kPage) sgx::Secs secs{};
    secs.size = layout_.size;
    secs.baseaddr = base_;
    secs.ssaframesize = 1;
    secs.miscselect = sgx::miscselect::kExinfo;
    secs.attributes = {.flags = layout_.attributes, .xfrm = supported_xfrm()};
    sgx_enclave_create argument{.src = reinterpret_cast<std::uint64_t>(&secs)};
    measurement_.ecreate(1, layout_.size);
    return check("CREATE",
                 retry([&] { return emulator::ioctl(fd_, SGX_IOC_ENCLAVE_CREATE, &argument); }));
  }

  bool add() {
    const std::size_t size = static_cast<std::size_t>(test_enclave_end - test_enclave);
    pages_ = std::make_unique<Page[]>(size / kPage);
    std::memcpy(pages_.get(), test_enclave, size);
    for (int n = 0; n < 2; n++) {
      auto& tcs = reinterpret_cast<sgx::Tcs&>(pages_[n]);
      tcs.ossa += layout_.image_at;
      tcs.oentry += layout_.image_at;
      tcs.ofsbase += layout_.image_at;
      tcs.ogsbase += layout_.image_at;
    }
    return add_segment(0, 2, flag::kTcs) && add_segment(2, 4, flag::kReg | 3) &&
           add_segment(6, 2, flag::kReg | 5) && add_segment(8, 5, flag::kReg | 3);
  }

  bool add_segment(std::size_t first, std::size_t count, std::uint64_t secinfo_flags) {
    sgx::Secinfo secinfo{.flags = secinfo_flags, .reserved = {}};
    for (std::size_t done = 0; done < count;) {
      sgx_enclave_add_pages argument{};
      argument.src = reinterpret_cast<std::uint64_t>(&pages_[first + done]);
      argument.offset = layout_.image_at + (first + done) * kPage;
      argument.length = (count - done) * kPage;
      argument.secinfo = reinterpret_cast<std::uint64_t>(&secinfo);
      argument.flags = SGX_PAGE_MEASURE;
      if (!check("ADD_PAGES", retry([&] {
                   return emulator::ioctl(fd_, SGX_IOC_ENCLAVE_ADD_PAGES, &argument);
                 }))) {
        return false;
      }
      done += argument.count / kPage;
    }
    for (std::size_t i = first; i < first + count; i++) {
      measurement_.eadd(layout_.image_at + i * kPage, secinfo_flags);
      measurement_.eextend_page(
          layout_.image_at + i * kPage,
          std::span<const std::byte, kPage>(reinterpret_cast<const std::byte*>(&pages_[i]), kPage));
    }
    return true;
  }

  bool init() {
    mrenclave_ = measurement_.finish();
    sgx::SigningInput input;
    input.mrenclave = mrenclave_;
    input.attributes = {.flags = layout_.attributes, .xfrm = supported_xfrm()};
    input.isvprodid = 5;
    input.isvsvn = 2;
    auto sigstruct = sgx::sign(input, key());
    sgx_enclave_init argument{.sigstruct = reinterpret_cast<std::uint64_t>(&*sigstruct)};
    return check("INIT",
                 retry([&] { return emulator::ioctl(fd_, SGX_IOC_ENCLAVE_INIT, &argument); }));
  }

  bool map() {
    const auto segment = [&](std::uint64_t offset, std::uint64_t size, int prot) {
      return emulator::mmap(reinterpret_cast<void*>(image() + offset), size, prot,
                            MAP_SHARED | MAP_FIXED, fd_, 0) != MAP_FAILED;
    };
    constexpr int kRw = PROT_READ | PROT_WRITE;
    return segment(0, 2 * kPage, kRw) && segment(0x2000, 4 * kPage, kRw) &&
           segment(0x6000, 2 * kPage, PROT_READ | PROT_EXEC) && segment(0x8000, 5 * kPage, kRw) &&
           segment(0x10000, 0x3e0000, kRw | PROT_EXEC);
  }

  bool check(const char* what, int result) {
    if (result != 0) ADD_FAILURE() << what << ": " << strerror(errno);
    return result == 0;
  }

  struct alignas(kPage) Page {
    std::byte bytes[kPage];
  };
  Layout layout_;
  bool ok_ = false;
  int fd_ = -1;
  void* mapped_ = nullptr;
  std::uint64_t mapped_size_ = 0;
  std::uint64_t base_ = 0;
  std::unique_ptr<Page[]> pages_;
  sgx::Measurement measurement_;
  sgx::Hash mrenclave_{};
  mutable int result_ = 0;
  bool expects_fault_ = false;
};

#define EXPECT_EXITED(run)                                            \
  EXPECT_EQ((run).function, static_cast<unsigned>(kEexit))            \
      << "vector " << (run).exception_vector << " error " << std::hex \
      << (run).exception_error_code << " at " << (run).exception_addr

constexpr std::uint64_t kPendingRw = flag::kReg | flag::kR | flag::kW | flag::kPending;
inline constexpr int kVectorUd = 6, kVectorGp = 13, kVectorPf = 14;
