// The engine: the generator of chance, the line, the table of operations, and one sequence.
#include "engine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "random.h"

enum { kOperations = 512, kLine = 60000 };
static struct operation operations[kOperations];
static int operation_count;
static uint64_t state;
static char line[kLine];
static size_t line_size;
static bool first_argument, bad_pointers;
char* own_path;
const char* sequence_directory;

static const char* const kFamilyNames[kFamilies] = {
    "files",   "tree", "meta",    "fds",      "memory", "signals", "processes",
    "threads", "ipc",  "sockets", "identity", "proc",   "forks"};

void add_operation(struct operation operation) {
  if (operation_count == kOperations) abort();
  operations[operation_count++] = operation;
}

int print_kinds(void) {
  for (int i = 0; i < operation_count; i++) {
    printf("%s %s\n", kFamilyNames[operations[i].family], operations[i].name);
  }
  return 0;
}

// SplitMix64.
uint64_t draw(void) {
  uint64_t mixed = state += 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
  return mixed ^ mixed >> 31;
}

unsigned below(unsigned limit) { return (unsigned)(draw() % limit); }
bool percent(unsigned chance) { return below(100) < chance; }
long one_of_list(const long* values, size_t count) { return values[below((unsigned)count)]; }

long some_of_list(const long* values, size_t count) {
  long sum = 0;
  for (size_t i = 0; i < count; i++) {
    if (percent(40)) sum |= values[i];
  }
  return sum;
}

void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int more = vsnprintf(line + line_size, kLine - line_size, format, arguments);
  va_end(arguments);
  if (more > 0) line_size += (size_t)more;
  if (line_size > kLine - 100) line_size = kLine - 100;
}

const char* errno_name(long error) {
  static char other[32];
  const char* name = strerrorname_np((int)error);
  if (name) return name;
  snprintf(other, sizeof other, "E%ld", error);
  return other;
}

void say_result(long result) {
  if (result < 0 && result >= -4095) {
    say(") = %s", errno_name(-result));
  } else {
    say(") = %ld", result);
  }
  first_argument = false;
}

void say_bytes(const void* data, size_t size) {
  const unsigned char* bytes = data;
  if (size <= 24) {
    say(" [");
    for (size_t i = 0; i < size; i++) say("%02x", bytes[i]);
    say("]");
    return;
  }
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  say(" [%zu bytes %08x]", size, (unsigned)(hash ^ hash >> 32));
}

long quiet(int number, long a, long b, long c, long d, long e, long f) {
  long result = syscall(number, a, b, c, d, e, f);
  return result == -1 ? -errno : result;
}

