// SPDX-License-Identifier: MIT
#pragma once

#include "backlog.hpp"
#include "ledger.hpp"

#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/transport.h>
#include <proton/types.h>

#include <cstddef>
#include <cstdint>

namespace lws_proton::amqp {

// What Proton calls what is no AMQP, or not all of it.
inline constexpr const char *kFramingError = "amqp:connection:framing-error";
// What AMQP calls an end that an operator has made, say.
inline constexpr const char *kForced = "amqp:connection:forced";

// One AMQP connection, without what carries it: bytes in, bytes out, events to the application.
class Engine {
public:
    using Handle = void (*)(void *context, pn_event_t *event);

    explicit Engine(const lws_proton_amqp_t &amqp) noexcept
        : handle_(amqp.handle), context_(amqp.context), ledger_(amqp) {}
    ~Engine();
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;

    // Both are this one's from now on, or made if they are null. False: out of memory.
    bool init(pn_connection_t *connection, pn_transport_t *transport) noexcept;

    pn_connection_t *connection() const noexcept { return driver_.connection; }
    pn_transport_t *transport() const noexcept { return driver_.transport; }

    // Gives the application all events that there are. False: there were none.
    bool dispatch() noexcept;
    // Another one.
    void wake() noexcept;

    // What was received. Of a peer that has too much made for it and reads too little of it, the
    // rest is put by.
    void receive(const void *bytes, size_t size) noexcept;
    // There is something put by: the peer is not to be read meanwhile.
    bool stopped() const noexcept { return !backlog_.empty(); }
    // Goes on with it, if there was output since. False: nothing has come of it.
    bool resume() noexcept;
    // Some was put by because the turn has taken long enough, for the next one, which begins with
    // rest().
    bool tired() const noexcept { return tired_; }
    void rest() noexcept;
    size_t held() const noexcept { return ledger_.held(); }
    // How many the peer may begin.
    uint32_t sessions() const noexcept { return ledger_.sessions(); }
    // Nothing more will be. If the peer has not closed the connection by then, that is an error.
    void end_of_input() noexcept;

    // Has the driver make what is to be sent next, unless some of the last is unsent.
    void make_output() noexcept;
    // What was made, until it is sent().
    pn_bytes_t output() const noexcept {
        return unsent_ ? pn_bytes(unsent_, pn_transport_head(driver_.transport)) : pn_bytes_t{};
    }
    void sent(size_t size) noexcept;
    // Nothing more can be.
    void end_of_output() noexcept;

    // The application has closed the connection, whether the peer has been told or not.
    bool closed() const noexcept {
        return pn_connection_state(driver_.connection) & PN_LOCAL_CLOSED;
    }
    // Closes it in place of the application, with a condition. False: it is not open.
    bool close(const char *name, const char *description) noexcept;
    bool input_ended() const noexcept { return pn_transport_tail_closed(driver_.transport); }
    bool output_ended() const noexcept { return pn_transport_head_closed(driver_.transport); }

    // Why AMQP ends, if nobody has said so before.
    void fail(const char *name, const char *description) noexcept;
    bool failed() const noexcept;

    // When it is next due, in ms of the same clock as `now`; 0: never.
    int64_t tick(int64_t now) noexcept;

private:
    size_t feed(const char *bytes, size_t size) noexcept;
    bool give(const char *bytes, size_t size) noexcept;
    bool has_room() noexcept;
    void end_for(const Ledger::Excess &excess) noexcept;
    void produced() noexcept;

    const Handle handle_;
    void *const context_;
    pn_connection_driver_t driver_{};
    Ledger ledger_;
    Frames frames_;     // of what is received
    size_t piece_ = 0;  // of it, bytes that Proton is to have before it is asked again
    Backlog backlog_;
    bool drained_ = false;  // there was output since it was stopped
    size_t handled_ = 0;    // events, in this turn
    bool tired_ = false;
    size_t unsent_ = 0;  // of what the driver has made
    // Of the last tick.
    int64_t ticked_ = 0, due_ = 0;
};

}  // namespace lws_proton::amqp
