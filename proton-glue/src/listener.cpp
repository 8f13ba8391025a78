// SPDX-License-Identifier: MIT
#include "listener.hpp"

#include "headroom.hpp"
#include "loop.hpp"
#include "lws_proton.h"
#include "plain_pointer.hpp"
#include "proton_accept.hpp"
#include "raw_connection.hpp"

#include <proton/condition.h>
#include <proton/event.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/object.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <netinet/in.h>
#include <new>
#include <utility>

namespace lws_proton {

namespace {

// Ours among the attachments of a listener, so that its context stays the application's.
PN_HANDLE(kKey)

// As much as the kernel allows, as lws does for its own listeners.
constexpr int kBacklog = SOMAXCONN;

int port_of(const sockaddr *sa) noexcept {
    if (sa->sa_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6 *>(sa)->sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in *>(sa)->sin_port);
}

ssize_t not_a_stream() noexcept {
    errno = ENOTCONN;
    return -1;
}

}  // namespace

const lws_proton_conn_ops Listener::kOps = {
    [](lws_proton_conn *, void *, size_t) { return not_a_stream(); },
    [](lws_proton_conn *, void *, size_t) { return not_a_stream(); },
    [](lws_proton_conn *, const void *, size_t) { return not_a_stream(); },
    [](lws_proton_conn *) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *c) { return from(c)->close(); },
    [](lws_proton_conn *, sockaddr *, socklen_t *) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *, sockaddr *, socklen_t *) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *, const sockaddr *, socklen_t) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *) { return 0; },
    [](lws_proton_conn *c) { return from(c)->accept(); },
    [](lws_proton_conn *) -> size_t { return 0; },
    [](lws_proton_conn *) -> size_t { return 0; },
    [](lws_proton_conn *c, int start, int events) {
        if (events & LWS_PROTON_READ)
            from(c)->enable(start);
    },
    [](lws_proton_conn *, const lws_proton_windows_t *) {},
    [](lws_proton_conn *) { return 0; },
};

Listener::Listener(Loop &loop) noexcept : lws_proton_conn{&kOps, nullptr, 0}, loop_(loop) {
    loop_.listener_born();
}

Listener::~Listener() {
    loop_.listener_died();
}

void Listener::drop() noexcept {
    if (--holders_ == 0)
        delete this;
}

bool Listener::make_listener() noexcept {
    // Proton asserts that it gets what it needs to listen.
    listener_ = has_headroom(kListenHeadroom) ? pn_listener() : nullptr;
    if (!listener_)
        return false;
    pn_record_t *record = pn_listener_attachments(listener_);
    pn_record_def(record, kKey, plain_pointer());
    pn_record_set(record, kKey, this);
    pn_proactor_listen(loop_.proactor(), listener_, address_, kBacklog);
    life_ = pn_condition_is_set(pn_listener_condition(listener_)) ? Life::ending : Life::listening;
    return true;
}

bool Listener::listen(const char *host, int *port, char *err, size_t err_len) noexcept {
    const auto set_address = [&] {
        const int length = snprintf(address_, sizeof(address_), "%s:%d", host ? host : "", *port);
        return length >= 0 && static_cast<size_t>(length) < sizeof(address_);
    };
    if (!set_address()) {
        snprintf(err, err_len, "listen: the address is too long");
        drop();
        return false;
    }
    // Proton binds in this call; PN_LISTENER_CLOSE waits for the lock.
    Lock lock(loop_.listen_mutex());
    if (!make_listener()) {
        lock.unlock();
        snprintf(err, err_len, "listen on %s: out of memory", address_);
        drop();
        return false;
    }
    if (life_ == Life::ending) {
        life_ = Life::closed;
        snprintf(err, err_len, "%s",
                 pn_condition_get_description(pn_listener_condition(listener_)));
        return false;
    }
    *port = port_of(pn_netaddr_sockaddr(pn_listener_addr(listener_)));
    set_address();
    hold();
    return true;
}

bool Listener::listen_again() noexcept {
    return make_listener();
}

Listener *Listener::of(pn_listener_t *listener) noexcept {
    return static_cast<Listener *>(pn_record_get(pn_listener_attachments(listener), kKey));
}

void Listener::on_event(pn_event_t *event) noexcept {
    switch (pn_event_type(event)) {
    case PN_LISTENER_ACCEPT:
        accept_raw();
        break;
    case PN_LISTENER_CLOSE:
        on_close();
        break;
    default:
        break;
    }
}

