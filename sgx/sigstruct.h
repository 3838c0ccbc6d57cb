// SIGSTRUCT: making it (the signer) and checking it (EINIT, and anyone who reads an enclave). SDM
// 34.13 and EINIT.
//
// The signature is RSA-3072 PKCS#1 v1.5 with SHA-256 and e=3 over bytes [0,128) and [900,1028). Q1
// and Q2 are helper quotients: Q1 = floor(S^2 / M), Q2 = floor((S^3 - Q1*S*M) / M). The processor
// verifies with them and refuses wrong ones, so verify() does as well.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "sgx/arch.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace sgx {

// An RSA-3072 key with e=3.
class SigningKey {
 public:
  // A new random key. Takes about 0.3 s.
  static std::expected<SigningKey, std::string> generate();
  // From PEM text (PKCS#8 or PKCS#1, not encrypted). The error is a sentence without the file's
  // name.
  static std::expected<SigningKey, std::string> from_pem(std::string_view pem);
  static std::expected<SigningKey, std::string> load(const std::string& path);

  // PKCS#8 PEM of the private key.
  std::expected<std::string, std::string> to_pem() const;
  // Little-endian, as SIGSTRUCT has it.
  Bytes<kModulusSize> modulus() const;

  evp_pkey_st* native() const { return key_.get(); }

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  explicit SigningKey(evp_pkey_st* key) : key_(key) {}
  std::unique_ptr<evp_pkey_st, Free> key_;
};

// generate_key() gives PEM text, for writing to a file.
std::expected<std::string, std::string> generate_key();

// What the signer states about an enclave; everything else in SIGSTRUCT is fixed or computed.
struct SigningInput {
  Hash mrenclave{};
  Attributes attributes{.flags = attribute::kMode64Bit, .xfrm = xfrm::kLegacy};
  Attributes attributemask{.flags = ~std::uint64_t{0}, .xfrm = ~std::uint64_t{0}};
  std::uint32_t miscselect = miscselect::kExinfo;
  std::uint32_t miscmask = miscselect::kExinfo;
  std::uint32_t date = 0x20240101;  // BCD 0xyyyymmdd; fixed by default so that builds reproduce
  std::uint32_t vendor = 0;
  std::uint32_t swdefined = 0;
  std::uint16_t isvprodid = 0;
  std::uint16_t isvsvn = 0;
  Bytes<16> isvfamilyid{};
  Bytes<16> isvextprodid{};
};

std::expected<Sigstruct, std::string> sign(const SigningInput& input, const SigningKey& key);

// Checks header constants, reserved fields, exponent, signature and Q1/Q2, as EINIT does. Not the
// enclave's hash or attributes: those are compared with a SECS. kSuccess, kInvalidSigStruct or
// kInvalidSignature.
Error verify(const Sigstruct& sigstruct);

// SHA-256 of the modulus: the signer's identity.
Hash mrsigner(const Sigstruct& sigstruct);
Hash mrsigner(const SigningKey& key);

}  // namespace sgx
