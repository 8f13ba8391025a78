// SPDX-License-Identifier: MIT
#include "connection.hpp"

#include "failure.hpp"

#include <algorithm>
#include <cctype>

namespace ws_load {

namespace {

// The key of RFC 6455, 1.3, and what has to be answered to it.
constexpr const char *kRequest =
    "GET / HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr size_t kLongestResponse = 8192;

// Masked with "mask"; status 1000.
constexpr std::string_view kCloseFrame = "\x88\x82mask\x6e\x89";

std::string request(Framing framing) {
    static constexpr const char *kDeflate = "Sec-WebSocket-Extensions: permessage-deflate";
    std::string text = kRequest;
    if (framing == Framing::deflated)
        text += std::string(kDeflate) + "\r\n";
    else if (framing == Framing::anew)
        text += std::string(kDeflate) + "; server_no_context_takeover\r\n";
    return text + "\r\n";
}

// The value of a header of a response; empty: it has none.
std::string_view header(std::string_view response, std::string_view name) {
    while (true) {
        const size_t end = response.find("\r\n");
        const std::string_view line = response.substr(0, end);
        if (line.size() > name.size() && line[name.size()] == ':' &&
            std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
                return tolower(static_cast<unsigned char>(a)) ==
                       tolower(static_cast<unsigned char>(b));
            })) {
            std::string_view value = line.substr(name.size() + 1);
            value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
            return value;
        }
        if (end == std::string_view::npos)
            return {};
        response.remove_prefix(end + 2);
    }
}

}  // namespace

Connection::Connection(const Target &target, size_t index, uint64_t sends, uint64_t receives,
                       Inflated *inflated)
    : messages_(*target.messages), index_(index), stream_(target.port, index, target.tls),
      receiver_(messages_, receives, inflated), next_(sends), end_(sends), sends_(sends) {}

size_t Connection::proceed(Buffer &buffer) {
    size_t messages = 0;
    if (state_ == State::opening) {
        if (!stream_.connected())
            return 0;
        open();
        if (state_ == State::opening && !upgraded(buffer, &messages))
            return 0;
    }
    if (state_ != State::ended)
        messages += receive(buffer);
    flush();
    return messages;
}

void Connection::open() {
    if (messages_.framing() == Framing::raw) {
        state_ = State::open;
        return;
    }
    if (request_.empty())
        other_ = request_ = request(messages_.framing());
    flush();
}

bool Connection::upgraded(Buffer &buffer, size_t *messages) {
    const size_t n = stream_.read(buffer.data(), buffer.size());
    if (!n && stream_.ended())
        throw refused("the server ends the connection before it answers the upgrade");
    const char *bytes = reinterpret_cast<const char *>(buffer.data());
    response_.append(bytes, n);
    const size_t end = response_.find("\r\n\r\n");
    if (end == std::string::npos) {
        if (response_.size() > kLongestResponse)
            throw bad_protocol("the answer to the upgrade has no end");
        return false;
    }
    const std::string_view head = std::string_view(response_).substr(0, end + 2);
    if (head.substr(0, 12) != "HTTP/1.1 101")
        throw refused("the upgrade is answered with '" +
                      std::string(head.substr(0, head.find("\r\n"))) + "'");
    if (header(head, "Sec-WebSocket-Accept") != kAccept)
        throw bad_protocol("the upgrade is answered with a wrong Sec-WebSocket-Accept");
    const std::string_view extensions = header(head, "Sec-WebSocket-Extensions");
    if (messages_.compressed() && extensions.substr(0, 18) != "permessage-deflate")
        throw refused("the server does not accept permessage-deflate");
    if (messages_.framing() == Framing::anew &&
        extensions.find("server_no_context_takeover") == std::string_view::npos)
        throw refused("the server does not accept server_no_context_takeover");
    state_ = State::open;
    const std::string rest = response_.substr(end + 4);
    request_ = response_ = {};
    *messages = receiver_.take(reinterpret_cast<const uint8_t *>(rest.data()), rest.size());
    return true;
}

size_t Connection::receive(Buffer &buffer) {
    size_t messages = 0, n = 0;
    do {
        n = stream_.read(buffer.data(), buffer.size());
        messages += receiver_.take(buffer.data(), n);
    } while (n && (stream_.is_tls() || n == buffer.size()));
    if (receiver_.close_received() && state_ != State::closing)
        throw closed("the server closes a connection");
    if (!n && stream_.ended()) {
        if (state_ != State::closing)
            throw closed("the server ends a connection");
        state_ = State::ended;
    }
    return messages;
}

void Connection::send(uint64_t messages) {
    end_ += messages;
    flush();
}

uint64_t Connection::stop_sending() {
    // A write that waits is repeated with the same bytes: OpenSSL insists.
    end_ = begun_ || wants_write() ? next_ + messages_.run(next_, end_ - next_).messages : next_;
    return end_ - sends_;
}

void Connection::close() {
    state_ = State::closing;
    other_ = kCloseFrame;
    flush();
}

bool Connection::write_all(std::string_view *bytes) {
    while (!bytes->empty()) {
        const size_t n = stream_.write(*bytes);
        bytes->remove_prefix(n);
        if (!n || stream_.wants_write())
            break;
    }
    return bytes->empty();
}

void Connection::flush() {
    if (!write_all(&other_))
        return;
    while (next_ != end_) {
        const Messages::Run run = messages_.run(next_, end_ - next_);
        std::string_view rest = run.bytes.substr(begun_);
        if (write_all(&rest)) {
            next_ += run.messages;
            begun_ = 0;
            continue;
        }
        const Messages::Position at = messages_.position(next_, run.bytes.size() - rest.size());
        next_ += at.messages;
        begun_ = at.bytes;
        return;
    }
}

}  // namespace ws_load