void Listener::on_close() noexcept {
    char why[256];
    hold();
    bool ended;
    {
        // its creator may still be looking at it
        Lock lock(loop_.listen_mutex());
        const int missing = descriptors_were_missing();
        const char *text =
            std::exchange(no_memory_, false) ? "out of memory"
            : missing == EMFILE              ? "the process has no descriptor left"
            : missing == ENFILE ? "the machine has no descriptor left"
                                : pn_condition_get_description(pn_listener_condition(listener_));
        snprintf(why, sizeof(why), "%s", text ? text : "Proton does not say why");
        pn_record_set(pn_listener_attachments(listener_), kKey, nullptr);
        listener_ = nullptr;
        ended = life_ == Life::closed;
        if (!ended) {
            life_ = Life::waiting;
            loop_.listen_later(*this);
        }
    }
    // What Proton held is the loop's, or nobody's.
    if (ended)
        drop();
    else
        report(why);
    drop();
}

// Another thread may have the next batch already.
void Listener::report(const char *why) noexcept {
    const unsigned times = report_.due();
    if (!times)
        return;
    char line[512];
    snprintf(line, sizeof(line),
             "cannot accept connections: %s; listening again in %d ms (%u times since the last "
             "report)",
             why, LWS_PROTON_LISTEN_AGAIN_MS, times);
    loop_.log(LWS_PROTON_LOG_ERR, line);
}

void Listener::accept_raw() noexcept {
    // Proton leaves a raw connection that a closing listener accepts without any event, for ever.
    Lock lock(loop_.listen_mutex());
    if (life_ != Life::listening)
        return;
    pn_raw_connection_t *raw = has_headroom(kRawHeadroom) ? pn_raw_connection() : nullptr;
    if (!raw) {
        // Proton would offer it again, at once and for ever.
        life_ = Life::ending;
        no_memory_ = true;
        pn_listener_close(listener_);
        return;
    }
    const bool refusing = loop_.lingering().refusing();
    const bool made =
        !refusing && new (std::nothrow) RawConnection(loop_, loop_.idlest(), raw, *this);
    if (!made)
        RawConnection::refuse(raw);
    pn_listener_raw_accept(listener_, raw);
    lock.unlock();
    if (refusing)
        loop_.lingering().refused();
    else if (!made)
        loop_.report_no_memory("a new connection was refused");
}

Listener::Admission Listener::admit(RawConnection &connection) noexcept {
    Lock lock(waiting_mutex_);
    const bool waits = waiting_.has(connection);
    const bool first = !waiting_.head() || waiting_.head() == &connection;
    if (enabled_ && first) {
        if (waits)
            waiting_.pull(connection);
        return Admission::now;
    }
    if (!waits && waiting_.size() >= kBacklog)
        return std::exchange(full_said_, true) ? Admission::refused : Admission::first_refused;
    if (!waits)
        waiting_.push(connection);
    kick_head();
    return Admission::later;
}

bool Listener::offer(RawConnection &connection) noexcept {
    if (life_ == Life::closed || !wsi)
        return true;
    switch (admit(connection)) {
    case Admission::later:
        return false;
    case Admission::first_refused:
        loop_.log(LWS_PROTON_LOG_WARN,
                  "too many connections wait to be accepted: refusing new ones");
        return true;
    case Admission::refused:
        return true;
    case Admission::now:
        break;
    }
    offered_ = &connection;
    loop_.host_service(*this, LWS_PROTON_READ);
    offered_ = nullptr;
    Lock lock(waiting_mutex_);
    kick_head();
    return true;
}

void Listener::forget(RawConnection &connection) noexcept {
    Lock lock(waiting_mutex_);
    if (!waiting_.has(connection))
        return;
    waiting_.pull(connection);
    kick_head();
}

void Listener::enable(bool start) noexcept {
    Lock lock(waiting_mutex_);
    enabled_ = start;
    kick_head();
}

void Listener::kick_head() noexcept {
    if (enabled_ && waiting_.head()) {
        full_said_ = false;
        waiting_.head()->kick();
    }
}

lws_proton_conn *Listener::accept() noexcept {
    RawConnection *connection = offered_;
    if (!connection) {
        errno = EAGAIN;
        return nullptr;
    }
    offered_ = nullptr;
    connection->taken();
    return connection;
}

int Listener::close() noexcept {
    wsi = nullptr;
    bool waited = false;
    {
        Lock lock(loop_.listen_mutex());
        if (life_.exchange(Life::closed) == Life::waiting) {
            loop_.listen_no_more(*this);
            waited = true;
        } else if (listener_) {
            pn_listener_close(listener_);
        }
    }
    {
        // What waits finds that it is refused.
        Lock lock(waiting_mutex_);
        for (Connection *c = waiting_.head(); c; c = waiting_.next(*c))
            c->kick();
    }
    if (waited)
        drop();
    drop();
    return 0;
}

}  // namespace lws_proton
