// System V IPC (sysvipc(7)): message queues, semaphores with undo, shared memory; keys, permissions, errors, *ctl.
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;

struct packet {
  long type;
  char text[8200];
};
static struct packet out, in;

static int send_text(int id, long type, const char* text, int flags) {
  out.type = type;
  strcpy(out.text, text);
  return msgsnd(id, &out, strlen(text), flags);
}
static long receive(int id, size_t room, long type, int flags) {
  memset(&in, 0, sizeof in);
  return msgrcv(id, &in, room, type, flags);
}

CASE(keys) {
  key_t key = (key_t)(0x5eed0000 | (getpid() & 0xffff));
  CHECK_ERRNO(msgget(key, 0600), ENOENT);
  int id = msgget(key, 0600 | IPC_CREAT | IPC_EXCL);
  REQUIRE(id >= 0);
  CHECK_ERRNO(msgget(key, 0600 | IPC_CREAT | IPC_EXCL), EEXIST);
  CHECK_EQ(msgget(key, 0600 | IPC_CREAT), id);
  CHECK_EQ(msgget(key, 0), id);
  int other = msgget(IPC_PRIVATE, 0600), third = msgget(IPC_PRIVATE, 0);
  CHECK(other >= 0 && other != id && third != other);
  CHECK_OK(msgctl(id, IPC_RMID, NULL));
  CHECK_ERRNO(msgctl(id, IPC_RMID, NULL), EINVAL);
  CHECK_ERRNO(msgget(key, 0600), ENOENT);
  int again = msgget(key, 0600 | IPC_CREAT);
  CHECK(again >= 0 && again != id);  // The number is not used again at once.
  CHECK_ERRNO(msgctl(id, IPC_STAT, NULL), EINVAL);
  msgctl(other, IPC_RMID, NULL), msgctl(third, IPC_RMID, NULL), msgctl(again, IPC_RMID, NULL);
  CHECK_ERRNO(semget(key, 0, 0600), ENOENT);
  CHECK_ERRNO(shmget(key, 10, 0600), ENOENT);
}

