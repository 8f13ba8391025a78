// SPDX-License-Identifier: MIT
#include "receiver.hpp"

#include "failure.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace ws_load {

namespace {

constexpr uint8_t kFinal = 0x80, kCompressed = 0x40, kReserved = 0x30, kOpcode = 0x0f, kControl = 0x08;
constexpr uint8_t kContinuation = 0, kText = 1, kBinary = 2, kClose = 8;

}  // namespace

struct Receiver::Inflater {
    Inflater() {
        if (inflateInit2(&stream, -15) != Z_OK)
            throw no_resources("zlib cannot begin to inflate");
    }
    ~Inflater() { inflateEnd(&stream); }
    Inflater(const Inflater &) = delete;
    Inflater &operator=(const Inflater &) = delete;

    z_stream stream{};
    std::array<uint8_t, 16 * 1024> out;
};

Receiver::Receiver(const Messages &messages, uint64_t first, Inflated *inflated)
    : messages_(messages), number_(first), inflated_(inflated) {
    if (messages.compressed())
        inflater_ = std::make_unique<Inflater>();
}

Receiver::~Receiver() = default;

size_t Receiver::take(const uint8_t *data, size_t size) {
    const uint8_t *end = data + size;
    size_t ended = 0;
    if (messages_.framing() == Framing::raw) {
        while (data != end) {
            const size_t whole = messages_.expected(number_).size();
            const size_t piece = std::min(static_cast<size_t>(end - data), whole - offset_);
            compare(data, piece);
            data += piece;
            if (offset_ == whole) {
                end_message();
                ++ended;
            }
        }
        return ended;
    }
    while (data != end && !close_received_) {
        if (!in_frame_) {
            data = header(data, end);
            if (!in_frame_)
                break;
        }
        const size_t piece =
            static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(end - data), left_));
        ended += take_payload(data, piece);
        data += piece;
    }
    return ended;
}

// Bytes of a frame; 1 if a message ends with them.
size_t Receiver::take_payload(const uint8_t *data, size_t size) {
    left_ -= size;
    if (control_)
        return left_ ? 0 : end_frame();
    // It stands by itself, and for all of a message.
    const bool alone = inflated_ && unfragmented_ && size == frame_size_;
    std::string *before = alone ? &(*inflated_)[number_ % messages_.count()] : nullptr;
    if (alone && before->size() == size && !memcmp(before->data(), data, size)) {
        in_frame_ = in_message_ = false;
        end_message();
        return 1;
    }
    payload(data, size);
    if (left_)
        return 0;
    const size_t ended = end_frame();
    if (alone)
        before->assign(reinterpret_cast<const char *>(data), size);
    return ended;
}

// Reads a frame's header, which begins a frame if it is complete; returns where its payload begins.
const uint8_t *Receiver::header(const uint8_t *data, const uint8_t *end) {
    const auto header_size = [](uint8_t second) -> size_t {
        return (second & 0x7f) == 127 ? 10 : (second & 0x7f) == 126 ? 4 : 2;
    };
    const uint8_t *from = data;
    if (header_size_ || end - data < static_cast<std::ptrdiff_t>(kLongestHeader)) {
        // It may be cut: collected byte by byte.
        while (header_size_ < 2 || header_size_ < header_size(header_[1])) {
            if (data == end)
                return data;
            header_[header_size_++] = *data++;
        }
        header_size_ = 0;
        from = header_.data();
    } else {
        data += header_size(data[1]);
    }

    if (from[1] & 0x80)
        throw bad_protocol("the server masks its frames");
    uint64_t length = from[1];
    const size_t bytes = header_size(from[1]);
    if (bytes > 2) {
        length = 0;
        for (size_t i = 2; i < bytes; ++i)
            length = length << 8 | from[i];
    }
    begin_frame(from[0], length);
    return data;
}

void Receiver::begin_frame(uint8_t first_byte, uint64_t length) {
    const uint8_t opcode = first_byte & kOpcode;
    const bool compressed = first_byte & kCompressed;
    in_frame_ = true;
    frame_size_ = left_ = length;
    control_ = opcode & kControl;
    final_ = first_byte & kFinal;
    unfragmented_ = final_ && !in_message_;
    if (first_byte & kReserved)
        throw bad_protocol("a frame with reserved bits");
    if (control_) {
        close_received_ = opcode == kClose;
        return;
    }
    const uint8_t wanted = in_message_ ? kContinuation : messages_.text() ? kText : kBinary;
    if (opcode != wanted)
        throw bad_protocol("a frame of opcode " + std::to_string(opcode) + ", not " +
                           std::to_string(wanted));
    // In the first frame it says for the whole message. One that is not would be too cheap.
    if (compressed != (inflater_ && !in_message_))
        throw bad_protocol(compressed ? "a compressed frame where there can be none"
                                      : "a message that is not compressed");
    in_message_ = true;
}

void Receiver::payload(const uint8_t *data, size_t size) {
    if (!inflater_) {
        compare(data, size);
        return;
    }
    z_stream &stream = inflater_->stream;
    stream.next_in = const_cast<Bytef *>(data);
    stream.avail_in = static_cast<uInt>(size);
    // With its output full zlib may hold back more.
    do {
        stream.next_out = inflater_->out.data();
        stream.avail_out = static_cast<uInt>(inflater_->out.size());
        const int result = inflate(&stream, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR)
            throw corrupted("message " + std::to_string(number_) + " does not inflate");
        compare(inflater_->out.data(), inflater_->out.size() - stream.avail_out);
    } while (!stream.avail_out);
}

void Receiver::compare(const uint8_t *data, size_t size) {
    const std::string_view expected = messages_.expected(number_);
    if (size > expected.size() - offset_)
        throw corrupted("message " + std::to_string(number_) + " is longer than what was sent");
    if (memcmp(data, expected.data() + offset_, size) != 0)
        differs(data, size);
    offset_ += size;
}

// Another whole message in the place of the expected one, or other bytes?
void Receiver::differs(const uint8_t *data, size_t size) const {
    if (!offset_)
        for (size_t i = 0; i < messages_.count(); ++i) {
            const std::string_view other = messages_.expected(i);
            if (size >= Messages::kSmallest &&
                !memcmp(data, other.data(), std::min(size, other.size())))
                throw out_of_order("message " + std::to_string(i) + " of " +
                                   std::to_string(messages_.count()) + " in the place of message " +
                                   std::to_string(number_ % messages_.count()));
        }
    const std::string_view expected = messages_.expected(number_);
    size_t at = 0;
    while (data[at] == static_cast<uint8_t>(expected[offset_ + at]))
        ++at;
    throw corrupted("byte " + std::to_string(offset_ + at) + " of message " +
                    std::to_string(number_) + " is not what was sent");
}

size_t Receiver::end_frame() {
    in_frame_ = false;
    if (control_ || !final_)
        return 0;
    if (inflater_) {
        // RFC 7692, 7.2.2: what the sender has left out.
        static constexpr std::array<uint8_t, 4> kTail = {0, 0, 0xff, 0xff};
        payload(kTail.data(), kTail.size());
    }
    if (offset_ != messages_.expected(number_).size())
        throw corrupted("message " + std::to_string(number_) + " is shorter than what was sent");
    in_message_ = false;
    end_message();
    return 1;
}

void Receiver::end_message() {
    offset_ = 0;
    ++number_;
    if (inflated_)
        inflateReset(&inflater_->stream);
}

}  // namespace ws_load
