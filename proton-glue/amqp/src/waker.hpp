// SPDX-License-Identifier: MIT
#pragma once

#include "../../src/linked_list.hpp"

#include <lws_proton_conn.h>

#include <atomic>
#include <mutex>

struct lws;
struct lws_context;

namespace lws_proton::amqp {

class Session;

// What wakes a session, held by it and by all who may wake it, for as long as they like: the last
// of them frees it.
//
// Its session notes where it can be reached, in its pt; everything else is for any thread. The lock
// is held while the event library is told, which waits for nothing. A wake allocates nothing.
class Waker {
public:
    // Held by the session.
    explicit Waker(Session &session) noexcept : session_(&session) {}
    Waker(const Waker &) = delete;
    Waker &operator=(const Waker &) = delete;

    void hold() noexcept { holders_++; }
    void drop() noexcept;

    void wake() noexcept;

    // In the session's pt.
    void attach(lws *wsi) noexcept;  // it has a WebSocket
    void detach() noexcept;          // it has none, nor will it have
    // The peer does not read: WRITE will not come, and a wake has to take the longer way.
    void stall(bool stalled) noexcept;
    bool woken() const noexcept { return woken_; }
    bool take() noexcept { return woken_ && woken_.exchange(false); }

    // In this pt: has the sessions attend that were woken the longer way.
    static void serve_stalled(lws_context *context, int tsi) noexcept;

    Links<Waker> links;
    using List = LinkedList<Waker, &Waker::links>;

private:
    ~Waker() = default;

    void reach() noexcept;
    void leave_list() noexcept;

    Session *session_;  // null: it has ended
    std::atomic<unsigned> holders_{1};
    std::atomic<bool> woken_{false};
    std::mutex mutex_;
    lws_context *context_ = nullptr;
    lws_proton_conn *conn_ = nullptr;  // null: it has no WebSocket
    lws_proton_conn *pipe_ = nullptr;  // of its pt
    int tsi_ = 0;
    bool stalled_ = false;
    bool shared_ = false;   // the connection has other streams: WRITE is not this one's
    bool queued_ = false;   // its session will attend; the list holds it
    List *list_ = nullptr;  // that it is in; under the queue's lock
};

}  // namespace lws_proton::amqp
