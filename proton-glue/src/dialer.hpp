// SPDX-License-Identifier: MIT
#pragma once

#include "lws_proton.h"
#include "mutex.hpp"

namespace lws_proton {

// Who connects a loop's clients in place of Proton, if anybody does.
class Dialer {
public:
    void set(lws_proton_dial_t dial, void *context) noexcept {
        Lock lock(mutex_);
        dial_ = dial;
        context_ = context;
    }
    bool there() const noexcept {
        Lock lock(mutex_);
        return dial_ != nullptr;
    }
    // What it returned; `absent` if there is none.
    int dial(lws_proton_driver_t *driver, const char *address, uint16_t port,
             int absent) const noexcept {
        Lock lock(mutex_);
        const lws_proton_dial_t dial = dial_;
        void *const context = context_;
        lock.unlock();
        return dial ? dial(context, driver, address, port) : absent;
    }

private:
    mutable Mutex mutex_{Rank::leaf};
    lws_proton_dial_t dial_ LWS_PROTON_GUARDED_BY(mutex_) = nullptr;
    void *context_ LWS_PROTON_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace lws_proton
