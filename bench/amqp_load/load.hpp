// SPDX-License-Identifier: MIT
#pragma once

#include "network.hpp"
#include "peer.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace amqp_load {

// All connections of a run: one comes after the other, and once all are there it is measured.
class Load {
public:
    explicit Load(const Options &options);

    // Until they have ended. Throws a std::runtime_error if anything was wrong.
    void run();
    // A signal handler may call it.
    void interrupt() { network_.interrupt(); }

    // For the peers.
    const Options &options() const { return options_; }
    Messages &messages() { return messages_; }
    void ready();
    void progress() { progress_++; }
    void finished();
    void ended() {
        ended_++;
        progress();
    }
    // They are to finish; they are to go at once.
    bool ending() const { return ending_; }
    bool failed() const { return !error_.empty(); }

private:
    // Up to a moment.
    struct Usage {
        uint64_t time = 0, client = 0, server = 0;  // ns
    };

    Usage usage() const;
    void connect_next();
    void handle(pn_event_t *event);
    void handle_own(pn_event_t *event);
    void wake_all();
    void fail(const std::string &error);
    nlohmann::ordered_json result() const;

    const Options options_;
    Messages messages_;
    std::vector<std::unique_ptr<Peer>> peers_;
    size_t connected_ = 0, ready_ = 0, finished_ = 0, ended_ = 0;
    Usage begin_, end_;
    uint64_t progress_ = 0, progress_seen_ = 0;
    bool ending_ = false, given_up_ = false;
    std::string error_;
    // The last: its destructor may still tell of events.
    Network network_;
};

}  // namespace amqp_load
