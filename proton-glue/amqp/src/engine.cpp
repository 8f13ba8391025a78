// SPDX-License-Identifier: MIT
#include "engine.hpp"

#include "../../src/copy.hpp"
#include "../../src/headroom.hpp"

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/event.h>
#include <proton/object.h>
#include <proton/session.h>
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

// More than Proton takes for a connection, its transport, and the first events of both.
constexpr size_t kHeadroom = 96 * 1024;

// Events of what the peer sends, in one turn: Proton and an application take some ten milliseconds
// for them. A frame of 40 bytes may be about as many deliveries as there are.
constexpr size_t kTurn = 8 * 1024;

constexpr Ledger::Excess kNoMemory = {"amqp:resource-limit-exceeded", "out of memory"};

}  // namespace

Engine::~Engine() {
    if (driver_.transport)
        pn_connection_driver_destroy(&driver_);
}

bool Engine::init(pn_connection_t *connection, pn_transport_t *transport) noexcept {
    if (has_headroom(kHeadroom))
        return pn_connection_driver_init(&driver_, connection, transport) == 0;
    if (connection)
        pn_connection_free(connection);
    if (transport)
        pn_transport_free(transport);
    return false;
}

bool Engine::dispatch() noexcept {
    bool any = false;
    while (pn_event_t *event = pn_connection_driver_next_event(&driver_)) {
        handle_(context_, event);
        ledger_.handled(event);
        handled_++;
        any = true;
    }
    return any;
}

void Engine::wake() noexcept {
    put(driver_.collector, driver_.connection, PN_CONNECTION_WAKE);
}

void Engine::receive(const void *bytes, size_t size) noexcept {
    const auto *from = static_cast<const char *>(bytes);
    const size_t taken = stopped() ? 0 : feed(from, size);
    if (taken == size || input_ended())
        return;
    if (!backlog_.append(from + taken, size - taken))
        end_for(kNoMemory);
}

bool Engine::resume() noexcept {
    if (!stopped() || tired_ || !drained_)
        return false;
    drained_ = false;
    const size_t taken = feed(backlog_.data(), backlog_.size());
    if (input_ended())
        backlog_.clear();
    else
        backlog_.drop(taken);
    return taken;
}

void Engine::rest() noexcept {
    handled_ = 0;
    // Nothing of the output is waited for.
    drained_ |= tired_;
    tired_ = false;
}

// How much of it Proton has: the rest has to wait, or is not wanted any more.
size_t Engine::feed(const char *bytes, size_t size) noexcept {
    size_t taken = 0;
    while (taken < size) {
        tired_ = handled_ > kTurn;
        if (tired_)
            break;
        if (!piece_)
            piece_ = frames_.piece(bytes + taken, size - taken);
        if (!has_room() || !give(bytes + taken, piece_))
            break;
        taken += piece_;
        piece_ = 0;
    }
    return taken;
}

bool Engine::give(const char *bytes, size_t size) noexcept {
    ledger_.received(size, frames_);
    while (size) {
        // Sooner or later there is room: what fills the buffer is a whole frame, or longer than a
        // frame may be.
        const pn_rwbytes_t room = pn_connection_driver_read_buffer(&driver_);
        if (!room.size) {
            if (!input_ended())
                end_for(kNoMemory);
            return false;
        }
        const size_t n = std::min(size, room.size);
        copy(room.start, bytes, n);
        pn_connection_driver_read_done(&driver_, n);
        bytes += n;
        size -= n;
        dispatch();
    }
    return true;
}

// For the next piece. What has ended goes when there is output; a peer that leaves none of it to
// be sent, and still has too much, has to go.
bool Engine::has_room() noexcept {
    if (const char *why = frames_.refused()) {
        end_for({kFramingError, why});
        return false;
    }
    // Proton would take a session of the peer's for the one that is answered.
    if (frames_.answers() && !pn_session_head(driver_.connection, PN_REMOTE_UNINIT)) {
        end_for({kFramingError, "an answer to no begin"});
        return false;
    }
    // If it ended in the midst of a frame, Proton would not tell the peer why.
    if (frames_.is_more())
        return true;
    const uint32_t channel_max = pn_transport_get_channel_max(driver_.transport);
    if (ledger_.wants_census(frames_))
        ledger_.census(driver_.connection, false);
    if (!ledger_.excess(frames_, channel_max))
        return true;
    const bool idle = !unsent_;
    make_output();
    dispatch();
    ledger_.census(driver_.connection, idle);
    const Ledger::Excess *excess = ledger_.excess(frames_, channel_max);
    if (excess && !unsent_)
        end_for(*excess);
    return !excess;
}

void Engine::end_for(const Ledger::Excess &excess) noexcept {
    fail(excess.name, excess.description);
    end_of_input();
    // Proton has the beginning of the frame, waits for the rest, and tells the peer nothing.
    if (frames_.is_continued())
        close(excess.name, excess.description);
}

void Engine::end_of_input() noexcept {
    // What came before may be the peer's close.
    if (tired_) {
        rest();
        resume();
    }
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
    if (unsent_)
        return;
    unsent_ = pn_connection_driver_write_buffer(&driver_).size;
    produced();
}

void Engine::sent(size_t size) noexcept {
    const bool all = size == unsent_;
    unsent_ = pn_connection_driver_write_done(&driver_, size).size;
    ledger_.sent(size, !unsent_);
    // Then it has made more.
    if (all)
        produced();
}

void Engine::produced() noexcept {
    ledger_.produced(pn_transport_get_frames_output(driver_.transport));
    drained_ = true;
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

bool Engine::close(const char *name, const char *description) noexcept {
    if (pn_connection_state(driver_.connection) != (PN_LOCAL_ACTIVE | PN_REMOTE_ACTIVE))
        return false;
    pn_condition_t *condition = pn_connection_condition(driver_.connection);
    pn_condition_set_name(condition, name);
    pn_condition_set_description(condition, description);
    pn_connection_close(driver_.connection);
    return true;
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
