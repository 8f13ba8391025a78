// SPDX-License-Identifier: MIT
#pragma once

#include "binding.hpp"
#include "engine.hpp"
#include "waker.hpp"

#include <libwebsockets.h>
#include <lws_proton_amqp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lws_proton::amqp {

// An AMQP connection and what carries it, a WebSocket or a TCP connection, from before the upgrade
// (or from the accept) until both have ended. All of it in the carrier's pt.
//
// What returns an int is lws's callback: -1 has lws close the carrier.
class Session {
public:
    explicit Session(const lws_proton_amqp_t &amqp) noexcept;
    ~Session();
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    // False: out of memory, or of what all connections may take. Either way both are this one's.
    bool init(pn_connection_t *connection, pn_transport_t *transport) noexcept;
    // Null: none of ours.
    static Session *of(pn_connection_t *connection) noexcept;

    pn_connection_t *connection() const noexcept { return engine_.connection(); }
    pn_transport_t *transport() const noexcept { return engine_.transport(); }
    lws *wsi() const noexcept { return wsi_; }
    bool is_websocket() const noexcept { return carrier_ == Carrier::websocket; }
    const char *peer() const noexcept { return peer_; }
    Waker &waker() const noexcept { return *waker_; }

    // Of the request that it is to begin with. May throw std::bad_alloc.
    void add_header(const char *name, const char *value);
    // -1: there are too many.
    int append_headers(lws *wsi, unsigned char **at, unsigned char *end) noexcept;
    // Set when the session is gone.
    void tell_end(bool *ended) noexcept { ended_ = ended; }

    // 0: the request is accepted. Else an HTTP status.
    int accept(lws *wsi) noexcept;
    int established(lws *wsi) noexcept;
    // A TCP peer, which may have TLS to begin with. The application hears of it once it is served.
    int adopted(lws *wsi) noexcept;
    // It came so long ago already.
    void came_before(uint32_t ms) noexcept;
    // A text message is not binary, what comes by TCP is.
    int receive(const void *bytes, size_t size, bool binary) noexcept;
    int writable() noexcept;
    // The peer closes the WebSocket, with this.
    void peer_closes(const void *payload, size_t size) noexcept;
    // The service stops: LWS_PROTON_CALLBACK_DRAIN's answer.
    int drain() noexcept;
    // lws could not connect.
    void unreached(const char *why) noexcept;
    // The carrier is gone, or will not be: the last call.
    void gone() noexcept;

    // It was woken, and WRITE will not come.
    void attend() noexcept;

private:
    enum class Carrier : uint8_t { websocket, tcp };

    struct Timer {
        lws_sorted_usec_list_t sul;  // first: it is what lws calls with
        Session *session;
        int64_t due;  // ms, 0: not set
    };

    static void timer_cb(lws_sorted_usec_list_t *sul) noexcept;
    void schedule(Timer &timer, int64_t due) noexcept;
    static void cancel(Timer &timer) noexcept;
    void expired(const Timer &timer) noexcept;
    void await_open() noexcept;
    bool is_peer_open() const noexcept;
    bool reads_too_little() const noexcept;
    void too_late() noexcept;
    void go_on() noexcept;
    int arrive() noexcept;

    void on(Event event) noexcept;
    void pump() noexcept;
    size_t writable_now() const noexcept;
    bool write(pn_bytes_t out, size_t room) noexcept;
    bool write_message(const char *bytes, size_t size) noexcept;
    void read(bool on) noexcept;
    int verdict() noexcept;
    void say_why() noexcept;

    Engine engine_;
    Waker *const waker_;  // null: out of memory, which init() says
    const lws_proton_amqp_t &amqp_;
    lws *wsi_ = nullptr;
    Timer open_{}, idle_{}, limit_{}, pause_{}, turn_{};
    std::vector<std::pair<std::string, std::string>> headers_;
    bool *ended_ = nullptr;
    char peer_[64] = "";
    char end_[192] = "";                // how the peer closed the WebSocket, in words
    std::unique_ptr<uint8_t[]> piece_;  // what permessage-deflate reads on from
    size_t plenty_ = 0;                 // room in the tx window with which WRITE is sure to come
    int64_t taken_ = 0;                 // ms; when the peer last had room for more
    size_t unanswered_ = 0;             // bytes taken since pump()
    size_t unread_ = 0;  // bytes more taken from a peer than by it, while it has some to take
    State state_ = State::upgrading;
    Carrier carrier_ = Carrier::websocket;
    bool text_ = false;  // the peer sent some
    bool stopping_ = false;  // the end of AMQP is ours
    bool deflate_ = false;
    bool reading_ = true;
};

}  // namespace lws_proton::amqp
