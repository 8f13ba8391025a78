// SPDX-License-Identifier: MIT
#include "driver_connection.hpp"

#include "loop.hpp"
#include "lws_proton.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <new>

namespace lws_proton {

namespace {

uint16_t port_of(const sockaddr &sa) noexcept {
    return ntohs(sa.sa_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6 &>(sa).sin6_port
                                          : reinterpret_cast<const sockaddr_in &>(sa).sin_port);
}

}  // namespace

thread_local DriverConnection::Dialing *DriverConnection::dialing_ = nullptr;

DriverConnection::DriverConnection(Loop &loop, int tsi_, lws_proton_driver_t &driver, Wake wake,
                                   void *context) noexcept
    : Connection(loop, tsi_), driver_(&driver), driven_(true), wake_(wake), context_(context) {
    Turn turn(*this);
    on(Event::connected);
}

DriverConnection::DriverConnection(Loop &loop, int tsi_, const char *address)
    : Connection(loop, tsi_, State::unconnected), client_(true), address_(address) {}

DriverConnection::~DriverConnection() {
    if (driver_)
        driver_->connection = nullptr;
}

void DriverConnection::set_wake(Wake wake, void *context) noexcept {
    Lock lock(wake_mutex_);
    wake_ = wake;
    context_ = context;
    if (woken_ && wake_)
        wake_(context_);
}

int DriverConnection::connect(const sockaddr *sa, socklen_t len) noexcept {
    if (state() != State::unconnected)
        return Connection::connect(sa, len);
    driver_ = new (std::nothrow) lws_proton_driver_t{&loop_, tsi, this};
    if (!driver_) {
        errno = ENOMEM;
        return -1;
    }
    on(Event::connect);
    Dialing dialing{driver_, dialing_, {}};
    dialing_ = &dialing;
    const int refused = loop_.dialer().dial(driver_, address_.c_str(), port_of(*sa), ENETUNREACH);
    dialing_ = dialing.outer;
    if (refused) {
        delete driver_;
        driver_ = nullptr;
        lose(refused);
    } else {
        {
            Lock lock(wake_mutex_);
            driven_ = true;
        }
        if (dialing.answer)
            connected(*dialing.answer);
    }
    // Also if it has ended: lws asks for the cause only of one that took its time.
    errno = EINPROGRESS;
    return -1;
}

void DriverConnection::connected(int error) noexcept {
    if (dialing(driver_))
        dialing_->answer = error;
    else if (state() != State::opening && !letting_go())
        return;
    else if (error)
        lose(error);
    else
        on(Event::connected);
}

pn_rwbytes_t DriverConnection::read_buffer() noexcept {
    if (!readable_state() || state() == State::opening)
        return {};
    if (!rx_.used()) {
        if (!rx_.acquired() && !rx_.acquire(windows_.rx))
            return {};
        rx_.rewind();
    }
    const Span span = rx_.space();
    return {span.size, reinterpret_cast<char *>(span.data)};
}

void DriverConnection::read_done(size_t n) noexcept {
    assert(n <= rx_.space().size);
    received(static_cast<uint32_t>(n));
}

pn_bytes_t DriverConnection::write_buffer() const noexcept {
    if (state() == State::opening)
        return {};
    const Span span = tx_.stored();
    return {span.size, reinterpret_cast<const char *>(span.data)};
}

void DriverConnection::write_done(size_t n) noexcept {
    assert(n <= tx_.stored().size);
    sent(static_cast<uint32_t>(n));
}

bool DriverConnection::write_closed() const noexcept {
    return !tx_.used() && (shut_state() || state() >= State::closing);
}

bool DriverConnection::service() noexcept {
    {
        Lock lock(wake_mutex_);
        woken_ = false;
    }
    Turn turn(*this);
    ask_again();
    const bool more = serve();
    if (!rx_.used() || letting_go())
        rx_.release();
    return more;
}

void DriverConnection::lose(int why) noexcept {
    {
        Lock lock(wake_mutex_);
        driven_ = false;
    }
    if (state() == State::opening)
        connect_error_ = why;
    disconnected(false);
}

void DriverConnection::release() noexcept {
    driver_->connection = nullptr;
    driver_ = nullptr;
    const bool has_to_be_told = held();
    {
        Turn turn(*this);
        if (!wsi)
            on(Event::close);  // lws never had it, or has closed it
        lose();
    }
    if (has_to_be_told)
        kick();
}

void DriverConnection::kick() noexcept {
    {
        Lock lock(wake_mutex_);
        if (driven_) {
            if (!woken_ && wake_)
                wake_(context_);
            woken_ = true;
            return;
        }
        // There is nothing to serve before the dialer has answered.
        if (state() == State::unconnected || state() == State::opening)
            return;
    }
    loop_.adopt_orphan(*this);
}

int DriverConnection::peer_name(sockaddr *, socklen_t *) noexcept {
    errno = ENOTCONN;
    return -1;
}

int DriverConnection::local_name(sockaddr *sa, socklen_t *len) noexcept {
    if (!client_)
        return peer_name(sa, len);
    // lws warns of a client that has none.
    const sa_family_t none = AF_UNSPEC;
    memcpy(sa, &none, std::min<size_t>(*len, sizeof(none)));
    *len = sizeof(none);
    return 0;
}

}  // namespace lws_proton
