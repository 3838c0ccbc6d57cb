// /proc/sysvipc (sysvipc(7)) and /proc/sys/fs/mqueue (mq_overview(7)).
#include <array>

#include "libos/fs/proc/proc_nodes.h"
#include "libos/ipc/message_queue.h"
#include "libos/ipc/sysv_memory.h"
#include "libos/ipc/sysv_messages.h"
#include "libos/ipc/sysv_semaphores.h"
#include "libos/lib/text.h"

namespace occlum {

namespace {

// Decimal with its sign, right-aligned.
ProcText& integer(ProcText& out, int value, size_t width) {
  if (value >= 0) return out.decimal(static_cast<uint64_t>(value), width);
  std::array<char, 16> text = {};
  const std::string_view digits = format_to(text, "{}", value);
  for (size_t i = digits.size(); i < width; ++i) out.text(" ");
  return out.text(digits);
}

// "%10d %10d  %4o "
void identity(ProcText& out, const IpcPermission& permission, int id) {
  integer(out, permission.key, 10).text(" ").decimal(static_cast<uint64_t>(id), 10).text("  ");
  for (uint32_t rest = 01000; permission.mode < rest && rest > 1; rest >>= 3) out.text(" ");
  out.octal(permission.mode).text(" ");
}

// The four ids, "%5u" each.
void owners(ProcText& out, const IpcPermission& permission) {
  for (const uint32_t id : {permission.uid, permission.gid, permission.cuid, permission.cgid})
    out.text(" ").decimal(id, 5);
}

void time(ProcText& out, int64_t seconds) {
  out.text(" ").decimal(static_cast<uint64_t>(seconds), 10);
}

void number(ProcText& out, Pid pid) { out.text(" ").decimal(static_cast<uint64_t>(pid), 5); }

Result<void> messages_text(const Subject&, ProcText& out) {
  out.text(
      "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      "
      "stime      rtime      ctime\n");
  for (const MessageQueueStatus& queue : TRY(sysv_messages::all())) {
    identity(out, queue.permission, queue.id);
    out.text(" ").decimal(queue.bytes, 10).text(" ").decimal(queue.messages, 10);
    number(out, queue.last_sender);
    number(out, queue.last_receiver);
    owners(out, queue.permission);
    time(out, queue.send_time);
    time(out, queue.receive_time);
    time(out, queue.change_time);
    out.text("\n");
  }
  return {};
}

Result<void> semaphores_text(const Subject&, ProcText& out) {
  out.text(
      "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
  for (const SemaphoreSetStatus& set : TRY(sysv_semaphores::all())) {
    identity(out, set.permission, set.id);
    out.decimal(set.count, 10);
    owners(out, set.permission);
    time(out, set.operation_time);
    time(out, set.change_time);
    out.text("\n");
  }
  return {};
}

Result<void> segments_text(const Subject&, ProcText& out) {
  out.text(
      "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
      "cgid      atime      dtime      ctime                   rss                  swap\n");
  for (const SegmentStatus& segment : TRY(sysv_memory::all())) {
    identity(out, segment.permission, segment.id);
    out.decimal(segment.size, 21);
    number(out, segment.creator);
    number(out, segment.last);
    out.text("  ").decimal(segment.attached, 5);
    owners(out, segment.permission);
    time(out, segment.attach_time);
    time(out, segment.detach_time);
    time(out, segment.change_time);
    out.text(" ").decimal(segment.resident_bytes, 21).text(" ").decimal(0, 21).text("\n");
  }
  return {};
}

constexpr std::array kSysvEntries = {proc_file("msg", messages_text),
                                     proc_file("sem", semaphores_text),
                                     proc_file("shm", segments_text)};

template <uint64_t QueueLimits::* kMember>
Result<void> limit_text(const Subject&, ProcText& out) {
  out.add("{}\n", queue_limits().*kMember);
  return {};
}

template <QueueLimit kWhich>
Result<void> write_limit(const Subject&, std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return set_queue_limit(kWhich, TRY(parse_u64(text)));
}

constexpr std::array kQueueEntries = {
    proc_file("msg_default", limit_text<&QueueLimits::default_messages>, 0644,
              write_limit<QueueLimit::kDefaultMessages>),
    proc_file("msg_max", limit_text<&QueueLimits::messages>, 0644,
              write_limit<QueueLimit::kMessages>),
    proc_file("msgsize_default", limit_text<&QueueLimits::default_message_size>, 0644,
              write_limit<QueueLimit::kDefaultMessageSize>),
    proc_file("msgsize_max", limit_text<&QueueLimits::message_size>, 0644,
              write_limit<QueueLimit::kMessageSize>),
    proc_file("queues_max", limit_text<&QueueLimits::queues>, 0644,
              write_limit<QueueLimit::kQueues>)};

}  // namespace

std::span<const ProcEntry> sysv_ipc_entries() { return kSysvEntries; }
std::span<const ProcEntry> message_queue_entries() { return kQueueEntries; }

}  // namespace occlum
