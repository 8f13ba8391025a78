// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"
#include "histogram.hpp"
#include "options.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ws_load {

// One after the other. A count of messages goes from opening to measuring at once, and is not drained
// from outside.
enum class Phase { opening, warming, measuring, draining };

// What all threads work on.
struct Task {
    const Options &options;
    const Messages &messages;
    Target target;
    std::atomic<Phase> phase{Phase::opening};
};

// A thread's part of it.
struct Share {
    size_t first;  // index of its first connection
    size_t connections;
    size_t idle;
    uint64_t messages;  // that it sends at most
    double rate;
};

// One thread: its connections, an epoll, and the load, which is what a derived class makes of it.
class Worker {
public:
    Worker(Task &task, const Share &share);
    virtual ~Worker();
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;

    // Until the load has ended, or failed.
    void run() noexcept;

    // Any thread: the task's phase is another.
    void wake() noexcept;
    // Any thread: all connections are open, or it has failed; run() has ended.
    bool opened() const { return opened_; }
    bool ended() const { return ended_; }

    // Once run() has ended.
    struct Failed {
        std::string kind, text;
    };
    const std::optional<Failed> &failed() const { return failed_; }
    // While it was measured: messages (connections, of a set-up load), and latencies in ns.
    uint64_t count() const { return count_; }
    const Histogram &latency() const { return latency_; }

protected:
    struct Peer {
        Peer(const Target &target, size_t index, uint64_t sends, uint64_t receives,
             Inflated *inflated, uint64_t now)
            : connection(target, index, sends, receives, inflated), started(now) {}
        Connection connection;
        uint64_t started;
        bool watched_for_write = true;
        bool announced = false;
    };

    static constexpr uint64_t kNever = UINT64_MAX;

    // The load. Peers are numbered from 0 to share().connections - 1; idle ones follow.
    virtual void begin(uint64_t now) = 0;
    virtual void received(size_t peer, uint64_t messages, uint64_t now) = 0;
    virtual void opened(size_t, uint64_t) {}
    virtual void closed(size_t, uint64_t) {}
    // Called at this time at the latest.
    virtual uint64_t due() const { return kNever; }
    virtual void tick(uint64_t) {}
    // Nothing is to be begun any more.
    virtual void stop() = 0;
    // Everything that was begun has come to its end.
    virtual bool complete() const = 0;

    // The number of the first message of a peer, and the first one that it receives.
    virtual uint64_t first_sent(size_t peer) const;
    virtual uint64_t first_received(size_t peer) const { return first_sent(peer); }

    void count(uint64_t latency) {
        if (measuring_) {
            latency_.record(latency);
            ++count_;
        }
    }

    const Share &share() const { return share_; }
    const Task &task() const { return task_; }
    Connection &connection(size_t peer) { return peers_[peer]->connection; }
    const Peer &peer(size_t peer) const { return *peers_[peer]; }

    // A new connection in place of the old, if there is one.
    void connect(size_t peer, size_t index);
    void forget(size_t peer) { peers_[peer].reset(); }
    // After each call of a connection outside of received(), opened() and closed().
    void watch(size_t peer);

private:
    void open_all();
    void turn(uint64_t until);
    void serve(size_t peer, uint64_t now);
    void look_at_phase();

    Task &task_;
    const Share share_;
    int epoll_ = -1;
    int wake_ = -1;
    Connection::Buffer buffer_;
    std::optional<Inflated> inflated_;
    std::vector<std::unique_ptr<Peer>> peers_;
    size_t opening_ = 0;
    uint64_t progress_ = 0;  // when something was last heard of
    Phase phase_ = Phase::opening;
    bool measuring_ = false;
    uint64_t count_ = 0;
    Histogram latency_;
    std::optional<Failed> failed_;
    std::atomic<bool> opened_{false};
    std::atomic<bool> ended_{false};
};

// CLOCK_MONOTONIC, ns.
uint64_t now_ns();

}  // namespace ws_load
