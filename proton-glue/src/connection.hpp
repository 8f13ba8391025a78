// SPDX-License-Identifier: MIT
#pragma once

#include "lifecycle.hpp"
#include "linked_list.hpp"
#include "lws_proton.h"
#include "lws_proton_conn.h"
#include "window.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace lws_proton {

class Loop;

// A connection: the two windows, the life cycle, and what lws does to it. How the bytes get in and
// out is the subclass's: RawConnection or DriverConnection.
//
// All of it runs with the pt serialized, except enable() and kick(), which any thread may call.
// Most of it also runs in the connection's own turn: while this thread serves this connection. What
// happens outside of it (lws writes to another connection, a timer closes it) only changes the
// windows and the state, then kicks, and the transport follows in the turn that comes of that.
class Connection : public lws_proton_conn {
public:
    Connection(Loop &loop, int tsi, State state = State::opening) noexcept;
    virtual ~Connection();
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    static Connection *from(lws_proton_conn *c) noexcept { return static_cast<Connection *>(c); }

    Loop &loop() const noexcept { return loop_; }
    State state() const noexcept { return state_; }
    // lws has it: it was adopted and not closed.
    bool held() const noexcept { return wsi && !letting_go() && state_ != State::gone; }

    // Serves lws until nothing is ready, a bounded number of times. True: more is.
    bool serve() noexcept;

    // serve() for a connection that has no transport any more to call it.
    void serve_orphan() noexcept;

    // Has serve() called, soon, by whoever runs the transport. Any thread.
    virtual void kick() noexcept = 0;

    // Has the transport, which has not let go yet, drop what is unsent and end. False: it cannot.
    // Any thread.
    virtual bool abort() noexcept { return false; }

    // For the lists that it can be in, theirs alone.
    Links<Connection> linger_links;
    int64_t linger_since = 0;  // µs of Clock; since its peer last took something
    bool linger_reported = false;
    Links<Connection> orphan_links;
    Links<Connection> accept_links;

protected:
    // This thread serves this connection for as long as it lives; then frees it if it is gone.
    class Turn {
    public:
        explicit Turn(Connection &c) noexcept : connection_(c), before_(current_) { current_ = &c; }
        ~Turn() {
            current_ = before_;
            if (connection_.state_ == State::gone)
                delete &connection_;
        }
        Turn(const Turn &) = delete;
        Turn &operator=(const Turn &) = delete;

    private:
        Connection &connection_;
        Connection *before_;
    };

    // Moves the life cycle. May free the connection, unless it is in its turn.
    void on(Event event) noexcept;
    // The transport put `n` bytes into rx / took `n` out of tx.
    void received(uint32_t n) noexcept;
    void sent(uint32_t n) noexcept;
    // The transport lets go: all went as it should, or it `failed`. May free the connection, unless
    // it is in its turn.
    void disconnected(bool failed) noexcept;

    // lws may hold something that it did not hold when it was last asked.
    void ask_again() noexcept { nothing_pending_ = false; }

    // Counts in its pt from now on, where new connections are to go where the fewest are; or no more.
    void count() noexcept;
    void uncount() noexcept;

    bool in_turn() const noexcept { return current_ == this; }
    // lws may take, or wants to give, no more.
    bool readable_state() const noexcept {
        return state_ == State::opening || state_ == State::open || state_ == State::shut;
    }
    bool letting_go() const noexcept { return state_ == State::closing || state_ == State::closed; }
    bool shut_state() const noexcept { return state_ == State::shut || state_ == State::half_gone; }

    virtual int peer_name(sockaddr *sa, socklen_t *len) noexcept = 0;
    virtual int local_name(sockaddr *sa, socklen_t *len) noexcept = 0;
    virtual int connect(const sockaddr *sa, socklen_t len) noexcept;

    // Why it was never connected: an errno.
    int connect_error_ = ECONNREFUSED;

    uint32_t rx_small() const noexcept { return std::min(windows_.rx, LWS_PROTON_RX_SMALL); }

    Loop &loop_;
    lws_proton_windows_t windows_;  // of the buffers to come
    Window rx_;
    Window tx_;

private:
    // A turn serves lws at most this often before other connections get theirs.
    static constexpr int kRounds = 256;
    // ... and so often if lws takes and gives nothing, but wants to be told again that it may.
    static constexpr int kIdleRounds = 4;

    static const lws_proton_conn_ops kOps;

    ssize_t recv(void *buf, size_t len) noexcept;
    ssize_t peek(void *buf, size_t len) noexcept;
    ssize_t nothing_to_recv() const noexcept;
    int connect_error() const noexcept;
    ssize_t send(const void *buf, size_t len) noexcept;
    int shutdown() noexcept;
    int close() noexcept;
    void enable(bool start, int events) noexcept;

    int ready() noexcept;
    int64_t pending() noexcept;
    bool sendable() const noexcept;
    size_t tx_room() const noexcept;
    bool writable() const noexcept;

    static thread_local Connection *current_;

    bool counted_ = false;

    // Changes in a Turn only; kick(), of any thread, reads it.
    std::atomic<State> state_;
    bool ended_in_order_ = false;  // both had ended their streams before it was lost
    bool hangup_told_ = false;
    // Lost, but lws has neither closed it nor read on, as with output that it could not send: it is
    // to hear of it in another way.
    bool kept_ = false;
    // Lost, and lws was called for WRITE. A protocol that finds no room and asks for WRITE again would
    // be called for ever, as long as lws keeps what it has read and may not give (rx flow control).
    bool last_write_told_ = false;
    bool wrote_last_ = false;  // lws was last called for WRITE
    // lws was called for READ and took nothing: it cannot now. Calling again would spin.
    std::atomic<bool> read_stalled_{false};
    bool nothing_pending_ = false;  // lws holds nothing that it received and has not used
    std::atomic<int> enabled_{0};
};

template <Links<Connection> Connection::*links>
using ConnectionList = LinkedList<Connection, links>;

}  // namespace lws_proton
