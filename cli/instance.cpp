#include "cli/instance.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace cli {

Result<InstanceState> instance_state() {
  std::string path(kStatusFile);
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    return image::fail(
        "the working directory is not an Occlum instance: make one with 'occlum new DIR'");
  }
  std::string text = IMAGE_TRY(image::read_file(path, 64));
  while (text.ends_with('\n')) text.pop_back();
  if (text == "initialized") return InstanceState::kInitialized;
  // The predecessor wrote the other two while a program ran.
  if (text == "built" || text == "running" || text == "debugging") return InstanceState::kBuilt;
  return image::fail("{} is damaged: write 'initialized' into it and build again", path);
}

Result<void> set_instance_state(InstanceState state) {
  return image::write_file(std::string(kStatusFile),
                           state == InstanceState::kBuilt ? "built\n" : "initialized\n");
}

Result<image::File> lock_directory(std::string_view directory, LockKind kind,
                                   std::string_view complaint) {
  image::File file =
      IMAGE_TRY(image::File::open(std::string(directory), O_RDONLY | O_DIRECTORY, 0, "open"));
  int operation = (kind == LockKind::kExclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
  if (flock(file.fd(), operation) != 0) {
    if (errno == EWOULDBLOCK) return std::unexpected(std::string(complaint));
    return image::fail_errno(errno, "cannot lock {}", directory);
  }
  return file;
}

bool instance_is_running() {
  auto lock = image::File::open(std::string(kRunDirectory), O_RDONLY | O_DIRECTORY);
  return lock && flock(lock->fd(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace cli
