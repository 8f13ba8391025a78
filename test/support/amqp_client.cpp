#include "amqp_client.hpp"

#include "check.hpp"
#include "waiting.hpp"

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>

#include <poll.h>

#include <algorithm>
#include <cstring>

namespace e2e {

namespace {

// A message of one section, "data", of up to 2^32 bytes: AMQP 1.0, 3.2.6 and 1.6.19.
constexpr std::string_view kData("\0\x53\x75\xb0", 4);
constexpr size_t kHead = kData.size() + 4;

std::string encoded(std::string_view body) {
    std::string message(kData);
    for (int shift = 24; shift >= 0; shift -= 8)
        message.push_back(static_cast<char>(body.size() >> shift));
    return message.append(body);
}

}  // namespace

AmqpClient::AmqpClient(int port, const SocketOptions &options) : socket_(port, options) {
    CHECK(!pn_connection_driver_init(&driver_, nullptr, nullptr));
    pn_connection_set_container(driver_.connection, "test");
    pn_connection_open(driver_.connection);
    session_ = pn_session(driver_.connection);
    pn_session_open(session_);
}

AmqpClient::~AmqpClient() {
    pn_connection_driver_destroy(&driver_);
}

pn_link_t *AmqpClient::attach(pn_link_t *link, const std::string &address) {
    if (!address.empty()) {
        pn_terminus_set_address(pn_link_source(link), address.c_str());
        pn_terminus_set_address(pn_link_target(link), address.c_str());
    }
    pn_link_open(link);
    transmit();
    return link;
}

pn_link_t *AmqpClient::sender(const std::string &address) {
    return attach(pn_sender(session_, std::to_string(links_++).c_str()), address);
}

pn_link_t *AmqpClient::receiver(const std::string &address, int credit) {
    pn_link_t *link = pn_receiver(session_, std::to_string(links_++).c_str());
    pn_link_flow(link, credit);
    return attach(link, address);
}

bool AmqpClient::attached(pn_link_t *link) {
    return (pn_link_state(link) & PN_REMOTE_ACTIVE) != 0;
}

void AmqpClient::detach(pn_link_t *link) {
    pn_link_close(link);
    await("the link to end", [&] { return (pn_link_state(link) & PN_REMOTE_CLOSED) != 0; });
    pn_link_free(link);
}

bool AmqpClient::send(pn_link_t *sender, std::string_view body) {
    if (pn_link_credit(sender) <= 0)
        return false;
    sent_++;
    pn_delivery(sender, pn_dtag(reinterpret_cast<const char *>(&sent_), sizeof sent_));
    const std::string message = encoded(body);
    pn_link_send(sender, message.data(), message.size());
    pn_link_advance(sender);
    transmit();
    return true;
}

void AmqpClient::settle(const AmqpMessage &message, uint64_t outcome) {
    pn_delivery_update(message.delivery, outcome);
    pn_delivery_settle(message.delivery);
    transmit();
}

bool AmqpClient::open() const {
    return (pn_connection_state(driver_.connection) & PN_REMOTE_ACTIVE) != 0;
}

bool AmqpClient::closed_by_peer() const {
    return (pn_connection_state(driver_.connection) & PN_REMOTE_CLOSED) != 0;
}

bool AmqpClient::ended() const {
    return pn_transport_closed(driver_.transport);
}

std::string AmqpClient::error() const {
    const char *name = pn_condition_get_name(pn_connection_remote_condition(driver_.connection));
    return name ? name : "";
}

std::string AmqpClient::error(pn_link_t *link) {
    const char *name = pn_condition_get_name(pn_link_remote_condition(link));
    return name ? name : "";
}

void AmqpClient::on_delivery(pn_link_t *link, pn_delivery_t *delivery) {
    if (pn_link_is_sender(link)) {
        if (!pn_delivery_updated(delivery))
            return;
        accepted_ += pn_delivery_remote_state(delivery) == PN_ACCEPTED;
        rejected_ += pn_delivery_remote_state(delivery) == PN_REJECTED;
        pn_delivery_settle(delivery);
        return;
    }
    if (!pn_delivery_readable(delivery) || pn_delivery_partial(delivery))
        return;
    std::string message(pn_delivery_pending(delivery), '\0');
    pn_link_recv(link, message.data(), message.size());
    pn_link_advance(link);
    pn_link_flow(link, 1);
    CHECK_GE(message.size(), kHead);
    CHECK_EQ(message, encoded(std::string_view(message).substr(kHead)));
    messages_.push_back({link, delivery, message.substr(kHead)});
    if (accepting_) {
        pn_delivery_update(delivery, PN_ACCEPTED);
        pn_delivery_settle(delivery);
        messages_.back().delivery = nullptr;
    }
}

void AmqpClient::on_event(pn_event_t *event) {
    switch (pn_event_type(event)) {
    case PN_DELIVERY:
        on_delivery(pn_event_link(event), pn_event_delivery(event));
        break;
    case PN_CONNECTION_REMOTE_CLOSE:
        pn_connection_close(driver_.connection);
        break;
    default:
        break;
    }
}

void AmqpClient::receive() {
    const pn_rwbytes_t room = pn_connection_driver_read_buffer(&driver_);
    if (!room.size)
        return;
    const IoResult got = socket_.receive_some(room.start, room.size);
    pn_connection_driver_read_done(&driver_, got.bytes);
    if (got.state == Io::closed || got.state == Io::reset)
        pn_connection_driver_close(&driver_);
}

// All that there is to do and to send, as far as the socket takes it.
void AmqpClient::transmit() {
    while (true) {
        while (pn_event_t *event = pn_connection_driver_next_event(&driver_))
            on_event(event);
        const pn_bytes_t bytes = pn_connection_driver_write_buffer(&driver_);
        if (!bytes.size)
            break;
        const IoResult sent = socket_.send_some({bytes.start, bytes.size});
        pn_connection_driver_write_done(&driver_, sent.bytes);
        if (sent.state == Io::would_block)
            break;
        if (sent.state == Io::reset)
            pn_connection_driver_close(&driver_);
    }
    if (pn_connection_driver_write_closed(&driver_))
        socket_.shutdown_write();
}

short AmqpClient::wanted_events() {
    const bool reads = reading_ && !pn_connection_driver_read_closed(&driver_);
    const bool writes = pn_connection_driver_write_buffer(&driver_).size != 0;
    return static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

void AmqpClient::pump(short events) {
    if (reading_ && (events & (POLLIN | POLLERR | POLLHUP)))
        receive();
    transmit();
}

void drive_all(const std::vector<AmqpClient *> &clients, const std::string &what,
               const std::function<bool()> &done) {
    const Deadline deadline;
    std::vector<pollfd> waiting;
    while (!done()) {
        if (deadline.passed())
            FAIL("gave up waiting for: " + what);
        waiting.clear();
        for (AmqpClient *client : clients) {
            const short events = client->wanted_events();
            // poll() skips those below 0: a hang-up would end every wait else.
            waiting.push_back({events ? client->socket().fd() : -1, events, 0});
        }
        poll(waiting.data(), waiting.size(), deadline.remaining_ms());
        for (size_t i = 0; i < waiting.size(); i++)
            if (waiting[i].revents)
                clients[i]->pump(waiting[i].revents);
    }
}

void AmqpClient::await(const std::string &what, const std::function<bool()> &holds) {
    transmit();
    drive_all({this}, what, holds);
}

void AmqpClient::await_open() {
    await("the connection to open", [&] { return open(); });
}

void AmqpClient::close() {
    pn_connection_close(driver_.connection);
    await("the connection to close", [&] { return ended(); });
}

void drive(const AmqpClients &clients, const std::string &what,
           const std::function<bool()> &done) {
    std::vector<AmqpClient *> all;
    for (const auto &client : clients)
        all.push_back(client.get());
    drive_all(all, what, done);
}

}  // namespace e2e
