// SPDX-License-Identifier: MIT
#include "timers.hpp"

#include "loop.hpp"

#include <proton/proactor.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

namespace lws_proton {

namespace {

// Of the applications' proactors. Written when a loop is made; read at a timeout.
std::shared_mutex registry_mutex;

std::map<pn_proactor_t *, std::weak_ptr<Timers>> &registry() {
    // Loops may outlive everything that is static.
    static auto *const all = new std::map<pn_proactor_t *, std::weak_ptr<Timers>>;
    return *all;
}

}  // namespace

int64_t now_us() noexcept {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
        .count();
}

std::shared_ptr<Timers> Timers::obtain(pn_proactor_t *proactor) {
    std::lock_guard<std::shared_mutex> lock(registry_mutex);
    for (auto it = registry().begin(); it != registry().end();)
        it = it->second.expired() ? registry().erase(it) : std::next(it);
    std::weak_ptr<Timers> &entry = registry()[proactor];
    std::shared_ptr<Timers> timers = entry.lock();
    if (!timers)
        entry = timers = std::make_shared<Timers>(proactor);
    return timers;
}

std::shared_ptr<Timers> Timers::find(pn_proactor_t *proactor) noexcept {
    std::shared_lock<std::shared_mutex> lock(registry_mutex);
    const auto it = registry().find(proactor);
    return it == registry().end() ? nullptr : it->second.lock();
}

void Timers::join(Loop &loop) {
    Lock lock(mutex_);
    loops_.push_back(&loop);
}

void Timers::leave(Loop &loop) noexcept {
    Lock lock(mutex_);
    loops_.erase(std::remove(loops_.begin(), loops_.end(), &loop), loops_.end());
    // expire() may have passed over one. And with no loop left, the timeout is the application's.
    if (!loops_.empty())
        arm_locked(now_us());
    else {
        armed_ = kNever;
        if (application_ == kNever)
            pn_proactor_cancel_timeout(proactor_);
        else
            arm_locked(application_);
    }
}

void Timers::arm_earlier(int64_t deadline) noexcept {
    Lock lock(mutex_);
    arm_locked(deadline);
}

void Timers::arm_locked(int64_t deadline) noexcept {
    if (deadline >= armed_)
        return;
    armed_ = deadline;
    const int64_t ms = (deadline - now_us() + kMs - 1) / kMs;
    pn_proactor_set_timeout(proactor_,
                            static_cast<pn_millis_t>(std::clamp<int64_t>(ms, 0, PN_MILLIS_MAX)));
}

void Timers::set_application(int64_t deadline) noexcept {
    Lock lock(mutex_);
    application_ = deadline;
    arm_locked(deadline);
}

bool Timers::expire() noexcept {
    const int64_t now = now_us();
    bool application = false;
    {
        Lock lock(mutex_);
        armed_ = kNever;
        application = application_ <= now;
        if (application)
            application_ = kNever;
        arm_locked(application_);
    }
    for (size_t i = 0;; i++) {
        Loop *loop;
        {
            Lock lock(mutex_);
            if (i >= loops_.size())
                return application;
            loop = loops_[i];
            if (!loop->hold_if_alive())
                continue;
        }
        loop->on_timeout(now);
        loop->drop();
    }
}

size_t Timers::held() noexcept {
    Lock lock(mutex_);
    size_t all = 0;
    for (Loop *loop : loops_)
        all += loop->held_by_proton();
    return all;
}

}  // namespace lws_proton
