// SPDX-License-Identifier: MIT
#include "session.hpp"

#include "memory.hpp"

#include "../../src/copy.hpp"
#include "../../src/plain_pointer.hpp"

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/object.h>
#include <proton/transport.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

namespace lws_proton::amqp {

namespace {

PN_HANDLE(kSession)

constexpr const char *kStops = "the service stops";

// Of a tx window, what the frame around a piece and a TLS record around that take at most.
constexpr size_t kAround = 64;

// Of a tx window, what lws may take after WRITE has been seen to: what permessage-deflate has still
// to write of a piece, and pongs for pings that it had put by.
constexpr size_t kReserve = LWS_PROTON_AMQP_PIECE + LWS_PROTON_TX_CHOKED;

int64_t now_ms() noexcept {
    return lws_now_usecs() / LWS_US_PER_MS;
}

uint32_t or_default(uint32_t set, uint32_t otherwise) noexcept {
    return set ? set : otherwise;
}

// For lws_write(), which leaves them as they are.
unsigned char *bytes_of(const char *bytes) noexcept {
    return reinterpret_cast<unsigned char *>(const_cast<char *>(bytes));
}

// What lws_write() puts a header before. It has been copied by then, but for permessage-deflate.
uint8_t *scratch() noexcept {
    thread_local uint8_t bytes[LWS_PRE + LWS_PROTON_AMQP_PIECE];
    return bytes;
}

}  // namespace

Session::Session(const lws_proton_amqp_t &amqp) noexcept
    : engine_(amqp), waker_(new (std::nothrow) Waker(*this)), amqp_(amqp) {
    for (Timer *timer : {&open_, &idle_, &limit_, &pause_, &turn_})
        timer->session = this;
}

Session::~Session() {
    if (waker_) {
        waker_->detach();
        waker_->drop();
    }
    // Somebody may hold a reference to the connection.
    if (pn_connection_t *connection = engine_.connection())
        pn_record_set(pn_connection_attachments(connection), kSession, nullptr);
    for (Timer *timer : {&open_, &idle_, &limit_, &pause_, &turn_})
        cancel(*timer);
    if (ended_)
        *ended_ = true;
}

bool Session::init(pn_connection_t *connection, pn_transport_t *transport) noexcept {
    // Its own is in what is held already.
    if (!engine_.init(connection, transport) || !waker_ || !ProcessMemory::has_room_for(0))
        return false;
    pn_record_t *record = pn_connection_attachments(engine_.connection());
    pn_record_def(record, kSession, plain_pointer());
    pn_record_set(record, kSession, this);
    if (!transport)
        pn_transport_set_max_frame(engine_.transport(), LWS_PROTON_AMQP_MAX_FRAME);
    if (pn_transport_get_channel_max(engine_.transport()) >= engine_.sessions())
        pn_transport_set_channel_max(engine_.transport(),
                                     static_cast<uint16_t>(engine_.sessions() - 1));
    const uint32_t idle = or_default(amqp_.idle_ms, LWS_PROTON_AMQP_IDLE_MS);
    if (idle != LWS_PROTON_AMQP_NEVER && !pn_transport_get_idle_timeout(engine_.transport()))
        pn_transport_set_idle_timeout(engine_.transport(), idle);
    return true;
}

Session *Session::of(pn_connection_t *connection) noexcept {
    return static_cast<Session *>(pn_record_get(pn_connection_attachments(connection), kSession));
}

void Session::add_header(const char *name, const char *value) {
    headers_.emplace_back(std::string(name) + ":", value);
}

int Session::append_headers(lws *wsi, unsigned char **at, unsigned char *end) noexcept {
    for (const auto &[name, value] : headers_)
        if (lws_add_http_header_by_name(wsi, reinterpret_cast<const unsigned char *>(name.c_str()),
                                        reinterpret_cast<const unsigned char *>(value.data()),
                                        static_cast<int>(value.size()), at, end))
            return -1;
    return 0;
}

int Session::accept(lws *wsi) noexcept {
    pn_transport_set_server(engine_.transport());
    return amqp_.accept
               ? amqp_.accept(amqp_.context, wsi, engine_.connection(), engine_.transport())
               : 0;
}

int Session::established(lws *wsi) noexcept {
    wsi_ = wsi;
    if (!lws_get_peer_simple(wsi, peer_, sizeof(peer_)))
        *peer_ = '\0';
    if (carrier_ == Carrier::websocket) {
        // It says whether it is there, and wants a power of two.
        static_assert(LWS_PROTON_AMQP_RX == 1 << 14);
        deflate_ = !lws_set_extension_option(wsi, "permessage-deflate", "rx_buf_size", "14");
        await_open();
    }
    // A quarter of the window, as it begins: the loop calls for WRITE while so much is free.
    plenty_ = std::max<size_t>(writable_now() / 4, LWS_PROTON_TX_CHOKED) + kReserve;
    waker_->attach(wsi);
    on(Event::established);
    return verdict();
}

int Session::adopted(lws *wsi) noexcept {
    wsi_ = wsi;
    carrier_ = Carrier::tcp;
    state_ = State::arriving;
    await_open();
    // Neither in the midst of an adoption, where lws holds the context's lock, nor before TLS is
    // there, of which the application may want to know. With TLS lws forgets this, and the first
    // that the application hears of is what is received.
    lws_callback_on_writable(wsi);
    return 0;
}

void Session::came_before(uint32_t ms) noexcept {
    if (open_.due)
        schedule(open_, open_.due - ms);
}

int Session::arrive() noexcept {
    // It came too late, or was refused, and is about to be closed.
    if (engine_.failed())
        return -1;
    // lws has a time-out of its own for what follows TLS.
    lws_set_timeout(wsi_, NO_PENDING_TIMEOUT, 0);
    if (!accept(wsi_))
        return established(wsi_);
    engine_.fail("amqp:unauthorized-access", "refused");
    return -1;
}

int Session::receive(const void *bytes, size_t size, bool binary) noexcept {
    if (state_ == State::arriving && arrive())
        return -1;
    if (!binary) {
        text_ = true;
        engine_.fail(kFramingError, "a text message on the WebSocket");
        on(Event::violated);
        return verdict();
    }
    if (state_ == State::closing)
        return 0;
    if (!engine_.tired())
        engine_.rest();
    engine_.receive(bytes, size);
    unanswered_ += size;
    unread_ += size;
    // Not at once: lws would put by what it has read, and wait for that to be wanted when the peer
    // is lost.
    if (reads_too_little())
        schedule(pause_, now_ms());
    // What comes together gets one answer. An end is not put off: it starts a timer.
    if (unanswered_ < LWS_PROTON_AMQP_PIECE && !engine_.closed() && !engine_.failed()) {
        lws_callback_on_writable(wsi_);
        return 0;
    }
    pump();
    return verdict();
}

int Session::writable() noexcept {
    if (state_ == State::arriving && arrive())
        return -1;
    // What was in it has been read by now.
    piece_.reset();
    pump();
    pn_bytes_t out;
    while (state_ != State::closing && (out = engine_.output()).size) {
        const size_t room = writable_now();
        if (lws_send_pipe_choked(wsi_) || room <= kAround)
            break;
        if (!write(out, room - kAround))
            return -1;
        pump();
        if (piece_)
            break;
    }
    if (!reads_too_little())
        read(true);
    waker_->stall(writable_now() < plenty_);
    // A wake that saw it otherwise has asked for what may not come.
    if (waker_->woken() || piece_)
        pump();
    return verdict();
}

// Proton's TCP says the same of connections that end early.
void Session::peer_closes(const void *payload, size_t size) noexcept {
    const auto *in = static_cast<const uint8_t *>(payload);
    const int code = size >= 2 ? in[0] << 8 | in[1] : 0;
    constexpr const char *kClosed = "the peer closed the WebSocket";
    if (size < 2)
        snprintf(end_, sizeof(end_), "%s", kClosed);
    else if (size == 2)
        snprintf(end_, sizeof(end_), "%s with %d", kClosed, code);
    else
        snprintf(end_, sizeof(end_), "%s with %d: %.*s", kClosed, code,
                 static_cast<int>(size - 2), reinterpret_cast<const char *>(in) + 2);
}

int Session::drain() noexcept {
    if (state_ == State::ending || state_ == State::closing)
        return 1;
    stopping_ = true;
    // A peer that has not opened AMQP hears nothing by it.
    if (state_ != State::open || !engine_.close(kForced, kStops)) {
        engine_.fail(kForced, kStops);
        if (carrier_ == Carrier::websocket)
            say_why();
        return -1;
    }
    pump();
    return verdict() ? -1 : 1;
}

void Session::unreached(const char *why) noexcept {
    engine_.fail("proton:io", why);
    on(Event::gone);
}

void Session::gone() noexcept {
    if (*end_ && !engine_.input_ended())
        engine_.fail(kFramingError, end_);
    wsi_ = nullptr;
    on(Event::gone);
}

void Session::attend() noexcept {
    pump();
}

void Session::on(Event event) noexcept {
    const Transition t = transition(state_, event);
    state_ = t.next;
    if (t.actions & act_limit) {
        taken_ = now_ms();
        schedule(limit_, taken_ + LWS_PROTON_AMQP_END_MS);
    }
    if (t.actions & act_lose) {
        engine_.end_of_input();
        engine_.end_of_output();
    }
    if (t.actions & act_begin)
        pump();
    if (t.actions & act_kill)
        lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

// Events, what they make for the peer, what that makes of events, and so on.
void Session::pump() noexcept {
    if (state_ != State::open && state_ != State::ending)
        return;
    unanswered_ = 0;
    // One that comes meanwhile, perhaps of the handler itself, has a turn of its own.
    if (waker_->take())
        engine_.wake();
    // First, that what handlers send goes out with what answers the peer.
    engine_.dispatch();
    int64_t next;
    do {
        next = engine_.tick(now_ms());
        engine_.make_output();
    } while (engine_.dispatch() || engine_.resume());
    if (!engine_.output().size)
        unread_ = 0;
    if (engine_.input_ended() && engine_.output_ended())
        on(Event::ended);
    else if (engine_.closed() || engine_.output_ended() || engine_.failed())
        on(Event::half_ended);
    if (next)
        schedule(idle_, next);
    // Not at once: Proton has its time-out come before what others have sent.
    if (engine_.tired())
        schedule(turn_, now_ms() + 1);
    if (open_.due && is_peer_open())
        cancel(open_);
    if (engine_.output().size || state_ == State::closing || piece_)
        lws_callback_on_writable(wsi_);
}

size_t Session::writable_now() const noexcept {
    const lws_fileofs_t room = lws_get_peer_write_allowance(wsi_);
    return room < 0 ? LWS_PROTON_AMQP_PIECE : static_cast<size_t>(room);
}

bool Session::write(pn_bytes_t out, size_t room) noexcept {
    // Also over TCP: of more lws would keep the rest.
    const size_t n = std::min({out.size, room, size_t{LWS_PROTON_AMQP_PIECE}});
    if (carrier_ == Carrier::websocket ? !write_message(out.start, n)
                                       : lws_write(wsi_, bytes_of(out.start), n, LWS_WRITE_RAW) < 0)
        return false;
    engine_.sent(n);
    unread_ -= std::min(unread_, n);
    taken_ = now_ms();
    return true;
}

bool Session::write_message(const char *bytes, size_t size) noexcept {
    uint8_t *piece = scratch();
    if (deflate_) {
        piece_.reset(new (std::nothrow) uint8_t[LWS_PRE + size]);
        piece = piece_.get();
        if (!piece)
            return false;
    }
    copy(piece + LWS_PRE, bytes, size);
    return lws_write(wsi_, piece + LWS_PRE, size, LWS_WRITE_BINARY) >= 0;
}

void Session::read(bool on) noexcept {
    if (reading_ != on)
        lws_rx_flow_control(wsi_, on);
    reading_ = on;
}

int Session::verdict() noexcept {
    if (state_ != State::closing)
        return 0;
    // From here on lws has its own time-outs.
    for (Timer *timer : {&open_, &idle_, &limit_, &pause_, &turn_})
        cancel(*timer);
    if (carrier_ == Carrier::websocket)
        say_why();
    return -1;
}

void Session::say_why() noexcept {
    const char *name = "", *description = "";
    pn_condition_t *condition = pn_transport_condition(engine_.transport());
    if (pn_condition_is_set(condition)) {
        name = pn_condition_get_name(condition);
        description = pn_condition_get_description(condition);
    }
    lws_close_status code = stopping_ ? LWS_CLOSE_STATUS_GOINGAWAY : LWS_CLOSE_STATUS_NORMAL;
    if (text_)
        code = LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE;
    else if (!strcmp(name, kFramingError))
        code = LWS_CLOSE_STATUS_PROTOCOL_ERR;
    else if (*name && strcmp(name, kForced))
        code = LWS_CLOSE_STATUS_POLICY_VIOLATION;
    // A control frame has 125 bytes, two of them for the code.
    char reason[124] = "";
    if (*name)
        snprintf(reason, sizeof(reason), "%s: %s", name, description ? description : "");
    lws_close_reason(wsi_, code, reinterpret_cast<unsigned char *>(reason), strlen(reason));
}

void Session::timer_cb(lws_sorted_usec_list_t *sul) noexcept {
    auto *timer = reinterpret_cast<Timer *>(sul);
    timer->due = 0;
    timer->session->expired(*timer);
}

// The earliest that it was set to: a later one is found when it comes.
void Session::schedule(Timer &timer, int64_t due) noexcept {
    if (timer.due && timer.due <= due)
        return;
    timer.due = due;
    const int64_t in = std::max<int64_t>(due - now_ms(), 0);
    lws_sul_schedule(lws_get_context(wsi_), lws_wsi_tsi(wsi_), &timer.sul, timer_cb,
                     static_cast<lws_usec_t>(in * LWS_US_PER_MS + 1));
}

void Session::cancel(Timer &timer) noexcept {
    lws_sul_cancel(&timer.sul);
    timer.due = 0;
}

void Session::await_open() noexcept {
    const uint32_t ms = or_default(amqp_.open_ms, LWS_PROTON_AMQP_OPEN_MS);
    if (ms != LWS_PROTON_AMQP_NEVER)
        schedule(open_, now_ms() + ms);
}

void Session::go_on() noexcept {
    engine_.rest();
    pump();
    if (!reads_too_little())
        read(true);
}

bool Session::reads_too_little() const noexcept {
    return unread_ > LWS_PROTON_AMQP_UNREAD || engine_.stopped();
}

bool Session::is_peer_open() const noexcept {
    return pn_connection_state(engine_.connection()) & (PN_REMOTE_ACTIVE | PN_REMOTE_CLOSED);
}

void Session::too_late() noexcept {
    // An end that has begun already has a limit of its own.
    if (state_ != State::arriving && state_ != State::open)
        return;
    engine_.fail("amqp:resource-limit-exceeded", "the peer did not open the connection in time");
    on(Event::violated);
    if (state_ == State::closing)
        lws_callback_on_writable(wsi_);
}

void Session::expired(const Timer &timer) noexcept {
    const int64_t end = taken_ + LWS_PROTON_AMQP_END_MS;
    if (&timer == &open_)
        too_late();
    else if (&timer == &idle_)
        pump();
    else if (&timer == &pause_)
        read(!reads_too_little());
    else if (&timer == &turn_)
        go_on();
    else if (now_ms() < end)
        schedule(limit_, end);  // slow, but it reads
    else
        on(Event::expired);
}

}  // namespace lws_proton::amqp
