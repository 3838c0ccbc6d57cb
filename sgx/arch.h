// The SGX architecture as data: every structure that the processor, the enclave, the driver and the
// verifiers exchange, with its exact layout, and the numbers of leaves, errors, page types and
// attribute bits.
//
// Source: Intel SDM volume 3D, chapters 34 (structures: sections 34.7 to 34.19) and 36 (leaf
// functions); the quote is Intel's "SGX ECDSA QuoteGenReference", appendix A (version 3). Names are
// the SDM's. Every size and every offset is asserted, because a structure that is one byte off
// still compiles and merely fails on hardware.
//
// The header is freestanding: the trusted LibOS includes it as it is, so it must never allocate,
// and must need nothing but <cstdint>, <cstddef> and <array>.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sgx {

inline constexpr std::size_t kPageSize = 4096;
inline constexpr std::size_t kPageShift = 12;
inline constexpr std::size_t kHashSize = 32;
inline constexpr std::size_t kKeySize = 16;
inline constexpr std::size_t kModulusSize = 384;  // RSA-3072
inline constexpr std::size_t kExtendSize = 256;   // bytes measured by one EEXTEND

template <std::size_t N>
using Bytes = std::array<std::uint8_t, N>;
using Hash = Bytes<kHashSize>;

// ENCLU leaves (user mode), in EAX. SDM table 34-2.
enum class Enclu : std::uint32_t {
  kEreport = 0,
  kEgetkey = 1,
  kEenter = 2,
  kEresume = 3,
  kEexit = 4,
  kEaccept = 5,
  kEmodpe = 6,
  kEacceptcopy = 7,
  kEverifyreport2 = 8,
  kEdeccssa = 9,
};
inline constexpr std::size_t kEncluLeaves = 10;

// ENCLS leaves (kernel mode), in EAX. SDM table 34-1.
enum class Encls : std::uint32_t {
  kEcreate = 0x00,
  kEadd = 0x01,
  kEinit = 0x02,
  kEremove = 0x03,
  kEdbgrd = 0x04,
  kEdbgwr = 0x05,
  kEextend = 0x06,
  kEldb = 0x07,
  kEldu = 0x08,
  kEblock = 0x09,
  kEpa = 0x0a,
  kEwb = 0x0b,
  kEtrack = 0x0c,
  kEaug = 0x0d,
  kEmodpr = 0x0e,
  kEmodt = 0x0f,
};

// The instruction's bytes: `enclu`.
inline constexpr Bytes<3> kEncluBytes = {0x0f, 0x01, 0xd7};

// Error codes, left in RAX with ZF=1. SDM table 36-4.
enum class Error : std::uint32_t {
  kSuccess = 0,
  kInvalidSigStruct = 1,
  kInvalidAttribute = 2,
  kBlkstate = 3,
  kInvalidMeasurement = 4,
  kNotBlockable = 5,
  kPgInvld = 6,
  kEpcPageConflict = 7,
  kInvalidSignature = 8,
  kMacCompareFail = 9,
  kPageNotBlocked = 10,
  kNotTracked = 11,
  kVaSlotOccupied = 12,
  kChildPresent = 13,
  kEnclaveAct = 14,
  kEntryEpochLocked = 15,
  kInvalidEinitToken = 16,
  kPrevTrkIncmpl = 17,
  kPgIsSecs = 18,
  kPageAttributesMismatch = 19,
  kPageNotModifiable = 20,
  kPageNotDebuggable = 21,
  kInvalidCpusvn = 32,
  kInvalidIsvsvn = 64,
  kUnmaskedEvent = 128,
  kInvalidKeyname = 256,
};

// EPCM and SECINFO page types.
enum class PageType : std::uint8_t {
  kSecs = 0,
  kTcs = 1,
  kReg = 2,
  kVa = 3,
  kTrim = 4,
  kShadowStackFirst = 5,
  kShadowStackRest = 6,
};

