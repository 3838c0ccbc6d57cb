// The system as a whole (uname(2), sysinfo(2), getrandom(2), sethostname(2), syslog(2), ...).
#include <algorithm>
#include <array>

#include "libos/fs/proc/load.h"
#include "libos/lib/memory.h"
#include "libos/lib/random.h"
#include "libos/mm/stats.h"
#include "libos/process/personality.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/uts.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

UtsName::Field field_of(std::string_view text) {
  UtsName::Field field = {};
  copy_text(field, text.substr(0, field.size() - 1));
  return field;
}

}  // namespace

// uname(2).
Result<long> sys_uname(Thread& self, UserOut<UtsName> name) {
  const String host = TRY(host_name());
  const String domain = TRY(domain_name());
  const bool is_old = (self.personality & kUname26) != 0;
  TRY(name.write(UtsName{.sysname = field_of(kSystemName),
                         .nodename = field_of(host.view()),
                         .release = field_of(is_old ? kOldKernelRelease : kKernelRelease),
                         .version = field_of(kKernelVersion),
                         .machine = field_of(is_linux32(self.personality) ? kMachine32 : kMachine),
                         .domainname = field_of(domain.view())}));
  return 0;
}

namespace {

Result<String> read_name(Thread& self, UserAddress name, int length) {
  if (!self.user().has(kCapSysAdmin)) return Errno::kPerm;
  if (length < 0 || static_cast<size_t>(length) > kLongestHostName) return Errno::kInval;
  std::array<std::byte, kLongestHostName> bytes;
  const std::span<std::byte> given = std::span(bytes).first(static_cast<size_t>(length));
  TRY(copy_from_user(self.memory(), given, name));
  return String::create(bytes_text(given));
}

}  // namespace

Result<long> sys_sethostname(Thread& self, UserAddress name, int length) {
  const String text = TRY(read_name(self, name, length));
  TRY(set_host_name(text.view()));
  return 0;
}

Result<long> sys_setdomainname(Thread& self, UserAddress name, int length) {
  const String text = TRY(read_name(self, name, length));
  TRY(set_domain_name(text.view()));
  return 0;
}

// sysinfo(2).
Result<long> sys_sysinfo(Thread&, UserOut<SystemInfo> info) {
  const MemoryTotals memory = memory_totals();
  SystemInfo system{};
  system.uptime = static_cast<int64_t>(monotonic_now() / kNanosecondsPerSecond);
  system.total_ram = memory.total_bytes;
  system.free_ram = memory.free_bytes;
  system.shared_ram = memory.shared_bytes;
  constexpr uint64_t kOne = uint64_t{1} << 16;  // SI_LOAD_SHIFT
  const LoadAverages load = load_averages();
  for (size_t i = 0; i < load.averages.size(); ++i)
    system.loads[i] = load.averages[i] * (kOne / kLoadOne);
  system.processes = static_cast<uint16_t>(std::min<size_t>(thread_count(), UINT16_MAX));
  system.unit = 1;
  TRY(info.write(system));
  return 0;
}

// getrandom(2): the enclave's own randomness, always ready.
Result<long> sys_getrandom(Thread& self, UserAddress buffer, size_t size, Flags flags) {
  constexpr uint32_t kNonBlock = 1, kRandom = 2, kInsecure = 4;
  if ((bits(flags) & ~(kNonBlock | kRandom | kInsecure)) != 0) return Errno::kInval;
  if ((bits(flags) & (kRandom | kInsecure)) == (kRandom | kInsecure)) return Errno::kInval;
  size = std::min<size_t>(size, INT32_MAX & ~kPageMask);
  std::array<std::byte, 256> chunk;
  for (size_t done = 0; done < size;) {
    // A part ends where its page ends: what is there before a page that is bad counts.
    const size_t in_page = kPageSize - ((buffer + done).value() & kPageMask);
    const std::span<std::byte> part =
        std::span(chunk).first(std::min({chunk.size(), size - done, in_page}));
    random_bytes(part);
    const Result<void> copied = copy_to_user(self.memory(), buffer + done, part);
    if (copied.is_error())
      return done != 0 ? Result<long>(static_cast<long>(done)) : copied.error();
    done += part.size();
    preemption_point();
  }
  return static_cast<long>(size);
}

// syslog(2): there is no kernel log to read.
Result<long> sys_syslog(Thread& self, int type, UserAddress, int) {
  constexpr int kReadAll = 3, kSizeBuffer = 10;
  if (type < 0 || type > kSizeBuffer) return Errno::kInval;
  if (!self.user().has(kCapSysAdmin) && type != kReadAll && type != kSizeBuffer)
    return Errno::kPerm;
  return 0;
}

// personality(2): any; process/personality.h says which have an effect.
Result<long> sys_personality(Thread& self, uint32_t persona) {
  const uint32_t old = self.personality;
  if (persona != UINT32_MAX) self.personality = persona;
  return static_cast<long>(old);
}

}  // namespace occlum
