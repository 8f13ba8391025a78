// The proactor, listeners and events.
#include "scripted_proton.hpp"

#include "scripted_memory.hpp"

#include <proton/condition.h>
#include <proton/netaddr.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

using scripted::Proton;
using scripted::violation;

namespace {

Proton *the_proton;
int64_t now_us = 1'000'000;

constexpr int kAnyPort = 4242;

}  // namespace

// The glue's clock.
std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept {
    return time_point(std::chrono::microseconds(now_us));
}

namespace scripted {

Proton::Proton(Version v) : version(v) {
    the_proton = this;
    forget_loans();  // of a test that failed
}

Proton::~Proton() {
    the_proton = nullptr;
}

Proton &Proton::the() {
    if (!the_proton)
        std::abort();
    return *the_proton;
}

void Proton::advance_ms(int64_t ms) {
    now_us += ms * 1000;
}

bool Proton::has_work() const {
    const auto due = [](auto &it) { return it->due(); };
    return interrupted_ || (timeout_at_ && *timeout_at_ <= now_us) ||
           std::any_of(listeners.begin(), listeners.end(), due) ||
           std::any_of(connections.begin(), connections.end(), due);
}

pn_event_batch_t *Proton::next_batch() {
    pn_event_batch_t *batch = nullptr;
    if (interrupted_.exchange(false)) {
        own_.events = {PN_PROACTOR_INTERRUPT};
        batch = &own_;
    } else if (timeout_at_ && *timeout_at_ <= now_us) {
        timeout_at_.reset();
        own_.events = {PN_PROACTOR_TIMEOUT};
        batch = &own_;
    }
    for (auto &listener : listeners)
        if (!batch && listener->due())
            batch = &listener->batch;
    for (size_t i = 0; !batch && i < connections.size(); i++) {
        pn_raw_connection_t &c = *connections[turn_++ % connections.size()];
        if (!c.due())
            continue;
        c.process();
        batch = &c.batch;
    }
    if (batch && std::exchange(batch->working, true))
        violation("a batch was wanted before the one before was handed back");
    return batch;
}

void Proton::done(pn_event_batch_t *batch) {
    if (!batch->working)
        violation("a batch was handed back twice");
    if (batch->raw)
        batch->raw->done();
    else if (!batch->listener && !batch->events.empty())
        violation("a batch was handed back with an event left in it");
    // What a listener has left comes again.
    if (batch->listener && batch->current.type == PN_LISTENER_CLOSE)
        batch->listener->freed = true;
    batch->working = false;
}

void Proton::wait_for_timeout() {
    if (!timeout_at_)
        std::abort();  // it would wait for ever
    now_us = std::max(now_us, *timeout_at_);
}

void Proton::set_timeout(pn_millis_t ms) {
    timeouts.push_back(ms);
    timeout_at_ = now_us + int64_t(ms) * 1000;
}

}  // namespace scripted

bool pn_listener_t::due() const {
    std::lock_guard<std::mutex> lock(mutex);
    return !freed && (!batch.events.empty() || waiting);
}

void pn_listener_t::close() {
    std::lock_guard<std::mutex> lock(mutex);
    if (closed.exchange(true))
        return;
    waiting = 0;
    batch.events.push_back(PN_LISTENER_CLOSE);
}

bool pn_listener_t::accept() {
    std::lock_guard<std::mutex> lock(mutex);
    if (closed || !waiting)
        return false;
    waiting--;
    return true;
}

namespace {

pn_listener_t &alive(pn_listener_t *l) {
    if (l->freed)
        violation("use of a listener that Proton has freed");
    return *l;
}

}  // namespace

