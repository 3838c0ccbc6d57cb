// Core files (core(5)): which signals leave one, what wait(2) says of it, and what is in it. Where core_pattern sends them
// elsewhere than into the working directory, which is the machine's to say, only the status is looked at.
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/user.h>

#include "check.h"

#define PAGE 4096
#define NOBODY 65534

static void set_limit(int resource, rlim_t soft) {
  struct rlimit limit;
  CHECK_OK(getrlimit(resource, &limit));
  limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
  CHECK_OK(setrlimit(resource, &limit));
}

// Of the child that is to crash.
static void allow_core(void) { set_limit(RLIMIT_CORE, RLIM_INFINITY); }

static int run(void (*body)(void), pid_t* child) {
  fflush(stdout);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    body();
    fflush(stdout);
    _exit(77);
  }
  if (child != NULL) *child = pid;
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

// --- the file ---

struct core {
  const unsigned char* bytes;
  size_t size;
  const Elf64_Ehdr* header;
  const Elf64_Phdr* segments;
};

static int core_files_are_here(void) {
  char pattern[200];
  check_read_text("/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
  return strcmp(pattern, "core\n") == 0;
}

static const char* core_name(pid_t pid) {
  static char name[40];
  char uses_pid[8];
  check_read_text("/proc/sys/kernel/core_uses_pid", uses_pid, sizeof uses_pid);
  if (uses_pid[0] == '0') return "core";
  snprintf(name, sizeof name, "core.%d", pid);
  return name;
}

static void drop_core(pid_t pid) { CHECK_OK(unlink(core_name(pid))); }
static int has_core(pid_t pid) { return access(core_name(pid), F_OK) == 0; }

static struct core read_core(pid_t pid) {
  int fd = open(core_name(pid), O_RDONLY);
  REQUIRE(fd != -1);
  struct stat st;
  CHECK_OK(fstat(fd, &st));
  CHECK_EQ(st.st_mode, S_IFREG | 0600);
  CHECK_EQ(st.st_uid, geteuid());
  struct core core = {.size = (size_t)st.st_size};
  REQUIRE(core.size > sizeof(Elf64_Ehdr));
  core.bytes = mmap(NULL, core.size, PROT_READ, MAP_PRIVATE, fd, 0);
  REQUIRE(core.bytes != MAP_FAILED);
  close(fd);
  core.header = (const Elf64_Ehdr*)core.bytes;
  core.segments = (const Elf64_Phdr*)(core.bytes + core.header->e_phoff);
  REQUIRE(core.header->e_phoff + core.header->e_phnum * sizeof(Elf64_Phdr) <= core.size);
  return core;
}

static void close_core(struct core* core, pid_t pid) {
  munmap((void*)core->bytes, core->size);
  drop_core(pid);
}

struct note {
  const Elf64_Nhdr* header;
  const char* name;
  const unsigned char* content;
};

static size_t padded(size_t size) { return (size + 3) & ~(size_t)3; }

// The note of this type number `index`; its content is NULL when there is none.
static struct note find_note(const struct core* core, unsigned type, int index) {
  const Elf64_Phdr* notes = core->segments;
  REQUIRE(notes->p_type == PT_NOTE && notes->p_offset + notes->p_filesz <= core->size);
  for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes->p_filesz;) {
    const unsigned char* here = core->bytes + notes->p_offset + at;
    const Elf64_Nhdr* header = (const Elf64_Nhdr*)here;
    const size_t name = sizeof *header, content = name + padded(header->n_namesz);
    at += content + padded(header->n_descsz);
    REQUIRE(at <= notes->p_filesz);
    if (header->n_type == type && index-- == 0)
      return (struct note){header, (const char*)here + name, here + content};
  }
  return (struct note){NULL, NULL, NULL};
}

static const Elf64_Phdr* find_segment(const struct core* core, const void* address) {
  for (int i = 1; i < core->header->e_phnum; i++) {
    const Elf64_Phdr* segment = &core->segments[i];
    if ((uintptr_t)address - segment->p_vaddr < segment->p_memsz) return segment;
  }
  return NULL;
}

