// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace lws_proton::amqp {

struct Url {
    bool tls;
    std::string address;  // an IPv6 one has no brackets
    int port;
    std::string path;  // with the query, and what it begins with
    std::string host;  // as the Host header has it
};

// Of ws:// or wss://.
std::optional<Url> parse_url(std::string text);

}  // namespace lws_proton::amqp
