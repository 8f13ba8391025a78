// SPDX-License-Identifier: MIT
#pragma once

#include "timers.hpp"

#include <atomic>
#include <cstdint>

namespace lws_proton {

// For a line of log that a shortage would repeat: it is due once a second at most. Any thread.
class Seldom {
public:
    // How often it has been asked since the line was last due, with this time; 0: it is not due.
    unsigned due() noexcept {
        asked_++;
        const int64_t now = now_us();
        int64_t before = due_at_;
        if (now < before || !due_at_.compare_exchange_strong(before, now + kEvery))
            return 0;
        return asked_.exchange(0);
    }

private:
    static constexpr int64_t kEvery = 1000 * kMs;  // µs

    std::atomic<int64_t> due_at_{INT64_MIN};
    std::atomic<unsigned> asked_{0};
};

}  // namespace lws_proton
