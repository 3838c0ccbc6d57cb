// Names for clang's thread-safety attributes (clang.llvm.org/docs/ThreadSafetyAnalysis.html), which
// -Wthread-safety checks.
#pragma once

#define OCCLUM_CAPABILITY(name) __attribute__((capability(name)))
#define OCCLUM_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define OCCLUM_GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define OCCLUM_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define OCCLUM_EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define OCCLUM_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define OCCLUM_TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define OCCLUM_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define OCCLUM_NO_THREAD_SAFETY_ANALYSIS __attribute__((no_thread_safety_analysis))
