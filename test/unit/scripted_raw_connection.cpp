// pn_raw_connection_t and its functions.
#include "scripted_memory.hpp"
#include "scripted_proton.hpp"

#include <proton/condition.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

using scripted::Access;
using scripted::Loan;
using scripted::Proton;
using scripted::Version;
using scripted::violation;

namespace {

constexpr size_t kMostBuffers = 16;
constexpr char kUntouched = '\x5a';  // a read buffer, until something is read into it

void check_unchanged(const Loan &loan) {
    const pn_raw_buffer_t &b = loan.buffer;
    const Access access(b.bytes, b.capacity);
    if (memcmp(b.bytes, loan.bytes.data(), loan.bytes.size()))
        violation("a lent buffer was changed");
}

Loan lend(const pn_raw_buffer_t &buffer) {
    Loan loan{buffer, std::string(buffer.bytes, buffer.capacity)};
    scripted::lend(buffer.bytes, buffer.capacity);
    return loan;
}

size_t take_back(std::deque<Loan> &loans, pn_raw_buffer_t *buffers, size_t num) {
    size_t n = 0;
    for (; n < num && !loans.empty(); n++) {
        const pn_raw_buffer_t &buffer = buffers[n] = loans.front().buffer;
        check_unchanged(loans.front());
        scripted::take_back(buffer.bytes, buffer.capacity);
        loans.pop_front();
    }
    return n;
}

void move_all(std::deque<Loan> &from, std::deque<Loan> &to) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
    from.clear();
}

bool is(Version version) {
    return Proton::the().version == version;
}

}  // namespace

// The socket is armed and has something to report.
bool pn_raw_connection_t::io() const {
    if (connecting || disconnect != connected)
        return false;
    if (aborts || (peer_reset && !is(Version::v0_37)))
        return true;
    return (can_read() && (!to_us.empty() || peer_ended || peer_reset)) ||
           (can_write() && (peer_takes || peer_reset));
}

bool pn_raw_connection_t::due() const {
    return accepted && !freed && (!batch.events.empty() || wake_wanted || io());
}

void pn_raw_connection_t::process() {
    flushed = false;
    // 0.37 takes a wake for the sign that it is connected (PROTON-2673).
    if (connecting && wake_wanted && is(Version::v0_37) &&
        !std::exchange(taken_for_connected, true))
        put(PN_RAW_CONNECTION_CONNECTED);
    if (!io())
        return;
    // The back-ports read what came before the reset.
    const bool reads_on = is(Version::backports) && can_read() && !to_us.empty();
    if (aborts || (peer_reset && !reads_on))
        return lose();
    read_socket();
    write_socket();
}

void pn_raw_connection_t::read_socket() {
    while (can_read()) {
        Loan &loan = unread.front();
        pn_raw_buffer_t &b = loan.buffer;
        const size_t n = std::min<size_t>(b.capacity - b.offset, to_us.size());
        if (!n && !peer_ended)
            break;
        check_unchanged(loan);
        {
            const Access access(b.bytes, b.capacity);
            memcpy(b.bytes + b.offset, to_us.data(), n);
        }
        b.size = n;
        loan.bytes.replace(b.offset, n, to_us, 0, n);
        to_us.erase(0, n);
        read.push_back(std::move(loan));
        unread.pop_front();
        read_pending = true;
        if (!n)
            read_closed = read_closed_pending = true;  // the buffer with nothing in it is the sign
    }
    disconnect_if_closed();
}

void pn_raw_connection_t::write_socket() {
    while (can_write()) {
        Loan &loan = unwritten.front();
        const pn_raw_buffer_t &b = loan.buffer;
        const size_t n =
            std::min({size_t(b.size - unwritten_offset), peer_takes, Proton::the().send_at_most});
        check_unchanged(loan);
        peer_got.append(loan.bytes, b.offset + unwritten_offset, n);
        if (peer_takes != SIZE_MAX)
            peer_takes -= n;
        unwritten_offset += n;
        if (unwritten_offset < b.size)
            break;
        unwritten_offset = 0;
        written.push_back(std::move(loan));
        unwritten.pop_front();
        written_pending = true;
    }
    disconnect_if_closed();
}

// Proton's reaction to an error of the socket.
void pn_raw_connection_t::lose() {
    if (condition.description.empty() && !aborts)
        condition.description = "Connection reset by peer - recv error 127.0.0.1:50000";
    release();
    close_read();
    close_write();
    disconnect_if_closed();
}

void pn_raw_connection_t::release() {
    move_all(unread, read);
    move_all(unwritten, written);
}

void pn_raw_connection_t::close_read() {
    read_closed_pending |= !read_closed;
    read_closed = true;
}

void pn_raw_connection_t::close_write() {
    write_closed_pending |= !write_closed;
    write_closed = true;
}