// SECS.ATTRIBUTES, the first eight bytes (the second eight are XFRM).
namespace attribute {
inline constexpr std::uint64_t kInit = 1ull << 0;
inline constexpr std::uint64_t kDebug = 1ull << 1;
inline constexpr std::uint64_t kMode64Bit = 1ull << 2;
inline constexpr std::uint64_t kProvisionKey = 1ull << 4;
inline constexpr std::uint64_t kEinitTokenKey = 1ull << 5;
inline constexpr std::uint64_t kCet = 1ull << 6;
inline constexpr std::uint64_t kKss = 1ull << 7;
inline constexpr std::uint64_t kAexNotify = 1ull << 10;
}  // namespace attribute

// XFRM: the XCR0 bits that the enclave runs with, and that AEX saves.
namespace xfrm {
inline constexpr std::uint64_t kX87 = 1ull << 0;
inline constexpr std::uint64_t kSse = 1ull << 1;
inline constexpr std::uint64_t kAvx = 1ull << 2;
inline constexpr std::uint64_t kOpmask = 1ull << 5;
inline constexpr std::uint64_t kZmmHi256 = 1ull << 6;
inline constexpr std::uint64_t kHi16Zmm = 1ull << 7;
inline constexpr std::uint64_t kPkru = 1ull << 9;
inline constexpr std::uint64_t kTileCfg = 1ull << 17;
inline constexpr std::uint64_t kTileData = 1ull << 18;
inline constexpr std::uint64_t kLegacy = kX87 | kSse;  // always set
inline constexpr std::uint64_t kAvx512 = kOpmask | kZmmHi256 | kHi16Zmm;
inline constexpr std::uint64_t kAmx = kTileCfg | kTileData;
}  // namespace xfrm

// SECS.MISCSELECT: what AEX stores in the MISC region below GPRSGX.
namespace miscselect {
inline constexpr std::uint32_t kExinfo = 1u << 0;
inline constexpr std::uint32_t kCpinfo = 1u << 1;
}  // namespace miscselect

struct Attributes {
  std::uint64_t flags;
  std::uint64_t xfrm;
  friend constexpr bool operator==(const Attributes&, const Attributes&) = default;
};
static_assert(sizeof(Attributes) == 16 && offsetof(Attributes, xfrm) == 8);

// SGX Enclave Control Structure, one page that software never sees after ECREATE. SDM 34.7.
struct alignas(kPageSize) Secs {
  std::uint64_t size;  // of ELRANGE: a power of two
  std::uint64_t baseaddr;
  std::uint32_t ssaframesize;  // in pages
  std::uint32_t miscselect;
  std::uint64_t cet_leg_bitmap_offset;
  std::uint8_t cet_attributes;
  Bytes<15> reserved1;
  Attributes attributes;
  Hash mrenclave;
  Bytes<32> reserved2;
  Hash mrsigner;
  Bytes<32> reserved3;
  Bytes<64> configid;
  std::uint16_t isvprodid;
  std::uint16_t isvsvn;
  std::uint16_t configsvn;
  Bytes<3834> reserved4;
};
static_assert(sizeof(Secs) == kPageSize);
static_assert(offsetof(Secs, size) == 0 && offsetof(Secs, baseaddr) == 8);
static_assert(offsetof(Secs, ssaframesize) == 16 && offsetof(Secs, miscselect) == 20);
static_assert(offsetof(Secs, cet_leg_bitmap_offset) == 24 && offsetof(Secs, cet_attributes) == 32);
static_assert(offsetof(Secs, reserved1) == 33 && offsetof(Secs, attributes) == 48);
static_assert(offsetof(Secs, mrenclave) == 64 && offsetof(Secs, reserved2) == 96);
static_assert(offsetof(Secs, mrsigner) == 128 && offsetof(Secs, reserved3) == 160);
static_assert(offsetof(Secs, configid) == 192 && offsetof(Secs, isvprodid) == 256);
static_assert(offsetof(Secs, isvsvn) == 258 && offsetof(Secs, configsvn) == 260);
static_assert(offsetof(Secs, reserved4) == 262);

namespace tcs_flags {
inline constexpr std::uint64_t kDbgOptIn = 1ull << 0;
inline constexpr std::uint64_t kAexNotify = 1ull << 1;
}  // namespace tcs_flags

