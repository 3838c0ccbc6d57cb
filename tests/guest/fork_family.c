// What families of processes are for: a server of several workers (preforking), libraries that one member loads, and
// shared memory, mutexes, barriers and semaphores from the first ancestor down to its great-grandchildren.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "check.h"

enum { kPage = 4096 };

static void* shared(size_t size) {
  void* area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  return area;
}
static void wait_for(pid_t pid) {
  int status = -1;
  REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}
static int read_all(int fd, void* to, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t count = read(fd, (char*)to + done, size - done);
    if (count <= 0) return 0;
    done += (size_t)count;
  }
  return 1;
}

// --- A preforking server ---

enum { kWorkers = 4, kClients = 3, kRequests = 40 };
struct request {
  int number, client;
};
struct answer {
  int number, client;
  pid_t worker;
};

// Each connection is one request. The worker's own memory grows with them: it is its own.
__attribute__((noreturn)) static void work(int listener) {
  int served = 0;
  char* memory = malloc(kPage);
  while (memory != NULL) {
    const int connection = accept(listener, NULL, NULL);
    if (connection == -1) _exit(1);
    struct request request;
    if (read_all(connection, &request, sizeof request)) {
      const int before = served++;
      memory = realloc(memory, (size_t)served * kPage);
      if (memory == NULL) _exit(2);
      memset(memory + (size_t)before * kPage, served, kPage);
      if (memory[0] != 1) _exit(3);
      const struct answer answer = {request.number + 1, request.client, getpid()};
      send(connection, &answer, sizeof answer, MSG_NOSIGNAL);
    }
    close(connection);
  }
  _exit(4);
}

static pid_t start_worker(int listener) {
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) work(listener);
  REQUIRE(pid > 0);
  return pid;
}

struct server {
  struct sockaddr_storage address;
  socklen_t size;
};

// The worker that answered; 0 when the one that had accepted was killed before it did.
static pid_t ask(const struct server* server, int number, int client) {
  const int fd = socket(server->address.ss_family, SOCK_STREAM, 0);
  if (fd == -1 || connect(fd, (const struct sockaddr*)&server->address, server->size) != 0)
    _exit(1);
  const struct request request = {number, client};
  struct answer answer = {0};
  const int is_answered = send(fd, &request, sizeof request, MSG_NOSIGNAL) == sizeof request &&
                          read_all(fd, &answer, sizeof answer);
  close(fd);
  if (!is_answered) return 0;
  if (answer.number != number + 1 || answer.client != client) _exit(2);
  return answer.worker;
}

static pid_t start_client(const struct server* server, int client) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  for (int number = 0; number < kRequests; number++) {
    while (ask(server, number, client) == 0) {
    }
  }
  _exit(0);
}

static void serve(int listener, const struct server* server) {
  pid_t workers[kWorkers], clients[kClients];
  for (int i = 0; i < kWorkers; i++) workers[i] = start_worker(listener);
  for (int i = 0; i < kClients; i++) clients[i] = start_client(server, i);
  // All workers are killed and replaced, one after the other, under the clients' eyes.
  for (int i = 0; i < kWorkers; i++) {
    const pid_t old = workers[i];
    int status = 0;
    CHECK(ask(server, i, -1) != 0 || i > 0);
    CHECK_OK(kill(old, SIGKILL));
    REQUIRE(waitpid(old, &status, 0) == old);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    workers[i] = start_worker(listener);
  }
  for (int i = 0; i < kClients; i++) wait_for(clients[i]);
  // Who answers now is one of the new.
  const pid_t by = ask(server, 7, -1);
  int is_new = 0;
  for (int i = 0; i < kWorkers; i++) is_new |= by == workers[i];
  CHECK(is_new);
  for (int i = 0; i < kWorkers; i++) {
    CHECK_OK(kill(workers[i], SIGTERM));
    int status = 0;
    REQUIRE(waitpid(workers[i], &status, 0) == workers[i]);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  }
  CHECK_ERRNO(waitpid(-1, NULL, 0), ECHILD);
}

