// SPDX-License-Identifier: MIT
#pragma once

#include "worker.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace ws_load {

// Each connection has `in_flight` messages under way: one that comes back is followed by the next.
class EchoLoad : public Worker {
public:
    EchoLoad(Task &task, const Share &share);

protected:
    void begin(uint64_t now) override;
    void received(size_t peer, uint64_t messages, uint64_t now) override;
    void stop() override { left_ = 0; }
    bool complete() const override { return !left_ && !under_way_; }

private:
    void send(size_t peer, uint64_t messages);

    // When they were sent: for each peer a ring of those under way, with its oldest.
    struct Ring {
        std::vector<uint64_t> sent;
        size_t oldest = 0;
        size_t count = 0;
    };
    std::vector<Ring> rings_;
    uint64_t left_;
    uint64_t under_way_ = 0;
};

// Messages are due at a fixed rate, one connection after the other, and are sent then, however many
// have not come back. Latency counts from when a message was due, so that what had to wait to be
// sent is not left out ("coordinated omission").
class RateLoad : public Worker {
public:
    RateLoad(Task &task, const Share &share);

protected:
    void begin(uint64_t now) override;
    void received(size_t peer, uint64_t messages, uint64_t now) override;
    uint64_t due() const override;
    void tick(uint64_t now) override;
    void stop() override;
    bool complete() const override { return stopped_ && !under_way_; }

private:
    uint64_t time_of(uint64_t message) const {
        return began_ + static_cast<uint64_t>(static_cast<double>(message) * interval_);
    }

    const double interval_;  // ns
    uint64_t began_ = kNever;
    uint64_t next_ = 0;      // message, of all that are ever due
    bool stopped_ = false;
    uint64_t under_way_ = 0;
    std::vector<uint64_t> came_back_;  // of each peer
    std::vector<uint64_t> now_due_;
};

// The first connection sends, and every one receives. So many messages are under way: one that has
// come to all is followed by the next. Counted is what is received.
class BroadcastLoad : public Worker {
public:
    BroadcastLoad(Task &task, const Share &share);

protected:
    void begin(uint64_t now) override;
    void received(size_t peer, uint64_t messages, uint64_t now) override;
    void stop() override { left_ = 0; }
    bool complete() const override { return !left_ && everywhere_ == sent_; }
    uint64_t first_sent(size_t) const override { return 0; }

private:
    void send(uint64_t messages, uint64_t now);

    struct Message {
        uint64_t sent_at;
        size_t missing;  // at so many peers
    };
    std::vector<Message> under_way_;   // message n at n modulo its size
    std::vector<uint64_t> received_;   // of each peer
    uint64_t left_;
    uint64_t sent_ = 0;
    uint64_t everywhere_ = 0;          // have come to all
};

// Connections are made, upgraded and closed, each followed by the next. Latency is from the first
// packet to the answer to the upgrade.
class SetupLoad : public Worker {
public:
    SetupLoad(Task &task, const Share &share);

protected:
    void begin(uint64_t now) override;
    void received(size_t peer, uint64_t messages, uint64_t now) override;
    void opened(size_t peer, uint64_t now) override;
    void closed(size_t peer, uint64_t now) override;
    void stop() override { left_ = 0; }
    bool complete() const override { return !left_ && !alive_; }

private:
    bool begun_ = false;
    uint64_t left_;
    size_t alive_;
    size_t next_index_;
};

std::unique_ptr<Worker> make_load(Task &task, const Share &share);

}  // namespace ws_load
