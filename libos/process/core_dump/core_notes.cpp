#include "libos/process/core_dump/core_notes.h"

#include <algorithm>
#include <array>

#include "libos/lib/bits.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/registers.h"
#include "libos/process/signals/frame.h"

namespace occlum {
namespace {

enum class NoteType : uint32_t {
  kStatus = 1,
  kFloat = 2,
  kProcess = 3,
  kAuxiliary = 6,
  kXstate = 0x202,
  kFiles = 0x46494c45,
  kSignal = 0x53494749,
};

constexpr uint64_t kNoteAlignment = 4;
struct NoteHeader {
  uint32_t name_size, size;
  NoteType type;
  std::array<char, 8> name;  // both names that there are take as much
};
static_assert(sizeof(NoteHeader) == 20);

constexpr uint64_t note_size(uint64_t content) {
  return sizeof(NoteHeader) + align_up(content, kNoteAlignment);
}

Result<void> write_note(CoreWriter& writer, NoteType type, std::span<const std::byte> content) {
  NoteHeader header{.name_size = 5,
                    .size = static_cast<uint32_t>(content.size()),
                    .type = type,
                    .name = {'C', 'O', 'R', 'E'}};
  if (type == NoteType::kXstate) {
    header.name_size = 6;
    header.name = {'L', 'I', 'N', 'U', 'X'};
  }
  TRY(writer.write_object(header));
  TRY(writer.write(content));
  constexpr std::array<std::byte, kNoteAlignment> kZeroes = {};
  const uint64_t padding = align_up(content.size(), kNoteAlignment) - content.size();
  return writer.write(std::span(kZeroes).first(padding));
}

struct TimeValue {
  int64_t seconds, microseconds;
};
constexpr TimeValue time_value(uint64_t nanoseconds) {
  return {.seconds = static_cast<int64_t>(nanoseconds / 1'000'000'000),
          .microseconds = static_cast<int64_t>(nanoseconds % 1'000'000'000 / 1000)};
}

struct ThreadStatus {  // struct elf_prstatus
  int32_t signal, code, error;
  int16_t current_signal;
  std::array<uint8_t, 2> padding;
  uint64_t pending, blocked;
  Pid id, parent, group, session;
  TimeValue user_time, system_time, children_user_time, children_system_time;
  ptrace::RegisterWords registers;
  int32_t has_float;
  uint32_t padding_behind;
};
static_assert(sizeof(ThreadStatus) == 336);

struct ProcessStatus {  // struct elf_prpsinfo
  char state, state_name, is_zombie, nice;
  std::array<uint8_t, 4> padding;
  uint64_t flags;
  uint32_t uid, gid;
  Pid id, parent, group, session;
  std::array<char, 16> name;
  std::array<char, 80> arguments;
};
static_assert(sizeof(ProcessStatus) == 136);

ThreadStatus status_of(Thread& thread, const SignalInfo& info) {
  Process& process = thread.process();
  const ResourceUsage usage = thread.is_leader() ? process.usage() : thread_usage(thread);
  const ResourceUsage children = process.children_usage();
  ThreadStatus status = {};
  status.signal = info.signal;
  status.code = info.code;
  status.error = info.error;
  status.current_signal = static_cast<int16_t>(info.signal);
  status.pending =
      thread.own_pending().with([](PendingSignals& pending) { return pending.set(); }).bits();
  status.blocked = thread.signal_mask().bits();
  status.id = thread.tid();
  status.parent = process.parent_pid();
  status.group = process.group_id();
  status.session = process.session_id();
  status.user_time = time_value(usage.user_time);
  status.system_time = time_value(usage.system_time);
  status.children_user_time = time_value(children.user_time);
  status.children_system_time = time_value(children.system_time);
  status.registers = ptrace::words_of(thread.context().user_registers());
  status.has_float = 1;
  return status;
}

bool is_of_file(const Area& area) {
  return area.object != nullptr && area.name.view().starts_with('/');
}

Result<void> add_word(Vec<std::byte>& out, uint64_t word) { return out.append(object_bytes(word)); }

// NT_FILE: how many, the page size; of each start, end and offset in pages; then the names.
Result<Vec<std::byte>> list_files(std::span<const DumpedArea> areas) {
  Vec<std::byte> list;
  const auto count = std::ranges::count_if(
      areas, [](const DumpedArea& dumped) { return is_of_file(dumped.area); });
  TRY(add_word(list, static_cast<uint64_t>(count)));
  TRY(add_word(list, kPageSize));
  for (const auto& [area, size] : areas) {
    if (!is_of_file(area)) continue;
    TRY(add_word(list, area.start));
    TRY(add_word(list, area.end));
    TRY(add_word(list, area.offset / kPageSize));
  }
  for (const auto& [area, size] : areas) {
    if (!is_of_file(area)) continue;
    TRY(list.append(text_bytes(area.name.view())));
    TRY(list.push(std::byte{0}));
  }
  return list;
}

// Those that wait for the dump, behind the one that makes it.
Result<Vec<RefPtr<Thread>>> list_threads(Thread& self) {
  Vec<RefPtr<Thread>> threads;
  TRY(threads.push(ref_to(self)));
  for (RefPtr<Thread>& thread : TRY(self.process().threads())) {
    const bool waits = process_tree().with([&](ProcessTree&) { return !thread->is_past_dump; });
    if (thread.get() != &self && waits) TRY(threads.push(std::move(thread)));
  }
  return threads;
}

Result<String> list_arguments(const Process& process) {
  String arguments = TRY(process.command_line());
  arguments.truncate(std::min<size_t>(arguments.size(), sizeof(ProcessStatus::arguments) - 1));
  std::ranges::replace(arguments.span(), '\0', ' ');
  return arguments;
}

}  // namespace

Result<CoreNotes> CoreNotes::create(Thread& self, const SignalInfo& info,
                                    std::span<const DumpedArea> areas) {
  CoreNotes notes;
  notes.memory_ = self.share_memory();
  notes.threads_ = TRY(list_threads(self));
  notes.info_ = info;
  notes.arguments_ = TRY(list_arguments(self.process()));
  notes.file_list_ = TRY(list_files(areas));
  return notes;
}

uint64_t CoreNotes::size() const {
  const uint64_t each =
      note_size(sizeof(ThreadStatus)) + note_size(ptrace::kFloatSize) + note_size(xstate_size());
  return threads_.size() * each + note_size(sizeof(ProcessStatus)) +
         note_size(sizeof(UserSignalInfo)) + note_size(memory_->auxv.size() * sizeof(uint64_t)) +
         note_size(file_list_.size());
}

// The process's notes stand between the first thread's, where gdb looks for them.
Result<void> CoreNotes::write(CoreWriter& writer) const {
  for (const RefPtr<Thread>& thread : threads_) TRY(write_thread(writer, *thread));
  return {};
}

Result<void> CoreNotes::write_thread(CoreWriter& writer, Thread& thread) const {
  const ThreadStatus status = status_of(thread, info_);
  TRY(write_note(writer, NoteType::kStatus, object_bytes(status)));
  if (&thread == threads_.span().front().get()) TRY(write_process(writer));
  auto xstate = TRY(Vec<std::byte>::create(xstate_size()));
  const std::span<std::byte> bytes = xstate.span();
  TRY(ptrace::copy_xstate(thread.context(), bytes.first(ptrace::kFloatSize)));
  TRY(write_note(writer, NoteType::kFloat, bytes.first(ptrace::kFloatSize)));
  TRY(ptrace::copy_xstate(thread.context(), bytes));
  return write_note(writer, NoteType::kXstate, bytes);
}

Result<void> CoreNotes::write_process(CoreWriter& writer) const {
  Thread& self = *threads_.span().front();
  const Process& process = self.process();
  ProcessStatus status = {};
  status.state_name = 'R';
  status.nice = process.any_thread()->scheduling().nice;
  status.uid = self.user().uid;
  status.gid = self.user().gid;
  status.id = process.pid();
  status.parent = process.parent_pid();
  status.group = process.group_id();
  status.session = process.session_id();
  status.name = process.name().text;
  copy_text(status.arguments, arguments_.view());
  TRY(write_note(writer, NoteType::kProcess, object_bytes(status)));
  const UserSignalInfo info{.info = info_};
  TRY(write_note(writer, NoteType::kSignal, object_bytes(info)));
  TRY(write_note(writer, NoteType::kAuxiliary, std::as_bytes(memory_->auxv.span())));
  return write_note(writer, NoteType::kFiles, file_list_.span());
}

}  // namespace occlum
