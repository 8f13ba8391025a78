// SPDX-License-Identifier: MIT
//
// The C face of the library: no exception and no C++ type crosses it.
#include "driver_connection.hpp"
#include "lookup.hpp"
#include "loop.hpp"
#include "lws_proton.h"
#include "lws_proton_host.h"

#include <proton/event.h>
#include <proton/proactor.h>

#include <cassert>
#include <cstdio>
#include <new>

using lws_proton::DriverConnection;
using lws_proton::Lock;
using lws_proton::Lookup;
using lws_proton::Loop;
using lws_proton::Mutex;
using lws_proton::Rank;
using lws_proton::Timers;

struct lws_proton_loop_t final : Loop {
    using Loop::Loop;
    lws_proton_loop_t *next = nullptr;

private:
    ~lws_proton_loop_t() override = default;
};

namespace {

Mutex loops_mutex(Rank::leaf);
// Those in use.
lws_proton_loop_t *loops LWS_PROTON_GUARDED_BY(loops_mutex);
// Those that peers keep from going. Proton would leak what they hold.
lws_proton_loop_t *abandoned LWS_PROTON_GUARDED_BY(loops_mutex);

}  // namespace

lws_proton_loop_t *lws_proton_loop_new(int threads, const lws_proton_host_t *host, void *user,
                                       pn_proactor_t *application) {
    try {
        auto *loop = new lws_proton_loop_t(threads, host, user, application);
        if (application)
            loop->seize();
        Lock lock(loops_mutex);
        loop->next = loops;
        loops = loop;
        return loop;
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

void lws_proton_loop_started(lws_proton_loop_t *loop) {
    if (loop->foreign())
        loop->unseize();
}

int lws_proton_loop_stop(lws_proton_loop_t *loop) {
    if (!loop->foreign() || loop->seized())
        return 0;
    if (loop->this_tsi() >= 0) {
        loop->destroy_later();
        return 1;
    }
    loop->seize();
    return 0;
}

int lws_proton_loop_foreign(const lws_proton_loop_t *loop) {
    return loop->foreign();
}

lws_proton_loop_t *lws_proton_loop_of(const lws_context *context) {
    Lock lock(loops_mutex);
    lws_proton_loop_t *loop = loops;
    while (loop && loop->user() != context)
        loop = loop->next;
    return loop;
}

void lws_proton_loop_free(lws_proton_loop_t *loop) {
    if (!loop)
        return;
    {
        Lock lock(loops_mutex);
        lws_proton_loop_t **link = &loops;
        while (*link != loop)
            link = &(*link)->next;
        *link = loop->next;
    }
    if (loop->foreign()) {
        loop->retire();
        loop->unseize();
        loop->drop();
        return;
    }
    if (loop->wind_up()) {
        loop->drop();
        return;
    }
    char line[160];
    snprintf(line, sizeof(line),
             "%zu connections linger beyond the context: unsent bytes, peer not reading; they end "
             "with the process",
             loop->stats().connections);
    loop->log(LWS_PROTON_LOG_WARN, line);
    Lock lock(loops_mutex);
    loop->next = abandoned;
    abandoned = loop;
}

void lws_proton_loop_turn(lws_proton_loop_t *loop, int tsi, int wait) {
    loop->turn(tsi, wait);
}

lws_proton_conn *lws_proton_loop_listen(lws_proton_loop_t *loop, const char *host, int *port,
                                        char *err, size_t err_len) {
    return loop->listen(host, port, err, err_len);
}

lws_proton_conn *lws_proton_loop_socket(lws_proton_loop_t *loop, int tsi) {
    return loop->socket(tsi);
}

void lws_proton_loop_set_dialer(lws_proton_loop_t *loop, lws_proton_dial_t dial, void *context) {
    loop->dialer().set(dial, context);
}

int lws_proton_loop_dials(lws_proton_loop_t *loop) {
    return loop->dialer().there();
}

lws_proton_conn *lws_proton_loop_dialed_socket(lws_proton_loop_t *loop, int tsi,
                                               const char *address) {
    try {
        return new DriverConnection(*loop, tsi, address);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

lws_proton_lookup_t *lws_proton_loop_resolve(lws_proton_loop_t *loop, int tsi, const char *name,
                                             void *cookie) {
    return reinterpret_cast<lws_proton_lookup_t *>(Lookup::start(*loop, tsi, name, cookie));
}

void lws_proton_lookup_cancel(lws_proton_lookup_t *lookup) {
    reinterpret_cast<Lookup *>(lookup)->cancel();
}

lws_proton_conn *lws_proton_loop_pipe(lws_proton_loop_t *loop, int tsi) {
    return loop->pipe(tsi);
}

int lws_proton_loop_serves(const lws_proton_loop_t *loop, int tsi) {
    return loop->serving(tsi);
}

int lws_proton_loop_this_tsi(lws_proton_loop_t *loop) {
    return loop->this_tsi();
}

void lws_proton_loop_dispatch(lws_proton_loop_t *loop, pn_event_batch_t *batch) {
    assert(!Loop::inside() && "not from a callback, nor between enter and leave");
    loop->dispatch(batch);
}

pn_proactor_t *lws_proton_loop_proactor(lws_proton_loop_t *loop) {
    return loop->proactor();
}

bool lws_proton_handle(pn_event_batch_t *batch, pn_event_t *event) {
    assert(!Loop::inside() && "not from a callback, nor between enter and leave");
    if (Loop::serve(batch, event))
        return true;
    if (pn_event_type(event) != PN_PROACTOR_TIMEOUT)
        return false;
    const std::shared_ptr<Timers> timers = Timers::find(pn_event_proactor(event));
    return timers && !timers->expire();
}

void lws_proton_set_timeout(pn_proactor_t *proactor, pn_millis_t ms) {
    if (const std::shared_ptr<Timers> timers = Timers::find(proactor))
        timers->set_application(lws_proton::now_us() + ms * lws_proton::kMs);
    else
        pn_proactor_set_timeout(proactor, ms);
}

void lws_proton_cancel_timeout(pn_proactor_t *proactor) {
    if (const std::shared_ptr<Timers> timers = Timers::find(proactor))
        timers->set_application(lws_proton::kNever);
    else
        pn_proactor_cancel_timeout(proactor);
}

size_t lws_proton_held(pn_proactor_t *proactor) {
    const std::shared_ptr<Timers> timers = Timers::find(proactor);
    return timers ? timers->held() : 0;
}

int lws_proton_loop_enter(lws_proton_loop_t *loop, int tsi) {
    return loop->enter(tsi) ? 0 : -1;
}

void lws_proton_loop_leave(lws_proton_loop_t *loop) {
    loop->leave();
}

lws_proton_conn *lws_proton_loop_adopt(lws_proton_loop_t *loop, pn_raw_connection_t *raw) {
    return loop->adopt(raw);
}

void lws_proton_loop_drain(lws_proton_loop_t *loop, int ms) {
    loop->drain(ms);
}

bool lws_proton_loop_drained(const lws_proton_loop_t *loop) {
    return loop->drained();
}

int lws_proton_conn_tsi(const lws_proton_conn *c) {
    return c->tsi;
}

int lws_proton_loop_tick(lws_proton_loop_t *loop) {
    return loop->tick();
}

void lws_proton_loop_set_wake(lws_proton_loop_t *loop, void (*wake)(void *), void *context) {
    loop->set_wake(wake, context);
}

int lws_proton_loop_set_windows(lws_proton_loop_t *loop, const lws_proton_windows_t *windows) {
    return loop->set_windows(*windows) ? 0 : -1;
}

lws_proton_windows_t lws_proton_loop_windows(const lws_proton_loop_t *loop) {
    return loop->windows();
}

int lws_proton_windows_valid(const lws_proton_windows_t *windows) {
    return Loop::valid(*windows);
}

lws_proton_stats_t lws_proton_loop_stats(lws_proton_loop_t *loop) {
    return loop->stats();
}

lws_proton_driver_t *lws_proton_driver_new(lws_proton_loop_t *loop, int tsi, void (*wake)(void *),
                                           void *context) {
    if (tsi < 0)
        tsi = loop->idlest();
    auto *driver = new (std::nothrow) lws_proton_driver_t{loop, tsi, nullptr};
    if (!driver)
        return nullptr;
    driver->connection = new (std::nothrow) DriverConnection(*loop, tsi, *driver, wake, context);
    if (driver->connection)
        return driver;
    delete driver;
    return nullptr;
}

namespace {

// Calls `f` on the driver's connection with its pt serialized; `otherwise` if it is gone.
template <class F, class R>
R with_connection(lws_proton_driver_t *d, R otherwise, F f) {
    if (DriverConnection::dialing(d))
        return f(*d->connection);
    const R result = [&] {
        Loop::Visit visit(*d->loop, d->tsi);
        return d->connection ? f(*d->connection) : otherwise;
    }();
    d->loop->settle();
    return result;
}

}  // namespace

lws_proton_conn *lws_proton_driver_conn(lws_proton_driver_t *d) {
    return d->connection;
}

void lws_proton_driver_set_wake(lws_proton_driver_t *d, void (*wake)(void *), void *context) {
    with_connection(d, false, [=](auto &c) { return c.set_wake(wake, context), true; });
}

void lws_proton_driver_connected(lws_proton_driver_t *d, int error) {
    with_connection(d, false, [error](auto &c) { return c.connected(error), true; });
}

pn_rwbytes_t lws_proton_driver_read_buffer(lws_proton_driver_t *d) {
    return with_connection(d, pn_rwbytes_t{}, [](auto &c) { return c.read_buffer(); });
}

void lws_proton_driver_read_done(lws_proton_driver_t *d, size_t n) {
    with_connection(d, false, [n](auto &c) { return c.read_done(n), true; });
}

void lws_proton_driver_read_close(lws_proton_driver_t *d) {
    with_connection(d, false, [](auto &c) { return c.read_close(), true; });
}

bool lws_proton_driver_read_closed(lws_proton_driver_t *d) {
    return with_connection(d, true, [](auto &c) { return c.read_closed(); });
}

pn_bytes_t lws_proton_driver_write_buffer(lws_proton_driver_t *d) {
    return with_connection(d, pn_bytes_t{}, [](auto &c) { return c.write_buffer(); });
}

void lws_proton_driver_write_done(lws_proton_driver_t *d, size_t n) {
    with_connection(d, false, [n](auto &c) { return c.write_done(n), true; });
}

void lws_proton_driver_write_close(lws_proton_driver_t *d) {
    with_connection(d, false, [](auto &c) { return c.lose(), true; });
}

bool lws_proton_driver_write_closed(lws_proton_driver_t *d) {
    return with_connection(d, true, [](auto &c) { return c.write_closed(); });
}

bool lws_proton_driver_service(lws_proton_driver_t *d) {
    return with_connection(d, false, [](auto &c) { return c.service(); });
}

bool lws_proton_driver_finished(lws_proton_driver_t *d) {
    return with_connection(d, true, [](auto &c) { return c.finished(); });
}

void lws_proton_driver_free(lws_proton_driver_t *d) {
    if (!d)
        return;
    with_connection(d, false, [](auto &c) { return c.release(), true; });
    delete d;
}
