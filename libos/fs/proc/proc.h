// The file system of type "proc" (proc(5)): what the LibOS says about itself and its processes.
#pragma once

namespace occlum {

// Registers the file system. Call at start, once.
void register_proc();

}  // namespace occlum
