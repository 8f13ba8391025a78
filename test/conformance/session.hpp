// A WebSocket connection to the echo, over whatever moves the bytes.
#pragma once

#include "wire.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace conformance {

// The client's end of a connection.
class Peer {
public:
    virtual ~Peer() = default;

    // Sends all of it. What comes meanwhile is received. Bytes that the server, having ended the
    // connection, does not take any more are dropped.
    virtual void send(std::string_view bytes) = 0;

    // Waits until more was received. False: the server has ended the connection. Throws if neither
    // comes.
    virtual bool receive_more() = 0;

    std::string received;
};

// The program's transport makes them: see conformance_tcp.cpp and conformance_driver.cpp.
std::unique_ptr<Peer> connect_to_echo();

inline const std::string kDeflate = "permessage-deflate";

struct Message {
    uint8_t kind;
    bool compressed;
    std::string payload;  // as on the wire
};

class Session {
public:
    // Upgrades, with this Sec-WebSocket-Extensions header if it is not empty.
    explicit Session(const std::string &offer = "");

    // The answer's Sec-WebSocket-Extensions header; empty: none.
    const std::string &extensions() const { return extensions_; }

    void send(std::string_view bytes) { peer_->send(bytes); }

    // The next frame. Throws if the connection ends before it.
    Frame frame();

    // The next message; control frames between its fragments are kept for frame().
    Message message();

    // Sends the text whole and uncompressed, and expects it back.
    void check_alive();
    void check_echo(uint8_t kind, std::string_view payload);
    void check_pong(std::string_view payload);

    // The next frame is a close with this payload; then the server ends the connection, with
    // nothing said by the client.
    void check_close(std::string_view payload);

    // The same for a connection that the server fails: with this code and any reason. Messages that
    // were complete before may come first.
    void check_failed(uint16_t code);

    void check_end();

private:
    std::unique_ptr<Peer> peer_;
    std::string extensions_;
    std::string controls_;  // control frames that message() met
};

}  // namespace conformance
