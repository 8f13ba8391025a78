// A TCP client socket, always non-blocking. The calls named await_* and the *_all ones wait, under
// the watchdog; the others answer at once.
#pragma once

#include "unique_fd.hpp"
#include "waiting.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace e2e {

struct SocketOptions {
    int receive_buffer = 0; // SO_RCVBUF before connect(): 0 is the system's
    int send_buffer = 0;    // SO_SNDBUF before connect(): 0 is the system's
};

enum class Io {
    ok,
    would_block,
    closed, // end of stream
    reset,  // the peer is gone with an error
};

struct IoResult {
    Io state;
    size_t bytes;
};

class TcpSocket {
public:
    // Starts to connect to 127.0.0.1:port. The first await_* or *_all call completes it.
    TcpSocket(int port, const SocketOptions &options = {});
    // The same to another numeric address.
    TcpSocket(const char *host, int port, const SocketOptions &options = {});
    // One that was accepted.
    explicit TcpSocket(UniqueFd fd) : fd_(std::move(fd)) {}

    int fd() const { return fd_.get(); }
    bool open() const { return fd_.valid(); }

    IoResult send_some(std::string_view data);
    IoResult receive_some(char *into, size_t room);

    // Whether it became so before the deadline.
    bool await_readable(const Deadline &deadline = Deadline());
    bool await_writable(const Deadline &deadline = Deadline());

    // How it ended, as an errno: 0 is connected.
    int await_connected();

    void send_all(std::string_view data);

    // Reads until what came contains `text`; the whole of it.
    std::string receive_until(std::string_view text);

    // Reads until end of stream or reset: what came, and which of the two it was.
    std::string receive_to_end(Io *how_it_ended = nullptr);

    void shutdown_write();

    // Sends data and the end of the stream in one segment: the peer sees both at once.
    void send_last(std::string_view data);

    // Closes so that the peer gets a reset.
    void reset();
    void close() { fd_.close(); }

    size_t unsent() const; // bytes that the peer's TCP has not acknowledged: SIOCOUTQ
    size_t unread() const; // bytes that wait here: FIONREAD

private:
    bool await_events(short events, const Deadline &deadline);

    UniqueFd fd_;
};

} // namespace e2e
