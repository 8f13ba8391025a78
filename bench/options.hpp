// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ws_load {

enum class Mode { echo, broadcast, setup };

struct Options {
    int port = 0;
    Mode mode = Mode::echo;
    size_t connections = 10;
    size_t in_flight = 1;
    size_t size = 64;
    double rate = 0;  // messages a second of all connections; 0: as many as come back
    size_t idle = 0;
    bool tls = false;
    bool deflate = false;
    bool anew = false;
    bool text = false;
    bool raw = false;
    double warm_up = 0.5;     // s
    double seconds = 2;
    uint64_t messages = 0;    // in place of seconds; 0: not
    double patience = 10;     // s
    size_t threads = 1;
    std::vector<unsigned> cpus;
    int server_pid = 0;
    std::string json;
};

// Of the command line. Ends the program for --help, and with status 2 on bad usage.
Options parse_options(int argc, char **argv);

}  // namespace ws_load
