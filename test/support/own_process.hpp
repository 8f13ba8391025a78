// What this process holds, from /proc.
#pragma once

#include "check.hpp"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>

namespace e2e {

inline size_t own_rss_kib()
{
    const std::unique_ptr<FILE, decltype(&fclose)> statm(fopen("/proc/self/statm", "r"), fclose);
    size_t size = 0, resident = 0;
    CHECK(statm && fscanf(statm.get(), "%zu %zu", &size, &resident) == 2);
    return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

inline size_t own_fd_count()
{
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

} // namespace e2e
