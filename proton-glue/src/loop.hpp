// SPDX-License-Identifier: MIT
#pragma once

#include "buffer_pool.hpp"
#include "connection.hpp"
#include "dialer.hpp"
#include "drain.hpp"
#include "lingering.hpp"
#include "linked_list.hpp"
#include "lookup.hpp"
#include "lws_proton_host.h"
#include "mutex.hpp"
#include "seldom.hpp"
#include "timers.hpp"

#include <atomic>
#include <cassert>
#include <memory>
#include <vector>

typedef struct pn_event_t pn_event_t;
typedef struct pn_raw_connection_t pn_raw_connection_t;

namespace lws_proton {

class Listener;

// One lws_context's loop on a proactor, its own or the application's: the serialization of its pts,
// its timers, its wake, and which of Proton's events goes where.
//
// Locks, in the order in which a thread may take them (Rank, for all but lws's own):
//   1. Pt::serial of pt 0, 2. Pt::serial of one other pt,
//   3. lws's own,
//   4. one of: a lookup's, a listener's waiting_mutex_,
//   5. listen_mutex_,
//   6. Lingering's,
//   7. one of: windows_mutex_, Pt::orphan_mutex, Pt::lookup_mutex, a connection's wake mutex, the
//      dialer's, the pool's, Timers's. Under these nothing but Proton, or a driver's wake, is
//      called.
//
// Held by its context, by all that Proton holds of it, and by each thread that serves an event of
// it; freed by the last.
class Loop {
public:
    // `application`: the proactor of one whose threads serve it; null: the loop makes its own.
    Loop(int threads, const lws_proton_host_t *host, void *user, pn_proactor_t *application);
    Loop(const Loop &) = delete;
    Loop &operator=(const Loop &) = delete;

    // The host is gone and everything is closed: lets Proton finish. False: some peers keep what
    // they have.
    bool wind_up() noexcept;

    // Has its connections end; the rest of them is cut after `ms`. Any thread, in a visit or not.
    void drain(int ms) noexcept;
    bool drained() const noexcept;

    void turn(int tsi, bool wait) noexcept;
    // For who does not wait for Proton: a turn of every pt without its events. How long until the
    // next is due, in ms; -1: it is not.
    int tick() noexcept;
    // Called besides Proton's interrupt. Not while anything can wake the loop.
    void set_wake(void (*wake)(void *), void *context) noexcept;
    void dispatch(pn_event_batch_t *batch) noexcept;
    // Serves `event` and all that follows it in `batch`, if it is a loop's, of whichever; but not
    // a proactor's timeout.
    static bool serve(pn_event_batch_t *batch, pn_event_t *event) noexcept;
    // What is due at `now`.
    void on_timeout(int64_t now) noexcept;

    void hold() noexcept { holders_++; }
    bool hold_if_alive() noexcept;
    void drop() noexcept;
    size_t held_by_proton() const noexcept { return connections_ + listeners_; }

    // An application's proactor: its threads may be anywhere in here.
    bool foreign() const noexcept { return foreign_; }
    // From seize() to unseize() this thread has all of the pts: while the context is made, and
    // while it is destroyed.
    void seize() noexcept LWS_PROTON_NOT_ANALYZED;
    void unseize() noexcept LWS_PROTON_NOT_ANALYZED;
    // By this thread, and not by enter().
    bool seized() const noexcept { return serving_.loop == this && seized_ && !entered_all_; }
    // The host and its context are gone.
    void retire() noexcept;
    // host->destroy() is to be called, by this thread, once it is in no visit.
    void destroy_later() noexcept { destroy_wanted_ = true; }
    // For who is not in a callback; -1: all of the pts. False: this thread may not wait for it.
    bool enter(int tsi) noexcept;
    void leave() noexcept;

    lws_proton_conn *listen(const char *host, int *port, char *err, size_t err_len) noexcept;
    lws_proton_conn *socket(int tsi) noexcept;
    // A connection of the application's, in its own batch. Null: errno says why not.
    lws_proton_conn *adopt(pn_raw_connection_t *raw) noexcept;
    lws_proton_conn *pipe(int tsi) noexcept;
    void wake(int tsi) noexcept;
    // Serves what was woken by this thread while it was inside lws.
    void settle() noexcept;

    const void *user() const noexcept { return user_; }
    pn_proactor_t *proactor() const noexcept { return proactor_; }
    BufferPool &pool() noexcept { return pool_; }
    Dialer &dialer() noexcept { return dialer_; }
    Lingering &lingering() noexcept { return lingering_; }
    lws_proton_stats_t stats() noexcept;
    // Of new connections. False: out of range.
    bool set_windows(const lws_proton_windows_t &windows) noexcept;
    lws_proton_windows_t windows() const noexcept;
    static bool valid(const lws_proton_windows_t &windows) noexcept;

    // What a thread is inside of.
    struct Serving {
        Loop *loop;
        int tsi;
    };
    // One thread inside lws for a pt.
    class Visit {
    public:
        Visit(Loop &loop, int tsi) noexcept;
        ~Visit();
        Visit(const Visit &) = delete;
        Visit &operator=(const Visit &) = delete;

    private:
        Loop &loop_;
        const Serving before_;
    };
    // This thread is in a visit to tsi.
    bool serving(int tsi) const noexcept {
        return serving_.loop == this && (serving_.tsi == tsi || seized_);
    }
    int this_tsi() const noexcept { return serving_.loop == this ? serving_.tsi : -1; }
    // This thread is in a visit, of whatever loop: it may not wait for other pts.
    static bool inside() noexcept { return serving_.loop != nullptr; }
    // lws uses a connection of pt `tsi`. (In a loop of its own lws is also called between turns.)
    void check_thread([[maybe_unused]] int tsi) const noexcept {
        assert((!foreign_ || pts_[tsi]->serial.held()) &&
               "in a callback of the pt, or between lws_proton_loop_enter() and leave()");
    }

