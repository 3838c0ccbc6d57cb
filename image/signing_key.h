// The key that signs an enclave: the user's, or a development key.
//
// Without --sign-key, one development key per user is made on first use and kept in the user's data
// directory
// ($XDG_DATA_HOME/occlum or ~/.local/share/occlum) with mode 0600, so that MRSIGNER, to which data
// is sealed, stays the same from build to build. Enclaves for others want a key of their own:
// `occlum gen-sign-key FILE`.
#pragma once

#include <optional>
#include <string>

#include "image/error.h"
#include "sgx/sigstruct.h"

namespace image {

struct SigningKeyChoice {
  sgx::SigningKey key;
  std::string path;
  bool development = false;
  bool created = false;  // just now: worth a line to the user
};

// `path`: a PEM file with an RSA-3072 private key of exponent 3, or nothing for the development
// key.
Result<SigningKeyChoice> choose_signing_key(const std::optional<std::string>& path);

// Makes a new key at `path` with mode 0600. What is there already is never replaced: the error says
// so.
Result<void> create_signing_key(const std::string& path);

}  // namespace image
