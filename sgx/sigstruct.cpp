#define OPENSSL_SUPPRESS_DEPRECATED  // SHA256_*: see measure.cpp
#include "sgx/sigstruct.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

namespace sgx {
namespace {

constexpr int kKeyBits = 3072;
constexpr std::uint32_t kExponent = 3;

struct Freer {
  void operator()(BIGNUM* number) const { BN_clear_free(number); }
  void operator()(BN_CTX* context) const { BN_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Number = std::unique_ptr<BIGNUM, Freer>;
using NumberContext = std::unique_ptr<BN_CTX, Freer>;

Number from_little_endian(const std::uint8_t* bytes) {
  return Number(BN_lebin2bn(bytes, kModulusSize, nullptr));
}

bool to_little_endian(const BIGNUM* number, std::uint8_t* bytes) {
  return BN_bn2lebinpad(number, bytes, kModulusSize) == static_cast<int>(kModulusSize);
}

// The two signed ranges, and their hash.
constexpr std::size_t kSigned1 = 128;
constexpr std::size_t kSigned2Offset = offsetof(Sigstruct, miscselect);
constexpr std::size_t kSigned2 = offsetof(Sigstruct, reserved4) - kSigned2Offset;
static_assert(kSigned2 == 128);

const std::uint8_t* raw(const Sigstruct& sigstruct) {
  return reinterpret_cast<const std::uint8_t*>(&sigstruct);
}

Hash signed_hash(const Sigstruct& sigstruct) {
  SHA256_CTX hash;
  Hash digest;
  SHA256_Init(&hash);
  SHA256_Update(&hash, raw(sigstruct), kSigned1);
  SHA256_Update(&hash, raw(sigstruct) + kSigned2Offset, kSigned2);
  SHA256_Final(digest.data(), &hash);
  return digest;
}

// EMSA-PKCS1-v1_5 of `hash` for a 3072-bit key, big-endian (RFC 8017, section 9.2).
Bytes<kModulusSize> padded(const Hash& hash) {
  constexpr Bytes<19> kDigestInfo = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                     0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
  Bytes<kModulusSize> message;
  message.fill(0xff);
  message.front() = 0x00;
  message[1] = 0x01;
  const auto hash_start = message.end() - static_cast<std::ptrdiff_t>(kHashSize);
  const auto info_start = hash_start - static_cast<std::ptrdiff_t>(kDigestInfo.size());
  *(info_start - 1) = 0x00;
  std::ranges::copy(kDigestInfo, info_start);
  std::ranges::copy(hash, hash_start);
  return message;
}

std::string openssl_error(const char* what) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return std::string(what) + ": " + text;
}

bool all_zero(const auto& bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

bool is_sgx_key(EVP_PKEY* key) {
  BIGNUM* exponent = nullptr;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) != kKeyBits ||
      EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) {
    return false;
  }
  const Number owned(exponent);
  return BN_is_word(exponent, kExponent);
}

// Q1 and Q2 of a signature; false when OpenSSL is out of memory.
bool compute_quotients(Sigstruct& sigstruct) {
  const NumberContext context(BN_CTX_new());
  const Number s = from_little_endian(sigstruct.signature.data());
  const Number m = from_little_endian(sigstruct.modulus.data());
  const Number product(BN_new()), quotient(BN_new()), remainder(BN_new());
  if (!context || !s || !m || !product || !quotient || !remainder) return false;
  // S^2 = Q1*M + R; then S*R = S^3 - Q1*S*M, whose quotient by M is Q2.
  return BN_sqr(product.get(), s.get(), context.get()) &&
         BN_div(quotient.get(), remainder.get(), product.get(), m.get(), context.get()) &&
         to_little_endian(quotient.get(), sigstruct.q1.data()) &&
         BN_mul(product.get(), s.get(), remainder.get(), context.get()) &&
         BN_div(quotient.get(), remainder.get(), product.get(), m.get(), context.get()) &&
         to_little_endian(quotient.get(), sigstruct.q2.data());
}

bool header_is_valid(const Sigstruct& s) {
  return s.header == kSigstructHeader && s.header2 == kSigstructHeader2 &&
         (s.vendor == 0 || s.vendor == 0x8086) && s.exponent == kExponent &&
         all_zero(s.reserved1) && all_zero(s.reserved2) && all_zero(s.reserved3) &&
         all_zero(s.reserved4);
}

// The processor's way: no modular exponentiation, only two multiplications checked against the
// given quotients.
bool signature_is_valid(const Sigstruct& sigstruct) {
  const NumberContext context(BN_CTX_new());
  const Number s = from_little_endian(sigstruct.signature.data());
  const Number m = from_little_endian(sigstruct.modulus.data());
  const Number q1 = from_little_endian(sigstruct.q1.data());
  const Number q2 = from_little_endian(sigstruct.q2.data());
  const Number a(BN_new()), b(BN_new()), r(BN_new());
  if (!context || !s || !m || !q1 || !q2 || !a || !b || !r) return false;
  if (BN_num_bits(m.get()) != kKeyBits || BN_cmp(s.get(), m.get()) >= 0) return false;

  const auto reduce = [&](const BIGNUM* factor,
                          const BIGNUM* quotient) {  // r = s*factor - quotient*m, in [0, m)
    return BN_mul(a.get(), s.get(), factor, context.get()) &&
           BN_mul(b.get(), quotient, m.get(), context.get()) && BN_sub(r.get(), a.get(), b.get()) &&
           !BN_is_negative(r.get()) && BN_cmp(r.get(), m.get()) < 0;
  };
  if (!reduce(s.get(), q1.get())) return false;
  const Number first(BN_dup(r.get()));
  if (!first || !reduce(first.get(), q2.get())) return false;

  Bytes<kModulusSize> message;
  if (BN_bn2binpad(r.get(), message.data(), kModulusSize) != static_cast<int>(kModulusSize)) {
    return false;
  }
  return message == padded(signed_hash(sigstruct));
}

bool sign_hash(Sigstruct& sigstruct, const SigningKey& key) {
  const Hash hash = signed_hash(sigstruct);
  const std::unique_ptr<EVP_PKEY_CTX, Freer> context(EVP_PKEY_CTX_new(key.native(), nullptr));
  Bytes<kModulusSize> signature;
  std::size_t size = signature.size();
  if (!context || EVP_PKEY_sign_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1 ||
      EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) != 1 ||
      EVP_PKEY_sign(context.get(), signature.data(), &size, hash.data(), hash.size()) != 1 ||
      size != signature.size()) {
    return false;
  }
  std::ranges::reverse_copy(signature, sigstruct.signature.begin());
  return true;
}

}  // namespace

