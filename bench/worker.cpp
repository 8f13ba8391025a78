// SPDX-License-Identifier: MIT
#include "worker.hpp"

#include "failure.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace ws_load {

namespace {

constexpr size_t kBufferBytes = 256 * 1024;
// Within any listen backlog.
constexpr size_t kOpeningAtOnce = 100;
constexpr int kEventsAtOnce = 512;
constexpr uint64_t kWakeEvent = UINT64_MAX;
constexpr uint64_t kSecond = 1000000000;
// How long to wait before looking whether patience has ended.
constexpr uint64_t kGlance = kSecond / 5;

}  // namespace

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

Worker::Worker(Task &task, const Share &share)
    : task_(task), share_(share), epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), buffer_(kBufferBytes),
      peers_(share.connections + share.idle) {
    if (task.messages.framing() == Framing::anew)
        inflated_.emplace(task.messages.count());
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWakeEvent;
    if (epoll_ < 0 || wake_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) < 0)
        throw no_resources(std::string("epoll: ") + strerror(errno));
}

Worker::~Worker() {
    close(wake_);
    close(epoll_);
}

void Worker::wake() noexcept {
    const uint64_t one = 1;
    // It cannot block, and a counter that is full has woken the thread already.
    [[maybe_unused]] const ssize_t n = write(wake_, &one, sizeof(one));
}

void Worker::run() noexcept {
    try {
        // The kernel may wake it 50 us late otherwise, to save power.
        prctl(PR_SET_TIMERSLACK, 1UL);
        progress_ = now_ns();
        open_all();
        opened_ = true;
        while (phase_ == Phase::opening || !complete()) {
            turn(due());
            look_at_phase();
            const uint64_t now = now_ns();
            if (now >= due())
                tick(now);
        }
    } catch (const Failure &failure) {
        failed_ = Failed{failure.kind(), failure.what()};
    } catch (const std::exception &error) {
        failed_ = Failed{"resources", error.what()};
    }
    opened_ = true;
    ended_ = true;
}

uint64_t Worker::first_sent(size_t peer) const {
    // Each connection has another, so that one cannot get what belongs to its neighbour.
    return (share_.first + peer) * 37;
}

void Worker::open_all() {
    size_t next = 0;
    while (next < peers_.size() || opening_) {
        for (; next < peers_.size() && opening_ < kOpeningAtOnce; ++next)
            connect(next, share_.first + next);
        turn(kNever);
    }
}

void Worker::connect(size_t peer, size_t index) {
    forget(peer);
    peers_[peer] = std::make_unique<Peer>(task_.target, index, first_sent(peer),
                                          first_received(peer),
                                          inflated_ ? &*inflated_ : nullptr, now_ns());
    ++opening_;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.u64 = peer;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection(peer).fd(), &event) < 0)
        throw no_resources(std::string("epoll: ") + strerror(errno));
}

void Worker::watch(size_t peer) {
    Peer &p = *peers_[peer];
    const bool write = p.connection.wants_write();
    if (write == p.watched_for_write)
        return;
    p.watched_for_write = write;
    epoll_event event{};
    event.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u64 = peer;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, p.connection.fd(), &event);
}

void Worker::turn(uint64_t until) {
    std::array<epoll_event, kEventsAtOnce> events;
    const uint64_t before = now_ns();
    const uint64_t wait = until > before ? std::min(until - before, kGlance) : 0;
    const timespec timeout = {static_cast<time_t>(wait / kSecond),
                              static_cast<long>(wait % kSecond)};
    const int count = epoll_pwait2(epoll_, events.data(), kEventsAtOnce, &timeout, nullptr);
    if (count < 0 && errno != EINTR)
        throw no_resources(std::string("epoll: ") + strerror(errno));
    for (int i = 0; i < count; ++i) {
        const uint64_t peer = events[static_cast<size_t>(i)].data.u64;
        if (peer == kWakeEvent) {
            uint64_t value = 0;
            [[maybe_unused]] const ssize_t n = read(wake_, &value, sizeof(value));
            continue;
        }
        progress_ = now_ns();
        serve(static_cast<size_t>(peer), progress_);
    }
    if (count > 0)
        return;
    const bool waits = opening_ || (phase_ != Phase::opening && !complete());
    if (waits && static_cast<double>(now_ns() - progress_) > task_.options.patience * kSecond) {
        const std::string patience = std::to_string(task_.options.patience) + " s";
        throw opening_ ? refused("no answer to connections for " + patience)
                       : missing("no answer to messages for " + patience);
    }
}

void Worker::serve(size_t peer, uint64_t now) {
    Peer &p = *peers_[peer];
    const size_t messages = p.connection.proceed(buffer_);
    if (!p.announced && p.connection.state() == Connection::State::open) {
        p.announced = true;
        --opening_;
        opened(peer, now);
    }
    if (messages)
        received(peer, messages, now);
    if (p.connection.state() == Connection::State::ended)
        closed(peer, now);
    else
        watch(peer);
}

void Worker::look_at_phase() {
    const Phase phase = task_.phase.load(std::memory_order_relaxed);
    if (phase == phase_)
        return;
    measuring_ = phase == Phase::measuring;
    const bool begins = phase_ == Phase::opening;
    phase_ = phase;
    progress_ = now_ns();
    if (phase == Phase::draining)
        stop();
    else if (begins)
        begin(progress_);
}

}  // namespace ws_load