CASE(prefork_server_of_a_unix_socket) {
  check_enter_scratch();
  struct server server = {.size = sizeof(struct sockaddr_un)};
  struct sockaddr_un* name = (struct sockaddr_un*)&server.address;
  name->sun_family = AF_UNIX;
  strcpy(name->sun_path, "server");
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(listener, (struct sockaddr*)name, server.size) == 0 && listen(listener, 64) == 0);
  serve(listener, &server);
  close(listener);
}

CASE(prefork_server_of_tcp) {
  struct server server = {.size = sizeof(struct sockaddr_in)};
  struct sockaddr_in* name = (struct sockaddr_in*)&server.address;
  name->sin_family = AF_INET;
  name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(bind(listener, (struct sockaddr*)name, server.size) == 0 && listen(listener, 64) == 0);
  REQUIRE(getsockname(listener, (struct sockaddr*)name, &server.size) == 0);
  serve(listener, &server);
  close(listener);
}

// --- Libraries ---

static int tripled(int value) { return 3 * value; }

// Loads the library, uses it and its data, and unloads it, so many times.
static void use_plugin(const char* path, int rounds) {
  for (int round = 0; round < rounds; round++) {
    void* library = dlopen(path, RTLD_NOW);
    if (library == NULL) _exit(1);
    int (*constructed)(void) = (int (*)(void))dlsym(library, "plugin_constructed");
    int (*call)(int (*)(int), int) = (int (*)(int (*)(int), int))dlsym(library, "plugin_call");
    if (constructed == NULL || call == NULL || constructed() != 77) _exit(2);
    for (int calls = 1; calls <= 3; calls++)
      if (call(tripled, round) != 3 * round + calls) _exit(3);
    if (dlclose(library) != 0) _exit(4);
  }
}

CASE(one_member_loads_a_library) {
  char path[512];
  strcpy(path, check_sibling("plugin.so"));
  volatile int* is_done = shared(kPage);
  volatile long* beats = (volatile long*)(is_done + 16);
  // Others of the family run meanwhile, with memory of their own that must stay as it is.
  pid_t runners[2];
  for (int i = 0; i < 2; i++) {
    runners[i] = fork();
    if (runners[i] != 0) continue;
    unsigned char* own = malloc(64 * kPage);
    if (own == NULL) _exit(1);
    memset(own, 0x40 + i, 64 * kPage);
    while (!*is_done) {
      for (size_t at = 0; at < 64 * kPage; at += 512)
        if (own[at] != 0x40 + i) _exit(2);
      beats[i]++;
    }
    _exit(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL ? 0 : 3);
  }
  const pid_t loader = fork();
  if (loader == 0) {
    use_plugin(path, 20);
    // And until both others have run in between, if they had not yet.
    while (beats[0] < 3 || beats[1] < 3) use_plugin(path, 1);
    _exit(0);
  }
  wait_for(loader);
  CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL);
  *is_done = 1;
  for (int i = 0; i < 2; i++) wait_for(runners[i]);
}

CASE(every_member_loads_a_library) {
  char path[512];
  strcpy(path, check_sibling("plugin.so"));
  int start[2];
  REQUIRE(pipe(start) == 0);
  pid_t members[4];
  for (int i = 0; i < 4; i++) {
    members[i] = fork();
    if (members[i] != 0) continue;
    char go;
    close(start[1]);
    if (read(start[0], &go, 1) != 0) _exit(9);
    use_plugin(path, 10);
    _exit(0);
  }
  // The parent's is loaded when the children start, at an address where they have nothing yet.
  void* library = dlopen(path, RTLD_NOW);
  REQUIRE(library != NULL);
  int (*call)(int (*)(int), int) = (int (*)(int (*)(int), int))dlsym(library, "plugin_call");
  REQUIRE(call != NULL);
  CHECK_EQ(call(tripled, 1), 4);
  close(start[0]), close(start[1]);
  for (int i = 0; i < 4; i++) wait_for(members[i]);
  CHECK_EQ(call(tripled, 1), 5);
  // A child that is born with it has its own copy of the data.
  const pid_t child = fork();
  if (child == 0) _exit(call(tripled, 1) == 6 && call(tripled, 1) == 7 ? 0 : 1);
  wait_for(child);
  CHECK_EQ(call(tripled, 1), 6);
  CHECK_EQ(dlclose(library), 0);
}

