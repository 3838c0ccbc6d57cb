#include "image/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace image {

using namespace std::chrono_literals;

Progress::Progress(std::string label, uint64_t total)
    : label_(std::move(label)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + 300ms) {}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

void Progress::update(uint64_t done) {
  if (!terminal_) return;
  auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + 100ms;
  shown_ = true;
  if (total_ == 0) {
    fmt::print(stderr, "\r\033[K{} {}", label_, human_size(done));
    return;
  }
  constexpr uint64_t kWidth = 30;
  uint64_t part = std::min(done, total_);
  auto filled = static_cast<size_t>(static_cast<unsigned __int128>(part) * kWidth / total_);
  fmt::print(stderr, "\r\033[K{} [{:<{}}] {:3} %  {} of {}", label_, std::string(filled, '#'),
             kWidth, static_cast<unsigned>(static_cast<unsigned __int128>(part) * 100 / total_),
             human_size(done), human_size(total_));
}

std::string human_size(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace image
