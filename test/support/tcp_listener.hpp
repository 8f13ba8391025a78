// A TCP listener for peers that a test plays itself. Its accept() waits, under the watchdog.
#pragma once

#include "tcp_socket.hpp"
#include "unique_fd.hpp"

#include <vector>

namespace e2e {

class TcpListener {
public:
    // Listens on a free port of an address, such as "127.0.0.1" or "::1".
    explicit TcpListener(const char *address = "127.0.0.1", int backlog = 64);

    int port() const { return port_; }
    TcpSocket accept();

    // Fills the queue of connections that wait for accept(): one that comes now is not answered.
    // They stay as long as what is returned.
    std::vector<TcpSocket> fill_queue();

    void close() { fd_.close(); }

private:
    UniqueFd fd_;
    int port_ = 0;
};

// A port on 127.0.0.1 where nobody listens.
int closed_port();

} // namespace e2e
