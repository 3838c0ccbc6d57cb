// The ioctls of /dev/sgx_enclave: ENCLS by way of Linux's driver. Checks, errors and partial counts
// are the driver's (arch/x86/kernel/cpu/sgx/ioctl.c; Documentation/arch/x86/sgx.rst), what the
// leaves themselves check is the SDM's (volume 3D, 36.3). Each function returns 0 or a negative
// errno.
#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"
#include "sgx/sigstruct.h"

namespace emulator {
namespace {

namespace flag = sgx::secinfo_flags;

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
  void* regions = sparse(secs.size / kRegion + 1);
  if (epcm == MAP_FAILED || chunks == MAP_FAILED || regions == MAP_FAILED) return -ENOMEM;

  const Locked locked(enclave.lock);
  enclave.secs = secs;
  enclave.secs.mrenclave = {};
  enclave.secs.mrsigner = {};
  enclave.base = secs.baseaddr;
  enclave.size = secs.size;
  enclave.frame_size = secs.ssaframesize * static_cast<std::uint32_t>(kPageSize);
  enclave.epcm = static_cast<std::atomic<std::uint16_t>*>(epcm);
  enclave.chunks = static_cast<std::atomic<std::uint8_t>*>(chunks);
  enclave.regions = static_cast<std::atomic<std::uint8_t>*>(regions);
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

// A page stops being a TCS. A thread may still have the object cached, so it is kept, but no
// address finds it.
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
    enclave.mark_chunk(start + done, kChunkUsed);
    enclave.measurement.eadd(argument.offset + done, secinfo.flags);
    spend(options().cost.eadd);
    if (measured) {
      enclave.measurement.eextend_page(argument.offset + done,
                                       std::span<const std::byte, kPageSize>(page, kPageSize));
      spend(options().cost.eextend);
    }
  }
  argument.count = length;
  if (length != 0) enclave.added.add(start, start + length, entry.rights());
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
            // Hardware finds an illegal TCS at EACCEPT or EENTER. Here it is never made, and EENTER
            // refuses.
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

}  // namespace

bool injected(Enclave& enclave, std::uint32_t one_in) {
  static std::atomic<std::uint64_t> state{0};
  if (!options().strict) return false;
  std::uint64_t mine = options().seed + enclave.id + state.fetch_add(1) * 0x9e3779b97f4a7c15;
  if (next_random(mine) % one_in != 0) return false;
  if (emu_thread != nullptr) emu_thread->injected_count++;
  return true;
}

int enclave_ioctl(Enclave& enclave, unsigned long request, void* argument) {
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

}  // namespace emulator
