// POSIX message queues (mq_overview(7)) and named semaphores (sem_overview(7)).
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;

static char name[64], back[8192];
static const char* fresh_name(void) {
  static int count;
  snprintf(name, sizeof name, "/guest-%d-%d", getpid(), count++);
  return name;
}
static mqd_t open_new(long messages, long size, int flags) {
  struct mq_attr shape = {.mq_maxmsg = messages, .mq_msgsize = size};
  mqd_t queue = mq_open(fresh_name(), O_RDWR | O_CREAT | O_EXCL | flags, 0600, &shape);
  REQUIRE(queue != (mqd_t)-1);
  return queue;
}
static void forget(mqd_t queue) {
  CHECK_OK(mq_close(queue));
  CHECK_OK(mq_unlink(name));
}

CASE(names) {
  CHECK_ERRNO(mq_open("none", O_RDWR), EINVAL);  // The library asks for the slash.
  CHECK_ERRNO(mq_open("/none", O_RDWR), ENOENT);
  CHECK_ERRNO(mq_open("/", O_RDWR | O_CREAT, 0600, NULL), ENOENT);
  CHECK_ERRNO(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL), EACCES);
  CHECK_ERRNO(mq_open("/..", O_RDWR | O_CREAT, 0600, NULL), EACCES);
  char name_too_long[300];
  memset(name_too_long, 'n', sizeof name_too_long);
  name_too_long[0] = '/';
  name_too_long[257] = 0;
  CHECK_ERRNO(mq_open(name_too_long, O_RDWR | O_CREAT, 0600, NULL), ENAMETOOLONG);
  CHECK_ERRNO(mq_unlink("/none"), ENOENT);
  CHECK_ERRNO(syscall(SYS_mq_open, 8, O_RDWR, 0, NULL), EFAULT);
  mqd_t queue = open_new(3, 100, 0);
  struct mq_attr shape;
  CHECK_ERRNO(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL), EEXIST);
  CHECK_ERRNO(mq_open(name, O_RDWR | O_WRONLY), EINVAL);
  mqd_t again = mq_open(name, O_RDONLY | O_CREAT | O_NONBLOCK, 0600, NULL);
  CHECK_OK(mq_getattr(again, &shape));
  CHECK_EQ(shape.mq_maxmsg, 3);
  CHECK_EQ(shape.mq_msgsize, 100);
  CHECK_EQ(shape.mq_curmsgs, 0);
  CHECK_EQ(shape.mq_flags, O_NONBLOCK);
  CHECK_ERRNO(mq_send(again, "x", 1, 0), EBADF);
  CHECK_EQ(fcntl(again, F_GETFD), FD_CLOEXEC);
  struct stat info;
  CHECK_OK(fstat(again, &info));
  CHECK_EQ(info.st_mode, S_IFREG | 0600);
  CHECK_OK(mq_close(again));
  CHECK_OK(mq_unlink(name));
  CHECK_ERRNO(mq_open(name, O_RDWR), ENOENT);
  CHECK_OK(mq_send(queue, "still", 5, 0));  // It lives while it is open.
  CHECK_OK(mq_close(queue));
  CHECK_ERRNO(mq_send(queue, "x", 1, 0), EBADF);
  queue = mq_open(fresh_name(), O_RDWR | O_CREAT, 0600, NULL);
  CHECK_OK(mq_getattr(queue, &shape));
  CHECK_EQ(shape.mq_maxmsg, 10);
  CHECK_EQ(shape.mq_msgsize, 8192);
  forget(queue);
  shape = (struct mq_attr){.mq_maxmsg = 0, .mq_msgsize = 10};
  CHECK_ERRNO(mq_open(fresh_name(), O_RDWR | O_CREAT, 0600, &shape), EINVAL);
  shape = (struct mq_attr){.mq_maxmsg = 10, .mq_msgsize = -1};
  CHECK_ERRNO(mq_open(name, O_RDWR | O_CREAT, 0600, &shape), EINVAL);
  shape = (struct mq_attr){.mq_maxmsg = LONG_MAX, .mq_msgsize = 10};
  CHECK_ERRNO(mq_open(name, O_RDWR | O_CREAT, 0600, &shape), EINVAL);
}

