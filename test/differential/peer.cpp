#include "peer.hpp"

#include "check.hpp"
#include "waiting.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <cctype>
#include <functional>

namespace differential {

using e2e::Deadline;
using e2e::Io;

namespace {

std::string escaped(char byte) {
    if (isprint(static_cast<unsigned char>(byte)))
        return {byte};
    char hexadecimal[8];
    snprintf(hexadecimal, sizeof hexadecimal, "\\x%02x", byte & 0xff);
    return hexadecimal;
}

// The same byte many times over is written as "b{1000000}".
std::string described(const std::string &bytes) {
    constexpr size_t kMostShown = 600, kLongRun = 16;
    std::string text;
    for (size_t begin = 0, end; begin < bytes.size(); begin = end) {
        end = std::min(bytes.find_first_not_of(bytes[begin], begin), bytes.size());
        if (end - begin >= kLongRun)
            text += escaped(bytes[begin]) + "{" + std::to_string(end - begin) + "}";
        else
            for (size_t i = begin; i < end; ++i)
                text += escaped(bytes[begin]);
        if (text.size() > kMostShown)
            return std::to_string(bytes.size()) + " bytes, hash " +
                   std::to_string(std::hash<std::string>()(bytes));
    }
    return std::to_string(bytes.size()) + " bytes, " + text;
}

std::string tls_error() {
    char text[256];
    ERR_error_string_n(ERR_peek_error(), text, sizeof text);
    return text;
}

}  // namespace

Peer::Peer(Play &play, const std::string &vhost, const e2e::SocketOptions &options)
    : play_(play), socket_(play.port(vhost), options) {
    play.one_more_connection();
    // A peer that does nothing but close is to have been connected.
    CHECK(socket_.await_writable());
}

void Peer::start_tls(const std::string &alpn) {
    tls_context_.reset(SSL_CTX_new(TLS_client_method()));
    tls_.reset(SSL_new(tls_context_.get()));
    CHECK(tls_ && SSL_set_fd(tls_.get(), socket_.fd()));
    if (!alpn.empty()) {
        const std::string list = static_cast<char>(alpn.size()) + alpn;
        SSL_set_alpn_protos(tls_.get(), reinterpret_cast<const uint8_t *>(list.data()),
                            static_cast<unsigned>(list.size()));
    }
    for (int done = 0; done != 1;) {
        ERR_clear_error();
        done = SSL_connect(tls_.get());
        if (done != 1 && !await_tls(done))
            FAIL("the TLS handshake failed: " + tls_error());
    }
}

bool Peer::await_tls(int result) {
    switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
        CHECK(socket_.await_readable());
        return true;
    case SSL_ERROR_WANT_WRITE:
        CHECK(socket_.await_writable());
        return true;
    default:
        return false;
    }
}

void Peer::send(std::string_view bytes) {
    if (!tls_) {
        socket_.send_all(bytes);
        return;
    }
    for (int sent = 0; sent <= 0;) {
        ERR_clear_error();
        sent = SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()));
        if (sent <= 0 && !await_tls(sent))
            FAIL("the server takes nothing over TLS: " + tls_error());
    }
}

void Peer::send_slowly(std::string_view bytes) {
    for (const char byte : bytes) {
        send({&byte, 1});
        // Until it is acknowledged the next would join it.
        e2e::await("the byte to arrive", [this] { return socket_.unsent() == 0; });
    }
}

bool Peer::receive() {
    char block[65536];
    if (tls_) {
        ERR_clear_error();
        const int got = SSL_read(tls_.get(), block, sizeof block);
        if (got > 0)
            received_.append(block, static_cast<size_t>(got));
        else if (!await_tls(got))
            how_it_ended_ = SSL_get_shutdown(tls_.get()) & SSL_RECEIVED_SHUTDOWN
                                ? "close_notify"
                                : "no close_notify";
        return how_it_ended_.empty();
    }
    if (!socket_.await_readable())
        FAIL("the program sends nothing more; so far: " + described(received_));
    const e2e::IoResult got = socket_.receive_some(block, sizeof block);
    if (got.state == Io::closed)
        how_it_ended_ = "end of stream";
    if (got.state == Io::reset)
        how_it_ended_ = "reset";
    received_.append(block, got.bytes);
    return how_it_ended_.empty();
}

void Peer::await(const std::string &text) {
    size_t at;
    while ((at = received_.find(text, awaited_)) == std::string::npos)
        if (!receive())
            FAIL("the connection ended before '" + text + "'; so far: " + described(received_));
    awaited_ = at + text.size();
}

std::string Peer::await_bytes(size_t count) {
    while (received_.size() < awaited_ + count)
        if (!receive())
            FAIL("the connection ended too soon; so far: " + described(received_));
    awaited_ += count;
    return received_.substr(awaited_ - count, count);
}

void Peer::discard_to_end() {
    while (receive()) {
    }
}

void Peer::await_end() {
    discard_to_end();
    tell();
}

void Peer::tell() {
    play_.saw("received " + described(received_) +
              (how_it_ended_.empty() ? "" : " then " + how_it_ended_));
}

void Peer::end_tls() {
    SSL_shutdown(tls_.get());
}

}  // namespace differential
