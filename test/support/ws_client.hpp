// A WebSocket client that shows its seams: it reads only when told to, and hands out frames, not
// messages. It is driven either by its own waiting calls or, many at once, by drive().
#pragma once

#include "tcp_socket.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace e2e {

enum class Opcode : uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    reserved = 3, // the first that RFC 6455 leaves undefined: a protocol violation
    close = 8,
    ping = 9,
    pong = 10,
};

struct WsFrame {
    Opcode opcode;
    bool final;
    std::string payload;
};

// A client's frame: masked.
std::string masked_frame(Opcode opcode, std::string_view payload, bool final = true);

// The payload of a close frame.
std::string close_payload(uint16_t code, std::string_view reason = "");

class WsClient {
public:
    enum class State { handshaking, open, ended };

    // `protocol` may be a list, the first of which is expected back, or empty: none is offered then,
    // and none expected.
    WsClient(int port, const std::string &protocol, const std::string &path = "/",
             const SocketOptions &options = {});

    State state() const { return state_; }
    TcpSocket &socket() { return socket_; }

    // Frames that arrived and were not taken yet.
    std::deque<WsFrame> &frames() { return frames_; }

    // A client that does not read leaves what comes to its kernel.
    void set_reading(bool reading) { reading_ = reading; }
    bool reading() const { return reading_; }

    // Queues bytes and sends what the socket takes now. unsent_here() is what it did not take.
    void queue(std::string_view bytes);
    void queue_frame(Opcode opcode, std::string_view payload) { queue(masked_frame(opcode, payload)); }
    size_t unsent_here() const { return outgoing_.size(); }

    // For drive(): what to poll for, and what to do when it came.
    short wanted_events() const;
    void pump(short events);

    // Waiting calls for a client that is alone.
    void await_open();
    WsFrame await_frame();
    void await_frame_or_end();
    void await_end();
    void flush();

private:
    void receive();
    void parse_handshake();
    void parse_frames();
    void await_progress(const Deadline &deadline, const char *what);

    TcpSocket socket_;
    State state_ = State::handshaking;
    bool reading_ = true;
    std::string protocol_;
    std::string outgoing_;
    std::string incoming_;
    std::deque<WsFrame> frames_;
};

using WsClients = std::vector<std::unique_ptr<WsClient>>;

// Serves all clients in this thread until done() holds. False: the deadline passed first.
bool drive_until(const WsClients &clients, const std::function<bool()> &done,
                 const Deadline &deadline);

// The same, but a deadline that passes is a failure, which names `what`.
void drive(const WsClients &clients, const std::string &what, const std::function<bool()> &done);

} // namespace e2e
