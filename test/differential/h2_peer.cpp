#include "h2_peer.hpp"

#include "check.hpp"

#include <algorithm>

namespace differential {

namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint16_t kInitialWindowSize = 4;  // the setting's number
constexpr uint32_t kWindow = 10 * 1000 * 1000;

std::string big_endian(uint64_t value, int bytes) {
    std::string text;
    for (int i = bytes; i--;)
        text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
}

uint32_t number(const std::string &bytes) {
    uint32_t value = 0;
    for (const char byte : bytes)
        value = value << 8 | static_cast<uint8_t>(byte);
    return value;
}

std::string literal(const std::string &text) {
    CHECK(text.size() < 127);
    return static_cast<char>(text.size()) + text;
}

}  // namespace

H2Peer::H2Peer(Play &play) : Peer(play, "tls") {
    start_tls("h2");
    send(kPreface);
    send_frame(settings, none, 0, big_endian(kInitialWindowSize, 2) + big_endian(kWindow, 4));
    send_frame(window_update, none, 0, big_endian(kWindow, 4));
    for (bool mine = false, theirs = false; !mine || !theirs;) {
        const H2Frame frame = receive_frame();
        if (frame.type != settings)
            continue;
        mine = mine || frame.flags & ack;
        if (!(frame.flags & ack)) {
            theirs = true;
            send_frame(settings, ack, 0);
        }
    }
}

void H2Peer::send_frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string &payload) {
    send(big_endian(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) +
         big_endian(stream, 4) + payload);
}

void H2Peer::send_headers(uint32_t stream, const Headers &fields, uint8_t more_flags) {
    std::string block;
    for (const auto &[name, value] : fields)
        block += '\0' + literal(name) + literal(value);
    send_frame(headers, end_headers | more_flags, stream, block);
}

void H2Peer::get(uint32_t stream, const std::string &path) {
    send_headers(
        stream,
        {{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}},
        end_stream);
}

void H2Peer::post(uint32_t stream, const std::string &path) {
    send_headers(
        stream,
        {{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}});
}

H2Frame H2Peer::receive_frame() {
    const std::string head = await_bytes(9);
    H2Frame frame{static_cast<uint8_t>(head[3]), static_cast<uint8_t>(head[4]),
                  number(head.substr(5)) & 0x7fffffff, ""};
    frame.payload = await_bytes(number(head.substr(0, 3)));
    return frame;
}

H2Frame H2Peer::await_frame(uint32_t stream) {
    const auto earlier = std::find_if(of_other_streams_.begin(), of_other_streams_.end(),
                                      [&](const H2Frame &frame) { return frame.stream == stream; });
    if (earlier != of_other_streams_.end()) {
        H2Frame frame = std::move(*earlier);
        of_other_streams_.erase(earlier);
        return frame;
    }
    while (true) {
        H2Frame frame = receive_frame();
        if (frame.type == window_update)
            continue;
        if (frame.stream == stream)
            return frame;
        if (frame.stream)
            of_other_streams_.push_back(std::move(frame));
    }
}

std::string H2Peer::await_data(uint32_t stream, size_t count) {
    std::string all;
    while (all.size() < count) {
        const H2Frame frame = await_frame(stream);
        if (frame.type == data)
            all += frame.payload;
        if (frame.type == reset_stream)
            FAIL("stream " + std::to_string(stream) + " was reset");
        if (frame.flags & end_stream)
            break;
    }
    return all;
}

}  // namespace differential