CASE(message_order) {
  int id = msgget(IPC_PRIVATE, 0600);
  REQUIRE(id >= 0);
  CHECK_OK(send_text(id, 5, "five", 0));
  CHECK_OK(send_text(id, 3, "three", 0));
  CHECK_OK(send_text(id, 5, "again", 0));
  CHECK_OK(send_text(id, 1, "", 0));
  struct msqid_ds status;
  CHECK_OK(msgctl(id, IPC_STAT, &status));
  CHECK_EQ(status.msg_qnum, 4);
  CHECK_EQ(status.msg_cbytes, 14);
  CHECK_EQ(status.msg_qbytes, 16384);
  CHECK_EQ(status.msg_lspid, getpid());
  CHECK_EQ(status.msg_lrpid, 0);
  CHECK(status.msg_stime != 0 && status.msg_rtime == 0 && status.msg_ctime != 0);
  CHECK_EQ(status.msg_perm.mode, 0600);
  CHECK_EQ(receive(id, 100, -4, 0), 0);  // The lowest type up to 4.
  CHECK_EQ(in.type, 1);
  CHECK_EQ(receive(id, 100, 5, MSG_EXCEPT), 5);
  CHECK_EQ(in.type, 3);
  CHECK_STR(in.text, "three");
  CHECK_ERRNO(receive(id, 100, 4, IPC_NOWAIT), ENOMSG);
  CHECK_ERRNO(receive(id, 100, -4, IPC_NOWAIT), ENOMSG);
  CHECK_ERRNO(receive(id, 2, 0, 0), E2BIG);
  CHECK_EQ(receive(id, 2, 0, MSG_NOERROR), 2);
  CHECK_STR(in.text, "fi");
  CHECK_EQ(receive(id, 100, LONG_MIN, 0), 5);
  CHECK_STR(in.text, "again");
  CHECK_ERRNO(receive(id, 100, 0, IPC_NOWAIT), ENOMSG);
  CHECK_OK(msgctl(id, IPC_STAT, &status));
  CHECK_EQ(status.msg_qnum, 0);
  CHECK_EQ(status.msg_lrpid, getpid());
  CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

CASE(message_errors) {
  int id = msgget(IPC_PRIVATE, 0600);
  CHECK_ERRNO(send_text(id, 0, "x", 0), EINVAL);
  CHECK_ERRNO(send_text(id, -1, "x", 0), EINVAL);
  CHECK_ERRNO(send_text(-1, 1, "x", 0), EINVAL);
  out.type = 1;
  CHECK_ERRNO(msgsnd(id, &out, 8193, 0), EINVAL);
  CHECK_ERRNO(msgsnd(id, &out, (size_t)-1, 0), EINVAL);
  CHECK_ERRNO(syscall(SYS_msgsnd, id, 8, 1, 0), EFAULT);
  CHECK_ERRNO(msgrcv(id, &in, (size_t)-1, 0, IPC_NOWAIT), EINVAL);
  CHECK_ERRNO(msgctl(id, 99, NULL), EINVAL);
  CHECK_ERRNO(msgctl(id, IPC_STAT, (void*)8), EFAULT);
  CHECK_ERRNO(msgctl(id, IPC_SET, (void*)8), EFAULT);
  CHECK_ERRNO(receive(id, 10, 0, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT), EINVAL);
  CHECK_ERRNO(receive(id, 10, 0, MSG_COPY), EINVAL);
  // Full: by bytes.
  CHECK_OK(msgsnd(id, &out, 8192, IPC_NOWAIT));
  CHECK_OK(msgsnd(id, &out, 8192, IPC_NOWAIT));
  CHECK_ERRNO(msgsnd(id, &out, 1, IPC_NOWAIT), EAGAIN);
  CHECK_OK(msgsnd(id, &out, 0, IPC_NOWAIT));
  struct msqid_ds status;
  CHECK_OK(msgctl(id, IPC_STAT, &status));
  status.msg_qbytes = 100;
  status.msg_perm.mode = 07777;
  CHECK_OK(msgctl(id, IPC_SET, &status));
  CHECK_OK(msgctl(id, IPC_STAT, &status));
  CHECK_EQ(status.msg_qbytes, 100);
  CHECK_EQ(status.msg_perm.mode, 0777);
  CHECK_ERRNO(msgsnd(id, &out, 0, IPC_NOWAIT), EAGAIN);
  CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

static int shared_id;
static void* send_later(void* unused) {
  check_until_others_sleep();
  send_text(shared_id, 7, "later", 0);
  return unused;
}
static void* remove_later(void* what) {
  check_until_others_sleep();
  if (what == NULL)
    msgctl(shared_id, IPC_RMID, NULL);
  else
    semctl(shared_id, 0, IPC_RMID);
  return NULL;
}
static void on_alarm(int number) { (void)number; }
static void alarm_soon(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  ualarm(30000, 0);
}
CASE(message_waits) {
  shared_id = msgget(IPC_PRIVATE, 0600);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, send_later, NULL) == 0);
  CHECK_EQ(receive(shared_id, 100, 7, 0), 5);
  CHECK_STR(in.text, "later");
  pthread_join(thread, NULL);
  alarm_soon();
  CHECK_ERRNO(receive(shared_id, 100, 0, 0), EINTR);  // Whatever SA_RESTART says.
  REQUIRE(pthread_create(&thread, NULL, remove_later, NULL) == 0);
  CHECK_ERRNO(receive(shared_id, 100, 0, 0), EIDRM);
  pthread_join(thread, NULL);
}

union semun {
  int val;
  struct semid_ds* buf;
  unsigned short* array;
  struct seminfo* info;
};

