// Pipes, FIFOs, eventfds, timerfds, splicing; System V and POSIX message queues, semaphores and shared memory.
#include <mqueue.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "random.h"

static void two(long r, const int* fds, unsigned kind) {
  if (r < 0) return;
  say(" %d %d", fds[0], fds[1]);
  for (int i = 0; i < 2; i++) {
    fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
    note_fd(fds[i], kind);
  }
}
OP(kIpc, 8, pipe) {
  int fds[2] = {-1, -1};
  two(CALL(pipe, pointer(fds, "fds")), fds, kPipeEnd);
}
OP(kIpc, 8, pipe2) {
  int fds[2] = {-1, -1};
  two(CALL(pipe2, pointer(fds, "fds"), FLAGS(O_CLOEXEC, O_NONBLOCK, O_DIRECT)), fds, kPipeEnd);
}
#define PIPE fd_of(kPipeEnd)
OP(kIpc, 14, pipe_write) {
  long size = percent(80) ? (long)below(5000) : ONE_OF(0, 1, 4096, kBuffer);
  CALL(write, PIPE, input(size), number(size));
}
OP(kIpc, 12, pipe_read) {
  long r = CALL(read, PIPE, output(), length());
  if (r >= 0) say_output(r);
}
OP(kIpc, 3, pipe_writev) {
  static struct iovec vector[3];
  long base = input(3000);
  for (int i = 0; i < 3; i++)
    vector[i] = (struct iovec){(char*)base + i * 1000, (size_t)ONE_OF(0, 1, 1000, 4096)};
  say(" %zu %zu %zu", vector[0].iov_len, vector[1].iov_len, vector[2].iov_len);
  CALL(writev, PIPE, silent(vector), 3);
}
static long splice_flags(void) { return hex(2 | some_of_list(LIST(1, 4)) | (percent(4) ? 16 : 0)); }
OP(kIpc, 4, splice_to_file) {
  int64_t at = (int64_t)below(5000);
  CALL(splice, PIPE, 0, fd_of(kFile), percent(50) ? pointer(&at, "at") : 0, length(),
       splice_flags());
  say(" %lld", (long long)at);
}
OP(kIpc, 4, splice_from_file) {
  int64_t at = (int64_t)below(5000);
  long to = PIPE, from = fd_of(kFile), copy = file_for_splice(from, to);
  long where = percent(50) ? pointer(&at, "at") : 0;
  long r = CALL(splice, copy, where, to, 0, length(), splice_flags());
  end_splice(from, copy, where ? 0 : r);
  say(" %lld", (long long)at);
}
OP(kIpc, 3, splice_pipes) { CALL(splice, PIPE, 0, PIPE, 0, length(), splice_flags()); }
OP(kIpc, 3, tee) { CALL(tee, PIPE, PIPE, length(), splice_flags()); }
OP(kIpc, 3, vmsplice) {
  // Linux puts the pages themselves into the pipe: these never change.
  static char constant[9000];
  static struct iovec vector[1];
  vector[0] = (struct iovec){constant, (size_t)ONE_OF(0, 1, 100, 4096, 9000)};
  say(" %zu", vector[0].iov_len);
  CALL(vmsplice, PIPE, silent(vector), 1, hex(2 | ONE_OF(0, 0, 8, 1)));
}
OP(kIpc, 6, eventfd2) {
  long r = CALL(
      eventfd2, number(ONE_OF(0, 1, 100, 0xffffffff)),
      hex(EFD_NONBLOCK | some_of_list(LIST(EFD_CLOEXEC, EFD_SEMAPHORE)) | (percent(4) ? 2 : 0)));
  if (r >= 0) note_fd(r, kEvent);
}
OP(kIpc, 1, eventfd) {
  long r = CALL(eventfd, number(ONE_OF(0, 1)));
  if (r >= 0) {
    fcntl((int)r, F_SETFL, O_NONBLOCK);
    note_fd(r, kEvent);
  }
}
OP(kIpc, 7, eventfd_write) {
  uint64_t add[2] = {(uint64_t)ONE_OF(0, 1, 2, 100, -1, -2, 0x7fffffffffffffff), 0};
  say("%llx ", (unsigned long long)add[0]);
  CALL(write, fd_of(kEvent), pointer(add, "value"), number(ONE_OF(8, 8, 8, 8, 7, 0, 9)));
}
OP(kIpc, 6, eventfd_read) {
  long r = CALL(read, fd_of(kEvent), output(), number(ONE_OF(8, 8, 8, 8, 7, 0, 16)));
  if (r >= 0) say_output(r);
}
OP(kIpc, 4, timerfd_create) {
  long r = CALL(timerfd_create, number(ONE_OF(0, 1, 7, 1, 99, -1)),
                hex(TFD_NONBLOCK | ONE_OF(0, TFD_CLOEXEC, 0, 1)));
  if (r >= 0) note_fd(r, kTimerFd);
}
// Armed for days, or disarmed: never on its way.
OP(kIpc, 4, timerfd_settime) {
  struct itimerspec new = {{ONE_OF(0, 0, 500000), ONE_OF(0, 0, 0, 1000000000, -1)},
                           {ONE_OF(0, 1000000, 1000000, -1), 0}},
                    old;
  memset(&old, 0, sizeof old);
  say("%ld.%ld %ld ", (long)new.it_interval.tv_sec, new.it_interval.tv_nsec,
      (long)new.it_value.tv_sec);
  long r = CALL(timerfd_settime, fd_of(kTimerFd), hex(ONE_OF(0, 0, 0, 4, 2)), pointer(&new, "new"),
                percent(50) ? pointer(&old, "old") : 0);
  if (r == 0) say(" was %ld %d", (long)old.it_interval.tv_sec, old.it_value.tv_sec > 900000);
}
OP(kIpc, 3, timerfd_gettime) {
  struct itimerspec now;
  memset(&now, 0, sizeof now);
  if (CALL(timerfd_gettime, fd_of(kTimerFd), pointer(&now, "now")) == 0)
    say(" %ld %d", (long)now.it_interval.tv_sec, now.it_value.tv_sec > 900000);
}
OP(kIpc, 2, timerfd_read) { CALL(read, fd_of(kTimerFd), output(), number(ONE_OF(8, 8, 4, 16))); }

