// SPDX-License-Identifier: MIT
#include "loads.hpp"

#include "failure.hpp"

#include <algorithm>
#include <string>

namespace ws_load {

namespace {

[[noreturn]] void too_many(size_t peer) {
    throw unexpected("connection " + std::to_string(peer) + " receives more than was sent");
}

}  // namespace

EchoLoad::EchoLoad(Task &task, const Share &share)
    : Worker(task, share), rings_(share.connections), left_(share.messages) {
    for (Ring &ring : rings_)
        ring.sent.resize(task.options.in_flight);
}

void EchoLoad::begin(uint64_t now) {
    for (size_t peer = 0; peer < rings_.size(); ++peer) {
        Ring &ring = rings_[peer];
        std::fill(ring.sent.begin(), ring.sent.end(), now);
        send(peer, ring.sent.size());
        watch(peer);
    }
}

void EchoLoad::send(size_t peer, uint64_t messages) {
    messages = std::min(messages, left_);
    left_ -= messages;
    under_way_ += messages;
    rings_[peer].count += messages;
    if (messages)
        connection(peer).send(messages);
}

void EchoLoad::received(size_t peer, uint64_t messages, uint64_t now) {
    if (peer >= rings_.size() || messages > rings_[peer].count)
        too_many(peer);
    Ring &ring = rings_[peer];
    ring.count -= messages;
    under_way_ -= messages;
    // The next ones are sent below, and take the places of these.
    for (uint64_t i = 0; i < messages; ++i) {
        uint64_t &sent = ring.sent[ring.oldest];
        count(now - sent);
        sent = now;
        if (++ring.oldest == ring.sent.size())
            ring.oldest = 0;
    }
    send(peer, messages);
}

RateLoad::RateLoad(Task &task, const Share &share)
    : Worker(task, share), interval_(1e9 / share.rate), came_back_(share.connections),
      now_due_(share.connections) {}

void RateLoad::begin(uint64_t now) { began_ = now; }

uint64_t RateLoad::due() const {
    return began_ == kNever || stopped_ ? kNever : time_of(next_);
}

void RateLoad::tick(uint64_t now) {
    const size_t first = next_ % now_due_.size();
    const uint64_t before = next_;
    for (; time_of(next_) <= now; ++next_)
        ++now_due_[next_ % now_due_.size()];
    under_way_ += next_ - before;
    const size_t peers = std::min<uint64_t>(next_ - before, now_due_.size());
    for (size_t i = 0; i < peers; ++i) {
        const size_t peer = (first + i) % now_due_.size();
        connection(peer).send(now_due_[peer]);
        now_due_[peer] = 0;
        watch(peer);
    }
}

void RateLoad::received(size_t peer, uint64_t messages, uint64_t now) {
    if (peer >= came_back_.size() || messages > under_way_)
        too_many(peer);
    under_way_ -= messages;
    for (; messages; --messages) {
        const uint64_t due = time_of(came_back_[peer]++ * came_back_.size() + peer);
        count(now - std::min(now, due));
    }
}

void RateLoad::stop() {
    stopped_ = true;
    under_way_ = 0;
    for (size_t peer = 0; peer < came_back_.size(); ++peer)
        under_way_ += connection(peer).stop_sending() - came_back_[peer];
}

BroadcastLoad::BroadcastLoad(Task &task, const Share &share)
    : Worker(task, share), under_way_(task.options.in_flight), received_(share.connections),
      left_(share.messages) {}

void BroadcastLoad::begin(uint64_t now) { send(under_way_.size(), now); }

void BroadcastLoad::send(uint64_t messages, uint64_t now) {
    messages = std::min(messages, left_);
    left_ -= messages;
    for (uint64_t i = 0; i < messages; ++i)
        under_way_[sent_++ % under_way_.size()] = {now, received_.size()};
    if (messages) {
        connection(0).send(messages);
        watch(0);
    }
}

void BroadcastLoad::received(size_t peer, uint64_t messages, uint64_t now) {
    if (messages > sent_ - received_[peer])
        too_many(peer);
    const uint64_t before = everywhere_;
    for (uint64_t i = 0; i < messages; ++i) {
        // Each peer receives in order, so that the oldest is also the first to have come to all.
        Message &message = under_way_[received_[peer]++ % under_way_.size()];
        count(now - message.sent_at);
        everywhere_ += !--message.missing;
    }
    if (everywhere_ != before)
        send(everywhere_ - before, now);
}

SetupLoad::SetupLoad(Task &task, const Share &share)
    : Worker(task, share), left_(share.messages), alive_(share.connections),
      // It chooses the address that a connection comes from.
      next_index_(share.first + share.connections) {}

void SetupLoad::begin(uint64_t) {
    begun_ = true;
    for (size_t peer = 0; peer < share().connections; ++peer) {
        connection(peer).close();
        watch(peer);
    }
}

void SetupLoad::opened(size_t peer, uint64_t now) {
    if (!begun_)
        return;
    count(now - this->peer(peer).started);
    connection(peer).close();
}

void SetupLoad::received(size_t peer, uint64_t, uint64_t) { too_many(peer); }

void SetupLoad::closed(size_t peer, uint64_t) {
    if (!left_) {
        forget(peer);
        --alive_;
        return;
    }
    --left_;
    connect(peer, next_index_++);
}

std::unique_ptr<Worker> make_load(Task &task, const Share &share) {
    switch (task.options.mode) {
    case Mode::broadcast:
        return std::make_unique<BroadcastLoad>(task, share);
    case Mode::setup:
        return std::make_unique<SetupLoad>(task, share);
    case Mode::echo:
        break;
    }
    if (task.options.rate > 0)
        return std::make_unique<RateLoad>(task, share);
    return std::make_unique<EchoLoad>(task, share);
}

}  // namespace ws_load
