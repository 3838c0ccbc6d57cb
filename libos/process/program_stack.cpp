#include "libos/process/program_stack.h"

#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"
#include "libos/lib/memory.h"

namespace occlum {
namespace {

constexpr std::string_view kPlatform{"x86_64\0", 7};

// Writes words upwards, from the stack pointer.
class WordWriter {
 public:
  explicit WordWriter(std::span<std::byte> out) : out_(out) {}
  void put(uint64_t word) {
    store_le<uint64_t>(out_, word);
    out_ = out_.subspan(sizeof(word));
  }
  // The addresses of NUL-terminated strings that lie one after the other from `address`, and a NULL.
  void put_addresses(std::string_view strings, uint64_t address) {
    while (!strings.empty()) {
      put(address);
      const size_t length = strings.find('\0') + 1;
      address += length;
      strings.remove_prefix(length);
    }
    put(0);
  }

 private:
  std::span<std::byte> out_;
};

}  // namespace

uint64_t program_stack_bytes(const ArgumentList& argv, const ArgumentList& env,
                             std::string_view file_name) {
  constexpr uint64_t kRest = kPageSize;  // words of a number that does not change, and what aligns
  const uint64_t strings = argv.bytes() + env.bytes() + file_name.size();
  return strings + (argv.count() + env.count()) * sizeof(uint64_t) + kRest;
}

Result<ProgramStack> build_program_stack(uint64_t top, const ArgumentList& argv,
                                         const ArgumentList& env, std::string_view file_name,
                                         std::span<const AuxEntry> aux,
                                         std::array<std::byte, 16> random) {
  ProgramStack stack;
  const uint64_t name_start = top - sizeof(uint64_t) - (file_name.size() + 1);
  stack.env_end = name_start;
  stack.env_start = stack.env_end - env.bytes();
  stack.args_end = stack.env_start;
  stack.args_start = stack.args_end - argv.bytes();
  const uint64_t platform = align_down(stack.args_start, 16) - kPlatform.size();
  const uint64_t random_start = platform - random.size();

  for (const AuxEntry& entry : aux) {
    TRY(stack.auxv.push(entry.type));
    TRY(stack.auxv.push(entry.value));
  }
  for (const AuxEntry& entry : {AuxEntry{kAtRandom, random_start}, AuxEntry{kAtExecfn, name_start},
                                AuxEntry{kAtPlatform, platform}, AuxEntry{kAtNull, 0}}) {
    TRY(stack.auxv.push(entry.type));
    TRY(stack.auxv.push(entry.value));
  }

  const size_t words = 1 + (argv.count() + 1) + (env.count() + 1) + stack.auxv.size();
  stack.stack_pointer = align_down(align_down(random_start, 16) - words * sizeof(uint64_t), 16);
  TRY(stack.bytes.resize(top - stack.stack_pointer));

  const std::span<std::byte> all = stack.bytes.span();
  const auto at = [&](uint64_t address) { return all.subspan(address - stack.stack_pointer); };
  WordWriter writer(all);
  writer.put(argv.count());
  writer.put_addresses(argv.text(), stack.args_start);
  writer.put_addresses(env.text(), stack.env_start);
  for (const uint64_t word : stack.auxv) writer.put(word);
  copy_bytes(at(random_start), random);
  copy_bytes(at(platform), text_bytes(kPlatform));
  copy_bytes(at(stack.args_start), text_bytes(argv.text()));
  copy_bytes(at(stack.env_start), text_bytes(env.text()));
  copy_bytes(at(name_start), text_bytes(file_name));
  return stack;
}

}  // namespace occlum
