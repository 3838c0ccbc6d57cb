// Enclave memory: the VMAs of the device, the EPCM, and the host's page tables behind them.
//
// The rule is: real rights = VMA rights AND EPCM rights, and none before a page is valid and
// accepted. It is kept lazily in the granting direction: a leaf or an ioctl that grants changes
// only the EPCM, and the first access that the host's page tables refuse comes to resolve(), which
// opens the largest run of like pages around it within 2 MiB by one mprotect. The enclave sees
// nothing of it, as it sees nothing of a page-table fill. In the taking direction it is kept at
// once, by apply_rights(). `opened` in each EPCM entry says what the page tables grant now.
//
// All changes of real rights happen under the enclave's lock. EPCM entries change under it too,
// except for the leaves, which use compare-and-exchange.
#include <sys/mman.h>

#include <algorithm>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

namespace emulator {
namespace {

// The rights that software in the enclave has on the page, given its VMA.
Rights allowed_rights(Epcm page, Rights vma) { return page.usable() ? page.rights() & vma : 0; }

int protection(Rights rights) { return static_cast<int>(rights); }

void set_real(Enclave& enclave, Address start, Address end, Rights rights) {
  if (raw::mprotect(start, end - start, protection(rights)) != 0) {
    die("cannot change the protection of enclave memory (vm.max_map_count?) at", start, end);
  }
  for (Address page = start; page < end; page += kPageSize) {
    auto& entry = enclave.entry(page);
    Epcm old{entry.load(std::memory_order_relaxed)};
    while (!entry.compare_exchange_weak(old.bits, old.with_opened(rights).bits)) {
    }
  }
}

std::uint32_t fault_error(Rights access, std::uint32_t extra) {
  std::uint32_t error = sgx::pf_error::kUser | extra;
  if (access & kWrite) error |= sgx::pf_error::kWrite;
  if (access & kExecute) error |= sgx::pf_error::kFetch;
  return error;
}

// Opens the run of pages around `address`, all in [low, high), that want the same rights and have
// not got them.
void open_run(Enclave& enclave, Address address, Rights want, const Vma& vma) {
  const Address low = std::max({address & ~(kChunk - 1), vma.start, enclave.base});
  const Address high = std::min({(address & ~(kChunk - 1)) + kChunk, vma.end, enclave.end()});
  const auto like = [&](Address page) {
    const Epcm e = enclave.page(page);
    return allowed_rights(e, vma.rights) == want && e.opened() != want;
  };
  Address start = page_of(address), end = start + kPageSize;
  while (start > low && like(start - kPageSize)) start -= kPageSize;
  while (end < high && like(end)) end += kPageSize;
  set_real(enclave, start, end, want);
  enclave.mark_chunk(address, kChunkOpened);
}

}  // namespace

void Lock::lock() {
  while (word_.exchange(1, std::memory_order_acquire) != 0) {
    for (int spins = 0; word_.load(std::memory_order_relaxed) != 0; spins++) {
      if (spins < 100) {
        __builtin_ia32_pause();
      } else {
        raw::syscall(SYS_sched_yield);
      }
    }
  }
}

const Vma* Ranges::find(Address address) const {
  const auto after = std::ranges::upper_bound(list_, address, {}, &Vma::start);
  if (after == list_.begin()) return nullptr;
  const Vma& candidate = *(after - 1);
  return address < candidate.end ? &candidate : nullptr;
}

bool Ranges::overlaps(Address start, Address end) const {
  const auto first = std::ranges::upper_bound(list_, start, {}, &Vma::end);
  return first != list_.end() && first->start < end;
}

void Ranges::remove(Address start, Address end) {
  auto first =
      std::ranges::upper_bound(list_, start, {}, &Vma::end);  // the first that ends after `start`
  if (first == list_.end() || first->start >= end) return;
  if (first->start < start) {
    const Vma head{first->start, start, first->rights};
    first->start = start;
    first = list_.insert(first, head) + 1;
  }
  auto last = first;
  while (last != list_.end() && last->end <= end) ++last;
  if (last != list_.end() && last->start < end) last->start = end;
  list_.erase(first, last);
}

void Ranges::add(Address start, Address end, Rights rights) {
  remove(start, end);
  const auto place = std::ranges::lower_bound(list_, start, {}, &Vma::start);
  auto here = list_.insert(place, {start, end, rights});
  const auto joins = [](const Vma& a, const Vma& b) {
    return a.end == b.start && a.rights == b.rights;
  };
  if (const auto next = here + 1; next != list_.end() && joins(*here, *next)) {
    here->end = next->end;
    list_.erase(next);
  }
  if (here != list_.begin() && joins(*(here - 1), *here)) {
    (here - 1)->end = here->end;
    list_.erase(here);
  }
}

// Of two processors that touch an absent page at once, one is second. The driver sends that one SIGBUS (before Linux
// 6.11; since then it goes on), which the vDSO reports as the #PF. Strict mode does, and pretends now and then that
// there was another processor.
Augmented augment(Enclave& enclave, Address address, ThreadBlock* thread) {
  if (!enclave.initialized.load(std::memory_order_relaxed)) return Augmented::kRefused;
  const bool first = enclave.exchange(address, Epcm{}, kAugmented);
  if (first) {
    enclave.mark_chunk(address, kChunkUsed);
    if (thread != nullptr) thread->eaug_count++;
    spend(options().cost.eaug);
  }
  if (thread == nullptr || (first ? !inject(*thread, 8) : !options().strict))
    return Augmented::kDone;
  thread->race_count++;
  return Augmented::kLost;
}

Access resolve(Enclave& enclave, Address address, Rights access, ThreadBlock* thread) {
  const Locked locked(enclave.lock);
  const Vma* vma = enclave.vmas.find(address);
  Epcm page = enclave.page(address);
  if (vma == nullptr || (access & ~vma->rights) != 0) {
    return {false,
            fault_error(access, vma != nullptr && page.valid() ? sgx::pf_error::kPresent : 0)};
  }
  if (!page.valid()) {
    if (augment(enclave, address, thread) != Augmented::kDone)
      return {false, fault_error(access, 0)};
    page = enclave.page(address);
  }
  // As the driver: a mapping with more rights than the page was vetted for gets SIGBUS.
  if ((vma->rights & ~page.max()) != 0) return {false, fault_error(access, 0)};
  const Rights want = allowed_rights(page, vma->rights);
  if ((access & ~want) != 0) {
    return {false, fault_error(access, sgx::pf_error::kPresent | sgx::pf_error::kSgx)};
  }
  if (page.opened() != want) {
    open_run(enclave, address, want, *vma);
    if (thread != nullptr) thread->open_count++;
  }
  return {true, 0};
}

bool ensure(Enclave& enclave, Address address, std::uint64_t size, Rights access,
            ThreadBlock* thread, Access& denied) {
  for (Address page = page_of(address); page < address + size; page += kPageSize) {
    if (!enclave.contains(page)) {
      denied = {false, fault_error(access, 0)};
      return false;
    }
    if ((access & ~enclave.page(page).opened()) == 0) continue;
    denied = resolve(enclave, page, access, thread);
    if (!denied.allowed) return false;
  }
  return true;
}

void apply_rights(Enclave& enclave, Address start, Address end, bool eager) {
  if (enclave.epcm == nullptr) return;
  start = std::max(start, enclave.base);
  end = std::min(end, enclave.end());
  Address run_start = 0;
  Rights run_rights = 0;
  bool in_run = false;
  const Vma* vma = nullptr;  // the last one met
  const auto flush = [&](Address upto) {
    if (in_run) set_real(enclave, run_start, upto, run_rights);
    in_run = false;
  };
  for (Address chunk = start; chunk < end;) {
    if (const Address used = enclave.skip_regions(chunk, end); used != chunk) {
      flush(chunk);
      chunk = used;
      continue;
    }
    const Address next = std::min(end, (chunk & ~(kChunk - 1)) + kChunk);
    const auto state = enclave.chunk(chunk);
    if ((state & kChunkOpened) == 0 && !(eager && (state & kChunkUsed))) {
      flush(chunk);
      chunk = next;
      continue;
    }
    if (eager) enclave.mark_chunk(chunk, kChunkOpened);
    for (Address page = chunk; page < next; page += kPageSize) {
      const Epcm e = enclave.page(page);
      if (vma == nullptr || page < vma->start || page >= vma->end) vma = enclave.vmas.find(page);
      const Rights allowed = vma == nullptr ? 0 : allowed_rights(e, vma->rights);
      const Rights want = eager ? allowed : allowed & e.opened();
      if (want == e.opened()) {
        flush(page);
      } else if (!in_run || want != run_rights) {
        flush(page);
        in_run = true;
        run_start = page;
        run_rights = want;
      }
    }
    chunk = next;
  }
  flush(end);
}

}  // namespace emulator
