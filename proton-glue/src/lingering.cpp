// SPDX-License-Identifier: MIT
#include "lingering.hpp"

#include "loop.hpp"
#include "lws_proton.h"

#include <cstdio>

namespace lws_proton {

void Lingering::begin(Connection &c) noexcept {
    Lock lock(mutex_);
    c.linger_since = now_us();
    list_.push(c);
    count_++;
}

void Lingering::end(Connection &c) noexcept {
    Lock lock(mutex_);
    list_.pull(c);
    count_--;
    if (c.linger_reported)
        stuck_--;
}

bool Lingering::refusing() const noexcept {
    return count_ >= LWS_PROTON_LINGER_MAX;
}

void Lingering::refused() noexcept {
    {
        Lock lock(mutex_);
        if (refusing_said_)
            return;
        refusing_said_ = true;
    }
    char line[160];
    snprintf(line, sizeof(line),
             "%d connections linger (closed, bytes unsent, peer not reading): refusing new ones "
             "until some end",
             LWS_PROTON_LINGER_MAX);
    loop_.log(LWS_PROTON_LOG_ERR, line);
}

// Oldest first, so it stops at the first that is not late yet. One line at most a heartbeat.
void Lingering::report(int64_t now) noexcept {
    size_t found = 0, stuck;
    {
        Lock lock(mutex_);
        for (Connection *c = list_.head(); c; c = list_.next(*c)) {
            if (now - c->linger_since < LWS_PROTON_LINGER_REPORT_MS * kMs)
                break;
            if (!c->linger_reported) {
                c->linger_reported = true;
                found++;
            }
        }
        stuck = stuck_ += found;
        if (!refusing())
            refusing_said_ = false;
    }
    if (!found)
        return;
    char line[160];
    snprintf(line, sizeof(line),
             "%zu connections linger: closed over %d s ago, bytes unsent, peer not reading "
             "(%zu more since the last report)",
             stuck, LWS_PROTON_LINGER_REPORT_MS / 1000, found);
    loop_.log(LWS_PROTON_LOG_WARN, line);
}

}  // namespace lws_proton