// What the file has of the memory; NULL: nothing.
static const void* dumped(const struct core* core, const void* address) {
  const Elf64_Phdr* segment = find_segment(core, address);
  if (segment == NULL) return NULL;
  const size_t offset = (uintptr_t)address - segment->p_vaddr;
  if (offset >= segment->p_filesz) return NULL;
  REQUIRE(segment->p_offset + segment->p_filesz <= core->size);
  return core->bytes + segment->p_offset + offset;
}

// --- the status ---

static int wanted_signal;

static void raise_signal(void) {
  allow_core();
  raise(wanted_signal);
}

CASE(begin) { check_enter_scratch(); }

CASE(signals_that_dump) {
  const int all[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                     SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    pid_t pid;
    wanted_signal = all[i];
    int status = run(raise_signal, &pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == all[i]);
    CHECK(WCOREDUMP(status));
    if (core_files_are_here()) drop_core(pid);
  }
}

CASE(signals_that_do_not) {
  const int all[] = {SIGTERM, SIGKILL, SIGUSR1, SIGALRM, SIGPIPE, SIGIO, SIGPWR};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    pid_t pid;
    wanted_signal = all[i];
    CHECK_EQ(run(raise_signal, &pid), all[i]);
    CHECK(!has_core(pid));
  }
}

static void abort_without_limit(void) {
  allow_core();
  abort();
}
static void abort_with_no_limit_left(void) {
  set_limit(RLIMIT_CORE, 0);
  abort();
}
static void abort_below_a_page(void) {
  set_limit(RLIMIT_CORE, PAGE - 1);
  abort();
}
static void abort_undumpable(void) {
  allow_core();
  prctl(PR_SET_DUMPABLE, 0);
  abort();
}
static void abort_in_a_directory_that_is_gone(void) {
  allow_core();
  CHECK_OK(mkdir("gone", 0700));
  CHECK_OK(chdir("gone"));
  CHECK_OK(rmdir("../gone"));
  abort();
}
static void abort_where_it_may_not_write(void) {
  allow_core();
  CHECK_OK(setresuid(NOBODY, NOBODY, NOBODY));
  prctl(PR_SET_DUMPABLE, 1);
  abort();
}

CASE(no_file) {
  void (*const bodies[])(void) = {abort_with_no_limit_left, abort_below_a_page, abort_undumpable,
                                  abort_in_a_directory_that_is_gone, abort_where_it_may_not_write};
  if (!core_files_are_here()) return;
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    if (i == 4 && geteuid() != 0) break;
    pid_t pid;
    CHECK_EQ(run(bodies[i], &pid), SIGABRT);
    CHECK(!has_core(pid));
  }
}

static volatile sig_atomic_t child_code, child_status;
static void note_child(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  child_code = info->si_code, child_status = info->si_status;
}

CASE(told_to_the_parent) {
  struct sigaction action = {.sa_sigaction = note_child, .sa_flags = SA_SIGINFO}, old;
  CHECK_OK(sigaction(SIGCHLD, &action, &old));
  for (int dumps = 0; dumps < 2; dumps++) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) dumps ? abort_without_limit() : abort_with_no_limit_left();
    siginfo_t info = {0};
    int waited;
    while ((waited = waitid(P_PID, pid, &info, WEXITED | WNOWAIT)) == -1 && errno == EINTR) {
    }
    CHECK_EQ(waited, 0);
    CHECK_EQ(info.si_code, dumps ? CLD_DUMPED : CLD_KILLED);
    CHECK_EQ(info.si_status, SIGABRT);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, SIGABRT | (dumps ? 0x80 : 0));
    CHECK_EQ(child_code, dumps ? CLD_DUMPED : CLD_KILLED);
    CHECK_EQ(child_status, SIGABRT);
    if (dumps && core_files_are_here()) drop_core(pid);
  }
  CHECK_OK(sigaction(SIGCHLD, &old, NULL));
}

static void abort_traced(void) {
  CHECK_OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
  raise(SIGSTOP);
  abort_without_limit();
}

