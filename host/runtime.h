// The untrusted runtime's one door: load a signed enclave, run a program in it, give back how it ended.
//
// run() opens SGX (the device, or software SGX where there is none), loads the enclave image, maps the root image,
// starts the vCPU threads and serves host calls until the LibOS says that the first process has ended. The terminal is
// put into raw mode when stdin is one, and restored on every way out, fatal signals included.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace host {

enum class SgxMode { kAuto, kHardware, kSimulation };

// How files of the host are read and written (host/file_io.h). Other than the defaults is for tests.
struct FileIoOptions {
  enum class When {
    kAuto,    // asynchronously what would wait for a disk
    kNever,   // each vCPU waits for its own calls
    kAlways,  // everything asynchronously
    kPairs    // so too, and nothing is carried out until a second request is there
  };
  When when = When::kAuto;
  bool threads = false;  // by threads of the runtime, though io_uring were there
};

struct RunOptions {
  std::string enclave_image;              // file written by image/ (abi/enclave_image.h)
  std::optional<std::string> root_image;  // EROFS + verity tree; absent for `occlum do`
  std::vector<std::string>
      argv;  // argv[0] is resolved inside (absolute path, or PATH of the given env)
  std::vector<std::string>
      env;  // NAME=VALUE, offered to the LibOS (which filters them in instances)
  std::string cwd = "/";
  SgxMode mode = SgxMode::kAuto;
  std::string log_level = "off";           // off error warn info debug trace
  unsigned vcpus = 0;                      // 0: as many as the CPUs that this process may use
  std::vector<std::string> writable_dirs;  // `occlum do --rw DIR`: absolute host paths
  FileIoOptions file_io;
  uint64_t memory_limit = 0;       // bytes of enclave memory, 0: none
  std::string cost_model = "off";  // software SGX only: off, sgx2
  bool strict = false;             // software SGX only: injections and strict checks
  uint64_t strict_seed = 1;
};

// The exit status as a shell sees it: 0..255, or 128+n for a program killed by signal n. The error is one sentence for
// people; nothing has been printed.
std::expected<int, std::string> run(const RunOptions& options);

}  // namespace host