CASE(semaphore_values) {
  CHECK_ERRNO(semget(IPC_PRIVATE, 0, 0600), EINVAL);
  CHECK_ERRNO(semget(IPC_PRIVATE, -1, 0600), EINVAL);
  CHECK_ERRNO(semget(IPC_PRIVATE, 32001, 0600), EINVAL);
  int id = semget(IPC_PRIVATE, 3, 0640);
  REQUIRE(id >= 0);
  unsigned short values[3] = {1, 2, 3}, back[3] = {0};
  struct semid_ds status;
  CHECK_OK(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}));
  CHECK_EQ(status.sem_nsems, 3);
  CHECK_EQ(status.sem_otime, 0);
  CHECK(status.sem_ctime != 0);
  CHECK_EQ(status.sem_perm.mode, 0640);
  CHECK_OK(semctl(id, 0, SETALL, (union semun){.array = values}));
  CHECK_OK(semctl(id, 0, GETALL, (union semun){.array = back}));
  CHECK_EQ(memcmp(values, back, sizeof back), 0);
  CHECK_EQ(semctl(id, 2, GETVAL), 3);
  CHECK_EQ(semctl(id, 2, GETPID), getpid());
  CHECK_EQ(semctl(id, 2, GETNCNT), 0);
  CHECK_EQ(semctl(id, 2, GETZCNT), 0);
  CHECK_ERRNO(semctl(id, 3, GETVAL), EINVAL);
  CHECK_ERRNO(semctl(id, -1, GETVAL), EINVAL);
  CHECK_ERRNO(semctl(id, 3, SETVAL, (union semun){.val = 1}), EINVAL);
  CHECK_ERRNO(semctl(id, 0, SETVAL, (union semun){.val = -1}), ERANGE);
  CHECK_ERRNO(semctl(id, 0, SETVAL, (union semun){.val = 32768}), ERANGE);
  CHECK_OK(semctl(id, 0, SETVAL, (union semun){.val = 32767}));
  struct sembuf up = {0, 1, 0};
  CHECK_ERRNO(semop(id, &up, 1), ERANGE);
  values[1] = 32768;
  CHECK_ERRNO(semctl(id, 0, SETALL, (union semun){.array = values}), ERANGE);
  CHECK_ERRNO(semctl(id, 0, SETALL, (union semun){.array = (void*)8}), EFAULT);
  CHECK_ERRNO(semctl(id, 0, 99), EINVAL);
  CHECK_ERRNO(semctl(-1, 0, GETVAL), EINVAL);
  struct seminfo info;
  CHECK_OK(semctl(0, 0, IPC_INFO, (union semun){.info = &info}));
  CHECK_EQ(info.semmni, 32000);
  CHECK_EQ(info.semmsl, 32000);
  CHECK_EQ(info.semmns, 1024000000);
  CHECK_EQ(info.semopm, 500);
  CHECK_EQ(info.semvmx, 32767);
  CHECK_OK(semctl(id, 0, IPC_RMID));
  CHECK_ERRNO(semctl(id, 0, IPC_RMID), EINVAL);
}

