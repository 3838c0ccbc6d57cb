// Several threads in one tree, under ASan and TSan: no race, no crash, and a tree that is whole afterwards.
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "libos/fs/tmpfs/tmpfs.h"
#include "libos/fs/union/union_fs.h"
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/operations.h"

namespace occlum {
namespace {

using std::string;

// What programs do to the same bytes at the same time is their own race, here as under Linux: not what is looked for.
std::mutex contents;

void operate(const Path& root, unsigned seed) {
  std::mt19937 random(seed);
  const Credentials credentials;
  const WalkContext walk{root, root, &credentials};
  const auto path = [&] {
    static const char* const kNames[] = {"a", "b", "c", "d"};
    string text = kNames[random() % 4];
    for (unsigned more = random() % 3; more != 0; --more)
      text += string("/") + kNames[random() % 4];
    return text;
  };
  const auto ignore = [](const auto& result) { static_cast<void>(result.is_error()); };
  for (int i = 0; i < 1500; ++i) {
    const string first = path(), second = path();
    switch (random() % 10) {
      case 0:
        ignore(make_directory(walk, first, 0755, 0));
        break;
      case 1:
        ignore(remove_directory(walk, first));
        break;
      case 2:
        ignore(remove_file(walk, first));
        break;
      case 3:
        ignore(rename_path(walk, first, walk, second, random() % 3));
        break;
      case 4: {
        Result<Path> target = lookup_path(walk, first, FollowLast::kNo);
        if (!target.is_error()) ignore(make_link(target.value(), walk, second));
        break;
      }
      case 5: {
        Result<RefPtr<File>> directory = open_file(walk, first, kOpenDirectory, 0, 0);
        if (!directory.is_error())
          ignore(directory.value()->read_entries([](const DirectoryEntry&) { return true; }));
        break;
      }
      case 6: {
        Result<Path> found = lookup_path(walk, first, FollowLast::kYes);
        if (!found.is_error())
          ignore(path_to_string(found.value(), root, DeletedNames::kMarkDeleted));
        break;
      }
      case 7:
        if (random() % 50 == 0) dentry_cache().shrink(0);
        break;
      default: {
        const uint32_t append = random() % 2 == 0 ? kOpenAppend : 0;
        Result<RefPtr<File>> file =
            open_file(walk, first, kOpenCreate | kOpenReadWrite | append, 0644, 0);
        if (file.is_error()) break;
        const std::vector<std::byte> data(random() % 5000, static_cast<std::byte>(seed));
        const std::lock_guard<std::mutex> guard(contents);
        DataSource source(data);
        ignore(file.value()->write(source));
        std::vector<std::byte> buffer(6000);
        DataSink sink(buffer);
        ignore(file.value()->read_at(0, sink));
      }
    }
  }
}

// What is listed is found, once, and counts its names.
void check(const Path& directory, std::map<uint64_t, uint32_t>& names,
           std::map<uint64_t, uint32_t>& links) {
  std::vector<string> listed;
  MUST(directory.inode().readdir(0, [&](const DirectoryEntry& entry) {
    listed.emplace_back(entry.name);
    return true;
  }));
  for (const string& name : listed) {
    const Path child{directory.mount, MUST(lookup_child(directory.dentry, name, true))};
    ASSERT_FALSE(child.dentry->is_negative()) << name;
    const Stat stat = MUST(child.inode().stat());
    if (child.inode().is_directory()) {
      check(child, names, links);
    } else {
      ++names[stat.ino];
      links[stat.ino] = stat.nlink;
    }
  }
}

void run(RefPtr<FileSystem> file_system) {
  if (mount_table().root().is_null()) {
    MUST(mount_table().mount_root(MUST(TmpFs::create({.root_mode = 0755})), "test", 0));
  }
  const Credentials credentials;
  const Path top = mount_table().root();
  const WalkContext walk{top, top, &credentials};
  static_cast<void>(make_directory(walk, "/mnt", 0755, 0).is_error());
  MUST(mount_table().mount(std::move(file_system),
                           MUST(lookup_path(walk, "/mnt", FollowLast::kYes)), "test", 0));
  const Path root = MUST(lookup_path(walk, "/mnt", FollowLast::kYes));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back([&root, i] { operate(root, i + 1); });
  for (std::thread& thread : threads) thread.join();
  dentry_cache().shrink(0);
  std::map<uint64_t, uint32_t> names, links;
  check(root, names, links);
  EXPECT_EQ(names, links);
}

TEST(FsConcurrent, Tmpfs) { run(MUST(TmpFs::create({.root_mode = 0755}))); }

TEST(FsConcurrent, Union) {
  Vec<RefPtr<FileSystem>> lowers;
  MUST(lowers.push(MUST(TmpFs::create({.root_mode = 0755}))));
  run(MUST(UnionFs::create(std::move(lowers), MUST(TmpFs::create({.root_mode = 0755})))));
}

}  // namespace
}  // namespace occlum
