// SPDX-License-Identifier: MIT
#include "loop.hpp"

#include "listener.hpp"
#include "lookup.hpp"
#include "lws_proton.h"
#include "raw_connection.hpp"

#include <proton/event.h>
#include <proton/listener.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <new>

namespace lws_proton {

namespace {

int64_t now_us() noexcept {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
        .count();
}

constexpr int64_t kMs = 1000;  // µs

ssize_t not_a_stream() noexcept {
    errno = ENOTCONN;
    return -1;
}

}  // namespace

thread_local Loop *Loop::serving_loop_ = nullptr;
thread_local int Loop::serving_tsi_ = -1;

const lws_proton_conn_ops Loop::kPipeOps = {
    [](lws_proton_conn *, void *, size_t) { return not_a_stream(); },
    [](lws_proton_conn *, void *, size_t) { return not_a_stream(); },
    [](lws_proton_conn *, const void *, size_t) { return not_a_stream(); },
    [](lws_proton_conn *) { return 0; },
    [](lws_proton_conn *c) {
        c->wsi = nullptr;
        return 0;
    },
    [](lws_proton_conn *, sockaddr *, socklen_t *) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *, sockaddr *, socklen_t *) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *, const sockaddr *, socklen_t) { return static_cast<int>(not_a_stream()); },
    [](lws_proton_conn *) { return 0; },
    [](lws_proton_conn *) -> lws_proton_conn * { return nullptr; },
    [](lws_proton_conn *) -> size_t { return 0; },
    [](lws_proton_conn *) -> size_t { return 0; },
    [](lws_proton_conn *, int, int) {},
    [](lws_proton_conn *, const lws_proton_windows_t *) {},
    [](lws_proton_conn *c) {
        Loop *loop = static_cast<Pipe *>(c)->loop;
        loop->pts_[c->tsi]->cancelled = true;
        loop->wake(c->tsi);
        return 0;
    },
};

Loop::Visit::Visit(Loop &loop, int tsi) noexcept
    : loop_(loop), tsi_(tsi), serial_(loop.pts_[tsi]->serial, std::defer_lock),
      outer_loop_(serving_loop_), outer_tsi_(serving_tsi_) {
    // The order of the locks. A visit to the pt that this thread is in already would never begin.
    assert(loop_.this_tsi() < tsi_);
    // lws has its context locked while it has the loop freed, and nobody else is there any more.
    if (!loop_.draining_)
        serial_.lock();
    serving_loop_ = &loop_;
    serving_tsi_ = tsi_;
}

Loop::Visit::~Visit() {
    const int64_t next = loop_.host_->after(loop_.user_, tsi_);
    const int64_t deadline = next < 0 ? kNever : now_us() + next;
    loop_.pts_[tsi_]->deadline = deadline;
    serving_loop_ = outer_loop_;
    serving_tsi_ = outer_tsi_;
    if (serial_)
        serial_.unlock();
    loop_.arm(deadline);
}

Loop::Loop(int threads, const lws_proton_host_t *host, void *user)
    : host_(host), user_(user), proactor_(pn_proactor()) {
    retired_.service = [](void *, lws_proton_conn *, int) {};
    retired_.pending = [](void *, lws_proton_conn *) -> size_t { return 0; };
    retired_.after = [](void *, int) -> int64_t { return -1; };
    retired_.resolved = nullptr;  // every lookup was cancelled
    retired_.log = host->log;
    if (!proactor_)
        throw std::bad_alloc();
    for (int tsi = 0; tsi < threads; tsi++) {
        pts_.push_back(std::make_unique<Pt>());
        static_cast<lws_proton_conn &>(pts_.back()->pipe) = {&kPipeOps, nullptr, tsi};
        pts_.back()->pipe.loop = this;
    }
    heartbeat_ = now_us() + LWS_PROTON_HEARTBEAT_MS * kMs;
    arm_all();
}

void Loop::FreeProactor::operator()(pn_proactor_t *p) const noexcept {
    pn_proactor_free(p);
}

