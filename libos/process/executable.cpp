// Opening an executable: permissions, #! lines, headers.
#include <algorithm>
#include <array>

#include "libos/arch/memory.h"
#include "libos/fs/vfs/file_limit.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"
#include "libos/lib/memory.h"
#include "libos/process/program_loader.h"
#include "libos/process/script.h"

namespace occlum {
namespace {

// What execve checks before it looks inside.
struct Opened {
  RefPtr<File> file;
  ExecutionHold hold;
};
Result<Opened> open_for_execution(const Path& path, const Credentials& credentials) {
  TRY(check_executable(path, credentials));
  TRY(check_file_limit(1));
  RefPtr<File> file = TRY(path.inode().open(path, kOpenReadOnly | kOpenForExecution));
  TRY(break_leases(path.inode(), LeaseBreak::kForReading, BreakWait::kYes));
  RefPtr<WriteCount> count = TRY(path.inode().write_count());
  Result<ExecutionHold> hold = ExecutionHold::take(std::move(count));
  if (hold.is_error()) return hold.error();
  notify_file(*path.dentry, kNotifyOpen);
  return Opened{.file = std::move(file), .hold = hold.release_value()};
}

// Reads until the span is full or the file ends.
Result<size_t> read_file(File& file, uint64_t offset, std::span<std::byte> to) {
  size_t done = 0;
  while (done < to.size()) {
    DataSink sink(to.subspan(done));
    const size_t count = TRY(file.read_at(offset + done, sink));
    if (count == 0) break;
    done += count;
  }
  return done;
}

Result<void> read_exactly(File& file, uint64_t offset, std::span<std::byte> to) {
  if (TRY(read_file(file, offset, to)) != to.size()) return Errno::kNoExec;
  return {};
}

Result<ElfImage> read_elf(File& file, std::span<const std::byte> head, uint64_t size) {
  const ElfHeader header = TRY(parse_elf_header(head, size));
  Vec<std::byte> table = TRY(Vec<std::byte>::create(header.table_bytes()));
  TRY(read_exactly(file, header.table_offset, table.span()));
  return parse_elf_program(header, table.span(), size, user_range().end);
}

struct Head {
  std::array<std::byte, kScriptHeadSize> bytes = {};
  size_t size = 0;
  std::span<const std::byte> span() const { return std::span(bytes).first(size); }
  std::string_view text() const { return bytes_text(span()); }
};

Result<ElfFile> open_interpreter(FsContext& fs, const Credentials& credentials,
                                 const ElfFile& program) {
  const ElfImage::Interpreter where = *program.image.interpreter;
  Vec<std::byte> name = TRY(Vec<std::byte>::create(where.size));
  TRY(read_exactly(*program.file, where.offset, name.span()));
  if (name.last() != std::byte{0}) return Errno::kNoExec;
  String path;
  for (const std::byte character : name) {
    if (character == std::byte{0}) break;
    TRY(path.append(std::to_integer<char>(character)));
  }

  ElfFile interpreter;
  interpreter.path = TRY(lookup_path(fs.walk(credentials), path.view(), FollowLast::kYes));
  Opened opened = TRY(open_for_execution(interpreter.path, credentials));
  interpreter.file = std::move(opened.file);
  interpreter.hold = std::move(opened.hold);
  Head head;
  head.size = TRY(read_file(*interpreter.file, 0, head.bytes));
  const Stat stat = TRY(interpreter.path.inode().stat());
  Result<ElfImage> image = read_elf(*interpreter.file, head.span(), stat.size);
  if (image.is_error()) return image.error() == Errno::kNoExec ? Errno::kLibBad : image.error();
  interpreter.image = image.release_value();
  return interpreter;
}

// Turns argv into the interpreter's: its path, its argument, the script's path, the rest.
Result<void> apply_script_line(Executable& executable, const ScriptLine& line,
                               std::string_view script) {
  executable.argv.remove_first();
  TRY(executable.argv.prepend(script));
  if (line.argument) TRY(executable.argv.prepend(*line.argument));
  return executable.argv.prepend(line.interpreter);
}

// prctl(2) PR_SET_NO_NEW_PRIVS and nosuid mounts are the caller's and the mount's to say.
Result<void> note_set_id(Executable& executable, const Path& path, const Stat& stat) {
  if ((path.mount->flags() & kMountNoSuid) != 0) return {};
  if ((stat.mode & kModeSetUid) != 0) executable.set_uid = stat.uid;
  if ((stat.mode & kModeSetGid) != 0 && (stat.mode & kModeGroupExecute) != 0)
    executable.set_gid = stat.gid;
  executable.capabilities = TRY(file_capabilities(path.inode()));
  return {};
}

}  // namespace

Result<void> check_executable(const Path& path, const Credentials& credentials) {
  if (!path.inode().is_regular()) return Errno::kAcces;
  if ((path.mount->flags() & kMountNoExec) != 0) return Errno::kAcces;
  return check_access(path, credentials, kMayExecute);
}

Result<Executable> open_executable(FsContext& fs, const Credentials& credentials, Path path,
                                   std::string_view file_name, ArgumentList argv,
                                   ArgumentList env) {
  Executable executable;
  executable.file_name = TRY(String::create(file_name));
  executable.argv = std::move(argv);
  executable.env = std::move(env);
  if (executable.argv.count() == 0) TRY(executable.argv.add(""));

  std::array<Opened, kMaxScriptDepth + 1> all_opened;
  String script = TRY(String::create(file_name));
  for (int depth = 0;; ++depth) {
    if (depth > kMaxScriptDepth) return Errno::kLoop;
    // Scripts are closed, and watchers hear of that, when all is open.
    Opened& opened = all_opened[static_cast<size_t>(depth)];
    opened = TRY(open_for_execution(path, credentials));
    Head head;
    head.size = TRY(read_file(*opened.file, 0, head.bytes));
    const Stat stat = TRY(path.inode().stat());
    if (!is_script(head.text())) {
      ElfImage image = TRY(read_elf(*opened.file, head.span(), stat.size));
      executable.program = ElfFile{.file = std::move(opened.file),
                                   .hold = std::move(opened.hold),
                                   .path = path,
                                   .image = std::move(image)};
      TRY(note_set_id(executable, path, stat));
      break;
    }
    const ScriptLine line = TRY(parse_script_line(head.text()));
    TRY(apply_script_line(executable, line, script.view()));
    script = TRY(String::create(line.interpreter));
    path = TRY(lookup_path(fs.walk(credentials), line.interpreter, FollowLast::kYes));
  }

  if (executable.program.image.interpreter) {
    executable.interpreter = TRY(open_interpreter(fs, credentials, executable.program));
  }
  executable.path =
      TRY(path_to_string(executable.program.path, fs.root(), DeletedNames::kMarkDeleted));
  return executable;
}

}  // namespace occlum
