#include "image/elf_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "abi/enclave_image.h"
#include "sgx/arch.h"

namespace image {
namespace {

constexpr uint64_t kPage = sgx::kPageSize;
constexpr uint64_t page_down(uint64_t value) { return value & ~(kPage - 1); }
constexpr uint64_t page_up(uint64_t value) { return page_down(value + kPage - 1); }

class ElfReader {
 public:
  ElfReader(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  Result<LibosImage> read() {
    IMAGE_TRY(read_header());
    IMAGE_TRY(read_segments());
    IMAGE_TRY(cut_out_tcs());
    IMAGE_TRY(check_tcs());
    return std::move(image_);
  }

 private:
  template <typename... Args>
  std::unexpected<std::string> refuse(fmt::format_string<Args...> format, Args&&... args) const {
    return fail("{} {}", name_, fmt::format(format, std::forward<Args>(args)...));
  }

  // The `size` bytes at `offset`, if the file has them.
  std::optional<std::string_view> slice(uint64_t offset, uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return std::nullopt;
    return bytes_.substr(offset, size);
  }

  template <typename T>
  std::optional<T> load(uint64_t offset) const {
    auto raw = slice(offset, sizeof(T));
    if (!raw) return std::nullopt;
    T value;
    std::memcpy(&value, raw->data(), sizeof value);
    return value;
  }

  Result<void> read_header() {
    if (!bytes_.starts_with(std::string_view(ELFMAG, SELFMAG))) {
      return refuse("is not an ELF file");
    }
    auto header = load<Elf64_Ehdr>(0);
    if (!header) return refuse("is truncated");
    header_ = *header;
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
        header_.e_machine != EM_X86_64) {
      return refuse("is not an ELF file for x86-64");
    }
    if (header_.e_type == ET_DYN) {
      return refuse(
          "is position-independent or shared: the LibOS must be linked statically at {:#x}",
          abi::kLibosImageBase);
    }
    if (header_.e_type != ET_EXEC) return refuse("is not an executable");
    if (header_.e_phentsize != sizeof(Elf64_Phdr) || header_.e_phnum == 0) {
      return refuse("has no program headers");
    }
    if (!slice(header_.e_phoff, uint64_t{header_.e_phnum} * sizeof(Elf64_Phdr))) {
      return refuse("is truncated: it ends before its program headers");
    }
    return {};
  }

  Result<void> read_segments() {
    for (unsigned i = 0; i < header_.e_phnum; ++i) {
      auto program = *load<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr));
      if (program.p_type == PT_INTERP || program.p_type == PT_DYNAMIC) {
        return refuse("is linked dynamically: the LibOS must be linked statically at {:#x}",
                      abi::kLibosImageBase);
      }
      if (program.p_type == PT_LOAD && program.p_memsz != 0) IMAGE_TRY(add_segment(program));
    }
    if (image_.segments.empty()) return refuse("has nothing to load");
    std::ranges::sort(image_.segments, {}, &EnclaveSegment::address);
    for (size_t i = 1; i < image_.segments.size(); ++i) {
      const EnclaveSegment& below = image_.segments[i - 1];
      if (below.address + below.memory_size > image_.segments[i].address) {
        return refuse(
            "has two segments in the page at {:#x}: link it with -z "
            "separate-loadable-segments",
            image_.segments[i].address);
      }
    }
    return {};
  }

  Result<void> add_segment(const Elf64_Phdr& program) {
    uint64_t end;
    if (__builtin_add_overflow(program.p_vaddr, program.p_memsz, &end) ||
        program.p_vaddr < abi::kLibosImageBase || end > abi::kElrangeSize) {
      return refuse("has a segment at {:#x}, outside of {:#x} to {:#x} where the LibOS belongs",
                    program.p_vaddr, abi::kLibosImageBase, abi::kElrangeSize);
    }
    if (program.p_filesz > program.p_memsz) {
      return refuse("has a segment at {:#x} with more contents than memory", program.p_vaddr);
    }
    auto content = slice(program.p_offset, program.p_filesz);
    if (!content) {
      return refuse("is truncated: it ends before the contents of the segment at {:#x}",
                    program.p_vaddr);
    }
    uint64_t flags = sgx::secinfo_flags::kReg;
    if ((program.p_flags & PF_R) != 0) flags |= sgx::secinfo_flags::kR;
    if ((program.p_flags & PF_W) != 0) flags |= sgx::secinfo_flags::kW;
    if ((program.p_flags & PF_X) != 0) flags |= sgx::secinfo_flags::kX;
    if ((program.p_flags & PF_W) != 0 && (program.p_flags & PF_R) == 0) {
      return refuse("has a segment at {:#x} that can be written but not read", program.p_vaddr);
    }
    if ((program.p_flags & PF_W) != 0 && (program.p_flags & PF_X) != 0) {
      return refuse("has a segment at {:#x} that is both writable and executable", program.p_vaddr);
    }
    EnclaveSegment& segment = image_.segments.emplace_back();
    segment.address = page_down(program.p_vaddr);
    segment.memory_size = page_up(end) - segment.address;
    segment.secinfo_flags = flags;
    // Zero before and behind the contents, whatever the file holds in those places.
    uint64_t head = program.p_vaddr - segment.address;
    if (!content->empty()) {
      segment.content.resize(head + content->size());
      std::memcpy(segment.content.data() + head, content->data(), content->size());
    }
    return {};
  }

