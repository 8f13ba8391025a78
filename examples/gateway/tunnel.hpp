// SPDX-License-Identifier: MIT
#pragma once

#include "pipe.hpp"
#include "site.hpp"

#include <libwebsockets.h>

#include <cstdint>

namespace gateway {

// A WebSocket, a connection to a broker, and what is between. Both are of one pt. It knows nothing of
// AMQP but how few bytes can begin it.
//
// What returns an int is lws's callback: -1 closes the connection that was called. Nothing throws.
class Tunnel {
public:
    // What one takes at most, in bytes. The pipes are 96 KiB, the windows of both connections 256 KiB,
    // what lws keeps of each of them 48 KiB (a piece that the protocol has stopped, the buffer for a
    // message's piece), and of a client with TLS OpenSSL 70 KiB. The rest is lws's and Proton's objects,
    // and what malloc() wastes.
    static constexpr size_t kMost = 512 * 1024;
    // A protocol header and the shortest open. Fewer bytes of a side are not AMQP.
    static constexpr uint64_t kOpening = 24;

    // Before the WebSocket is accepted: one of the site's that are open, which was admitted. Null: out of
    // memory. It is told of all that follows until it is finished.
    static Tunnel *make(Site &site, lws *ws, Addresses::Entry *address) noexcept;
    ~Tunnel();
    Tunnel(const Tunnel &) = delete;
    Tunnel &operator=(const Tunnel &) = delete;

    int ws_established() noexcept;
    int ws_received(const void *bytes, size_t size, bool binary) noexcept;
    void ws_ponged() noexcept { heard_ = lws_now_usecs(); }
    int ws_writable() noexcept;
    void ws_closed() noexcept;
    // The gateway ends. What the broker has sent is delivered first.
    void stop() noexcept;

    int broker_connected(lws *broker) noexcept;
    void broker_unreached(const char *why) noexcept;
    void broker_received(const void *bytes, size_t size) noexcept;
    int broker_writable() noexcept;
    void broker_closed() noexcept;

    // Both are gone, or never were.
    bool finished() const { return !ws_ && !broker_ && !connecting_; }

private:
    enum class State : uint8_t {
        dialing,  // until a broker is reached; the client is not read
        opening,  // until enough has come from both sides, or the deadline
        open,     // until one side ends, or the client is silent
        ending,   // each side that is left gets what there is for it, the client also the reason
    };
    // Where lws's timer finds its tunnel: it comes first.
    struct Timer {
        lws_sorted_usec_list_t sul;
        Tunnel *tunnel;
    };

    Tunnel(Site &site, lws *ws, Addresses::Entry *address) noexcept;

    void dial() noexcept;
    void read_client(bool on) noexcept;
    // The WebSocket is closed with it once it has been sent what there is for it, and the broker's
    // connection once that has what there is for it. The text is static.
    void end(int code, const char *why) noexcept;
    void say_why(int code) noexcept;

    static void expired(lws_sorted_usec_list_t *sul) noexcept;
    void wait_until(lws_usec_t due) noexcept;
    void not_opened() noexcept;
    void look_for_silence(lws_usec_t now) noexcept;
    void begin_end() noexcept;
    void look_for_an_end(lws_usec_t now) noexcept;

    Site &site_;
    lws *ws_;                // null: closed
    lws *broker_ = nullptr;  // null: not connected, or closed
    Addresses::Entry *const address_;
    Pipe to_broker_, to_ws_;
    const unsigned first_broker_;
    unsigned tried_ = 0;
    State state_ = State::dialing;
    bool connecting_ = false;
    bool reading_ = true;   // the client
    bool ping_ = false;     // one is to be sent
    int code_ = 0;          // the WebSocket is to be closed with it
    Timer timer_ = {};      // of what the state waits for
    lws_usec_t heard_ = 0;  // when the client last sent or took something
    lws_usec_t cut_ = 0;    // when the end is over
    uint64_t moved_ = 0;    // bytes to both sides, when the end was last looked at
    // For the log.
    char peer_[48], origin_[128];
    const char *broker_name_ = "-", *why_ = "";
    uint64_t in_ = 0, out_ = 0;             // bytes of the client, and to it
    uint64_t answered_ = 0, passed_ = 0;    // bytes of the broker, and to it
    const lws_usec_t begun_ = lws_now_usecs();
};

// The gateway's protocols: those of a vhost for clients, and those of one for the connections to
// brokers. Their user is the Site.
extern const lws_protocols kProtocols[];
extern const lws_protocols kBrokerProtocols[];

}  // namespace gateway
