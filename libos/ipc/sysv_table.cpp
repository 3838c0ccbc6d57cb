#include "libos/ipc/sysv_table.h"

#include "libos/sched/task.h"

namespace occlum {

namespace {
constexpr uint32_t kPermissionBits = 0777;
constexpr int kMaxIndex = 1 << IpcTable::kIndexBits;
constexpr uint16_t kMaxSequence = UINT16_MAX;
}  // namespace

Result<void> check_ipc_access(const IpcPermission& object, const UserCredentials& who,
                              uint32_t flags) {
  const uint32_t requested = (flags >> 6 | flags >> 3 | flags) & 7;
  uint32_t granted = object.mode;
  if (who.euid == object.cuid || who.euid == object.uid) {
    granted >>= 6;
  } else if (who.files.in_group(object.cgid) || who.files.in_group(object.gid)) {
    granted >>= 3;
  }
  if ((requested & ~granted) != 0 && !who.has(kCapIpcOwner)) return Errno::kAcces;
  return {};
}

Result<void> check_ipc_owner(const IpcPermission& object, const UserCredentials& who) {
  if (who.euid == object.cuid || who.euid == object.uid || who.has(kCapSysAdmin)) return {};
  return Errno::kPerm;
}

Result<void> change_ipc_owner(IpcPermission& object, uint32_t uid, uint32_t gid, uint32_t mode) {
  if (uid == UINT32_MAX || gid == UINT32_MAX) return Errno::kInval;
  object.uid = uid;
  object.gid = gid;
  object.mode = (object.mode & ~kPermissionBits) | (mode & kPermissionBits);
  return {};
}

int64_t ipc_time() { return static_cast<int64_t>(realtime_now() / 1'000'000'000); }

Result<RefPtr<IpcObject>> IpcTable::at(int index) const {
  if (index < 0) return Errno::kInval;
  const size_t slot = static_cast<size_t>(index) & ((size_t{1} << kIndexBits) - 1);  // of an id too
  if (slot >= slots_.size()) return Errno::kInval;
  const RefPtr<IpcObject>& object = slots_[slot];
  if (object == nullptr) return Errno::kInval;
  return object;
}

Result<RefPtr<IpcObject>> IpcTable::find(int id) const {
  if (id < 0) return Errno::kInval;
  RefPtr<IpcObject> object = TRY(at(id & (kMaxIndex - 1)));
  if (object->id != id) return Errno::kInval;
  return object;
}

IpcObject* IpcTable::find_key(int key) const {
  for (const RefPtr<IpcObject>& object : slots_) {
    if (object != nullptr && object->permission.key == key) return object.get();
  }
  return nullptr;
}

// The lowest free index; when it does not grow, a new sequence begins, as on Linux.
Result<int> IpcTable::add(RefPtr<IpcObject> object, int key, uint32_t flags,
                          const UserCredentials& creator, size_t limit) {
  if (count_ >= limit) return Errno::kNoSpc;
  size_t index = 0;
  while (index < slots_.size() && slots_[index] != nullptr) ++index;
  if (index == slots_.size()) TRY(slots_.push(nullptr));
  if (static_cast<int>(index) <= last_index_)
    sequence_ = sequence_ == kMaxSequence ? 0 : static_cast<uint16_t>(sequence_ + 1);
  last_index_ = static_cast<int>(index);
  object->id = (sequence_ << kIndexBits) + static_cast<int>(index);
  object->permission = {.key = key,
                        .uid = creator.euid,
                        .gid = creator.egid,
                        .cuid = creator.euid,
                        .cgid = creator.egid,
                        .mode = flags & kPermissionBits,
                        .sequence = sequence_};
  const int id = object->id;
  slots_[index] = std::move(object);
  ++count_;
  return id;
}

void IpcTable::remove(IpcObject& object) {
  object.removed = true;
  --count_;
  slots_[static_cast<size_t>(object.id & (kMaxIndex - 1))] = nullptr;
}

int IpcTable::highest_index() const {
  for (size_t index = slots_.size(); index != 0; --index) {
    if (slots_[index - 1] != nullptr) return static_cast<int>(index - 1);
  }
  return 0;
}

}  // namespace occlum
