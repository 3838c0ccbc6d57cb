// vCPU threads: each runs one TCS, serves the host calls of the LibOS on it and passes exceptions to phase 1.
//
// A vCPU thread is in one of three places: in the enclave, serving a host call, or asleep in kWait. The tick thread
// sends a signal to those in the enclave that ask for it; the signal's handler enters the enclave a second time on the
// same TCS (CSSA = 1), which makes the LibOS look up from what it does.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "abi/boot.h"
#include "host/boot_block.h"
#include "host/device.h"
#include "host/enclave.h"
#include "host/file_io.h"

namespace host {

class Runtime {
 public:
  Runtime(const Device& device, const Enclave& enclave, BootBlock boot, unsigned vcpus,
          FileIoOptions file_io);

  // Starts vCPU 0 and the tick thread, forwards signals, and returns when the LibOS has ended.
  // The exit status, or a sentence when the enclave died.
  std::expected<int, std::string> run();

 private:
  struct Vcpu {
    Runtime* runtime = nullptr;
    uint32_t index = 0;
    uint64_t tcs = 0;
    abi::VcpuShared* shared = nullptr;
    int kick_fd = -1;  // eventfd
    std::atomic<bool> in_enclave{false};
    std::atomic<bool> exists{false};
    pthread_t thread{};
  };

  void vcpu_loop(Vcpu& vcpu);
  bool pass_exception(Vcpu& vcpu);
  void pass_missed_tick(Vcpu& vcpu);
  int64_t serve(Vcpu& vcpu, const abi::HostCallFrame& frame);
  int64_t wait(Vcpu& vcpu, uint64_t timeout, bool poll_events);
  int64_t collect_events(abi::HostCallFrame& frame);
  int64_t watch(int fd, uint64_t token, uint64_t events);
  int64_t start_vcpu(uint64_t tcs, uint64_t index);
  void end(int status, std::string error);
  void tick_loop();
  static void on_tick(int signal, siginfo_t* info, void* context);
  void forward_signals();

  const Device& device_;
  const Enclave enclave_;
  BootBlock boot_;
  std::vector<Vcpu> vcpus_;
  int epoll_fd_ = -1;
  FileIo file_io_;
  std::atomic<uint32_t> awake_{
      0};  // vCPUs that are not in kWait; the tick thread sleeps while it is 0
  std::atomic<bool> ended_{false};
  int status_ = 0;
  std::string error_;
};

}  // namespace host
