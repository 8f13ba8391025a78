// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace lws_proton {

// The life of a connection between its two holders, lws and the transport. The object goes when
// both have let go, in either order; each lets go exactly once, however often it says so.
enum class State : uint8_t {
    unconnected,  // lws has it to connect it
    opening,      // the transport is not connected yet
    open,         //
    peer_closed,  // the peer has ended its stream
    shut,         // lws has ended its own
    half_gone,    // both have, lws has not closed yet
    closing,      // lws has let go, bytes are unsent: this is lingering
    closed,       // lws has let go, everything is sent; the transport has not
    lost,         // the transport has let go, lws has not
    unreached,    // the same, and it never was connected
    gone,         // both have
};
inline constexpr int kStates = 11;

enum class Event : uint8_t {
    connect,       // by lws
    connected,     // by the transport
    peer_close,    // by the transport: end of stream
    shutdown,      // by lws: no more sends
    close_unsent,  // by lws: it lets go, the tx window holds bytes
    close,         // by lws: it lets go, the tx window is empty
    drained,       // by the transport: the tx window is empty now
    disconnected,  // by the transport: it lets go
};
inline constexpr int kEvents = 8;

// What has to be done on a transition. Flags.
enum Action : uint8_t {
    act_none = 0,
    act_serve = 1 << 0,     // lws has something to find out
    act_end_tx = 1 << 1,    // the transport ends our stream once everything is sent
    act_close = 1 << 2,     // the transport closes once everything is sent
    act_linger = 1 << 3,    // lingering begins
    act_unlinger = 1 << 4,  // lingering ends
    act_free = 1 << 5,      // the object can go
};

struct Transition {
    State next;
    uint8_t actions;
};

Transition transition(State state, Event event) noexcept;

const char *name(State state) noexcept;

}  // namespace lws_proton
