// What every unit test includes, compiled once for each sanitizer.
#pragma once

// The C++ run time's own `abi`, which gtest includes, must not be ours.
#define abi cxx_run_time_abi
#include <gtest/gtest.h>
#undef abi

#include "libos/precompiled.h"
