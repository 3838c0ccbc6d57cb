#include "libos/ipc/sysv_memory.h"

#include <algorithm>
#include <array>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/process/process_table.h"

namespace occlum::sysv_memory {

namespace {

struct Segment final : IpcObject {
  Segment(RefPtr<MemoryObject> memory, uint64_t size) : memory(std::move(memory)), size(size) {}
  const RefPtr<MemoryObject> memory;
  const uint64_t size;  // bytes, as asked for
  int64_t attach_time = 0, detach_time = 0, change_time = 0;
  Pid creator = 0, last = 0;
  uint32_t locked_by = 0;  // the user, when the mode says kLocked
};

struct Segments {
  IpcTable table;
  size_t removed = 0;  // marked, still in the table
};
[[clang::no_destroy]] constinit SpinLocked<Segments> all_segments{LockRank::kPipe};

uint64_t pages_of(const Segment& segment) { return align_up(segment.size, kPageSize) / kPageSize; }

uint64_t locked_pages(Segments& segments, uint32_t user) {
  uint64_t pages = 0;
  for (size_t i = 0; i < segments.table.size(); ++i) {
    auto* const segment = static_cast<Segment*>(segments.table.slot(i));
    if (segment != nullptr && (segment->permission.mode & kLocked) != 0 &&
        segment->locked_by == user) {
      pages += pages_of(*segment);
    }
  }
  return pages;
}

uint64_t count_mappings(const MemoryObject& object) {
  uint64_t count = 0;
  Vec<uint64_t> seen;  // vfork's children share their parents' memory
  (void)for_each_process([&](Process& process) {
    const RefPtr<AddressSpace> space = process.memory();
    if (space == nullptr || std::ranges::find(seen, space->id()) != seen.end()) return;
    if (seen.push(space->id()).is_error()) return;
    const Result<Vec<Area>> areas = space->areas();
    if (areas.is_error()) return;
    for (const Area& area : areas.value()) count += area.shared && area.object.get() == &object;
  });
  return count;
}

// Without the count of mappings, which needs the lock to be free.
SegmentStatus describe(const Segment& segment) {
  return {.permission = segment.permission,
          .id = segment.id,
          .size = segment.size,
          .attach_time = segment.attach_time,
          .detach_time = segment.detach_time,
          .change_time = segment.change_time,
          .creator = segment.creator,
          .last = segment.last};
}

SegmentStatus complete(const Segment& segment, SegmentStatus status) {
  status.attached = count_mappings(*segment.memory);
  status.resident_bytes = segment.memory->resident_bytes();
  return status;
}

Result<RefPtr<Segment>> find_segment(int id) {
  return all_segments.with([&](Segments& segments) -> Result<RefPtr<Segment>> {
    return static_ptr_cast<Segment>(TRY(segments.table.find(id)));
  });
}

RefPtr<Segment> segment_of(const MemoryObject* object) {
  return all_segments.with([&](Segments& segments) -> RefPtr<Segment> {
    for (size_t i = 0; i < segments.table.size(); ++i) {
      auto* const segment = static_cast<Segment*>(segments.table.slot(i));
      if (segment != nullptr && segment->memory.get() == object) return ref_to(*segment);
    }
    return nullptr;
  });
}

Result<String> name_of(int key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<char, 8> text = {};
  for (size_t i = 0; i < text.size(); ++i)
    text[i] = kDigits[static_cast<uint32_t>(key) >> (28 - 4 * i) & 15];
  return String::concat("/SYSV", std::string_view(text.begin(), text.end()), " (deleted)");
}

}  // namespace

void sweep() {
  while (true) {
    RefPtr<IpcObject> gone;
    all_segments.with([&](Segments& segments) {
      for (size_t i = 0; i < segments.table.size() && segments.removed != 0; ++i) {
        auto* const segment = static_cast<Segment*>(segments.table.slot(i));
        if (segment == nullptr || (segment->permission.mode & kRemoved) == 0) continue;
        if (segment->memory->reference_count() != 1) continue;  // mapped
        gone = ref_to(*segment);
        segments.table.remove(*segment);
        --segments.removed;
        return;
      }
    });
    if (gone == nullptr) return;
  }
}

Result<int> get(int key, uint64_t size, uint32_t flags, const UserCredentials& who, Pid creator) {
  sweep();
  const bool can_be_made = size != 0 && size <= kMaxSize;
  RefPtr<Segment> fresh;
  if (can_be_made) {
    const uint64_t bytes = align_up(size, kPageSize);
    auto memory = MemoryObject::create(nullptr, bytes);
    if (!memory.is_error()) {
      fresh = TRY(make_ref<Segment>(memory.release_value(), size));
      fresh->creator = creator;
      fresh->change_time = ipc_time();
    }
  }
  return all_segments.with([&](Segments& segments) {
    return get_ipc_object(
        segments.table, key, flags, who,
        [&](IpcObject& found) -> Result<void> {
          if (static_cast<Segment&>(found).size < size) return Errno::kInval;
          return {};
        },
        [&]() -> Result<int> {
          if (!can_be_made) return Errno::kInval;
          if (fresh == nullptr || (flags & kHugePages) != 0) return Errno::kNoMem;
          return segments.table.add(fresh, key, flags, who, kMaxSegments);
        });
  });
}

Result<uint64_t> attach(Thread& self, int id, uint64_t address, uint32_t flags) {
  sweep();
  const RefPtr<Segment> segment = TRY(find_segment(id));
  const bool read_only = (flags & kReadOnly) != 0, execute = (flags & kExecute) != 0;
  MapRequest request;
  request.address = address;
  request.length = segment->size;
  request.prot = read_only ? Prot::kRead : Prot::kRead | Prot::kWrite;
  if (execute) request.prot = request.prot | Prot::kExec;
  request.placement = address == 0            ? Placement::kAnywhere
                      : (flags & kRemap) != 0 ? Placement::kFixed
                                              : Placement::kFixedNoReplace;
  request.source.object = segment->memory;
  request.source.shared = true;
  request.source.may_write = !read_only;
  request.source.inode = static_cast<uint64_t>(segment->id);
  TRY(all_segments.with([&](Segments&) -> Result<void> {
    if (segment->removed) return Errno::kIdRm;
    uint32_t wanted = read_only ? kIpcMayRead : kIpcMayRead | kIpcMayWrite;
    if (execute) wanted |= kIpcMayExecute;
    return check_ipc_access(segment->permission, self.user(), wanted);
  }));
  request.source.name = TRY(name_of(segment->permission.key));
  const Result<uint64_t> mapped = self.memory().map(std::move(request));
  if (mapped.is_error()) {
    return mapped.error() == Errno::kExist || mapped.error() == Errno::kPerm ? Errno::kInval
                                                                             : mapped.error();
  }
  all_segments.with([&](Segments&) {
    segment->attach_time = ipc_time();
    segment->last = self.pid();
  });
  return mapped;
}

// The first area that shows a segment as if it began at `address`, and the others of that segment.
Result<void> detach(Thread& self, uint64_t address) {
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  RefPtr<Segment> segment;
  {
    const Vec<Area> areas = TRY(self.memory().areas());
    for (const Area& area : areas) {
      if (!area.shared || area.object == nullptr || area.start < address ||
          area.start - address != area.offset) {
        continue;
      }
      if (segment == nullptr) segment = segment_of(area.object.get());
      if (segment == nullptr || area.object != segment->memory) continue;
      if (area.end - address > align_up(segment->size, kPageSize)) continue;
      TRY(self.memory().unmap(area.start, area.end - area.start));
    }
  }
  if (segment == nullptr) return Errno::kInval;
  all_segments.with([&](Segments&) {
    segment->detach_time = ipc_time();
    segment->last = self.pid();
  });
  segment = nullptr;
  sweep();
  return {};
}

Result<void> change(int id, uint32_t uid, uint32_t gid, uint32_t mode, const UserCredentials& who) {
  sweep();
  const RefPtr<Segment> segment = TRY(find_segment(id));
  return all_segments.with([&](Segments&) -> Result<void> {
    if (segment->removed) return Errno::kIdRm;
    TRY(check_ipc_owner(segment->permission, who));
    TRY(change_ipc_owner(segment->permission, uid, gid, mode));
    segment->change_time = ipc_time();
    return {};
  });
}

Result<void> remove(int id, const UserCredentials& who) {
  sweep();
  TRY(all_segments.with([&](Segments& segments) -> Result<void> {
    auto& segment = static_cast<Segment&>(*TRY(segments.table.find(id)));
    TRY(check_ipc_owner(segment.permission, who));
    if ((segment.permission.mode & kRemoved) != 0) return {};
    segment.permission.mode |= kRemoved;
    segment.permission.key = kIpcPrivate;  // no shmget finds it any more
    ++segments.removed;
    return {};
  }));
  sweep();
  return {};
}

Result<void> set_locked(int id, bool locked, Thread& self) {
  sweep();
  const RefPtr<Segment> segment = TRY(find_segment(id));
  const uint64_t limit = self.process().limit(Resource::kMemLock).soft;
  return all_segments.with([&](Segments& segments) -> Result<void> {
    const UserCredentials& who = self.user();
    IpcPermission& permission = segment->permission;
    if (!who.has(kCapIpcLock)) {
      if (who.euid != permission.uid && who.euid != permission.cuid) return Errno::kPerm;
      if (locked && limit == 0) return Errno::kPerm;
    }
    if (locked && (permission.mode & kLocked) == 0) {
      const uint64_t pages = locked_pages(segments, who.uid) + pages_of(*segment);
      if (pages > limit / kPageSize && limit != kRlimInfinity && !who.has(kCapIpcLock))
        return Errno::kNoMem;
      segment->locked_by = who.uid;
    }
    permission.mode = locked ? permission.mode | kLocked : permission.mode & ~kLocked;
    return {};
  });
}

Result<SegmentStatus> status(int id, Lookup lookup, const UserCredentials& who) {
  sweep();
  RefPtr<Segment> segment;
  const SegmentStatus status =
      TRY(all_segments.with([&](Segments& segments) -> Result<SegmentStatus> {
        segment = static_ptr_cast<Segment>(
            TRY(lookup == Lookup::kById ? segments.table.find(id) : segments.table.at(id)));
        if (lookup != Lookup::kByIndexUnchecked)
          TRY(check_ipc_access(segment->permission, who, kIpcMayRead));
        return describe(*segment);
      }));
  return complete(*segment, status);
}

Totals totals() {
  sweep();
  return all_segments.with([](Segments& segments) {
    Totals sum{.highest_index = segments.table.highest_index(),
               .segments = static_cast<int>(segments.table.count())};
    for (size_t i = 0; i < segments.table.size(); ++i) {
      const auto* segment = static_cast<Segment*>(segments.table.slot(i));
      if (segment == nullptr) continue;
      sum.pages += pages_of(*segment);
    }
    return sum;
  });
}

Result<Vec<SegmentStatus>> all() {
  sweep();
  Vec<RefPtr<Segment>> found;
  Vec<SegmentStatus> list;
  TRY(all_segments.with([&](Segments& segments) -> Result<void> {
    for (size_t i = 0; i < segments.table.size(); ++i) {
      auto* const segment = static_cast<Segment*>(segments.table.slot(i));
      if (segment == nullptr) continue;
      TRY(found.push(ref_to(*segment)));
      TRY(list.push(describe(*segment)));
    }
    return {};
  }));
  for (size_t i = 0; i < found.size(); ++i) list[i] = complete(*found[i], list[i]);
  return list;
}

}  // namespace occlum::sysv_memory
