// Hostile answers: what the enclave reads from shared memory after a host call, or at any time, and at its start.
#include "tests/enclave/hostile.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <iterator>
#include <map>
#include <thread>

#include "abi/enclave_image.h"
#include "abi/host_call.h"
#include "tests/guest/libos_places.h"

// What guest tests take for the LibOS's memory is.
static_assert(LIBOS_IMAGE == abi::kLibosImageBase && LIBOS_CONFIGURATION == abi::kConfigAddress);
static_assert(LIBOS_MEMORY == abi::kKernelStart && ELRANGE_END == abi::kElrangeSize);

namespace hostile {
namespace {

constexpr uint64_t kUnknownCall = 9999;  // to the runtime

// The call as the enclave made it, of the calling thread's vCPU.
thread_local abi::HostCallFrame call;
thread_local bool left_out = false;
std::atomic<uint64_t> calls{0};

// Which arguments are addresses: bit n for argument n of the system call.
const std::map<long, unsigned> kAddressArguments = {
    {SYS_read, 2},       {SYS_write, 2},       {SYS_poll, 1},        {SYS_ioctl, 0},
    {SYS_pread64, 2},    {SYS_pwrite64, 2},    {SYS_preadv2, 2},     {SYS_pwritev2, 2},
    {SYS_fstat, 2},      {SYS_newfstatat, 6},  {SYS_openat, 2},      {SYS_readlinkat, 6},
    {SYS_getdents64, 2}, {SYS_connect, 2},     {SYS_accept4, 6},     {SYS_sendmsg, 2},
    {SYS_recvmsg, 2},    {SYS_bind, 2},        {SYS_getsockname, 6}, {SYS_getpeername, 6},
    {SYS_setsockopt, 8}, {SYS_getsockopt, 24}, {SYS_fstatfs, 2},     {SYS_mkdirat, 2},
    {SYS_unlinkat, 2},   {SYS_renameat2, 10},  {SYS_utimensat, 6},   {SYS_symlinkat, 5},
    {SYS_linkat, 10},    {SYS_fchownat, 2},    {SYS_mknodat, 2}};

// "Every pointer in a host call lies outside ELRANGE."
void check_pointers(const abi::HostCallFrame& frame) {
  if (frame.number != static_cast<uint64_t>(abi::HostCallNumber::kSystemCall)) return;
  const auto known = kAddressArguments.find(static_cast<long>(frame.args[0]));
  if (known == kAddressArguments.end()) return;
  for (unsigned i = 0; i < 6; ++i) {
    if ((known->second >> i & 1) == 0) continue;
    counts.pointers++;
    const uint64_t address = frame.args[i + 1];
    if (address != 0 && address < abi::kElrangeSize)
      complain("host call", "a pointer into ELRANGE", address);
  }
}

// What the program and the LibOS print is the test's own evidence: it is printed, whatever the result says.
bool is_output(const abi::HostCallFrame& frame) {
  return frame.number == static_cast<uint64_t>(abi::HostCallNumber::kSystemCall) &&
         (frame.args[0] == SYS_write || frame.args[0] == SYS_pwritev2) &&
         (frame.args[1] == 1 || frame.args[1] == 2);
}

bool chosen(uint64_t permille) {
  if (calls.load() < settings.after || !one_in_thousand(permille)) return false;
  if (call.number == static_cast<uint64_t>(abi::HostCallNumber::kExit)) return false;
  if (call.number >= 64 || (settings.numbers >> call.number & 1) == 0) return false;
  return settings.only < 0 ||
         (call.number == static_cast<uint64_t>(abi::HostCallNumber::kSystemCall) &&
          static_cast<long>(call.args[0]) == settings.only);
}

int64_t hostile_result(int64_t honest) {
  const int64_t kValues[] = {0,
                             1,
                             -1,
                             -EINTR,
                             -EAGAIN,
                             -ENOMEM,
                             -EIO,
                             -ENOENT,
                             -ENOSYS,
                             -133,
                             -134,
                             -512,
                             -514,
                             -516,
                             -4095,
                             -4096,
                             INT64_MIN,
                             INT64_MIN + 1,
                             INT64_MAX,
                             INT32_MAX,
                             INT32_MIN,
                             UINT32_MAX,
                             65,
                             64,
                             1000,
                             1 << 24,
                             (1 << 24) + 1,
                             256 * 1024,
                             256 * 1024 + 1,
                             static_cast<int64_t>(abi::kLibosImageBase),
                             static_cast<int64_t>(abi::kElrangeSize - 1),
                             honest + 1,
                             honest - 1,
                             honest + 4096,
                             -honest,
                             honest << 32,
                             honest | INT64_MIN};
  const size_t which = random_number() % (std::size(kValues) + 4);
  if (which < std::size(kValues)) return kValues[which];
  return which % 2 == 0 ? -static_cast<int64_t>(random_number() % 200)
                        : static_cast<int64_t>(random_number());
}

// Says that there is nothing when there is something, or that one has to wait when one has not: whoever believes it waits
// until something else happens, which may be never. A host can always do that; a test that ends cannot.
bool suppresses(int64_t honest, int64_t result) {
  if (call.number == static_cast<uint64_t>(abi::HostCallNumber::kWait)) return result < honest;
  if (call.number != static_cast<uint64_t>(abi::HostCallNumber::kSystemCall)) return false;
  if (call.args[0] == SYS_poll) return honest > 0 && result <= 0;
  return honest != -EAGAIN && result == -EAGAIN;
}

// The same in another word: whoever opens a FIFO waits for its other end.
void claim_no_fifo() {
  if (call.number != static_cast<uint64_t>(abi::HostCallNumber::kSystemCall) ||
      call.args[0] != SYS_newfstatat)
    return;
  auto& status = *reinterpret_cast<struct stat*>(call.args[3]);
  if (S_ISFIFO(status.st_mode)) status.st_mode ^= S_IFIFO ^ S_IFBLK;
}

uint64_t hostile_word(uint64_t honest) {
  const uint64_t kWords[] = {0,
                             1,
                             UINT64_MAX,
                             uint64_t{1} << 63,
                             0x10000,
                             abi::kLibosImageBase,
                             abi::kElrangeSize,
                             0x7fffffffffffffff,
                             0xffffffff,
                             honest + 1,
                             honest - 1,
                             honest ^ 0xff,
                             honest << 8};
  const size_t which = random_number() % (std::size(kWords) + 3);
  return which < std::size(kWords) ? kWords[which] : random_number();
}

// Calls whose answer is the content of a file: a program that was itself read so may do anything.
bool brings_content(const abi::HostCallFrame& frame) {
  return frame.number == static_cast<uint64_t>(abi::HostCallNumber::kSystemCall) &&
         (frame.args[0] == SYS_read || frame.args[0] == SYS_pread64 ||
          frame.args[0] == SYS_preadv2);
}

// Words around what the call was about: the frame's events, and the start of the bounce buffer, where structures are.
void corrupt(abi::VcpuShared& shared) {
  auto* bounce = reinterpret_cast<uint8_t*>(&shared) + abi::kBounceOffset;
  const uint64_t changes = 1 + random_number() % 16;
  const uint64_t reach = random_number() % 2 == 0   ? 512
                         : random_number() % 2 == 0 ? 8192
                                                    : abi::kBounceSize;
  for (uint64_t i = 0; i < changes; ++i) {
    auto* word = reinterpret_cast<uint64_t*>(bounce) + random_number() % (reach / 8);
    *word = hostile_word(*word);
  }
  for (auto& event : shared.frame.events) {
    if (random_number() % 8 == 0)
      event = {random_number() % 2 == 0 ? random_number() % 64 : random_number(), random_number()};
  }
  shared.host_signal_generation += random_number() % 2;
}

// Pages that are to become inaccessible stay as they are.
bool leaves_open() {
  return settings.open && call.number == static_cast<uint64_t>(abi::HostCallNumber::kProtect) &&
         call.args[2] == PROT_NONE;
}

}  // namespace

void before_host_call(abi::VcpuShared& shared) {
  call = shared.frame;
  left_out = false;
  if (leaves_open()) shared.frame.number = kUnknownCall;
  check_pointers(call);
  if (chosen(settings.skip) && !is_output(call)) {
    left_out = true;
    counts.skipped++;
    shared.frame.number = kUnknownCall;
  }
  calls++;
}

void after_host_call(abi::VcpuShared& shared) {
  if (left_out || chosen(settings.results)) {
    const int64_t honest = left_out ? 0 : shared.frame.result;
    int64_t result = hostile_result(honest);
    while (suppresses(honest, result)) result = hostile_result(honest);
    shared.frame.result = result;
    if (!left_out) counts.replaced++;
  }
  if (chosen(settings.data) && !is_output(call) && !brings_content(call)) {
    corrupt(shared);
    counts.corrupted++;
  }
  if (leaves_open()) {
    shared.frame.result = 0;
    counts.left_open++;
  }
  claim_no_fifo();
}

// Changes what the enclave reads, never what the runtime acts on: a changed call would be this process's own doing. Nor
// the bounce buffer, where programs pass on their way in.
void start_flipping(uint8_t* shared, uint64_t vcpus) {
  std::thread([=] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (true) {
      auto& words = *reinterpret_cast<abi::VcpuShared*>(shared + random_number() % vcpus *
                                                                     abi::kVcpuSharedSize);
      const uint64_t number = words.frame.number;
      switch (random_number() % 6) {
        case 0:
          if (number < 64 && (settings.numbers >> number & 1) != 0)
            words.frame.result = hostile_result(words.frame.result);
          break;
        case 1:
          words.frame.events[random_number() % abi::kMaxHostEvents] = {random_number() % 256,
                                                                       random_number()};
          break;
        case 2:
          words.tick_wanted ^= 1;
          break;
        // SIGWINCH and SIGCONT, by default of no consequence; and generations without a signal.
        case 3:
          words.host_signal_counts[random_number() % 2 == 0 ? 28 : 18] = random_number();
          break;
        case 4:
          words.host_signal_generation = random_number();
          break;
        default:
          words.host_signal_counts[0] = random_number();
          break;
      }
      const timespec moment{.tv_sec = 0, .tv_nsec = static_cast<long>(random_number() % 200'000)};
      nanosleep(&moment, nullptr);
    }
  }).detach();
}

void replace_boot_parameter(abi::BootParameters& boot, const std::string& field_and_value) {
  const size_t colon = field_and_value.find(':');
  const std::string field = field_and_value.substr(0, colon),
                    text = field_and_value.substr(colon + 1);
#define FIELD(name) {#name, offsetof(abi::BootParameters, name) / 8}
  static const std::map<std::string, size_t> kFields = {
      FIELD(magic),          FIELD(size),       FIELD(shared),          FIELD(vcpus),
      FIELD(tsc_multiplier), FIELD(tsc_shift),  FIELD(tsc_now),         FIELD(realtime_now),
      FIELD(monotonic_now),  FIELD(root_image), FIELD(root_image_size), FIELD(log_level),
      FIELD(terminal_mask),  FIELD(strings),    FIELD(ignored_signals), FIELD(strings_size),
      FIELD(argc),           FIELD(envc),       FIELD(blocked_signals), FIELD(writable_count),
      FIELD(memory_limit),   FIELD(file_io),    FIELD(cpuid_count)};
#undef FIELD
  auto* words = reinterpret_cast<uint64_t*>(&boot);
  if (field == "cpuid") {  // the table is garbage
    for (abi::CpuidLeaf& leaf : boot.cpuid) {
      for (uint32_t* value : {&leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx})
        *value = static_cast<uint32_t>(random_number());
      if (text == "all") leaf.leaf = static_cast<uint32_t>(random_number());
    }
    return;
  }
  if (field == "text") {  // so is the string block, in place
    auto* bytes = reinterpret_cast<char*>(boot.strings);
    for (uint64_t i = 0; i < boot.strings_size; ++i) {
      if (text == "zero") bytes[i] = 0;
      if (text == "full") bytes[i] = 'x';
      if (text == "random") bytes[i] = static_cast<char>(random_number());
    }
    return;
  }
  const auto found = kFields.find(field);
  if (found == kFields.end()) {
    fprintf(stderr, "hostile: no field %s\n", field.c_str());
    _exit(99);
  }
  uint64_t& word = words[found->second];
  if (text[0] == '+' || text[0] == '-') {
    word += strtoull(text.c_str(), nullptr, 0);
  } else {
    word = strtoull(text.c_str(), nullptr, 0);
  }
}

}  // namespace hostile
