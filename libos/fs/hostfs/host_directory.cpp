// See host_directory.h. struct linux_dirent64: u64 d_ino, u64 d_off, u16 d_reclen, u8 d_type, d_name with its NUL.
#include "libos/fs/hostfs/host_directory.h"

#include "libos/lib/bytes.h"
#include "libos/lib/vec.h"

namespace occlum {

namespace {

constexpr size_t kHeader = 19;
constexpr size_t kLongestName = 255;
constexpr size_t kBuffer = 32 * 1024;
constexpr uint64_t kMostBytes = uint64_t{1} << 30;  // about 25 million names

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name.find('/') == std::string_view::npos;
}

}  // namespace

Result<void> parse_host_entries(std::span<const std::byte> records, HostEntryVisitor visit) {
  while (!records.empty()) {
    if (records.size() < kHeader + 1) return Errno::kIo;
    const size_t length = load_le<uint16_t>(records.subspan(16));
    if (length < kHeader + 1 || length > records.size()) return Errno::kIo;
    const std::string_view field = bytes_text(records.first(length)).substr(kHeader);
    const size_t end = field.find('\0');
    if (end == std::string_view::npos) return Errno::kIo;
    const std::string_view name = field.substr(0, end);
    if (!is_plain_name(name)) return Errno::kIo;
    if (name != "." && name != "..") {
      const FileType claimed = static_cast<FileType>(records[18]);
      TRY(visit({name, load_le<uint64_t>(records),
                 is_known_type(claimed) ? claimed : FileType::kUnknown}));
    }
    records = records.subspan(length);
  }
  return {};
}

Result<void> read_host_directory(int fd, HostEntryVisitor visit) {
  Vec<std::byte> buffer = TRY(Vec<std::byte>::create(kBuffer));
  for (uint64_t total = 0; total < kMostBytes;) {
    const size_t count = TRY(host::getdents64(fd, buffer.span()));
    if (count == 0) return {};
    TRY(parse_host_entries(buffer.span().first(count), visit));
    total += count;
  }
  return Errno::kIo;
}

}  // namespace occlum
