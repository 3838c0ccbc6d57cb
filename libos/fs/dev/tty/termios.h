// Terminal settings as programs see them (termios(3), tty_ioctl(4); uapi asm-generic/termbits.h,
// ioctls.h).
#pragma once

#include <array>
#include <cstdint>

namespace occlum {

enum InputFlag : uint32_t {
  kIgnBrk = 01,
  kBrkInt = 02,
  kIStrip = 040,
  kINlCr = 0100,
  kIgnCr = 0200,
  kICrNl = 0400,
  kIXOn = 02000,
  kIXAny = 04000,
  kIMaxBel = 020000,
  kIUtf8 = 040000,
};
enum OutputFlag : uint32_t {
  kOPost = 01,
  kONlCr = 04,
  kOCrNl = 010,
  kONoCr = 020,
  kONlRet = 040,
  kTabMask = 014000,
  kXTabs = 014000,
};
enum ControlFlag : uint32_t {
  kBaudMask = 0x100f,
  kB38400 = 0xf,
  kCs8 = 060,
  kCRead = 0200,
  kHupCl = 02000
};
enum LocalFlag : uint32_t {
  kISig = 01,
  kICanon = 02,
  kEcho = 010,
  kEchoE = 020,
  kEchoK = 040,
  kEchoNl = 0100,
  kNoFlush = 0200,
  kToStop = 0400,
  kEchoCtl = 01000,
  kEchoPrt = 02000,
  kEchoKE = 04000,
  kIExten = 0100000,
  kExtProc = 0200000,
};
// What a pty's master in packet mode is told of (TIOCPKT).
enum PacketStatus : uint8_t {
  kPacketFlushRead = 1,
  kPacketFlushWrite = 2,
  kPacketStop = 4,
  kPacketStart = 8,
  kPacketNoStop = 16,  // ^S and ^Q no longer stop and start
  kPacketDoStop = 32,
  kPacketIoctl = 64,
};
// Indices of control characters.
enum ControlChar : uint32_t {
  kVIntr,
  kVQuit,
  kVErase,
  kVKill,
  kVEof,
  kVTime,
  kVMin,
  kVSwtc,
  kVStart,
  kVStop,
  kVSusp,
  kVEol,
  kVReprint,
  kVDiscard,
  kVWErase,
  kVLNext,
  kVEol2,
  kControlChars = 19,
};

struct Termios {
  uint32_t input = kICrNl | kIXOn;
  uint32_t output = kOPost | kONlCr;
  uint32_t control = kB38400 | kCs8 | kCRead;
  uint32_t local = kISig | kICanon | kEcho | kEchoE | kEchoK | kEchoCtl | kEchoKE | kIExten;
  uint8_t line = 0;
  std::array<uint8_t, kControlChars> chars = {3,  28, 127, 21, 4,  0,  1,  0, 17,
                                              19, 26, 0,   18, 15, 23, 22, 0};

  bool operator==(const Termios&) const = default;
};
static_assert(sizeof(Termios) == 36);

struct Termios2 {
  Termios base;
  uint32_t input_speed = 38400, output_speed = 38400;
};
static_assert(sizeof(Termios2) == 44);

// The older struct termio.
struct Termio {
  uint16_t input, output, control, local;
  uint8_t line;
  std::array<uint8_t, 8> chars;
  uint8_t padding = 0;
};
static_assert(sizeof(Termio) == 18);

struct WindowSize {
  uint16_t rows = 0, columns = 0, width = 0, height = 0;
  bool operator==(const WindowSize&) const = default;
};
static_assert(sizeof(WindowSize) == 8);

enum TerminalRequest : uint32_t {
  kTcGets = 0x5401,
  kTcSets = 0x5402,
  kTcSetsW = 0x5403,
  kTcSetsF = 0x5404,
  kTcGetA = 0x5405,
  kTcSetA = 0x5406,
  kTcSetAW = 0x5407,
  kTcSetAF = 0x5408,
  kTcSBrk = 0x5409,
  kTcXOnc = 0x540a,
  kTcFlush = 0x540b,
  kTiocExcl = 0x540c,
  kTiocNxcl = 0x540d,
  kTiocGExcl = 0x80045440,
  kTiocSCtty = 0x540e,
  kTiocGPgrp = 0x540f,
  kTiocSPgrp = 0x5410,
  kTiocSti = 0x5412,
  kTiocGWinSz = 0x5413,
  kTiocSWinSz = 0x5414,
  kTiocNotty = 0x5422,
  kTiocGetD = 0x5424,
  kTcSBrkP = 0x5425,
  kTiocGSid = 0x5429,
  kTcGets2 = 0x802c542a,
  kTcSets2 = 0x402c542b,
  kTcSetsW2 = 0x402c542c,
  kTcSetsF2 = 0x402c542d,
  kTiocGPtn = 0x80045430,
  kTiocSPtLck = 0x40045431,
  kTiocGPtLck = 0x80045439,
  kTiocGPtPeer = 0x5441,
  kTiocPkt = 0x5420,
  kTiocGPkt = 0x80045438,
  kTiocSig = 0x40045436,
};

}  // namespace occlum
