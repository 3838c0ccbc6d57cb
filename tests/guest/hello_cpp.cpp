// A C++ program: exceptions through several frames, iostream, threads, thread_local, static construction, regex.
#include <cmath>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <numeric>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Announcer {
  explicit Announcer(const char* name) : name_(name) { std::cout << "construct " << name_ << "\n"; }
  ~Announcer() { std::cout << "destroy " << name_ << "\n"; }
  const char* name_;
};

Announcer global("global");
thread_local int per_thread = 7;

int thrower(int depth) {
  Announcer frame("frame");
  if (depth == 0) throw std::runtime_error("thrown from the bottom");
  return thrower(depth - 1) + 1;
}

void exceptions() {
  try {
    thrower(3);
  } catch (const std::exception& error) {
    std::cout << "caught: " << error.what() << "\n";
  }
  try {
    std::vector<int>(3).at(5) = 1;
  } catch (const std::out_of_range&) {
    std::cout << "caught out_of_range\n";
  }
  auto failing =
      std::async(std::launch::async, []() -> int { throw std::logic_error("from a thread"); });
  try {
    failing.get();
  } catch (const std::logic_error& error) {
    std::cout << "caught " << error.what() << "\n";
  }
}

void threads() {
  std::mutex mutex;
  std::map<int, int> squares;
  std::vector<std::thread> workers;
  for (int i = 0; i < 16; i++) {
    workers.emplace_back([&, i] {
      per_thread += i;
      std::lock_guard lock(mutex);
      squares[i] = i * i + per_thread;
    });
  }
  for (auto& worker : workers) worker.join();
  int total = std::accumulate(squares.begin(), squares.end(), 0,
                              [](int sum, auto& pair) { return sum + pair.second; });
  std::cout << "sum over " << squares.size() << " threads: " << total << ", mine " << per_thread
            << "\n";
}

}  // namespace

int main() {
  exceptions();
  threads();
  std::ostringstream text;
  text << std::fixed << std::hex << 255 << ' ' << std::sqrt(2.0);
  std::cout << text.str() << "\n";
  std::cout << std::regex_replace(std::string("many words here"), std::regex("[aeiou]"), "*")
            << "\n";
  static Announcer local("local");
  return 0;
}
