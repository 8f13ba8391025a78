// SPDX-License-Identifier: MIT
#pragma once

#include "options.hpp"

#include <atomic>
#include <cstdint>
#include <string>

namespace gateway {

// What all connections share. Any thread.
struct Site {
    explicit Site(const Options &o) : options(o) {}

    const Options &options;
    std::atomic<bool> draining{false};
    std::atomic<unsigned> next_broker{0};  // the one that the next connection tries first

    std::atomic<uint64_t> open{0};
    std::atomic<uint64_t> accepted{0};
    std::atomic<uint64_t> refused_origin{0}, refused_host{0}, refused_full{0}, refused_draining{0};
    std::atomic<uint64_t> brokers_failed{0};  // attempts
    std::atomic<uint64_t> unserved{0};        // no broker was reached
    std::atomic<uint64_t> bytes_in{0};        // from clients
    std::atomic<uint64_t> bytes_out{0};

    // In Prometheus' text form.
    std::string metrics() const;
};

}  // namespace gateway
