// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace ws_load {

// A non-blocking connection to the server, plain or under TLS. Failures are thrown.
class Stream {
public:
    // Begins to connect to 127.0.0.1:`port`. Connections of many `index`es have several addresses of
    // their own, since one has too few ports. `tls` null: plain.
    Stream(int port, size_t index, SSL_CTX *tls);
    ~Stream();
    Stream(const Stream &) = delete;
    Stream &operator=(const Stream &) = delete;

    int fd() const { return fd_; }

    // Goes on with connecting and with the TLS handshake, once epoll has reported something; true:
    // both are done.
    bool connected();

    // What can be had now; 0: nothing, or the end of the stream. Less than `size` does not mean that
    // there is no more.
    size_t read(uint8_t *to, size_t size);
    bool ended() const { return ended_; }

    // How much was taken. More cannot be written now if it is nothing, or if wants_write().
    size_t write(std::string_view bytes);

    // epoll is to tell when it can be written to.
    bool wants_write() const { return wants_write_; }

    // OpenSSL may hold bytes that epoll knows nothing of: read until there is nothing.
    bool is_tls() const { return ssl_ != nullptr; }

private:
    bool tls_handshake();
    // 0 if the call is to be made again later.
    size_t tls_result(int result, const char *what);

    int fd_ = -1;
    SSL *ssl_ = nullptr;
    bool connecting_ = true;
    bool tls_done_ = false;
    bool wants_write_ = true;
    bool ended_ = false;
};

// For clients; the server's certificate is not looked at. Lives until the program ends.
SSL_CTX *tls_context();

}  // namespace ws_load
