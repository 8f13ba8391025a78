// SPDX-License-Identifier: MIT
#include "addresses.hpp"

#include <arpa/inet.h>

#include <cstring>
#include <new>

namespace gateway {

namespace {

constexpr uint8_t kIpv4 = 4, kIpv6Prefix = 8;

}  // namespace

bool Addresses::key_of(lws *wsi, Key &key) noexcept {
    char text[64];
    if (!lws_get_peer_simple(lws_get_network_wsi(wsi), text, sizeof(text)))
        return false;
    key.fill(0);
    in6_addr in6;
    if (inet_pton(AF_INET, text, &key[1]) == 1) {
        key[0] = kIpv4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &in6) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
        key[0] = kIpv4;
        memcpy(&key[1], &in6.s6_addr[12], kIpv4);
    } else {
        key[0] = kIpv6Prefix;
        memcpy(&key[1], in6.s6_addr, kIpv6Prefix);
    }
    return true;
}

bool Addresses::enter(lws *wsi, Entry *&entry) noexcept {
    entry = nullptr;
    Key key;
    if (!most_ || !key_of(wsi, key))
        return true;
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
        Entry &found = *connections_.try_emplace(key, 0).first;
        if (found.second >= most_)
            return false;
        found.second++;
        entry = &found;
        return true;
    } catch (const std::bad_alloc &) {
        return false;
    }
}

void Addresses::leave(Entry *entry) noexcept {
    if (!entry)
        return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!--entry->second)
        connections_.erase(Key(entry->first));
}

}  // namespace gateway
