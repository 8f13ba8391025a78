// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace fuzz {

using std::operator""sv;

inline constexpr std::string_view kAmqpHeader = "AMQP\0\1\0\0"sv;

// Performatives, as their bytes are (AMQP 1.0, 2.7).
inline constexpr std::string_view kOpen = "\0\x53\x10\xc0\x07\x01\xa1\x04peer"sv;
// begin: no remote channel, next outgoing id 0, windows of 2048 frames.
inline constexpr std::string_view kBegin =
    "\0\x53\x11\xc0\x0d\x04\x40\x43\x70\0\0\x08\0\x70\0\0\x08\0"sv;
// attach: a name, handle, role; source and target are the queue "q".
inline constexpr std::string_view kAttachSender =
    "\0\x53\x12\xc0\x1d\x0a\xa1\1a\x43\x42\x40\x40\0\x53\x28\xc0\4\1\xa1\1q"
    "\0\x53\x29\xc0\4\1\xa1\1q\x40\x40\x43"sv;
inline constexpr std::string_view kAttachReceiver =
    "\0\x53\x12\xc0\x1b\7\xa1\1b\x52\1\x41\x40\x40\0\x53\x28\xc0\4\1\xa1\1q"
    "\0\x53\x29\xc0\4\1\xa1\1q"sv;
// flow: handle 1 may be sent ten messages.
inline constexpr std::string_view kCredit =
    "\0\x53\x13\xc0\x12\7\x43\x70\0\0\x08\0\x43\x70\0\0\x08\0\x52\1\x43\x52\x0a"sv;

inline std::string amqp_frame(uint8_t type, uint8_t channel, std::string_view body) {
    const size_t size = 8 + body.size();
    std::string frame;
    for (int shift = 24; shift >= 0; shift -= 8)
        frame += static_cast<char>(size >> shift);
    frame += '\2';
    frame += static_cast<char>(type);
    frame += '\0';
    frame += static_cast<char>(channel);
    return frame.append(body);
}

// AMQP frames of what has a byte each of kind and channel, two of length, and the body: their heads are
// made so that they fit. Kind 'a' is AMQP's, 's' is SASL's; 'r' are bytes as they are, without a head.
inline std::string amqp_frames(std::string_view input) {
    constexpr size_t head = 4;
    std::string wire;
    while (input.size() >= head) {
        const auto byte = [&](size_t i) { return static_cast<uint8_t>(input[i]); };
        const size_t length = std::min<size_t>(size_t{byte(2)} << 8 | byte(3), input.size() - head);
        const std::string_view body = input.substr(head, length);
        if (input[0] == 'r')
            wire.append(body);
        else
            wire += amqp_frame(input[0] == 'a' ? 0 : input[0] == 's' ? 1 : byte(0), byte(1), body);
        input.remove_prefix(head + length);
    }
    return wire;
}

// WebSocket messages with these bytes, masked with zeros.
inline std::string binary_messages(std::string_view bytes) {
    constexpr size_t most = 16 * 1024;
    std::string wire;
    while (!bytes.empty()) {
        const size_t n = std::min(bytes.size(), most);
        wire += "\x82\xfe";
        wire += static_cast<char>(n >> 8);
        wire += static_cast<char>(n);
        wire.append(4, '\0').append(bytes, 0, n);
        bytes.remove_prefix(n);
    }
    return wire;
}

}  // namespace fuzz
