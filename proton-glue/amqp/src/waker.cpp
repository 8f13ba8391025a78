// SPDX-License-Identifier: MIT
#include "waker.hpp"

#include "session.hpp"

#include <libwebsockets.h>
#include <lws_proton.h>
#include <lws_proton_host.h>

namespace lws_proton::amqp {

namespace {

// Few are in it: those of peers that do not read. Its lock comes after a waker's.
struct Queue {
    std::mutex mutex;
    Waker::List wakers;
    std::atomic<size_t> count{0};
};

Queue &queue() noexcept {
    static Queue it;
    return it;
}

}  // namespace

void Waker::drop() noexcept {
    if (--holders_ == 0)
        delete this;
}

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
        hold();
        Queue &q = queue();
        std::lock_guard<std::mutex> lock(q.mutex);
        q.wakers.push(*this);
        list_ = &q.wakers;
        q.count = q.wakers.size();
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
    leave_list();
}

void Waker::leave_list() noexcept {
    {
        Queue &q = queue();
        std::lock_guard<std::mutex> lock(q.mutex);
        if (!list_)
            return;
        list_->pull(*this);
        list_ = nullptr;
        q.count = q.wakers.size();
    }
    drop();
}

void Waker::stall(bool stalled) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    stalled_ = stalled;
}

void Waker::serve_stalled(lws_context *context, int tsi) noexcept {
    Queue &q = queue();
    if (!q.count)
        return;
    List theirs;
    {
        std::lock_guard<std::mutex> lock(q.mutex);
        for (Waker *waker = q.wakers.head(), *next; waker; waker = next) {
            next = List::next(*waker);
            if (waker->context_ != context || waker->tsi_ != tsi)
                continue;
            q.wakers.pull(*waker);
            theirs.push(*waker);
            waker->list_ = &theirs;
        }
        q.count = q.wakers.size();
    }
    // One that attends may end others, which leave the list then.
    for (;;) {
        Waker *waker;
        {
            std::lock_guard<std::mutex> lock(q.mutex);
            waker = theirs.take();
            if (!waker)
                return;
            waker->list_ = nullptr;
        }
        Session *session;
        {
            std::lock_guard<std::mutex> lock(waker->mutex_);
            // A wake from now on queues it again.
            waker->queued_ = false;
            session = waker->session_;
        }
        if (session)
            session->attend();
        waker->drop();
    }
}

}  // namespace lws_proton::amqp