CASE(semaphore_operations) {
  int id = semget(IPC_PRIVATE, 2, 0600);
  struct sembuf ops[4] = {{0, 2, 0}, {1, 1, 0}, {0, -1, 0}, {1, -1, 0}};
  CHECK_OK(semop(id, ops, 4));
  CHECK_EQ(semctl(id, 0, GETVAL), 1);
  CHECK_EQ(semctl(id, 1, GETVAL), 0);
  struct sembuf both[2] = {{0, -1, IPC_NOWAIT}, {1, -1, IPC_NOWAIT}};
  CHECK_ERRNO(semop(id, both, 2), EAGAIN);
  CHECK_EQ(semctl(id, 0, GETVAL), 1);  // All or nothing.
  struct sembuf zero = {0, 0, IPC_NOWAIT}, wide = {2, 1, 0};
  CHECK_ERRNO(semop(id, &zero, 1), EAGAIN);
  zero.sem_num = 1;
  CHECK_OK(semop(id, &zero, 1));
  CHECK_ERRNO(semop(id, &wide, 1), EFBIG);
  CHECK_ERRNO(semop(id, ops, 0), EINVAL);
  CHECK_ERRNO(semop(id, ops, 501), E2BIG);
  CHECK_ERRNO(semop(id, (void*)8, 1), EFAULT);
  CHECK_ERRNO(semop(-1, ops, 1), EINVAL);
  struct timespec soon = {0, 10000000}, bad = {0, -1};
  struct sembuf down = {1, -1, 0};
  CHECK_ERRNO(semtimedop(id, &down, 1, &soon), EAGAIN);
  CHECK_ERRNO(semtimedop(id, &down, 1, &bad), EINVAL);
  CHECK_ERRNO(semtimedop(id, &down, 1, (void*)8), EFAULT);
  alarm_soon();
  CHECK_ERRNO(semop(id, &down, 1), EINTR);
  struct semid_ds status;
  CHECK_OK(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}));
  CHECK(status.sem_otime != 0);
  shared_id = id;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, remove_later, &shared_id) == 0);
  CHECK_ERRNO(semop(id, &down, 1), EIDRM);
  pthread_join(thread, NULL);
}

static void* wait_for_both(void* unused) {
  struct sembuf ops[2] = {{0, -1, 0}, {1, -1, 0}};
  return semop(shared_id, ops, 2) == 0 ? (void*)1 : unused;
}
static void* wait_for_zero(void* unused) {
  struct sembuf op = {0, 0, 0};
  return semop(shared_id, &op, 1) == 0 ? (void*)1 : unused;
}
CASE(semaphore_waiters) {
  shared_id = semget(IPC_PRIVATE, 2, 0600);
  semctl(shared_id, 0, SETVAL, (union semun){.val = 1});
  pthread_t both, zero;
  REQUIRE(pthread_create(&both, NULL, wait_for_both, NULL) == 0);
  REQUIRE(pthread_create(&zero, NULL, wait_for_zero, NULL) == 0);
  while (semctl(shared_id, 1, GETNCNT) != 1 || semctl(shared_id, 0, GETZCNT) != 1) sched_yield();
  CHECK_EQ(semctl(shared_id, 0, GETNCNT), 0);
  struct sembuf up = {1, 1, 0};
  CHECK_OK(semop(shared_id, &up, 1));
  void* result;
  pthread_join(both, &result);
  CHECK(result != NULL);
  pthread_join(zero, &result);
  CHECK(result != NULL);
  CHECK_EQ(semctl(shared_id, 0, GETVAL), 0);
  semctl(shared_id, 0, IPC_RMID);
}

