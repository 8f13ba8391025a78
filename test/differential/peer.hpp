// The other end of a connection to the program, over TCP or TLS. What it receives it remembers, and
// the play is told of it at the end.
#pragma once

#include "stage.hpp"
#include "tcp_socket.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

namespace differential {

class Peer {
public:
    Peer(Play &play, const std::string &vhost, const e2e::SocketOptions &options = {});

    // TLS from now on. `alpn` is a protocol's name, or empty.
    void start_tls(const std::string &alpn = "");

    void send(std::string_view bytes);
    // Byte by byte, each in a segment of its own.
    void send_slowly(std::string_view bytes);

    // Waits until `text` has come, after what earlier calls have waited for.
    void await(const std::string &text);
    // Waits for so many bytes more.
    std::string await_bytes(size_t count);

    // Waits for the end of what the program sends, and tells the play.
    void await_end();
    // The same, when what it sends depends on how the network cuts it.
    void discard_to_end();
    // Tells the play what has come so far.
    void tell();

    // With TLS: sends close_notify.
    void end_tls();
    void half_close() { socket_.shutdown_write(); }
    void close() { socket_.close(); }
    void reset() { socket_.reset(); }

    e2e::TcpSocket &socket() { return socket_; }

private:
    struct FreeTls {
        void operator()(SSL_CTX *context) const { SSL_CTX_free(context); }
        void operator()(SSL *tls) const { SSL_free(tls); }
    };

    // False: nothing will come any more.
    bool receive();
    // What an SSL_...() call waits for. False: it has failed.
    bool await_tls(int result);

    Play &play_;
    e2e::TcpSocket socket_;
    std::unique_ptr<SSL_CTX, FreeTls> tls_context_;
    std::unique_ptr<SSL, FreeTls> tls_;
    std::string received_;
    size_t awaited_ = 0;
    std::string how_it_ended_;
};

}  // namespace differential
