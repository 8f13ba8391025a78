// SPDX-License-Identifier: MIT
#pragma once

#include "fields.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lws_proton::amqp {

// What the peer has begun and not ended: its channels, and by channel and handle its links.
//
// Proton 0.37 takes some frames that do not fit it, and does not survive them. Where the peer
//  - begins on a channel or attaches by a handle that is in use, or answers one begin twice, Proton
//    has two places for a session or a link, and one of them outlives it;
//  - attaches by a handle of 2^31 or more, Proton takes the handle for none;
//  - sends a transfer where it receives, Proton takes it for a delivery of the application's;
//  - begins a delivery of several transfers without its id, Proton asserts that it has one.
// Debian builds it with assertions.
class Endpoints {
public:
    // Of these, why Proton may not have the frame. Null: it may, or refuses it itself.
    const char *open() noexcept;
    const char *begin(uint16_t channel, Fields fields) noexcept;
    const char *attach(uint16_t channel, Fields fields) noexcept;
    const char *transfer(uint16_t channel, Fields fields) noexcept;
    void detach(uint16_t channel, Fields fields) noexcept;
    void end(uint16_t channel) noexcept;

private:
    using Key = uint64_t;
    static constexpr uint32_t kUnanswered = UINT32_MAX;

    struct Channel {
        uint32_t key;
        uint32_t answers;  // the channel of ours whose begin it answers; kUnanswered: none
    };
    struct Link {
        Key key;
        bool sends;       // the peer does
        bool unfinished;  // it is certainly in the midst of a delivery of several transfers
    };

    static Key key(uint16_t channel, uint32_t handle) noexcept {
        return Key{channel} << 32 | handle;
    }
    Link *find(Key key) noexcept;

    // In the order of their keys.
    std::vector<Channel> channels_;
    std::vector<Link> links_;
    size_t last_ = 0;  // the place of the link that was found last: most have one after the other
    bool opened_ = false;
};

}  // namespace lws_proton::amqp
