// ETXTBSY: what is being executed cannot be opened for writing, and what is open for writing cannot be executed. The
// programs that run are copies of this one, which then play a role; they tell over a pipe when they run.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "check.h"

enum { kReady = 3, kGo = 4 };  // the descriptors of a role

static void copy_file(const char* from, const char* to) {
  int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  REQUIRE(in != -1 && out != -1);
  static char buffer[65536];
  for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;) REQUIRE(write(out, buffer, n) == n);
  close(in);
  close(out);
}

static void begin(void) {
  check_enter_scratch();
  copy_file("/proc/self/exe", "program");
}

// One that plays a role: `go` is closed to end it.
struct player {
  pid_t pid;
  int ready, go;
};

static void await_ready(const struct player* player) {
  char byte = 0;
  CHECK_EQ(read(player->ready, &byte, 1), 1);
}

static struct player start(const char* path, const char* role) {
  int ready[2], go[2];
  REQUIRE(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
  struct player player = {fork(), ready[0], go[1]};
  REQUIRE(player.pid != -1);
  if (player.pid == 0) {
    int high_ready = fcntl(ready[1], F_DUPFD, 20), high_go = fcntl(go[0], F_DUPFD, 20);
    dup2(high_ready, kReady);
    dup2(high_go, kGo);
    close(high_ready);
    close(high_go);
    execl(path, path, "role", role, NULL);
    _exit(errno);
  }
  close(ready[1]);
  close(go[0]);
  await_ready(&player);
  return player;
}

static int end(struct player* player) {
  close(player->go);
  int status = -1;
  CHECK_EQ(waitpid(player->pid, &status, 0), player->pid);
  close(player->ready);
  return status;
}

static void tell_ready(void) {
  if (write(kReady, "r", 1) != 1) _exit(90);
}
static void await_go(void) {
  char byte;
  (void)!read(kGo, &byte, 1);
}

static void* wait_and_exit(void* unused) {
  (void)unused;
  check_until_others_sleep();
  tell_ready();
  await_go();
  _exit(0);
}

static int play(const char* role) {
  if (strcmp(role, "wait") == 0) {
    tell_ready();
    await_go();
  }
  // The one who waits is a child; its parent is gone.
  if (strcmp(role, "fork") == 0) {
    if (fork() != 0) _exit(0);
    tell_ready();
    await_go();
    tell_ready();
  }
  // A child goes on to another program, while the parent stays.
  if (strcmp(role, "exec_child") == 0 || strcmp(role, "vfork_child") == 0) {
    pid_t pid = role[0] == 'v' ? vfork() : fork();
    if (pid == 0) {
      execl("other", "other", "role", "wait", NULL);
      _exit(1);
    }
    await_go();
    int status;
    waitpid(pid, &status, 0);
    return status;
  }
  // It becomes another program.
  if (strcmp(role, "become") == 0) {
    execl("other", "other", "role", "wait", NULL);
    _exit(1);
  }
  // The first thread ends before the process does.
  if (strcmp(role, "leader_ends") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_and_exit, NULL) != 0) _exit(91);
    pthread_exit(NULL);
  }
  return 0;
}