CASE(told_to_a_tracer) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) abort_traced();
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
  CHECK_OK(ptrace(PTRACE_CONT, pid, 0, 0));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGABRT);
  CHECK_OK(ptrace(PTRACE_CONT, pid, 0, SIGABRT));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
  unsigned long message = 0;
  CHECK_OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
  CHECK_EQ(message, SIGABRT | 0x80);
  CHECK_OK(ptrace(PTRACE_CONT, pid, 0, 0));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, SIGABRT | 0x80);
  if (core_files_are_here()) drop_core(pid);
}

// --- the file's place ---

CASE(an_old_file_is_replaced) {
  if (!core_files_are_here()) return;
  const char* name = core_name(0);
  if (strcmp(name, "core") != 0) return;
  check_write_file("target", "before", 6);
  CHECK_OK(link("target", "core"));
  pid_t pid;
  CHECK(WCOREDUMP(run(abort_without_limit, &pid)));
  struct core core = read_core(pid);
  close_core(&core, pid);
  CHECK_OK(symlink("target", "core"));
  CHECK(WCOREDUMP(run(abort_without_limit, &pid)));
  core = read_core(pid);
  close_core(&core, pid);
  char text[10];
  CHECK_EQ(check_read_text("target", text, sizeof text), 6);
  CHECK_STR(text, "before");
  CHECK_OK(mkdir("core", 0700));
  CHECK(!WCOREDUMP(run(abort_without_limit, &pid)));
  CHECK_OK(rmdir("core"));
}

CASE(seen_by_watchers) {
  if (!core_files_are_here()) return;
  int watch = inotify_init1(IN_NONBLOCK);
  CHECK_OK(inotify_add_watch(watch, ".", IN_ALL_EVENTS));
  pid_t pid;
  CHECK(WCOREDUMP(run(abort_without_limit, &pid)));
  const unsigned wanted[] = {IN_CREATE, IN_OPEN, IN_MODIFY, IN_CLOSE_WRITE};
  size_t next = 0;
  char events[4096] __attribute__((aligned(8)));
  for (ssize_t size; (size = read(watch, events, sizeof events)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      const struct inotify_event* event = (struct inotify_event*)(events + at);
      at += (ssize_t)(sizeof *event + event->len);
      if (next > 0 && event->mask == IN_MODIFY && wanted[next - 1] == IN_MODIFY) continue;
      CHECK_STR(event->name, core_name(pid));
      CHECK(next < 4 && event->mask == wanted[next]);
      next++;
    }
  }
  CHECK_EQ(next, 4);
  close(watch);
  drop_core(pid);
}

static void abort_with_small_limit(void) {
  set_limit(RLIMIT_CORE, 40000);
  abort();
}
static void abort_with_small_files(void) {
  allow_core();
  signal(SIGXFSZ, SIG_IGN);
  set_limit(RLIMIT_FSIZE, 40000);
  abort();
}

// Less than there is: what is written ends there, and still it is a dump.
CASE(cut_short) {
  if (!core_files_are_here()) return;
  for (int i = 0; i < 2; i++) {
    pid_t pid;
    int status = run(i == 0 ? abort_with_small_limit : abort_with_small_files, &pid);
    CHECK_EQ(status, SIGABRT | 0x80);
    struct stat st;
    CHECK_OK(stat(core_name(pid), &st));
    CHECK(st.st_size > (off_t)sizeof(Elf64_Ehdr) && st.st_blocks * 512 <= 40000 + PAGE);
    drop_core(pid);
  }
}

// --- the content ---

static struct shared {
  pid_t parent, threads[5], crasher;
  volatile int ready;
  int pipe[2];
  void *rip, *phdr;
  unsigned char *anonymous, *untouched, *hidden, *unhidden, *clean_file, *dirty_file, *shared;
}* shared;

CASE(shared_place) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
}

extern char illegal_instruction[];