  Result<uint64_t> find_tcs() const {
    uint64_t table_size = uint64_t{header_.e_shnum} * sizeof(Elf64_Shdr);
    if (header_.e_shnum == 0 || header_.e_shentsize != sizeof(Elf64_Shdr) ||
        header_.e_shstrndx >= header_.e_shnum) {
      return refuse("has no section headers, so no section .tcs");
    }
    if (!slice(header_.e_shoff, table_size)) {
      return refuse("is truncated: it ends before its section headers");
    }
    auto section = [&](unsigned index) {
      return *load<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr));
    };
    auto names = slice(section(header_.e_shstrndx).sh_offset, section(header_.e_shstrndx).sh_size);
    if (!names) return refuse("is truncated: it ends before its section names");
    std::optional<Elf64_Shdr> found;
    for (unsigned i = 0; i < header_.e_shnum; ++i) {
      Elf64_Shdr candidate = section(i);
      if (candidate.sh_name >= names->size()) continue;
      std::string_view name = names->substr(candidate.sh_name);
      if (name.substr(0, name.find('\0')) != ".tcs") continue;
      if (found) return refuse("has more than one section .tcs");
      found = candidate;
    }
    if (!found) return refuse("has no section .tcs");
    if (found->sh_addr % kPage != 0 || found->sh_size != kPage) {
      return refuse("has a section .tcs that is not exactly one page");
    }
    return found->sh_addr;
  }

  // Splits the segment that holds the page of `.tcs`.
  Result<void> cut_out_tcs() {
    image_.tcs_address = IMAGE_TRY(find_tcs());
    auto holder = std::ranges::find_if(image_.segments, [&](const EnclaveSegment& segment) {
      return image_.tcs_address >= segment.address &&
             image_.tcs_address - segment.address < segment.memory_size;
    });
    if (holder == image_.segments.end()) return refuse("has a section .tcs that is not loaded");
    EnclaveSegment whole = std::move(*holder);
    auto place = image_.segments.erase(holder);
    uint64_t before = image_.tcs_address - whole.address;
    EnclaveSegment parts[] = {part(whole, 0, before), part(whole, before, kPage),
                              part(whole, before + kPage, whole.memory_size - before - kPage)};
    parts[1].secinfo_flags = sgx::secinfo_flags::kTcs;
    for (EnclaveSegment& piece : parts) {
      if (piece.memory_size != 0)
        place = std::next(image_.segments.insert(place, std::move(piece)));
    }
    return {};
  }

  static EnclaveSegment part(const EnclaveSegment& whole, uint64_t offset, uint64_t size) {
    EnclaveSegment piece{.address = whole.address + offset,
                         .memory_size = size,
                         .secinfo_flags = whole.secinfo_flags,
                         .content = {}};
    if (offset < whole.content.size()) {
      uint64_t end = std::min<uint64_t>(whole.content.size(), offset + size);
      piece.content.assign(whole.content.begin() + static_cast<ptrdiff_t>(offset),
                           whole.content.begin() + static_cast<ptrdiff_t>(end));
    }
    return piece;
  }

  const EnclaveSegment* segment_at(uint64_t address) const {
    for (const EnclaveSegment& segment : image_.segments) {
      if (address >= segment.address && address - segment.address < segment.memory_size) {
        return &segment;
      }
    }
    return nullptr;
  }

  // What EENTER would find wrong anyway, found while somebody can still read the message.
  Result<void> check_tcs() const {
    const EnclaveSegment* page = segment_at(image_.tcs_address);
    sgx::Tcs tcs{};
    std::memcpy(&tcs, page->content.data(), std::min(page->content.size(), sizeof tcs));
    if (tcs.nssa != abi::kSsaFrames || tcs.cssa != 0) {
      return refuse("has a TCS with NSSA {} and CSSA {} instead of {} and 0", tcs.nssa, tcs.cssa,
                    abi::kSsaFrames);
    }
    const EnclaveSegment* entry = segment_at(tcs.oentry);
    if (entry == nullptr || (entry->secinfo_flags & sgx::secinfo_flags::kX) == 0) {
      return refuse("has a TCS whose entry point {:#x} is not in executable memory", tcs.oentry);
    }
    uint64_t ssa_size = uint64_t{abi::kSsaFrames} * abi::kSsaFrameSizePages * kPage;
    const EnclaveSegment* ssa = segment_at(tcs.ossa);
    if (tcs.ossa % kPage != 0 || ssa == nullptr ||
        (ssa->secinfo_flags & sgx::secinfo_flags::kW) == 0 ||
        tcs.ossa - ssa->address + ssa_size > ssa->memory_size) {
      return refuse("has a TCS whose SSA frames at {:#x} are not in writable memory", tcs.ossa);
    }
    return {};
  }

  std::string_view bytes_;
  std::string_view name_;
  Elf64_Ehdr header_{};
  LibosImage image_;
};

}  // namespace

Result<LibosImage> read_libos_elf(std::string_view bytes, std::string_view name) {
  return ElfReader(bytes, name).read();
}

}  // namespace image