// Thread Control Structure. The enclave cannot read it once it has become a TCS. SDM 34.8.
struct alignas(kPageSize) Tcs {
  std::uint64_t stage;  // reserved in the SDM; here 1 while a logical processor runs on it
  std::uint64_t flags;
  std::uint64_t ossa;  // offset of the SSA stack from BASEADDR
  std::uint32_t cssa;
  std::uint32_t nssa;
  std::uint64_t oentry;
  std::uint64_t aep;
  std::uint64_t ofsbase;
  std::uint64_t ogsbase;
  std::uint32_t fslimit;
  std::uint32_t gslimit;
  std::uint64_t ocetssa;
  std::uint64_t prevssp;
  Bytes<4008> reserved;
};
static_assert(sizeof(Tcs) == kPageSize);
static_assert(offsetof(Tcs, stage) == 0 && offsetof(Tcs, flags) == 8 && offsetof(Tcs, ossa) == 16);
static_assert(offsetof(Tcs, cssa) == 24 && offsetof(Tcs, nssa) == 28);
static_assert(offsetof(Tcs, oentry) == 32 && offsetof(Tcs, aep) == 40);
static_assert(offsetof(Tcs, ofsbase) == 48 && offsetof(Tcs, ogsbase) == 56);
static_assert(offsetof(Tcs, fslimit) == 64 && offsetof(Tcs, gslimit) == 68);
static_assert(offsetof(Tcs, ocetssa) == 72 && offsetof(Tcs, prevssp) == 80);
static_assert(offsetof(Tcs, reserved) == 88);

// EXITINFO in GPRSGX: why the asynchronous exit happened. VALID is clear for interrupts and for
// exceptions that SGX does not report. SDM 34.9.1.1.
namespace exitinfo {
inline constexpr std::uint32_t kVectorMask = 0xff;
inline constexpr std::uint32_t kTypeShift = 8;
inline constexpr std::uint32_t kTypeMask = 7u << kTypeShift;
inline constexpr std::uint32_t kTypeHardware = 3u << kTypeShift;
inline constexpr std::uint32_t kTypeSoftware = 6u << kTypeShift;  // #BP
inline constexpr std::uint32_t kValid = 1u << 31;
}  // namespace exitinfo

// Exception vectors that EXITINFO can report, and #DB.
namespace vector {
inline constexpr std::uint8_t kDe = 0;
inline constexpr std::uint8_t kDb = 1;
inline constexpr std::uint8_t kBp = 3;
inline constexpr std::uint8_t kBr = 5;
inline constexpr std::uint8_t kUd = 6;
inline constexpr std::uint8_t kGp = 13;  // needs MISCSELECT.EXINFO
inline constexpr std::uint8_t kPf = 14;  // needs MISCSELECT.EXINFO
inline constexpr std::uint8_t kMf = 16;
inline constexpr std::uint8_t kAc = 17;
inline constexpr std::uint8_t kXm = 19;
inline constexpr std::uint8_t kCp = 21;
}  // namespace vector

