// SPDX-License-Identifier: MIT
#include "descriptors.hpp"

#include "failure.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace ws_load {

void allow_descriptors(size_t wanted) {
    constexpr size_t kOthers = 64;
    wanted += kOthers;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    limit.rlim_max = std::max<rlim_t>(limit.rlim_max, wanted);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw no_resources("RLIMIT_NOFILE cannot be raised to " + std::to_string(wanted));
}

}  // namespace ws_load
