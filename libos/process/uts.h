// What uname(2) says: one host and domain name for all processes (there are no namespaces).
#pragma once

#include <string_view>

#include "libos/lib/result.h"
#include "libos/lib/string.h"

namespace occlum {

constexpr std::string_view kSystemName = "Linux", kKernelRelease = "6.1.0-occlum",
                           kKernelVersion = "#1 SMP Occlum", kMachine = "x86_64";
// What personality(2) makes of these: UNAME26 is for programs that take 3.0 and later for older than 2.6 (6.1 is 2.6.61).
constexpr std::string_view kOldKernelRelease = "2.6.61-occlum", kMachine32 = "i686";
constexpr size_t kLongestHostName = 64;

Result<String> host_name();
Result<String> domain_name();
// kInval when it is longer than kLongestHostName.
Result<void> set_host_name(std::string_view name);
Result<void> set_domain_name(std::string_view name);

}  // namespace occlum