// The general registers in an SSA frame: its last 184 bytes. SDM 34.9.1.
struct Gprsgx {
  std::uint64_t rax;
  std::uint64_t rcx;
  std::uint64_t rdx;
  std::uint64_t rbx;
  std::uint64_t rsp;
  std::uint64_t rbp;
  std::uint64_t rsi;
  std::uint64_t rdi;
  std::uint64_t r8;
  std::uint64_t r9;
  std::uint64_t r10;
  std::uint64_t r11;
  std::uint64_t r12;
  std::uint64_t r13;
  std::uint64_t r14;
  std::uint64_t r15;
  std::uint64_t rflags;
  std::uint64_t rip;
  std::uint64_t ursp;  // the host's, restored by AEX
  std::uint64_t urbp;
  std::uint32_t exitinfo;
  Bytes<3> reserved;
  std::uint8_t aexnotify;
  std::uint64_t fsbase;
  std::uint64_t gsbase;
};
static_assert(sizeof(Gprsgx) == 184);
static_assert(offsetof(Gprsgx, rax) == 0 && offsetof(Gprsgx, rcx) == 8);
static_assert(offsetof(Gprsgx, rdx) == 16 && offsetof(Gprsgx, rbx) == 24);
static_assert(offsetof(Gprsgx, rsp) == 32 && offsetof(Gprsgx, rbp) == 40);
static_assert(offsetof(Gprsgx, rsi) == 48 && offsetof(Gprsgx, rdi) == 56);
static_assert(offsetof(Gprsgx, r8) == 64 && offsetof(Gprsgx, r9) == 72);
static_assert(offsetof(Gprsgx, r10) == 80 && offsetof(Gprsgx, r11) == 88);
static_assert(offsetof(Gprsgx, r12) == 96 && offsetof(Gprsgx, r13) == 104);
static_assert(offsetof(Gprsgx, r14) == 112 && offsetof(Gprsgx, r15) == 120);
static_assert(offsetof(Gprsgx, rflags) == 128 && offsetof(Gprsgx, rip) == 136);
static_assert(offsetof(Gprsgx, ursp) == 144 && offsetof(Gprsgx, urbp) == 152);
static_assert(offsetof(Gprsgx, exitinfo) == 160 && offsetof(Gprsgx, reserved) == 164);
static_assert(offsetof(Gprsgx, aexnotify) == 167);
static_assert(offsetof(Gprsgx, fsbase) == 168 && offsetof(Gprsgx, gsbase) == 176);

// MISC region, component EXINFO: directly below GPRSGX. SDM 34.9.2.
struct Exinfo {
  std::uint64_t maddr;  // the faulting address of a #PF; 0 for #GP
  std::uint32_t errcd;  // the #PF or #GP error code
  std::uint32_t reserved;
};
static_assert(sizeof(Exinfo) == 16);
static_assert(offsetof(Exinfo, maddr) == 0 && offsetof(Exinfo, errcd) == 8);
static_assert(offsetof(Exinfo, reserved) == 12);

// #PF error code bits.
namespace pf_error {
inline constexpr std::uint32_t kPresent = 1u << 0;
inline constexpr std::uint32_t kWrite = 1u << 1;
inline constexpr std::uint32_t kUser = 1u << 2;
inline constexpr std::uint32_t kReserved = 1u << 3;
inline constexpr std::uint32_t kFetch = 1u << 4;
inline constexpr std::uint32_t kPkey = 1u << 5;
inline constexpr std::uint32_t kSgx = 1u << 15;  // refused by the EPCM, not by the page tables
}  // namespace pf_error

// Offsets within an SSA frame of `frame_bytes` bytes (SSAFRAMESIZE pages).
constexpr std::size_t gprsgx_offset(std::size_t frame_bytes) {
  return frame_bytes - sizeof(Gprsgx);
}
constexpr std::size_t exinfo_offset(std::size_t frame_bytes) {
  return gprsgx_offset(frame_bytes) - sizeof(Exinfo);
}

namespace secinfo_flags {
inline constexpr std::uint64_t kR = 1ull << 0;
inline constexpr std::uint64_t kW = 1ull << 1;
inline constexpr std::uint64_t kX = 1ull << 2;
inline constexpr std::uint64_t kPending = 1ull << 3;
inline constexpr std::uint64_t kModified = 1ull << 4;
inline constexpr std::uint64_t kPr = 1ull << 5;
inline constexpr std::uint64_t kPermissions = kR | kW | kX;
inline constexpr std::uint64_t kTypeShift = 8;
inline constexpr std::uint64_t kTypeMask = 0xffull << kTypeShift;
inline constexpr std::uint64_t kReservedMask =
    ~(kPermissions | kPending | kModified | kPr | kTypeMask);
constexpr std::uint64_t of_type(PageType type) {
  return static_cast<std::uint64_t>(type) << kTypeShift;
}
inline constexpr std::uint64_t kTcs = 1ull << kTypeShift;
inline constexpr std::uint64_t kReg = 2ull << kTypeShift;
inline constexpr std::uint64_t kTrim = 4ull << kTypeShift;
}  // namespace secinfo_flags

