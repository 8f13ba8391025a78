// An AMQP 1.0 client on Proton's engine, which reads only when told to. Its waiting calls drive it
// alone; drive() drives many.
#pragma once

#include "tcp_socket.hpp"

#include <proton/connection_driver.h>
#include <proton/delivery.h>
#include <proton/link.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace e2e {

struct AmqpMessage {
    pn_link_t *link;
    pn_delivery_t *delivery;  // while it is not settled
    std::string body;
};

class AmqpClient {
public:
    // Opens a connection and a session, without waiting for the answer.
    explicit AmqpClient(int port, const SocketOptions &options = {});
    ~AmqpClient();
    AmqpClient(const AmqpClient &) = delete;
    AmqpClient &operator=(const AmqpClient &) = delete;

    TcpSocket &socket() { return socket_; }
    // For its settings, before any other call, and its figures.
    pn_transport_t *transport() { return driver_.transport; }

    // Attaches a link, without waiting for the answer; "" is no address. A receiver keeps up its
    // credit.
    pn_link_t *sender(const std::string &address);
    pn_link_t *receiver(const std::string &address, int credit);
    static bool attached(pn_link_t *link);
    // Ends it; its unsettled deliveries are gone.
    void detach(pn_link_t *link);

    // False: no credit, nothing was done.
    bool send(pn_link_t *sender, std::string_view body);
    // Of what was sent: as far as the peer has said it.
    size_t accepted() const { return accepted_; }
    size_t rejected() const { return rejected_; }

    // Messages that arrived and were not taken yet.
    std::deque<AmqpMessage> &messages() { return messages_; }
    // Accept each as it arrives, as it is at first, or leave that to the test.
    void set_accepting(bool accepting) { accepting_ = accepting; }
    void settle(const AmqpMessage &message, uint64_t outcome);

    void set_reading(bool reading) { reading_ = reading; }

    bool open() const;
    // Whether it has said so.
    bool closed_by_peer() const;
    // No more comes, either way.
    bool ended() const;
    // The condition that the peer closed with, of the connection or of a link: "" is none.
    std::string error() const;
    static std::string error(pn_link_t *link);

    // For drive(): what to poll for, and what to do when it came.
    short wanted_events();
    void pump(short events);

    void await(const std::string &what, const std::function<bool()> &holds);
    void await_open();
    // Closes, and waits until the peer has, too.
    void close();

private:
    pn_link_t *attach(pn_link_t *link, const std::string &address);
    void on_event(pn_event_t *event);
    void on_delivery(pn_link_t *link, pn_delivery_t *delivery);
    void receive();
    void transmit();

    TcpSocket socket_;
    pn_connection_driver_t driver_;
    pn_session_t *session_;
    bool reading_ = true;
    bool accepting_ = true;
    size_t links_ = 0;
    uint64_t sent_ = 0;
    size_t accepted_ = 0, rejected_ = 0;
    std::deque<AmqpMessage> messages_;
};

using AmqpClients = std::vector<std::unique_ptr<AmqpClient>>;

// Serves all clients in this thread until done() holds.
void drive(const AmqpClients &clients, const std::string &what, const std::function<bool()> &done);

}  // namespace e2e
