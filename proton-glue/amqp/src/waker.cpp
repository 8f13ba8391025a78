// SPDX-License-Identifier: MIT
#include "waker.hpp"

#include <libwebsockets.h>
#include <lws_proton.h>
#include <lws_proton_host.h>

#include <algorithm>

namespace lws_proton::amqp {

namespace {

// Few are: those of peers that do not read.
struct Queue {
    std::mutex mutex;
    std::vector<std::shared_ptr<Waker>> wakers;
    std::atomic<size_t> count{0};
};

Queue &queue() noexcept {
    static Queue it;
    return it;
}

}  // namespace

void Waker::wake() noexcept {
    if (woken_.exchange(true))
        return;
    std::lock_guard<std::mutex> lock(mutex_);
    if (conn_)
        reach();
}

void Waker::reach() noexcept {
    if (!stalled_ && !shared_) {
        conn_->ops->enable(conn_, 1, LWS_PROTON_WRITE);
        return;
    }
    if (!queued_) {
        queued_ = true;
        Queue &q = queue();
        std::lock_guard<std::mutex> lock(q.mutex);
        q.wakers.push_back(shared_from_this());
        q.count++;
    }
    // Not lws_cancel_service_pt(): lws closes its end of the pipe before its connections. The loop
    // is there: it goes after them, and each detaches before, with the lock that is held here.
    pipe_->ops->wake(pipe_);
}

void Waker::attach(lws *wsi) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    context_ = lws_get_context(wsi);
    lws *network = lws_get_network_wsi(wsi);
    conn_ = lws_get_socket_fd(network);
    tsi_ = lws_wsi_tsi(wsi);
    pipe_ = lws_proton_loop_pipe(lws_proton_loop_of(context_), tsi_);
    shared_ = network != wsi;
}

void Waker::detach() noexcept {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        conn_ = nullptr;
        session_ = nullptr;
        if (!queued_)
            return;
    }
    // There may be no more wakes of its context.
    Queue &q = queue();
    std::lock_guard<std::mutex> lock(q.mutex);
    const auto self = [this](const std::shared_ptr<Waker> &waker) { return waker.get() == this; };
    q.wakers.erase(std::remove_if(q.wakers.begin(), q.wakers.end(), self), q.wakers.end());
    q.count = q.wakers.size();
}

void Waker::stall(bool stalled) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    stalled_ = stalled;
}

std::vector<std::shared_ptr<Waker>> Waker::take_stalled(lws_context *context, int tsi) noexcept {
    std::vector<std::shared_ptr<Waker>> taken;
    Queue &q = queue();
    if (!q.count)
        return taken;
    {
        std::lock_guard<std::mutex> lock(q.mutex);
        const auto theirs = std::stable_partition(
            q.wakers.begin(), q.wakers.end(), [&](const std::shared_ptr<Waker> &waker) {
                return waker->context_ != context || waker->tsi_ != tsi;
            });
        taken.assign(std::make_move_iterator(theirs), std::make_move_iterator(q.wakers.end()));
        q.wakers.erase(theirs, q.wakers.end());
        q.count = q.wakers.size();
    }
    for (const auto &waker : taken) {
        std::lock_guard<std::mutex> lock(waker->mutex_);
        waker->queued_ = false;
    }
    return taken;
}

}  // namespace lws_proton::amqp
