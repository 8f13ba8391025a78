// SPDX-License-Identifier: MIT
#pragma once

#include "messages.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ws_load {

// For Framing::anew: how the server deflated each message, as it was inflated and found to be right
// once. The same bytes are right again. Of a thread, for all its connections.
using Inflated = std::vector<std::string>;

// What comes from the server, parsed where it was received, and checked: messages in order, from
// number `first` on, each with every byte. Pieces may be cut anywhere, and so may messages: a server
// may send fragments.
class Receiver {
public:
    // `inflated` has a place for each message, empty at first; null: unless it is Framing::anew.
    Receiver(const Messages &messages, uint64_t first, Inflated *inflated);
    ~Receiver();
    Receiver(const Receiver &) = delete;
    Receiver &operator=(const Receiver &) = delete;

    // How many messages ended in these bytes. Throws a Failure.
    size_t take(const uint8_t *data, size_t size);

    // The server has sent a close frame; what follows it is not looked at.
    bool close_received() const { return close_received_; }

private:
    struct Inflater;
    // RFC 6455, 5.2, without a mask: at most two bytes and a length of eight.
    static constexpr size_t kLongestHeader = 10;

    const uint8_t *header(const uint8_t *data, const uint8_t *end);
    void begin_frame(uint8_t first_byte, uint64_t length);
    size_t take_payload(const uint8_t *data, size_t size);
    void payload(const uint8_t *data, size_t size);
    void compare(const uint8_t *data, size_t size);
    [[noreturn]] void differs(const uint8_t *data, size_t size) const;
    size_t end_frame();
    void end_message();

    const Messages &messages_;
    uint64_t number_;      // of the message that is expected
    size_t offset_ = 0;    // in it
    uint64_t left_ = 0;    // of the frame's payload
    uint64_t frame_size_ = 0;
    std::array<uint8_t, kLongestHeader> header_{};
    uint8_t header_size_ = 0;   // bytes of a header that is incomplete
    bool in_frame_ = false;
    bool in_message_ = false;   // a fragment of it has been
    bool final_ = false;
    bool unfragmented_ = false;
    bool control_ = false;
    bool close_received_ = false;
    std::unique_ptr<Inflater> inflater_;
    Inflated *inflated_;
};

}  // namespace ws_load
