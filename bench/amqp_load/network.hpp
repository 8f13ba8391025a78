// SPDX-License-Identifier: MIT
#pragma once

#include "options.hpp"

#include <lws_proton_amqp.h>

#include <proton/proactor.h>

#include <functional>

namespace amqp_load {

// Connections of both kinds, of TCP by Proton and of WebSocket by lws, on a proactor that the
// calling thread serves: their events are all the same to who hears of them.
class Network {
public:
    // `handle` gets them, and the proactor's own. It throws nothing.
    Network(const Options &options, std::function<void(pn_event_t *)> handle);
    ~Network();
    Network(const Network &) = delete;
    Network &operator=(const Network &) = delete;

    // Its context is the connection's.
    void connect(void *context);
    // Waits for events, and hands them over.
    void serve();
    // PN_PROACTOR_TIMEOUT comes then.
    void set_timeout(double seconds);
    // A signal handler may call it: PN_PROACTOR_INTERRUPT comes.
    void interrupt() { pn_proactor_interrupt(proactor_); }

private:
    void serve(pn_event_batch_t *batch);

    const Options &options_;
    const std::function<void(pn_event_t *)> handle_;
    pn_proactor_t *const proactor_;
    lws_proton_amqp_t amqp_{};
    lws_protocols protocols_[2];
    lws_context *context_ = nullptr;
};

}  // namespace amqp_load
