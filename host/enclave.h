// A loaded enclave: the image file's pages are in ELRANGE, EINIT has accepted the SIGSTRUCT.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "host/device.h"

namespace host {

class Enclave {
 public:
  // Reads the image file (abi/enclave_image.h) and builds the enclave. The error is one sentence.
  static std::expected<Enclave, std::string> load(const Device& device, const std::string& path);

  uint64_t tcs() const { return tcs_; }

  // What the LibOS asks for at run time, on ranges of ELRANGE; 0 or a negative errno. The driver's partial results and
  // -EAGAIN, -EBUSY, -EINTR are continued here.
  int64_t protect(uint64_t address, uint64_t length, int prot) const;
  int64_t restrict_rights(uint64_t address, uint64_t length, uint64_t rights) const;
  int64_t modify_types(uint64_t address, uint64_t length, uint64_t type) const;
  int64_t remove_pages(uint64_t address, uint64_t length) const;

 private:
  Enclave(const Device& device, int fd, uint64_t tcs) : device_(&device), fd_(fd), tcs_(tcs) {}

  const Device* device_;
  int fd_;
  uint64_t tcs_;
};

}  // namespace host
