// SPDX-License-Identifier: MIT
#include "messages.hpp"

#include <proton/codec.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace amqp_load {

namespace {

// A section "data" of up to 2^32 bytes: AMQP 1.0, 3.2.6 and 1.6.19.
constexpr std::string_view kData("\0\x53\x75\xb0", 4);

// What comes before the body: the section "properties", a list of one element, the message-id,
// which is a string (3.2.4, 1.6.20 and 1.6.22), and the beginning of the section "data".
class Head {
public:
    Head(uint64_t number, size_t size) {
        constexpr size_t kAt = 8;
        const auto end = std::to_chars(bytes_ + kAt, bytes_ + sizeof bytes_, number).ptr;
        const auto digits = static_cast<char>(end - (bytes_ + kAt));
        const char properties[kAt] = {0, 0x53,   0x73,  '\xc0', static_cast<char>(digits + 3),
                                      1, '\xa1', digits};
        std::copy(std::begin(properties), std::end(properties), bytes_);
        char *to = std::copy(kData.begin(), kData.end(), end);
        for (int shift = 24; shift >= 0; shift -= 8)
            *to++ = static_cast<char>(size >> shift);
        size_ = static_cast<size_t>(to - bytes_);
    }

    std::string_view bytes() const { return {bytes_, size_}; }

private:
    char bytes_[8 + 20 + 8];  // a number of 64 bits has 20 digits at most
    size_t size_;
};

bool consists_of(std::string_view bytes, char byte) {
    return bytes.empty() ||
           (bytes[0] == byte && !memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1));
}

}  // namespace

size_t Messages::size_of(uint64_t number) const {
    // As test/amqp/conversation.mjs and proton_peer.py have it, so that each receives what others
    // send.
    constexpr size_t kSizes[] = {0, 1, 10, 100, 1000, 10000}, kEachHundredth = 1000000;
    if (options_.largest && number % 1000 == 999)
        return options_.largest;
    if (options_.size)
        return *options_.size;
    return number % 100 == 99 ? kEachHundredth : kSizes[number % std::size(kSizes)];
}

std::string_view Messages::encoded(uint64_t number) {
    const size_t size = size_of(number);
    const Head head(number, size);
    const size_t all = head.bytes().size() + size;
    if (encoded_.size() < all)
        encoded_.resize(all);
    char *body = std::copy(head.bytes().begin(), head.bytes().end(), encoded_.data());
    memset(body, static_cast<int>(number & 255), size);
    return {encoded_.data(), all};
}

void Messages::check(uint64_t number, std::string_view bytes) {
    const size_t size = size_of(number);
    const auto byte = static_cast<char>(number & 255);
    const Head expected(number, size);
    const std::string_view head = expected.bytes();
    if (bytes.size() == head.size() + size && bytes.substr(0, head.size()) == head &&
        consists_of(bytes.substr(head.size()), byte))
        return;

    // A broker, or another sender, may encode the same in other words.
    pn_message_t *message = decoded_.get();
    const std::string name = "message " + std::to_string(number);
    if (bytes.empty() || pn_message_decode(message, bytes.data(), bytes.size()))
        throw std::runtime_error(name + " is no AMQP message");
    const pn_atom_t id = pn_message_get_id(message);
    const bool named = id.type == PN_STRING;
    const std::string_view its(named ? id.u.as_bytes.start : "", named ? id.u.as_bytes.size : 0);
    if (its != std::to_string(number))
        throw std::runtime_error(name + " is due, and '" + std::string(its) + "' has come");
    pn_data_t *body = pn_message_body(message);
    pn_data_rewind(body);
    if (!pn_data_next(body) || pn_data_type(body) != PN_BINARY)
        throw std::runtime_error(name + " has a body of another kind");
    const pn_bytes_t data = pn_data_get_binary(body);
    if (data.size != size)
        throw std::runtime_error(name + " has " + std::to_string(data.size) + " bytes, not " +
                                 std::to_string(size));
    if (!consists_of({data.start, data.size}, byte))
        throw std::runtime_error(name + " has other bytes");
}

}  // namespace amqp_load
