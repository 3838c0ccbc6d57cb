#include "image/enclave_builder.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "abi/config.h"
#include "abi/enclave_image.h"
#include "image/elf_image.h"
#include "image/files.h"
#include "sgx/measure.h"

namespace image {
namespace {

constexpr uint64_t kPage = sgx::kPageSize;
constexpr uint64_t kLibosMaxSize = uint64_t{1} << 30;
constexpr uint64_t page_up(uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }

EnclaveSegment config_segment(std::string_view text) {
  EnclaveSegment segment;
  segment.address = abi::kConfigAddress;
  segment.secinfo_flags = sgx::secinfo_flags::kReg | sgx::secinfo_flags::kR;
  segment.content.resize(abi::kConfigHeaderSize + text.size());
  uint64_t size = text.size();
  std::memcpy(segment.content.data(), &size, sizeof size);
  std::memcpy(segment.content.data() + sizeof size, text.data(), text.size());
  segment.memory_size = page_up(segment.content.size());
  return segment;
}

sgx::Hash measure(const std::vector<EnclaveSegment>& segments) {
  sgx::Measurement measurement;
  measurement.ecreate(abi::kSsaFrameSizePages, abi::kElrangeSize);
  for (const EnclaveSegment& segment : segments) {
    for (uint64_t at = 0; at < segment.memory_size; at += kPage) {
      std::array<std::byte, kPage> page{};
      if (at < segment.content.size()) {
        std::memcpy(page.data(), segment.content.data() + at,
                    std::min<uint64_t>(kPage, segment.content.size() - at));
      }
      measurement.eadd(segment.address + at, segment.secinfo_flags);
      measurement.eextend_page(segment.address + at, page);
    }
  }
  return measurement.finish();
}

uint64_t attributes_of(const EnclaveSpec& spec) {
  return sgx::attribute::kMode64Bit | (spec.debuggable ? sgx::attribute::kDebug : 0) |
         (spec.kss ? sgx::attribute::kKss : 0);
}

Result<sgx::Sigstruct> sign(const EnclaveSpec& spec, const sgx::Hash& mrenclave,
                            const sgx::SigningKey& key) {
  sgx::SigningInput input;
  input.mrenclave = mrenclave;
  input.attributes = {.flags = attributes_of(spec), .xfrm = kXfrmRequired};
  // INIT is set by EINIT itself, after the comparison.
  input.attributemask = {.flags = ~sgx::attribute::kInit, .xfrm = ~kXfrmAllowed};
  input.miscselect = sgx::miscselect::kExinfo;
  input.miscmask = ~uint32_t{0};
  input.date = IMAGE_TRY(sigstruct_date());
  input.isvprodid = spec.product_id;
  input.isvsvn = spec.version;
  input.isvfamilyid = spec.family_id;
  input.isvextprodid = spec.ext_product_id;
  return sgx::sign(input, key);
}

// The file: header, segment table, SIGSTRUCT; then each segment's contents from a page boundary on.
Result<PendingFile> write_image(const std::string& output, abi::EnclaveImageHeader header,
                                const std::vector<EnclaveSegment>& segments,
                                const sgx::Sigstruct& sigstruct) {
  std::vector<std::byte> front(sizeof header + segments.size() * sizeof(abi::EnclaveImageSegment) +
                               sizeof sigstruct);
  header.sigstruct_offset = front.size() - sizeof sigstruct;
  std::memcpy(front.data(), &header, sizeof header);
  std::memcpy(front.data() + header.sigstruct_offset, &sigstruct, sizeof sigstruct);

  PendingFile pending = IMAGE_TRY(PendingFile::create(output));
  uint64_t offset = page_up(front.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    const EnclaveSegment& segment = segments[i];
    abi::EnclaveImageSegment record{.address = segment.address,
                                    .memory_size = segment.memory_size,
                                    .file_offset = offset,
                                    .file_size = segment.content.size(),
                                    .secinfo_flags = segment.secinfo_flags};
    std::memcpy(front.data() + sizeof header + i * sizeof record, &record, sizeof record);
    IMAGE_TRY(pending.file().write_at(offset, segment.content));
    offset += page_up(segment.content.size());
  }
  IMAGE_TRY(pending.file().write_at(0, front));
  return pending;
}

}  // namespace

Result<uint32_t> sigstruct_date() {
  constexpr uint32_t kFixedDate = 0x20240101;
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr || *epoch == '\0') return kFixedDate;
  time_t seconds = 0;
  std::string_view text = epoch;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  tm date{};
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0 ||
      gmtime_r(&seconds, &date) == nullptr || date.tm_year + 1900 > 9999) {
    return fail("SOURCE_DATE_EPOCH is '{}', which is not a number of seconds since 1970", text);
  }
  auto bcd = [](unsigned value, unsigned digits) {
    uint32_t result = 0;
    for (unsigned i = 0; i < digits; ++i, value /= 10) result |= (value % 10) << (4 * i);
    return result;
  };
  return bcd(static_cast<unsigned>(date.tm_year) + 1900, 4) << 16 |
         bcd(static_cast<unsigned>(date.tm_mon) + 1, 2) << 8 |
         bcd(static_cast<unsigned>(date.tm_mday), 2);
}

Result<EnclaveImage> build_enclave(const EnclaveSpec& spec, const sgx::SigningKey& key,
                                   const std::string& output) {
  if (spec.config.size() + abi::kConfigHeaderSize > abi::kConfigMaxSize) {
    return fail("the configuration is larger than {} MB", abi::kConfigMaxSize >> 20);
  }
  std::string elf = IMAGE_TRY(read_file(spec.libos_elf, kLibosMaxSize));
  LibosImage libos = IMAGE_TRY(read_libos_elf(elf, spec.libos_elf));
  libos.segments.insert(libos.segments.begin(), config_segment(spec.config));

  EnclaveIdentity identity;
  identity.mrenclave = measure(libos.segments);
  identity.mrsigner = sgx::mrsigner(key);
  for (const EnclaveSegment& segment : libos.segments)
    identity.measured_bytes += segment.memory_size;
  sgx::Sigstruct sigstruct = IMAGE_TRY(sign(spec, identity.mrenclave, key));

  abi::EnclaveImageHeader header{};
  std::memcpy(header.magic, abi::kEnclaveImageMagic, sizeof header.magic);
  header.header_size = sizeof header;
  header.segment_count = static_cast<uint32_t>(libos.segments.size());
  header.elrange_size = abi::kElrangeSize;
  header.ssa_frame_size = abi::kSsaFrameSizePages;
  header.miscselect = sgx::miscselect::kExinfo;
  header.attributes = attributes_of(spec);
  header.xfrm_required = kXfrmRequired;
  header.xfrm_allowed = kXfrmAllowed;
  header.tcs_address = libos.tcs_address;
  std::memcpy(header.mrenclave, identity.mrenclave.data(), sizeof header.mrenclave);
  std::memcpy(header.mrsigner, identity.mrsigner.data(), sizeof header.mrsigner);
  return EnclaveImage(identity, IMAGE_TRY(write_image(output, header, libos.segments, sigstruct)));
}

}  // namespace image