CASE(priorities) {
  mqd_t queue = open_new(5, 20, 0);
  CHECK_OK(mq_send(queue, "low", 3, 1));
  CHECK_OK(mq_send(queue, "high", 4, 32767));
  CHECK_OK(mq_send(queue, "low too", 7, 1));
  CHECK_OK(mq_send(queue, "", 0, 5));
  CHECK_ERRNO(mq_send(queue, "x", 1, 32768), EINVAL);
  CHECK_ERRNO(mq_send(queue, back, 21, 0), EMSGSIZE);
  CHECK_ERRNO(mq_receive(queue, back, 19, NULL), EMSGSIZE);
  CHECK_ERRNO(syscall(SYS_mq_timedsend, queue, 8, 1, 0, NULL), EFAULT);
  struct mq_attr shape;
  CHECK_OK(mq_getattr(queue, &shape));
  CHECK_EQ(shape.mq_curmsgs, 4);
  unsigned priority;
  memset(back, 0, sizeof back);
  CHECK_EQ(mq_receive(queue, back, 20, &priority), 4);
  CHECK_EQ(priority, 32767);
  CHECK_EQ(mq_receive(queue, back, 20, &priority), 0);
  CHECK_EQ(priority, 5);
  CHECK_EQ(mq_receive(queue, back, 20, &priority), 3);
  CHECK_EQ(mq_receive(queue, back, 20, NULL), 7);
  CHECK_STR(back, "low too");
  forget(queue);
}

CASE(waiting_and_timeouts) {
  mqd_t queue = open_new(1, 10, 0);
  struct timespec past = {1, 0}, bad = {1, 1000000000}, negative = {-1, 0};
  CHECK_ERRNO(mq_timedreceive(queue, back, 10, NULL, &past), ETIMEDOUT);
  CHECK_ERRNO(mq_timedreceive(queue, back, 10, NULL, &bad), EINVAL);
  CHECK_ERRNO(mq_timedreceive(queue, back, 10, NULL, &negative), EINVAL);
  CHECK_OK(mq_timedsend(queue, "x", 1, 0, &past));  // No wait, no timeout.
  CHECK_ERRNO(mq_timedsend(queue, "x", 1, 0, &past), ETIMEDOUT);
  CHECK_ERRNO(syscall(SYS_mq_timedsend, queue, "x", 1, 0, 8), EFAULT);
  struct mq_attr flags = {.mq_flags = O_NONBLOCK}, old, wrong = {.mq_flags = O_APPEND};
  CHECK_ERRNO(mq_setattr(queue, &wrong, NULL), EINVAL);
  CHECK_OK(mq_setattr(queue, &flags, &old));
  CHECK_EQ(old.mq_flags, 0);
  CHECK_EQ(old.mq_curmsgs, 1);
  CHECK_ERRNO(mq_send(queue, "x", 1, 0), EAGAIN);
  CHECK_EQ(mq_receive(queue, back, 10, NULL), 1);
  CHECK_ERRNO(mq_receive(queue, back, 10, NULL), EAGAIN);
  CHECK_EQ(fcntl(queue, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  forget(queue);
}

CASE(polling) {
  mqd_t queue = open_new(1, 10, O_NONBLOCK);
  struct pollfd poller = {queue, POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLOUT);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event));
  CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  CHECK_OK(mq_send(queue, "x", 1, 0));
  CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 1);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN);
  CHECK_EQ(read(queue, back, 200), 60);
  back[16] = 0;
  CHECK_STR(back, "QSIZE:1         ");
  CHECK_ERRNO(write(queue, "x", 1), EINVAL);
  close(epoll);
  forget(queue);
}

