// SPDX-License-Identifier: MIT
#pragma once

#include "lws_proton.h"

#include <mutex>

namespace lws_proton {

// Who connects a loop's clients in place of Proton, if anybody does.
class Dialer {
public:
    void set(lws_proton_dial_t dial, void *context) noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        dial_ = dial;
        context_ = context;
    }
    bool there() const noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return dial_ != nullptr;
    }
    // What it returned; `absent` if there is none.
    int dial(lws_proton_driver_t *driver, const char *address, uint16_t port,
             int absent) const noexcept {
        std::unique_lock<std::mutex> lock(mutex_);
        const lws_proton_dial_t dial = dial_;
        void *const context = context_;
        lock.unlock();
        return dial ? dial(context, driver, address, port) : absent;
    }

private:
    mutable std::mutex mutex_;
    lws_proton_dial_t dial_ = nullptr;
    void *context_ = nullptr;
};

}  // namespace lws_proton
