// Structures of pipes, events, polling and sockets as programs see them (uapi eventpoll.h, poll.h,
// signalfd.h, socket.h).
#pragma once

#include <array>
#include <cstdint>

namespace occlum {

struct FdPair {
  int first;
  int second;
};
static_assert(sizeof(FdPair) == 8);

struct PollFd {
  int fd;
  int16_t events;
  int16_t revents;
};
static_assert(sizeof(PollFd) == 8);

struct [[gnu::packed]] EpollEvent {
  uint32_t events;
  uint64_t data;
};
static_assert(sizeof(EpollEvent) == 12);

struct TimerFdSetting {  // itimerspec
  int64_t interval_seconds, interval_nanoseconds;
  int64_t value_seconds, value_nanoseconds;
};
static_assert(sizeof(TimerFdSetting) == 32);

struct SignalFdInfo {  // signalfd_siginfo
  uint32_t signal;
  int32_t error, code;
  uint32_t pid, uid;
  int32_t fd;
  uint32_t tid, band, overrun, trap;
  int32_t status, integer;
  uint64_t pointer, user_time, system_time, address;
  uint16_t address_lsb;
  std::array<uint8_t, 46> padding;
};
static_assert(sizeof(SignalFdInfo) == 128);

// pselect6(2)'s last argument.
struct SignalSetArgument {
  uint64_t address;
  uint64_t size;
};

struct MessageHeader {  // msghdr
  uint64_t name;
  uint32_t name_length;
  uint32_t padding;
  uint64_t iov;
  uint64_t iov_count;
  uint64_t control;
  uint64_t control_length;
  int32_t flags;
  uint32_t padding2;
};
static_assert(sizeof(MessageHeader) == 56);

struct MultiMessageHeader {  // mmsghdr
  MessageHeader header;
  uint32_t length;
  uint32_t padding;
};
static_assert(sizeof(MultiMessageHeader) == 64);

}  // namespace occlum
