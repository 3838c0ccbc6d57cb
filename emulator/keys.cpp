// EREPORT and EGETKEY (SDM volume 3D, 38.4): reports between enclaves of this machine, and keys
// derived from who the enclave is.
//
// A key is AES-CMAC, with the root key, over the key dependencies in the SDM's order (KEYNAME, ISV
// numbers, attributes, owner epoch, CPUSVN, identity, key id, ...). Intel does not publish the
// layout that silicon hashes, so keys are not those of any real processor, and must not be: the
// root key is a constant that says "emulated", the same everywhere, so that sealed data can move
// between machines of developers. Nobody's secret depends on it.
// AES_* are pure functions; EVP allocates, which a handler must not.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/aes.h>
#include <sys/random.h>

#include <bit>
#include <cstring>

#include "emulator/internal.h"

namespace emulator {
namespace {

using Key = sgx::Bytes<sgx::kKeySize>;

constexpr Key kRootKey = {'E', 'M', 'U', 'L', 'A', 'T', 'E', 'D',
                          ' ', 'S', 'G', 'X', ' ', 'K', 'E', 'Y'};
// The emulated machine's CPUSVN: a quote or report shows at a glance that no processor made it.
constexpr sgx::Bytes<16> kCpusvn = {'E', 'M', 'U', 'L', 'A', 'T', 'E', 'D'};

constexpr std::uint32_t kEpcmError =
    sgx::pf_error::kPresent | sgx::pf_error::kUser | sgx::pf_error::kSgx;

// AES-128-CMAC (RFC 4493).
Key cmac(const Key& key, const void* data, std::size_t size) {
  AES_KEY schedule;
  AES_set_encrypt_key(key.data(), 128, &schedule);
  const auto doubled = [](const Key& in) {
    Key out{};
    for (std::size_t i = 0; i < out.size(); i++) {
      const int next = i + 1 < in.size() ? in[i + 1] >> 7 : 0;
      out[i] = static_cast<std::uint8_t>(in[i] << 1 | next);
    }
    if (in[0] & 0x80) out.back() ^= 0x87;
    return out;
  };
  Key block{};
  AES_encrypt(block.data(), block.data(), &schedule);
  const Key whole = doubled(block), partial = doubled(whole);

  const auto* bytes = static_cast<const std::uint8_t*>(data);
  Key state{};
  const auto absorb = [&](const std::uint8_t* in) {
    for (std::size_t i = 0; i < state.size(); i++) state[i] ^= in[i];
    AES_encrypt(state.data(), state.data(), &schedule);
  };
  while (size > state.size()) {
    absorb(bytes);
    bytes += state.size();
    size -= state.size();
  }
  Key last{};
  std::memcpy(last.data(), bytes, size);
  if (size < last.size()) last[size] = 0x80;
  const Key& mask = size == last.size() ? whole : partial;
  for (std::size_t i = 0; i < last.size(); i++) last[i] ^= mask[i];
  absorb(last.data());
  return state;
}

// What a key depends on.
struct Dependencies {
  std::uint16_t keyname;
  std::uint16_t isvprodid;
  std::uint16_t isvsvn;
  std::uint16_t configsvn;
  std::uint32_t miscselect;
  std::uint32_t miscmask;
  sgx::Attributes attributes;
  sgx::Attributes attributemask;
  sgx::Bytes<16> cpusvn;
  sgx::Hash mrenclave;
  sgx::Hash mrsigner;
  sgx::Bytes<32> keyid;
  sgx::Bytes<64> configid;
  sgx::Bytes<16> isvfamilyid;
  sgx::Bytes<16> isvextprodid;
};
static_assert(sizeof(Dependencies) == 256 &&
              std::has_unique_object_representations_v<Dependencies>);

Key derive(const Dependencies& dependencies) {
  const auto bytes = std::bit_cast<sgx::Bytes<sizeof(Dependencies)>>(dependencies);
  return cmac(kRootKey, bytes.data(), bytes.size());
}

Key report_key(const sgx::Hash& measurement, const sgx::Attributes& attributes,
               std::uint32_t miscselect, const sgx::Bytes<64>& configid, std::uint16_t configsvn,
               const sgx::Bytes<32>& keyid) {
  Dependencies d{};
  d.keyname = static_cast<std::uint16_t>(sgx::KeyName::kReport);
  d.attributes = attributes;
  d.miscselect = miscselect;
  d.mrenclave = measurement;
  d.configid = configid;
  d.configsvn = configsvn;
  d.cpusvn = kCpusvn;
  d.keyid = keyid;
  return derive(d);
}

LeafResult fail(Event& fault, Event event) {
  fault = event;
  return LeafResult::kFault;
}

// A memory operand of the leaf: aligned and in ELRANGE, else #GP; accessible, else #PF.
bool operand(ThreadBlock& thread, Address address, std::uint64_t alignment, std::uint64_t size,
             Rights access, Event& fault) {
  Enclave& enclave = *thread.current->enclave;
  if (!aligned(address, alignment) || !enclave.contains(address, size)) {
    fault = exception(sgx::vector::kGp);
    return false;
  }
  Access denied;
  if (!ensure(enclave, address, size, access, &thread, denied)) {
    fault =
        exception(sgx::vector::kPf, static_cast<std::uint16_t>(denied.error | kEpcmError), address);
    return false;
  }
  return true;
}

void set_result(Registers& regs, sgx::Error error) {
  constexpr std::uint64_t kArithmetic = 0x8d5, kZero = 1u << 6;
  regs.rax = static_cast<std::uint64_t>(error);
  regs.rflags = (regs.rflags & ~kArithmetic) | (error == sgx::Error::kSuccess ? 0 : kZero);
}

// REPORT.KEYID and its like: random once per start of the machine, which here is the process.
const sgx::Bytes<32>& report_keyid() {
  static const sgx::Bytes<32> id = [] {
    sgx::Bytes<32> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) < 0) bytes.fill(0x5a);
    return bytes;
  }();
  return id;
}

}  // namespace