// The errno with which the file cannot be executed, 0 when it can.
static int exec_error(const char* path) {
  pid_t pid = fork();
  if (pid == 0) {
    execl(path, path, "role", "nothing", NULL);
    _exit(errno);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WEXITSTATUS(status);
}

static int writable(const char* path) {
  int fd = open(path, O_WRONLY);
  if (fd == -1) return -1;
  close(fd);
  return 0;
}

CASE(running) {
  begin();
  struct stat before, after;
  CHECK_OK(stat("program", &before));
  struct player player = start("./program", "wait");
  CHECK_ERRNO(open("program", O_WRONLY), ETXTBSY);
  CHECK_ERRNO(open("program", O_RDWR), ETXTBSY);
  CHECK_ERRNO(open("program", O_WRONLY | O_APPEND), ETXTBSY);
  CHECK_ERRNO(open("program", O_RDWR | O_CREAT, 0600), ETXTBSY);
  CHECK_ERRNO(open("program", O_RDONLY | O_TRUNC), ETXTBSY);
  CHECK_ERRNO(open("program", O_WRONLY | O_TRUNC), ETXTBSY);
  CHECK_ERRNO(open("program", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
  CHECK_ERRNO(truncate("program", 0), ETXTBSY);
  CHECK_ERRNO(truncate("program", before.st_size), ETXTBSY);
  CHECK_ERRNO(truncate("program", INT64_MAX), ETXTBSY);
  CHECK_ERRNO(truncate("program", -1), EINVAL);
  CHECK_OK(stat("program", &after));
  CHECK_EQ(after.st_size, before.st_size);
  CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/exe", player.pid);
  CHECK_ERRNO(open(path, O_RDWR), ETXTBSY);
  CHECK_OK(access("program", R_OK | W_OK | X_OK));
  int fd = open("program", 3);  // for ioctls alone
  CHECK(fd != -1);
  close(fd);
  fd = open("program", O_RDONLY);
  CHECK(fd != -1);
  CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  CHECK_ERRNO(open(path, O_RDWR), ETXTBSY);
  close(fd);
  fd = open("program", O_PATH);
  CHECK(fd != -1);
  close(fd);
  CHECK_OK(chmod("program", 0700));
  CHECK_OK(utimensat(AT_FDCWD, "program", NULL, 0));
  CHECK_EQ(exec_error("./program"), 0);
  CHECK_EQ(end(&player), 0);
  CHECK_OK(writable("program"));
  CHECK_OK(truncate("program", before.st_size));
}

// How a program is replaced while it runs.
CASE(names) {
  begin();
  copy_file("program", "next");
  struct player player = start("./program", "wait");
  CHECK_OK(link("program", "second"));
  CHECK_ERRNO(writable("second"), ETXTBSY);
  CHECK_OK(rename("next", "program"));
  CHECK_OK(writable("program"));
  CHECK_ERRNO(writable("second"), ETXTBSY);
  CHECK_OK(rename("second", "third"));
  CHECK_ERRNO(writable("third"), ETXTBSY);
  CHECK_OK(unlink("third"));
  copy_file("program", "third");
  CHECK_OK(writable("third"));
  CHECK_EQ(end(&player), 0);
}

CASE(being_written) {
  begin();
  int fd = open("program", O_WRONLY | O_CLOEXEC);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  int copy = dup(fd);
  close(fd);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  close(copy);
  CHECK_EQ(exec_error("./program"), 0);
  fd = open("program", O_RDONLY);
  CHECK_EQ(exec_error("./program"), 0);
  close(fd);
  fd = open("program", O_RDWR);
  CHECK_EQ(chmod("program", 0600), 0);
  CHECK_EQ(exec_error("./program"), EACCES);
  CHECK_EQ(chmod("program", 0700), 0);
  close(fd);
  // Another process has it open.
  int go[2], ready[2];
  REQUIRE(pipe(go) == 0 && pipe(ready) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    close(go[1]);
    if (open("program", O_WRONLY) == -1) _exit(1);
    char byte = 'r';
    (void)!write(ready[1], &byte, 1);
    (void)!read(go[0], &byte, 1);
    _exit(0);
  }
  char byte;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  close(go[1]);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(exec_error("./program"), 0);
}

CASE(written_in_flight) {
  begin();
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  int fd = open("program", O_WRONLY);
  char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  CHECK_EQ(sendmsg(pair[0], &message, 0), 1);
  close(fd);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  CHECK_EQ(read(pair[1], &byte, 1), 1);
  CHECK_EQ(exec_error("./program"), 0);
}

// A mapping keeps the file as open as it was, whatever the rights of the mapping.
CASE(mappings) {
  begin();
  int fd = open("program", O_RDWR);
  char* at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(at != MAP_FAILED);
  close(fd);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  CHECK_OK(munmap(at, 4096));
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  CHECK_OK(munmap(at + 2 * 4096, 4096));
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  CHECK_OK(mprotect(at + 4096, 4096, PROT_NONE));
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  int reader = open("program", O_RDONLY);
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, F_RDLCK), EAGAIN);
  CHECK_OK(munmap(at + 4096, 4096));
  CHECK_EQ(exec_error("./program"), 0);
  CHECK_OK(fcntl(reader, F_SETLEASE, F_RDLCK));
  CHECK_OK(fcntl(reader, F_SETLEASE, F_UNLCK));
  close(reader);

  fd = open("program", O_RDWR);
  at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  REQUIRE(at != MAP_FAILED);
  close(fd);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  REQUIRE(mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
  CHECK_EQ(exec_error("./program"), 0);

  fd = open("program", O_RDWR);
  at = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_32BIT, fd, 0);
  REQUIRE(at != MAP_FAILED && (uintptr_t)at < (uintptr_t)2 << 30);
  close(fd);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  CHECK_OK(munmap(at, 4096));
  CHECK_EQ(exec_error("./program"), 0);

  // Readers' mappings deny nothing, executable or not: such are those of libraries.
  fd = open("program", O_RDONLY);
  void* text = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  void* shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(text != MAP_FAILED && shared != MAP_FAILED);
  close(fd);
  CHECK_OK(writable("program"));
  CHECK_EQ(exec_error("./program"), 0);
  munmap(text, 4096);
  munmap(shared, 4096);
}

CASE(mapping_goes_with_its_process) {
  begin();
  int fd = open("program", O_RDWR), ready[2], go[2];
  char* at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(at != MAP_FAILED && pipe(ready) == 0 && pipe(go) == 0);
  close(fd);
  pid_t pid = fork();
  if (pid == 0) {
    char byte = 'r';
    close(go[1]);
    (void)!write(ready[1], &byte, 1);
    (void)!read(go[0], &byte, 1);
    _exit(0);
  }
  char byte;
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  munmap(at, 4096);
  pid_t checker = fork();  // has no copy of the mapping
  if (checker == 0) {
    execl("./program", "./program", "role", "nothing", NULL);
    _exit(errno);
  }
  int status = -1;
  CHECK_EQ(waitpid(checker, &status, 0), checker);
  CHECK_EQ(WEXITSTATUS(status), ETXTBSY);
  close(go[1]);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(exec_error("./program"), 0);
}

CASE(scripts) {
  begin();
  static const char text[] = "#!./program role\n";
  check_write_file("script", text, strlen(text));
  CHECK_OK(chmod("script", 0755));
  int fd = open("script", O_WRONLY);
  CHECK_EQ(exec_error("./script"), ETXTBSY);
  close(fd);
  fd = open("program", O_WRONLY);
  CHECK_EQ(exec_error("./script"), ETXTBSY);
  close(fd);
  // Only the interpreter is what runs. ("#!./program role" is told the script's name as its role.)
  CHECK_OK(symlink("script", "wait"));
  struct player player = start("wait", "");
  CHECK_OK(writable("script"));
  CHECK_ERRNO(writable("program"), ETXTBSY);
  CHECK_EQ(end(&player), 0);
  CHECK_OK(writable("program"));
}

// The file that PT_INTERP names must not be written to when a program starts; while it runs it may be.
CASE(interpreters) {
  begin();
  static const char name[] = "/lib64/ld-linux-x86-64.so.2";
  static char image[4 << 20];
  int fd = open("program", O_RDWR);
  ssize_t size = pread(fd, image, sizeof image, 0);
  char* at = memmem(image, size < 4096 ? size : 4096, name, sizeof name);
  if (at == NULL) return;  // a static one
  memset(at, 0, sizeof name);
  strcpy(at, "./loader");
  CHECK_EQ(pwrite(fd, at, sizeof name, at - image), sizeof name);
  close(fd);
  copy_file(name, "loader");
  CHECK_EQ(exec_error("./program"), 0);
  fd = open("loader", O_WRONLY);
  CHECK_EQ(exec_error("./program"), ETXTBSY);
  close(fd);
  struct player player = start("./program", "wait");
  CHECK_OK(writable("loader"));
  CHECK_ERRNO(writable("program"), ETXTBSY);
  CHECK_EQ(end(&player), 0);
}

CASE(forked) {
  begin();
  struct player player = start("./program", "fork");
  int status;
  CHECK_EQ(waitpid(player.pid, &status, 0), player.pid);
  CHECK_ERRNO(writable("program"), ETXTBSY);
  close(player.go);
  await_ready(&player);
  char byte;
  CHECK_EQ(read(player.ready, &byte, 1), 0);  // it has ended
  close(player.ready);
}

static void check_child_goes_on(const char* role) {
  begin();
  copy_file("program", "other");
  struct player player = start("./program", role);
  CHECK_ERRNO(writable("program"), ETXTBSY);
  CHECK_ERRNO(writable("other"), ETXTBSY);
  CHECK_EQ(end(&player), 0);
  CHECK_OK(writable("program"));
  CHECK_OK(writable("other"));
}

CASE(child_executes) { check_child_goes_on("exec_child"); }
CASE(vfork_child_executes) { check_child_goes_on("vfork_child"); }

CASE(becomes_another) {
  begin();
  copy_file("program", "other");
  struct player player = start("./program", "become");
  CHECK_OK(writable("program"));
  CHECK_ERRNO(writable("other"), ETXTBSY);
  CHECK_EQ(end(&player), 0);
}

CASE(failed_exec_holds_nothing) {
  begin();
  check_write_file("nonsense", "\177ELF", 4);
  CHECK_OK(chmod("nonsense", 0755));
  CHECK_EQ(exec_error("./nonsense"), ENOEXEC);
  CHECK_OK(writable("nonsense"));
  static const char text[] = "#!/no/such\n";
  check_write_file("script", text, strlen(text));
  CHECK_OK(chmod("script", 0755));
  CHECK_EQ(exec_error("./script"), ENOENT);
  CHECK_OK(writable("script"));
}

CASE(zombies_and_threads) {
  begin();
  struct player player = start("./program", "wait");
  close(player.go);
  siginfo_t info;
  CHECK_OK(waitid(P_PID, player.pid, &info, WEXITED | WNOWAIT));
  CHECK_OK(writable("program"));
  CHECK_EQ(end(&player), 0);

  player = start("./program", "leader_ends");
  CHECK_ERRNO(writable("program"), ETXTBSY);
  CHECK_EQ(end(&player), 0);
  CHECK_OK(writable("program"));

  player = start("./program", "wait");
  CHECK_OK(kill(player.pid, SIGKILL));
  CHECK_EQ(end(&player), SIGKILL);
  CHECK_OK(writable("program"));
}

// What memfd_create returns does not count as open for writing.
CASE(memory_files) {
  begin();
  int fd = memfd_create("program", MFD_CLOEXEC), in = open("program", O_RDONLY);
  static char buffer[65536];
  for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;) CHECK_EQ(write(fd, buffer, n), n);
  close(in);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  CHECK_EQ(exec_error(path), 0);
  struct player player = start(path, "wait");
  int reader = open(path, O_RDONLY);
  CHECK(reader != -1);
  close(reader);
  CHECK_OK(ftruncate(fd, lseek(fd, 0, SEEK_END)));
  CHECK_EQ(pwrite(fd, "\177", 1, 0), 1);
  CHECK_EQ(end(&player), 0);
  CHECK_EQ(exec_error(path), 0);
}

