// SPDX-License-Identifier: MIT
#include "listener.hpp"

#include "loop.hpp"
#include "plain_pointer.hpp"
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
#include <netdb.h>
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

bool Listener::listen(pn_proactor_t *proactor, const char *host, int *port, char *err,
                      size_t err_len) noexcept {
    char address[NI_MAXHOST + sizeof(":65535")];
    const int length = snprintf(address, sizeof(address), "%s:%d", host ? host : "", *port);
    if (length < 0 || static_cast<size_t>(length) >= sizeof(address)) {
        snprintf(err, err_len, "listen: the address is too long");
        drop();
        return false;
    }
    listener_ = pn_listener();
    if (!listener_) {
        snprintf(err, err_len, "listen on %s: out of memory", address);
        drop();
        return false;
    }
    // Proton binds in this call; PN_LISTENER_CLOSE waits for the lock.
    Lock lock(loop_.listen_mutex());
    pn_record_t *record = pn_listener_attachments(listener_);
    pn_record_def(record, kKey, plain_pointer());
    pn_record_set(record, kKey, this);
    pn_proactor_listen(proactor, listener_, address, kBacklog);
    pn_condition_t *condition = pn_listener_condition(listener_);
    if (pn_condition_is_set(condition)) {
        closed_ = true;
        snprintf(err, err_len, "%s", pn_condition_get_description(condition));
        return false;
    }
    *port = port_of(pn_netaddr_sockaddr(pn_listener_addr(listener_)));
    hold();
    return true;
}

Listener *Listener::of(pn_listener_t *listener) noexcept {
    return static_cast<Listener *>(pn_record_get(pn_listener_attachments(listener), kKey));
}

void Listener::on_event(pn_event_t *event) noexcept {
    switch (pn_event_type(event)) {
    case PN_LISTENER_ACCEPT:
        accept_raw();
        break;
    case PN_LISTENER_CLOSE: {
        // its creator may still be looking at it
        Lock lock(loop_.listen_mutex());
        pn_record_set(pn_listener_attachments(listener_), kKey, nullptr);
        listener_ = nullptr;
    }
        drop();
        break;
    default:
        break;
    }
}

void Listener::accept_raw() noexcept {
    // Proton leaves a raw connection that a closing listener accepts without any event, for ever.
    Lock lock(loop_.listen_mutex());
    if (closed_)
        return;
    pn_raw_connection_t *raw = pn_raw_connection();
    if (!raw) {
        // Proton offers it again, at once and for ever: better no listener than that.
        closed_ = true;
        pn_listener_close(listener_);
        lock.unlock();
        loop_.log(LWS_PROTON_LOG_ERR, "out of memory for a new connection, listening no more");
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
        loop_.log(LWS_PROTON_LOG_ERR, "out of memory for a new connection, refused it");
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
    if (closed_ || !wsi)
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
    {
        Lock lock(loop_.listen_mutex());
        closed_ = true;
        if (listener_)
            pn_listener_close(listener_);
    }
    {
        // What waits finds that it is refused.
        Lock lock(waiting_mutex_);
        for (Connection *c = waiting_.head(); c; c = waiting_.next(*c))
            c->kick();
    }
    drop();
    return 0;
}

}  // namespace lws_proton
