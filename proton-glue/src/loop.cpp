// SPDX-License-Identifier: MIT
#include "loop.hpp"

#include "listener.hpp"
#include "lookup.hpp"
#include "lws_proton.h"
#include "proton_accept.hpp"
#include "lws_proton_host.h"
#include "raw_connection.hpp"

#include <proton/event.h>
#include <proton/listener.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <new>
#include <utility>

namespace lws_proton {

namespace {

// Of each kind, in each raw connection of Proton's.
constexpr size_t kProtonBuffers = 16;
// That a service thread serves at most before it goes: with each another is likely to poll.
constexpr int kLastBatches = 64;

ssize_t not_a_stream() noexcept {
    errno = ENOTCONN;
    return -1;
}

}  // namespace

thread_local Loop::Serving Loop::serving_ = {nullptr, -1};

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

Loop::Visit::Visit(Loop &loop, int tsi) noexcept : loop_(loop), before_(loop.begin(tsi)) {}

Loop::Visit::~Visit() {
    loop_.end(before_);
}

Loop::Serving Loop::begin(int tsi) noexcept {
    const Serving before = serving_;
    // The order of the locks. A visit to the pt that this thread is in already would never begin.
    assert(this_tsi() < tsi && "not from a callback, nor between enter and leave");
    // lws has its context locked while it has the loop freed, and nobody else is there any more.
    if (!winding_up_)
        pts_[tsi]->serial.lock();
    serving_ = {this, tsi};
    return before;
}

void Loop::end(Serving before) noexcept {
    Pt &pt = *pts_[serving_.tsi];
    if (pt.drain_due != kNever && pt.drain_due <= now_us())
        drain_pt(pt);
    const int64_t deadline = std::min<int64_t>(host_->after(user_, serving_.tsi), pt.drain_due);
    pt.deadline = deadline;
    serving_ = before;
    if (!winding_up_)
        pt.serial.unlock();
    timers_->arm(deadline);
}

Loop::Loop(int threads, const lws_proton_host_t *host, void *user, pn_proactor_t *application)
    : foreign_(application != nullptr), host_(host), log_(host->log), user_(user),
      own_proactor_(application ? nullptr : pn_proactor()),
      proactor_(application ? application : own_proactor_.get()),
      timers_(application ? Timers::obtain(application) : std::make_shared<Timers>(proactor_)) {
    if (!proactor_)
        throw std::bad_alloc();
    for (int tsi = 0; tsi < threads; tsi++) {
        pts_.push_back(std::make_unique<Pt>());
        static_cast<lws_proton_conn &>(pts_.back()->pipe) = {&kPipeOps, nullptr, tsi};
        pts_.back()->pipe.loop = this;
    }
    timers_->join(*this);
    warn_of_protons_accept();
    beat(now_us());
}

// Once a process: it is the same for each loop.
void Loop::warn_of_protons_accept() noexcept {
    static std::atomic<bool> warned{false};
    if (!replace_protons_accept() && !warned.exchange(true))
        log(LWS_PROTON_LOG_WARN, "Proton keeps its own accept(): it may abort when a listener is "
                                 "closed after descriptors ran out");
}

Loop::~Loop() {
    timers_->leave(*this);
}

bool Loop::hold_if_alive() noexcept {
    size_t holders = holders_;
    while (holders && !holders_.compare_exchange_weak(holders, holders + 1)) {
    }
    return holders != 0;
}

void Loop::drop() noexcept {
    if (--holders_ == 0)
        delete this;
}

void Loop::drop_not_last() noexcept {
    [[maybe_unused]] const size_t before = holders_--;
    assert(before > 1);
}

void Loop::FreeProactor::operator()(pn_proactor_t *p) const noexcept {
    pn_proactor_free(p);
}

void Loop::seize() noexcept {
    // The order of the locks.
    for (auto &pt : pts_)
        pt->serial.lock();
    before_seizing_ = serving_;
    serving_ = {this, 0};
    seized_ = true;
}

void Loop::unseize() noexcept {
    seized_ = false;
    serving_ = before_seizing_;
    for (auto &pt : pts_) {
        // There may be timers by now, and wakes that this thread has not settled.
        pt->deadline = 0;
        pt->serial.unlock();
    }
    timers_->arm(0);
}

bool Loop::enter(int tsi) noexcept {
    if (this_tsi() < 0) {
        if (tsi < 0) {
            seize();
            entered_all_ = true;
        } else {
            const Serving before = begin(tsi);
            pts_[tsi]->before_entering = before;
        }
        return true;
    }
    if (tsi < 0 ? !seized_ : !serving(tsi))
        return false;
    pts_[serving_.tsi]->entered_again++;
    return true;
}

void Loop::leave() noexcept {
    assert(this_tsi() >= 0 && "lws_proton_loop_leave() follows lws_proton_loop_enter()");
    Pt &pt = *pts_[serving_.tsi];
    if (pt.entered_again) {
        pt.entered_again--;
        return;
    }
    hold();
    if (seized_) {
        entered_all_ = false;
        unseize();
    } else {
        end(pt.before_entering);
    }
    settle();
    drop();
}

void Loop::retire() noexcept {
    static const lws_proton_host_t kNobody = {
        [](void *, lws_proton_conn *, int) {},
        [](void *, lws_proton_conn *) -> int64_t { return 0; },
        [](void *, int) -> int64_t { return kNever; },
        nullptr,  // nobody takes a turn
        nullptr,  // every lookup was cancelled
        nullptr,
        [](void *, int, int) {},
        nullptr,
    };
    host_ = &kNobody;
}

void Loop::drain(int ms) noexcept {
    drain_.begin(now_us(), ms);
    for (size_t tsi = 0; tsi < pts_.size(); tsi++) {
        pts_[tsi]->drain_due = 0;
        wake(static_cast<int>(tsi));
    }
}

bool Loop::drained() const noexcept {
    return drain_.begun() && (pts_cut_ == pts_.size() || (!connections_ && !listeners_));
}

void Loop::drain_pt(Pt &pt) noexcept {
    if (pt.drain == Pt::Drain::cut) {
        pt.drain_due = kNever;
        return;
    }
    const int64_t now = now_us();
    // First this, then a look at the phase: who makes the time shorter does it the other way round.
    pt.drain_due = now + LWS_PROTON_DRAIN_QUIET_MS * kMs;
    const int phase = drain_.phase(now);
    host_->drain(user_, serving_.tsi,
                 phase != LWS_PROTON_DRAIN_CUT && pt.drain == Pt::Drain::none
                     ? LWS_PROTON_DRAIN_BEGIN
                     : phase);
    if (phase != LWS_PROTON_DRAIN_CUT) {
        pt.drain = Pt::Drain::begun;
        lower(pt.drain_due, drain_.next(now));
        return;
    }
    pt.drain = Pt::Drain::cut;
    pt.drain_due = kNever;
    // Nobody lingers beyond the last of them.
    if (++pts_cut_ == pts_.size())
        lingering_.abort_all();
}

bool Loop::wind_up() noexcept {
    winding_up_ = true;
    retire();
    // What was cut has had its time.
    const int64_t until =
        now_us() + (drained() ? LWS_PROTON_DRAIN_CUT_MS : LWS_PROTON_DRAIN_MS) * kMs;
    while (connections_ || listeners_) {
        const int64_t left = until - now_us();
        if (left > 0)
            timers_->arm(now_us() + left);
        else
            lingering_.abort_all();
        // The time is for peers to read: what has happened by then is not left undone.
        pn_event_batch_t *batch =
            left > 0 ? pn_proactor_wait(proactor_) : pn_proactor_get(proactor_);
        if (!batch)
            return false;
        dispatch(batch);
    }
    // A raw connection that was woken as it ended has one more batch, and Proton frees it only
    // then.
    while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
        dispatch(batch);
    return true;
}

void Loop::turn(int tsi, bool wait) noexcept {
    Pt &pt = *pts_[tsi];
    // The program may have set a timer since the last turn, as it may between poll()s.
    // (Who is in the pt looks itself when it leaves.)
    if (pt.serial.try_lock()) {
        const bool sooner = host_->deadline(user_, tsi) < pt.deadline;
        pt.serial.unlock();
        if (sooner)
            Visit visit(*this, tsi);
    }
    // A timer may have woken another pt.
    settle();
    // First waiting, then the look at returning: who passes an interrupt on looks the other way
    // round, so one of the two sees the other.
    pt.waiting = wait;
    bool called = pt.returning.exchange(false);
    if (called) {
        pt.waiting = false;
        settle();
    } else {
        pn_event_batch_t *batch = wait ? pn_proactor_wait(proactor_) : pn_proactor_get(proactor_);
        pt.waiting = false;
        called = pt.returning.exchange(false);
        if (batch)
            dispatch(batch);
    }
    if (called && pts_.size() > 1)
        leave_a_poller();
}

// Who is called back may not come again. Proton's poller gives its place to one that is suspended
// when it finds nothing to do, but may take a batch without: the others then sleep for ever, whatever
// interrupts there are (poller_done() in Proton's epoll.c).
void Loop::leave_a_poller() noexcept {
    for (int n = 0; n < kLastBatches; n++) {
        pn_event_batch_t *batch = pn_proactor_get(proactor_);
        if (!batch)
            return;
        dispatch(batch);
    }
}

int Loop::tick() noexcept {
    for (size_t tsi = 0; tsi < pts_.size(); tsi++)
        Visit visit(*this, static_cast<int>(tsi));
    settle();
    const int64_t now = now_us();
    lingering_.report(now);
    // Proton's timeout is not waited for.
    int64_t deadline = lingering_.count() ? now + LWS_PROTON_HEARTBEAT_MS * kMs : kNever;
    for (auto &pt : pts_)
        deadline = std::min<int64_t>(deadline, pt->woken ? now : pt->deadline.load());
    if (deadline == kNever)
        return -1;
    return static_cast<int>(std::clamp<int64_t>((deadline - now + kMs - 1) / kMs, 0, INT_MAX));
}

void Loop::set_wake(void (*wake)(void *), void *context) noexcept {
    wake_context_ = context;
    wake_ = wake;
}

bool Loop::serve(pn_event_batch_t *batch, pn_event_t *event) noexcept {
    if (pn_raw_connection_t *raw = pn_event_raw_connection(event)) {
        if (RawConnection *connection = RawConnection::of(raw)) {
            Loop &loop = connection->loop();
            loop.hold();
            connection->batch(batch, event);
            loop.settle();
            loop.drop();
        } else {
            if (!RawConnection::ours(raw))
                return false;
            pn_raw_connection_close(raw);
            while (pn_event_batch_next(batch)) {
            }
        }
        return true;
    }
    if (pn_listener_t *raw_listener = pn_event_listener(event)) {
        accept_round_is_over();
        Listener *listener = Listener::of(raw_listener);
        if (!listener)
            return false;
        Loop &loop = listener->loop();
        loop.hold();
        // It goes with the event that says it is closed.
        for (; event; event = pn_event_batch_next(batch))
            if ((listener = Listener::of(raw_listener)))
                listener->on_event(event);
        loop.drop();
        return true;
    }
    return false;
}

void Loop::dispatch(pn_event_batch_t *batch) noexcept {
    pn_event_t *event = pn_event_batch_next(batch);
    bool timeout = false, interrupt = false;

    if (event && !serve(batch, event)) {
        for (; event; event = pn_event_batch_next(batch)) {
            timeout |= pn_event_type(event) == PN_PROACTOR_TIMEOUT;
            interrupt |= pn_event_type(event) == PN_PROACTOR_INTERRUPT;
        }
    }
    pn_proactor_done(proactor_, batch);

    if (timeout)
        timers_->expire();
    if (interrupt)
        on_wakes();
    else
        settle();
}

void Loop::settle() noexcept {
    if (serving_.loop == this)
        return;
    if (std::any_of(pts_.begin(), pts_.end(), [](auto &pt) { return pt->woken.load(); }))
        on_wakes();
    if (destroy_wanted_ && destroy_wanted_.exchange(false))
        host_->destroy(user_);
}

// Called from signal handlers too, unless the proactor is the application's: atomics and one
// write(2), which is what Proton's interrupt is, and the program's own function. In an
// application's proactor interrupts are the application's.
void Loop::wake(int tsi) noexcept {
    Pt &pt = *pts_[tsi];
    pt.returning = true;
    if (pt.woken.exchange(true))
        return;
    // This thread looks at woken itself before it waits again.
    if (serving_.loop != this)
        rouse();
}

void Loop::rouse() noexcept {
    if (foreign_)
        timers_->arm(0);
    else
        pn_proactor_interrupt(proactor_);
    if (auto *wake = wake_.load())
        wake(wake_context_);
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
        rouse();
}

// Each once: one that wants to be served again comes back through the wake.
void Loop::serve_orphans(Pt &pt) noexcept {
    size_t count;
    {
        Lock lock(pt.orphan_mutex);
        count = pt.orphans.size();
    }
    while (count--) {
        Connection *orphan;
        {
            Lock lock(pt.orphan_mutex);
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
        Lock lock(pt.lookup_mutex);
        pt.lookups.push(lookup);
    }
    wake(lookup.tsi);
}

void Loop::forget(Lookup &lookup) noexcept {
    Pt &pt = *pts_[lookup.tsi];
    Lock lock(pt.lookup_mutex);
    if (pt.lookups.has(lookup))
        pt.lookups.pull(lookup);
}

void Loop::serve_lookups(Pt &pt) noexcept {
    for (;;) {
        Lookup *lookup;
        {
            Lock lock(pt.lookup_mutex);
            lookup = pt.lookups.take();
            if (!lookup)
                return;
        }
        host_->resolved(user_, lookup->cookie, lookup->error(), lookup->take_result());
        delete lookup;
    }
}

void Loop::on_timeout(int64_t now) noexcept {
    for (size_t tsi = 0; tsi < pts_.size(); tsi++) {
        if (pts_[tsi]->deadline > now)
            continue;
        Visit visit(*this, static_cast<int>(tsi));  // serves lws's timers when it ends
    }
    lingering_.report(now);
    listen_again(now);
    if (now >= heartbeat_) {
        for (auto &pt : pts_)
            if (pt->waiting)
                pt->returning = true;
        pass_on();
        beat(now);
    }
    if (foreign_)
        settle();
    arm_all();
}

// Without service threads of its own it has nobody to bring back.
void Loop::beat(int64_t now) noexcept {
    // Who begins to linger is counted before linger() looks at this: one of the two sees the other.
    heartbeat_ = kNever;
    if (!foreign_ || lingering_.count())
        heartbeat_ = now + LWS_PROTON_HEARTBEAT_MS * kMs;
    timers_->arm(heartbeat_);
}

void Loop::arm_all() noexcept {
    int64_t deadline = std::min<int64_t>(heartbeat_, listen_again_at_);
    for (auto &pt : pts_)
        deadline = std::min<int64_t>(deadline, pt->deadline);
    timers_->arm(deadline);
}

lws_proton_conn *Loop::listen(const char *host, int *port, char *err, size_t err_len) noexcept {
    Listener *listener = new (std::nothrow) Listener(*this);
    if (!listener) {
        snprintf(err, err_len, "listen: out of memory");
        return nullptr;
    }
    return listener->listen(host, port, err, err_len) ? listener : nullptr;
}

lws_proton_conn *Loop::adopt(pn_raw_connection_t *raw) noexcept {
    if (RawConnection::ours(raw)) {
        errno = EALREADY;
        return nullptr;
    }
    // What Proton holds of the application's cannot be had back (there is room for 16 of each).
    if ((!pn_raw_connection_is_read_closed(raw) &&
         pn_raw_connection_read_buffers_capacity(raw) != kProtonBuffers) ||
        (!pn_raw_connection_is_write_closed(raw) &&
         pn_raw_connection_write_buffers_capacity(raw) != kProtonBuffers)) {
        errno = EBUSY;
        return nullptr;
    }
    if (drain_.begun()) {
        errno = ECONNREFUSED;
        return nullptr;
    }
    if (lingering_.refusing()) {
        lingering_.refused();
        errno = ECONNREFUSED;
        return nullptr;
    }
    const int tsi = this_tsi() >= 0 ? this_tsi() : idlest();
    lws_proton_conn *connection = new (std::nothrow) RawConnection(*this, tsi, raw);
    if (!connection)
        errno = ENOMEM;
    return connection;
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
    Lock lock(windows_mutex_);
    windows_ = windows;
    return true;
}

lws_proton_windows_t Loop::windows() const noexcept {
    Lock lock(windows_mutex_);
    return windows_;
}

bool Loop::valid(const lws_proton_windows_t &windows) noexcept {
    const auto in_range = [](uint32_t size) {
        return size >= LWS_PROTON_WINDOW_MIN && size <= LWS_PROTON_WINDOW_MAX;
    };
    return in_range(windows.rx) && in_range(windows.tx);
}

lws_proton_stats_t Loop::stats() noexcept {
    return {connections_, lingering_.count(), pool_.bytes()};
}

int Loop::idlest() const noexcept {
    const auto least = std::min_element(
        pts_.begin(), pts_.end(), [](auto &a, auto &b) { return a->connections < b->connections; });
    return static_cast<int>(least - pts_.begin());
}

void Loop::connection_born() noexcept {
    hold();
    connections_++;
}

void Loop::connection_died() noexcept {
    connections_--;
    drop_not_last();
}

void Loop::listener_born() noexcept {
    hold();
    listeners_++;
}

void Loop::listener_died() noexcept {
    listeners_--;
    drop_not_last();
}

void Loop::listen_later(Listener &listener) noexcept {
    listener.next_to_listen_again = to_listen_again_;
    to_listen_again_ = &listener;
    if (listen_again_at_ == kNever)
        listen_again_at_ = now_us() + LWS_PROTON_LISTEN_AGAIN_MS * kMs;
    timers_->arm(listen_again_at_);
}

void Loop::listen_no_more(Listener &listener) noexcept {
    for (Listener **link = &to_listen_again_; *link; link = &(*link)->next_to_listen_again)
        if (*link == &listener) {
            *link = listener.next_to_listen_again;
            return;
        }
}

void Loop::listen_again(int64_t now) noexcept {
    if (now < listen_again_at_)
        return;
    Lock lock(listen_mutex_);
    listen_again_at_ = kNever;
    Listener *listener = std::exchange(to_listen_again_, nullptr);
    while (listener) {
        Listener *next = listener->next_to_listen_again;
        if (!listener->listen_again())
            listen_later(*listener);
        listener = next;
    }
}

void Loop::report_no_memory(const char *what) noexcept {
    const unsigned times = no_memory_.due();
    if (!times)
        return;
    char line[160];
    snprintf(line, sizeof(line), "out of memory: %s (%u times since the last report)", what, times);
    log(LWS_PROTON_LOG_ERR, line);
}

void Loop::count(int tsi) noexcept {
    pts_[tsi]->connections++;
}

void Loop::uncount(int tsi) noexcept {
    pts_[tsi]->connections--;
}

void Loop::adopt_orphan(Connection &c) noexcept {
    {
        Pt &pt = *pts_[c.tsi];
        Lock lock(pt.orphan_mutex);
        if (pt.orphans.has(c))
            return;
        pt.orphans.push(c);
    }
    wake(c.tsi);
}

void Loop::adopt_no_more(Connection &c) noexcept {
    Pt &pt = *pts_[c.tsi];
    Lock lock(pt.orphan_mutex);
    if (pt.orphans.has(c))
        pt.orphans.pull(c);
}

void Loop::linger(Connection &c) noexcept {
    lingering_.begin(c);
    if (heartbeat_ == kNever)
        beat(now_us());
}

}  // namespace lws_proton
