// The devices and the file system of type "dev" (null(4), zero(4), full(4), random(4), tty(4),
// pts(4)).
#pragma once

namespace occlum {

// Registers the file system "dev" and tells the VFS how devices and FIFOs are opened. Call at
// start, once.
void register_devices();

}  // namespace occlum
