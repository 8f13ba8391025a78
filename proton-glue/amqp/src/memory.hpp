// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace lws_proton::amqp {

// What all connections of the process take, as their ledgers have it.
class ProcessMemory {
public:
    static void add(size_t bytes) noexcept;
    static void subtract(size_t bytes) noexcept;
    static size_t held() noexcept;
    static size_t limit() noexcept;
    static void set_limit(size_t bytes) noexcept;
    static bool has_room_for(size_t bytes) noexcept { return held() + bytes <= limit(); }
};

}  // namespace lws_proton::amqp