static mqd_t shared_queue;
static void* send_later(void* unused) {
  check_until_others_sleep();
  mq_send(shared_queue, "later", 5, 0);
  return unused;
}
static void* receive_later(void* unused) {
  char text[10];
  check_until_others_sleep();
  mq_receive(shared_queue, text, 10, NULL);
  return unused;
}
CASE(blocking) {
  shared_queue = open_new(1, 10, 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, send_later, NULL) == 0);
  CHECK_EQ(mq_receive(shared_queue, back, 10, NULL), 5);
  pthread_join(thread, NULL);
  CHECK_OK(mq_send(shared_queue, "1", 1, 0));
  REQUIRE(pthread_create(&thread, NULL, receive_later, NULL) == 0);
  CHECK_OK(mq_send(shared_queue, "2", 1, 0));
  pthread_join(thread, NULL);
  struct mq_attr shape;
  CHECK_OK(mq_getattr(shared_queue, &shape));
  CHECK_EQ(shape.mq_curmsgs, 1);
  forget(shared_queue);
}

static volatile sig_atomic_t told, told_code, told_value, told_pid;
static void on_told(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  told++;
  told_code = info->si_code;
  told_value = info->si_value.sival_int;
  told_pid = info->si_pid;
}
CASE(notification) {
  struct sigaction action = {.sa_sigaction = on_told, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  mqd_t queue = open_new(5, 10, O_NONBLOCK);
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value = {.sival_int = 77}};
  CHECK_OK(mq_notify(queue, &event));
  CHECK_ERRNO(mq_notify(queue, &event), EBUSY);
  CHECK_OK(mq_send(queue, "x", 1, 0));
  CHECK_EQ(told, 1);
  CHECK_EQ(told_code, SI_MESGQ);
  CHECK_EQ(told_value, 77);
  CHECK_EQ(told_pid, getpid());
  CHECK_EQ(mq_receive(queue, back, 10, NULL), 1);
  CHECK_OK(mq_send(queue, "x", 1, 0));  // Once only.
  CHECK_EQ(told, 1);
  CHECK_OK(mq_notify(queue, &event));
  CHECK_OK(mq_send(queue, "x", 1, 0));  // It was not empty.
  CHECK_EQ(told, 1);
  CHECK_OK(mq_notify(queue, NULL));
  CHECK_OK(mq_notify(queue, NULL));
  CHECK_OK(mq_notify(queue, &event));
  CHECK_OK(mq_notify(queue, NULL));
  event.sigev_signo = 65;
  CHECK_ERRNO(mq_notify(queue, &event), EINVAL);
  event.sigev_notify = 99;
  CHECK_ERRNO(mq_notify(queue, &event), EINVAL);
  event.sigev_notify = SIGEV_NONE;
  CHECK_OK(mq_notify(queue, &event));
  CHECK_ERRNO(mq_notify(queue, &event), EBUSY);
  CHECK_ERRNO(mq_notify(1, &event), EBADF);
  forget(queue);
  signal(SIGUSR1, SIG_DFL);
}

static long limit_of(const char* which) {
  char path[100];
  long value = -1;
  snprintf(path, sizeof path, "/proc/sys/fs/mqueue/%s", which);
  FILE* file = fopen(path, "r");
  REQUIRE(file != NULL);
  if (fscanf(file, "%ld", &value) != 1) value = -2;
  fclose(file);
  return value;
}
CASE(limits) {
  CHECK_EQ(limit_of("msg_max"), 10);
  CHECK_EQ(limit_of("msgsize_max"), 8192);
  CHECK_EQ(limit_of("msg_default"), 10);
  CHECK_EQ(limit_of("msgsize_default"), 8192);
  CHECK_EQ(limit_of("queues_max"), 256);
}

