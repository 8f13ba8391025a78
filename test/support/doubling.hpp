// What costs no more than n log n: twice as much of it takes little more than twice as long.
#pragma once

#include "check.hpp"

#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace e2e {

// Of this process, in seconds: other processes take none of it.
inline double cpu_seconds()
{
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// The seconds that so many take.
using Work = std::function<double(int)>;

// Each size is twice the one before it, and may take 2.4 times as long. Where the processor's
// caches end twice as many cost more than that, all the more if other processes fill them: then
// the work may take as many times as long as `reference`, which is n log n in the same memory.
// It has to be so in two attempts. Returns the figures of the last one. (What a sanitizer costs has
// bounds of its own: with one the least size is run once.)
inline std::string check_doubling(const std::string &what, const std::vector<int> &sizes,
                                  const Work &work, const Work &reference = {})
{
#if defined(LWS_PROTON_SANITIZE) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    work(sizes.front());
    return what + " not measured";
#endif
    constexpr double kMost = 2.4;
    constexpr int kTimes = 2, kAttempts = 12;
    std::string figures;
    for (int attempt = 0, held = 0; attempt < kAttempts; attempt++) {
        bool holds = true;
        double before = 0;
        figures.clear();
        for (size_t i = 0; holds && i < sizes.size(); i++) {
            const double took = work(sizes[i]);
            holds = i == 0 || took <= kMost * before;
            if (!holds && reference)
                holds = took <= before * reference(sizes[i]) / reference(sizes[i - 1]);
            before = took;
            char text[48];
            snprintf(text, sizeof(text), "%s%d in %.1f ms", i ? ", " : "", sizes[i], took * 1e3);
            figures += text;
        }
        if (holds && ++held == kTimes) {
            printf("%s: %s\n", what.c_str(), figures.c_str());
            return figures;
        }
    }
    FAIL(what + ": twice as many take more than 2.4 times as long: " + figures);
}

// Prepares so much work, and returns it: what is prepared is not measured.
using Preparation = std::function<std::function<void()>(size_t)>;

// The same, with a line for the table of docs/security.md.
inline void check_doubling_of_prepared(const char *what, const std::vector<int> &sizes,
                                       const Preparation &prepare) {
    const std::string figures = check_doubling(what, sizes, [&](int n) {
        const std::function<void()> work = prepare(static_cast<size_t>(n));
        const double before = cpu_seconds();
        work();
        return cpu_seconds() - before;
    });
    printf("security: %s | O(log n) each | others are served beside it | %s\n", what,
           figures.c_str());
}

} // namespace e2e
