// SPDX-License-Identifier: MIT
#pragma once

#include "options.hpp"

#include <proton/message.h>

#include <memory>
#include <string>
#include <string_view>

namespace amqp_load {

// Message N has the id N, in digits, and one data section, each byte of which is N modulo 256.
class Messages {
public:
    explicit Messages(const Options &options)
        : options_(options), decoded_(pn_message(), pn_message_free) {}

    size_t size_of(uint64_t number) const;
    // Valid until the next call.
    std::string_view encoded(uint64_t number);
    // Throws a std::runtime_error unless these bytes are message `number`.
    void check(uint64_t number, std::string_view bytes);

private:
    const Options &options_;
    std::string encoded_;
    std::unique_ptr<pn_message_t, decltype(&pn_message_free)> decoded_;
};

}  // namespace amqp_load
