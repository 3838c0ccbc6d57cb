// TtyFile: an open terminal (terminal.h).
#include "libos/fs/dev/tty/terminal.h"

namespace occlum {

TtyFile::TtyFile(RefPtr<Terminal> terminal, uint32_t flags, Path path)
    : File(flags), terminal_(std::move(terminal)), era_(terminal_->era()), path_(std::move(path)) {}

Result<size_t> TtyFile::read(DataSink& sink) {
  return terminal_->read(sink, is_nonblocking() ? Blocking::kNo : Blocking::kYes, era_);
}

Result<size_t> TtyFile::write(DataSource& source) {
  if (terminal_->is_hung_up(era_)) return Errno::kIo;
  return terminal_->write(source, is_nonblocking() ? Blocking::kNo : Blocking::kYes, era_);
}

Result<long> TtyFile::ioctl(Thread& self, uint32_t request, uint64_t argument) {
  if (terminal_->is_hung_up(era_)) return request == kTiocSPgrp ? Errno::kNotTty : Errno::kIo;
  return terminal_->ioctl(self, *this, request, argument);
}

PollEvents TtyFile::poll(Poller* poller) { return terminal_->poll(poller, era_); }

Inode* TtyFile::inode() { return path_.is_null() ? nullptr : &path_.inode(); }

Result<Stat> TtyFile::stat() {
  if (!path_.is_null()) return File::stat();
  Stat stat = terminal_->inode().stat();
  stat.rdev = terminal_->device();
  return stat;
}

Result<void> TtyFile::set_attributes(const AttributeChange& change) {
  terminal_->inode().change(change);
  return {};
}

Result<String> TtyFile::describe() {
  if (!path_.is_null()) return File::describe();
  return terminal_->name();
}

}  // namespace occlum
