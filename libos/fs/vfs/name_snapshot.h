// NameSnapshot: the names of a directory that is read from elsewhere (a host directory, the layers of a union), with
// cookies that stay.
//
// A name keeps its cookie for as long as it is there, new names get greater ones, so whoever reads the directory while it
// changes sees what was there all the time exactly once. update() brings it up to date: begin, add every name, finish.
// Not locked.
#pragma once

#include "libos/fs/vfs/inode.h"
#include "libos/lib/hash_map.h"
#include "libos/lib/tree.h"

namespace occlum {

class NameSnapshot {
 public:
  void begin_update() { ++round_; }
  // A name that was added in this round already keeps what was said first.
  Result<void> add(std::string_view name, uint64_t ino, FileType type);
  bool has_this_round(std::string_view name) const;
  // Changes the number of a name that was added.
  void renumber(std::string_view name, uint64_t ino);
  void finish_update();

  void emit(uint64_t cookie, DirectoryEmitter emit) const;
  bool is_empty() const { return by_cookie_.is_empty(); }
  size_t size() const { return by_cookie_.size(); }

 private:
  struct Item {
    String name;
    uint64_t ino;
    FileType type;
    uint64_t round;
  };
  HashMap<String, uint64_t> by_name_;
  Tree<uint64_t, Item> by_cookie_;
  uint64_t next_cookie_ = 1;
  uint64_t round_ = 0;
};

}  // namespace occlum
