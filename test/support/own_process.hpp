// What this process holds, from /proc.
#pragma once

#include "check.hpp"
#include "close_file.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

namespace e2e {

inline size_t own_rss_kib()
{
    const File statm(fopen("/proc/self/statm", "r"));
    size_t size = 0, resident = 0;
    CHECK(statm && fscanf(statm.get(), "%zu %zu", &size, &resident) == 2);
    return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

inline size_t own_fd_count()
{
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

// Of this process and, inherited, of the servers that it starts.
inline void raise_descriptor_limit(rlim_t wanted)
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    limit.rlim_max = std::max(limit.rlim_max, wanted);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        FAIL("RLIMIT_NOFILE cannot be raised to " + std::to_string(wanted));
}

// The tests run on the back-ported Proton, which can abort a connection.
inline bool proton_aborts()
{
    return getenv("LWS_PROTON_TEST_ABORTS") != nullptr;
}

} // namespace e2e
