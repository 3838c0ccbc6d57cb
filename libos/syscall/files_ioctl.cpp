// ioctl(2): what holds for every descriptor; the rest is the file's.
#include "libos/process/signals/io_signal.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {
constexpr uint32_t kFioNonClex = 0x5450, kFioClex = 0x5451, kFioNbio = 0x5421, kFioAsync = 0x5452,
                   kFioSetOwn = 0x8901, kSioCsPgrp = 0x8902, kFioGetOwn = 0x8903,
                   kSioCgPgrp = 0x8904;
}  // namespace

Result<long> sys_ioctl(Thread& self, Fd fd, uint32_t request, UserAddress argument) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  switch (request) {
    case kFioClex:
      return done(self.files().set_close_on_exec(number(fd), CloseOnExec::kYes));
    case kFioNonClex:
      return done(self.files().set_close_on_exec(number(fd), CloseOnExec::kNo));
    case kFioNbio: {
      const bool on = TRY(UserIn<int32_t>(argument).read()) != 0;
      const uint32_t flags = file->flags();
      return done(file->set_flags(on ? flags | kOpenNonblock : flags & ~kOpenNonblock));
    }
    case kFioAsync: {
      const bool on = TRY(UserIn<int32_t>(argument).read()) != 0;
      if (on == ((file->flags() & kOpenAsync) != 0)) return 0;
      return TRY(set_async(self, *file, number(fd), on)) ? Result<long>(0) : Errno::kNotTty;
    }
    case kFioSetOwn:
    case kSioCsPgrp:
      if (file->kind() != FileKind::kSocket) break;
      return done(set_signal_owner(self, *file, TRY(UserIn<int32_t>(argument).read())));
    case kFioGetOwn:
    case kSioCgPgrp:
      if (file->kind() != FileKind::kSocket) break;
      TRY(UserOut<int32_t>(argument).write(signal_owner_number(*file)));
      return 0;
    case kFionRead:
      if (Inode* inode = file->inode(); inode != nullptr && inode->is_regular()) {
        const uint64_t position = TRY(file->seek(0, Whence::kCur));
        const uint64_t size = TRY(file->stat()).size;
        const int64_t left = static_cast<int64_t>(size) - static_cast<int64_t>(position);
        TRY(UserOut<int32_t>(argument).write(static_cast<int32_t>(left)));
        return 0;
      }
      break;
    default:
      break;
  }
  return file->ioctl(self, request, argument.value());
}

}  // namespace occlum
