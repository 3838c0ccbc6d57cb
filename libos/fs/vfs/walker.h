// Walker: the state of one path walk; lookup.cpp and open.cpp drive it (lookup.h has the rules).
#pragma once

#include "libos/fs/vfs/lookup.h"

namespace occlum {

class Walker {
 public:
  Walker(const WalkContext& context, uint32_t walk) : context_(context), walk_(walk) {}

  // Begins with a path. kNoEnt when it is empty, kNameTooLong.
  Result<void> begin(std::string_view path);
  // Walks up to the last component.
  Result<void> walk_to_parent();

  // After walk_to_parent: the directory, and the component that is left, empty for "/" (or an empty path). More slashes
  // after it set must_be_directory().
  const Path& at() const { return at_; }
  std::string_view last() const { return last_; }
  bool must_be_directory() const { return must_be_directory_; }

  // The last component, looked up: negative, a link, or something else, with mounts crossed. ".", ".." and "" too.
  Result<Path> look_at_last();
  // Goes on through the symbolic link that look_at_last gave. True: walk_to_parent again; false: it was a magic link
  // and at() is where it leads, with last() empty.
  Result<bool> follow(const Path& link);

 private:
  Result<void> check_search() const;
  Result<void> step_up();
  Result<Path> child(std::string_view name, bool is_last);
  Result<void> enter(Path child);

  const WalkContext& context_;
  const uint32_t walk_;
  Path at_;
  String text_;            // what rest_ points into
  std::string_view rest_;  // components still to go
  std::string_view last_;
  bool must_be_directory_ = false;
  int links_ = 0;
};

}  // namespace occlum
