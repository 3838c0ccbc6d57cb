// The fast path's other half: after EINIT, ENCLU sites of the form `0f 01 d7 0f 1f 00` in
// executable measured pages become `jmp rel32; nop` to a stub each, placed outside ELRANGE within
// reach. Only the emulator does this, after the measurement; MRENCLAVE is that of the unpatched
// bytes.
//
// A stub is a copy of emu_stub (fast.S) with its literals filled in. It holds no state. Other sites
// trap, and so do those in pages where the device was not mapped at EINIT.
#include <cstring>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

namespace emulator {
namespace {

constexpr std::uint8_t kSiteBytes[kSiteSize] = {0x0f, 0x01, 0xd7, 0x0f, 0x1f, 0x00};
constexpr std::uint64_t kReach =
    1u << 30;  // of a stub region from ELRANGE's ends, so that rel32 has room
constexpr std::uint64_t kStep = 1u << 16;

enum Literal { kEexit, kLeaf, kSlots, kSite };

Address literal(Address stub, Literal which) {
  return stub + static_cast<Address>(emu_stub_literals - emu_stub) +
         8 * static_cast<Address>(which);
}

bool fits_rel32(Address from, Address to) {
  const auto distance = static_cast<std::int64_t>(to - from);
  return distance == static_cast<std::int32_t>(distance);
}

// Calls `visit(start, end)` for each run of executable pages, readable and writable meanwhile.
template <typename Visit>
void for_each_executable_run(Enclave& enclave, Visit visit) {
  const auto executable = [&](Address page) {
    const Epcm e = enclave.page(page);
    return e.usable() && (e.rights() & kExecute) != 0 && enclave.backed.find(page) != nullptr;
  };
  for (const Vma& added : enclave.added.all()) {
    for (Address page = added.start; page < added.end;) {
      if (!executable(page)) {
        page += kPageSize;
        continue;
      }
      Address end = page + kPageSize;
      while (end < added.end && executable(end)) end += kPageSize;
      raw::mprotect(page, end - page, PROT_READ | PROT_WRITE);
      visit(page, end);
      for (Address p = page; p < end;) {  // back to what was open, in runs
        const Rights rights = enclave.page(p).opened();
        Address q = p;
        while (q < end && enclave.page(q).opened() == rights) q += kPageSize;
        raw::mprotect(p, q - p, static_cast<int>(rights));
        p = q;
      }
      page = end;
    }
  }
}

Address allocate_stubs(Enclave& enclave, std::uint64_t size) {
  const auto attempt = [&](Address where) {
    const void* got = sys::mmap(at<void>(where), size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return got == at<void>(where);
  };
  for (std::uint64_t away = 0; away < kReach; away += kStep) {
    const Address above = enclave.end() + away;
    if (attempt(above)) return above;
    const std::uint64_t below = away + size;
    if (enclave.base > below + kStep && attempt((enclave.base - below) & ~(kStep - 1))) {
      return (enclave.base - below) & ~(kStep - 1);
    }
  }
  return 0;
}

void make_stub(Address stub, Address site) {
  std::memcpy(at<void>(stub), emu_stub, static_cast<std::size_t>(emu_stub_end - emu_stub));
  *at<Address>(literal(stub, kEexit)) = reinterpret_cast<Address>(emu_eexit_begin);
  *at<Address>(literal(stub, kLeaf)) = reinterpret_cast<Address>(emu_leaf_begin);
  *at<Address>(literal(stub, kSlots)) = emu_slots;
  *at<Address>(literal(stub, kSite)) = site;
  const Address jump = stub + static_cast<Address>(emu_stub_jump - emu_stub);
  const auto distance = static_cast<std::int32_t>(site + kSiteSize - (jump + 5));
  std::memcpy(at<void>(jump + 1), &distance, sizeof distance);
}

}  // namespace

Address stub_of(const Enclave& enclave, Address rip) {
  if (rip - enclave.stubs.start >= enclave.stubs.size) return 0;
  return rip & ~Address{STUB_SIZE - 1};
}

Address site_of_stub(Address stub) { return *at<Address>(literal(stub, kSite)); }

// With the enclave's lock held, before it is initialized.
void patch_sites(Enclave& enclave) {
  if (static_cast<std::size_t>(emu_stub_end - emu_stub) > STUB_SIZE)
    die("the stub has outgrown STUB_SIZE");
  std::vector<Address> sites;
  for_each_executable_run(enclave, [&](Address start, Address end) {
    while (start < end) {
      const void* hit = memmem(at<void>(start), end - start, kSiteBytes, sizeof kSiteBytes);
      if (hit == nullptr) break;
      sites.push_back(reinterpret_cast<Address>(hit));
      start = sites.back() + kSiteSize;
    }
  });
  if (sites.empty()) return;
  const std::uint64_t size = (sites.size() * STUB_SIZE + kPageSize - 1) & ~(kPageSize - 1);
  const Address region = allocate_stubs(enclave, size);
  if (region == 0) return;  // the sites trap
  Address stub = region;
  for (const Address site : sites) {
    make_stub(stub, site);
    stub += STUB_SIZE;
  }
  raw::mprotect(region, size, PROT_READ | PROT_EXEC);
  enclave.stubs = {region, size};

  std::size_t next = 0;
  for_each_executable_run(enclave, [&](Address, Address end) {
    for (; next < sites.size() && sites[next] < end; next++) {
      const Address site = sites[next], to = region + next * STUB_SIZE;
      if (!fits_rel32(site + 5, to)) continue;
      const auto distance = static_cast<std::int32_t>(to - (site + 5));
      *at<std::uint8_t>(site) = 0xe9;
      std::memcpy(at<void>(site + 1), &distance, sizeof distance);
      *at<std::uint8_t>(site + 5) = 0x90;
    }
  });
}

}  // namespace emulator
