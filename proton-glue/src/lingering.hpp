// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"
#include "mutex.hpp"

#include <atomic>
#include <cstdint>

namespace lws_proton {

class Loop;

// A loop's connections that lws has closed with bytes unsent. They are counted and reported, since
// peers that never read keep them for ever; unless Proton can abort them.
class Lingering {
public:
    explicit Lingering(Loop &loop) noexcept : loop_(loop) {}
    Lingering(const Lingering &) = delete;
    Lingering &operator=(const Lingering &) = delete;

    void begin(Connection &c) noexcept;
    // Its peer has taken some of it.
    void go_on(Connection &c) noexcept;
    void end(Connection &c) noexcept;

    size_t count() const noexcept { return count_; }
    // Too many to take on new connections.
    bool refusing() const noexcept;
    // One was refused: says so, once until there are fewer again.
    void refused() noexcept;
    // Aborts what has lingered for too long, and says what has for long, once of each.
    void report(int64_t now) noexcept;
    // All that can be.
    void abort_all() noexcept;

private:
    void push(Connection &c) noexcept LWS_PROTON_REQUIRES(mutex_);
    void pull(Connection &c) noexcept LWS_PROTON_REQUIRES(mutex_);
    // True: it lingers no more, its end is on its way.
    bool abort(Connection &c) noexcept LWS_PROTON_REQUIRES(mutex_);

    Loop &loop_;
    Mutex mutex_{Rank::lingering};
    // First the one whose peer has taken nothing for longest. It is pulled as its
    // transport lets go; an abort in between does nothing.
    ConnectionList<&Connection::linger_links> list_ LWS_PROTON_GUARDED_BY(mutex_);
    std::atomic<size_t> count_{0};
    size_t stuck_ LWS_PROTON_GUARDED_BY(mutex_) = 0;  // of those, reported
    bool too_many_said_ LWS_PROTON_GUARDED_BY(mutex_) = false;
};

}  // namespace lws_proton
