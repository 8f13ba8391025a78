// That twice the work of one thread takes about twice the time; support/doubling.hpp is for a process.
#pragma once

#include "check.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace e2e {

// Of this thread, in seconds: whatever else the machine does.
inline double processor_time()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

#if defined(LWS_PROTON_SANITIZE)
constexpr bool kTimesAreOff = true;
#else
constexpr bool kTimesAreOff = false;
#endif

// Twice the work takes at most this many times as long.
constexpr double kDouble = 2.4;

struct Work {
    const char *what;
    std::vector<size_t> amounts;
    // The best of so many counts.
    int rounds;
    // Prepares so much of it, and returns what is measured.
    std::function<std::function<void()>(size_t)> prepare;
};

inline void check_doubling(const Work &work)
{
    std::vector<double> best;
    for (const size_t amount : work.amounts) {
        double least = 1e9;
        for (int round = 0; round < (kTimesAreOff ? 1 : work.rounds); round++) {
            const std::function<void()> action = work.prepare(amount);
            const double begun = processor_time();
            action();
            least = std::min(least, processor_time() - begun);
        }
        best.push_back(least);
    }
    std::string figures;
    for (size_t i = 0; i < best.size(); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s%zu: %.1f ms", i ? ", " : "", work.amounts[i],
                 1e3 * best[i]);
        figures += text;
    }
    printf("%s: %s\n", work.what, figures.c_str());
    if (kTimesAreOff)
        return;
    for (size_t i = 1; i < best.size(); i++)
        CHECK_LE(best[i], kDouble * best[i - 1]);
    printf("security: %s | O(log n) each | others are served beside it | %s\n", work.what,
           figures.c_str());
}

} // namespace e2e
