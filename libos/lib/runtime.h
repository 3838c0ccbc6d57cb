// What a C++ program without a C++ library needs at start; the rest of runtime_raw_noinstr.cpp is
// called by the compiler only.
#pragma once

namespace occlum {

// Runs the constructors of globals, in link order. arch calls it once, before anything else of C++
// runs.
void run_constructors();

}  // namespace occlum