__attribute__((noinline)) static void crash_with_registers(void) {
  static const uint64_t vector[2] = {0x1122334455667788, 0x99aabbccddeeff00};
  __asm__ volatile(
      "movdqu %0, %%xmm7\n"
      "mov $0x1515151515, %%r15\n"
      "mov $-14, %%r14\n"
      "mov $0xbabe, %%ebx\n"
      ".globl illegal_instruction\n"
      "illegal_instruction: ud2\n"
      :
      : "m"(vector)
      : "xmm7", "r15", "r14", "rbx");
}

static void crash_in_c(void) {
  allow_core();
  prctl(PR_SET_NAME, "crasher");
  shared->parent = getppid();
  shared->phdr = (void*)getauxval(AT_PHDR);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  raise(SIGUSR1);
  crash_with_registers();
}

CASE(headers) {
  if (!core_files_are_here()) return;
  pid_t pid;
  CHECK(WCOREDUMP(run(crash_in_c, &pid)));
  struct core core = read_core(pid);
  const Elf64_Ehdr* header = core.header;
  CHECK(memcmp(header->e_ident, ELFMAG, SELFMAG) == 0);
  CHECK_EQ(header->e_ident[EI_CLASS], ELFCLASS64);
  CHECK_EQ(header->e_ident[EI_DATA], ELFDATA2LSB);
  CHECK_EQ(header->e_type, ET_CORE);
  CHECK_EQ(header->e_machine, EM_X86_64);
  CHECK_EQ(header->e_version, EV_CURRENT);
  CHECK_EQ(header->e_phentsize, sizeof(Elf64_Phdr));
  CHECK_EQ(core.segments[0].p_type, PT_NOTE);
  uint64_t end = 0;
  for (int i = 1; i < header->e_phnum; i++) {
    const Elf64_Phdr* segment = &core.segments[i];
    CHECK_EQ(segment->p_type, PT_LOAD);
    CHECK(segment->p_vaddr >= end);
    CHECK_EQ(segment->p_offset % PAGE, 0);
    CHECK(segment->p_filesz <= segment->p_memsz);
    CHECK(segment->p_offset + segment->p_filesz <= core.size);
    end = segment->p_vaddr + segment->p_memsz;
  }
  CHECK_EQ(find_segment(&core, illegal_instruction)->p_flags, PF_R | PF_X);
  CHECK_EQ(find_segment(&core, &shared)->p_flags, PF_R | PF_W);
  CHECK_EQ(find_segment(&core, &core)->p_flags & ~PF_X, PF_R | PF_W);  // the stack
  close_core(&core, pid);
}

CASE(notes_of_the_thread) {
  if (!core_files_are_here()) return;
  pid_t pid;
  CHECK_EQ(run(crash_in_c, &pid), SIGILL | 0x80);
  struct core core = read_core(pid);
  struct note note = find_note(&core, NT_PRSTATUS, 0);
  REQUIRE(note.content != NULL);
  CHECK_STR(note.name, "CORE");
  CHECK_EQ(note.header->n_descsz, sizeof(struct elf_prstatus));
  const struct elf_prstatus* status = (const struct elf_prstatus*)note.content;
  CHECK_EQ(status->pr_info.si_signo, SIGILL);
  CHECK_EQ(status->pr_cursig, SIGILL);
  CHECK_EQ(status->pr_pid, pid);
  CHECK_EQ(status->pr_ppid, getpid());
  CHECK_EQ(status->pr_pgrp, getpgrp());
  CHECK_EQ(status->pr_sid, getsid(0));
  CHECK_EQ(status->pr_sigpend, 1 << (SIGUSR1 - 1));
  CHECK_EQ(status->pr_sighold & 1 << (SIGUSR1 - 1), 1 << (SIGUSR1 - 1));
  CHECK_EQ(status->pr_fpvalid, 1);
  struct user_regs_struct registers;
  memcpy(&registers, status->pr_reg, sizeof registers);
  CHECK_EQ(registers.rip, illegal_instruction);
  CHECK_EQ(registers.r15, 0x1515151515);
  CHECK_EQ(registers.r14, -14);
  CHECK_EQ(registers.rbx, 0xbabe);
  CHECK_EQ(registers.orig_rax, -1);
  CHECK_EQ(registers.cs, 0x33);
  CHECK_EQ(registers.ss, 0x2b);
  CHECK(find_segment(&core, (void*)registers.rsp) != NULL);
  const unsigned char vector[16] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                                    0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99};
  note = find_note(&core, NT_FPREGSET, 0);
  REQUIRE(note.content != NULL && note.header->n_descsz == sizeof(struct user_fpregs_struct));
  const struct user_fpregs_struct* vectors = (const struct user_fpregs_struct*)note.content;
  CHECK(memcmp(&vectors->xmm_space[4 * 7], vector, sizeof vector) == 0);
  note = find_note(&core, NT_X86_XSTATE, 0);
  REQUIRE(note.content != NULL && note.header->n_descsz >= 576);
  CHECK_STR(note.name, "LINUX");
  CHECK(memcmp(note.content + 160 + 16 * 7, vector, sizeof vector) == 0);
  CHECK(find_note(&core, NT_PRSTATUS, 1).content == NULL);
  close_core(&core, pid);
}