// As another process and user: `posix_mq stranger NAME`.
static int be_stranger(const char* queue_name) {
  if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
  if (mq_open(queue_name, O_RDWR) != (mqd_t)-1 || errno != EACCES) return 2;
  mqd_t queue = mq_open(queue_name, O_RDONLY);
  if (queue == (mqd_t)-1) return 3;
  char text[20];
  if (mq_receive(queue, text, 10, NULL) != 5 || memcmp(text, "hello", 5) != 0) return 4;
  if (syscall(SYS_mq_unlink, queue_name + 1) == 0 || errno != EPERM) return 5;
  struct mq_attr shape = {.mq_maxmsg = 11, .mq_msgsize = 10};
  if (mq_open("/mine", O_RDWR | O_CREAT, 0600, &shape) != (mqd_t)-1 || errno != EINVAL) return 6;
  shape = (struct mq_attr){.mq_maxmsg = 10, .mq_msgsize = 8193};
  if (mq_open("/mine", O_RDWR | O_CREAT, 0600, &shape) != (mqd_t)-1 || errno != EINVAL) return 7;
  // RLIMIT_MSGQUEUE: 819200 bytes hold nine of these.
  shape = (struct mq_attr){.mq_maxmsg = 10, .mq_msgsize = 8192};
  int opened = 0;
  for (; opened < 20; opened++) {
    char own[32];
    snprintf(own, sizeof own, "/mine-%d", opened);
    if (mq_open(own, O_RDWR | O_CREAT, 0200, &shape) == (mqd_t)-1) break;
  }
  int error = errno;
  for (int i = 0; i < opened; i++) {
    char own[32];
    snprintf(own, sizeof own, "/mine-%d", i);
    if (mq_open(own, O_RDWR) != (mqd_t)-1 || errno != EACCES) return 8;
    if (mq_unlink(own) != 0) return 9;
  }
  return opened == 9 && error == EMFILE ? 0 : 10;
}
CASE(strangers) {
  mode_t old = umask(0);
  struct mq_attr shape = {.mq_maxmsg = 2, .mq_msgsize = 10};
  mqd_t queue = mq_open(fresh_name(), O_RDWR | O_CREAT, 0604, &shape);
  umask(old);
  REQUIRE(queue != (mqd_t)-1);
  CHECK_OK(mq_send(queue, "hello", 5, 0));
  char* arguments[] = {(char*)check_program, "stranger", name, NULL};
  pid_t child;
  int status = -1;
  REQUIRE(posix_spawn(&child, check_program, NULL, NULL, arguments, environ) == 0);
  waitpid(child, &status, 0);
  CHECK_EQ(status, 0);
  forget(queue);
}

CASE(named_semaphores) {
  fresh_name();
  CHECK_EQ((long)sem_open(name, 0), (long)SEM_FAILED);
  CHECK_EQ(errno, ENOENT);
  sem_t* semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 2);
  REQUIRE(semaphore != SEM_FAILED);
  CHECK_EQ((long)sem_open(name, O_CREAT | O_EXCL, 0600, 2), (long)SEM_FAILED);
  CHECK_EQ(errno, EEXIST);
  sem_t* again = sem_open(name, 0);
  CHECK_EQ((long)again, (long)semaphore);
  CHECK_OK(sem_wait(semaphore));
  CHECK_OK(sem_trywait(again));
  CHECK_ERRNO(sem_trywait(again), EAGAIN);
  struct timespec past = {1, 0};
  CHECK_ERRNO(sem_timedwait(semaphore, &past), ETIMEDOUT);
  CHECK_OK(sem_post(again));
  int value;
  CHECK_OK(sem_getvalue(semaphore, &value));
  CHECK_EQ(value, 1);
  char path[100];
  struct stat info;
  snprintf(path, sizeof path, "/dev/shm/sem.%s", name + 1);
  CHECK_OK(stat(path, &info));
  CHECK_EQ(info.st_size, sizeof(sem_t));
  CHECK_OK(sem_close(again));
  CHECK_OK(sem_unlink(name));
  CHECK_OK(sem_post(semaphore));
  CHECK_OK(sem_close(semaphore));
  CHECK_ERRNO(sem_unlink(name), ENOENT);
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "stranger") == 0) return be_stranger(argv[2]);
  return check_main(argc, argv);
}
