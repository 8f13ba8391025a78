// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"
#include "lws_proton_conn.h"
#include "mutex.hpp"
#include "seldom.hpp"

#include <atomic>
#include <netdb.h>

typedef struct pn_event_t pn_event_t;
typedef struct pn_listener_t pn_listener_t;

namespace lws_proton {

class Loop;
class RawConnection;

// What a listening vhost has for a socket. New connections are accepted into a raw connection at
// once, since Proton would offer them again for ever, and offered to lws in their own first batch,
// when Proton knows the peer. While lws accepts none they wait here, as they would in the kernel's
// queue: as many, in order, with nothing read and no buffer.
//
// Proton ends a listener when it cannot accept: no descriptor is left, or no memory. Then this one
// waits for LWS_PROTON_LISTEN_AGAIN_MS, and listens again, for as long as lws has it.
//
// Held by lws, by Proton (or the loop, while it waits to listen again) and by each connection that
// lws has not seen yet; freed by the last.
class Listener : public lws_proton_conn {
public:
    explicit Listener(Loop &loop) noexcept;
    Listener(const Listener &) = delete;
    Listener &operator=(const Listener &) = delete;

    // False: it could not; `err` says why. Then it is Proton's alone.
    bool listen(const char *host, int *port, char *err, size_t err_len) noexcept;
    // The loop calls it, with listen_mutex(), when the time has come. False: out of memory, it
    // still waits.
    bool listen_again() noexcept;
    Listener *next_to_listen_again = nullptr;  // the loop's, under listen_mutex()

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
    enum class Life {
        listening,  // Proton has a listener
        ending,     // Proton has one, and will say that it is closed
        waiting,    // to listen again
        closed,     // by lws; Proton may still have one
    };

    // What to listen with. With listen_mutex(). False: out of memory.
    bool make_listener() noexcept;
    void accept_raw() noexcept;
    void on_close() noexcept;
    void report(const char *why) noexcept;
    Admission admit(RawConnection &connection) noexcept;
    void enable(bool start) noexcept;
    void kick_head() noexcept LWS_PROTON_REQUIRES(waiting_mutex_);
    lws_proton_conn *accept() noexcept;
    int close() noexcept;

    Loop &loop_;
    pn_listener_t *listener_ = nullptr;
    // As Proton wants it. The port is the one that was taken.
    char address_[NI_MAXHOST + sizeof(":65535")];
    std::atomic<int> holders_{1};
    std::atomic<Life> life_{Life::listening};  // changes under the loop's listen_mutex()
    bool no_memory_ = false;                   // why it ends; under listen_mutex()
    Seldom report_;
    Mutex waiting_mutex_{Rank::waiting};
    bool enabled_ LWS_PROTON_GUARDED_BY(waiting_mutex_) = false;  // lws accepts
    ConnectionList<&Connection::accept_links> waiting_ LWS_PROTON_GUARDED_BY(waiting_mutex_);
    bool full_said_ LWS_PROTON_GUARDED_BY(waiting_mutex_) = false;
    RawConnection *offered_ = nullptr;  // pt 0 is serialized meanwhile
};

}  // namespace lws_proton
