// System V semaphores (semget(2), semop(2), semctl(2)), with undo.
#pragma once

#include <span>

#include "libos/ipc/semaphore_undo.h"
#include "libos/ipc/sysv_table.h"
#include "libos/process/pid.h"
#include "libos/sched/task.h"

namespace occlum {

struct SemaphoreOperation {  // sembuf
  uint16_t number;
  int16_t change;
  int16_t flags;
};
static_assert(sizeof(SemaphoreOperation) == 6);

struct SemaphoreSetStatus {
  IpcPermission permission;
  int id = 0;
  int64_t operation_time = 0, change_time = 0;
  uint64_t count = 0;
};

namespace sysv_semaphores {

constexpr int kMaxPerSet = 32000;       // SEMMSL
constexpr size_t kMaxSets = 32000;      // SEMMNI
constexpr size_t kMaxOperations = 500;  // SEMOPM
constexpr int kMaxValue = 32767;        // SEMVMX
constexpr int kUndo = 0x1000;

Result<int> get(int key, int count, uint32_t flags, const UserCredentials& who);
// All of the operations or none, by the process `pid`; `undo` is needed when one has SEM_UNDO.
// kAgain (IPC_NOWAIT, or `deadline`), kIntr, kIdRm, kFBig, kRange.
Result<void> operate(int id, std::span<const SemaphoreOperation> operations, Nanoseconds deadline,
                     Pid pid, const SemaphoreUndo* undo, const UserCredentials& who);

struct Semaphore {
  uint16_t value = 0;
  Pid last = 0;  // who operated on it last
};
Result<Semaphore> semaphore(int id, int number, const UserCredentials& who);
enum class Wanted { kIncrease, kZero };
// How many tasks wait at this semaphore for it to become larger, or zero.
Result<int> waiting(int id, int number, Wanted wanted, const UserCredentials& who);
Result<Vec<uint16_t>> values(int id, const UserCredentials& who);
Result<void> set_value(int id, int number, int value, Pid setter, const UserCredentials& who);
// How many values SETALL takes: asked first, with its check of permission.
Result<size_t> count_for_set(int id, const UserCredentials& who);
Result<void> set_values(int id, std::span<const uint16_t> values, Pid setter,
                        const UserCredentials& who);
Result<void> change(int id, uint32_t uid, uint32_t gid, uint32_t mode, const UserCredentials& who);
Result<void> remove(int id, const UserCredentials& who);
enum class Lookup { kById, kByIndex, kByIndexUnchecked };
Result<SemaphoreSetStatus> status(int id, Lookup lookup, const UserCredentials& who);

struct Totals {
  int highest_index = 0;
  int sets = 0, semaphores = 0;
};
Totals totals();
Result<Vec<SemaphoreSetStatus>> all();

}  // namespace sysv_semaphores
}  // namespace occlum
