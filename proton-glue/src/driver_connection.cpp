// SPDX-License-Identifier: MIT
#include "driver_connection.hpp"

#include "loop.hpp"
#include "lws_proton.h"

#include <cassert>
#include <cerrno>

namespace lws_proton {

DriverConnection::DriverConnection(Loop &loop, int tsi_, lws_proton_driver_t &driver, Wake wake,
                                   void *context) noexcept
    : Connection(loop, tsi_), driver_(&driver), wake_(wake), context_(context) {
    Turn turn(*this);
    on(Event::connected);
}

DriverConnection::~DriverConnection() {
    if (driver_)
        driver_->connection = nullptr;
}

pn_rwbytes_t DriverConnection::read_buffer() noexcept {
    if (!readable_state())
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
        std::lock_guard<std::mutex> lock(wake_mutex_);
        woken_ = false;
    }
    Turn turn(*this);
    const bool more = serve();
    if (!rx_.used() || letting_go())
        rx_.release();
    return more;
}

void DriverConnection::lose() noexcept {
    {
        std::lock_guard<std::mutex> lock(wake_mutex_);
        wake_ = nullptr;
    }
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
        std::lock_guard<std::mutex> lock(wake_mutex_);
        if (wake_) {
            if (!woken_)
                wake_(context_);
            woken_ = true;
            return;
        }
    }
    loop_.adopt_orphan(*this);
}

int DriverConnection::peer_name(sockaddr *, socklen_t *) noexcept {
    errno = ENOTCONN;
    return -1;
}

int DriverConnection::local_name(sockaddr *sa, socklen_t *len) noexcept {
    return peer_name(sa, len);
}

}  // namespace lws_proton
