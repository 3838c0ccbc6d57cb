// MRENCLAVE: the SHA-256 that ECREATE starts, that EADD and EEXTEND each extend by 64-byte blocks,
// and that EINIT finishes (SDM 36.3, operations of those leaves). The order of the calls is part of
// the result: measure exactly what the loader will do, in its order. The hash is OpenSSL's, which
// uses SHA-NI; a page with its 16 EEXTENDs goes to it in one piece.
#pragma once

#include <openssl/sha.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "sgx/arch.h"

namespace sgx {

class Measurement {
 public:
  // `ssa_frame_size` is in pages, `size` (of ELRANGE) in bytes. Starts over.
  void ecreate(std::uint32_t ssa_frame_size, std::uint64_t size);
  // `offset` is the page's offset from the enclave's base; `secinfo_flags` are SECINFO.FLAGS
  // (sgx::secinfo_flags).
  void eadd(std::uint64_t offset, std::uint64_t secinfo_flags);
  // `offset` of the 256-byte chunk.
  void eextend(std::uint64_t offset, std::span<const std::byte, kExtendSize> chunk);
  // EEXTEND of all 16 chunks of a page.
  void eextend_page(std::uint64_t offset, std::span<const std::byte, kPageSize> page);
  // EINIT: the MRENCLAVE. The object must be started over by ecreate() afterwards.
  Hash finish();

 private:
  SHA256_CTX hash_{};
};

}  // namespace sgx
