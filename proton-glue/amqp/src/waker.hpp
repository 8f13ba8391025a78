// SPDX-License-Identifier: MIT
#pragma once

#include <lws_proton_conn.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

struct lws;
struct lws_context;

namespace lws_proton::amqp {

class Session;

// What wakes a session, held by it and by all who may wake it, for as long as they like.
//
// Its session notes where it can be reached, in its pt; everything else is for any thread. The lock
// is held while the event library is told, which waits for nothing.
class Waker : public std::enable_shared_from_this<Waker> {
public:
    explicit Waker(Session &session) noexcept : session_(&session) {}

    void wake() noexcept;

    // In the session's pt.
    void attach(lws *wsi) noexcept;  // it has a WebSocket
    void detach() noexcept;          // it has none, nor will it have
    // The peer does not read: WRITE will not come, and a wake has to take the longer way.
    void stall(bool stalled) noexcept;
    bool woken() const noexcept { return woken_; }
    bool take() noexcept { return woken_ && woken_.exchange(false); }

    // Of a pt: the sessions that were woken the longer way.
    static std::vector<std::shared_ptr<Waker>> take_stalled(lws_context *context, int tsi) noexcept;
    Session *session() const noexcept { return session_; }

private:
    void reach() noexcept;

    Session *session_;  // null: it has ended
    std::atomic<bool> woken_{false};
    std::mutex mutex_;
    lws_context *context_ = nullptr;
    lws_proton_conn *conn_ = nullptr;  // null: it has no WebSocket
    lws_proton_conn *pipe_ = nullptr;  // of its pt
    int tsi_ = 0;
    bool stalled_ = false;
    bool shared_ = false;  // the connection has other streams: WRITE is not this one's
    bool queued_ = false;
};

}  // namespace lws_proton::amqp
