// SPDX-License-Identifier: MIT
#pragma once

#include "mutex.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

typedef struct pn_proactor_t pn_proactor_t;

namespace lws_proton {

class Loop;

using Clock = std::chrono::steady_clock;

constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kMs = 1000;  // µs

// µs of Clock.
int64_t now_us() noexcept;

// The one timeout that a proactor has, for all who want one: the loops on it, and, if the proactor
// is the application's, the application. There is one Timers for each proactor with a loop.
//
// Any thread, with or without a pt.
class Timers {
public:
    explicit Timers(pn_proactor_t *proactor) noexcept : proactor_(proactor) {}
    Timers(const Timers &) = delete;
    Timers &operator=(const Timers &) = delete;

    // That of an application's proactor, made if there is none.
    static std::shared_ptr<Timers> obtain(pn_proactor_t *proactor);
    // Null: no loop is on it.
    static std::shared_ptr<Timers> find(pn_proactor_t *proactor) noexcept;

    // A loop's life: from its creation until the last of what Proton held for it has gone.
    void join(Loop &loop);
    void leave(Loop &loop) noexcept;

    // Proton's timeout is to come at `deadline` or before. Who calls has noted the deadline where
    // Loop::on_timeout() looks for it.
    void arm(int64_t deadline) noexcept {
        // Nearly always it is already. expire() forgets armed_ before the loops look at their
        // deadlines: either this sees it forgotten, or they see this deadline.
        if (deadline < armed_)
            arm_earlier(deadline);
    }

    // The application's own timeout; kNever: none.
    void set_application(int64_t deadline) noexcept;

    // Proton's timeout has come: tells the loops. True: the application's has, too.
    bool expire() noexcept;

    // Connections and listeners, of all loops.
    size_t held() noexcept;

private:
    void arm_earlier(int64_t deadline) noexcept;
    void arm_locked(int64_t deadline) noexcept LWS_PROTON_REQUIRES(mutex_);

    pn_proactor_t *const proactor_;
    Mutex mutex_{Rank::leaf};
    std::atomic<int64_t> armed_{kNever};  // changes under mutex_
    int64_t application_ LWS_PROTON_GUARDED_BY(mutex_) = kNever;
    std::vector<Loop *> loops_ LWS_PROTON_GUARDED_BY(mutex_);
};

}  // namespace lws_proton