// SDM 34.11.
struct alignas(64) Secinfo {
  std::uint64_t flags;
  Bytes<56> reserved;
};
static_assert(sizeof(Secinfo) == 64);
static_assert(offsetof(Secinfo, flags) == 0 && offsetof(Secinfo, reserved) == 8);

// SDM 34.10.
struct alignas(32) Pageinfo {
  std::uint64_t linaddr;
  std::uint64_t srcpge;
  std::uint64_t secinfo;
  std::uint64_t secs;
};
static_assert(sizeof(Pageinfo) == 32);
static_assert(offsetof(Pageinfo, linaddr) == 0 && offsetof(Pageinfo, srcpge) == 8);
static_assert(offsetof(Pageinfo, secinfo) == 16 && offsetof(Pageinfo, secs) == 24);

// The certificate of an enclave: what it is, who signed it, and what it demands. The signature
// covers [0,128) and [900,1028). Numbers of 384 bytes are little-endian. SDM 34.13.
struct [[gnu::packed]] Sigstruct {
  Bytes<16> header;
  std::uint32_t vendor;  // 0, or 0x8086 for Intel's own
  std::uint32_t date;    // BCD, 0xyyyymmdd
  Bytes<16> header2;
  std::uint32_t swdefined;
  Bytes<84> reserved1;
  Bytes<kModulusSize> modulus;
  std::uint32_t exponent;
  Bytes<kModulusSize> signature;
  std::uint32_t miscselect;
  std::uint32_t miscmask;
  std::uint8_t cet_attributes;
  std::uint8_t cet_attributes_mask;
  Bytes<2> reserved2;
  Bytes<16> isvfamilyid;
  Attributes attributes;
  Attributes attributemask;
  Hash enclavehash;
  Bytes<16> reserved3;
  Bytes<16> isvextprodid;
  std::uint16_t isvprodid;
  std::uint16_t isvsvn;
  Bytes<12> reserved4;
  Bytes<kModulusSize> q1;
  Bytes<kModulusSize> q2;
};
static_assert(sizeof(Sigstruct) == 1808);
static_assert(offsetof(Sigstruct, header) == 0 && offsetof(Sigstruct, vendor) == 16);
static_assert(offsetof(Sigstruct, date) == 20 && offsetof(Sigstruct, header2) == 24);
static_assert(offsetof(Sigstruct, swdefined) == 40 && offsetof(Sigstruct, reserved1) == 44);
static_assert(offsetof(Sigstruct, modulus) == 128 && offsetof(Sigstruct, exponent) == 512);
static_assert(offsetof(Sigstruct, signature) == 516 && offsetof(Sigstruct, miscselect) == 900);
static_assert(offsetof(Sigstruct, miscmask) == 904 && offsetof(Sigstruct, cet_attributes) == 908);
static_assert(offsetof(Sigstruct, cet_attributes_mask) == 909);
static_assert(offsetof(Sigstruct, reserved2) == 910 && offsetof(Sigstruct, isvfamilyid) == 912);
static_assert(offsetof(Sigstruct, attributes) == 928 && offsetof(Sigstruct, attributemask) == 944);
static_assert(offsetof(Sigstruct, enclavehash) == 960 && offsetof(Sigstruct, reserved3) == 992);
static_assert(offsetof(Sigstruct, isvextprodid) == 1008 && offsetof(Sigstruct, isvprodid) == 1024);
static_assert(offsetof(Sigstruct, isvsvn) == 1026 && offsetof(Sigstruct, reserved4) == 1028);
static_assert(offsetof(Sigstruct, q1) == 1040 && offsetof(Sigstruct, q2) == 1424);

inline constexpr Bytes<16> kSigstructHeader = {0x06, 0, 0, 0, 0xe1, 0, 0, 0,
                                               0,    0, 1, 0, 0,    0, 0, 0};
inline constexpr Bytes<16> kSigstructHeader2 = {0x01, 0x01, 0, 0, 0x60, 0, 0, 0,
                                                0x60, 0,    0, 0, 0x01, 0, 0, 0};

using Reportdata = Bytes<64>;