bool Loop::drain() noexcept {
    draining_ = true;
    host_ = &retired_;
    const int64_t until = now_us() + LWS_PROTON_DRAIN_MS * kMs;
    while (connections_ || listeners_) {
        const int64_t left = until - now_us();
        if (left > 0)
            arm(now_us() + left);
        // The time is for peers to read: what has happened by then is not left undone.
        pn_event_batch_t *batch =
            left > 0 ? pn_proactor_wait(proactor_.get()) : pn_proactor_get(proactor_.get());
        if (!batch)
            return false;
        dispatch(batch);
    }
    // A raw connection that was woken as it ended has one more batch, and Proton frees it only then.
    while (pn_event_batch_t *batch = pn_proactor_get(proactor_.get()))
        dispatch(batch);
    return true;
}

void Loop::turn(int tsi, bool wait) noexcept {
    Pt &pt = *pts_[tsi];
    // The program may have set a timer since the last turn, as it may between poll()s.
    { Visit visit(*this, tsi); }
    // A timer may have woken another pt.
    settle();
    // First waiting, then the look at returning: who passes an interrupt on looks the other way
    // round, so one of the two sees the other.
    pt.waiting = wait;
    if (pt.returning.exchange(false)) {
        pt.waiting = false;
        settle();
        return;
    }
    pn_event_batch_t *batch =
        wait ? pn_proactor_wait(proactor_.get()) : pn_proactor_get(proactor_.get());
    pt.waiting = false;
    pt.returning = false;
    if (batch)
        dispatch(batch);
}

void Loop::dispatch(pn_event_batch_t *batch) noexcept {
    pn_event_t *event = pn_event_batch_next(batch);
    bool timeout = false, interrupt = false;

    if (event && pn_event_raw_connection(event)) {
        pn_raw_connection_t *raw = pn_event_raw_connection(event);
        if (RawConnection *connection = RawConnection::of(raw)) {
            connection->batch(batch, event);
        } else {
            pn_raw_connection_close(raw);
            while (pn_event_batch_next(batch)) {
            }
        }
    } else if (event && pn_event_listener(event)) {
        for (; event; event = pn_event_batch_next(batch))
            if (Listener *listener = Listener::of(pn_event_listener(event)))
                listener->on_event(event);
    } else {
        for (; event; event = pn_event_batch_next(batch)) {
            timeout |= pn_event_type(event) == PN_PROACTOR_TIMEOUT;
            interrupt |= pn_event_type(event) == PN_PROACTOR_INTERRUPT;
        }
    }
    pn_proactor_done(proactor_.get(), batch);

    if (timeout)
        on_timeout();
    if (interrupt)
        on_wakes();
    else
        settle();
}

void Loop::settle() noexcept {
    if (std::any_of(pts_.begin(), pts_.end(), [](auto &pt) { return pt->woken.load(); }))
        on_wakes();
}

// Called from signal handlers too: atomics and one write(2), which is what Proton's interrupt is.
void Loop::wake(int tsi) noexcept {
    Pt &pt = *pts_[tsi];
    pt.returning = true;
    if (pt.woken.exchange(true))
        return;
    // This thread looks at woken itself before it waits again.
    if (serving_loop_ != this)
        pn_proactor_interrupt(proactor_.get());
}

void Loop::on_wakes() noexcept {
    for (size_t tsi = 0; tsi < pts_.size(); tsi++) {
        Pt &pt = *pts_[tsi];
        if (!pt.woken.exchange(false))
            continue;
        Visit visit(*this, static_cast<int>(tsi));
        if (pt.cancelled.exchange(false) && pt.pipe.wsi)
            host_->service(user_, &pt.pipe, LWS_PROTON_READ);
        serve_orphans(pt);
        serve_lookups(pt);
    }
    pass_on();
}

// An interrupt reaches one thread: those that are to come back too need another. And what was
// served may have woken a pt again.
void Loop::pass_on() noexcept {
    if (std::any_of(pts_.begin(), pts_.end(),
                    [](auto &pt) { return pt->woken || (pt->returning && pt->waiting); }))
        pn_proactor_interrupt(proactor_.get());
}

