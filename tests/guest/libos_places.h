// Where the LibOS lies in an enclave: addresses that no program has anything to do with. Natively nothing is there.
// tests/enclave/host_calls.cpp sees to it that they are true.
#pragma once

#define LIBOS_IMAGE 0x1FFFC0000000
#define LIBOS_CONFIGURATION 0x1FFFB0000000
#define LIBOS_MEMORY 0x1F0000000000  // its page descriptors; its heap follows
#define ELRANGE_END 0x200000000000
