// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ws_load {

enum class Framing {
    websocket,
    deflated,  // WebSocket with permessage-deflate
    anew,      // the same, but the server deflates each message without the ones before it
    raw,       // no handshake and no frames: the bytes of `websocket`'s frames come back as they are
};

// What is sent and has to come back, made once and shared by all connections, so that sending a
// batch is one send() of bytes that lie ready. There are a few hundred different messages, which are
// sent over and over: number n is message n modulo count(). Each begins with its number and is of
// words, so that it deflates as text does. Masks are all different and none is zero, for which
// servers have short cuts.
//
// Deflated messages do not refer to earlier ones, which a sender is free to do.
class Messages {
public:
    // Of `size` bytes each, at least kSmallest. No connection has more than `in_flight` under way.
    Messages(Framing framing, bool text, size_t size, size_t in_flight);

    static constexpr size_t kSmallest = 8;

    Framing framing() const { return framing_; }
    bool compressed() const { return framing_ == Framing::deflated || framing_ == Framing::anew; }
    bool text() const { return text_; }
    size_t count() const { return count_; }

    // Messages `number` and following as they are sent, all `many` if these are at most `in_flight`.
    struct Run {
        std::string_view bytes;
        size_t messages;
    };
    Run run(uint64_t number, uint64_t many) const;

    // How many whole messages the first `bytes` bytes of that run are, and how many bytes more.
    struct Position {
        size_t messages;
        size_t bytes;
    };
    Position position(uint64_t number, size_t bytes) const;

    // Message `number` as it has to come back, without its frame.
    std::string_view expected(uint64_t number) const {
        return std::string_view(expected_).substr((number % count_) * expected_size_,
                                                  expected_size_);
    }

    // Bytes of an average message on the wire, to the server.
    double wire_size() const { return static_cast<double>(starts_[count_]) / static_cast<double>(count_); }

private:
    Framing framing_;
    bool text_;
    size_t count_;
    // All messages, and the first ones again: a run goes on beyond the last. starts_[i] is where
    // message i begins in wire_; one more tells the end.
    std::string wire_;
    std::vector<size_t> starts_;
    size_t expected_size_;
    std::string expected_;
};

}  // namespace ws_load
