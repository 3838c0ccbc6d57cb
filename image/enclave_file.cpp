#include "image/enclave_file.h"

#include <fcntl.h>

#include <cstring>
#include <span>
#include <vector>

#include "image/files.h"

namespace image {
namespace {

constexpr uint32_t kMaxSegments = 4096;

template <typename T>
std::span<std::byte> object_bytes(T& object) {
  return std::as_writable_bytes(std::span(&object, 1));
}

// Whether [offset, offset + size) lies in a file of `file_size` bytes.
bool within(uint64_t offset, uint64_t size, uint64_t file_size) {
  return offset <= file_size && size <= file_size - offset;
}

Result<void> check_segments(const File& file, const abi::EnclaveImageHeader& header,
                            uint64_t file_size) {
  std::vector<abi::EnclaveImageSegment> segments(header.segment_count);
  IMAGE_TRY(file.read_at(sizeof header, std::as_writable_bytes(std::span(segments))));
  for (const abi::EnclaveImageSegment& segment : segments) {
    if (!within(segment.file_offset, segment.file_size, file_size)) {
      return fail("{} is truncated", file.path());
    }
    if (segment.address % sgx::kPageSize != 0 || segment.memory_size % sgx::kPageSize != 0 ||
        segment.file_size > segment.memory_size ||
        !within(segment.address, segment.memory_size, header.elrange_size)) {
      return fail("{} is damaged: it has an impossible segment", file.path());
    }
  }
  return {};
}

}  // namespace

Result<EnclaveFile> inspect_enclave_file(const std::string& path) {
  File file = IMAGE_TRY(File::open(path, O_RDONLY | O_NONBLOCK));
  uint64_t file_size = IMAGE_TRY(file.size());
  EnclaveFile enclave;
  if (file_size < sizeof enclave.header) return fail("{} is not an enclave image", path);
  IMAGE_TRY(file.read_at(0, object_bytes(enclave.header)));
  const abi::EnclaveImageHeader& header = enclave.header;
  if (std::memcmp(header.magic, abi::kEnclaveImageMagic, sizeof header.magic) != 0) {
    return fail("{} is not an enclave image", path);
  }
  if (header.header_size != sizeof header || header.elrange_size != abi::kElrangeSize) {
    return fail("{} was built by another version of Occlum", path);
  }
  if (header.segment_count == 0 || header.segment_count > kMaxSegments) {
    return fail("{} is damaged: it has an impossible segment", path);
  }
  IMAGE_TRY(check_segments(file, header, file_size));
  if (!within(header.sigstruct_offset, sizeof enclave.sigstruct, file_size)) {
    return fail("{} is truncated", path);
  }
  IMAGE_TRY(file.read_at(header.sigstruct_offset, object_bytes(enclave.sigstruct)));
  if (sgx::verify(enclave.sigstruct) != sgx::Error::kSuccess) {
    return fail("{} has a bad signature", path);
  }
  enclave.mrenclave = enclave.sigstruct.enclavehash;
  enclave.mrsigner = sgx::mrsigner(enclave.sigstruct);
  if (std::memcmp(header.mrenclave, enclave.mrenclave.data(), sizeof header.mrenclave) != 0 ||
      std::memcmp(header.mrsigner, enclave.mrsigner.data(), sizeof header.mrsigner) != 0) {
    return fail("{} is damaged: its header disagrees with its signature", path);
  }
  return enclave;
}

}  // namespace image
