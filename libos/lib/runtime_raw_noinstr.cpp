// The C++ runtime of the enclave: what the compiler and libc++'s headers call, and there is no
// library for.
//
// Nothing here is reached in a correct LibOS, but run_constructors. The hosted builds use the real
// libraries.
//
// Invariant of the raw part: the linker puts pointers to functions without arguments between the
// two symbols, and nothing else (ELF gABI, ".init_array"); they have no kCFI type hashes, so the
// loop is not checked (design, 12).
#include "libos/lib/runtime.h"

#include <cstddef>
#include <new>

#include "libos/lib/panic.h"

#pragma clang unsafe_buffer_usage begin

extern "C" {

using Constructor = void (*)();
extern const Constructor __init_array_start[];
extern const Constructor __init_array_end[];

[[noreturn]] void __stack_chk_fail();
void __stack_chk_fail() { occlum::panic_write("stack smashed"); }

[[noreturn]] void __cxa_pure_virtual();
void __cxa_pure_virtual() { occlum::panic_write("pure virtual function called"); }

}  // extern "C"

namespace occlum {

[[clang::no_sanitize("kcfi")]] void run_constructors() {
  for (const Constructor* at = __init_array_start; at != __init_array_end; ++at) (*at)();
}

}  // namespace occlum

// libc++'s checks trap (extensive hardening); this is for the few that want to say something first.
void std::__libcpp_verbose_abort(const char* format, ...) { occlum::panic_write(format); }

// A virtual destructor brings a deleting variant along, which refers to these. Objects are
// destroyed by OwnPtr and RefPtr, which never call it.
void operator delete(void*) noexcept { occlum::panic_write("operator delete called"); }
void operator delete(void*, std::size_t) noexcept { occlum::panic_write("operator delete called"); }
void operator delete(void*, std::align_val_t) noexcept {
  occlum::panic_write("operator delete called");
}
void operator delete(void*, std::size_t, std::align_val_t) noexcept {
  occlum::panic_write("operator delete called");
}

#pragma clang unsafe_buffer_usage end
