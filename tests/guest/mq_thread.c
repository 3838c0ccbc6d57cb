// mq_notify(3) with SIGEV_THREAD: the C library's thread hears of it over a netlink socket (mq_notify(2), BUGS and NOTES).
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "check.h"

static sem_t told;
static int given;
static pthread_t teller;
static void tell(union sigval value) {
  given = value.sival_int;
  teller = pthread_self();
  sem_post(&told);
}

static mqd_t make(void) {
  struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 16};
  mq_unlink("/thread-test");
  mqd_t queue = mq_open("/thread-test", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attributes);
  REQUIRE(queue != (mqd_t)-1);
  return queue;
}
static struct sigevent by_thread(int value) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = value};
  event.sigev_notify_function = tell;
  return event;
}

CASE(told_once) {
  mqd_t queue = make();
  char text[16];
  sem_init(&told, 0, 0);
  for (int round = 1; round <= 3; round++) {
    struct sigevent event = by_thread(round * 11);
    CHECK_OK(mq_notify(queue, &event));
    CHECK_ERRNO(mq_notify(queue, &event), EBUSY);
    CHECK_OK(mq_send(queue, "one", 3, 0));
    CHECK_OK(mq_send(queue, "two", 3, 0));
    sem_wait(&told);
    CHECK_EQ(given, round * 11);
    CHECK(!pthread_equal(teller, pthread_self()));
    CHECK_EQ(mq_receive(queue, text, sizeof text, NULL), 3);
    CHECK_EQ(mq_receive(queue, text, sizeof text, NULL), 3);
    CHECK_EQ(sem_trywait(&told), -1);
  }
  mq_close(queue);
  CHECK_OK(mq_unlink("/thread-test"));
}

CASE(taken_back) {
  mqd_t queue = make();
  struct sigevent event = by_thread(1);
  sem_init(&told, 0, 0);
  CHECK_OK(mq_notify(queue, &event));
  CHECK_OK(mq_notify(queue, NULL));
  event = by_thread(2);
  CHECK_OK(mq_notify(queue, &event));
  CHECK_OK(mq_send(queue, "x", 1, 0));
  sem_wait(&told);
  CHECK_EQ(given, 2);
  mq_close(queue);
  CHECK_OK(mq_unlink("/thread-test"));
}

// The system call itself: a cookie of 32 bytes comes back with a number in the last.
CASE(cookies) {
  mqd_t queue = make();
  int socket_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
  REQUIRE(socket_fd >= 0);
  char cookie[32], back[64];
  memset(cookie, 'c', sizeof cookie);
  struct sigevent event = {
      .sigev_notify = SIGEV_THREAD, .sigev_signo = socket_fd, .sigev_value.sival_ptr = cookie};
  CHECK_OK(syscall(SYS_mq_notify, queue, &event));
  CHECK_ERRNO(recv(socket_fd, back, sizeof back, MSG_DONTWAIT), EAGAIN);
  CHECK_OK(mq_send(queue, "x", 1, 0));
  CHECK_EQ(recv(socket_fd, back, sizeof back, 0), 32);
  CHECK_EQ(back[30], 'c');
  CHECK_EQ(back[31], 1);
  CHECK_EQ(mq_receive(queue, back, sizeof back, NULL), 1);
  CHECK_OK(syscall(SYS_mq_notify, queue, &event));
  CHECK_OK(syscall(SYS_mq_notify, queue, NULL));
  CHECK_EQ(recv(socket_fd, back, sizeof back, 0), 32);
  CHECK_EQ(back[31], 2);
  event.sigev_value.sival_ptr = (void*)8;
  CHECK_ERRNO(syscall(SYS_mq_notify, queue, &event), EFAULT);
  event.sigev_value.sival_ptr = cookie;
  event.sigev_signo = -1;
  CHECK_ERRNO(syscall(SYS_mq_notify, queue, &event), EBADF);
  int pair[2];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  event.sigev_signo = pair[0];
  CHECK_ERRNO(syscall(SYS_mq_notify, queue, &event), EINVAL);
  CHECK_OK(pipe(pair));
  event.sigev_signo = pair[0];
  CHECK_ERRNO(syscall(SYS_mq_notify, queue, &event), ENOTSOCK);
  mq_close(queue);
  CHECK_OK(mq_unlink("/thread-test"));
}

CHECK_MAIN
