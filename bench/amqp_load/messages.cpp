// SPDX-License-Identifier: MIT
#include "messages.hpp"

#include <proton/codec.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace amqp_load {

namespace {

// The section "properties", a list of one element of ten bytes, the message-id, which is an ulong; and
// the section "data", of up to 2^32 bytes: AMQP 1.0, 3.2.4, 3.2.6 and 1.6.
constexpr std::string_view kProperties("\0\x53\x73\xc0\x0a\x01\x80", 7);
constexpr std::string_view kData("\0\x53\x75\xb0", 4);
constexpr size_t kHead = kProperties.size() + 8 + kData.size() + 4;

char *put(char *to, std::string_view bytes) { return std::copy(bytes.begin(), bytes.end(), to); }

char *put(char *to, uint64_t number, int bytes) {
    while (bytes-- > 0)
        *to++ = static_cast<char>(number >> (8 * bytes));
    return to;
}

void put_head(char *to, uint64_t number, size_t size) {
    to = put(put(to, kProperties), number, 8);
    put(put(to, kData), size, 4);
}

bool consists_of(std::string_view bytes, char byte) {
    return bytes.empty() ||
           (bytes[0] == byte && !memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1));
}

}  // namespace

size_t Messages::size_of(uint64_t number) const {
    // As test/amqp/proton_peer.py has it, so that either receives what the other sends.
    constexpr size_t kSizes[] = {0, 1, 10, 100, 1000, 10000}, kEachHundredth = 1000000;
    if (options_.largest && number % 1000 == 999)
        return options_.largest;
    if (options_.size)
        return *options_.size;
    return number % 100 == 99 ? kEachHundredth : kSizes[number % std::size(kSizes)];
}

std::string_view Messages::encoded(uint64_t number) {
    const size_t size = size_of(number);
    if (encoded_.size() < kHead + size)
        encoded_.resize(kHead + size);
    put_head(encoded_.data(), number, size);
    memset(&encoded_[kHead], static_cast<int>(number & 255), size);
    return {encoded_.data(), kHead + size};
}

void Messages::check(uint64_t number, std::string_view bytes) {
    const size_t size = size_of(number);
    const auto byte = static_cast<char>(number & 255);
    char head[kHead];
    put_head(head, number, size);
    if (bytes.size() == kHead + size && !memcmp(bytes.data(), head, kHead) &&
        consists_of(bytes.substr(kHead), byte))
        return;

    // A broker, or another sender, may encode the same in other words.
    pn_message_t *message = decoded_.get();
    const std::string name = "message " + std::to_string(number);
    if (bytes.empty() || pn_message_decode(message, bytes.data(), bytes.size()))
        throw std::runtime_error(name + " is no AMQP message");
    const pn_atom_t id = pn_message_get_id(message);
    if (id.type != PN_ULONG || id.u.as_ulong != number)
        throw std::runtime_error(
            name + " is due, and " +
            (id.type == PN_ULONG ? std::to_string(id.u.as_ulong) : "one without a number") +
            " has come");
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
