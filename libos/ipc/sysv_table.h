// What the three kinds of System V IPC have in common (sysvipc(7)): keys, identifiers, permissions.
//
// An identifier is an index into a table and, above it, a sequence number that changes when an index
// is used again, so that an old identifier is not taken for a new object. The tables lie under one
// spin lock for each kind, in their owners.
#pragma once

#include <cstdint>

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/process/credentials.h"

namespace occlum {

// *get(2)'s flags, *ctl(2)'s commands.
constexpr int kIpcPrivate = 0;
constexpr uint32_t kIpcCreate = 01000, kIpcExclusive = 02000, kIpcNoWait = 04000;
constexpr int kIpcRemove = 0, kIpcSet = 1, kIpcStat = 2, kIpcInfo = 3;
constexpr uint32_t kIpcMayRead = 0444, kIpcMayWrite = 0222, kIpcMayExecute = 0111;

struct IpcPermission {
  int key = kIpcPrivate;
  uint32_t uid = 0, gid = 0;    // owner
  uint32_t cuid = 0, cgid = 0;  // creator
  uint32_t mode = 0;
  uint16_t sequence = 0;
};

// kAcces unless `who` may do what the permission bits in `flags` ask for, in whichever class.
Result<void> check_ipc_access(const IpcPermission& object, const UserCredentials& who,
                              uint32_t flags);
// For IPC_SET and IPC_RMID: kPerm unless `who` is owner, creator or CAP_SYS_ADMIN.
Result<void> check_ipc_owner(const IpcPermission& object, const UserCredentials& who);
// IPC_SET's part. kInval for an invalid id.
Result<void> change_ipc_owner(IpcPermission& object, uint32_t uid, uint32_t gid, uint32_t mode);

// Whole seconds since the epoch.
int64_t ipc_time();

// Base of the objects.
struct IpcObject : RefCounted<IpcObject> {
  virtual ~IpcObject() = default;
  IpcPermission permission;
  int id = -1;
  bool removed = false;  // out of the table: kIdRm to those who waited
};

class IpcTable {
 public:
  static constexpr int kIndexBits = 15;  // IPCMNI is 32768

  // kInval.
  Result<RefPtr<IpcObject>> find(int id) const;
  // By index, for *_STAT. kInval.
  Result<RefPtr<IpcObject>> at(int index) const;
  IpcObject* find_key(int key) const;
  // Fills in permission and id. kNoSpc when `limit` objects are there, kNoMem.
  Result<int> add(RefPtr<IpcObject> object, int key, uint32_t flags, const UserCredentials& creator,
                  size_t limit);
  void remove(IpcObject& object);
  size_t count() const { return count_; }
  // The highest index in use; 0 when there is none.
  int highest_index() const;
  size_t size() const { return slots_.size(); }
  IpcObject* slot(size_t index) const { return slots_[index].get(); }

 private:
  Vec<RefPtr<IpcObject>> slots_;
  size_t count_ = 0;
  int last_index_ = -1;
  uint16_t sequence_ = 0;
};

// *get(2): finds the object of `key` or has `make()` make one, which adds it and returns its id.
// `check(object)` may refuse what was found.
template <typename Check, typename Make>
Result<int> get_ipc_object(IpcTable& table, int key, uint32_t flags, const UserCredentials& who,
                           Check check, Make make) {
  IpcObject* const found = key == kIpcPrivate ? nullptr : table.find_key(key);
  if (found == nullptr) {
    if (key != kIpcPrivate && (flags & kIpcCreate) == 0) return Errno::kNoEnt;
    return make();
  }
  if ((flags & kIpcCreate) != 0 && (flags & kIpcExclusive) != 0) return Errno::kExist;
  TRY(check(*found));
  TRY(check_ipc_access(found->permission, who, flags));
  return found->id;
}

}  // namespace occlum
