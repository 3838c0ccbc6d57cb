// Running a function as somebody else: the raw system calls change the credentials of one thread alone, so a thread of
// its own is enough, on Linux and in the enclave.
#pragma once

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "check.h"

#define ALICE 1000
#define BOB 1001

struct identity_job {
  uid_t uid;
  gid_t gid;
  gid_t group;  // supplementary, 0: none
  void (*run)(void);
};

static void identity_become(uid_t uid, gid_t gid, gid_t group) {
  REQUIRE(syscall(SYS_setgroups, group ? 1 : 0, &group) == 0);
  REQUIRE(syscall(SYS_setresgid, gid, gid, gid) == 0);
  REQUIRE(syscall(SYS_setresuid, uid, uid, uid) == 0);
}

static void* identity_thread(void* argument) {
  struct identity_job* job = argument;
  identity_become(job->uid, job->gid, job->group);
  job->run();
  return NULL;
}

static void as_user_in(uid_t uid, gid_t gid, gid_t group, void (*run)(void)) {
  struct identity_job job = {uid, gid, group, run};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, identity_thread, &job) == 0);
  pthread_join(thread, NULL);
  prctl(PR_SET_DUMPABLE, 1);  // which the change of ids took away
}

__attribute__((unused)) static void as_user(uid_t uid, void (*run)(void)) {
  as_user_in(uid, uid, 0, run);
}

// In a process of its own, without privileges: user and group 1, and no others.
static void (*identity_body)(void);
static void identity_unprivileged(void) {
  if (setgroups(0, NULL) != 0 || setresgid(1, 1, 1) != 0 || setresuid(1, 1, 1) != 0) _exit(2);
  identity_body();
}
__attribute__((unused)) static void unprivileged(void (*run)(void)) {
  identity_body = run;
  CHECK_EQ(check_in_child(identity_unprivileged), 0);
}

struct identity_caps {
  uint64_t effective, permitted, inheritable;
};

__attribute__((unused)) static struct identity_caps get_caps(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {0};
  REQUIRE(syscall(SYS_capget, &header, data) == 0);
  return (struct identity_caps){data[0].effective | (uint64_t)data[1].effective << 32,
                                data[0].permitted | (uint64_t)data[1].permitted << 32,
                                data[0].inheritable | (uint64_t)data[1].inheritable << 32};
}

__attribute__((unused)) static int set_caps(uint64_t effective, uint64_t permitted,
                                            uint64_t inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable},
                                           {effective >> 32, permitted >> 32, inheritable >> 32}};
  return syscall(SYS_capset, &header, data);
}

// As root, but with these capabilities only. Only root of the machine can: the other runs say nothing.
static uint64_t identity_kept;
static void (*identity_run)(void);
static void* identity_caps_thread(void* unused) {
  (void)unused;
  // Ids of nobody's files, so that only the capabilities count.
  REQUIRE(prctl(PR_SET_KEEPCAPS, 1) == 0);
  identity_become(BOB, BOB, 0);
  REQUIRE(set_caps(identity_kept, identity_kept, 0) == 0);
  identity_run();
  return NULL;
}

__attribute__((unused)) static void with_caps(uint64_t caps, void (*run)(void)) {
  identity_kept = caps;
  identity_run = run;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, identity_caps_thread, NULL) == 0);
  pthread_join(thread, NULL);
  prctl(PR_SET_DUMPABLE, 1);
}

#define CAP(name) (1ull << CAP_##name)