CASE(notes_of_the_process) {
  if (!core_files_are_here()) return;
  pid_t pid;
  CHECK_EQ(run(crash_in_c, &pid), SIGILL | 0x80);
  struct core core = read_core(pid);
  struct note note = find_note(&core, NT_PRPSINFO, 0);
  REQUIRE(note.content != NULL && note.header->n_descsz == sizeof(struct elf_prpsinfo));
  const struct elf_prpsinfo* process = (const struct elf_prpsinfo*)note.content;
  CHECK_STR(process->pr_fname, "crasher");
  const size_t room = sizeof process->pr_psargs - 1, length = strlen(check_program);
  CHECK(strncmp(process->pr_psargs, check_program, length < room ? length : room) == 0);
  CHECK_EQ(process->pr_pid, pid);
  CHECK_EQ(process->pr_ppid, getpid());
  CHECK_EQ(process->pr_uid, getuid());
  CHECK_EQ(process->pr_gid, getgid());
  CHECK_EQ(process->pr_sname, 'R');
  note = find_note(&core, NT_SIGINFO, 0);
  REQUIRE(note.content != NULL && note.header->n_descsz == sizeof(siginfo_t));
  siginfo_t info;
  memcpy(&info, note.content, sizeof info);
  CHECK_EQ(info.si_signo, SIGILL);
  CHECK_EQ(info.si_code, ILL_ILLOPN);
  CHECK_EQ(info.si_addr, illegal_instruction);
  note = find_note(&core, NT_AUXV, 0);
  REQUIRE(note.content != NULL);
  const Elf64_auxv_t* entry = (const Elf64_auxv_t*)note.content;
  for (; entry->a_type != AT_PHDR && entry->a_type != AT_NULL; entry++) {
  }
  CHECK_EQ(entry->a_type, AT_PHDR);
  CHECK_EQ(entry->a_un.a_val, shared->phdr);
  close_core(&core, pid);
}

CASE(list_of_files) {
  if (!core_files_are_here()) return;
  pid_t pid;
  CHECK_EQ(run(crash_in_c, &pid), SIGILL | 0x80);
  struct core core = read_core(pid);
  struct note note = find_note(&core, NT_FILE, 0);
  REQUIRE(note.content != NULL);
  const uint64_t* words = (const uint64_t*)note.content;
  const uint64_t count = words[0];
  CHECK_EQ(words[1], PAGE);
  const char* name = (const char*)&words[2 + 3 * count];
  char program[512];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  REQUIRE(length > 0);
  program[length] = 0;
  int found = 0;
  for (uint64_t i = 0; i < count; i++, name += strlen(name) + 1) {
    const uint64_t* range = &words[2 + 3 * i];
    CHECK(range[0] < range[1]);
    if ((uintptr_t)illegal_instruction - range[0] >= range[1] - range[0]) continue;
    CHECK_STR(name, program);
    found = 1;
  }
  CHECK(found);
  CHECK_EQ(name - (const char*)note.content, note.header->n_descsz);
  close_core(&core, pid);
}

