// SPDX-License-Identifier: MIT
#pragma once

#include <libwebsockets.h>

#include <string>

// What lws logs from now on, instead of on stderr.
inline std::string lws_logged;

inline void log_to_string() {
    lws_logged.clear();
    lws_set_log_level(LLL_ERR | LLL_WARN, [](int, const char *line) { lws_logged += line; });
}
