// Reading back what enclave_builder wrote: for `occlum print`, and to refuse a damaged image in a
// sentence before it is loaded. This is a courtesy to people, not a defence: the host may lie to
// itself. What counts is EINIT's own check.
#pragma once

#include <string>

#include "abi/enclave_image.h"
#include "image/error.h"
#include "sgx/sigstruct.h"

namespace image {

struct EnclaveFile {
  abi::EnclaveImageHeader header{};
  sgx::Sigstruct sigstruct{};
  sgx::Hash mrenclave{};
  sgx::Hash mrsigner{};

  bool debuggable() const { return (header.attributes & sgx::attribute::kDebug) != 0; }
};

// Checks the header, that the file holds every segment, the SIGSTRUCT's signature, and that header
// and SIGSTRUCT agree. Takes some 0.1 ms; does not read, and so does not measure, the segments.
Result<EnclaveFile> inspect_enclave_file(const std::string& path);

}  // namespace image
