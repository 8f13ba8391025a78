// SPDX-License-Identifier: MIT
//
// amqp-load: loads an AMQP 1.0 broker over TCP or WebSocket, and checks what comes out of it.
//
//   stdout  one line of JSON, if all is well
//   stderr  one line otherwise
//   exit    0, 1 if something went wrong, 2 on bad usage
#include "descriptors.hpp"
#include "load.hpp"

#include <csignal>
#include <exception>
#include <iostream>

namespace {

amqp_load::Load *interrupted;

// While there is one, SIGINT and SIGTERM interrupt the load; from then on they are ignored.
struct Interruptible {
    explicit Interruptible(amqp_load::Load &load) {
        interrupted = &load;
        on_signals([](int) { interrupted->interrupt(); });
    }
    ~Interruptible() { on_signals(SIG_IGN); }
    static void on_signals(void (*handler)(int)) {
        for (const int number : {SIGINT, SIGTERM})
            std::signal(number, handler);
    }
};

}  // namespace

int main(int argc, char **argv) {
    const amqp_load::Options options = amqp_load::parse_options(argc, argv);
    try {
        ws_load::allow_descriptors(options.idle);
        amqp_load::Load load(options);
        const Interruptible interruptible(load);
        load.run();
    } catch (const std::exception &error) {
        std::cerr << "amqp-load: " << error.what() << std::endl;
        return 1;
    }
    return 0;
}