// This program again, as another process: `sysv_ipc ROLE ID`.
static int run_role(const char* role, int id) {
  char number[16];
  snprintf(number, sizeof number, "%d", id);
  char* arguments[] = {(char*)check_program, (char*)role, number, NULL};
  pid_t child;
  int status = -1;
  REQUIRE(posix_spawn(&child, check_program, NULL, NULL, arguments, environ) == 0);
  waitpid(child, &status, 0);
  return status;
}
static int play_role(const char* role, int id) {
  if (strcmp(role, "undo") == 0) {
    struct sembuf ops[2] = {{0, 5, SEM_UNDO}, {1, -2, SEM_UNDO}};
    if (semop(id, ops, 2) != 0) return 1;
    struct sembuf down = {0, -1, SEM_UNDO | IPC_NOWAIT};
    if (semop(id, &down, 1) != 0) return 2;
    if (semctl(id, 0, GETVAL) != 4 || semctl(id, 1, GETVAL) != 1) return 3;
    return 0;
  }
  if (strcmp(role, "kill") == 0) {
    struct sembuf op = {0, -1, SEM_UNDO};
    if (semop(id, &op, 1) != 0) return 1;
    kill(getpid(), SIGKILL);
  }
  if (strcmp(role, "eight") == 0) return semctl(id, 0, GETVAL) == 8 ? 0 : 1;
  if (strcmp(role, "memory") == 0) {
    int* words = shmat(id, NULL, 0);
    if (words == (void*)-1) return 1;
    if (words[0] != 42) return 2;
    words[1] = 43;
    struct shmid_ds status;
    if (shmctl(id, IPC_STAT, &status) != 0 || status.shm_nattch != 2) return 3;
    return 0;  // Detached by its end.
  }
  if (strcmp(role, "stranger") == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) return 1;
    if (msgget(id, 0) < 0 || errno == EACCES) return 2;
    if (msgget(id, 0600) >= 0 || errno != EACCES) return 3;
    int queue = msgget(id, 0);
    struct msqid_ds status;
    if (msgctl(queue, IPC_STAT, &status) == 0 || errno != EACCES) return 4;
    if (msgctl(queue, IPC_RMID, NULL) == 0 || errno != EPERM) return 5;
    if (msgsnd(queue, &out, 0, 0) == 0 || errno != EINVAL) return 6;
    out.type = 1;
    if (msgsnd(queue, &out, 0, 0) != 0) return 7;
    if (msgrcv(queue, &in, 0, 0, IPC_NOWAIT) == 0 || errno != EACCES) return 8;
    return 0;
  }
  return 99;
}

CASE(undo_at_exit) {
  int id = semget(IPC_PRIVATE, 2, 0600);
  semctl(id, 1, SETVAL, (union semun){.val = 3});
  CHECK_EQ(run_role("undo", id), 0);
  CHECK_EQ(semctl(id, 0, GETVAL), 0);
  CHECK_EQ(semctl(id, 1, GETVAL), 3);
  semctl(id, 0, SETVAL, (union semun){.val = 1});
  CHECK_EQ(run_role("kill", id), SIGKILL);
  CHECK_EQ(semctl(id, 0, GETVAL), 1);
  semctl(id, 0, IPC_RMID);
}

// CLONE_SYSVSEM: what is to be taken back is so when the last of those who share it ends; without, at the end of each.
static long take_one(int id) {
  struct sembuf down = {0, -1, SEM_UNDO};
  return semop(id, &down, 1);
}

static pid_t fork_with(unsigned long flags) {
  return (pid_t)syscall(SYS_clone, SIGCHLD | flags, NULL, NULL, NULL, NULL);
}

static int shared_undo[2];  // the set, and a thread's number

static int undoing_thread(void* unused) {
  (void)unused;
  return (int)take_one(shared_undo[0]);
}

static void* undoing_pthread(void* unused) {
  (void)unused;
  CHECK_EQ(take_one(shared_undo[0]), 0);
  return NULL;
}

static long compare_undo(pid_t a, pid_t b) {
  enum { kKcmpSysvSem = 6 };
  return syscall(SYS_kcmp, a, b, kKcmpSysvSem, 0, 0);
}

static void run_clone(int flags) {
  static char stack[65536] __attribute__((aligned(16)));
  shared_undo[1] = -1;
  int tid = clone(undoing_thread, stack + sizeof stack,
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | flags,
                  NULL, &shared_undo[1], NULL, &shared_undo[1]);
  REQUIRE(tid != -1);
  while (__atomic_load_n(&shared_undo[1], __ATOMIC_SEQ_CST) != 0) check_sleep_ms(1);
  while (syscall(SYS_tgkill, getpid(), tid, 0) == 0) check_sleep_ms(1);
}

