#include "image/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "image/files.h"

namespace image {
namespace {

constexpr uint64_t kMaxComplaint = 4096;

// The last line that says something, without the decoration of erofs-utils ("<E> erofs: ...").
std::string last_line(std::string text) {
  for (char& c : text) {
    if (c == '\t' || c == '\r') c = ' ';
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (size_t newline = text.rfind('\n'); newline != std::string::npos) text.erase(0, newline + 1);
  if (text.starts_with("<E> ")) {
    size_t colon = text.find(": ");
    if (colon != std::string::npos) text.erase(0, colon + 2);
  }
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

std::string complaint(int fd) {
  off_t size = lseek(fd, 0, SEEK_END);
  if (size <= 0) return {};
  uint64_t length = std::min<uint64_t>(static_cast<uint64_t>(size), kMaxComplaint);
  std::string text(length, '\0');
  ssize_t n = pread(fd, text.data(), text.size(), size - static_cast<off_t>(length));
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return last_line(std::move(text));
}

}  // namespace

Result<std::string> find_tool(std::string_view tool, std::string_view package) {
  const char* path = std::getenv("PATH");
  std::string places = std::string(path == nullptr ? "" : path) + ":/usr/sbin:/usr/bin:/sbin:/bin";
  for (size_t start = 0; start <= places.size();) {
    size_t end = std::min(places.find(':', start), places.size());
    std::string candidate = fmt::format("{}/{}", places.substr(start, end - start), tool);
    if (end != start && access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return fail("{} is not installed: apt-get install {}", tool, package);
}

Result<void> run_tool(const std::vector<std::string>& argv, const std::function<void()>& tick) {
  File errors(memfd_create("stderr", MFD_CLOEXEC), "stderr");
  if (errors.fd() < 0) return fail_errno(errno, "cannot run {}", argv[0]);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::string locale = "LC_ALL=C";
  std::string zone = "TZ=UTC";
  char* environment[] = {locale.data(), zone.data(), nullptr};

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, errors.fd(), STDERR_FILENO);
  pid_t pid = 0;
  int error = posix_spawn(&pid, argv[0].c_str(), &actions, nullptr, arguments.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_errno(error, "cannot run {}", argv[0]);

  File watch(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), "pidfd");
  pollfd ended{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  while (watch.fd() >= 0 && poll(&ended, 1, 100) <= 0) tick();
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) return fail("{} was killed by signal {}", argv[0], WTERMSIG(status));
  if (WEXITSTATUS(status) == 0) return {};
  std::string words = complaint(errors.fd());
  if (words.empty()) words = fmt::format("it ended with status {}", WEXITSTATUS(status));
  return fail("{} failed: {}", argv[0], words);
}

}  // namespace image