// RBX = TARGETINFO, RCX = REPORTDATA, RDX = the REPORT to write.
LeafResult ereport(ThreadBlock& thread, Registers& regs, Event& fault) {
  if (!operand(thread, regs.rbx, 512, sizeof(sgx::Targetinfo), kRead, fault) ||
      !operand(thread, regs.rcx, 128, sizeof(sgx::Reportdata), kRead, fault) ||
      !operand(thread, regs.rdx, 512, sgx::kReportSize, kWrite, fault)) {
    return LeafResult::kFault;
  }
  const auto target = *at<sgx::Targetinfo>(regs.rbx);
  const Enclave& enclave = *thread.current->enclave;
  const auto& secs = enclave.secs;
  sgx::Report report{};
  auto& body = report.body;
  body.cpusvn = kCpusvn;
  body.miscselect = secs.miscselect;
  body.attributes = secs.attributes;
  body.mrenclave = secs.mrenclave;
  body.mrsigner = secs.mrsigner;
  body.isvprodid = secs.isvprodid;
  body.isvsvn = secs.isvsvn;
  if ((secs.attributes.flags & sgx::attribute::kKss) != 0) {
    body.configid = secs.configid;
    body.configsvn = secs.configsvn;
    body.isvextnprodid = enclave.sigstruct.isvextprodid;
    body.isvfamilyid = enclave.sigstruct.isvfamilyid;
  }
  body.reportdata = *at<sgx::Reportdata>(regs.rcx);
  report.keyid = report_keyid();
  const Key key = report_key(target.measurement, target.attributes, target.miscselect,
                             target.configid, target.configsvn, report.keyid);
  report.mac = cmac(key, &body, sizeof body);
  std::memcpy(at<void>(regs.rdx), &report, sgx::kReportSize);
  return LeafResult::kDone;
}