void pn_raw_connection_t::disconnect_if_closed() {
    if (!both_closed() || disconnect != connected)
        return;
    release();
    disconnect = drain;
    if (only_says_disconnected)
        read_closed_pending = write_closed_pending = false;
}

void pn_raw_connection_t::connect_succeeds() {
    connecting = false;
    own_address.v4.sin_family = AF_INET;
    own_address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    own_address.v4.sin_port = htons(40000);
    if (!taken_for_connected)
        put(PN_RAW_CONNECTION_CONNECTED);
}

// With not a word but the last.
void pn_raw_connection_t::connect_fails(const std::string &why) {
    connecting = false;
    condition.description = why;
    release();
    read_closed = write_closed = true;
    disconnect = drain;
    advance(false);
}

// 0.40 forgets to end it.
void pn_raw_connection_t::address_fails(const std::string &why) {
    if (!is(Version::v0_40))
        return connect_fails(why);
    condition.description = why;
    advance(false);
}

// Makes the next event, if there is one to be made; of a batch that is used up, also by writing
// what it was given, once, if this is the Proton that does so.
bool pn_raw_connection_t::advance(bool in_batch) {
    while (batch.events.empty()) {
        if (in_batch && std::exchange(wake_wanted, false))
            wake_pending = true;
        if (std::exchange(wake_pending, false))
            put(PN_RAW_CONNECTION_WAKE);
        else if (std::exchange(read_pending, false))
            put(PN_RAW_CONNECTION_READ);
        else if (std::exchange(written_pending, false))
            put(PN_RAW_CONNECTION_WRITTEN);
        else if (std::exchange(read_closed_pending, false))
            put(PN_RAW_CONNECTION_CLOSED_READ);
        else if (std::exchange(write_closed_pending, false))
            put(PN_RAW_CONNECTION_CLOSED_WRITE);
        else if (disconnect > connected && disconnect < over)
            advance_disconnect();
        else if (!write_closed && unwritten.empty() && !std::exchange(need_write_said, true))
            put(PN_RAW_CONNECTION_NEED_WRITE_BUFFERS);
        else if (!read_closed && unread.empty() && !std::exchange(need_read_said, true))
            put(PN_RAW_CONNECTION_NEED_READ_BUFFERS);
        else if (in_batch && is(Version::backports) && can_write() && !std::exchange(flushed, true))
            write_socket();
        else
            return false;
    }
    return true;
}

void pn_raw_connection_t::advance_disconnect() {
    switch (disconnect) {
    case drain:
        if (only_says_disconnected) {
            disconnect = say_it;
            break;
        }
        if (!read.empty() || !written.empty() || announces_again)
            put(PN_RAW_CONNECTION_DRAIN_BUFFERS);
        disconnect = is(Version::v0_40) ? say_it : drain_read;
        break;
    case drain_read:
        if (!read.empty() || announces_again)
            put(PN_RAW_CONNECTION_READ);
        disconnect = drain_written;
        break;
    case drain_written:
        if (!written.empty() || announces_again)
            put(PN_RAW_CONNECTION_WRITTEN);
        disconnect = say_it;
        break;
    default:
        put(PN_RAW_CONNECTION_DISCONNECTED);
        if (says_disconnected_twice)
            put(PN_RAW_CONNECTION_DISCONNECTED);
        disconnect = over;
    }
}

void pn_raw_connection_t::done() {
    if (advance(false))
        violation("a batch was handed back with an event left in it");
    if (!read.empty() || !written.empty())
        violation("a buffer that Proton is done with was not taken back");
    if (!closes && unwritten.size() > 1)
        violation("more than one buffer to write before the close");
    if (woken_early && !closes && disconnect == connected)
        violation("a wake before the connection is connected, and not to close it");
    if (!is(Version::v0_37)) {
        write_socket();
        if (advance(false))
            return;
    }
    peer_saw_end |= write_closed && unwritten.empty();
    if (disconnect != over || wake_wanted)
        return;
    if (late_wakes && late_wakes--)
        put(PN_RAW_CONNECTION_WAKE);
    else if (disconnects_again && disconnects_again--)
        put(PN_RAW_CONNECTION_DISCONNECTED);
    else
        freed = true;
}

void pn_raw_connection_t::abort() {
    if (freed)
        violation("an abort of a raw connection that Proton has freed");
    aborts++;
    closing = true;
}

namespace {

pn_raw_connection_t &alive(pn_raw_connection_t *c) {
    if (c->freed)
        violation("use of a raw connection that Proton has freed");
    return *c;
}

pn_raw_connection_t &in_batch(pn_raw_connection_t *c) {
    if (!c->batch.working)
        violation("use of a raw connection outside its batch");
    return alive(c);
}

}  // namespace

