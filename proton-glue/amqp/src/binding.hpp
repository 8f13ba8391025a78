// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace lws_proton::amqp {

// How AMQP and the WebSocket that carries it begin and end together: AMQP's close first, then the
// WebSocket's, and each may be lost to the other at any time.
enum class State : uint8_t {
    upgrading,  // no WebSocket yet
    open,       //
    ending,     // one side of AMQP has ended, the other gets a while
    closing,    // AMQP has ended: lws is to close the WebSocket, telling the peer why
    closed,     // the WebSocket is gone
};
inline constexpr int kStates = 5;

enum class Event : uint8_t {
    established,  // the WebSocket is there
    half_ended,   // AMQP: closed by the application, or failed: the rest is up to the peer
    ended,        // AMQP: on both sides
    violated,     // by the peer, the rules of the binding
    expired,      // what was to end in a while has not
    gone,         // the WebSocket, however it ended
};
inline constexpr int kEvents = 6;

// What has to be done on a transition. Flags.
enum Action : uint8_t {
    act_none = 0,
    act_begin = 1 << 0,  // the application hears of the connection
    act_limit = 1 << 1,  // the time of `expired` begins
    act_kill = 1 << 2,   // lws is to close the WebSocket without the peer's help
    act_lose = 1 << 3,   // AMQP has nothing to go on with
};

struct Transition {
    State next;
    uint8_t actions;
};

Transition transition(State state, Event event) noexcept;

}  // namespace lws_proton::amqp