long finish_call(int number, const long* a) {
  long result = quiet(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  say_result(result);
  return result;
}

static void comma(void) {
  if (!first_argument) say(", ");
  first_argument = false;
}

long number(long value) {
  comma();
  say("%ld", value);
  return value;
}

long hex(long value) {
  comma();
  say("0x%lx", value);
  return value;
}

long octal(long value) {
  comma();
  say("0%lo", value);
  return value;
}

long silent(const void* pointer) { return (long)pointer; }

long pick(const long* values, size_t count) {
  if (percent(4))
    return number(ONE_OF(-1, 0, 1, 2, 3, 7, 63, 64, 99, 1000, 0x7fffffff, -0x80000000L));
  return number(one_of_list(values, count));
}

long flags(const long* values, size_t count) {
  long sum = some_of_list(values, count);
  if (percent(4)) sum |= 1L << below(32);
  return hex(sum);
}

long pointer(const void* good, const char* what) {
  comma();
  // Bad pointers wholly are the guest test syscall_torture's; here they meet state, if asked for.
  if (!bad_pointers || percent(97)) {
    say("%s", what);
    return (long)good;
  }
  // Nowhere, in the LibOS, beyond the user's half, not canonical.
  static const long bad[] = {
      0, 1, 0x1000, LIBOS_MEMORY, LIBOS_IMAGE, 0x7ffffffff000, (long)0x8000000000000000, -1, -4096};
  unsigned which = below(sizeof bad / sizeof *bad);
  say("bad %u", which);
  return bad[which];
}

// One operation at one position. What it draws depends on the seed and the position alone.
static void run_operation(uint64_t seed, int position, const int* family_weights, long total) {
  state = seed * 0x2545f4914f6cdd1du ^ (uint64_t)(position + 1) * 0xd6e8feb86659fd93u;
  draw();
  long ticket = (long)(draw() % (uint64_t)total);
  const struct operation* chosen = operations;
  while ((ticket -= (long)chosen->weight * family_weights[chosen->family]) >= 0) chosen++;
  line_size = 0;
  first_argument = true;
  say("%d %s(", position, chosen->name);
  chosen->run();
  signals_flush();
  say("\n");
  ssize_t written = write(kLogFd, line, line_size);
  (void)written;
}

// Of the sequence that runs.
static uint64_t sequence_seed;
static int weights[kFamilies], current_position;

static long total_weight(const int* of) {
  long total = 0;
  for (int i = 0; i < operation_count; i++)
    total += (long)operations[i].weight * of[operations[i].family];
  return total;
}

void run_in_child(unsigned count) {
  int quiet_ones[kFamilies];
  memcpy(quiet_ones, weights, sizeof weights);
  quiet_ones[kProcesses] = quiet_ones[kThreads] = quiet_ones[kSignals] = quiet_ones[kForks] = 0;
  long total = total_weight(quiet_ones);
  if (total == 0) return;
  for (unsigned i = 0; i < count; i++) {
    run_operation(sequence_seed, 1000 * (current_position + 1) + (int)i, quiet_ones, total);
  }
}

static bool listed(const char* list, int position) {
  for (const char* at = list; at && *at && *at != '-';
       at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    char* end;
    long first = strtol(at, &end, 10), last = *end == ':' ? strtol(end + 1, NULL, 10) : first;
    if (position >= first && position <= last) return true;
  }
  return false;
}

static bool named(const char* list, const char* name) {
  size_t size = strlen(name);
  for (const char* at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == 0)) return true;
  }
  return false;
}

// What the two sides' first processes are given differently.
static void same_beginning(void) {
  struct rlimit files = {1000, 1000}, core = {0, 0};
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_CORE, &core);
  setpriority(PRIO_PROCESS, 0, 0);
  prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &head, data) != 0) return;
  data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  data[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
  syscall(SYS_capset, &head, data);
}

// --one SEED LENGTH SKIP ONLY WITHOUT DIRECTORY
int sequence_main(int argc, char** argv) {
  if (argc != 8) return 2;
  uint64_t seed = strtoull(argv[2], NULL, 0);
  int count = atoi(argv[3]);
  sequence_directory = argv[7];
  bad_pointers = getenv("OCCLUM_RANDOM_BAD_POINTERS") != NULL;
  int ends[2];
  if (pipe(ends) != 0 || dup2(ends[0], kEndFd) < 0 || dup3(ends[1], kEndWriteFd, O_CLOEXEC) < 0)
    return 3;
  close(ends[0]);
  close(ends[1]);
  // A family or two have the word, so that calls that belong together meet; the others are the noise around them.
  state = sequence_seed = seed;
  for (int i = 0; i < kFamilies; i++) weights[i] = 1;
  weights[below(kFamilies)] += 30;
  weights[below(kFamilies)] += 10;
  if (percent(20)) {
    for (int i = 0; i < kFamilies; i++) weights[i] = 10;
  }
  for (int i = 0; i < kFamilies; i++) {
    if (strcmp(argv[5], "-") != 0) weights[i] = strcmp(argv[5], kFamilyNames[i]) == 0;
  }
  for (int i = 0; i < operation_count; i++) {
    if (named(argv[6], operations[i].name)) operations[i].weight = 0;
  }
  const long total = total_weight(weights);
  if (total == 0) return 2;
  same_beginning();
  for (int fd = 0; fd < 3; fd++) note_fd(fd, kRegular);
  signals_begin();
  memory_begin();
  for (int position = 0; position < count; position++) {
    current_position = position;
    if (!listed(argv[4], position)) run_operation(seed, position, weights, total);
  }
  return 0;
}
