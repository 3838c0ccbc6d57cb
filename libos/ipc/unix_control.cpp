#include "libos/ipc/unix_control.h"

#include <algorithm>

#include "libos/fs/file_table.h"
#include "libos/fs/vfs/file_limit.h"
#include "libos/ipc/unix_collector.h"
#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr int kRights = 1, kCredentials = 2;
constexpr size_t kMaxFiles = 253;  // SCM_MAX_FD

Result<UserIdentity> check_identity(Thread& self, std::span<const std::byte> payload) {
  const UserIdentity claimed = TRY(read_object<UserIdentity>(payload));
  const UserCredentials& own = self.user();
  const auto is_own = [](uint32_t id, uint32_t real, uint32_t effective, uint32_t saved) {
    return id == real || id == effective || id == saved;
  };
  if (claimed.pid != self.pid() && !own.has(kCapSysAdmin)) return Errno::kPerm;
  if (!is_own(claimed.uid, own.uid, own.euid, own.suid) && !own.has(kCapSetUid))
    return Errno::kPerm;
  if (!is_own(claimed.gid, own.gid, own.egid, own.sgid) && !own.has(kCapSetGid))
    return Errno::kPerm;
  return claimed;
}

// Adds a record, or what fits of it; false when that is not all.
Result<bool> append_record(IncomingMessage& message, int type, std::span<const std::byte> payload) {
  const size_t start = align_up(message.control.size(), 8);
  const size_t room = message.control_room - std::min(start, message.control_room);
  if (room < sizeof(ControlHeader)) return false;
  const size_t size = std::min(sizeof(ControlHeader) + payload.size(), room);
  TRY(message.control.resize(start));
  const ControlHeader header = {size, kSolSocket, type};
  TRY(message.control.append(object_bytes(header)));
  TRY(message.control.append(payload.first(size - sizeof(ControlHeader))));
  return size == sizeof(ControlHeader) + payload.size();
}

}  // namespace

Result<UnixControl> parse_unix_control(Thread& self, std::span<const std::byte> control) {
  UnixControl result;
  size_t count = 0;
  while (control.size() >= sizeof(ControlHeader)) {
    const ControlHeader header = TRY(read_object<ControlHeader>(control));
    if (header.length < sizeof(header) || header.length > control.size()) return Errno::kInval;
    std::span<const std::byte> payload =
        control.first(static_cast<size_t>(header.length)).subspan(sizeof(ControlHeader));
    if (header.level == kSolSocket) {
      if (header.type == kRights) {
        for (; payload.size() >= sizeof(int); payload = payload.subspan(sizeof(int))) {
          if (++count > kMaxFiles) return Errno::kInval;
          TRY(result.files.add(TRY(self.files().get(load_le<int>(payload)))));
          if (!self.user().has(kCapSysResource) && !self.user().has(kCapSysAdmin) &&
              files_in_flight() > descriptor_limit())
            return Errno::kTooManyRefs;
        }
      } else if (header.type == kCredentials) {
        if (payload.size() != sizeof(UserIdentity)) return Errno::kInval;
        result.identity = TRY(check_identity(self, payload));
      } else {
        return Errno::kInval;
      }
    }
    const auto padded = checked_align_up<uint64_t>(header.length, 8);
    if (!padded || *padded >= control.size()) break;
    control = control.subspan(static_cast<size_t>(*padded));
  }
  return result;
}

Result<void> add_unix_control(IncomingMessage& message, int type,
                              std::span<const std::byte> payload) {
  if (!TRY(append_record(message, type, payload))) message.result_flags |= kMsgControlTruncated;
  return {};
}

Result<void> build_unix_control(Thread& self, IncomingMessage& message,
                                const UserIdentity* identity, const FilesInFlight& files) {
  if (identity != nullptr) TRY(add_unix_control(message, kCredentials, object_bytes(*identity)));
  if (files.is_empty()) return {};
  const size_t start = align_up(message.control.size(), 8) + sizeof(ControlHeader);
  const size_t room =
      message.control_room > start ? (message.control_room - start) / sizeof(int) : 0;
  const size_t count = std::min(room, files.files().size());
  if (count < files.files().size()) message.result_flags |= kMsgControlTruncated;
  const auto cloexec =
      (message.flags & kMsgCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
  Vec<int>& numbers = message.descriptors;
  TRY(numbers.reserve(count));
  TRY(message.control.reserve(start + count * sizeof(int)));  // nothing fails once they are there
  for (size_t i = 0; i < count; ++i) {
    const auto number = self.files().install_open(files.files()[i], cloexec);
    if (number.is_error()) {
      message.result_flags |= kMsgControlTruncated;
      break;
    }
    numbers.push_reserved(number.value());
  }
  if (numbers.is_empty()) return {};
  TRY(append_record(message, kRights, std::as_bytes(numbers.span())));
  return {};
}

}  // namespace occlum
