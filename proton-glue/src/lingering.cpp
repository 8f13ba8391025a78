// SPDX-License-Identifier: MIT
#include "lingering.hpp"

#include "loop.hpp"
#include "lws_proton.h"
#include "raw_connection.hpp"

#include <cstdio>
#include <utility>

namespace lws_proton {

void Lingering::push(Connection &c) noexcept {
    c.linger_since = now_us();
    list_.push(c);
    count_++;
}

void Lingering::pull(Connection &c) noexcept {
    list_.pull(c);
    count_--;
    if (std::exchange(c.linger_reported, false))
        stuck_--;
}

bool Lingering::abort(Connection &c) noexcept {
    if (!c.abort())
        return false;
    pull(c);
    return true;
}

void Lingering::begin(Connection &c) noexcept {
    {
        Lock lock(mutex_);
        push(c);
        if (count_ <= LWS_PROTON_LINGER_MAX || !RawConnection::proton_abort)
            return;
        Connection *first = list_.head();
        while (first && !abort(*first))
            first = list_.next(*first);
        if (!first || std::exchange(too_many_said_, true))
            return;
    }
    char line[160];
    snprintf(line, sizeof(line),
             "%d connections linger (closed, bytes unsent, peer not reading): for each more the "
             "oldest is aborted",
             LWS_PROTON_LINGER_MAX);
    loop_.log(LWS_PROTON_LOG_ERR, line);
}

void Lingering::go_on(Connection &c) noexcept {
    Lock lock(mutex_);
    if (!list_.has(c))
        return;
    pull(c);
    push(c);
}

void Lingering::end(Connection &c) noexcept {
    Lock lock(mutex_);
    // Not if it was aborted.
    if (list_.has(c))
        pull(c);
}

bool Lingering::refusing() const noexcept {
    return count_ >= LWS_PROTON_LINGER_MAX && !RawConnection::proton_abort;
}

void Lingering::refused() noexcept {
    {
        Lock lock(mutex_);
        if (std::exchange(too_many_said_, true))
            return;
    }
    char line[160];
    snprintf(line, sizeof(line),
             "%d connections linger (closed, bytes unsent, peer not reading): refusing new ones "
             "until some end",
             LWS_PROTON_LINGER_MAX);
    loop_.log(LWS_PROTON_LOG_ERR, line);
}

// It stops at the first that is not late yet. Two lines at most a heartbeat.
void Lingering::report(int64_t now) noexcept {
    size_t found = 0, aborted = 0, stuck;
    {
        Lock lock(mutex_);
        for (Connection *c = list_.head(), *next; c; c = next) {
            next = list_.next(*c);
            const int64_t for_us = now - c->linger_since;
            if (for_us < LWS_PROTON_LINGER_REPORT_MS * kMs)
                break;
            if (for_us >= LWS_PROTON_LINGER_ABORT_MS * kMs && abort(*c)) {
                aborted++;
            } else if (!std::exchange(c->linger_reported, true)) {
                found++;
                stuck_++;
            }
        }
        stuck = stuck_;
        if (count_ < LWS_PROTON_LINGER_MAX)
            too_many_said_ = false;
    }
    char line[160];
    if (found) {
        snprintf(line, sizeof(line),
                 "%zu connections linger: closed over %d s ago, bytes unsent, peer not reading "
                 "(%zu more since the last report)",
                 stuck, LWS_PROTON_LINGER_REPORT_MS / 1000, found);
        loop_.log(LWS_PROTON_LOG_WARN, line);
    }
    if (aborted) {
        snprintf(line, sizeof(line),
                 "%zu lingering connections aborted: their peers have read nothing for %d s",
                 aborted, LWS_PROTON_LINGER_ABORT_MS / 1000);
        loop_.log(LWS_PROTON_LOG_WARN, line);
    }
}

void Lingering::abort_all() noexcept {
    Lock lock(mutex_);
    for (Connection *c = list_.head(), *next; c; c = next) {
        next = list_.next(*c);
        abort(*c);
    }
}

}  // namespace lws_proton
