// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"
#include "lws_proton_conn.h"
#include "mutex.hpp"

#include <atomic>

typedef struct pn_event_t pn_event_t;
typedef struct pn_listener_t pn_listener_t;
typedef struct pn_proactor_t pn_proactor_t;

namespace lws_proton {

class Loop;
class RawConnection;

// What a listening vhost has for a socket. New connections are accepted into a raw connection at
// once, since Proton would offer them again for ever, and offered to lws in their own first batch,
// when Proton knows the peer. While lws accepts none they wait here, as they would in the kernel's
// queue: as many, in order, with nothing read and no buffer.
//
// Held by lws, by Proton and by each connection that lws has not seen yet; freed by the last.
class Listener : public lws_proton_conn {
public:
    explicit Listener(Loop &loop) noexcept;
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;

    // False: it could not; `err` says why. Then it is Proton's alone.
    bool listen(pn_proactor_t *proactor, const char *host, int *port, char *err,
                size_t err_len) noexcept;

    // Null: it is not one of these.
    static Listener *of(pn_listener_t *listener) noexcept;
    Loop &loop() const noexcept { return loop_; }
    void on_event(pn_event_t *event) noexcept;

    // lws may accept `connection` now: calls its taken() if it does. False: lws accepts none at the
    // moment (it has as many as it may); the connection is kicked when it is its turn.
    bool offer(RawConnection &connection) noexcept;
    // It waits for its turn no more.
    void forget(RawConnection &connection) noexcept;

    void hold() noexcept { holders_++; }
    void drop() noexcept;

private:
    ~Listener();

    static const lws_proton_conn_ops kOps;
    static Listener *from(lws_proton_conn *c) noexcept { return static_cast<Listener *>(c); }

    enum class Admission { now, later, first_refused, refused };

    void accept_raw() noexcept;
    Admission admit(RawConnection &connection) noexcept;
    void enable(bool start) noexcept;
    void kick_head() noexcept LWS_PROTON_REQUIRES(waiting_mutex_);
    lws_proton_conn *accept() noexcept;
    int close() noexcept;

    Loop &loop_;
    pn_listener_t *listener_ = nullptr;
    std::atomic<int> holders_{1};
    std::atomic<bool> closed_{false};  // by lws
    Mutex waiting_mutex_{Rank::waiting};
    bool enabled_ LWS_PROTON_GUARDED_BY(waiting_mutex_) = false;  // lws accepts
    ConnectionList<&Connection::accept_links> waiting_ LWS_PROTON_GUARDED_BY(waiting_mutex_);
    bool full_said_ LWS_PROTON_GUARDED_BY(waiting_mutex_) = false;
    RawConnection *offered_ = nullptr;  // pt 0 is serialized meanwhile
};

}  // namespace lws_proton
