// A shared library for dlopen.c: a constructor, a destructor, thread-local and ordinary data, a call back.
static int constructed;
static __thread int calls;

__attribute__((constructor)) static void construct(void) { constructed = 77; }

int plugin_constructed(void) { return constructed; }
int plugin_call(int (*callback)(int), int value) {
  calls++;
  return callback(value) + calls;
}
