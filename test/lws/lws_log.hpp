// SPDX-License-Identifier: MIT
#pragma once

#include <libwebsockets.h>

#include <mutex>
#include <string>

// What lws logs from now on, instead of on stderr.
inline std::string lws_logged;
inline std::mutex lws_log_mutex;

inline void log_to_string() {
    std::lock_guard<std::mutex> lock(lws_log_mutex);
    lws_logged.clear();
    // Once: a thread that destroys a context may be logging.
    static std::once_flag once;
    std::call_once(once, [] {
        lws_set_log_level(LLL_ERR | LLL_WARN, [](int, const char *line) {
            std::lock_guard<std::mutex> lock(lws_log_mutex);
            lws_logged += line;
        });
    });
}

// For tests whose service threads may be logging at the moment.
inline std::string lws_log() {
    std::lock_guard<std::mutex> lock(lws_log_mutex);
    return lws_logged;
}
