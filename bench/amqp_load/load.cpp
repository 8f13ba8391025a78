// SPDX-License-Identifier: MIT
#include "load.hpp"

#include "process_usage.hpp"

#include <proton/connection.h>

#include <chrono>
#include <iostream>
#include <stdexcept>

namespace amqp_load {

namespace {

// Of idle connections, which are to come at once to no listener's backlog.
constexpr size_t kAtATime = 100;
// After a failure, for the others to end.
constexpr double kEndSeconds = 5;

}  // namespace

Load::Load(const Options &options)
    : options_(options), messages_(options_), network_(options_, [this](pn_event_t *event) {
          try {
              handle(event);
          } catch (const std::exception &error) {
              fail(error.what());
          }
      }) {
    for (size_t i = 0; i < options_.idle; i++)
        peers_.push_back(std::make_unique<Idle>(*this));
    // The receiver is there first: what is measured begins with both.
    if (!options_.idle && options_.receive)
        peers_.push_back(std::make_unique<Receiver>(*this));
    if (!options_.idle && options_.send)
        peers_.push_back(std::make_unique<Sender>(*this));
}

Load::Usage Load::usage() const {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return {static_cast<uint64_t>(std::chrono::nanoseconds(now).count()), ws_load::cpu_ns(0),
            options_.server_pid ? ws_load::cpu_ns(options_.server_pid) : 0};
}

void Load::connect_next() {
    if (connected_ < peers_.size() && !ending_ && !failed())
        network_.connect(peers_[connected_++].get());
}

void Load::ready() {
    progress();
    connect_next();
    if (++ready_ < peers_.size())
        return;
    begin_ = usage();
    if (options_.idle)
        std::cout << nlohmann::json{{"idle", ready_}} << std::endl;
}

void Load::finished() {
    if (++finished_ == peers_.size())
        end_ = usage();
}

void Load::wake_all() {
    for (size_t i = 0; i < connected_; i++)
        peers_[i]->wake();
}

void Load::fail(const std::string &error) {
    if (failed())
        return;
    error_ = error;
    network_.set_timeout(kEndSeconds);
    wake_all();
}

void Load::handle(pn_event_t *event) {
    if (pn_connection_t *c = pn_event_connection(event))
        static_cast<Peer *>(pn_connection_get_context(c))->handle(event);
    else
        handle_own(event);
}

void Load::handle_own(pn_event_t *event) {
    switch (pn_event_type(event)) {
    case PN_PROACTOR_INTERRUPT:
        if (!options_.idle)
            throw std::runtime_error("interrupted");
        ending_ = true;
        wake_all();
        break;
    case PN_PROACTOR_TIMEOUT:
        given_up_ = failed();
        if (progress_ == progress_seen_ &&
            (ending_ || !options_.idle || ready_ < peers_.size()))
            throw std::runtime_error("no progress any more");
        progress_seen_ = progress_;
        network_.set_timeout(options_.patience);
        break;
    default:
        break;
    }
}

nlohmann::ordered_json Load::result() const {
    const auto seconds = [](uint64_t from, uint64_t to) {
        return static_cast<double>(to - from) / 1e9;
    };
    const double time = seconds(begin_.time, end_.time);
    nlohmann::ordered_json result = {
        {"messages", options_.messages},
        {"bytes", peers_.front()->bytes()},
        {"seconds", time},
        {"messages_per_second", static_cast<double>(options_.messages) / time},
        {"cpu_seconds", seconds(begin_.client, end_.client)}};
    if (options_.server_pid)
        result["server_cpu_seconds"] = seconds(begin_.server, end_.server);
    return result;
}

void Load::run() {
    network_.set_timeout(options_.patience);
    for (size_t i = 0; i < (options_.idle ? kAtATime : 1); i++)
        connect_next();
    while (ended_ < connected_ && !given_up_)
        network_.serve();
    if (failed())
        throw std::runtime_error(error_);
    if (!options_.idle)
        std::cout << result() << std::endl;
}

}  // namespace amqp_load