// Each once: one that wants to be served again comes back through the wake.
void Loop::serve_orphans(Pt &pt) noexcept {
    size_t count;
    {
        std::lock_guard<std::mutex> lock(pt.orphan_mutex);
        count = pt.orphans.size();
    }
    while (count--) {
        Connection *orphan;
        {
            std::lock_guard<std::mutex> lock(pt.orphan_mutex);
            orphan = pt.orphans.head();
            if (!orphan)
                return;
            pt.orphans.pull(*orphan);
        }
        orphan->serve_orphan();
    }
}

void Loop::looked_up(Lookup &lookup) noexcept {
    {
        Pt &pt = *pts_[lookup.tsi];
        std::lock_guard<std::mutex> lock(pt.lookup_mutex);
        lookup.next = pt.lookups;
        pt.lookups = &lookup;
    }
    wake(lookup.tsi);
}

void Loop::forget(Lookup &lookup) noexcept {
    Pt &pt = *pts_[lookup.tsi];
    std::lock_guard<std::mutex> lock(pt.lookup_mutex);
    for (Lookup **link = &pt.lookups; *link; link = &(*link)->next)
        if (*link == &lookup) {
            *link = lookup.next;
            return;
        }
}

void Loop::serve_lookups(Pt &pt) noexcept {
    for (;;) {
        Lookup *lookup;
        {
            std::lock_guard<std::mutex> lock(pt.lookup_mutex);
            lookup = pt.lookups;
            if (!lookup)
                return;
            pt.lookups = lookup->next;
        }
        host_->resolved(user_, lookup->cookie, lookup->error(), lookup->take_result());
        delete lookup;
    }
}

void Loop::on_timeout() noexcept {
    const int64_t now = now_us();
    {
        std::lock_guard<std::mutex> lock(timer_mutex_);
        armed_ = kNever;
    }
    for (size_t tsi = 0; tsi < pts_.size(); tsi++) {
        if (pts_[tsi]->deadline > now)
            continue;
        Visit visit(*this, static_cast<int>(tsi));  // serves lws's timers when it ends
    }
    report_lingering(now);
    if (now >= heartbeat_) {
        heartbeat_ = now + LWS_PROTON_HEARTBEAT_MS * kMs;
        for (auto &pt : pts_)
            if (pt->waiting)
                pt->returning = true;
        pass_on();
    }
    arm_all();
}

void Loop::arm_all() noexcept {
    int64_t deadline = heartbeat_;
    for (auto &pt : pts_)
        deadline = std::min<int64_t>(deadline, pt->deadline);
    arm(deadline);
}

void Loop::arm(int64_t deadline) noexcept {
    std::lock_guard<std::mutex> lock(timer_mutex_);
    if (deadline >= armed_)
        return;
    armed_ = deadline;
    const int64_t ms = (deadline - now_us() + kMs - 1) / kMs;
    pn_proactor_set_timeout(proactor_.get(), static_cast<pn_millis_t>(std::max<int64_t>(ms, 0)));
}

lws_proton_conn *Loop::listen(const char *host, int *port, char *err, size_t err_len) noexcept {
    Listener *listener = new (std::nothrow) Listener(*this);
    if (!listener) {
        snprintf(err, err_len, "listen: out of memory");
        return nullptr;
    }
    return listener->listen(proactor_.get(), host, port, err, err_len) ? listener : nullptr;
}

lws_proton_conn *Loop::socket(int tsi) noexcept {
    return new (std::nothrow) RawConnection(*this, tsi);
}

lws_proton_conn *Loop::pipe(int tsi) noexcept {
    return &pts_[tsi]->pipe;
}

bool Loop::set_windows(const lws_proton_windows_t &windows) noexcept {
    if (!valid(windows))
        return false;
    std::lock_guard<std::mutex> lock(windows_mutex_);
    windows_ = windows;
    return true;
}