// RBX = KEYREQUEST, RCX = the 16 bytes to write.
LeafResult egetkey(ThreadBlock& thread, Registers& regs, Event& fault) {
  if (!operand(thread, regs.rbx, 512, sizeof(sgx::Keyrequest), kRead, fault) ||
      !operand(thread, regs.rcx, 16, sgx::kKeySize, kWrite, fault)) {
    return LeafResult::kFault;
  }
  const auto request = *at<sgx::Keyrequest>(regs.rbx);
  const Enclave& enclave = *thread.current->enclave;
  const auto& secs = enclave.secs;
  const bool kss = (secs.attributes.flags & sgx::attribute::kKss) != 0;
  std::uint8_t reserved = request.reserved1 | request.cet_attributes_mask;
  for (const std::uint8_t byte : request.reserved2) reserved |= byte;
  if (reserved != 0 || (request.keypolicy & ~sgx::key_policy::kAll) != 0 ||
      (!kss && ((request.keypolicy & sgx::key_policy::kKssBits) != 0 || request.configsvn != 0))) {
    return fail(fault, exception(sgx::vector::kGp));
  }
  const auto refuse = [&](sgx::Error error) {
    set_result(regs, error);
    return LeafResult::kDone;
  };

  Key key{};
  switch (static_cast<sgx::KeyName>(request.keyname)) {
    case sgx::KeyName::kReport:
      key = report_key(secs.mrenclave, secs.attributes, secs.miscselect, secs.configid,
                       secs.configsvn, request.keyid);
      break;
    case sgx::KeyName::kSeal:
    case sgx::KeyName::kProvisionSeal:
    case sgx::KeyName::kProvision: {
      const auto name = static_cast<sgx::KeyName>(request.keyname);
      if (name != sgx::KeyName::kSeal &&
          (secs.attributes.flags & sgx::attribute::kProvisionKey) == 0) {
        return refuse(sgx::Error::kInvalidAttribute);
      }
      if (request.cpusvn != kCpusvn && request.cpusvn != sgx::Bytes<16>{}) {
        return refuse(sgx::Error::kInvalidCpusvn);
      }
      if (request.isvsvn > secs.isvsvn || request.configsvn > secs.configsvn) {
        return refuse(sgx::Error::kInvalidIsvsvn);
      }
      const std::uint16_t policy =
          name == sgx::KeyName::kSeal ? request.keypolicy : sgx::key_policy::kMrsigner;
      Dependencies d{};
      d.keyname = request.keyname;
      d.isvsvn = request.isvsvn;
      d.cpusvn = request.cpusvn;
      d.keyid = name == sgx::KeyName::kProvision ? sgx::Bytes<32>{} : request.keyid;
      // INIT and DEBUG always count, so that a debug enclave never gets a production enclave's
      // keys.
      d.attributemask = request.attributemask;
      d.attributemask.flags |= sgx::attribute::kInit | sgx::attribute::kDebug;
      d.attributes = {.flags = secs.attributes.flags & d.attributemask.flags,
                      .xfrm = secs.attributes.xfrm & d.attributemask.xfrm};
      d.miscmask = request.miscmask;
      d.miscselect = secs.miscselect & request.miscmask;
      if ((policy & sgx::key_policy::kMrenclave) != 0) d.mrenclave = secs.mrenclave;
      if ((policy & sgx::key_policy::kMrsigner) != 0) d.mrsigner = secs.mrsigner;
      if ((policy & sgx::key_policy::kNoIsvprodid) == 0) d.isvprodid = secs.isvprodid;
      if ((policy & sgx::key_policy::kConfigid) != 0) {
        d.configid = secs.configid;
        d.configsvn = request.configsvn;
      }
      if ((policy & sgx::key_policy::kIsvfamilyid) != 0)
        d.isvfamilyid = enclave.sigstruct.isvfamilyid;
      if ((policy & sgx::key_policy::kIsvextprodid) != 0) {
        d.isvextprodid = enclave.sigstruct.isvextprodid;
      }
      key = derive(d);
      break;
    }
    case sgx::KeyName::kEinitToken:
      return refuse(sgx::Error::kInvalidAttribute);  // flexible launch control: nobody needs it
    default:
      return refuse(sgx::Error::kInvalidKeyname);
  }
  std::memcpy(at<void>(regs.rcx), key.data(), key.size());
  set_result(regs, sgx::Error::kSuccess);
  return LeafResult::kDone;
}

}  // namespace emulator
