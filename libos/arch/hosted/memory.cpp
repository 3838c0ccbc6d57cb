// EPC memory for hosted tests: one big reservation of the host process without access, in which committing is an
// mprotect. Keeps its own idea of every page and aborts when libos breaks the contract of arch/memory.h: committing a
// committed page, extending or giving back one that is not, copying from or to what may not be accessed. The effective
// rights of a page are what the enclave's would be, so tests can see them by accessing it.
#include "libos/arch/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <span>
#include <vector>

#include "libos/arch/hosted/memory.h"

namespace occlum {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kUserSize = uint64_t{128} << 30;
constexpr uint64_t kKernelSize = uint64_t{16} << 30;

struct HostedPage {
  bool committed = false;
  uint8_t epcm = 0;
  uint8_t host = 7;
};

[[noreturn]] void misuse(const char* what, uint64_t address) {
  std::fprintf(stderr, "hosted memory: %s at %lx\n", what, static_cast<unsigned long>(address));
  std::abort();
}

class Machine {
 public:
  Machine() {
    void* memory = mmap(nullptr, kUserSize + kKernelSize + (uint64_t{1} << 30), PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) misuse("no addresses", 0);
    constexpr uint64_t kAlign = uint64_t{1} << 30;
    start_ = (reinterpret_cast<uint64_t>(memory) + kAlign - 1) & ~(kAlign - 1);
    table_.resize((kUserSize + kKernelSize) / kChunk);
  }

  uint64_t start() const { return start_; }

  // The page's record; made on first use.
  HostedPage& page(uint64_t address) {
    const uint64_t offset = address - start_;
    if (offset >= kUserSize + kKernelSize || address % kPage != 0) misuse("bad address", address);
    std::vector<HostedPage>& chunk = table_[offset / kChunk];
    if (chunk.empty()) chunk.resize(kChunk / kPage);
    return chunk[offset % kChunk / kPage];
  }

  void apply(uint64_t address) {
    const HostedPage& p = page(address);
    const int rights = p.committed ? p.epcm & p.host : 0;
    if (mprotect(reinterpret_cast<void*>(address), kPage, rights & ~PROT_EXEC) != 0) {
      misuse("mprotect failed", address);
    }
  }

  std::mutex mutex;
  HostedMemoryCounters counters;
  uint64_t fail_after = UINT64_MAX;  // commits that still succeed

 private:
  static constexpr uint64_t kChunk = 2 * 1024 * 1024;
  uint64_t start_;
  std::vector<std::vector<HostedPage>> table_;
};

Machine& machine() {
  static Machine* the = new Machine;
  return *the;
}

bool may_commit(Machine& m, uint64_t count) {
  if (m.fail_after == UINT64_MAX) return true;
  if (m.fail_after < count) return false;
  m.fail_after -= count;
  return true;
}

}  // namespace

AddressRange user_range() {
  const uint64_t start = machine().start();
  return {start + 64 * 1024, start + kUserSize};
}

AddressRange kernel_dynamic_range() {
  const uint64_t start = machine().start() + kUserSize;
  return {start, start + kKernelSize};
}

Result<void> commit_pages(uint64_t address, uint64_t count) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (!may_commit(m, count)) return Errno::kNoMem;
  m.counters.commit_calls += 1;
  for (uint64_t at = address; at < address + count * kPage; at += kPage) {
    HostedPage& page = m.page(at);
    if (page.committed) misuse("EACCEPT of a committed page", at);
    if ((page.host & 3) != 3) misuse("EACCEPT without host rights", at);
    page.committed = true;
    page.epcm = 3;
  }
  // In one go where it is alike, which it nearly always is.
  bool same = true;
  const uint8_t host = m.page(address).host;
  for (uint64_t at = address; at < address + count * kPage; at += kPage)
    same &= m.page(at).host == host;
  if (same) {
    if (mprotect(reinterpret_cast<void*>(address), count * kPage, PROT_READ | PROT_WRITE) != 0) {
      misuse("mprotect failed", address);
    }
  } else {
    for (uint64_t at = address; at < address + count * kPage; at += kPage) m.apply(at);
  }
  return {};
}

Result<void> commit_page_copy(uint64_t address, uint64_t from, Prot prot) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  if (!may_commit(m, 1)) return Errno::kNoMem;
  m.counters.commit_copies += 1;
  HostedPage& page = m.page(address);
  if (page.committed) misuse("EACCEPTCOPY to a committed page", address);
  if ((page.host & 2) == 0) misuse("EACCEPTCOPY without host rights", address);
  if (!has(prot, Prot::kRead)) misuse("EACCEPTCOPY without read permission", address);
  page.committed = true;
  page.epcm = 3;
  m.apply(address);
  std::memcpy(reinterpret_cast<void*>(address), reinterpret_cast<const void*>(from), kPage);
  page.epcm = static_cast<uint8_t>(prot);
  m.apply(address);
  return {};
}

Result<void> restrict_page_rights(uint64_t address, uint64_t count, Prot prot) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  for (uint64_t at = address; at < address + count * kPage; at += kPage) {
    HostedPage& page = m.page(at);
    if (!page.committed) misuse("EMODPR of an uncommitted page", at);
    page.epcm &= static_cast<uint8_t>(prot);
    if (page.epcm != static_cast<uint8_t>(prot))
      misuse("EACCEPT of other rights than the page has", at);
    m.apply(at);
  }
  return {};
}

Result<void> extend_page_rights(uint64_t address, uint64_t count, Prot prot) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  m.counters.extend_calls += 1;
  for (uint64_t at = address; at < address + count * kPage; at += kPage) {
    HostedPage& page = m.page(at);
    if (!page.committed) misuse("EMODPE of an uncommitted page", at);
    if ((page.host & 1) == 0) misuse("EMODPE without host rights", at);
    page.epcm |= static_cast<uint8_t>(prot);
    if ((page.epcm & 3) == 2) misuse("EMODPE to writable and not readable", at);
    m.apply(at);
  }
  return {};
}

Result<void> set_host_protection(uint64_t address, uint64_t length, Prot prot) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  m.counters.host_calls += 1;
  for (uint64_t at = address; at < address + length; at += kPage) {
    m.page(at).host = static_cast<uint8_t>(prot);
    m.apply(at);
  }
  return {};
}

Result<void> decommit_pages(uint64_t address, uint64_t count) {
  Machine& m = machine();
  const std::lock_guard guard(m.mutex);
  m.counters.decommit_calls += 1;
  for (uint64_t at = address; at < address + count * kPage; at += kPage) {
    HostedPage& page = m.page(at);
    if (!page.committed) misuse("removal of an uncommitted page", at);
    page.committed = false;
    page.epcm = 0;
    page.host = 7;
    m.apply(at);
  }
  madvise(reinterpret_cast<void*>(address), count * kPage, MADV_DONTNEED);
  return {};
}

HostedMemoryCounters hosted_memory_counters() {
  const std::lock_guard guard(machine().mutex);
  return machine().counters;
}

void fail_commits_after(uint64_t pages) {
  const std::lock_guard guard(machine().mutex);
  machine().fail_after = pages;
}

}  // namespace occlum
