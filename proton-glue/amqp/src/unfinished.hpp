// SPDX-License-Identifier: MIT
#pragma once

#include "fields.hpp"

#include <cstdint>
#include <vector>

namespace lws_proton::amqp {

// The links, by channel and handle, on which the peer has certainly begun a delivery of several
// transfers and not finished it.
//
// The first transfer of a delivery has to have a delivery-id, the others need not. Proton 0.37
// asserts that a transfer without one, which says that more is to come, is not the first. With
// assertions, as Debian builds it, such a frame would end the process.
class Unfinished {
public:
    // False: Proton may not have this transfer.
    bool transfer(uint16_t channel, Fields fields) noexcept;
    // What ends, or begins anew, deliveries on a link or a channel.
    void attach(uint16_t channel, Fields fields) noexcept;
    void detach(uint16_t channel, Fields fields) noexcept;
    void session(uint16_t channel) noexcept;

private:
    using Key = uint64_t;

    static Key key(uint16_t channel, uint32_t handle) noexcept {
        return Key{channel} << 32 | handle;
    }
    bool has(Key key) const noexcept;
    bool add(Key key) noexcept;
    void remove(Key first, Key last) noexcept;
    void remove(uint16_t channel, Fields::Uint handle) noexcept;

    std::vector<Key> keys_;  // in order
};

}  // namespace lws_proton::amqp