CASE(undo_of_threads) {
  shared_undo[0] = semget(IPC_PRIVATE, 1, 0600);
  semctl(shared_undo[0], 0, SETVAL, (union semun){.val = 10});
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    run_clone(0);
    CHECK_EQ(semctl(shared_undo[0], 0, GETVAL), 10);
    run_clone(CLONE_SYSVSEM);
    CHECK_EQ(semctl(shared_undo[0], 0, GETVAL), 9);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, undoing_pthread, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(semctl(shared_undo[0], 0, GETVAL), 8);
    _exit(check_failures != 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(semctl(shared_undo[0], 0, GETVAL), 10);
  CHECK_EQ(semctl(shared_undo[0], 0, GETPID), pid);
  semctl(shared_undo[0], 0, IPC_RMID);
}

CASE(undo_of_processes) {
  int id = semget(IPC_PRIVATE, 1, 0600);
  semctl(id, 0, SETVAL, (union semun){.val = 10});
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    int status = -1;
    CHECK_EQ(compare_undo(getpid(), getpid()), 0);
    pid_t child = fork_with(CLONE_SYSVSEM);
    if (child == 0) _exit(take_one(id) != 0 || compare_undo(getpid(), getppid()) != 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(semctl(id, 0, GETVAL), 9);
    child = fork_with(0);
    if (child == 0) _exit(take_one(id) != 0 || compare_undo(getpid(), getppid()) == 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(semctl(id, 0, GETVAL), 9);
    CHECK_EQ(take_one(id), 0);
    // A program that takes over keeps what is to be taken back.
    char number[16];
    snprintf(number, sizeof number, "%d", id);
    execl("/proc/self/exe", check_program, "eight", number, NULL);
    _exit(99);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(semctl(id, 0, GETVAL), 10);
  semctl(id, 0, IPC_RMID);
}

CASE(strangers) {
  key_t key = (key_t)(0x5eee0000 | (getpid() & 0xffff));
  int id = msgget(key, 0602 | IPC_CREAT);
  REQUIRE(id >= 0);
  CHECK_EQ(run_role("stranger", key), 0);
  msgctl(id, IPC_RMID, NULL);
}

CASE(shared_memory) {
  CHECK_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
  CHECK_ERRNO(shmget(IPC_PRIVATE, ~0ul, 0600), EINVAL);
  key_t key = (key_t)(0x5eef0000 | (getpid() & 0xffff));
  int id = shmget(key, 5000, 0600 | IPC_CREAT);
  REQUIRE(id >= 0);
  CHECK_EQ(shmget(key, 0, 0), id);
  CHECK_EQ(shmget(key, 4000, 0), id);
  CHECK_ERRNO(shmget(key, 5001, 0), EINVAL);
  int* words = shmat(id, NULL, 0);
  REQUIRE(words != (void*)-1);
  CHECK_EQ(words[0], 0);
  CHECK_EQ(words[2047], 0);  // To the end of the page.
  words[0] = 42;
  struct shmid_ds status;
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_segsz, 5000);
  CHECK_EQ(status.shm_nattch, 1);
  CHECK_EQ(status.shm_cpid, getpid());
  CHECK_EQ(status.shm_lpid, getpid());
  CHECK(status.shm_atime != 0 && status.shm_dtime == 0 && status.shm_ctime != 0);
  CHECK_EQ(status.shm_perm.mode & 0777, 0600);
  CHECK_EQ(run_role("memory", id), 0);
  CHECK_EQ(words[1], 43);
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_nattch, 1);
  CHECK_ERRNO((long)shmat(id, (char*)words + 4096 * 16 + 1, 0), EINVAL);
  CHECK_ERRNO((long)shmat(id, words, 0), EINVAL);  // Something is there.
  CHECK_ERRNO((long)shmat(id, NULL, SHM_REMAP), EINVAL);
  CHECK_ERRNO((long)shmat(-1, NULL, 0), EINVAL);
  // Removed while attached: it stays for who has it, without its key.
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_ERRNO(shmget(key, 0, 0), ENOENT);
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_perm.mode, 01600);
  CHECK_EQ(words[0], 42);
  CHECK_EQ(run_role("memory", id), 0);  // Linux lets others come in by the number.
  CHECK_ERRNO(shmdt((char*)words + 4096), EINVAL);
  CHECK_ERRNO(shmdt((char*)words + 1), EINVAL);
  CHECK_OK(shmdt(words));
  CHECK_ERRNO(shmdt(words), EINVAL);
  CHECK_ERRNO(shmctl(id, IPC_STAT, &status), EINVAL);
  CHECK_ERRNO((long)shmat(id, NULL, 0), EINVAL);
}

