#include "session.hpp"

#include "check.hpp"

#include <algorithm>

namespace conformance {

namespace {

// The example key of RFC 6455, section 1.3, and the answer to it.
constexpr const char *kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr const char *kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::string hex(std::string_view bytes) {
    std::string out;
    char digits[3];
    for (const char byte : bytes.substr(0, 64)) {
        snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
        out += digits;
    }
    return out;
}

}  // namespace

Session::Session(const std::string &offer) : peer_(connect_to_echo()) {
    peer_->send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                std::string(kKey) + "\r\n" +
                (offer.empty() ? "" : "Sec-WebSocket-Extensions: " + offer + "\r\n") + "\r\n");
    std::string &received = peer_->received;
    size_t end;
    while ((end = received.find("\r\n\r\n")) == std::string::npos)
        if (!peer_->receive_more())
            FAIL("the handshake was not answered: " + received);
    const std::string head = received.substr(0, end + 2);
    received.erase(0, end + 4);
    CHECK_EQ(head.rfind("HTTP/1.1 101 ", 0), 0u);
    CHECK(head.find(kAccept) != std::string::npos);
    const std::string name = "\r\nSec-WebSocket-Extensions: ";
    if (const size_t at = head.find(name); at != std::string::npos)
        extensions_ =
            head.substr(at + name.size(), head.find("\r\n", at + name.size()) - at - name.size());
}

Frame Session::frame() {
    if (auto kept = take_frame(&controls_))
        return *kept;
    while (true) {
        if (auto frame = take_frame(&peer_->received))
            return *frame;
        if (!peer_->receive_more())
            FAIL("the connection ended before the next frame; left: " + hex(peer_->received));
    }
}

Message Session::message() {
    std::string controls;
    const auto next_data = [&] {
        while (true) {
            Frame next = frame();
            if (next.opcode == kClose)
                FAIL("closed instead of a message: " + hex(next.payload));
            if (!(next.opcode & 8))
                return next;
            std::string head =
                frame_head({next.opcode, true, next.rsv, false}, next.payload.size());
            controls += head + next.payload;
        }
    };
    Frame next = next_data();
    CHECK(next.opcode == kText || next.opcode == kBinary);
    CHECK(!(next.rsv & ~kRsv1));
    Message message{next.opcode, next.rsv == kRsv1, std::move(next.payload)};
    while (!next.final) {
        next = next_data();
        CHECK_EQ(+next.opcode, +kContinuation);
        CHECK_EQ(+next.rsv, 0);
        message.payload += next.payload;
    }
    controls_ = controls + controls_;
    return message;
}

void Session::check_echo(uint8_t kind, std::string_view payload) {
    const Message echo = message();
    CHECK_EQ(+echo.kind, +kind);
    CHECK(!echo.compressed);
    CHECK_EQ(echo.payload.size(), payload.size());
    CHECK(echo.payload == payload);
}

void Session::check_alive() {
    send(text_frame("still there?"));
    check_echo(kText, "still there?");
}

void Session::check_pong(std::string_view payload) {
    const Frame pong = frame();
    CHECK_EQ(+pong.opcode, +kPong);
    CHECK_EQ(+pong.rsv, 0);
    CHECK_EQ(pong.payload, payload);
}

void Session::check_close(std::string_view payload) {
    const Frame close = frame();
    CHECK_EQ(+close.opcode, +kClose);
    CHECK_EQ(+close.rsv, 0);
    CHECK_EQ(hex(close.payload), hex(payload));
    check_end();
}

void Session::check_failed(uint16_t code) {
    Frame next = frame();
    while (!(next.opcode & 8))
        next = frame();
    CHECK_EQ(+next.opcode, +kClose);
    CHECK_GE(next.payload.size(), 2u);
    CHECK_EQ(static_cast<uint8_t>(next.payload[0]) << 8 | static_cast<uint8_t>(next.payload[1]),
             code);
    check_end();
}

void Session::check_end() {
    while (peer_->receive_more())
        ;
    CHECK_EQ(hex(peer_->received), "");
}

}  // namespace conformance
