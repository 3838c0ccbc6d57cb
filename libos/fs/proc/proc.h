// The file system of type "proc" (proc(5)): what the LibOS says about itself and its processes.
#pragma once

#include "libos/lib/ptr.h"

namespace occlum {

class File;
class Process;

// Registers the file system, and its like for /sys. Call at start, once.
void register_proc();
void register_sysfs();

// The process whose directory /proc/<pid> is open here, or null.
RefPtr<Process> process_of_directory(File& file);

// Whether it is a file of /proc whose pollers are told something.
bool is_pollable_proc_file(File& file);

}  // namespace occlum