lws_proton_windows_t Loop::windows() const noexcept {
    std::lock_guard<std::mutex> lock(windows_mutex_);
    return windows_;
}

bool Loop::valid(const lws_proton_windows_t &windows) noexcept {
    const auto in_range = [](uint32_t size) {
        return size >= LWS_PROTON_WINDOW_MIN && size <= LWS_PROTON_WINDOW_MAX;
    };
    return in_range(windows.rx) && in_range(windows.tx);
}

lws_proton_stats_t Loop::stats() noexcept {
    return {connections_, lingering_, pool_.bytes()};
}

int Loop::idlest() const noexcept {
    const auto least = std::min_element(
        pts_.begin(), pts_.end(), [](auto &a, auto &b) { return a->connections < b->connections; });
    return static_cast<int>(least - pts_.begin());
}

void Loop::connection_born(int tsi) noexcept {
    connections_++;
    join(tsi);
}

void Loop::connection_died(int tsi) noexcept {
    connections_--;
    leave(tsi);
}

void Loop::join(int tsi) noexcept {
    pts_[tsi]->connections++;
}

void Loop::leave(int tsi) noexcept {
    pts_[tsi]->connections--;
}

void Loop::adopt_orphan(Connection &c) noexcept {
    {
        Pt &pt = *pts_[c.tsi];
        std::lock_guard<std::mutex> lock(pt.orphan_mutex);
        if (pt.orphans.has(c))
            return;
        pt.orphans.push(c);
    }
    wake(c.tsi);
}

void Loop::adopt_no_more(Connection &c) noexcept {
    Pt &pt = *pts_[c.tsi];
    std::lock_guard<std::mutex> lock(pt.orphan_mutex);
    if (pt.orphans.has(c))
        pt.orphans.pull(c);
}

void Loop::linger(Connection &c) noexcept {
    std::lock_guard<std::mutex> lock(linger_mutex_);
    c.linger_since = Clock::now();
    lingering_list_.push(c);
    lingering_++;
}

void Loop::unlinger(Connection &c) noexcept {
    std::lock_guard<std::mutex> lock(linger_mutex_);
    lingering_list_.pull(c);
    lingering_--;
    if (c.linger_reported)
        stuck_--;
}

bool Loop::refusing() const noexcept {
    return lingering_ >= LWS_PROTON_LINGER_MAX;
}

void Loop::refused() noexcept {
    {
        std::lock_guard<std::mutex> lock(linger_mutex_);
        if (refusing_said_)
            return;
        refusing_said_ = true;
    }
    char line[160];
    snprintf(line, sizeof(line),
             "%d connections linger (closed, bytes unsent, peer not reading): refusing new ones "
             "until some end",
             LWS_PROTON_LINGER_MAX);
    log(LWS_PROTON_LOG_ERR, line);
}

// Oldest first, so it stops at the first that is not late yet. One line at most a heartbeat.
void Loop::report_lingering(int64_t now) noexcept {
    size_t found = 0, stuck;
    {
        std::lock_guard<std::mutex> lock(linger_mutex_);
        for (Connection *c = lingering_list_.head(); c; c = lingering_list_.next(*c)) {
            const int64_t since = std::chrono::duration_cast<std::chrono::microseconds>(
                                      c->linger_since.time_since_epoch())
                                      .count();
            if (now - since < LWS_PROTON_LINGER_REPORT_MS * kMs)
                break;
            if (!c->linger_reported) {
                c->linger_reported = true;
                found++;
            }
        }
        stuck = stuck_ += found;
        if (!refusing())
            refusing_said_ = false;
    }
    if (!found)
        return;
    char line[160];
    snprintf(line, sizeof(line),
             "%zu connections linger: closed over %d s ago, bytes unsent, peer not reading "
             "(%zu more since the last report)",
             stuck, LWS_PROTON_LINGER_REPORT_MS / 1000, found);
    log(LWS_PROTON_LOG_WARN, line);
}

}  // namespace lws_proton
