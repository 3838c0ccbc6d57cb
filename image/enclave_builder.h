// Makes the signed enclave image (abi/enclave_image.h) of a LibOS and a configuration.
//
// The result is a function of the LibOS file, the configuration text, the fields below and the key:
// MRENCLAVE does not depend on the key, the machine, the time, the directory or the user.
// SIGSTRUCT.DATE, which the processor ignores, is fixed (2024-01-01) unless SOURCE_DATE_EPOCH is in
// the environment, so the file is reproducible to the byte as well.
//
// What the signer demands: ATTRIBUTES exactly as built (MODE64BIT, DEBUG if debuggable, KSS if
// asked for); MISCSELECT exactly EXINFO; XFRM with x87 and SSE, AVX and AVX-512 at the machine's
// choice, nothing else. AMX and PKRU are later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "image/error.h"
#include "image/files.h"
#include "sgx/arch.h"
#include "sgx/sigstruct.h"

namespace image {

inline constexpr uint64_t kXfrmRequired = sgx::xfrm::kLegacy;
inline constexpr uint64_t kXfrmAllowed = sgx::xfrm::kAvx | sgx::xfrm::kAvx512;

struct EnclaveSpec {
  std::string libos_elf;  // path
  std::string config;     // text, abi/config.h
  bool debuggable = false;
  bool kss = false;
  uint16_t product_id = 0;
  uint16_t version = 0;
  sgx::Bytes<16> family_id{};
  sgx::Bytes<16> ext_product_id{};
};

struct EnclaveIdentity {
  sgx::Hash mrenclave{};
  sgx::Hash mrsigner{};
  uint64_t measured_bytes = 0;
};

// An enclave image that is complete, but not in its place yet.
class EnclaveImage {
 public:
  const EnclaveIdentity& identity() const { return identity_; }
  Result<void> commit() { return pending_.commit(); }

 private:
  friend Result<EnclaveImage> build_enclave(const EnclaveSpec& spec, const sgx::SigningKey& key,
                                            const std::string& output);
  EnclaveImage(EnclaveIdentity identity, PendingFile pending)
      : identity_(identity), pending_(std::move(pending)) {}
  EnclaveIdentity identity_;
  PendingFile pending_;
};

// Builds the file that commit() puts at `output`, atomically.
Result<EnclaveImage> build_enclave(const EnclaveSpec& spec, const sgx::SigningKey& key,
                                   const std::string& output);

// 0xyyyymmdd in BCD, from SOURCE_DATE_EPOCH or the fixed date.
Result<uint32_t> sigstruct_date();

}  // namespace image