// What an enclave is, as a report states it: the signed or MACed part of REPORT and of a quote. SDM
// 34.15.
struct ReportBody {
  Bytes<16> cpusvn;
  std::uint32_t miscselect;
  std::uint8_t cet_attributes;
  Bytes<11> reserved1;
  Bytes<16> isvextnprodid;
  Attributes attributes;
  Hash mrenclave;
  Bytes<32> reserved2;
  Hash mrsigner;
  Bytes<32> reserved3;
  Bytes<64> configid;
  std::uint16_t isvprodid;
  std::uint16_t isvsvn;
  std::uint16_t configsvn;
  Bytes<42> reserved4;
  Bytes<16> isvfamilyid;
  Reportdata reportdata;
};
static_assert(sizeof(ReportBody) == 384);
static_assert(offsetof(ReportBody, cpusvn) == 0 && offsetof(ReportBody, miscselect) == 16);
static_assert(offsetof(ReportBody, cet_attributes) == 20 && offsetof(ReportBody, reserved1) == 21);
static_assert(offsetof(ReportBody, isvextnprodid) == 32 && offsetof(ReportBody, attributes) == 48);
static_assert(offsetof(ReportBody, mrenclave) == 64 && offsetof(ReportBody, reserved2) == 96);
static_assert(offsetof(ReportBody, mrsigner) == 128 && offsetof(ReportBody, reserved3) == 160);
static_assert(offsetof(ReportBody, configid) == 192 && offsetof(ReportBody, isvprodid) == 256);
static_assert(offsetof(ReportBody, isvsvn) == 258 && offsetof(ReportBody, configsvn) == 260);
static_assert(offsetof(ReportBody, reserved4) == 262 && offsetof(ReportBody, isvfamilyid) == 304);
static_assert(offsetof(ReportBody, reportdata) == 320);

struct alignas(512) Report {
  ReportBody body;
  Bytes<32> keyid;
  Bytes<16> mac;  // AES-128-CMAC over `body` with the target's report key
};
// The alignment that EREPORT demands pads the type; the architectural structure is its first 432
// bytes.
inline constexpr std::size_t kReportSize = 432;
static_assert(sizeof(Report) == 512);
static_assert(offsetof(Report, body) == 0 && offsetof(Report, keyid) == 384);
static_assert(offsetof(Report, mac) == 416);

// SDM 34.16.
struct alignas(512) Targetinfo {
  Hash measurement;
  Attributes attributes;
  std::uint8_t cet_attributes;
  std::uint8_t reserved1;
  std::uint16_t configsvn;
  std::uint32_t miscselect;
  Bytes<8> reserved2;
  Bytes<64> configid;
  Bytes<384> reserved3;
};
static_assert(sizeof(Targetinfo) == 512);
static_assert(offsetof(Targetinfo, measurement) == 0 && offsetof(Targetinfo, attributes) == 32);
static_assert(offsetof(Targetinfo, cet_attributes) == 48 && offsetof(Targetinfo, reserved1) == 49);
static_assert(offsetof(Targetinfo, configsvn) == 50 && offsetof(Targetinfo, miscselect) == 52);
static_assert(offsetof(Targetinfo, reserved2) == 56 && offsetof(Targetinfo, configid) == 64);
static_assert(offsetof(Targetinfo, reserved3) == 128);

enum class KeyName : std::uint16_t {
  kEinitToken = 0,
  kProvision = 1,
  kProvisionSeal = 2,
  kReport = 3,
  kSeal = 4,
};

namespace key_policy {
inline constexpr std::uint16_t kMrenclave = 1u << 0;
inline constexpr std::uint16_t kMrsigner = 1u << 1;
inline constexpr std::uint16_t kNoIsvprodid = 1u << 2;
inline constexpr std::uint16_t kConfigid = 1u << 3;
inline constexpr std::uint16_t kIsvfamilyid = 1u << 4;
inline constexpr std::uint16_t kIsvextprodid = 1u << 5;
inline constexpr std::uint16_t kKssBits = kNoIsvprodid | kConfigid | kIsvfamilyid | kIsvextprodid;
inline constexpr std::uint16_t kAll = kMrenclave | kMrsigner | kKssBits;
}  // namespace key_policy

