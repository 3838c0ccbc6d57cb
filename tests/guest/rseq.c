// Restartable sequences and membarrier(2).
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "check.h"

#define SIGNATURE 0x12345678

static struct rseq* mine(void) {
  return (struct rseq*)((char*)__builtin_thread_pointer() + __rseq_offset);
}

static int is_inside(void) { return access("/proc/occlum/stats", F_OK) == 0; }

CASE(the_library_has_registered) {
  CHECK(__rseq_size >= 20);
  struct rseq* rseq = mine();
  CHECK((int)rseq->cpu_id >= 0);
  CHECK_EQ(rseq->cpu_id, rseq->cpu_id_start);
  CHECK(getauxval(27) >= 20);  // AT_RSEQ_FEATURE_SIZE
  CHECK(getauxval(28) >= 32);  // AT_RSEQ_ALIGN
}

static long rseq_call(void* rseq, uint32_t size, int flags, uint32_t signature) {
  return syscall(SYS_rseq, rseq, size, flags, signature);
}

static void* register_by_hand(void* unused) {
  struct rseq* rseq = mine();
  uint32_t cpu;
  CHECK_ERRNO(rseq_call(rseq, 32, 0, RSEQ_SIG), EBUSY);
  CHECK_ERRNO(rseq_call(rseq, 32, 0, SIGNATURE), EPERM);
  CHECK_ERRNO(rseq_call(rseq, 64, 0, RSEQ_SIG), EINVAL);
  CHECK_ERRNO(rseq_call(rseq, 32, 2, RSEQ_SIG), EINVAL);
  CHECK_ERRNO(rseq_call(rseq, 32, 1, SIGNATURE), EPERM);
  CHECK_ERRNO(rseq_call(rseq, 64, 1, RSEQ_SIG), EINVAL);
  CHECK_ERRNO(rseq_call((char*)rseq + 32, 32, 1, RSEQ_SIG), EINVAL);
  CHECK_ERRNO(rseq_call(rseq, 32, 3, RSEQ_SIG), EINVAL);
  CHECK_OK(rseq_call(rseq, 32, 1, RSEQ_SIG));
  CHECK_EQ(rseq->cpu_id, -1u);
  CHECK_EQ(rseq->cpu_id_start, 0);
  CHECK_ERRNO(rseq_call(rseq, 32, 1, RSEQ_SIG), EINVAL);
  static __attribute__((aligned(64))) char other[128];
  CHECK_ERRNO(rseq_call(other + 4, 32, 0, SIGNATURE), EINVAL);
  CHECK_ERRNO(rseq_call(other, 16, 0, SIGNATURE), EINVAL);
  CHECK_ERRNO(rseq_call((void*)(1ull << 50), 32, 0, SIGNATURE), EFAULT);
  CHECK_OK(rseq_call(other, 32, 0, SIGNATURE));
  CHECK_OK(syscall(SYS_getcpu, &cpu, NULL, NULL));
  CHECK((int)((struct rseq*)other)->cpu_id >= 0);
  CHECK_OK(rseq_call(other, 32, 1, SIGNATURE));
  CHECK_OK(rseq_call(rseq, 32, 0, RSEQ_SIG));
  return unused;
}
CASE(registration) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, register_by_hand, NULL) == 0);
  pthread_join(thread, NULL);
}

static volatile int stop;
static void* check_number(void* unused) {
  // Between two equal readings of rseq the call must agree.
  long compared = 0;
  for (int i = 0; i < 20000; i++) {
    unsigned before = mine()->cpu_id, called = 99;
    syscall(SYS_getcpu, &called, NULL, NULL);
    unsigned after = mine()->cpu_id;
    if (before != after) continue;
    compared++;
    if (called != before) compared = -1000000;
    if (i % 16 == 0) sched_yield();
  }
  CHECK(compared > 0);
  return unused;
}
CASE(the_number_is_true) {
  pthread_t threads[6];
  for (int i = 0; i < 6; i++) REQUIRE(pthread_create(&threads[i], NULL, check_number, NULL) == 0);
  for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
  for (int cpu = 0; cpu < 2 && cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK_OK(sched_setaffinity(0, sizeof set, &set));
    CHECK_EQ(mine()->cpu_id, cpu);
  }
  cpu_set_t all;
  memset(&all, 0xff, sizeof all);
  CHECK_OK(sched_setaffinity(0, sizeof all, &all));
}

// Adds 1 to `*counter` on this cpu unless it is interrupted; then it returns 0. The loop makes the section long, so that
// interruptions are likely.
static __attribute__((noinline)) int add_in_section(volatile long* counter, long rounds,
                                                    volatile long* aborts) {
  struct rseq* rseq = mine();
  __asm__ goto(
      ".pushsection .data.rseq_cs, \"aw\"\n"
      ".balign 32\n"
      "7: .long 0, 0\n"
      ".quad 1f, 2f - 1f, 4f\n"
      ".popsection\n"
      "leaq 7b(%%rip), %%rax\n"
      "movq %%rax, %[cs]\n"
      "1:\n"
      "movq %[rounds], %%rcx\n"
      "5: decq %%rcx\n"
      "jnz 5b\n"
      "movq %[counter], %%rax\n"
      "incq %%rax\n"
      "movq %%rax, %[counter]\n"
      "2:\n"
      "jmp 6f\n"
      ".byte 0x0f, 0xb9, 0x3d\n"
      ".long 0x53053053\n"
      "4:\n"
      "jmp %l[aborted]\n"
      "6:\n"
      :
      : [cs] "m"(rseq->rseq_cs), [counter] "m"(*counter), [rounds] "r"(rounds)
      : "rax", "rcx", "memory", "cc"
      : aborted);
  return 1;
aborted:
  (*aborts)++;
  return 0;
}

