// SPDX-License-Identifier: MIT
#pragma once

#include "site.hpp"

#include <libwebsockets.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gateway {

// Bytes on their way from one side to the other, with room before them for what lws_write() puts
// there.
class Pipe {
public:
    // What is put, and written, at a time.
    static constexpr size_t kPiece = 16 * 1024;
    // Beyond it the source is not read; what lws has read by then comes too, one piece at most.
    static constexpr size_t kFull = 32 * 1024;
    // Of memory, while something is on its way: what was written already is cut off beyond kFull.
    static constexpr size_t kMost = 2 * kFull + 2 * kPiece;

    void put(const void *bytes, size_t size);
    bool empty() const { return at_ == bytes_.size(); }
    size_t size() const { return bytes_.size() - at_; }
    // What is to be written next; LWS_PRE bytes before it may be overwritten.
    uint8_t *front() { return bytes_.data() + at_; }
    void written(size_t size);

private:
    std::vector<uint8_t> bytes_;  // none: nothing is on its way
    size_t at_ = 0;
};

// A WebSocket, a connection to a broker, and what is between. Both are of one pt.
//
// What returns an int is lws's callback: -1 closes the connection that was called.
class Tunnel {
public:
    // Before the WebSocket is accepted; counts as one of the site's that are open.
    Tunnel(Site &site, lws *ws);
    ~Tunnel();
    Tunnel(const Tunnel &) = delete;
    Tunnel &operator=(const Tunnel &) = delete;

    int ws_established();
    int ws_received(const void *bytes, size_t size, bool binary);
    int ws_writable();
    void ws_closed();

    int broker_connected(lws *broker);
    void broker_unreached(const char *why);
    void broker_received(const void *bytes, size_t size);
    int broker_writable();
    void broker_closed();

    // Both are gone, or never were.
    bool finished() const { return !ws_ && !broker_ && !connecting_; }

private:
    void dial();
    // The WebSocket is closed once it has been sent what there is for it.
    void end(int code, const std::string &why);
    void say_why(int code);

    Site &site_;
    lws *ws_;                // null: closed
    lws *broker_ = nullptr;  // null: not connected, or closed
    Pipe to_broker_, to_ws_;
    const unsigned first_broker_;
    unsigned tried_ = 0;
    bool connecting_ = false;
    int code_ = 0;  // the WebSocket is to be closed with it
    // For the log.
    std::string peer_, origin_, broker_name_, why_;
    uint64_t in_ = 0, out_ = 0;
    const lws_usec_t begun_ = lws_now_usecs();
};

// The gateway's protocols, for a vhost of a context whose user is the Site.
extern const lws_protocols kProtocols[];

}  // namespace gateway