// --- several threads ---

static pthread_t start_thread(void* (*body)(void*), long argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, (void*)argument) != 0) _exit(78);
  return thread;
}

static void* wait_in_thread(void* argument) {
  const long number = (long)argument;
  shared->threads[number] = gettid();
  __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
  if (number == 1) {  // computing
    __asm__ volatile("mov $0x1111, %%r15\n1: pause\njmp 1b" ::: "r15");
  } else if (number == 2) {
    char byte;
    (void)!read(shared->pipe[0], &byte, 1);
  } else if (number == 3) {
    for (;;) syscall(SYS_getppid);
  }
  for (;;) pause();
  return NULL;
}

static int sleeps(pid_t thread) {
  char path[60], text[400];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  REQUIRE(check_read_text(path, text, sizeof text) > 0);
  return strrchr(text, ')')[2] == 'S';
}

static void* crash_in_thread(void* argument) {
  (void)argument;
  shared->crasher = gettid();
  while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) != 4) sched_yield();
  while (!sleeps(shared->threads[2])) sched_yield();
  crash_with_registers();
  return NULL;
}

static void crash_with_threads(void) {
  allow_core();
  pthread_t thread;
  CHECK_OK(pipe(shared->pipe));
  shared->ready = 0;
  shared->threads[0] = gettid();
  for (long i = 1; i < 5; i++) thread = start_thread(wait_in_thread, i);
  thread = start_thread(crash_in_thread, 0);
  pthread_join(thread, NULL);
}

static void check_threads(const struct core* core) {
  int seen[5] = {0};
  for (int i = 0;; i++) {
    struct note note = find_note(core, NT_PRSTATUS, i);
    if (note.content == NULL) {
      CHECK_EQ(i, 6);
      break;
    }
    const struct elf_prstatus* status = (const struct elf_prstatus*)note.content;
    struct user_regs_struct registers;
    memcpy(&registers, status->pr_reg, sizeof registers);
    if (i == 0) {
      CHECK_EQ(status->pr_pid, shared->crasher);
      CHECK_EQ(registers.rip, illegal_instruction);
    }
    for (int k = 0; k < 5; k++) {
      if (status->pr_pid != shared->threads[k]) continue;
      seen[k]++;
      if (k == 1) CHECK_EQ(registers.r15, 0x1111);
      if (k == 2) CHECK_EQ(registers.orig_rax, SYS_read);
      CHECK(find_segment(core, (void*)registers.rsp) != NULL);
    }
    CHECK(find_note(core, NT_FPREGSET, i).content != NULL);
    CHECK(find_note(core, NT_X86_XSTATE, i).content != NULL);
  }
  for (int k = 0; k < 5; k++) CHECK_EQ(seen[k], 1);
}

CASE(threads) {
  for (int i = 0; i < 20; i++) {
    pid_t pid;
    CHECK_EQ(run(crash_with_threads, &pid), SIGILL | 0x80);
    if (!core_files_are_here()) continue;
    struct core core = read_core(pid);
    check_threads(&core);
    close_core(&core, pid);
  }
}

// Two threads crash at once, a third ends, a fourth ends the process: one of them says how.
static volatile int go;
static void* end_somehow(void* argument) {
  while (!go) {
  }
  switch ((long)argument) {
    case 0:
      crash_with_registers();
      break;
    case 1:
      *(volatile int*)NULL = 1;
      break;
    case 2:
      return NULL;
    default:
      syscall(SYS_exit_group, 5);
  }
  return NULL;
}
static void end_in_many_ways(void) {
  allow_core();
  go = 0;
  pthread_t threads[4];
  for (long i = 0; i < 4; i++) threads[i] = start_thread(end_somehow, i);
  go = 1;
  pthread_join(threads[2], NULL);
  for (;;) pause();
}

CASE(several_ends_at_once) {
  for (int i = 0; i < 50 * check_scale(); i++) {
    pid_t pid;
    const int status = run(end_in_many_ways, &pid);
    CHECK(status == (SIGILL | 0x80) || status == (SIGSEGV | 0x80) || status == 5 << 8);
    if (!core_files_are_here()) continue;
    CHECK_EQ(has_core(pid), status != 5 << 8);
    if (has_core(pid)) drop_core(pid);
  }
}