// System V. What a sequence leaves behind would be there for the next: the driver ends in its own namespace natively
// and in its own enclave, so keys carry the sequence, and all is removed at once where an operation is over.
OP(kIpc, 3, msg_queue) {
  struct {
    long type;
    char text[32];
  } message = {ONE_OF(1, 2, 5, 0, -1), "hello"};
  say("%ld) ", message.type);
  long id = QUIET_3(msgget, IPC_PRIVATE, 0600 | (percent(20) ? IPC_CREAT | IPC_EXCL : 0), 0);
  if (id < 0) return say("%s", errno_name(-id));
  say("send %ld",
      quiet(SYS_msgsnd, id, (long)&message, ONE_OF(5, 0, 32, -1, 100000), IPC_NOWAIT, 0, 0));
  struct msqid_ds ds;
  long r = QUIET_3(msgctl, id, IPC_STAT, &ds);
  if (r == 0)
    say(" holds %lu of %lu mode %o", (unsigned long)ds.msg_qnum, (unsigned long)ds.msg_qbytes,
        ds.msg_perm.mode);
  memset(&message, 0, sizeof message);
  say(" receive %ld",
      r = quiet(SYS_msgrcv, id, (long)&message, ONE_OF(32, 3, 3, 0), ONE_OF(0, 1, 2, -3, -1),
                IPC_NOWAIT | ONE_OF(0, 0, MSG_NOERROR, MSG_EXCEPT), 0));
  if (r > 0) say(" %ld %.5s", message.type, message.text);
  say(" remove %ld", QUIET_3(msgctl, id, IPC_RMID, 0));
  say(" then %ld", quiet(SYS_msgsnd, id, (long)&message, 1, IPC_NOWAIT, 0, 0));
}
OP(kIpc, 3, semaphores) {
  say(") ");
  long count = ONE_OF(1, 3, 10, 0, -1, 32001);
  long id = QUIET_3(semget, IPC_PRIVATE, count, 0600);
  if (id < 0) return say("%s", errno_name(-id));
  for (int i = 0; i < 4; i++) {
    struct sembuf steps[2];
    for (int j = 0; j < 2; j++) {
      steps[j] = (struct sembuf){(unsigned short)ONE_OF(0, 0, 1, 2, 20),
                                 (short)ONE_OF(1, 2, -1, -2, 0, 32767),
                                 (short)(IPC_NOWAIT | ONE_OF(0, SEM_UNDO))};
    }
    say(" op %ld", QUIET_3(semop, id, steps, 1 + (long)below(2)));
  }
  unsigned short all[10] = {0};
  if (QUIET_4(semctl, id, 0, GETALL, all) == 0) {
    for (long i = 0; i < count; i++) say(" %u", all[i]);
  }
  say(" get %ld %ld %ld", QUIET_4(semctl, id, 0, GETVAL, 0), QUIET_4(semctl, id, 0, GETNCNT, 0),
      QUIET_4(semctl, id, ONE_OF(0, 40), SETVAL, ONE_OF(1, 32768, -1)));
  say(" remove %ld", QUIET_4(semctl, id, 0, IPC_RMID, 0));
}
OP(kIpc, 3, shared_memory) {
  say(") ");
  long size = ONE_OF(1, 4096, 10000, 0, -1);
  long id = QUIET_3(shmget, IPC_PRIVATE, size, 0600);
  if (id < 0) return say("%s", errno_name(-id));
  long at = QUIET_3(shmat, id, 0, ONE_OF(0, 0, SHM_RDONLY, SHM_RND));
  if (at < 0 && at > -4096) {
    say(" attach %s", errno_name(-at));
  } else {
    struct shmid_ds ds;
    long r = QUIET_3(shmctl, id, IPC_STAT, &ds);
    if (r == 0)
      say(" size %zu attached %lu mode %o", ds.shm_segsz, (unsigned long)ds.shm_nattch,
          ds.shm_perm.mode);
    say(" first %d", *(volatile char*)at);
    say(" detach %ld", QUIET_1(shmdt, at));
    say(" again %ld", QUIET_1(shmdt, at));
  }
  say(" remove %ld", QUIET_3(shmctl, id, IPC_RMID, 0));
}
static long queue_name(void) {
  static char names[3][40];
  unsigned which = below(2);
  snprintf(names[which], sizeof names[0], "random-%u-%s", which,
           strrchr(sequence_directory, 's') ? "q" : "");
  static char slash[] = "a/b", empty[] = "";
  if (percent(5)) return pointer(percent(50) ? slash : empty, "odd name");
  char shown[8];
  snprintf(shown, sizeof shown, "q%u", which);
  return pointer(names[which], shown);
}
OP(kIpc, 3, mq_open) {
  struct mq_attr attributes = {.mq_maxmsg = ONE_OF(1, 3, 5, 0, -1, 100000),
                               .mq_msgsize = ONE_OF(8, 64, 64, 0)};
  say("%ld %ld ", attributes.mq_maxmsg, attributes.mq_msgsize);
  long r = CALL(mq_open, queue_name(),
                hex(O_NONBLOCK | ONE_OF(O_RDWR | O_CREAT, O_RDWR, O_RDONLY, O_WRONLY,
                                        O_RDWR | O_CREAT | O_EXCL)),
                octal(0600), percent(80) ? pointer(&attributes, "attributes") : 0);
  if (r >= 0) note_fd(r, kQueue);
}
OP(kIpc, 3, mq_timedsend) {
  CALL(mq_timedsend, fd_of(kQueue), input(64), number(ONE_OF(0, 1, 8, 64, 65)),
       number(ONE_OF(0, 1, 7, 32768)), 0);
}
OP(kIpc, 3, mq_timedreceive) {
  unsigned priority = 99;
  long r = CALL(mq_timedreceive, fd_of(kQueue), output(), number(ONE_OF(64, 64, 8, 8192)),
                pointer(&priority, "priority"), 0);
  if (r >= 0) say_output(r), say(" priority %u", priority);
}
OP(kIpc, 2, mq_getsetattr) {
  struct mq_attr attributes;
  if (CALL(mq_getsetattr, fd_of(kQueue), 0, pointer(&attributes, "attributes")) == 0) {
    say(" %lx %ld %ld %ld", attributes.mq_flags, attributes.mq_maxmsg, attributes.mq_msgsize,
        attributes.mq_curmsgs);
  }
}
OP(kIpc, 2, mq_unlink) { CALL(mq_unlink, queue_name()); }
