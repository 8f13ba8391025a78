// Clients of one mirror instance, driven together in one thread.
//
// What lws's protocol_lws_mirror.c promises, and the tests build on:
//   - every message goes to every client of the instance, its sender included, in one order;
//   - a message longer than kPiece is passed on as several, each a text message of its own;
//   - a client that joins may first get what the slowest client has yet to get;
//   - once kRing - kRxOffBelow messages wait for the slowest client, it stops reading from all
//     clients, until two thirds of the ring are free again;
//   - a client that is the slowest gets 3 s to take something, then it is closed. That clock is set
//     only when messages were left waiting for it as it last took some, so a client that stopped
//     just when it was up to date stops the others until it goes on.
//
// With more service threads than one it cannot bear its own rx flow control: it holds its lock while
// it asks lws for the lock of another thread's connections, and lws holds that one while it hands
// the mirror bytes that flow control kept back. Stock lws deadlocks. Nor does the mirror take its
// lock as it adds or removes a client. Tests that run with threads keep off both.
#pragma once

#include "server_process.hpp"
#include "ws_client.hpp"

#include <string>

namespace e2e {

class MirrorRoom {
public:
    static constexpr size_t kPiece = 4096; // its rx_buffer_size
    static constexpr size_t kRing = 32;    // QUEUELEN
    static constexpr size_t kRxOffBelow = 4; // RXFLOW_MIN

    // Messages in flight that do not bring on flow control, whoever of its clients is slow.
    static constexpr size_t kUnhindered = kRing - kRxOffBelow;

    static bool may_use_flow_control() { return threads_under_test() == 1; }

    explicit MirrorRoom(const ServerProcess &server, const std::string &instance = "")
        : port_(server.port()), path_(instance.empty() ? "/" : "/?mirror=" + instance)
    {
    }

    // A new client, which has certainly joined when this returns: it and all others that read have
    // received its greeting. No frames wait then.
    WsClient &join(const SocketOptions &options = {});
    void join(size_t count)
    {
        for (size_t i = 0; i < count; ++i)
            join();
    }

    // Forgets a client, whose connection closes.
    void leave(WsClient &client);

    WsClients &clients() { return clients_; }
    WsClient &operator[](size_t i) { return *clients_[i]; }
    size_t size() const { return clients_.size(); }

    // Drives all clients until done() holds.
    void drive(const std::string &what, const std::function<bool()> &done)
    {
        e2e::drive(clients_, what, done);
    }

    // Drives until every client that reads has at least `count` frames.
    void drive_until_frames(size_t count);

private:
    int port_;
    std::string path_;
    WsClients clients_;
    int greetings_ = 0;
};

} // namespace e2e
