// Mapping a program: segments, .bss, stack, heap and the auxiliary vector.
#include "libos/process/program_loader.h"

#include <algorithm>

#include "libos/arch/arch.h"
#include "libos/lib/bits.h"
#include "libos/lib/random.h"
#include "libos/mm/stack_growth.h"
#include "libos/process/program_stack.h"
#include "libos/process/rewrite/rewrite.h"
#include "libos/process/rlimit.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/restartable.h"
#include "libos/process/vdso_mapping.h"

namespace occlum {
namespace {

// The stack's area when the program starts: so much below its strings (setup_arg_pages() of Linux).
constexpr uint64_t kFirstStack = 128 * 1024;

Result<void> map_fixed(AddressSpace& memory, uint64_t start, uint64_t end, Prot prot,
                       MapSource source) {
  if (start == end) return {};
  MapRequest request;
  request.address = start;
  request.length = end - start;
  request.prot = prot;
  request.placement = Placement::kFixed;
  request.source = std::move(source);
  TRY(memory.map(std::move(request)));
  return {};
}

// Reserves the whole span of the image, so that nothing comes between its segments. Returns what to add to its
// addresses.
Result<uint64_t> reserve_image(AddressSpace& memory, const ElfImage& image) {
  const uint64_t size = image.end - image.start;
  MapRequest request;
  request.prot = Prot::kNone;
  if (image.type == ElfType::kExecutable) {
    request.address = image.start;
    request.length = size;
    request.placement = Placement::kFixedNoReplace;
    TRY(memory.map(std::move(request)));
    return 0;
  }
  // More than needed, so that p_align can be met; the rest goes back.
  const uint64_t slack = image.alignment - kPageSize;
  request.length = size + slack;
  request.room_behind = kRoomForStubs;
  const uint64_t got = TRY(memory.map(std::move(request)));
  const uint64_t start = got + ((image.start - got) & (image.alignment - 1));
  if (start > got) TRY(memory.unmap(got, start - got));
  if (start + size < got + size + slack) TRY(memory.unmap(start + size, got + slack - start));
  return start - image.start;
}

Result<void> map_segment(AddressSpace& memory, const ElfFile& elf, const ElfSegment& segment,
                         uint64_t bias) {
  const uint64_t address = segment.address + bias;
  const uint64_t first_page = align_down(address, kPageSize);
  const uint64_t file_end = address + segment.file_size;
  const uint64_t end = align_up(address + segment.memory_size, kPageSize);
  uint64_t mapped = first_page;
  if (segment.file_size != 0) {
    mapped = align_up(file_end, kPageSize);
    const uint64_t offset = align_down(segment.offset, kPageSize);
    MapSource source = TRY(elf.file->map_source(offset, mapped - first_page, false, segment.prot));
    TRY(map_fixed(memory, first_page, mapped, segment.prot, std::move(source)));
    // .bss starts within the last page of the file's part. Where it cannot be written, Linux leaves it as well.
    const bool has_tail = segment.memory_size > segment.file_size && mapped > file_end;
    if (has_tail && has(segment.prot, Prot::kWrite)) {
      TRY(zero_user(memory, UserAddress(file_end), mapped - file_end));
    }
  }
  if (end > mapped) TRY(map_fixed(memory, mapped, end, segment.prot, {}));
  return {};
}

Result<uint64_t> map_image(AddressSpace& memory, const ElfFile& elf) {
  const uint64_t bias = TRY(reserve_image(memory, elf.image));
  uint64_t covered = elf.image.start + bias;
  for (const ElfSegment& segment : elf.image.segments) {
    const uint64_t start = align_down(segment.address + bias, kPageSize);
    if (start > covered) TRY(memory.unmap(covered, start - covered));
    TRY(map_segment(memory, elf, segment, bias));
    covered = align_up(segment.end() + bias, kPageSize);
  }
  return bias;
}

// What /proc/<pid>/stat and prctl(PR_SET_MM) tell.
void note_layout(AddressSpace::Layout& layout, const ElfImage& image, uint64_t bias) {
  layout.code_start = image.segments.first().address + bias;
  for (const ElfSegment& segment : image.segments) {
    if (has(segment.prot, Prot::kExec))
      layout.code_end = std::max(layout.code_end, segment.file_end() + bias);
    layout.data_start = segment.address + bias;
    layout.data_end = std::max(layout.data_end, segment.file_end() + bias);
  }
}

// The end of the stack. It grows later, to what its limit is by then.
Result<uint64_t> map_stack(AddressSpace& memory, const Executable& executable) {
  const std::string_view name = executable.file_name.view();
  const uint64_t strings = executable.argv.bytes() + executable.env.bytes() + name.size();
  const uint64_t content = program_stack_bytes(executable.argv, executable.env, name);
  const uint64_t limit = executable.stack_limit;
  const bool is_executable = executable.program.image.has_executable_stack;
  const uint64_t size =
      std::max(align_up(content, kPageSize),
               std::min(align_up(strings, kPageSize) + kFirstStack, align_down(limit, kPageSize)));
  MapRequest request;
  request.length = size;
  request.room_behind = stack_room(limit);
  request.prot = Prot::kRead | Prot::kWrite | (is_executable ? Prot::kExec : Prot::kNone);
  request.grows_down = true;
  request.source.name = TRY(String::create("[stack]"));
  return TRY(memory.map(std::move(request))) + size;
}

// AT_HWCAP2 keeps FSGSBASE off: GS is the LibOS's while a program runs, so no program may use wrgsbase; those that
// want FS have arch_prctl(2).
Result<Vec<AuxEntry>> make_aux(const Executable& executable, uint64_t bias,
                               uint64_t interpreter_base, uint64_t vdso,
                               const UserCredentials& user, bool is_secure) {
  const ElfImage& image = executable.program.image;
  constexpr uint64_t kTicksPerSecond = 100;
  const AuxEntry entries[] = {
      {kAtSysinfoEhdr, vdso},
      {kAtMinsigstksz, minimum_signal_stack_size()},
      {kAtHwcap, cpuid(1, 0).edx},
      {kAtPagesz, kPageSize},
      {kAtClktck, kTicksPerSecond},
      {kAtPhdr, image.headers_address == 0 ? 0 : image.headers_address + bias},
      {kAtPhent, kElfProgramHeaderSize},
      {kAtPhnum, image.header_count},
      {kAtBase, interpreter_base},
      {kAtFlags, 0},
      {kAtEntry, image.entry + bias},
      {kAtUid, user.uid},
      {kAtEuid, user.euid},
      {kAtGid, user.gid},
      {kAtEgid, user.egid},
      {kAtSecure, is_secure ? uint64_t{1} : 0},
      {kAtHwcap2, 0},
      {kAtRseqFeatureSize, kRseqFeatureSize},
      {kAtRseqAlign, kRseqAlign},
  };
  return Vec<AuxEntry>::copy_of(entries);
}

}  // namespace

Result<LoadedProgram> load_program(AddressSpace& memory, const Executable& executable,
                                   const UserCredentials& credentials, bool is_secure) {
  const ElfFile& program = executable.program;
  TRY(prepare_rewriting(memory));
  const uint64_t bias = TRY(map_image(memory, program));
  note_layout(memory.layout, program.image, bias);
  prepare_text(memory, memory.layout.code_start);
  LoadedProgram loaded{.entry = program.image.entry + bias, .stack_pointer = 0};
  uint64_t interpreter_base = 0;
  if (executable.interpreter) {
    const uint64_t interpreter_bias = TRY(map_image(memory, *executable.interpreter));
    interpreter_base = executable.interpreter->image.start + interpreter_bias;
    loaded.entry = executable.interpreter->image.entry + interpreter_bias;
  }

  const uint64_t top = TRY(map_stack(memory, executable));
  TRY(memory.create_heap());
  const uint64_t vdso = TRY(map_vdso(memory));
  const Vec<AuxEntry> aux =
      TRY(make_aux(executable, bias, interpreter_base, vdso, credentials, is_secure));
  std::array<std::byte, 16> random;
  random_bytes(random);
  ProgramStack stack = TRY(build_program_stack(top, executable.argv, executable.env,
                                               executable.file_name.view(), aux.span(), random));
  TRY(copy_to_user(memory, UserAddress(stack.stack_pointer), stack.bytes.span()));
  loaded.stack_pointer = stack.stack_pointer;

  AddressSpace::Layout& layout = memory.layout;
  layout.brk_start = memory.set_break(0);
  layout.stack_top = stack.stack_pointer;
  layout.args_start = stack.args_start, layout.args_end = stack.args_end;
  layout.env_start = stack.env_start, layout.env_end = stack.env_end;
  memory.auxv = std::move(stack.auxv);
  return loaded;
}

}  // namespace occlum
