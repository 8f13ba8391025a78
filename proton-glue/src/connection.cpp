// SPDX-License-Identifier: MIT
#include "connection.hpp"

#include "loop.hpp"
#include "lws_proton.h"

#include <cerrno>
#include <utility>

namespace lws_proton {

thread_local Connection *Connection::current_ = nullptr;

const lws_proton_conn_ops Connection::kOps = {
    [](lws_proton_conn *c, void *buf, size_t len) { return from(c)->recv(buf, len); },
    [](lws_proton_conn *c, void *buf, size_t len) { return from(c)->peek(buf, len); },
    [](lws_proton_conn *c, const void *buf, size_t len) { return from(c)->send(buf, len); },
    [](lws_proton_conn *c) { return from(c)->shutdown(); },
    [](lws_proton_conn *c) { return from(c)->close(); },
    [](lws_proton_conn *c, sockaddr *sa, socklen_t *len) { return from(c)->peer_name(sa, len); },
    [](lws_proton_conn *c, sockaddr *sa, socklen_t *len) { return from(c)->local_name(sa, len); },
    [](lws_proton_conn *c, const sockaddr *sa, socklen_t len) { return from(c)->connect(sa, len); },
    [](lws_proton_conn *c) { return from(c)->connect_error(); },
    [](lws_proton_conn *) -> lws_proton_conn * {
        errno = EINVAL;
        return nullptr;
    },
    [](lws_proton_conn *c) -> size_t { return from(c)->rx_.used(); },
    [](lws_proton_conn *c) -> size_t { return from(c)->tx_room(); },
    [](lws_proton_conn *c, int start, int events) { from(c)->enable(start, events); },
    [](lws_proton_conn *c, const lws_proton_windows_t *windows) { from(c)->windows_ = *windows; },
    [](lws_proton_conn *c) {
        from(c)->kick();
        return 0;
    },
};

Connection::Connection(Loop &loop, int tsi_, State state) noexcept
    : lws_proton_conn{&kOps, nullptr, tsi_}, loop_(loop), windows_(loop.windows()),
      rx_(loop.pool()), tx_(loop.pool()), state_(state) {
    loop_.connection_born();
    count();
}

Connection::~Connection() {
    loop_.adopt_no_more(*this);
    uncount();
    loop_.connection_died();
}

void Connection::count() noexcept {
    if (!std::exchange(counted_, true))
        loop_.count(tsi);
}

void Connection::uncount() noexcept {
    if (std::exchange(counted_, false))
        loop_.uncount(tsi);
}

void Connection::on(Event event) noexcept {
    const Transition t = transition(state_, event);
    state_ = t.next;
    if (t.actions & act_linger)
        loop_.linger(*this);
    if (t.actions & act_unlinger)
        loop_.lingering().end(*this);
    if (in_turn())
        return;
    if (t.actions & act_free)
        delete this;
    else if (t.actions & (act_serve | act_end_tx | act_close))
        kick();
}

void Connection::received(uint32_t n) noexcept {
    rx_.commit(n);
    read_stalled_ = false;
}

void Connection::sent(uint32_t n) noexcept {
    tx_.consume(n);
    if (!tx_.used()) {
        tx_.release();
        on(Event::drained);
    } else if (state_ == State::closing) {
        loop_.lingering().go_on(*this);
    }
}

void Connection::disconnected(bool failed) noexcept {
    if (state_ == State::half_gone)
        ended_in_order_ = !failed && !tx_.used();
    if (!held())
        rx_.release();
    tx_.release();
    on(Event::disconnected);
}

ssize_t Connection::recv(void *buf, size_t len) noexcept {
    loop_.check_thread(tsi);
    if (!rx_.used())
        return nothing_to_recv();
    const uint32_t n = rx_.read(buf, len);
    if (n && !in_turn())
        kick();  // the transport may read on
    return n;
}

ssize_t Connection::peek(void *buf, size_t len) noexcept {
    return rx_.used() ? rx_.peek(buf, len) : nothing_to_recv();
}

ssize_t Connection::nothing_to_recv() const noexcept {
    switch (state_) {
    case State::peer_closed:
    case State::half_gone:
        return 0;
    case State::lost:
        if (ended_in_order_)
            return 0;
        errno = ECONNRESET;
        return -1;
    case State::opening:
    case State::open:
    case State::shut:
        errno = EAGAIN;
        return -1;
    default:
        errno = ECONNRESET;
        return -1;
    }
}

bool Connection::sendable() const noexcept {
    return state_ == State::opening || state_ == State::open || state_ == State::peer_closed;
}

// None where send() would fail: lws is to read first what a lost peer had sent, and would close instead.
size_t Connection::tx_room() const noexcept {
    return !sendable() ? 0 : tx_.acquired() ? tx_.room() : windows_.tx;
}

ssize_t Connection::send(const void *buf, size_t len) noexcept {
    loop_.check_thread(tsi);
    if (!sendable()) {
        errno = EPIPE;
        return -1;
    }
    if (!len)
        return 0;
    if (!tx_.acquired() && !tx_.acquire(windows_.tx)) {
        errno = ENOMEM;
        return -1;
    }
    const uint32_t n = tx_.write(buf, len);
    if (!n) {
        errno = EAGAIN;
        return -1;
    }
    if (!in_turn())
        kick();
    return n;
}

int Connection::connect(const sockaddr *, socklen_t) noexcept {
    errno = EISCONN;
    return -1;
}

int Connection::connect_error() const noexcept {
    switch (state_) {
    case State::unconnected:
    case State::opening:
        return ETIMEDOUT;
    case State::unreached:
        return connect_error_;
    default:
        return 0;
    }
}

int Connection::shutdown() noexcept {
    if (state_ == State::unconnected || state_ == State::opening) {
        errno = ENOTCONN;
        return -1;
    }
    on(Event::shutdown);
    return 0;
}

int Connection::close() noexcept {
    // What lws did not take is closed by whoever has offered it.
    if (wsi)
        loop_.check_thread(tsi);
    wsi = nullptr;
    enabled_ = 0;
    // lws has room for another in its pt, however long this one lingers.
    uncount();
    on(tx_.used() ? Event::close_unsent : Event::close);
    return 0;
}

void Connection::enable(bool start, int events) noexcept {
    if (!start) {
        enabled_.fetch_and(~events);
        return;
    }
    // Also a READ that was enabled all the time can be news: lws can take it now.
    const bool stalled = read_stalled_.exchange(false);
    const bool news = (enabled_.fetch_or(events) & events) != events;
    if (in_turn() || !(news || stalled))
        return;
    // Who serves this pt can tell whether there is anything to do; others must not look.
    if (loop_.serving(tsi)) {
        ask_again();
        if (!ready())
            return;
    }
    kick();
}

bool Connection::writable() const noexcept {
    // A quarter free: a message of usual size fits whole, and a window that drains is not woken
    // for crumbs. Not choked, in any case: lws would only ask again.
    return !tx_.acquired() ||
           tx_.room() >= std::max<uint32_t>(tx_.capacity() / 4, LWS_PROTON_TX_CHOKED);
}

int Connection::ready() noexcept {
    const int enabled = enabled_;
    if (state_ == State::unconnected || state_ == State::opening)
        return 0;
    // Who connects waits for WRITE; then it asks how it went.
    if (state_ == State::unreached)
        return hangup_told_ ? 0 : enabled & LWS_PROTON_WRITE ? LWS_PROTON_WRITE : LWS_PROTON_HANGUP;
    if (kept_ && !hangup_told_)
        return LWS_PROTON_HANGUP;
    const bool write =
        (enabled & LWS_PROTON_WRITE) &&
        (state_ == State::lost ? hangup_told_ && !last_write_told_ : writable());
    // In turns: a protocol that always wants to write still reads.
    if (write && !wrote_last_)
        return LWS_PROTON_WRITE;
    const bool answer_first = windows_.answer_first && !writable() && state_ != State::lost;
    if ((enabled & LWS_PROTON_READ) && !read_stalled_ && !answer_first) {
        if (rx_.used() || state_ == State::lost)
            return LWS_PROTON_READ;
        // A peer that has ended its stream may still want its answer: lws would close on end of
        // stream, so it hears of it only once it has nothing to write.
        if ((state_ == State::peer_closed || state_ == State::half_gone) &&
            !(enabled & LWS_PROTON_WRITE))
            return LWS_PROTON_READ;
        if (pending() > 0)
            return LWS_PROTON_READ;
    }
    if (write)
        return LWS_PROTON_WRITE;
    return state_ == State::lost && !hangup_told_ ? LWS_PROTON_HANGUP : 0;
}

// Asks lws only when the answer can have changed: a connection of many may be far from any cache.
int64_t Connection::pending() noexcept {
    if (nothing_pending_)
        return -1;
    const int64_t pending = loop_.host_pending(*this);
    if (pending < 0)
        nothing_pending_ = true;
    return pending;
}

bool Connection::serve() noexcept {
    read_stalled_ = false;
    for (int round = 0, idle = 0; round < kRounds && idle < kIdleRounds; round++) {
        if (!held())
            return false;
        const int events = ready();
        if (!events)
            return false;
        const State state = state_;
        const int enabled = enabled_;
        const uint32_t unread = rx_.used(), unsent = tx_.used();
        const int64_t held_by_lws = events == LWS_PROTON_READ ? pending() : 0;
        if (events == LWS_PROTON_HANGUP || state_ == State::unreached)
            hangup_told_ = true;
        wrote_last_ = events == LWS_PROTON_WRITE;
        last_write_told_ |= wrote_last_ && state_ == State::lost;
        // First, because lws may enable READ while it is called.
        read_stalled_ = events == LWS_PROTON_READ;
        ask_again();
        loop_.host_service(*this, events);
        if (!held())
            return false;
        if (state_ == State::lost && events == LWS_PROTON_READ && unread == rx_.used() &&
            held_by_lws == pending())
            kept_ = true;
        const bool moved = unread != rx_.used() || unsent != tx_.used() ||
                           (events == LWS_PROTON_READ && held_by_lws != pending());
        if (moved || events != LWS_PROTON_READ || state != state_ || enabled != enabled_)
            read_stalled_ = false;
        idle = moved ? 0 : idle + 1;
    }
    return held() && ready();
}

void Connection::serve_orphan() noexcept {
    Turn turn(*this);
    ask_again();
    if (serve())
        kick();
}

}  // namespace lws_proton
