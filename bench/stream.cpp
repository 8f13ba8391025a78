// SPDX-License-Identifier: MIT
#include "stream.hpp"

#include "failure.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ws_load {

namespace {

// Of the 28,232 ports that Linux gives out by default, some are still in use by earlier connections.
constexpr size_t kConnectionsPerAddress = 8192;
constexpr uint32_t kAddresses = 16;

std::string error_text(const char *what) { return std::string(what) + ": " + strerror(errno); }

void set_option(int fd, int level, int name, int value) {
    if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
        throw no_resources(error_text("setsockopt"));
}

sockaddr_in loopback(uint32_t host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
}

}  // namespace

Stream::Stream(int port, size_t index, SSL_CTX *tls) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0)
        throw no_resources(error_text("socket"));
    set_option(fd_, IPPROTO_TCP, TCP_NODELAY, 1);
    // The port is chosen with the whole pair of addresses in view.
    set_option(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const sockaddr_in from = loopback(
        INADDR_LOOPBACK + static_cast<uint32_t>(index / kConnectionsPerAddress) % kAddresses, 0);
    const sockaddr_in to = loopback(INADDR_LOOPBACK, port);
    if (bind(fd_, reinterpret_cast<const sockaddr *>(&from), sizeof(from)) < 0)
        throw no_resources(error_text("bind"));
    if (connect(fd_, reinterpret_cast<const sockaddr *>(&to), sizeof(to)) < 0 &&
        errno != EINPROGRESS)
        throw refused(error_text("connect"));
    if (tls) {
        ssl_ = SSL_new(tls);
        if (!ssl_ || !SSL_set_fd(ssl_, fd_))
            throw no_resources("OpenSSL makes no connection");
        SSL_set_connect_state(ssl_);
    }
}

Stream::~Stream() {
    SSL_free(ssl_);
    close(fd_);
}

bool Stream::connected() {
    if (connecting_) {
        int error = 0;
        socklen_t size = sizeof(error);
        getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            throw refused(std::string("connect: ") + strerror(error));
        connecting_ = false;
        wants_write_ = false;
    }
    return !ssl_ || tls_done_ || tls_handshake();
}

bool Stream::tls_handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    wants_write_ = false;
    tls_done_ = result == 1;
    if (!tls_done_ && !tls_result(result, "TLS handshake") && ended_)
        throw refused("the server ends the connection in the TLS handshake");
    return tls_done_;
}

size_t Stream::tls_result(int result, const char *what) {
    if (result > 0)
        return static_cast<size_t>(result);
    switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        wants_write_ = true;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        ended_ = true;
        return 0;
    default:
        char text[256];
        ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
        throw closed(std::string(what) + ": " + (ERR_peek_error() ? text : strerror(errno)));
    }
}

size_t Stream::read(uint8_t *to, size_t size) {
    if (ssl_) {
        ERR_clear_error();
        return tls_result(SSL_read(ssl_, to, static_cast<int>(size)), "reading");
    }
    const ssize_t n = recv(fd_, to, size, 0);
    if (n > 0)
        return static_cast<size_t>(n);
    if (!n)
        ended_ = true;
    else if (errno != EAGAIN && errno != EINTR)
        throw closed(error_text("reading"));
    return 0;
}

size_t Stream::write(std::string_view bytes) {
    wants_write_ = false;
    if (ssl_) {
        ERR_clear_error();
        return tls_result(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())), "writing");
    }
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        throw closed(error_text("writing"));
    const size_t taken = n < 0 ? 0 : static_cast<size_t>(n);
    wants_write_ = taken < bytes.size();
    return taken;
}

SSL_CTX *tls_context() {
    static SSL_CTX *context = [] {
        SSL_CTX *made = SSL_CTX_new(TLS_client_method());
        if (!made)
            throw no_resources("OpenSSL makes no context");
        SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nullptr);
        // A write may be of one record only, and be repeated from another place.
        SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        // One recv() for many records.
        SSL_CTX_set_read_ahead(made, 1);
        SSL_CTX_set_default_read_buffer_len(made, 64 * 1024);
        return made;
    }();
    return context;
}

}  // namespace ws_load
