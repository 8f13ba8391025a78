// TLS over a TcpSocket, by OpenSSL. Its calls wait, under the watchdog. Certificates are not
// verified: who a server says it is can be asked for.
#pragma once

#include "tcp_socket.hpp"

#include <memory>
#include <string>
#include <string_view>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace e2e {

class TlsStream {
public:
    TcpSocket &socket() { return socket_; }

    void send_all(std::string_view data);
    // What came in one record.
    std::string receive_some();
    // Until the peer ends the connection.
    std::string receive_to_end();

    // Sends close_notify.
    void end();
    // Whether the peer has sent it.
    bool ended_by_peer() const;

protected:
    TlsStream(TcpSocket socket, SSL_CTX *context);

    // Calls until it succeeds; 0: end of stream.
    template <typename Call> int complete(const char *what, Call call);

    TcpSocket socket_;
    std::shared_ptr<SSL_CTX> context_;
    std::shared_ptr<SSL> ssl_;
};

class TlsClient : public TlsStream {
public:
    // Connects to 127.0.0.1 and shakes hands, asking for `server_name` if it is not empty.
    explicit TlsClient(int port, const std::string &server_name = "");

    // The CN of the server's certificate.
    std::string server_common_name() const;
};

class TlsServer : public TlsStream {
public:
    // Shakes hands with an accepted client. The certificate and its key are PEM files.
    TlsServer(TcpSocket accepted, const std::string &certificate, const std::string &key);
};

} // namespace e2e