    // The host, for connections.
    void host_service(lws_proton_conn &c, int events) noexcept {
        host_->service(user_, &c, events);
    }
    int64_t host_pending(lws_proton_conn &c) noexcept { return host_->pending(user_, &c); }
    void log(int level, const char *line) noexcept { log_(user_, level, line); }
    // A line of what there was no memory for, once a second at most.
    void report_no_memory(const char *what) noexcept;

    // The pt with the fewest connections.
    int idlest() const noexcept;

    // Of a connection's life.
    void connection_born() noexcept;
    void connection_died() noexcept;
    // It counts in pt `tsi`, from now on or no more.
    void count(int tsi) noexcept;
    void uncount(int tsi) noexcept;
    void linger(Connection &c) noexcept;
    // A connection without a transport wants to be served.
    void adopt_orphan(Connection &c) noexcept;
    void adopt_no_more(Connection &c) noexcept;
    // A lookup has ended: the host is to hear of it. Any thread.
    void looked_up(Lookup &lookup) noexcept;
    // ... unless it is cancelled before. With the pt serialized.
    void forget(Lookup &lookup) noexcept;
    void listener_born() noexcept;
    void listener_died() noexcept;
    // It listens again in LWS_PROTON_LISTEN_AGAIN_MS, unless it is told to listen no more.
    void listen_later(Listener &listener) noexcept LWS_PROTON_REQUIRES(listen_mutex_);
    void listen_no_more(Listener &listener) noexcept LWS_PROTON_REQUIRES(listen_mutex_);
    // Proton may not take a listener away while its creator still looks at it.
    Mutex &listen_mutex() noexcept LWS_PROTON_THREADS(lock_returned(listen_mutex_)) {
        return listen_mutex_;
    }

protected:
    virtual ~Loop();

private:
    struct Pipe : lws_proton_conn {
        Loop *loop;
    };
    struct Pt {
        Mutex serial{Rank::pt};
        Pipe pipe;
        std::atomic<bool> woken{false};      // something below is to be served
        std::atomic<bool> cancelled{false};  // lws_cancel_service()
        std::atomic<bool> returning{false};  // its thread is to come back from its wait
        std::atomic<bool> waiting{false};    // its thread is in Proton's wait
        std::atomic<int> connections{0};
        std::atomic<int64_t> deadline{kNever};  // of lws's next timer, µs of Clock
        std::atomic<int64_t> drain_due{kNever};  // when its connections are looked at, see drain()
        enum class Drain { none, begun, cut } drain = Drain::none;
        Serving before_entering{nullptr, -1};
        int entered_again = 0;
        Mutex orphan_mutex{Rank::leaf};
        ConnectionList<&Connection::orphan_links> orphans LWS_PROTON_GUARDED_BY(orphan_mutex);
        Mutex lookup_mutex{Rank::leaf};
        // Ended, to be told of.
        LinkedList<Lookup, &Lookup::ended_links> lookups LWS_PROTON_GUARDED_BY(lookup_mutex);
    };
    static const lws_proton_conn_ops kPipeOps;

    // A visit's beginning and end; between them is what the thread was inside of before.
    Serving begin(int tsi) noexcept LWS_PROTON_NOT_ANALYZED;
    void end(Serving before) noexcept LWS_PROTON_NOT_ANALYZED;
    // In a visit to it.
    void drain_pt(Pt &pt) noexcept;
    void rouse() noexcept;
    void on_wakes() noexcept;
    void pass_on() noexcept;
    void leave_a_poller() noexcept;
    void serve_orphans(Pt &pt) noexcept;
    void serve_lookups(Pt &pt) noexcept;
    void arm_all() noexcept;
    void listen_again(int64_t now) noexcept;
    void beat(int64_t now) noexcept;
    void warn_of_protons_accept() noexcept;
    // With a holder that stays.
    void drop_not_last() noexcept;

    static thread_local Serving serving_;

    const bool foreign_;
    bool winding_up_ = false;
    bool seized_ = false;
    bool entered_all_ = false;
    Serving before_seizing_{nullptr, -1};
    std::atomic<bool> destroy_wanted_{false};
    const lws_proton_host_t *host_;
    void (*const log_)(void *user, int level, const char *line);
    void *user_;
    struct FreeProactor {
        void operator()(pn_proactor_t *p) const noexcept;
    };
    std::unique_ptr<pn_proactor_t, FreeProactor> own_proactor_;
    pn_proactor_t *const proactor_;
    const std::shared_ptr<Timers> timers_;
    BufferPool pool_;
    std::vector<std::unique_ptr<Pt>> pts_;
    std::atomic<size_t> holders_{1};
    std::atomic<size_t> connections_{0};
    std::atomic<size_t> listeners_{0};

    mutable Mutex windows_mutex_{Rank::leaf};
    lws_proton_windows_t windows_ LWS_PROTON_GUARDED_BY(windows_mutex_){LWS_PROTON_RX,
                                                                        LWS_PROTON_TX, false};

    std::atomic<int64_t> heartbeat_{kNever};

    Drain drain_;
    std::atomic<size_t> pts_cut_{0};

    Lingering lingering_{*this};
    Seldom no_memory_;
    Mutex listen_mutex_{Rank::listening};
    Listener *to_listen_again_ LWS_PROTON_GUARDED_BY(listen_mutex_) = nullptr;
    std::atomic<int64_t> listen_again_at_{kNever};  // changes under listen_mutex_
    Dialer dialer_;

    std::atomic<void (*)(void *)> wake_{nullptr};
    std::atomic<void *> wake_context_{nullptr};
};

}  // namespace lws_proton