extern "C" {

pn_proactor_t *pn_proactor(void) {
    Proton &p = Proton::the();
    if (p.no_proactor)
        return nullptr;
    p.proactors_made++;
    return reinterpret_cast<pn_proactor_t *>(&p);
}

void pn_proactor_free(pn_proactor_t *proactor) {
    Proton &p = Proton::the();
    if (!proactor)
        violation("pn_proactor_free() of none, which Proton does not take");
    p.proactors_freed++;
    for (auto &c : p.connections)
        if (c->accepted && !c->freed)
            violation("the proactor was freed while a raw connection lives, which leaks");
}

pn_event_batch_t *pn_proactor_get(pn_proactor_t *) {
    return Proton::the().next_batch();
}

pn_event_batch_t *pn_proactor_wait(pn_proactor_t *) {
    Proton &p = Proton::the();
    p.waits++;
    if (const auto others = std::exchange(p.on_wait, nullptr))
        others();
    if (!p.has_work())
        p.wait_for_timeout();
    return p.next_batch();
}

void pn_proactor_done(pn_proactor_t *, pn_event_batch_t *batch) {
    Proton::the().done(batch);
}

void pn_proactor_interrupt(pn_proactor_t *) {
    Proton::the().interrupt();
}

void pn_proactor_set_timeout(pn_proactor_t *, pn_millis_t ms) {
    Proton::the().set_timeout(ms);
}

void pn_proactor_cancel_timeout(pn_proactor_t *) {
    Proton::the().cancel_timeout();
}

pn_event_t *pn_event_batch_next(pn_event_batch_t *batch) {
    if (!batch->working)
        violation("use of a batch that was handed back");
    if (batch->raw)
        batch->raw->advance(true);
    std::unique_lock<std::mutex> lock;
    if (batch->listener) {
        lock = std::unique_lock<std::mutex>(batch->listener->mutex);
        if (batch->events.empty() && batch->listener->waiting)
            batch->events.push_back(PN_LISTENER_ACCEPT);
    }
    if (batch->events.empty())
        return nullptr;
    batch->current = {batch->events.front(), batch->raw, batch->listener};
    batch->events.pop_front();
    if (batch->raw)
        batch->raw->events.push_back(batch->current.type);
    return &batch->current;
}

pn_event_type_t pn_event_type(pn_event_t *event) {
    return event->type;
}

pn_raw_connection_t *pn_event_raw_connection(pn_event_t *event) {
    return event->raw;
}

pn_proactor_t *pn_event_proactor(pn_event_t *event) {
    return event->raw || event->listener ? nullptr
                                         : reinterpret_cast<pn_proactor_t *>(&Proton::the());
}

pn_listener_t *pn_event_listener(pn_event_t *event) {
    return event->listener;
}

pn_listener_t *pn_listener(void) {
    if (Proton::the().no_listener)
        return nullptr;
    auto &listeners = Proton::the().listeners;
    listeners.push_back(std::make_unique<pn_listener_t>());
    return listeners.back().get();
}

void pn_proactor_listen(pn_proactor_t *, pn_listener_t *listener, const char *address,
                        int backlog) {
    pn_listener_t &l = alive(listener);
    l.address = address;
    l.backlog = backlog;
    // split at the last colon: an IPv6 address takes no brackets
    const size_t colon = l.address.rfind(':');
    const int port = atoi(address + colon + 1);
    const bool v6 = l.address.find(':') < colon;
    if (v6) {
        l.bound.v6 = {};
        l.bound.v6.sin6_port = htons(port ? port : kAnyPort);
    } else {
        l.bound.v4.sin_port = htons(port ? port : kAnyPort);
    }
    l.bound.any.sa_family = v6 ? AF_INET6 : AF_INET;
    l.condition.description = Proton::the().listen_error;
    if (pn_condition_is_set(&l.condition))
        l.close();
    else
        l.batch.events.push_back(PN_LISTENER_OPEN);
}

// Fails as Proton's does: the connection is never heard of again (PROTON-2764).
void pn_listener_raw_accept(pn_listener_t *listener, pn_raw_connection_t *c) {
    pn_listener_t &l = alive(listener);
    if (Proton::the().on_accept)
        Proton::the().on_accept();
    if (!l.accept())
        return;
    c->accepted = true;
    c->peer_address.v4.sin_family = AF_INET;
    c->peer_address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->peer_address.v4.sin_port = htons(50000 + Proton::the().connections.size() % 10000);
    c->put(PN_RAW_CONNECTION_CONNECTED);
}

void pn_listener_close(pn_listener_t *l) {
    alive(l).close();
}

pn_record_t *pn_listener_attachments(pn_listener_t *l) {
    return &alive(l).record;
}

pn_condition_t *pn_listener_condition(pn_listener_t *l) {
    return &alive(l).condition;
}

const pn_netaddr_t *pn_listener_addr(pn_listener_t *l) {
    return &alive(l).bound;
}

bool pn_condition_is_set(pn_condition_t *condition) {
    return !condition->description.empty();
}

const char *pn_condition_get_description(pn_condition_t *condition) {
    return pn_condition_is_set(condition) ? condition->description.c_str() : nullptr;
}

const struct sockaddr *pn_netaddr_sockaddr(const pn_netaddr_t *address) {
    return &address->any;
}

size_t pn_netaddr_socklen(const pn_netaddr_t *address) {
    return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

void pn_record_def(pn_record_t *record, pn_handle_t key, const pn_class_t *) {
    record->values.emplace(key, nullptr);
}

bool pn_record_has(pn_record_t *record, pn_handle_t key) {
    return record->values.count(key) != 0;
}

void *pn_record_get(pn_record_t *record, pn_handle_t key) {
    const auto found = record->values.find(key);
    return found == record->values.end() ? nullptr : found->second;
}

void pn_record_set(pn_record_t *record, pn_handle_t key, void *value) {
    if (!record->values.count(key))
        violation("a value was set for a key that is not defined");
    record->values[key] = value;
}
}
