// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace amqp_load {

struct Options {
    std::string url;
    std::string queue = "amqp-load";
    uint64_t messages = 10000;
    std::optional<size_t> size = 1024;  // none: mixed
    size_t largest = 0;                 // of each 1000th message; 0: it is as the others
    int credit = 1000;
    bool settled = false;
    bool send = false, receive = false;
    size_t idle = 0;
    std::string ca;
    std::string user, password;
    double patience = 60;  // s
    int server_pid = 0;
};

// Of the command line. Ends the program for --help, and with status 2 on bad usage.
Options parse_options(int argc, char **argv);

}  // namespace amqp_load