CASE(leases_of_what_runs) {
  begin();
  struct player player = start("./program", "wait");
  int fd = open("program", O_RDONLY);
  CHECK_ERRNO(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
  CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  // No lease is broken by what is refused.
  CHECK_ERRNO(open("program", O_WRONLY | O_NONBLOCK), ETXTBSY);
  CHECK_ERRNO(truncate("program", 0), ETXTBSY);
  CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
  close(fd);
  CHECK_EQ(end(&player), 0);
}

CASE(unnamed_files) {
  begin();
  int fd = open(".", O_TMPFILE | O_RDWR, 0755), in = open("program", O_RDONLY);
  REQUIRE(fd != -1 && in != -1);
  static char buffer[65536];
  for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;) CHECK_EQ(write(fd, buffer, n), n);
  close(in);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  CHECK_EQ(exec_error(path), ETXTBSY);
  int reader = open(path, O_RDONLY);
  close(fd);
  snprintf(path, sizeof path, "/proc/self/fd/%d", reader);
  CHECK_EQ(exec_error(path), 0);
}

int main(int argc, char** argv) {
  if (argc > 2 && strcmp(argv[1], "role") == 0) {
    const char* slash = strrchr(argv[2], '/');
    return play(slash ? slash + 1 : argv[2]);
  }
  return check_main(argc, argv);
}