// --- the memory ---

static unsigned char* map_some(int flags, int fd) {
  unsigned char* place = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
  REQUIRE(place != MAP_FAILED);
  return place;
}

static void crash_with_memory(void) {
  allow_core();
  const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  // Holes between them keep them areas of their own.
  unsigned char* room = mmap(NULL, 64 * PAGE, PROT_NONE, anonymous, -1, 0);
  REQUIRE(room != MAP_FAILED);
  unsigned char** places[] = {&shared->anonymous, &shared->untouched, &shared->hidden,
                              &shared->unhidden};
  for (int i = 0; i < 4; i++)
    *places[i] =
        mmap(room + 8 * i * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, anonymous | MAP_FIXED, -1, 0);
  memset(shared->anonymous + PAGE, 0xa1, PAGE);
  memset(shared->hidden, 0xa2, 4 * PAGE);
  CHECK_OK(madvise(shared->hidden, 4 * PAGE, MADV_DONTDUMP));
  memset(shared->unhidden, 0xa3, 4 * PAGE);
  CHECK_OK(madvise(shared->unhidden, 4 * PAGE, MADV_DONTDUMP));
  CHECK_OK(madvise(shared->unhidden, 4 * PAGE, MADV_DODUMP));
  int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
  for (int i = 0; i < 4; i++) {
    unsigned char page[PAGE];
    memset(page, 0xf0 + i, sizeof page);
    CHECK_EQ(write(fd, page, sizeof page), PAGE);
  }
  // Whether one that may be written was written to cannot be seen in an enclave.
  shared->clean_file = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
  REQUIRE(shared->clean_file != MAP_FAILED);
  shared->dirty_file = map_some(MAP_PRIVATE, fd);
  CHECK_EQ(shared->clean_file[PAGE], 0xf1);
  shared->dirty_file[PAGE] = 0xd1;
  shared->shared = map_some(MAP_SHARED | MAP_ANONYMOUS, -1);
  memset(shared->shared + 2 * PAGE, 0x5a, PAGE);
  close(fd);
  crash_with_registers();
}

static void check_byte(const struct core* core, const unsigned char* at, int value) {
  const unsigned char* found = dumped(core, at);
  CHECK(found != NULL);
  if (found != NULL) CHECK_EQ(*found, value);
}

CASE(memory) {
  if (!core_files_are_here()) return;
  pid_t pid;
  CHECK_EQ(run(crash_with_memory, &pid), SIGILL | 0x80);
  struct core core = read_core(pid);
  check_byte(&core, shared->anonymous, 0);
  check_byte(&core, shared->anonymous + PAGE, 0xa1);
  check_byte(&core, shared->anonymous + 2 * PAGE - 1, 0xa1);
  check_byte(&core, shared->anonymous + 2 * PAGE, 0);
  CHECK(dumped(&core, shared->hidden) == NULL);
  CHECK(find_segment(&core, shared->hidden) != NULL);
  check_byte(&core, shared->unhidden + 3 * PAGE, 0xa3);
  check_byte(&core, shared->dirty_file, 0xf0);
  check_byte(&core, shared->dirty_file + PAGE, 0xd1);
  check_byte(&core, shared->dirty_file + PAGE + 1, 0xf1);
  check_byte(&core, shared->dirty_file + 3 * PAGE, 0xf3);
  check_byte(&core, shared->shared, 0);
  check_byte(&core, shared->shared + 2 * PAGE, 0x5a);
  const char* variable = dumped(&core, &check_program);
  CHECK(variable != NULL && memcmp(variable, &check_program, sizeof check_program) == 0);
  CHECK_OK(unlink("data"));
  close_core(&core, pid);
}

static int filter;
static void crash_filtered(void) {
  char text[20];
  snprintf(text, sizeof text, "0x%x", filter);
  int fd = open("/proc/self/coredump_filter", O_RDWR);
  REQUIRE(fd != -1);
  CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
  close(fd);
  if (fork() != 0) _exit(wait(NULL) == -1);  // a child inherits it
  crash_with_memory();
}