// SDM 34.17.
struct alignas(512) Keyrequest {
  std::uint16_t keyname;
  std::uint16_t keypolicy;
  std::uint16_t isvsvn;
  std::uint8_t cet_attributes_mask;
  std::uint8_t reserved1;
  Bytes<16> cpusvn;
  Attributes attributemask;
  Bytes<32> keyid;
  std::uint32_t miscmask;
  std::uint16_t configsvn;
  Bytes<434> reserved2;
};
static_assert(sizeof(Keyrequest) == 512);
static_assert(offsetof(Keyrequest, keyname) == 0 && offsetof(Keyrequest, keypolicy) == 2);
static_assert(offsetof(Keyrequest, isvsvn) == 4 && offsetof(Keyrequest, cet_attributes_mask) == 6);
static_assert(offsetof(Keyrequest, reserved1) == 7 && offsetof(Keyrequest, cpusvn) == 8);
static_assert(offsetof(Keyrequest, attributemask) == 24 && offsetof(Keyrequest, keyid) == 40);
static_assert(offsetof(Keyrequest, miscmask) == 72 && offsetof(Keyrequest, configsvn) == 76);
static_assert(offsetof(Keyrequest, reserved2) == 78);

// A DCAP quote, version 3, ECDSA-P256. The header and the body are what the attestation key signs.
struct QuoteHeader {
  std::uint16_t version;  // 3
  std::uint16_t attestation_key_type;
  std::uint32_t tee_type;  // 0: SGX (reserved in version 3)
  std::uint16_t qe_svn;
  std::uint16_t pce_svn;
  Bytes<16> qe_vendor_id;
  Bytes<20> user_data;
};
static_assert(sizeof(QuoteHeader) == 48);
static_assert(offsetof(QuoteHeader, version) == 0 &&
              offsetof(QuoteHeader, attestation_key_type) == 2);
static_assert(offsetof(QuoteHeader, tee_type) == 4 && offsetof(QuoteHeader, qe_svn) == 8);
static_assert(offsetof(QuoteHeader, pce_svn) == 10 && offsetof(QuoteHeader, qe_vendor_id) == 12);
static_assert(offsetof(QuoteHeader, user_data) == 28);

inline constexpr std::uint16_t kQuoteVersion = 3;
inline constexpr std::uint16_t kAttestationKeyEcdsaP256 = 2;
inline constexpr Bytes<16> kIntelQeVendorId = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                               0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

struct [[gnu::packed]] Quote {
  QuoteHeader header;
  ReportBody body;
  std::uint32_t signature_size;  // of what follows
};
static_assert(sizeof(Quote) == 436);
static_assert(offsetof(Quote, header) == 0 && offsetof(Quote, body) == 48);
static_assert(offsetof(Quote, signature_size) == 432);

// The fixed part of an ECDSA quote's signature data. QE authentication data (u16 size + bytes) and
// certification data (u16 type, u32 size, bytes) follow.
struct [[gnu::packed]] QuoteSignature {
  Bytes<64> signature;        // r || s, big-endian, over header and body
  Bytes<64> attestation_key;  // x || y
  ReportBody qe_report;
  Bytes<64> qe_report_signature;
};
static_assert(sizeof(QuoteSignature) == 576);
static_assert(offsetof(QuoteSignature, signature) == 0);
static_assert(offsetof(QuoteSignature, attestation_key) == 64);
static_assert(offsetof(QuoteSignature, qe_report) == 128);
static_assert(offsetof(QuoteSignature, qe_report_signature) == 512);

struct [[gnu::packed]] QuoteCertificationData {
  std::uint16_t type;
  std::uint32_t size;
};
static_assert(sizeof(QuoteCertificationData) == 6);
static_assert(offsetof(QuoteCertificationData, type) == 0 &&
              offsetof(QuoteCertificationData, size) == 2);
inline constexpr std::uint16_t kCertificationPckChain = 5;  // PEM: leaf, platform CA, root

}  // namespace sgx
