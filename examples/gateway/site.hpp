// SPDX-License-Identifier: MIT
#pragma once

#include "addresses.hpp"
#include "options.hpp"

#include <libwebsockets.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gateway {

// What all connections share. Any thread.
struct Site {
    explicit Site(const Options &o) : options(o), addresses(o.max_per_address) {}

    // That of a vhost's, which is its user.
    static Site &of(lws *wsi) { return *static_cast<Site *>(lws_vhost_user(lws_get_vhost(wsi))); }

    // One tunnel more, of `most_memory` bytes: 0, or the HTTP status that it is refused with. Then what
    // refused it is counted.
    unsigned admit(size_t most_memory) noexcept;

    const Options &options;
    lws_vhost *brokers = nullptr;  // whose clients the connections to brokers are
    Addresses addresses;
    std::atomic<bool> draining{false};
    std::atomic<unsigned> next_broker{0};  // the one that the next connection tries first

    std::atomic<uint64_t> open{0};
    std::atomic<uint64_t> accepted{0};
    std::atomic<uint64_t> refused_origin{0}, refused_host{0}, refused_full{0}, refused_draining{0};
    std::atomic<uint64_t> refused_memory{0}, refused_address{0};
    std::atomic<uint64_t> brokers_failed{0};  // attempts
    std::atomic<uint64_t> unserved{0};        // no broker was reached, or it did not answer
    std::atomic<uint64_t> silent{0};          // ended, since nothing came of the client
    std::atomic<uint64_t> bytes_in{0};        // from clients
    std::atomic<uint64_t> bytes_out{0};

    // In Prometheus' text form: its length, without the 0 at its end. kMetricsMost bytes are enough.
    size_t metrics(char *text, size_t room) const noexcept;
    static constexpr size_t kMetricsMost = 4096;
};

}  // namespace gateway
