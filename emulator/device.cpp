// The device: open, mmap, munmap, mprotect, ioctl and close of /dev/sgx_enclave, with the errors,
// partial counts and checks of Linux's driver (arch/x86/kernel/cpu/sgx;
// Documentation/arch/x86/sgx.rst) and the ENCLS leaves behind its ioctls.
//
// Memory of an enclave is private anonymous memory at the enclave's own addresses. It is mapped
// when the device is mapped there first, and stays until the enclave dies, whatever the host unmaps
// or remaps: as EPC pages outlive their mappings. The enclave dies when its descriptor is closed
// and its last mapping gone; the object itself is kept, since threads may still name it.
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

namespace emulator {

extern int self_memory;

namespace {

constexpr std::uint64_t kEagerLimit = 16u << 20;  // mappings up to this are opened at once
constexpr std::uint64_t kHugeFrom = 64u << 20;

std::atomic<Enclave*> table[kMaxEnclaves];
std::mutex table_lock;  // changes of the table and of fds; host context only
const char* reason = "";

Enclave* enclave_of(int fd) {
  if (fd < 0) return nullptr;
  for (auto& slot : table) {
    Enclave* enclave = slot.load(std::memory_order_acquire);
    if (enclave != nullptr && enclave->fd == fd) return enclave;
  }
  return nullptr;
}

Enclave* backing_owner(Address start, Address end) {
  for (auto& slot : table) {
    Enclave* enclave = slot.load(std::memory_order_acquire);
    if (enclave == nullptr) continue;
    const Locked locked(enclave->lock);
    if (enclave->backed.overlaps(start, end)) return enclave;
  }
  return nullptr;
}

void changed_vmas(Enclave& enclave) {
  static std::atomic<std::uint64_t> generations{1};
  enclave.vma_generation.store(generations.fetch_add(1) + 1, std::memory_order_release);
}

// The driver's check of a mapping: no rights beyond those a present page was vetted for. Lock held.
bool may_map(Enclave& enclave, Address start, Address end, Rights rights) {
  if (!enclave.created) return true;
  if (enclave.initialized.load() && (start < enclave.base || end > enclave.end())) return false;
  start = std::max(start, enclave.base);
  end = std::min(end, enclave.end());
  Address next = start;
  for (Address chunk; (chunk = enclave.skip_regions(next, end)) < end;) {
    next = std::min(end, (chunk & ~(kChunk - 1)) + kChunk);
    if ((enclave.chunk(chunk) & kChunkUsed) == 0) continue;
    for (Address page = chunk; page < next; page += kPageSize) {
      const Epcm e = enclave.page(page);
      if (e.valid() && (rights & ~e.max()) != 0) return false;
    }
  }
  return true;
}

bool back(Enclave& enclave, Address start, Address end, int extra_flags) {
  void* got = sys::mmap(at<void>(start), end - start, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | extra_flags, -1, 0);
  if (got == MAP_FAILED) return false;
  if (got != at<void>(start)) {
    sys::munmap(got, end - start);
    errno = EEXIST;
    return false;
  }
  if (options().huge_pages && end - start >= kHugeFrom)
    sys::madvise(got, end - start, MADV_HUGEPAGE);
  enclave.backed.add(start, end, 0);
  return true;
}

// Maps what of [start, end) is not yet the enclave's.
bool back_gaps(Enclave& enclave, Address start, Address end, int extra_flags) {
  while (start < end) {
    if (const Vma* v = enclave.backed.find(start)) {
      start = v->end;
      continue;
    }
    Address gap_end = end;
    for (const Vma& v : enclave.backed.all()) {
      if (v.start > start) gap_end = std::min(gap_end, v.start);
    }
    if (!back(enclave, start, gap_end, extra_flags)) return false;
    unstash(enclave, start, gap_end);
    start = gap_end;
  }
  return true;
}

void* map_device(Enclave& enclave, void* address, std::size_t size, int prot, int flags) {
  const auto fail = [](int error) {
    errno = error;
    return MAP_FAILED;
  };
  if ((flags & MAP_TYPE) != MAP_SHARED && (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
    return fail(EINVAL);
  auto start = reinterpret_cast<Address>(address);
  const std::uint64_t bytes = round_up(size);
  const bool fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
  if (bytes == 0 || (fixed && !aligned(start, kPageSize))) return fail(EINVAL);
  const auto rights = static_cast<Rights>(prot) & kAllRights;

  const Locked locked(enclave.lock);
  if (!fixed) {
    void* got =
        sys::mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) return MAP_FAILED;
    start = reinterpret_cast<Address>(got);
    if (!may_map(enclave, start, start + bytes, rights)) {
      sys::munmap(got, bytes);
      return fail(EACCES);
    }
    enclave.backed.add(start, start + bytes, 0);
  } else {
    if (!may_map(enclave, start, start + bytes, rights)) return fail(EACCES);
    const bool replace = (flags & MAP_FIXED) != 0 && (flags & MAP_FIXED_NOREPLACE) == 0;
    if (!replace && enclave.vmas.overlaps(start, start + bytes)) return fail(EEXIST);
    if (!back_gaps(enclave, start, start + bytes, replace ? MAP_FIXED : MAP_FIXED_NOREPLACE)) {
      return MAP_FAILED;
    }
  }
  enclave.vmas.add(start, start + bytes, rights);
  changed_vmas(enclave);
  invalidate(enclave, start, start + bytes);
  apply_rights(enclave, start, start + bytes, bytes <= kEagerLimit);
  return at<void>(start);
}

void destroy(Enclave& enclave) {
  for (auto& slot : table) {
    if (slot.load() == &enclave) slot.store(nullptr);
  }
  const Locked locked(enclave.lock);
  for (const auto& tcs : enclave.tcss) {
    tcs->validated.store(0);
    tcs->address = ~Address{0};
  }
  for (const Vma& v : enclave.backed.all()) sys::munmap(at<void>(v.start), v.end - v.start);
  for (const Stash& s : enclave.stashes) sys::munmap(at<void>(s.contents), s.end - s.start);
  enclave.stashes.clear();
  if (enclave.epcm != nullptr) {
    sys::munmap(enclave.epcm, round_up(enclave.size / kPageSize * sizeof(Epcm)));
    sys::munmap(enclave.chunks, round_up(enclave.size / kChunk + 1));
    sys::munmap(enclave.regions, round_up(enclave.size / kRegion + 1));
  }
  if (enclave.stubs.size != 0) sys::munmap(at<void>(enclave.stubs.start), enclave.stubs.size);
  enclave.backed = {};
  enclave.stubs = {};
}

void destroy_if_unused(Enclave& enclave) {
  if (enclave.fd == -1 && enclave.vmas.empty()) destroy(enclave);
}

// Takes [start, end) out of the enclave's mappings. Lock held.
void unmap_enclave(Enclave& enclave, Address start, Address end) {
  enclave.vmas.remove(start, end);
  changed_vmas(enclave);
  invalidate(enclave, start, end);
  const bool keeps = enclave.created;
  apply_rights(enclave, start, end, false);
  std::vector<Vma> gone;
  for (const Vma& v : enclave.backed.all()) {
    const Address low = std::max(v.start, start), high = std::min(v.end, end);
    if (low >= high) continue;
    if (!keeps) {
      gone.push_back({low, high, 0});
      continue;
    }
    if (low < enclave.base) gone.push_back({low, std::min(high, enclave.base), 0});
    if (high > enclave.end()) gone.push_back({std::max(low, enclave.end()), high, 0});
  }
  for (const Vma& v : gone) {
    sys::munmap(at<void>(v.start), v.end - v.start);
    enclave.backed.remove(v.start, v.end);
  }
}

bool machine_is_fit() {
  if ((xstate().supported & sgx::xfrm::kLegacy) != sgx::xfrm::kLegacy) {
    reason = "the processor has no XSAVE";
    return false;
  }
  if ((::getauxval(AT_HWCAP2) & 2) == 0) {
    reason =
        "the kernel does not allow FSGSBASE (Linux 5.9 or newer on a processor of 2013 or later)";
    return false;
  }
  if (!prepare_threads()) {
    reason = "no memory for thread blocks";
    return false;
  }
  if (!install_handlers()) {
    reason = "signal handlers cannot be set";
    return false;
  }
  if (self_memory < 0) self_memory = sys::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (self_memory < 0) {
    reason = "/proc/self/mem cannot be opened";
    return false;
  }
  return true;
}

}  // namespace

Enclave* enclave_at(Address address) {
  for (auto& slot : table) {
    Enclave* enclave = slot.load(std::memory_order_acquire);
    if (enclave != nullptr && enclave->created && enclave->contains(address)) return enclave;
  }
  return nullptr;
}

// After a change of [start, end) that may take away from a TCS or its SSA frames: EENTER must look
// again.
void invalidate(Enclave& enclave, Address start, Address end) {
  const auto meets = [&](Address low, std::uint64_t bytes) {
    return low < end && start < low + bytes;
  };
  for (const auto& tcs : enclave.tcss) {
    if (meets(tcs->address, kPageSize) || meets(tcs->ossa, tcs->nssa * enclave.frame_size)) {
      tcs->validated.store(0);
    }
  }
}

// Moves what waits for [start, end) into place: the range has just been mapped, closed.
void unstash(Enclave& enclave, Address start, Address end) {
  for (auto stash = enclave.stashes.begin(); stash != enclave.stashes.end();) {
    const Address low = std::max(start, stash->start), high = std::min(end, stash->end);
    if (low >= high) {
      ++stash;
      continue;
    }
    raw::mprotect(low, high - low, PROT_READ | PROT_WRITE);
    std::memcpy(at<void>(low), at<void>(stash->contents + (low - stash->start)), high - low);
    raw::mprotect(low, high - low, PROT_NONE);
    if (low != stash->start || high != stash->end) {  // the rest goes on waiting
      ++stash;
      continue;
    }
    sys::munmap(at<void>(stash->contents), stash->end - stash->start);
    stash = enclave.stashes.erase(stash);
  }
}

const char* unavailable_reason() { return reason; }

int open_device() {
  if (!machine_is_fit()) {
    errno = ENODEV;
    return -1;
  }
  const int fd = ::memfd_create("sgx_enclave", MFD_CLOEXEC);
  if (fd < 0) return -1;
  freeze_options();
  const std::lock_guard guard(table_lock);
  static std::uint64_t ids = 0;
  for (auto& slot : table) {
    if (slot.load() != nullptr) continue;
    auto* enclave = new Enclave;
    enclave->fd = fd;
    enclave->id = ++ids;
    changed_vmas(*enclave);
    slot.store(enclave, std::memory_order_release);
    return fd;
  }
  sys::close(fd);
  errno = ENFILE;
  return -1;
}

bool is_device(int fd) { return enclave_of(fd) != nullptr; }

bool in_elrange(const void* address, std::size_t size) {
  const auto start = reinterpret_cast<Address>(address);
  for (auto& slot : table) {
    const Enclave* enclave = slot.load(std::memory_order_acquire);
    if (enclave == nullptr || !enclave->created) continue;
    if (start < enclave->end() && (start >= enclave->base || enclave->base - start < size))
      return true;
  }
  return false;
}

void* mmap(void* address, std::size_t size, int prot, int flags, int fd, off_t offset) {
  if (Enclave* enclave = enclave_of(fd)) return map_device(*enclave, address, size, prot, flags);
  if ((flags & MAP_FIXED) != 0 && (flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE) {
    // Ordinary memory over an enclave's mapping: the kernel would unmap first.
    const auto start = reinterpret_cast<Address>(address);
    const Address end = start + round_up(size);
    if (Enclave* under = backing_owner(start, end)) {
      const Locked locked(under->lock);
      under->vmas.remove(start, end);
      under->backed.remove(start, end);
      changed_vmas(*under);
      invalidate(*under, start, end);
    }
  }
  return sys::mmap(address, size, prot, flags, fd, offset);
}

int munmap(void* address, std::size_t size) {
  const auto start = reinterpret_cast<Address>(address);
  const Address end = start + round_up(size);
  Enclave* enclave = backing_owner(start, end);
  if (enclave == nullptr) return sys::munmap(address, size);
  // What is not the enclave's goes to the kernel.
  std::vector<Vma> others;
  {
    const Locked locked(enclave->lock);
    for (Address at_now = start; at_now < end;) {
      if (const Vma* v = enclave->backed.find(at_now)) {
        at_now = v->end;
        continue;
      }
      Address next = end;
      for (const Vma& v : enclave->backed.all()) {
        if (v.start > at_now) next = std::min(next, v.start);
      }
      others.push_back({at_now, next, 0});
      at_now = next;
    }
    unmap_enclave(*enclave, start, end);
  }
  for (const Vma& v : others) emulator::munmap(at<void>(v.start), v.end - v.start);
  const std::lock_guard guard(table_lock);
  destroy_if_unused(*enclave);
  return 0;
}

int mprotect(void* address, std::size_t size, int prot) {
  const auto start = reinterpret_cast<Address>(address);
  const Address end = start + round_up(size);
  Enclave* enclave = size == 0 ? nullptr : backing_owner(start, end);
  if (enclave == nullptr) return sys::mprotect(address, size, prot);
  const auto rights = static_cast<Rights>(prot) & kAllRights;
  const auto fail = [](int error) {
    errno = error;
    return -1;
  };
  if (!aligned(start, kPageSize)) return fail(EINVAL);
  const Locked locked(enclave->lock);
  for (Address at_now = start; at_now < end;) {
    const Vma* v = enclave->vmas.find(at_now);
    if (v == nullptr) return fail(ENOMEM);
    at_now = v->end;
  }
  if (!may_map(*enclave, start, end, rights)) return fail(EACCES);
  enclave->vmas.add(start, end, rights);
  changed_vmas(*enclave);
  invalidate(*enclave, start, end);
  apply_rights(*enclave, start, end, end - start <= kEagerLimit && !injected(*enclave, 4));
  return 0;
}

int ioctl(int fd, unsigned long request, void* argument) {
  Enclave* enclave = enclave_of(fd);
  if (enclave == nullptr) return sys::ioctl(fd, request, argument);
  if (enclave->in_ioctl.exchange(true)) {
    errno = EBUSY;
    return -1;
  }
  const int result = argument == nullptr      ? -EFAULT
                     : injected(*enclave, 64) ? -EBUSY
                                              : enclave_ioctl(*enclave, request, argument);
  enclave->in_ioctl.store(false);
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

int close(int fd) {
  if (Enclave* enclave = enclave_of(fd)) {
    const std::lock_guard guard(table_lock);
    enclave->fd = -1;
    destroy_if_unused(*enclave);
  }
  return sys::close(fd);
}

}  // namespace emulator