CASE(memory_that_is_left_out) {
  if (!core_files_are_here() || strcmp(core_name(0), "core") != 0) return;
  char text[20];
  check_read_text("/proc/self/coredump_filter", text, sizeof text);
  CHECK_STR(text, "00000033\n");
  for (filter = 0; filter < 32; filter++) {
    CHECK_EQ(run(crash_filtered, NULL), 0);
    struct core core = read_core(0);
    CHECK_EQ(dumped(&core, shared->anonymous) != NULL, filter & 1);
    CHECK_EQ(dumped(&core, shared->shared) != NULL, filter >> 1 & 1);
    CHECK_EQ(dumped(&core, shared->dirty_file + PAGE) != NULL, (filter & 5) != 0);
    CHECK_EQ(dumped(&core, shared->clean_file + PAGE) != NULL, filter >> 2 & 1);
    // The program's first page.
    const void* start = (const void*)((uintptr_t)shared->phdr & ~(uintptr_t)(PAGE - 1));
    CHECK_EQ(dumped(&core, start) != NULL, (filter & 0x14) != 0);
    close_core(&core, 0);
  }
  int fd = open("/proc/self/coredump_filter", O_RDWR);
  CHECK_ERRNO(write(fd, "x", 1), EINVAL);
  CHECK_EQ(write(fd, "49\n", 3), 3);
  CHECK_EQ(pread(fd, text, sizeof text, 0), 9);
  CHECK(memcmp(text, "00000031\n", 9) == 0);
  CHECK_EQ(write(fd, "0x33", 4), 4);
  close(fd);
}

// --- beside others ---

static void crash_in_vfork(void) {
  pid_t child = vfork();
  if (child == 0) {
    allow_core();
    crash_with_registers();
  }
  int status = -1;
  if (waitpid(child, &status, 0) != child || status != (SIGILL | 0x80)) _exit(1);
  if (core_files_are_here()) drop_core(child);
  _exit(0);
}

// Who shares the memory goes on (since Linux 5.16).
CASE(memory_that_is_shared) { CHECK_EQ(run(crash_in_vfork, NULL), 0); }

static void crash_with_much(void) {
  allow_core();
  const size_t size = 64 << 20;
  char* much = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(much != MAP_FAILED);
  memset(much, 1, size);
  abort();
}

static void wait_for_dump(pid_t pid) {
  char path[40], text[4000];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  do {
    REQUIRE(check_read_text(path, text, sizeof text) > 0);
  } while (strstr(text, "CoreDumping:\t1") == NULL && strstr(text, "State:\tZ") == NULL);
}

// While it dumps, unless that was too fast.
CASE(killed_meanwhile) {
  if (!core_files_are_here()) return;
  for (int i = 0; i < 8; i++) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) crash_with_much();
    wait_for_dump(pid);
    CHECK_OK(kill(pid, SIGKILL));
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(status == SIGKILL || status == (SIGABRT | 0x80));
    unlink(core_name(pid));
  }
}

CASE(at_the_same_time) {
  enum { kAll = 12 };
  pid_t pids[kAll];
  for (int i = 0; i < kAll; i++) {
    fflush(stdout);
    pids[i] = fork();
    if (pids[i] == 0) {
      char name[10];
      snprintf(name, sizeof name, "d%d", i);
      if (mkdir(name, 0700) == -1 || chdir(name) == -1) _exit(1);
      crash_in_c();
    }
  }
  for (int i = 0; i < kAll; i++) {
    int status = -1;
    CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
    CHECK_EQ(status, SIGILL | 0x80);
    char name[10];
    snprintf(name, sizeof name, "d%d", i);
    if (core_files_are_here()) {
      REQUIRE(chdir(name) == 0);
      drop_core(pids[i]);
      REQUIRE(chdir("..") == 0);
    }
    CHECK_OK(rmdir(name));
  }
}

CHECK_MAIN
