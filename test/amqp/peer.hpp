// SPDX-License-Identifier: MIT
//
// A client that shows its seams: Proton's engine, whose bytes the test puts into WebSocket messages
// as it likes, or sends as over TCP, over a driver of the server's context.
#pragma once

#include "application.hpp"
#include "client_context.hpp"
#include "lws_log.hpp"
#include "wire.hpp"

#include <lws_proton.h>

#include <proton/connection_driver.h>

#include <functional>
#include <string>
#include <string_view>

namespace amqp_test {

// An lws context with a vhost of the application's protocols, and nobody to connect to it but Peer.
struct Endpoint {
    explicit Endpoint(Application &application, const lws_test::Context::Creation &change = {});

    lws_test::Context context;
    bool over_tcp = false;
    lws_vhost *vhost;

    // Its vhost is for AMQP over TCP.
    static lws_test::Context::Creation tcp(const lws_test::Context::Creation &change = {});

    lws_proton_loop_t *loop() { return lws_proton_loop_of(context.get()); }
};

class Peer {
public:
    // Bytes of AMQP as WebSocket frames.
    using Wrap = std::function<std::string(std::string_view)>;
    static std::string one_message(std::string_view bytes);
    static Wrap messages_of(size_t size);
    static Wrap fragments_of(size_t size);
    static Wrap endless_frame();  // one, of all that it is ever given
    static std::string as_it_is(std::string_view bytes) { return std::string(bytes); }

    explicit Peer(Endpoint &endpoint);
    // Its connection is there, and nobody has adopted it.
    enum class Adopted { by_vhost, not_yet };
    Peer(Endpoint &endpoint, Adopted adopted);
    ~Peer();
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    Sending sending;
    std::function<void(pn_event_t *)> on;  // instead of it
    Wrap wrap = one_message;
    bool reading = true;
    size_t appetite = SIZE_MAX;  // bytes that it reads yet
    size_t most = SIZE_MAX;      // bytes at a time
    size_t quota = SIZE_MAX;     // bytes that are sent yet, then the connection is cut,
    bool goes_on_reading = false;  // or sends no more
    std::string received;        // and not taken
    int pongs = 0;
    int close_code = 0;  // of the server's close frame; -1: it had none
    std::string close_reason;
    size_t largest_message = 0;
    int messages = 0;  // of WebSocket

    // Asks for the upgrade; the answer's status.
    int upgrade(const std::string &headers = "Sec-WebSocket-Protocol: amqp\r\n");

    // From now on the engine speaks.
    void begin();
    void send(std::string_view bytes) { unsent_ += bytes; }
    size_t unsent() const { return unsent_.size(); }
    void close(uint16_t code) { send(conformance::close_frame(code)); }

    // The engine, as far as nothing is left of what it said before: whether it did anything.
    bool speak();
    // Moves what there is until nothing moves.
    void run();
    // ... and lws's timers, and the engine's, meanwhile.
    void run_until(const char *what, const std::function<bool()> &holds);
    bool finished() { return lws_proton_driver_finished(driver_); }
    void cut();

    pn_connection_driver_t *engine() { return &engine_; }
    lws_proton_driver_t *driver() { return driver_; }

private:
    bool serve();
    bool listen();
    bool hear(std::string_view bytes);

    Endpoint &endpoint_;
    lws_proton_driver_t *driver_;
    pn_connection_driver_t engine_{};
    bool speaking_ = false;
    std::string unsent_;
};

}  // namespace amqp_test
