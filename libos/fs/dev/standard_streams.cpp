#include "libos/fs/dev/standard_streams.h"

#include <atomic>

#include "libos/arch/arch.h"
#include "libos/fs/dev/device_path.h"
#include "libos/fs/dev/host_stream.h"
#include "libos/fs/dev/tty/host_terminal.h"
#include "libos/fs/vfs/operations.h"
#include "libos/process/process.h"

namespace occlum {

namespace {

// Made with the first standard stream that is a terminal; never goes. Only the first task makes it.
constinit std::atomic<HostTerminal*> the_terminal{nullptr};

Result<RefPtr<HostTerminal>> host_terminal() {
  if (HostTerminal* terminal = the_terminal.load(std::memory_order_acquire))
    return ref_to(*terminal);
  const std::span<const bool, 3> is_terminal = boot_arguments().terminal;
  HostTerminal::Descriptors descriptors;
  descriptors.input = is_terminal[0] ? 0 : -1;
  descriptors.output = is_terminal[1] ? 1 : is_terminal[2] ? 2 : 0;
  auto terminal = TRY(HostTerminal::create(descriptors));
  the_terminal.store(RefPtr<HostTerminal>(terminal).leak(), std::memory_order_release);
  return terminal;
}

Result<RefPtr<TtyFile>> open_terminal() {
  return make_ref<TtyFile>(RefPtr<Terminal>(TRY(host_terminal())), kOpenReadWrite,
                           device_path("/dev/console"));
}

}  // namespace

Result<RefPtr<File>> open_standard_stream(int fd) {
  if (fd < 0 || fd > 2) return Errno::kBadFd;
  if (std::span<const bool, 3>(boot_arguments().terminal)[static_cast<size_t>(fd)]) {
    return RefPtr<File>(TRY(open_terminal()));
  }
  return RefPtr<File>(TRY(HostStream::create(fd)));
}

Result<void> attach_standard_terminal(Process& first) {
  if (the_terminal.load(std::memory_order_acquire) == nullptr) return {};
  auto file = TRY(open_terminal());
  return file->terminal().take_for(first, file);
}

Result<RefPtr<File>> open_console(const Path& path, uint32_t flags) {
  HostTerminal* terminal = the_terminal.load(std::memory_order_acquire);
  if (terminal == nullptr) return Errno::kNxIo;
  TRY(terminal->check_open(current_thread()));
  return RefPtr<File>(TRY(make_ref<TtyFile>(RefPtr<Terminal>(terminal), flags, path)));
}

void on_host_window_change() {
  if (HostTerminal* terminal = the_terminal.load(std::memory_order_acquire))
    terminal->size_may_have_changed();
}

}  // namespace occlum