// --- Shared memory and what lies in it, down to the great-grandchildren ---

enum { kDepth = 3, kFamily = 1 + 2 + 4 + 8, kTurns = 100 };

struct board {
  pthread_mutex_t mutex;
  pthread_cond_t all_came;
  sem_t semaphore;
  int came;
  long counter;  // under the mutex
  long other;    // under the semaphore
};

static void board_init(struct board* board, int robust) {
  pthread_mutexattr_t kind;
  pthread_condattr_t condition;
  REQUIRE(pthread_mutexattr_init(&kind) == 0 && pthread_condattr_init(&condition) == 0);
  REQUIRE(pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED) == 0);
  REQUIRE(pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED) == 0);
  if (robust) REQUIRE(pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST) == 0);
  memset(board, 0, sizeof *board);
  REQUIRE(pthread_mutex_init(&board->mutex, &kind) == 0);
  REQUIRE(pthread_cond_init(&board->all_came, &condition) == 0);
  REQUIRE(sem_init(&board->semaphore, 1, 1) == 0);
}

// All meet, so that all are alive at a time; then they count, each step in two, which nobody may come between.
static int take_part(struct board* board) {
  if (pthread_mutex_lock(&board->mutex) != 0) return 0;
  if (++board->came == kFamily) pthread_cond_broadcast(&board->all_came);
  while (board->came < kFamily) pthread_cond_wait(&board->all_came, &board->mutex);
  pthread_mutex_unlock(&board->mutex);
  for (int turn = 0; turn < kTurns; turn++) {
    if (pthread_mutex_lock(&board->mutex) != 0) return 0;
    const long counter = board->counter;
    if (turn % 10 == 0) sched_yield();
    board->counter = counter + 1;
    pthread_mutex_unlock(&board->mutex);
    while (sem_wait(&board->semaphore) != 0) {
    }
    const long other = board->other;
    if (turn % 10 == 5) sched_yield();
    board->other = other + 1;
    sem_post(&board->semaphore);
  }
  return 1;
}

// Two children of each but the last: `body` runs in every member. False when anybody's failed.
static int in_the_family(int depth, int (*body)(void*), void* with) {
  pid_t children[2] = {0, 0};
  int is_good = 1;
  for (int i = 0; depth < kDepth && i < 2; i++) {
    children[i] = fork();
    if (children[i] == 0) _exit(in_the_family(depth + 1, body, with) ? 0 : 1);
    if (children[i] == -1) return 0;
  }
  if (!body(with)) is_good = 0;
  for (int i = 0; depth < kDepth && i < 2; i++) {
    int status = -1;
    if (waitpid(children[i], &status, 0) != children[i] || status != 0) is_good = 0;
  }
  return is_good;
}

static int at_the_board(void* board) { return take_part(board); }

static void check_board(struct board* board) {
  CHECK(in_the_family(0, at_the_board, board));
  CHECK_EQ(board->came, kFamily);
  CHECK_EQ(board->counter, (long)kFamily * kTurns);
  CHECK_EQ(board->other, (long)kFamily * kTurns);
}

CASE(anonymous_memory_to_depth_3) {
  struct board* board = shared(sizeof *board);
  board_init(board, 0);
  check_board(board);
}

CASE(a_segment_attached_before) {
  const int id = shmget(IPC_PRIVATE, sizeof(struct board), 0600);
  REQUIRE(id != -1);
  struct board* board = shmat(id, NULL, 0);
  REQUIRE(board != (void*)-1);
  board_init(board, 0);
  check_board(board);
  struct shmid_ds state;
  CHECK_OK(shmctl(id, IPC_STAT, &state));
  CHECK_EQ(state.shm_nattch, 1);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_OK(shmdt(board));
}