CASE(shared_memory_ways) {
  int id = shmget(IPC_PRIVATE, 8192, 0600);
  char* fixed = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(fixed, 65536);
  CHECK_EQ((long)shmat(id, fixed + 4096, 0), (long)(fixed + 4096));
  fixed[4096] = 'x';
  CHECK_OK(shmdt(fixed + 4096));
  CHECK_EQ((long)shmat(id, fixed + 5000, SHM_RND), (long)(fixed + 4096));
  CHECK_EQ(fixed[4096], 'x');
  CHECK_OK(munmap(fixed + 4096, 4096));
  struct shmid_ds status;
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_nattch, 1);
  CHECK_OK(shmdt(fixed + 4096));  // What is left of it.
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_nattch, 0);
  char* read_only = shmat(id, NULL, SHM_RDONLY);
  REQUIRE(read_only != (void*)-1);
  CHECK_EQ(read_only[0], 'x');
  CHECK_ERRNO(mprotect(read_only, 8192, PROT_READ | PROT_WRITE), EACCES);
  CHECK_OK(munmap(read_only, 8192));
  CHECK_OK(shmctl(id, SHM_LOCK, NULL));
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_perm.mode, 02600);
  CHECK_OK(shmctl(id, SHM_UNLOCK, NULL));
  struct shminfo limits;
  CHECK_OK(shmctl(0, IPC_INFO, (void*)&limits));
  CHECK_EQ(limits.shmmni, 4096);
  CHECK_EQ(limits.shmmin, 1);
  CHECK_EQ(limits.shmmax, ULONG_MAX - (1ul << 24));
  status.shm_perm.mode = 0644;
  CHECK_OK(shmctl(id, IPC_SET, &status));
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_perm.mode, 0644);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_ERRNO(shmctl(id, IPC_RMID, NULL), EINVAL);
}

static int lines_with(const char* path, const char* word) {
  char line[512];
  int count = 0;
  FILE* file = fopen(path, "r");
  REQUIRE(file != NULL);
  while (fgets(line, sizeof line, file)) count += strstr(line, word) != NULL;
  fclose(file);
  return count;
}
CASE(proc_files) {
  int messages = msgget(0x5ef00001, 0600 | IPC_CREAT),
      sems = semget(0x5ef00001, 7, 0604 | IPC_CREAT);
  int memory = shmget(0x5ef00001, 12345, 0600 | IPC_CREAT);
  REQUIRE(messages >= 0 && sems >= 0 && memory >= 0);
  char expected[128];
  snprintf(expected, sizeof expected, "%10d %10d  %4o  %10u %10u", 0x5ef00001, messages, 0600, 0,
           0);
  CHECK_EQ(lines_with("/proc/sysvipc/msg", expected), 1);
  snprintf(expected, sizeof expected, "%10d %10d  %4o %10u ", 0x5ef00001, sems, 0604, 7);
  CHECK_EQ(lines_with("/proc/sysvipc/sem", expected), 1);
  snprintf(expected, sizeof expected, "%10d %10d  %4o %21u ", 0x5ef00001, memory, 0600, 12345);
  CHECK_EQ(lines_with("/proc/sysvipc/shm", expected), 1);
  CHECK_EQ(lines_with("/proc/sysvipc/msg", "       key      msqid perms"), 1);
  msgctl(messages, IPC_RMID, NULL), semctl(sems, 0, IPC_RMID), shmctl(memory, IPC_RMID, NULL);
}

int main(int argc, char** argv) {
  check_program = argv[0];
  if (argc == 3) return play_role(argv[1], atoi(argv[2]));
  return check_main(argc, argv);
}
