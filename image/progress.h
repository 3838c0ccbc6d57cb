// One line on a terminal that says how far a long step has come. Nothing is printed when stderr is
// no terminal, or when the step ends within 0.3 s; the line is erased at the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace image {

class Progress {
 public:
  // `total` in bytes; 0 if unknown.
  Progress(std::string label, uint64_t total);
  Progress(const Progress&) = delete;
  ~Progress();
  // One caller at a time.
  void update(uint64_t done);

 private:
  std::string label_;
  uint64_t total_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

// "4.1 MB", in powers of 1024.
std::string human_size(uint64_t bytes);

}  // namespace image
