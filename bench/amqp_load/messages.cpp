// SPDX-License-Identifier: MIT
#include "messages.hpp"

#include <proton/codec.h>

#include <cstring>
#include <iterator>
#include <stdexcept>

namespace amqp_load {

namespace {

// The section "properties", a list of one element, the message-id, which is a string; and the section
// "data", of up to 2^32 bytes: AMQP 1.0, 3.2.4, 3.2.6 and 1.6.
std::string head_of(uint64_t number, size_t size) {
    const std::string id = std::to_string(number);
    std::string head("\0\x53\x73\xc0", 4);
    head += static_cast<char>(3 + id.size());
    head += "\x01\xa1";
    head += static_cast<char>(id.size());
    head += id;
    head.append("\0\x53\x75\xb0", 4);
    for (int shift = 24; shift >= 0; shift -= 8)
        head += static_cast<char>(size >> shift);
    return head;
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

const std::string &Messages::encoded(uint64_t number) {
    encoded_ = head_of(number, size_of(number));
    encoded_.append(size_of(number), static_cast<char>(number & 255));
    return encoded_;
}

void Messages::check(uint64_t number, std::string_view bytes) {
    const size_t size = size_of(number);
    const auto byte = static_cast<char>(number & 255);
    const std::string head = head_of(number, size);
    if (bytes.size() == head.size() + size && !memcmp(bytes.data(), head.data(), head.size()) &&
        consists_of(bytes.substr(head.size()), byte))
        return;

    // A broker, or another sender, may encode the same in other words.
    pn_message_t *message = decoded_.get();
    const std::string name = "message " + std::to_string(number);
    if (bytes.empty() || pn_message_decode(message, bytes.data(), bytes.size()))
        throw std::runtime_error(name + " is no AMQP message");
    const pn_atom_t id = pn_message_get_id(message);
    const std::string came = id.type == PN_STRING
                                 ? std::string(id.u.as_bytes.start, id.u.as_bytes.size)
                                 : "one without a number";
    if (came != std::to_string(number))
        throw std::runtime_error(name + " is due, and " + came + " has come");
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
