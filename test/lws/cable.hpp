// SPDX-License-Identifier: MIT
//
// What joins the clients of one context to a vhost of another, in place of a network: each client
// that is dialed gets a server's connection, and the bytes are copied from driver to driver.
#pragma once

#include "client_context.hpp"
#include "lws_log.hpp"

#include <lws_proton.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <list>
#include <poll.h>
#include <string>
#include <vector>

namespace lws_test {

class Cable {
public:
    Cable(Context &clients, Context &servers, lws_vhost *vhost)
        : clients_(clients), servers_(servers), vhost_(vhost) {
        lws_proton_loop_set_dialer(
            loop_of(clients),
            [](void *self, lws_proton_driver_t *d, const char *address, uint16_t port) {
                return static_cast<Cable *>(self)->dialed(d, address, port);
            },
            this);
    }
    ~Cable() { cut(); }
    Cable(const Cable &) = delete;
    Cable &operator=(const Cable &) = delete;

    // What the dialer was asked for, as address:port.
    std::vector<std::string> asked;
    // Is asked instead of connecting; what it returns is dial()'s.
    std::function<int(lws_proton_driver_t *)> on_dial;
    // At a time, of each connection and direction.
    size_t most = SIZE_MAX;
    size_t quota = SIZE_MAX;  // bytes that are carried yet
    size_t carried = 0;

    static lws_proton_loop_t *loop_of(const Context &context) {
        return lws_proton_loop_of(context.get());
    }

    size_t wires() const { return wires_.size(); }

    // Moves what there is, both ways, until nothing moves.
    void run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (Wire &wire : wires_)
                moved |= move(wire);
            remove_finished();
        }
    }

    // The same of the first connection alone, which does not end.
    void run_first(const std::function<bool()> &holds) {
        while (move(wires_.front())) {
        }
        CHECK(holds());
    }

    // ... and lws's timers meanwhile.
    void run_until(const char *what, const std::function<bool()> &holds) {
        const e2e::Deadline deadline;
        for (;;) {
            run();
            const int client = lws_proton_loop_tick(loop_of(clients_));
            const int server = lws_proton_loop_tick(loop_of(servers_));
            if (holds())
                return;
            if (deadline.passed())
                FAIL(std::string("gave up waiting for ") + what + "; logged: " + lws_logged);
            if (anything_woken())
                continue;
            if (client < 0 && server < 0)
                FAIL(std::string("nothing is left to wait for: ") + what);
            poll(nullptr, 0, client < 0 || (server >= 0 && server < client) ? server : client);
        }
    }

    // All connections are lost, and no more are made.
    void cut() {
        if (clients_.get())
            lws_proton_loop_set_dialer(loop_of(clients_), nullptr, nullptr);
        for (Wire &wire : wires_)
            free(wire);
        wires_.clear();
    }

private:
    struct End {
        lws_proton_driver_t *driver = nullptr;
        bool woken = false;
        bool ended = false;  // the other end was told that it has ended its stream
    };
    struct Wire {
        End client, server;
    };

    int dialed(lws_proton_driver_t *d, const char *address, uint16_t port) {
        asked.push_back(std::string(address) + ":" + std::to_string(port));
        if (on_dial)
            return on_dial(d);
        Wire &wire = wires_.emplace_back();
        wire.client.driver = d;
        lws_proton_driver_set_wake(d, wake, &wire.client);
        return 0;
    }

    bool move(Wire &wire) {
        return connect(wire) | serve(wire.client) | serve(wire.server) |
               carry(wire.client, wire.server) | carry(wire.server, wire.client);
    }

    static void wake(void *end) { static_cast<End *>(end)->woken = true; }

    bool connect(Wire &wire) {
        if (wire.server.driver)
            return false;
        wire.server.driver = lws_proton_driver_new(loop_of(servers_), -1, wake, &wire.server);
        CHECK(wire.server.driver);
        CHECK(lws_adopt_socket_vhost(vhost_, lws_proton_driver_conn(wire.server.driver)));
        lws_proton_driver_connected(wire.client.driver, 0);
        return true;
    }

    static bool serve(End &end) {
        if (!end.woken)
            return false;
        end.woken = false;
        end.woken |= lws_proton_driver_service(end.driver);
        return true;
    }

    bool carry(End &from, End &to) {
        const pn_bytes_t out = lws_proton_driver_write_buffer(from.driver);
        const pn_rwbytes_t in = lws_proton_driver_read_buffer(to.driver);
        const size_t n = std::min({out.size, in.size, most, quota});
        if (n) {
            memcpy(in.start, out.start, n);
            lws_proton_driver_read_done(to.driver, n);
            lws_proton_driver_write_done(from.driver, n);
            carried += n;
            quota -= n;
        }
        const bool ends = !from.ended && lws_proton_driver_write_closed(from.driver);
        if (ends) {
            from.ended = true;
            lws_proton_driver_read_close(to.driver);
        }
        // As a socket that is closed answers with a reset.
        if (out.size > n && lws_proton_driver_read_closed(to.driver))
            lws_proton_driver_write_close(from.driver);
        if (n || ends)
            from.woken = to.woken = true;
        return n || ends;
    }

    void remove_finished() {
        wires_.remove_if([](Wire &wire) {
            const bool finished = lws_proton_driver_finished(wire.client.driver) &&
                                  lws_proton_driver_finished(wire.server.driver);
            if (finished)
                free(wire);
            return finished;
        });
    }

    static void free(Wire &wire) {
        lws_proton_driver_free(wire.client.driver);
        lws_proton_driver_free(wire.server.driver);
    }

    bool anything_woken() const {
        return std::any_of(wires_.begin(), wires_.end(),
                           [](const Wire &w) { return w.client.woken || w.server.woken; });
    }

    Context &clients_, &servers_;
    lws_vhost *const vhost_;
    std::list<Wire> wires_;
};

}  // namespace lws_test
