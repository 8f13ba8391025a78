// TLS over a TcpSocket, by OpenSSL. Its calls wait, under the watchdog. Certificates are not
// verified: who the server says it is can be asked for.
#pragma once

#include "tcp_socket.hpp"

#include <memory>
#include <string>
#include <string_view>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace e2e {

class TlsClient {
public:
    // Connects to 127.0.0.1 and shakes hands, asking for `server_name` if it is not empty.
    explicit TlsClient(int port, const std::string &server_name = "");

    TcpSocket &socket() { return socket_; }
    // The CN of the server's certificate.
    std::string server_common_name() const;

    void send_all(std::string_view data);
    // What came in one record.
    std::string receive_some();
    // Until the server ends the connection.
    std::string receive_to_end();

private:
    // Calls until it succeeds; 0: end of stream.
    template <typename Call> int complete(const char *what, Call call);

    TcpSocket socket_;
    std::shared_ptr<SSL_CTX> context_;
    std::shared_ptr<SSL> ssl_;
};

} // namespace e2e
