// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace gateway {

struct Broker {
    std::string host;
    int port;
    std::string name;  // HOST:PORT
};

struct Options {
    std::string listen_host = "127.0.0.1";
    int listen_port = 5671;
    std::string tls_cert, tls_key;
    std::string status_host = "127.0.0.1";
    int status_port = -1;  // none
    std::vector<Broker> brokers;
    std::vector<std::string> origins;  // besides its own; "*": any
    std::vector<std::string> hosts;    // names, besides this machine's
    unsigned threads = 1;
    unsigned max_connections = 10000;
    unsigned max_per_address = 0;  // 0: as many as it likes
    unsigned memory_mib = 0;       // 0: what max_connections take
    unsigned handshake_seconds = 10;
    unsigned open_seconds = 10;
    unsigned idle_seconds = 120;  // 0: for ever
    unsigned drain_seconds = 30;
};

// amqp://HOST[:PORT]; an IPv6 address is in brackets.
std::optional<Broker> parse_broker(const std::string &url);

// Nothing: the program ends, with this status.
std::optional<Options> parse_options(int argc, char **argv, int *status);

}  // namespace gateway
