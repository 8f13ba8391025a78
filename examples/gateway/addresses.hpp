// SPDX-License-Identifier: MIT
#pragma once

#include <libwebsockets.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>

namespace gateway {

// How many connections each address has: an IPv4 address, or the /64 of an IPv6 address, since whoever
// has one of its addresses has them all. There is an entry for each address with a connection, so there
// are never more than connections. Any thread.
class Addresses {
    // The length of what follows, then that much of the address.
    using Key = std::array<uint8_t, 9>;
    using Map = std::map<Key, unsigned>;

public:
    using Entry = Map::value_type;

    // 0: no limit, and nothing is counted.
    explicit Addresses(unsigned most) : most_(most) {}

    // For one connection more of the address that the wsi's network connection has. False: it has as
    // many as it may, or there is no memory to count it. An address that is not known is not counted.
    bool enter(lws *wsi, Entry *&entry) noexcept;
    // Null: it was not counted.
    void leave(Entry *entry) noexcept;

private:
    static bool key_of(lws *wsi, Key &key) noexcept;

    const unsigned most_;
    std::mutex mutex_;
    Map connections_;
};

}  // namespace gateway
