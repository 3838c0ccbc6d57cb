// An Occlum instance: a directory with
//
//     Occlum.json           what the user configures
//     image/                the root file system, as a plain directory
//     build/                what `occlum build` makes: root.erofs and instance.enclave
//     run/                  the writable layer and run-time state; no build ever touches it
//     .__occlum_status      "initialized" or "built"
//
// The instance is the working directory (`occlum -C DIR` changes to it first). Locks are flock(2)s
// of directories, so they end with their holder: `build` holds build/ exclusively, `run` holds run/
// shared for as long as the program runs.
#pragma once

#include <string>
#include <string_view>

#include "image/error.h"
#include "image/files.h"

namespace cli {

using image::Result;

inline constexpr std::string_view kStatusFile = ".__occlum_status";
inline constexpr std::string_view kConfigFile = "Occlum.json";
inline constexpr std::string_view kImageDirectory = "image";
inline constexpr std::string_view kBuildDirectory = "build";
inline constexpr std::string_view kRunDirectory = "run";
inline constexpr std::string_view kRootImage = "build/root.erofs";
inline constexpr std::string_view kEnclaveImage = "build/instance.enclave";
// resource_limits.user_space_max_size, in bytes; absent without one. Limits are the host's to choose: not measured.
inline constexpr std::string_view kMemoryLimit = "build/memory_limit";

enum class InstanceState { kInitialized, kBuilt };

// The state of the instance in the working directory; an error if it is none.
Result<InstanceState> instance_state();
Result<void> set_instance_state(InstanceState state);

enum class LockKind { kShared, kExclusive };

// Holds the lock while the File is open; an error if another process has it.
Result<image::File> lock_directory(std::string_view directory, LockKind kind,
                                   std::string_view complaint);

// Whether a program runs in the instance now.
bool instance_is_running();

}  // namespace cli
