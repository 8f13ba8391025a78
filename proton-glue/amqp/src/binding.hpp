// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace lws_proton::amqp {

// How AMQP and what carries it, a WebSocket or a TCP connection, begin and end together: AMQP's
// close first, then the carrier's, and each may be lost to the other at any time.
enum class State : uint8_t {
    arriving,   // a TCP connection that the application has not accepted, nor heard of
    upgrading,  // no WebSocket yet
    open,       //
    ending,     // one side of AMQP has ended, the other gets a while
    closing,    // AMQP has ended: lws is to close the carrier, telling a WebSocket's peer why
    closed,     // the carrier is gone
};
inline constexpr int kStates = 6;

enum class Event : uint8_t {
    established,  // the carrier is there, and accepted
    half_ended,   // AMQP: closed by the application, or failed: the rest is up to the peer
    ended,        // AMQP: on both sides
    violated,     // the peer broke the rules of the binding, or did not open AMQP in time
    expired,      // what was to end in a while has not
    gone,         // the carrier, however it ended
};
inline constexpr int kEvents = 6;

// What has to be done on a transition. Flags.
enum Action : uint8_t {
    act_none = 0,
    act_begin = 1 << 0,  // the application hears of the connection
    act_limit = 1 << 1,  // the time of `expired` begins
    act_kill = 1 << 2,   // lws is to close the carrier without the peer's help
    act_lose = 1 << 3,   // AMQP has nothing to go on with
};

struct Transition {
    State next;
    uint8_t actions;
};

Transition transition(State state, Event event) noexcept;

}  // namespace lws_proton::amqp
