// SPDX-License-Identifier: MIT
#include "messages.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <random>
#include <stdexcept>

namespace ws_load {

namespace {

// Messages fit into the processor's second-level cache, beside what else is in use.
constexpr size_t kPoolBytes = 256 * 1024;
constexpr size_t kMostMessages = 1024;

// More than are in flight: so one that comes in the place of another is told from it.
size_t pool_count(size_t size, size_t in_flight) {
    return std::max(in_flight + 1, std::clamp<size_t>(kPoolBytes / size, 2, kMostMessages));
}

using Random = std::minstd_rand;

std::string payload(size_t number, size_t size, Random &random) {
    static constexpr std::array<const char *, 16> kWords = {
        "time",  "price",  "volume", "bid",     "ask",     "symbol", "status", "open",
        "close", "update", "trade",  "channel", "message", "user",   "true",   "null"};
    const std::string digits = std::to_string(number);
    std::string text = std::string(Messages::kSmallest - digits.size(), '0') + digits;
    while (text.size() < size) {
        text += ' ';
        text += kWords[random() % kWords.size()];
        text += std::to_string(random() % 1000);
    }
    text.resize(size);
    return text;
}

std::string deflated(const std::string &payload) {
    z_stream stream{};
    // No window, no header: "raw".
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::runtime_error("zlib cannot begin to deflate");
    std::string out(deflateBound(&stream, payload.size()) + 16, '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(payload.data()));
    stream.avail_in = static_cast<uInt>(payload.size());
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int result = deflate(&stream, Z_SYNC_FLUSH);
    const size_t size = out.size() - stream.avail_out;
    deflateEnd(&stream);
    // RFC 7692, 7.2.1: the empty block at the end, of four bytes, is not sent.
    if (result != Z_OK || size < 4)
        throw std::runtime_error("zlib cannot deflate");
    out.resize(size - 4);
    return out;
}

// RFC 6455, 5.2: one final frame of a client.
std::string frame(const std::string &data, bool text, bool compressed, Random &random) {
    std::string out;
    out += static_cast<char>(0x80 | (compressed ? 0x40 : 0) | (text ? 1 : 2));
    const size_t size = data.size();
    const auto big_endian = [&](int bytes) {
        while (bytes--)
            out += static_cast<char>(static_cast<uint64_t>(size) >> (8 * bytes));
    };
    if (size < 126) {
        out += static_cast<char>(0x80 | size);
    } else if (size < 65536) {
        out += static_cast<char>(0x80 | 126);
        big_endian(2);
    } else {
        out += static_cast<char>(0x80 | 127);
        big_endian(8);
    }
    std::array<char, 4> mask{};
    for (char &byte : mask)
        byte = static_cast<char>(1 + random() % 255);
    out.append(mask.data(), mask.size());
    for (size_t i = 0; i < size; ++i)
        out += static_cast<char>(data[i] ^ mask[i % 4]);
    return out;
}

}  // namespace

Messages::Messages(Framing framing, bool text, size_t size, size_t in_flight)
    : framing_(framing), text_(text), count_(pool_count(size, in_flight)), expected_size_(size) {
    Random random;
    for (size_t i = 0; i < count_; ++i) {
        const std::string plain = payload(i, size, random);
        starts_.push_back(wire_.size());
        wire_ += frame(compressed() ? deflated(plain) : plain, text, compressed(), random);
        if (framing != Framing::raw)
            expected_ += plain;
    }
    if (framing == Framing::raw) {
        expected_ = wire_;
        expected_size_ = wire_.size() / count_;
    }
    for (size_t i = 0; i < in_flight; ++i) {
        starts_.push_back(wire_.size());
        wire_ += wire_.substr(starts_[i], starts_[i + 1] - starts_[i]);
    }
    starts_.push_back(wire_.size());
}

Messages::Run Messages::run(uint64_t number, uint64_t many) const {
    const size_t first = number % count_;
    const size_t messages = static_cast<size_t>(std::min<uint64_t>(many, starts_.size() - 1 - first));
    const size_t begin = starts_[first];
    return {std::string_view(wire_).substr(begin, starts_[first + messages] - begin), messages};
}

Messages::Position Messages::position(uint64_t number, size_t bytes) const {
    const auto first = starts_.begin() + static_cast<std::ptrdiff_t>(number % count_);
    const auto next = std::upper_bound(first, starts_.end(), *first + bytes);
    return {static_cast<size_t>(next - first) - 1, *first + bytes - *(next - 1)};
}

}  // namespace ws_load