extern "C" {

pn_raw_connection_t *pn_raw_connection(void) {
    if (Proton::the().no_connection)
        return nullptr;
    auto &connections = Proton::the().connections;
    connections.push_back(std::make_unique<pn_raw_connection_t>());
    return connections.back().get();
}

size_t pn_raw_connection_give_read_buffers(pn_raw_connection_t *connection,
                                           const pn_raw_buffer_t *buffers, size_t num) {
    pn_raw_connection_t &c = in_batch(connection);
    if (c.read_closed)
        return 0;
    if (c.unread.size() + c.read.size() + num > 1)
        violation("more than one read buffer");
    for (size_t i = 0; i < num; i++) {
        if (!buffers[i].capacity)
            violation("a read buffer of no size");
        memset(buffers[i].bytes, kUntouched, buffers[i].capacity);
        c.unread.push_back(lend(buffers[i]));
        c.read_sizes.push_back(buffers[i].capacity);
    }
    c.need_read_said = false;
    return num;
}

// Of an ended side there is none, whatever Proton still holds.
size_t pn_raw_connection_read_buffers_capacity(pn_raw_connection_t *connection) {
    pn_raw_connection_t &c = in_batch(connection);
    return c.read_closed ? 0 : kMostBuffers - c.unread.size() - c.read.size();
}

size_t pn_raw_connection_write_buffers_capacity(pn_raw_connection_t *connection) {
    pn_raw_connection_t &c = in_batch(connection);
    return c.write_closed ? 0 : kMostBuffers - c.unwritten.size() - c.written.size();
}

bool pn_raw_connection_is_read_closed(pn_raw_connection_t *c) {
    return in_batch(c).read_closed;
}

bool pn_raw_connection_is_write_closed(pn_raw_connection_t *c) {
    return in_batch(c).write_closed;
}

size_t pn_raw_connection_take_read_buffers(pn_raw_connection_t *c, pn_raw_buffer_t *buffers,
                                           size_t num) {
    return take_back(in_batch(c).read, buffers, num);
}

size_t pn_raw_connection_write_buffers(pn_raw_connection_t *connection,
                                       const pn_raw_buffer_t *buffers, size_t num) {
    pn_raw_connection_t &c = in_batch(connection);
    if (c.write_closed)
        return 0;
    num = std::min(num, kMostBuffers - c.unwritten.size() - c.written.size());
    for (size_t i = 0; i < num; i++) {
        if (!buffers[i].size)
            violation("a buffer to write with nothing in it");
        c.unwritten.push_back(lend(buffers[i]));
        c.written_sizes.push_back(buffers[i].size);
    }
    c.need_write_said = false;
    return num;
}

size_t pn_raw_connection_take_written_buffers(pn_raw_connection_t *c, pn_raw_buffer_t *buffers,
                                              size_t num) {
    return take_back(in_batch(c).written, buffers, num);
}

void pn_raw_connection_close(pn_raw_connection_t *connection) {
    pn_raw_connection_t &c = in_batch(connection);
    c.closes++;
    c.closing = true;
    c.close_read();
    c.close_write();
    c.disconnect_if_closed();
}

void pn_raw_connection_write_close(pn_raw_connection_t *connection) {
    pn_raw_connection_t &c = in_batch(connection);
    c.write_closes++;
    c.closing |= c.read_closed;
    c.close_write();
    c.disconnect_if_closed();
}

void pn_raw_connection_wake(pn_raw_connection_t *connection) {
    pn_raw_connection_t &c = alive(connection);
    c.woken_early |= c.connecting;
    c.wakes++;
    c.wake_wanted |= !c.closing;
}

pn_record_t *pn_raw_connection_attachments(pn_raw_connection_t *c) {
    return &alive(c).record;
}

const pn_netaddr_t *pn_raw_connection_remote_addr(pn_raw_connection_t *c) {
    return &alive(c).peer_address;
}

const pn_netaddr_t *pn_raw_connection_local_addr(pn_raw_connection_t *c) {
    return &c->own_address;
}

pn_condition_t *pn_raw_connection_condition(pn_raw_connection_t *c) {
    return &c->condition;
}

void pn_proactor_raw_connect(pn_proactor_t *, pn_raw_connection_t *c, const char *address) {
    if (std::exchange(c->accepted, true))
        violation("a raw connection was connected twice");
    c->connects_to = address;
    c->connecting = true;
    // split at the last colon, then numbers only: 0.37 looks a name up in this thread
    const size_t colon = c->connects_to.rfind(':');
    const std::string host = c->connects_to.substr(0, colon);
    const in_port_t port = htons(atoi(address + colon + 1));
    pn_netaddr_t &peer = c->peer_address;
    if (inet_pton(AF_INET, host.c_str(), &peer.v4.sin_addr) == 1) {
        peer.v4.sin_family = AF_INET;
        peer.v4.sin_port = port;
    } else if (inet_pton(AF_INET6, host.c_str(), &peer.v6.sin6_addr) == 1) {
        peer.v6.sin6_family = AF_INET6;
        peer.v6.sin6_port = port;
    } else {
        violation("not a numeric address: " + host);
    }
}
}