void SigningKey::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

std::expected<SigningKey, std::string> SigningKey::generate() {
  const std::unique_ptr<EVP_PKEY_CTX, Freer> context(EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nullptr));
  const Number exponent(BN_new());
  EVP_PKEY* key = nullptr;
  if (!context || !exponent || !BN_set_word(exponent.get(), kExponent) ||
      EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), kKeyBits) != 1 ||
      EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), exponent.get()) != 1 ||
      EVP_PKEY_generate(context.get(), &key) != 1) {
    return std::unexpected(openssl_error("cannot generate a signing key"));
  }
  return SigningKey(key);
}

std::expected<SigningKey, std::string> SigningKey::from_pem(std::string_view pem) {
  const std::unique_ptr<BIO, Freer> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  EVP_PKEY* key =
      bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr;
  if (key == nullptr) return std::unexpected("not a PEM private key");
  SigningKey owned(key);
  if (!is_sgx_key(key)) return std::unexpected("not an RSA-3072 key with exponent 3");
  return owned;
}

std::expected<SigningKey, std::string> SigningKey::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(std::strerror(errno));
  const std::string pem{std::istreambuf_iterator<char>(file), {}};
  return from_pem(pem);
}

std::expected<std::string, std::string> SigningKey::to_pem() const {
  const std::unique_ptr<BIO, Freer> bio(BIO_new(BIO_s_mem()));
  if (!bio ||
      !PEM_write_bio_PKCS8PrivateKey(bio.get(), native(), nullptr, nullptr, 0, nullptr, nullptr)) {
    return std::unexpected(openssl_error("cannot write the signing key"));
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Bytes<kModulusSize> SigningKey::modulus() const {
  Bytes<kModulusSize> bytes{};
  BIGNUM* modulus = nullptr;
  EVP_PKEY_get_bn_param(native(), OSSL_PKEY_PARAM_RSA_N, &modulus);
  const Number owned(modulus);
  if (modulus != nullptr) to_little_endian(modulus, bytes.data());
  return bytes;
}

std::expected<std::string, std::string> generate_key() {
  auto key = SigningKey::generate();
  if (!key) return std::unexpected(key.error());
  return key->to_pem();
}

std::expected<Sigstruct, std::string> sign(const SigningInput& input, const SigningKey& key) {
  Sigstruct s{};
  s.header = kSigstructHeader;
  s.vendor = input.vendor;
  s.date = input.date;
  s.header2 = kSigstructHeader2;
  s.swdefined = input.swdefined;
  s.modulus = key.modulus();
  s.exponent = kExponent;
  s.miscselect = input.miscselect;
  s.miscmask = input.miscmask;
  s.isvfamilyid = input.isvfamilyid;
  s.attributes = input.attributes;
  s.attributemask = input.attributemask;
  s.enclavehash = input.mrenclave;
  s.isvextprodid = input.isvextprodid;
  s.isvprodid = input.isvprodid;
  s.isvsvn = input.isvsvn;
  if (!sign_hash(s, key)) return std::unexpected(openssl_error("cannot sign the enclave"));
  if (!compute_quotients(s)) return std::unexpected("cannot sign the enclave: out of memory");
  if (const Error error = verify(s); error != Error::kSuccess) {
    return std::unexpected("cannot sign the enclave: the signature made does not verify");
  }
  return s;
}

Error verify(const Sigstruct& sigstruct) {
  if (!header_is_valid(sigstruct)) return Error::kInvalidSigStruct;
  return signature_is_valid(sigstruct) ? Error::kSuccess : Error::kInvalidSignature;
}

Hash mrsigner(const Sigstruct& sigstruct) {
  Hash digest;
  SHA256(sigstruct.modulus.data(), sigstruct.modulus.size(), digest.data());
  return digest;
}

Hash mrsigner(const SigningKey& key) {
  const auto modulus = key.modulus();
  Hash digest;
  SHA256(modulus.data(), modulus.size(), digest.data());
  return digest;
}

}  // namespace sgx
