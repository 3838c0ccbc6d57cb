// See file_system.h.
#include "libos/fs/vfs/file_system.h"

#include <array>
#include <atomic>

#include "libos/lib/lock.h"
#include "libos/lib/text.h"

namespace occlum {

namespace {

struct Registered {
  std::string_view name;
  FileSystemFactory factory = nullptr;
};

// A fixed table: types are registered at start, before there is anything that could run out.
struct Factories {
  std::array<Registered, 32> types;
  size_t count = 0;
};
constinit SpinLocked<Factories> factories{LockRank::kMount};
constinit std::atomic<uint32_t> next_minor{1};

}  // namespace

FileSystem::FileSystem()
    : device_(make_device(0, next_minor.fetch_add(1, std::memory_order_relaxed))) {}

void register_file_system(std::string_view name, FileSystemFactory factory) {
  factories.with([&](Factories& all) {
    for (Registered& type : std::span(all.types).first(all.count)) {
      if (type.name == name) {
        type.factory = factory;
        return;
      }
    }
    ASSERT(all.count < all.types.size());
    all.types[all.count] = {name, factory};
    ++all.count;
  });
}

Result<RefPtr<FileSystem>> make_file_system(std::string_view name,
                                            const MountArguments& arguments) {
  const FileSystemFactory factory = factories.with([&](Factories& all) -> FileSystemFactory {
    for (const Registered& type : std::span(all.types).first(all.count)) {
      if (type.name == name) return type.factory;
    }
    return nullptr;
  });
  if (factory == nullptr) return Errno::kNoDev;
  return factory(arguments);
}

void for_each_file_system_type(FunctionRef<void(std::string_view)> visit) {
  std::array<Registered, 32> types;
  const size_t count = factories.with([&](Factories& all) {
    types = all.types;
    return all.count;
  });
  for (const Registered& type : std::span(types).first(count)) visit(type.name);
}

std::optional<std::string_view> option_value(std::string_view options, std::string_view key) {
  for (std::string_view rest = options; auto option = next_part(rest, ',');) {
    if (option->size() > key.size() && option->starts_with(key) && (*option)[key.size()] == '=') {
      return option->substr(key.size() + 1);
    }
  }
  return std::nullopt;
}

}  // namespace occlum
