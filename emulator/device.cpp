// The device: open, mmap, munmap, mprotect, ioctl and close of /dev/sgx_enclave, with the errors, partial counts and checks
// of Linux's driver (arch/x86/kernel/cpu/sgx; Documentation/arch/x86/sgx.rst) and the ENCLS leaves behind its ioctls.
//
// Memory of an enclave is private anonymous memory at the enclave's own addresses. It is mapped when the device is mapped
// there first, and stays until the enclave dies, whatever the host unmaps or remaps: as EPC pages outlive their mappings.
// The enclave dies when its descriptor is closed and its last mapping gone; the object itself is kept, since threads may
// still name it.
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
#include "sgx/sigstruct.h"

namespace emulator {

extern int self_memory;

namespace {

namespace flag = sgx::secinfo_flags;

constexpr std::uint64_t kEagerLimit = 16u << 20;  // mappings up to this are opened at once
constexpr std::uint64_t kHugeFrom = 64u << 20;
constexpr std::uint64_t kChunk = 2u << 20;

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

std::uint64_t round_up(std::uint64_t value) { return (value + kPageSize - 1) & ~(kPageSize - 1); }

void changed_vmas(Enclave& enclave) {
  static std::atomic<std::uint64_t> generations{1};
  enclave.vma_generation.store(generations.fetch_add(1) + 1, std::memory_order_release);
}

// After a change of [start, end) that may take away from a TCS or its SSA frames: EENTER must look again.
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

// The driver's check of a mapping: no rights beyond those a present page was vetted for. Lock held.
bool may_map(Enclave& enclave, Address start, Address end, Rights rights) {
  if (!enclave.created) return true;
  if (enclave.initialized.load() && (start < enclave.base || end > enclave.end())) return false;
  start = std::max(start, enclave.base);
  end = std::min(end, enclave.end());
  for (Address chunk = start; chunk < end; chunk = (chunk & ~(kChunk - 1)) + kChunk) {
    if ((enclave.chunk(chunk).load(std::memory_order_relaxed) & kChunkUsed) == 0) continue;
    const Address next = std::min(end, (chunk & ~(kChunk - 1)) + kChunk);
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

// ---- ENCLS, by way of the ioctls. Each returns 0 or a negative errno. ----

bool secs_is_legal(const sgx::Secs& secs) {
  const auto zero = [](const auto& bytes) {
    return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
  };
  const std::uint64_t known = sgx::attribute::kDebug | sgx::attribute::kMode64Bit |
                              sgx::attribute::kProvisionKey | sgx::attribute::kEinitTokenKey |
                              sgx::attribute::kKss;
  const std::uint64_t frame = std::uint64_t{secs.ssaframesize} * kPageSize;
  const std::uint64_t misc = (secs.miscselect & sgx::miscselect::kExinfo) ? sizeof(sgx::Exinfo) : 0;
  return secs.size >= 2 * kPageSize && (secs.baseaddr & (secs.size - 1)) == 0 &&
         (secs.miscselect & ~sgx::miscselect::kExinfo) == 0 &&
         (secs.attributes.flags & ~known) == 0 &&
         (secs.attributes.flags & sgx::attribute::kMode64Bit) != 0 &&
         (secs.attributes.xfrm & sgx::xfrm::kLegacy) == sgx::xfrm::kLegacy &&
         (secs.attributes.xfrm & ~xstate().supported) == 0 &&
         xsave_area_size(secs.attributes.xfrm) + misc + sizeof(sgx::Gprsgx) <= frame &&
         secs.cet_attributes == 0 && secs.cet_leg_bitmap_offset == 0 && zero(secs.reserved1) &&
         zero(secs.reserved2) && zero(secs.reserved3) && zero(secs.reserved4);
}

int create(Enclave& enclave, const sgx_enclave_create& argument) {
  if (enclave.created) return -EINVAL;
  if (argument.src == 0) return -EFAULT;
  sgx::Secs secs;
  std::memcpy(&secs, at<void>(argument.src), sizeof secs);
  if (secs.size == 0 || (secs.size & (secs.size - 1)) != 0) return -EINVAL;
  if (!secs_is_legal(secs)) return -EIO;
  const auto sparse = [](std::uint64_t bytes) {
    return sys::mmap(nullptr, round_up(bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void* epcm = sparse(secs.size / kPageSize * sizeof(Epcm));
  void* chunks = sparse(secs.size / kChunk + 1);
  if (epcm == MAP_FAILED || chunks == MAP_FAILED) return -ENOMEM;

  const Locked locked(enclave.lock);
  enclave.secs = secs;
  enclave.secs.mrenclave = {};
  enclave.secs.mrsigner = {};
  enclave.base = secs.baseaddr;
  enclave.size = secs.size;
  enclave.frame_size = secs.ssaframesize * static_cast<std::uint32_t>(kPageSize);
  enclave.xsave_size = xsave_area_size(secs.attributes.xfrm);
  enclave.epcm = static_cast<std::atomic<std::uint16_t>*>(epcm);
  enclave.chunks = static_cast<std::atomic<std::uint8_t>*>(chunks);
  enclave.attributes_allowed =
      sgx::attribute::kDebug | sgx::attribute::kMode64Bit | sgx::attribute::kKss;
  enclave.measurement.ecreate(secs.ssaframesize, secs.size);
  enclave.created = true;
  return 0;
}

bool range_is_legal(const Enclave& enclave, std::uint64_t offset, std::uint64_t length) {
  return aligned(offset, kPageSize) && length != 0 && aligned(length, kPageSize) &&
         offset + length > offset && offset + length <= enclave.size;
}

bool secinfo_is_legal(const sgx::Secinfo& secinfo) {
  const std::uint64_t rights = secinfo.flags & flag::kPermissions;
  const std::uint64_t type = secinfo.flags & flag::kTypeMask;
  if (type != flag::kReg && type != flag::kTcs) return false;
  if ((rights & flag::kW) != 0 && (rights & flag::kR) == 0) return false;
  if (type == flag::kTcs && rights != 0) return false;
  if ((secinfo.flags & ~(flag::kPermissions | flag::kTypeMask)) != 0) return false;
  return std::ranges::all_of(secinfo.reserved, [](std::uint8_t b) { return b == 0; });
}

// A page stops being a TCS. A thread may still have the object cached, so it is kept, but no address finds it.
void retire_tcs(Enclave& enclave, Address address) {
  for (auto& tcs : enclave.tcss) {
    if (tcs->address != address) continue;
    tcs->validated.store(0);
    tcs->address = ~Address{0};
    enclave.retired.push_back(std::move(tcs));
    std::swap(tcs, enclave.tcss.back());
    enclave.tcss.pop_back();
    return;
  }
}

// From the contents of a TCS page. False if they are not legal.
bool add_tcs(Enclave& enclave, Address address, const sgx::Tcs& contents) {
  if ((contents.flags & ~(sgx::tcs_flags::kDbgOptIn)) != 0 || contents.cssa != 0 ||
      !aligned(contents.ossa, kPageSize) || !aligned(contents.ofsbase, kPageSize) ||
      !aligned(contents.ogsbase, kPageSize)) {
    return false;
  }
  retire_tcs(enclave, address);
  auto tcs = std::make_unique<Tcs>();
  tcs->address = address;
  tcs->enclave = &enclave;
  tcs->nssa = contents.nssa;
  tcs->ossa = enclave.base + contents.ossa;
  tcs->entry = enclave.base + contents.oentry;
  tcs->fsbase = enclave.base + contents.ofsbase;
  tcs->gsbase = enclave.base + contents.ogsbase;
  tcs->flags = contents.flags;
  tcs->set_cssa(0);
  enclave.tcss.push_back(std::move(tcs));
  return true;
}

// Copies pages in, behind closed page tables; or aside, where the device is not mapped. Lock held.
int fill(Enclave& enclave, Address to, Address from, std::uint64_t bytes) {
  const Vma* v = enclave.backed.find(to);
  if (v != nullptr && to + bytes <= v->end) {
    if (raw::mprotect(to, bytes, PROT_READ | PROT_WRITE) != 0) return -ENOMEM;
    std::memcpy(at<void>(to), at<void>(from), bytes);
    raw::mprotect(to, bytes, PROT_NONE);
    return 0;
  }
  void* aside =
      sys::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (aside == MAP_FAILED) return -ENOMEM;
  std::memcpy(aside, at<void>(from), bytes);
  enclave.stashes.push_back({to, to + bytes, reinterpret_cast<Address>(aside)});
  for (const Vma& mapped : std::vector(enclave.backed.all()))
    unstash(enclave, mapped.start, mapped.end);
  return 0;
}

bool injected(Enclave& enclave, std::uint32_t one_in) {
  static std::atomic<std::uint64_t> state{0};
  if (!options().strict) return false;
  std::uint64_t mine = options().seed + enclave.id + state.fetch_add(1) * 0x9e3779b97f4a7c15;
  if (next_random(mine) % one_in != 0) return false;
  if (emu_thread != nullptr) emu_thread->injected_count++;
  return true;
}

int add_pages(Enclave& enclave, sgx_enclave_add_pages& argument) {
  if (!enclave.created || enclave.initialized.load()) return -EINVAL;
  if (!aligned(argument.src, kPageSize)) return -EINVAL;
  if (!range_is_legal(enclave, argument.offset, argument.length)) return -EINVAL;
  if (argument.secinfo == 0 || argument.src == 0) return -EFAULT;
  sgx::Secinfo secinfo;
  std::memcpy(&secinfo, at<void>(argument.secinfo), sizeof secinfo);
  if (!secinfo_is_legal(secinfo)) return -EINVAL;
  const bool is_tcs = (secinfo.flags & flag::kTypeMask) == flag::kTcs;
  const bool measured = (argument.flags & SGX_PAGE_MEASURE) != 0;

  const Locked locked(enclave.lock);
  // How many pages this call adds: a signal may end it early, with success.
  std::uint64_t length = 0;
  int result = 0;
  for (; length < argument.length; length += kPageSize) {
    if (injected(enclave, 64)) {
      if (length == 0) result = -EINTR;
      break;
    }
    if (enclave.page(enclave.base + argument.offset + length).valid()) {
      result = -EBUSY;
      break;
    }
  }
  const Address start = enclave.base + argument.offset;
  if (length != 0) {
    if (const int error = fill(enclave, start, argument.src, length); error != 0) return error;
  }
  const Epcm entry = Epcm{}
                         .with_type(is_tcs ? sgx::PageType::kTcs : sgx::PageType::kReg)
                         .with_rights(secinfo.flags & flag::kPermissions)
                         .with_max(is_tcs ? kRead | kWrite : secinfo.flags & flag::kPermissions);
  for (std::uint64_t done = 0; done < length; done += kPageSize) {
    const auto* page = at<const std::byte>(argument.src + done);
    if (is_tcs && !add_tcs(enclave, start + done, *at<sgx::Tcs>(argument.src + done))) {
      argument.count = done;
      return -EIO;
    }
    enclave.entry(start + done).store(entry.bits);
    enclave.chunk(start + done).fetch_or(kChunkUsed);
    enclave.measurement.eadd(argument.offset + done, secinfo.flags);
    spend(options().cost.eadd);
    if (measured) {
      enclave.measurement.eextend_page(argument.offset + done,
                                       std::span<const std::byte, kPageSize>(page, kPageSize));
      spend(options().cost.eextend);
    }
  }
  argument.count = length;
  apply_rights(enclave, start, start + length, true);
  return result;
}

bool attributes_match(const sgx::Sigstruct& s, const sgx::Secs& secs) {
  const sgx::Attributes wanted = s.attributes, mask = s.attributemask;
  return (secs.attributes.flags & mask.flags) == (wanted.flags & mask.flags) &&
         (secs.attributes.xfrm & mask.xfrm) == (wanted.xfrm & mask.xfrm) &&
         (secs.miscselect & s.miscmask) == (s.miscselect & s.miscmask);
}

int init(Enclave& enclave, const sgx_enclave_init& argument) {
  if (!enclave.created || enclave.initialized.load()) return -EINVAL;
  if (argument.sigstruct == 0) return -EFAULT;
  sgx::Sigstruct sigstruct;
  std::memcpy(&sigstruct, at<void>(argument.sigstruct), sizeof sigstruct);
  if (sigstruct.vendor != 0 && sigstruct.vendor != 0x8086) return -EINVAL;
  if ((enclave.secs.attributes.flags & ~enclave.attributes_allowed) != 0) return -EACCES;
  if (injected(enclave, 4)) return -EINTR;

  const Locked locked(enclave.lock);
  if (sgx::verify(sigstruct) != sgx::Error::kSuccess ||
      !attributes_match(sigstruct, enclave.secs)) {
    return -EPERM;
  }
  sgx::Measurement measured = enclave.measurement;
  const sgx::Hash mrenclave = measured.finish();
  if (mrenclave != sigstruct.enclavehash) return -EPERM;
  enclave.sigstruct = sigstruct;
  enclave.secs.mrenclave = mrenclave;
  enclave.secs.mrsigner = sgx::mrsigner(sigstruct);
  enclave.secs.isvprodid = sigstruct.isvprodid;
  enclave.secs.isvsvn = sigstruct.isvsvn;
  enclave.secs.attributes.flags |= sgx::attribute::kInit;
  if (options().fast_path) patch_sites(enclave);
  enclave.initialized.store(true);
  return 0;
}

int provision(Enclave& enclave, const sgx_enclave_provision& argument) {
  if (::fcntl(static_cast<int>(argument.fd), F_GETFD) < 0) return -EINVAL;
  enclave.attributes_allowed |= sgx::attribute::kProvisionKey;
  return 0;
}

int ready_for_sgx2(const Enclave& enclave, std::uint64_t offset, std::uint64_t length) {
  if (!enclave.initialized.load()) return -EINVAL;
  return range_is_legal(enclave, offset, length) ? 0 : -EINVAL;
}

// Runs `change` for each page, under the lock; its error ends the loop. Sets `count`.
template <typename Change>
int for_each_page(Enclave& enclave, std::uint64_t offset, std::uint64_t length, __u64& count,
                  Change change) {
  const Address start = enclave.base + offset;
  const Locked locked(enclave.lock);
  int error = 0;
  std::uint64_t done = 0;
  for (; done < length && error == 0; done += kPageSize) {
    error = injected(enclave, 128)                ? -EAGAIN
            : !enclave.page(start + done).valid() ? -EFAULT
                                                  : change(start + done);
    if (error != 0) break;
    spend(options().cost.emodpr);
  }
  count = done;
  invalidate(enclave, start, start + done);
  if (done != 0) apply_rights(enclave, start, start + done, false);
  return error;
}

int restrict_permissions(Enclave& enclave, sgx_enclave_restrict_permissions& argument) {
  if (const int error = ready_for_sgx2(enclave, argument.offset, argument.length)) return error;
  if ((argument.permissions & ~flag::kPermissions) != 0 || (argument.permissions & flag::kR) == 0) {
    return -EINVAL;
  }
  if (argument.result != 0 || argument.count != 0) return -EINVAL;
  return for_each_page(
      enclave, argument.offset, argument.length, argument.count, [&](Address page) {
        for (;;) {
          const Epcm e = enclave.page(page);
          if (e.type() != sgx::PageType::kReg) return -EINVAL;
          if (e.pending() || e.modified()) {
            argument.result = static_cast<std::uint64_t>(sgx::Error::kPageNotModifiable);
            return -EFAULT;
          }
          const auto rights = e.rights() & static_cast<Rights>(argument.permissions);
          if (enclave.exchange(page, e, e.with_rights(rights).with_pr(true))) return 0;
        }
      });
}

// The page's contents, read behind closed page tables. Lock held.
void read_page(Enclave& enclave, Address page, sgx::Tcs& contents) {
  contents = {};
  if (enclave.backed.find(page) == nullptr) return;
  raw::mprotect(page, kPageSize, PROT_READ);
  std::memcpy(&contents, at<void>(page), sizeof contents);
  raw::mprotect(page, kPageSize, PROT_NONE);
  auto& entry = enclave.entry(page);
  entry.fetch_and(static_cast<std::uint16_t>(~(7u << Epcm::kOpened)));
}

int modify_types(Enclave& enclave, sgx_enclave_modify_types& argument) {
  if (const int error = ready_for_sgx2(enclave, argument.offset, argument.length)) return error;
  if ((argument.page_type & ~0xffull) != 0 || argument.result != 0 || argument.count != 0)
    return -EINVAL;
  const auto type = static_cast<sgx::PageType>(argument.page_type);
  if (type != sgx::PageType::kTcs && type != sgx::PageType::kTrim) return -EINVAL;
  return for_each_page(
      enclave, argument.offset, argument.length, argument.count, [&](Address page) {
        for (;;) {
          Epcm e = enclave.page(page);
          const bool trims = type == sgx::PageType::kTrim;
          if (e.type() != sgx::PageType::kReg && !(e.type() == sgx::PageType::kTcs && trims))
            return -EINVAL;
          Epcm wanted = e.with_type(type).with_rights(0).with_modified(true);
          if (type == sgx::PageType::kTcs) {
            if ((e.max() & (kRead | kWrite)) != (kRead | kWrite)) return -EPERM;
            wanted = wanted.with_max(kRead | kWrite);
          }
          if (e.pending() || e.modified()) {
            argument.result = static_cast<std::uint64_t>(sgx::Error::kPageNotModifiable);
            return -EFAULT;
          }
          if (!enclave.exchange(page, e, wanted)) continue;
          if (type == sgx::PageType::kTcs) {
            sgx::Tcs contents;
            read_page(enclave, page, contents);
            // Hardware finds an illegal TCS at EACCEPT or EENTER. Here it is never made, and EENTER refuses.
            add_tcs(enclave, page, contents);
          }
          return 0;
        }
      });
}

int remove_pages(Enclave& enclave, sgx_enclave_remove_pages& argument) {
  if (const int error = ready_for_sgx2(enclave, argument.offset, argument.length)) return error;
  if (argument.count != 0) return -EINVAL;
  const int error =
      for_each_page(enclave, argument.offset, argument.length, argument.count, [&](Address page) {
        const Epcm e = enclave.page(page);
        return e.type() == sgx::PageType::kTrim && !e.modified() ? 0 : -EPERM;
      });
  // Zero first, then gone: the next EAUG, which takes no lock, gives zeros.
  const Address start = enclave.base + argument.offset, end = start + argument.count;
  const Locked locked(enclave.lock);
  for (const Vma& v : enclave.backed.all()) {
    const Address low = std::max(start, v.start), high = std::min(end, v.end);
    if (low < high) sys::madvise(at<void>(low), high - low, MADV_DONTNEED);
  }
  for (Stash& s : enclave.stashes) {
    const Address low = std::max(start, s.start), high = std::min(end, s.end);
    if (low < high) std::memset(at<void>(s.contents + (low - s.start)), 0, high - low);
  }
  for (Address page = start; page < end; page += kPageSize) {
    retire_tcs(enclave, page);
    enclave.entry(page).store(0);
  }
  return error;
}

int dispatch(Enclave& enclave, unsigned long request, void* argument) {
  switch (request) {
    case SGX_IOC_ENCLAVE_CREATE:
      return create(enclave, *static_cast<sgx_enclave_create*>(argument));
    case SGX_IOC_ENCLAVE_ADD_PAGES:
      return add_pages(enclave, *static_cast<sgx_enclave_add_pages*>(argument));
    case SGX_IOC_ENCLAVE_INIT:
      return init(enclave, *static_cast<sgx_enclave_init*>(argument));
    case SGX_IOC_ENCLAVE_PROVISION:
      return provision(enclave, *static_cast<sgx_enclave_provision*>(argument));
    case SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS:
      return restrict_permissions(enclave,
                                  *static_cast<sgx_enclave_restrict_permissions*>(argument));
    case SGX_IOC_ENCLAVE_MODIFY_TYPES:
      return modify_types(enclave, *static_cast<sgx_enclave_modify_types*>(argument));
    case SGX_IOC_ENCLAVE_REMOVE_PAGES:
      return remove_pages(enclave, *static_cast<sgx_enclave_remove_pages*>(argument));
    default:
      return -ENOTTY;
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
  apply_rights(*enclave, start, end, end - start <= kEagerLimit);
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
                                              : dispatch(*enclave, request, argument);
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
