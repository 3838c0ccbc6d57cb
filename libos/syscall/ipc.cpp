// pipe(2), pipe2(2), memfd_create(2).
#include "libos/fs/file_table.h"
#include "libos/fs/tmpfs/memory_file.h"
#include "libos/fs/tmpfs/seals.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/pipe.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

// EFAULT on `fds` closes both ends again: no descriptor leaks.
Result<long> sys_pipe2(Thread& self, UserOut<FdPair> fds, Flags flags) {
  constexpr uint32_t kStatus = kOpenNonblock | kOpenDirect, kNotifications = kOpenExclusive;
  if ((bits(flags) & ~(kOpenCloseOnExec | kStatus | kNotifications)) != 0) return Errno::kInval;
  if ((bits(flags) & kNotifications) != 0) return Errno::kNoPkg;  // as without CONFIG_WATCH_QUEUE
  auto pair = TRY(PipeEnd::create_pair(bits(flags) & kStatus));
  const auto cloexec = (bits(flags) & kOpenCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
  FdReservation reserved = TRY(self.files().reserve(2, cloexec));
  TRY(fds.write({reserved[0], reserved[1]}));
  reserved.commit(std::move(pair.reader), std::move(pair.writer));
  return 0L;
}

Result<long> sys_pipe(Thread& self, UserOut<FdPair> fds) { return sys_pipe2(self, fds, Flags{}); }

// The processor's: 2 MiB, unless said otherwise, and 1 GiB.
static Result<uint64_t> huge_page_size(uint32_t order) {
  constexpr uint32_t kDefault = 0, kMedium = 21, kLarge = 30;
  if (order == kDefault || order == kMedium) return uint64_t{1} << kMedium;
  return order == kLarge ? Result<uint64_t>(uint64_t{1} << kLarge) : Errno::kNoDev;
}

Result<long> sys_memfd_create(Thread& self, UserString name, Flags flags) {
  constexpr uint32_t kCloseOnExec = 1, kAllowSealing = 2, kHuge = 4, kNoExecSeal = 8, kExec = 16;
  constexpr uint32_t kHugeSizeShift = 26, kHugeSize = 63u << kHugeSizeShift;
  constexpr size_t kNameMax = 249;
  const bool is_huge = (bits(flags) & kHuge) != 0;
  const uint32_t known = kCloseOnExec | kAllowSealing | kHuge | kNoExecSeal | kExec;
  if ((bits(flags) & ~(known | (is_huge ? kHugeSize : 0))) != 0) return Errno::kInval;
  if ((bits(flags) & (kNoExecSeal | kExec)) == (kNoExecSeal | kExec)) return Errno::kInval;
  auto text = name.read(kNameMax + 1);
  if (text.is_error()) return text.error() == Errno::kNameTooLong ? Errno::kInval : text.error();
  uint32_t seals = (bits(flags) & (kAllowSealing | kNoExecSeal)) != 0 ? 0 : kSealSeal;
  if ((bits(flags) & kNoExecSeal) != 0) seals |= kSealExec;
  const Credentials& user = self.credentials();
  const uint32_t permissions = (bits(flags) & kNoExecSeal) != 0 ? 0666 : 0777;
  const Ownership owner = {.mode = permissions, .uid = user.fsuid, .gid = user.fsgid};
  RefPtr<File> file;
  if (is_huge) {
    const uint64_t page_size = TRY(huge_page_size((bits(flags) & kHugeSize) >> kHugeSizeShift));
    file = TRY(create_huge_memory_file(text.value().view(), owner, seals, page_size));
  } else {
    file = TRY(create_memory_file(text.value().view(), owner, seals));
  }
  const auto cloexec = (bits(flags) & kCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
  return static_cast<long>(TRY(self.files().install(std::move(file), cloexec)));
}

}  // namespace occlum
