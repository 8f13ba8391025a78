// SPDX-License-Identifier: MIT
#include "lws_proton.h"

#include <algorithm>
#include <dirent.h>
#include <memory>
#include <sys/resource.h>

namespace {

size_t limit_in_force() noexcept {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

struct CloseDirectory {
    void operator()(DIR *directory) const noexcept { closedir(directory); }
};

}  // namespace

size_t lws_proton_raise_descriptor_limit(size_t most) {
    rlimit limit = {};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, most);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit_in_force();
}

size_t lws_proton_free_descriptors(void) {
    const std::unique_ptr<DIR, CloseDirectory> all(opendir("/proc/self/fd"));
    if (!all)
        return 0;
    size_t open = 0;
    while (const dirent *entry = readdir(all.get()))
        open += entry->d_name[0] != '.';
    open--;  // the directory itself
    return limit_in_force() - std::min(limit_in_force(), open);
}
