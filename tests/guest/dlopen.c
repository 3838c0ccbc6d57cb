// Loading shared libraries at run time: file mappings with every protection, relocation, TLS of a late module.
#include <dlfcn.h>
#include <math.h>

#include "check.h"

static int doubled(int value) { return 2 * value; }

static void* in_thread(void* function) {
  int (*call)(int (*)(int), int) = (int (*)(int (*)(int), int))function;
  CHECK_EQ(call(doubled, 10), 21);
  CHECK_EQ(call(doubled, 10), 22);
  return NULL;
}

CASE(plugin) {
  void* library = dlopen(check_sibling("plugin.so"), RTLD_NOW);
  REQUIRE(library != NULL);
  int (*constructed)(void) = (int (*)(void))dlsym(library, "plugin_constructed");
  void* call = dlsym(library, "plugin_call");
  REQUIRE(constructed != NULL && call != NULL);
  CHECK_EQ(constructed(), 77);
  in_thread(call);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, in_thread, call) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK(dlsym(library, "no_such_symbol") == NULL);
  CHECK_EQ(dlclose(library), 0);
  CHECK(dlopen(check_sibling("plugin.so"), RTLD_NOW | RTLD_NOLOAD) == NULL);
}

CASE(system_library) {
  void* library = dlopen("libm.so.6", RTLD_LAZY);
  REQUIRE(library != NULL);
  double (*cosine)(double) = (double (*)(double))dlsym(library, "cos");
  REQUIRE(cosine != NULL);
  printf("%.6f\n", cosine(1.0));
}

CASE(missing_library) {
  CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL);
  CHECK(dlerror() != NULL);
}

CHECK_MAIN
