// SPDX-License-Identifier: MIT
#pragma once

#include "site.hpp"

#include <libwebsockets.h>
#include <lws_proton_guard.h>

#include <string>
#include <vector>

namespace gateway {

// Who may ask a vhost: lws_proton_guard.h, by the site's options. What it refuses is counted in
// the Site, which is the vhost's user.
class Guard {
public:
    // For a vhost that listens on this address.
    Guard(const Options &options, const std::string &address);
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;

    const lws_proton_guard_t *get() const { return &guard_; }

private:
    std::vector<const char *> origins_, hosts_;  // NULL is the last
    lws_proton_guard_t guard_;
};

}  // namespace gateway