static struct {
  volatile long count;
  char pad[56];
} per_cpu[64];
static volatile long aborts;
static void* count_on_cpus(void* unused) {
  long mine_aborted = 0;
  for (int i = 0; i < 300; i++) {
    while (1) {
      unsigned cpu = mine()->cpu_id_start;
      if (add_in_section(&per_cpu[cpu % 64].count, 20000, &mine_aborted)) break;
    }
  }
  __atomic_add_fetch(&aborts, mine_aborted, __ATOMIC_SEQ_CST);
  return unused;
}
CASE(interrupted_sections_start_over) {
  // All on one cpu: without aborts, what one thread has read another may have changed.
  cpu_set_t one, all;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  memset(&all, 0xff, sizeof all);
  CHECK_OK(sched_setaffinity(0, sizeof one, &one));
  // Until one was interrupted, which is soon.
  do {
    memset(per_cpu, 0, sizeof per_cpu);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
      REQUIRE(pthread_create(&threads[i], NULL, count_on_cpus, NULL) == 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    long sum = 0;
    for (int i = 0; i < 64; i++) sum += per_cpu[i].count;
    CHECK_EQ(sum, 8 * 300);
  } while (is_inside() && aborts == 0);
  CHECK_OK(sched_setaffinity(0, sizeof all, &all));
}

static volatile long handled;
static void on_signal(int number) {
  (void)number;
  handled++;
}
static pthread_t target;
static void* send_signals(void* unused) {
  while (!stop) {
    pthread_kill(target, SIGUSR1);
    check_sleep_ms(1);
  }
  return unused;
}
CASE(a_signal_aborts_too) {
  signal(SIGUSR1, on_signal);
  target = pthread_self();
  stop = 0;
  handled = 0;
  pthread_t sender;
  REQUIRE(pthread_create(&sender, NULL, send_signals, NULL) == 0);
  volatile long counter = 0, aborted = 0;
  int64_t begin = check_now_ns();
  // A section that takes longer than the time between two signals.
  while (aborted < 3 && check_now_ns() - begin < 20000000000)
    add_in_section(&counter, 20000000, &aborted);
  stop = 1;
  pthread_join(sender, NULL);
  CHECK(aborted >= 3);
  CHECK(handled >= 1);
  CHECK_EQ(mine()->rseq_cs, 0);
}

static long membarrier(int command, unsigned flags, int cpu) {
  return syscall(SYS_membarrier, command, flags, cpu);
}

CASE(membarrier_commands) {
  long offered = membarrier(MEMBARRIER_CMD_QUERY, 0, 0);
  const long wanted = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
                      MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
                      MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ |
                      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
  CHECK_EQ(offered & wanted, wanted);
  CHECK_ERRNO(membarrier(MEMBARRIER_CMD_QUERY, 1, 0), EINVAL);
  CHECK_ERRNO(membarrier(1 << 20, 0, 0), EINVAL);
  CHECK_ERRNO(membarrier(-1, 0, 0), EINVAL);
  CHECK_ERRNO(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
  CHECK_ERRNO(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0), EPERM);
  CHECK_OK(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
  CHECK_OK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  CHECK_OK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  CHECK_ERRNO(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 1, 0), EINVAL);
  CHECK_EQ(membarrier(512, 0, 0), MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  CHECK_OK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0));
  CHECK_OK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0));
  CHECK_OK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 1, 0));
  CHECK_ERRNO(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 2, 0), EINVAL);
}

// Dekker's store buffering: the fast side has no fence of its own, the slow side's membarrier is both sides' fence.
static volatile int flag_fast, flag_slow, both_zero, round_number, fast_done;
static void* fast_side(void* unused) {
  for (int round = 1; round <= 300; round++) {
    while (round_number < round) __asm__ volatile("pause");
    flag_fast = 1;
    __asm__ volatile("" ::: "memory");
    int seen = flag_slow;
    __asm__ volatile("" ::: "memory");
    fast_done = round * 2 + seen;
  }
  return unused;
}
CASE(membarrier_is_a_fence_for_both) {
  CHECK_OK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, fast_side, NULL) == 0);
  for (int round = 1; round <= 300; round++) {
    flag_fast = flag_slow = 0;
    __sync_synchronize();
    round_number = round;
    flag_slow = 1;
    CHECK_OK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    int seen_fast = flag_fast;
    while (fast_done / 2 != round) __asm__ volatile("pause");
    if (!seen_fast && fast_done % 2 == 0) both_zero++;
  }
  pthread_join(thread, NULL);
  CHECK_EQ(both_zero, 0);
}

CHECK_MAIN
