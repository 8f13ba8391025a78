// SPDX-License-Identifier: MIT
#pragma once

#include "check.hpp"

#include <libwebsockets.h>

#include <mutex>
#include <set>

namespace lws_test {

// The wsis of connections that lws tells of. (The end of a listener's is told of too.)
class Census {
public:
    void note(lws *wsi, lws_callback_reasons reason) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (reason == LWS_CALLBACK_WSI_CREATE) {
            living_.insert(wsi);
            born_++;
        } else if (reason == LWS_CALLBACK_WSI_DESTROY) {
            living_.erase(wsi);
            destroyed_++;
        }
    }
    int destroyed() {
        std::lock_guard<std::mutex> lock(mutex_);
        return destroyed_;
    }
    void check_all_lived_and_died() {
        std::lock_guard<std::mutex> lock(mutex_);
        CHECK(born_ > 0);
        CHECK_EQ(living_.size(), 0u);
    }

private:
    std::mutex mutex_;
    std::set<lws *> living_;
    int born_ = 0, destroyed_ = 0;
};

}  // namespace lws_test
