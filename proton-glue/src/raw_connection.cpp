// SPDX-License-Identifier: MIT
#include "raw_connection.hpp"

#include "headroom.hpp"
#include "listener.hpp"
#include "loop.hpp"
#include "lws_proton.h"
#include "plain_pointer.hpp"

#include <proton/condition.h>
#include <proton/event.h>
#include <proton/netaddr.h>
#include <proton/object.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <optional>
#include <string_view>
#include <unistd.h>

extern "C" __attribute__((weak, visibility("default"))) void
pnx_raw_connection_abort(pn_raw_connection_t *);

namespace lws_proton {

void (*RawConnection::proton_abort)(pn_raw_connection_t *) = pnx_raw_connection_abort;

namespace {

// How often lws is served in one batch at most.
constexpr int kBatchRounds = 8;

// Ours among the attachments of a raw connection, so that its context stays the application's.
PN_HANDLE(kKey)

// Why Proton could not connect. It tells an errno only by its text: "TEXT - on connect ADDRESS".
int errno_of(pn_condition_t *condition) noexcept {
    const char *description = pn_condition_get_description(condition);
    const std::string_view all = description ? description : "";
    const std::string_view text = all.substr(0, all.find(" - "));
    for (int error :
         {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET, ENETDOWN, EHOSTDOWN,
          EADDRNOTAVAIL, EAFNOSUPPORT, EACCES, EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL})
        if (text == strerror(error))
            return error;
    // A numeric address is looked up too.
    if (text == gai_strerror(EAI_ADDRFAMILY))
        return EAFNOSUPPORT;
    // Without an address there was no socket: no descriptor was left, or there is no way to the
    // network. The errno of 0.37 and 0.40 is then whatever was in memory, EPERM as Debian built it.
    if (!all.empty() && all.back() == ' ') {
        const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return errno;
        close(fd);
        return ENETUNREACH;
    }
    return ECONNREFUSED;
}

int copy_address(const pn_netaddr_t *address, sockaddr *sa, socklen_t *len) noexcept {
    if (!address) {
        errno = ENOTCONN;
        return -1;
    }
    const socklen_t full = static_cast<socklen_t>(pn_netaddr_socklen(address));
    memcpy(sa, pn_netaddr_sockaddr(address), std::min(*len, full));
    *len = full;
    return 0;
}

}  // namespace

RawConnection::RawConnection(Loop &loop, int tsi_, pn_raw_connection_t *raw,
                             Listener &listener) noexcept
    : Connection(loop, tsi_), listener_(&listener) {
    listener.hold();
    attach(raw);
}

RawConnection::RawConnection(Loop &loop, int tsi_) noexcept
    : Connection(loop, tsi_, State::unconnected) {}

RawConnection::RawConnection(Loop &loop, int tsi_, pn_raw_connection_t *raw) noexcept
    : Connection(loop, tsi_) {
    Turn turn(*this);
    attach(raw);
    connected_ = true;
    on(Event::connected);
    if (pn_raw_connection_is_read_closed(raw))
        on(Event::peer_close);
    // Proton may have nothing more to say of it until it gets a buffer.
    kick();
}

void RawConnection::attach(pn_raw_connection_t *raw) noexcept {
    pn_record_t *record = pn_raw_connection_attachments(raw);
    pn_record_def(record, kKey, plain_pointer());
    pn_record_set(record, kKey, this);
    Lock lock(wake_mutex_);
    raw_ = raw;
}

bool RawConnection::ours(pn_raw_connection_t *raw) noexcept {
    return pn_record_has(pn_raw_connection_attachments(raw), kKey);
}

void RawConnection::refuse(pn_raw_connection_t *raw) noexcept {
    pn_record_def(pn_raw_connection_attachments(raw), kKey, plain_pointer());
}

RawConnection *RawConnection::of(pn_raw_connection_t *raw) noexcept {
    return static_cast<RawConnection *>(pn_record_get(pn_raw_connection_attachments(raw), kKey));
}

void RawConnection::kick() noexcept {
    {
        Lock lock(wake_mutex_);
        // Not before it is connected, since Proton 0.37 takes it for connected then (PROTON-2673):
        // that comes with a batch of its own. But it would not come for minutes if the peer does
        // not answer, so to close it a batch of any kind will do.
        if (raw_ && !connected_ && !letting_go())
            return;
        // Nor once Proton was told to close: it takes no wake any more.
        if (raw_ && !raw_closed_) {
            if (!kicked_.exchange(true))
                pn_raw_connection_wake(raw_);
            return;
        }
    }
    loop_.adopt_orphan(*this);
}

bool RawConnection::abort() noexcept {
    if (!proton_abort)
        return false;
    Lock lock(wake_mutex_);
    if (raw_)
        proton_abort(raw_);
    return true;
}

void RawConnection::batch(pn_event_batch_t *batch, pn_event_t *event) noexcept {
    // lws's listening wsi belongs to pt 0, the new connection to its own: both have to stand still.
    // Its own is chosen only now, since it may have waited; meanwhile it does not count.
    if (listener_) {
        uncount();
        tsi = loop_.idlest();
        count();
    }
    std::optional<Loop::Visit> accepting;
    if (listener_ && tsi != 0)
        accepting.emplace(loop_, 0);
    Loop::Visit visit(loop_, tsi);
    Turn turn(*this);
    bool more = false;
    // Proton 0.37 does not reschedule events that are left behind (PROTON-2695), and what flush()
    // does can make new ones: go on until there are none. A wake is one too, and one for each time
    // that lws is served is not to keep the pt.
    for (int round = 0; event; round++) {
        for (; event; event = pn_event_batch_next(batch))
            on_event(event);
        if (listener_ && state() != State::opening)
            offer_to_lws();
        // While it waits for lws to accept it has no buffers.
        if (!listener_) {
            more = round >= kBatchRounds || serve();
            flush();
        }
        event = pn_event_batch_next(batch);
    }
    if (listener_)
        uncount();
    if (more)
        kick();
}

void RawConnection::on_event(pn_event_t *event) noexcept {
    switch (pn_event_type(event)) {
    case PN_RAW_CONNECTION_CONNECTED:
        connected_ = true;
        on(Event::connected);
        break;
    case PN_RAW_CONNECTION_WAKE:
        kicked_ = false;
        ask_again();
        break;
    case PN_RAW_CONNECTION_READ:
    case PN_RAW_CONNECTION_WRITTEN:
    case PN_RAW_CONNECTION_DRAIN_BUFFERS:
        take_back();
        break;
    case PN_RAW_CONNECTION_CLOSED_READ:
        take_back();
        if (connected_)
            on(Event::peer_close);
        break;
    case PN_RAW_CONNECTION_DISCONNECTED:
        take_back();
        detach();
        break;
    default:
        break;
    }
}

void RawConnection::offer_to_lws() noexcept {
    if ((state() == State::open || state() == State::peer_closed) && !listener_->offer(*this))
        return;
    listener_->forget(*this);
    listener_->drop();
    listener_ = nullptr;
    if (!taken_)
        on(Event::close);
}

void RawConnection::take_back() noexcept {
    if (!raw_)
        return;
    pn_raw_buffer_t buffer;
    while (pn_raw_connection_take_read_buffers(raw_, &buffer, 1)) {
        // One of the application's, of a connection that had ended when it was adopted.
        if (!rx_lent_)
            continue;
        rx_lent_ = false;
        // Large after a read that filled what there was, small after any other: the connection may
        // be idle from now on, and Proton does not give back what it was lent.
        if (buffer.size)
            rx_busy_ = buffer.size == buffer.capacity;
        received(buffer.size);
    }
    while (pn_raw_connection_take_written_buffers(raw_, &buffer, 1)) {
        tx_lent_ -= buffer.size;
        sent(buffer.size);
    }
}

void RawConnection::detach() noexcept {
    if (!raw_)
        return;
    pn_condition_t *why = pn_raw_connection_condition(raw_);
    const bool failed = pn_condition_is_set(why);
    if (!connected_)
        connect_error_ = errno_of(why);
    // A late wake can bring one more batch.
    pn_record_set(pn_raw_connection_attachments(raw_), kKey, nullptr);
    {
        Lock lock(wake_mutex_);
        raw_ = nullptr;
    }
    rx_lent_ = false;
    tx_lent_ = 0;
    disconnected(failed);
}

void RawConnection::flush() noexcept {
    if (!raw_ || raw_closed_)
        return;
    if (letting_go()) {
        // Everything left, then the close. Proton finishes alone, and needs no more of us.
        while (give_tx(UINT32_MAX)) {
        }
        close_raw();
        if (!rx_lent_)
            rx_.release();
        return;
    }
    if (!connected_) {
        // Proton 0.40 says no more of a connection whose address it could not use.
        if (pn_condition_is_set(pn_raw_connection_condition(raw_)))
            close_raw();
        return;
    }
    // At most half the window at a time: lws fills the rest while this is under way.
    if (!tx_lent_)
        give_tx(tx_.capacity() / 2);
    if (shut_state() && !tx_.used() && !raw_ended_) {
        raw_ended_ = true;
        pn_raw_connection_write_close(raw_);
    }
    if (readable_state() && !rx_lent_)
        give_rx();
}

void RawConnection::close_raw() noexcept {
    {
        Lock lock(wake_mutex_);
        raw_closed_ = true;
    }
    pn_raw_connection_close(raw_);
}

bool RawConnection::give_tx(uint32_t most) noexcept {
    const Span span = tx_.stored(tx_lent_);
    if (!span.size)
        return false;
    pn_raw_buffer_t buffer = {};
    buffer.bytes = reinterpret_cast<char *>(span.data);
    buffer.size = buffer.capacity = std::min(span.size, most);
    if (!pn_raw_connection_write_buffers(raw_, &buffer, 1))
        return false;
    tx_lent_ += buffer.size;
    return true;
}

void RawConnection::give_rx() noexcept {
    if (!rx_.used()) {
        const uint32_t size = rx_busy_ ? windows_.rx : rx_small();
        if (rx_.acquired() && rx_.capacity() != size)
            rx_.release();
        if (!rx_.acquired() && !rx_.acquire(size)) {
            loop_.report_no_memory("no read buffer, a connection was closed");
            close_raw();
            return;
        }
        rx_.rewind();
    }
    // Also while lws does not read: Proton 0.37 watches a connection that has nothing to read into
    // and nothing to write for neither reset nor end of stream.
    const Span span = rx_.space();
    if (rx_.used() && span.size < kLeastRead)
        return;
    pn_raw_buffer_t buffer = {};
    buffer.bytes = reinterpret_cast<char *>(span.data);
    buffer.capacity = span.size;
    rx_lent_ = pn_raw_connection_give_read_buffers(raw_, &buffer, 1) == 1;
}

int RawConnection::peer_name(sockaddr *sa, socklen_t *len) noexcept {
    return copy_address(raw_ && connected_ ? pn_raw_connection_remote_addr(raw_) : nullptr, sa,
                        len);
}

int RawConnection::local_name(sockaddr *sa, socklen_t *len) noexcept {
    return copy_address(raw_ && connected_ ? pn_raw_connection_local_addr(raw_) : nullptr, sa, len);
}

int RawConnection::connect(const sockaddr *sa, socklen_t len) noexcept {
    if (state() != State::unconnected)
        return Connection::connect(sa, len);
    // Numbers only: Proton 0.37 would resolve a name in this thread.
    char host[NI_MAXHOST], port[NI_MAXSERV], address[NI_MAXHOST + NI_MAXSERV + 1];
    if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    snprintf(address, sizeof(address), "%s:%s", host, port);
    pn_raw_connection_t *raw = has_headroom(kRawHeadroom) ? pn_raw_connection() : nullptr;
    if (!raw) {
        errno = ENOMEM;
        return -1;
    }
    attach(raw);
    on(Event::connect);
    pn_proactor_raw_connect(loop_.proactor(), raw, address);
    errno = EINPROGRESS;
    return -1;
}

}  // namespace lws_proton
