// SPDX-License-Identifier: MIT
#include "engine.hpp"

#include "../../src/copy.hpp"

#include <proton/condition.h>
#include <proton/event.h>
#include <proton/object.h>
#include <proton/transport.h>

#include <algorithm>

namespace lws_proton::amqp {

namespace {

template <typename T>
void put(pn_collector_t *collector, T *object, pn_event_type_t type) noexcept {
    // By the object's own class: PN_OBJECT is an array up to Proton 0.37 and a pointer since.
    pn_collector_put(collector, pn_class(object), object, type);
}

// For a peer whose idle time-out is a millisecond Proton makes a heartbeat whenever it is asked,
// and it is asked again for each that was sent.
constexpr int64_t kLeastTickMs = 10;

}  // namespace

Engine::~Engine() {
    if (driver_.transport)
        pn_connection_driver_destroy(&driver_);
}

bool Engine::init(pn_connection_t *connection, pn_transport_t *transport) noexcept {
    return pn_connection_driver_init(&driver_, connection, transport) == 0;
}

bool Engine::dispatch() noexcept {
    bool any = false;
    while (pn_event_t *event = pn_connection_driver_next_event(&driver_)) {
        handle_(context_, event);
        any = true;
    }
    return any;
}

void Engine::wake() noexcept {
    put(driver_.collector, driver_.connection, PN_CONNECTION_WAKE);
}

bool Engine::receive(const void *bytes, size_t size) noexcept {
    const auto *from = static_cast<const char *>(bytes);
    while (size) {
        // Sooner or later there is room: what fills the buffer is a whole frame, or longer than a
        // frame may be.
        const pn_rwbytes_t room = pn_connection_driver_read_buffer(&driver_);
        if (!room.size) {
            if (input_ended())
                return false;
            fail("amqp:resource-limit-exceeded", "out of memory");
            end_of_input();
            return false;
        }
        const size_t n = std::min(size, room.size);
        copy(room.start, from, n);
        pn_connection_driver_read_done(&driver_, n);
        from += n;
        size -= n;
        dispatch();
    }
    return true;
}

void Engine::end_of_input() noexcept {
    if (input_ended())
        return;
    // Without it Proton has nobody to tell.
    pn_connection_driver_bind(&driver_);
    pn_connection_driver_read_close(&driver_);
    // It says so itself, unless a frame has come in part. Who has closed already does not mind.
    if (!output_ended()) {
        fail(kFramingError, "connection aborted");
        put(driver_.collector, driver_.transport, PN_TRANSPORT_ERROR);
    }
    dispatch();
}

void Engine::make_output() noexcept {
    // Asked again while its buffer is full, the driver would double it.
    if (!unsent_)
        unsent_ = pn_connection_driver_write_buffer(&driver_).size;
}

void Engine::sent(size_t size) noexcept {
    unsent_ = pn_connection_driver_write_done(&driver_, size).size;
}

void Engine::end_of_output() noexcept {
    unsent_ = 0;
    pn_connection_driver_write_close(&driver_);
    dispatch();
}

void Engine::fail(const char *name, const char *description) noexcept {
    if (!failed())
        pn_connection_driver_errorf(&driver_, name, "%s", description);
}

bool Engine::failed() const noexcept {
    return pn_condition_is_set(pn_transport_condition(driver_.transport));
}

int64_t Engine::tick(int64_t now) noexcept {
    const pn_millis_t local = pn_transport_get_idle_timeout(driver_.transport),
                      remote = pn_transport_get_remote_idle_timeout(driver_.transport);
    // Most connections have neither.
    if (!local && !remote)
        return 0;
    const bool hasty = remote && remote < kLeastTickMs;
    if (!due_ || !hasty || now >= ticked_ + kLeastTickMs) {
        ticked_ = now;
        due_ = pn_transport_tick(driver_.transport, now);
        if (due_)
            due_ = std::max(due_, now + kLeastTickMs);
    }
    return due_;
}

}  // namespace lws_proton::amqp
