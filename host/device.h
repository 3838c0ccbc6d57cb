// SGX as the runtime uses it: the system calls on /dev/sgx_enclave and the vDSO's entry function, or software SGX's
// versions of the same. Chosen once at start; everything behind it is one code path.
#pragma once

#include <asm/sgx.h>
#include <signal.h>
#include <sys/types.h>

#include <expected>
#include <string>

#include "host/runtime.h"

namespace host {

struct Device {
  int (*open)();
  void* (*mmap)(void*, size_t, int, int, int, off_t);
  int (*mprotect)(void*, size_t, int);
  int (*ioctl)(int, unsigned long, void*);
  int (*attach_thread)();
  int (*sigaction)(int, const struct ::sigaction*, struct ::sigaction*);
  vdso_sgx_enter_enclave_t enter;
  bool is_emulated;
};

// Picks by `mode`: real SGX when asked for, or when the machine has it; else software SGX. The error is a sentence that
// names what is missing (no device, no permission, no SGX2, an old kernel, ...).
std::expected<Device, std::string> choose_device(const RunOptions& options);

}  // namespace host
