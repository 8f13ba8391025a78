// A proactor whose raw connections a test serves by hand, over real sockets, and what it saw of
// them.
#pragma once

#include "check.hpp"
#include "waiting.hpp"

#include <proton/condition.h>
#include <proton/event.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <netdb.h>
#include <string>
#include <utility>
#include <vector>

namespace backports {

struct Batch {
    pn_raw_connection_t *raw;
    std::vector<pn_event_type_t> events;
};

class Stage {
public:
    Stage() : proactor_(pn_proactor()) {}
    ~Stage() { free(); }
    Stage(const Stage &) = delete;
    Stage &operator=(const Stage &) = delete;

    // Listens on 127.0.0.1, and accepts what comes; the port.
    int listen() {
        pn_proactor_listen(proactor_, listener_ = pn_listener(), "127.0.0.1:0", 16);
        char port[NI_MAXSERV];
        CHECK_EQ(pn_netaddr_host_port(pn_listener_addr(listener_), nullptr, 0, port, sizeof(port)),
                 0);
        return std::stoi(port);
    }

    // The next connection, at its beginning.
    pn_raw_connection_t *accept() {
        const size_t before = accepted.size();
        run_until("a connection", [&] { return accepted.size() > before; });
        return accepted[before];
    }

    void close_listener() {
        pn_listener_close(std::exchange(listener_, nullptr));
        run_until("the end of a listener", [&] { return listener_closed_; });
        run();
    }

    pn_raw_connection_t *connect(int port) {
        pn_raw_connection_t *raw = pn_raw_connection();
        pn_proactor_raw_connect(proactor_, raw, ("127.0.0.1:" + std::to_string(port)).c_str());
        return raw;
    }

    // Serves batch after batch.
    void run_until(const std::string &what, const std::function<bool()> &holds) {
        while (!holds())
            if (!run_one())
                FAIL("waited in vain for " + what);
    }

    // What there is to serve; not what comes later.
    void run() {
        while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
            serve(batch);
    }

    // ... and what is left then.
    void run_until_disconnected(pn_raw_connection_t *raw) {
        run_until("the end of a connection",
                  [&] { return count(raw, PN_RAW_CONNECTION_DISCONNECTED); });
        run();
    }

    size_t count(pn_raw_connection_t *raw, pn_event_type_t type) const {
        size_t n = 0;
        for (const Batch &batch : batches)
            if (batch.raw == raw)
                n += std::count(batch.events.begin(), batch.events.end(), type);
        return n;
    }

    void free() {
        if (proactor_)
            pn_proactor_free(std::exchange(proactor_, nullptr));
    }

    std::vector<Batch> batches;  // of raw connections
    std::vector<pn_raw_connection_t *> accepted;
    // For each event of a raw connection, in its batch.
    std::function<void(pn_raw_connection_t *, pn_event_type_t)> on_event = [](auto *, auto) {};
    // After each connection that is accepted, in the listener's.
    std::function<void(pn_listener_t *)> on_accept = [](auto *) {};
    // So many events are taken of a batch.
    size_t most_events = SIZE_MAX;

private:
    // False: nothing has happened for long.
    bool run_one() {
        pn_proactor_set_timeout(proactor_, std::chrono::milliseconds(e2e::kWatchdog).count());
        return serve(pn_proactor_wait(proactor_));
    }

    bool serve(pn_event_batch_t *batch) {
        bool in_time = true;
        pn_raw_connection_t *raw = nullptr;
        pn_event_t *event;
        for (size_t n = 0; n < most_events && (event = pn_event_batch_next(batch)); n++) {
            const pn_event_type_t type = pn_event_type(event);
            in_time &= type != PN_PROACTOR_TIMEOUT;
            if (type == PN_LISTENER_ACCEPT)
                accept_one(pn_event_listener(event));
            listener_closed_ |= type == PN_LISTENER_CLOSE;
            if (pn_raw_connection_t *of = pn_event_raw_connection(event))
                serve_event(std::exchange(raw, of) != of, of, type);
        }
        pn_proactor_done(proactor_, batch);
        return in_time;
    }

    void serve_event(bool first, pn_raw_connection_t *raw, pn_event_type_t type) {
        if (first)
            batches.push_back({raw, {}});
        batches.back().events.push_back(type);
        on_event(raw, type);
    }

    void accept_one(pn_listener_t *listener) {
        accepted.push_back(pn_raw_connection());
        pn_listener_raw_accept(listener, accepted.back());
        on_accept(listener);
    }

    pn_proactor_t *proactor_;
    pn_listener_t *listener_ = nullptr;
    bool listener_closed_ = false;
};

}  // namespace backports