// Each member attaches it itself, and the last of them twice.
static int with_a_segment(void* id) {
  struct board* board = shmat(*(int*)id, NULL, 0);
  if (board == (void*)-1) return 0;
  struct board* again = shmat(*(int*)id, NULL, 0);
  const int is_good = again != (void*)-1 && again != board && take_part(again);
  return shmdt(again) == 0 && shmdt(board) == 0 && is_good;
}
CASE(a_segment_that_each_attaches) {
  int id = shmget(IPC_PRIVATE, sizeof(struct board), 0600);
  REQUIRE(id != -1);
  struct board* board = shmat(id, NULL, 0);
  REQUIRE(board != (void*)-1);
  board_init(board, 0);
  CHECK(in_the_family(0, with_a_segment, &id));
  CHECK_EQ(board->counter, (long)kFamily * kTurns);
  struct shmid_ds state;
  CHECK_OK(shmctl(id, IPC_STAT, &state));
  CHECK_EQ(state.shm_nattch, 1);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_OK(shmdt(board));
}

static int with_an_object(void* name) {
  const int fd = shm_open(name, O_RDWR, 0);
  struct board* board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (board == MAP_FAILED) return 0;
  const int is_good = take_part(board);
  return munmap(board, sizeof *board) == 0 && is_good;
}
CASE(an_object_that_each_maps) {
  char name[64];
  snprintf(name, sizeof name, "/fork_family.%d", getpid());
  const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  REQUIRE(fd >= 0 && ftruncate(fd, sizeof(struct board)) == 0);
  struct board* board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(board != MAP_FAILED);
  board_init(board, 0);
  CHECK(in_the_family(0, with_an_object, name));
  CHECK_EQ(board->counter, (long)kFamily * kTurns);
  CHECK_OK(shm_unlink(name));
  CHECK_ERRNO(shm_open(name, O_RDWR, 0), ENOENT);
  close(fd);
}

// System V semaphores count for all of them as well.
static int with_semaphores(void* set) {
  struct sembuf take = {0, -1, SEM_UNDO}, give = {0, 1, SEM_UNDO};
  for (int turn = 0; turn < kTurns; turn++) {
    if (semop(((int*)set)[0], &take, 1) != 0) return 0;
    volatile long* counter = (volatile long*)((int*)set + 2);
    const long now = *counter;
    if (turn % 10 == 0) sched_yield();
    *counter = now + 1;
    if (semop(((int*)set)[0], &give, 1) != 0) return 0;
  }
  return 1;
}
CASE(system_v_semaphores_to_depth_3) {
  int* set = shared(kPage);
  set[0] = semget(IPC_PRIVATE, 1, 0600);
  REQUIRE(set[0] != -1 && semctl(set[0], 0, SETVAL, 1) == 0);
  CHECK(in_the_family(0, with_semaphores, set));
  CHECK_EQ(*(long*)(set + 2), (long)kFamily * kTurns);
  CHECK_EQ(semctl(set[0], 0, GETVAL), 1);
  CHECK_OK(semctl(set[0], 0, IPC_RMID));
}

// A great-grandchild that dies with a robust mutex in its hand leaves it to whoever comes next.
CASE(a_robust_mutex_of_a_dead_descendant) {
  struct board* board = shared(sizeof *board);
  board_init(board, 1);
  const pid_t child = fork();
  if (child == 0) {
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      const pid_t last = fork();
      if (last == 0) {
        pthread_mutex_lock(&board->mutex);
        board->counter = 1;
        kill(getpid(), SIGKILL);
      }
      int status = 0;
      _exit(last > 0 && waitpid(last, &status, 0) == last && WIFSIGNALED(status) ? 0 : 1);
    }
    int status = -1;
    _exit(grandchild > 0 && waitpid(grandchild, &status, 0) == grandchild ? status : 1);
  }
  wait_for(child);
  CHECK_EQ(pthread_mutex_lock(&board->mutex), EOWNERDEAD);
  CHECK_EQ(board->counter, 1);
  CHECK_EQ(pthread_mutex_consistent(&board->mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(&board->mutex), 0);
  CHECK_EQ(pthread_mutex_lock(&board->mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(&board->mutex), 0);
}

CHECK_MAIN
