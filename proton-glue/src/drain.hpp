// SPDX-License-Identifier: MIT
#pragma once

#include "timers.hpp"

#include <atomic>
#include <cstdint>

namespace lws_proton {

// When what is left of a loop's connections is ended in which way. Times are in µs of Clock. Any
// thread.
class Drain {
public:
    // What is left `ms` after now is cut. An earlier end stays.
    void begin(int64_t now, int ms) noexcept;
    bool begun() const noexcept { return cut_ != kNever; }

    // LWS_PROTON_DRAIN_QUIET, _TELL or _CUT.
    int phase(int64_t now) const noexcept;
    // When the pts look at their connections again.
    int64_t next(int64_t now) const noexcept;

private:
    // The second is written last, and is what shows that it has begun.
    std::atomic<int64_t> tell_{kNever}, cut_{kNever};
};

// Not later than that, from now on.
inline void lower(std::atomic<int64_t> &value, int64_t most) noexcept {
    int64_t old = value;
    while (most < old && !value.compare_exchange_weak(old, most)) {
    }
}

}  // namespace lws_proton
