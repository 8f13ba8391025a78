// SPDX-License-Identifier: MIT
#pragma once

#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/transport.h>
#include <proton/types.h>

#include <cstddef>
#include <cstdint>

namespace lws_proton::amqp {

// What Proton calls what is no AMQP, or not all of it.
inline constexpr const char *kFramingError = "amqp:connection:framing-error";

// One AMQP connection, without what carries it: bytes in, bytes out, events to the application.
class Engine {
public:
    using Handle = void (*)(void *context, pn_event_t *event);

    Engine(Handle handle, void *context) noexcept : handle_(handle), context_(context) {}
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

    // What was received. False: it is not wanted any more, AMQP has ended here.
    bool receive(const void *bytes, size_t size) noexcept;
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
    bool input_ended() const noexcept { return pn_transport_tail_closed(driver_.transport); }
    bool output_ended() const noexcept { return pn_transport_head_closed(driver_.transport); }

    // Why AMQP ends, if nobody has said so before.
    void fail(const char *name, const char *description) noexcept;
    bool failed() const noexcept;

    // When it is next due, in ms of the same clock as `now`; 0: never.
    int64_t tick(int64_t now) noexcept;

private:
    const Handle handle_;
    void *const context_;
    pn_connection_driver_t driver_{};
    size_t unsent_ = 0;  // of what the driver has made
    // Of the last tick.
    int64_t ticked_ = 0, due_ = 0;
};

}  // namespace lws_proton::amqp
