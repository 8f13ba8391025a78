// SPDX-License-Identifier: MIT
//
// The clients: a crowd in a thread of its own, each of a random kind and with a random end. Whoever
// ends is replaced.
#pragma once

#include "host.hpp"

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace stress {

using Random = std::mt19937_64;

// What no end of a context excuses.
struct WrongContent : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Totals {
    std::atomic<uint64_t> connections{0}, sent{0}, echoed{0}, abandoned{0}, requests{0}, answers{0},
        resets{0};
};

// One client of one context.
class Peer {
public:
    using Clock = std::chrono::steady_clock;

    Peer(std::shared_ptr<Generation> generation, Totals &totals)
        : generation(std::move(generation)), totals(totals) {}
    virtual ~Peer() = default;

    virtual pollfd waits_for() = 0;
    virtual void pump(short events) = 0;
    // Goes on; true: it is done.
    virtual bool advance() = 0;
    virtual std::string name() const = 0;

    bool overdue() const { return deadline_.passed(); }

    const std::shared_ptr<Generation> generation;

protected:
    bool ending() const { return generation->ending; }

    Totals &totals;

private:
    e2e::Deadline deadline_;
};

// One of any kind.
std::unique_ptr<Peer> make_peer(uint64_t id, Random &random, std::shared_ptr<Generation> generation,
                                Totals &totals);

class Crowd {
public:
    // `first_id` and every other `step`-th are those of its peers.
    Crowd(size_t size, uint64_t first_id, uint64_t step, uint64_t seed, Totals &totals);
    ~Crowd();
    Crowd(const Crowd &) = delete;
    Crowd &operator=(const Crowd &) = delete;

    // New peers go there from now on; null: no new ones.
    void go_to(std::shared_ptr<Generation> generation);
    // Throws what one of its peers has thrown.
    void check();
    size_t size() const { return count_; }
    // Ends those that are left.
    void dismiss();

private:
    void run();
    void turn();
    void fill();

    const size_t full_;
    uint64_t next_id_;
    const uint64_t step_;
    Random random_;
    Totals &totals_;
    std::mutex mutex_;
    std::shared_ptr<Generation> generation_;
    std::exception_ptr thrown_;
    std::atomic<size_t> count_{0};
    std::atomic<bool> stop_{false}, dismissed_{false};
    std::vector<std::unique_ptr<Peer>> peers_;
    std::thread thread_;
};

}  // namespace stress
