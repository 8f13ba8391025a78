// The raw-connection transport in a test: a loop between a scripted Proton and a scripted lws.
#pragma once

#include "check.hpp"
#include "lws_proton.h"
#include "raw_connection.hpp"
#include "scripted_host.hpp"
#include "scripted_memory.hpp"
#include "scripted_proton.hpp"
#include "test_main.hpp"

#include <string>
#include <utility>

namespace scripted {

// This thread serves a pt, or all of them (-1).
class Entered {
public:
    explicit Entered(lws_proton_loop_t *loop, int tsi = -1) : loop_(loop) {
        CHECK_EQ(lws_proton_loop_enter(loop, tsi), 0);
    }
    ~Entered() { lws_proton_loop_leave(loop_); }
    Entered(const Entered &) = delete;
    Entered &operator=(const Entered &) = delete;

private:
    lws_proton_loop_t *const loop_;
};

class ScriptedLoop {
public:
    // On a proactor of its own or, if it is `foreign`, on an application's, which the test is.
    explicit ScriptedLoop(Version version = Version::v0_37, int threads = 1, bool foreign = false)
        : proton(version), proactor(foreign ? pn_proactor() : nullptr),
          loop(lws_proton_loop_new(threads, host.table(), &host, proactor)) {
        CHECK(loop);
        lws_proton::RawConnection::proton_abort = nullptr;
        if (version == Version::backports)
            lws_proton::RawConnection::proton_abort = [](pn_raw_connection_t *c) { c->abort(); };
        lws_proton_loop_started(loop);
    }
    ~ScriptedLoop() {
        if (loop)
            lws_closes_everything();  // the test has failed
        free();
    }
    ScriptedLoop(const ScriptedLoop &) = delete;
    ScriptedLoop &operator=(const ScriptedLoop &) = delete;

    lws_proton_stats_t stats() { return lws_proton_loop_stats(loop); }

    // lws listens, and accepts and adopts whatever comes.
    Wsi &listen() {
        int port = 0;
        char why[100];
        lws_proton_conn *conn = lws_proton_loop_listen(loop, nullptr, &port, why, sizeof(why));
        CHECK(conn);
        listeners.push_back(std::make_unique<Wsi>(conn));
        Wsi &wsi = *listeners.back();
        wsi.on_service = [this](Wsi &w, int) { accept(w); };
        wsi.enable(LWS_PROTON_READ);
        return wsi;
    }

    Wsi *accept(Wsi &listener) {
        lws_proton_conn *conn = listener.conn->ops->accept(listener.conn);
        return conn ? &host.adopt(conn) : nullptr;
    }

    // A connection: the peer's end and lws's.
    struct Connection {
        pn_raw_connection_t &raw;
        Wsi &wsi;
    };

    // A peer connects, and lws takes it.
    Connection connect() {
        pn_raw_connection_t &raw = begin_to_connect();
        const size_t before = host.wsis.size();
        run();
        CHECK_EQ(host.wsis.size(), before + 1);
        return {raw, *host.wsis.back()};
    }

    // lws makes a connection, to connect it.
    Wsi &socket(int tsi = 0) {
        lws_proton_conn *conn = lws_proton_loop_socket(loop, tsi);
        CHECK(conn);
        return host.adopt(conn);
    }

    // It has begun to connect, and waits for the end as lws does.
    Connection client(int tsi = 0) {
        Wsi &wsi = socket(tsi);
        CHECK_EQ(wsi.connect("127.0.0.1", 80), -EINPROGRESS);
        wsi.enable(LWS_PROTON_WRITE);
        return {*proton.connections.back(), wsi};
    }

    // A peer connects, and is accepted; its own first batch is still to come.
    pn_raw_connection_t &begin_to_connect() {
        if (listeners.empty())
            listen();
        proton.listeners.back()->waiting++;
        while (proton.listeners.back()->due())
            run_one();
        return *proton.connections.back();
    }

    // One batch. False: there is none.
    bool run_one() {
        pn_event_batch_t *batch = pn_proactor_get(the_proactor());
        if (batch)
            dispatch(batch);
        return batch;
    }

    // The next batch, also if that is the timeout's.
    void wait_one() { dispatch(pn_proactor_wait(the_proactor())); }

    // All batches there are.
    void run() {
        for (int i = 0; run_one(); i++)
            if (i == kEndless)
                FAIL("it does not come to rest");
    }

    // lws and all peers end everything; nothing may be left, and nothing forbidden been done.
    void finish() {
        lws_closes_everything();
        for (auto &raw : proton.connections) {
            raw->peer_takes = SIZE_MAX;
            if (raw->connecting)
                raw->connect_fails("the end of the test - on connect 127.0.0.1:80");
        }
        proton.send_at_most = SIZE_MAX;
        run();
        CHECK_EQ(stats().connections, 0u);
        CHECK_EQ(stats().lingering, 0u);
        free();
        if (proactor) {
            run();
            CHECK_EQ(lws_proton_held(proactor), 0u);
            pn_proactor_free(proactor);
        }
        for (auto &raw : proton.connections)
            CHECK(raw->freed || !raw->accepted);
        CHECK_EQ(proton.proactors_freed, proton.proactors_made);
        CHECK_EQ(loans(), 0u);
        CHECK_EQ(loans_freed(), 0u);
        CHECK_EQ(host.calls_without_wsi, 0u);
        if (!proton.violations.empty())
            FAIL(proton.violations.front());
    }

    void lws_closes_everything() {
        const Entered entered(loop);
        host.forget_the_script();
        for (auto *wsis : {&listeners, &host.wsis})
            for (auto &wsi : *wsis)
                if (wsi->conn)
                    wsi->close();
    }

    void free() {
        if (loop)
            lws_proton_loop_stop(loop);
        lws_proton_loop_free(std::exchange(loop, nullptr));
    }

    Proton proton;
    Host host;
    std::vector<std::unique_ptr<Wsi>> listeners;
    pn_proactor_t *const proactor;  // the application's
    // The events of the application's that it got; what it does then.
    std::vector<pn_event_type_t> theirs;
    std::function<void(pn_event_t *)> on_theirs;
    lws_proton_loop_t *loop;

private:
    pn_proactor_t *the_proactor() { return proactor ? proactor : lws_proton_loop_proactor(loop); }

    void dispatch(pn_event_batch_t *batch) {
        if (!proactor) {
            lws_proton_loop_dispatch(loop, batch);
            return;
        }
        while (pn_event_t *event = pn_event_batch_next(batch))
            if (!lws_proton_handle(batch, event)) {
                theirs.push_back(pn_event_type(event));
                if (on_theirs)
                    on_theirs(event);
            }
        pn_proactor_done(proactor, batch);
    }

    static constexpr int kEndless = 10000;
};

template <void (*Body)(ScriptedLoop &), Version version, int threads, bool foreign = false>
void in_scripted_loop() {
    ScriptedLoop s(version, threads, foreign);
    Body(s);
    s.finish();
}

}  // namespace scripted

#define SCRIPTED_TEST(name, version, threads, suffix)                                              \
    {                                                                                              \
#name suffix, e2e::run_body < scripted::in_scripted_loop < name,                           \
            scripted::Version::version, threads>>, nullptr, nullptr, nullptr                       \
    }

// A test that holds for all versions of Proton; for a loop with one thread, or with two.
#define PROTON_TEST(name) PROTON_TEST_THREADS(name, 1)
#define PROTON_TEST_TWO_PTS(name) PROTON_TEST_THREADS(name, 2)
#define PROTON_TEST_THREADS(name, threads)                                                         \
    SCRIPTED_TEST(name, v0_37, threads, ""), SCRIPTED_TEST(name, v0_40, threads, " (0.40)"),       \
        BACKPORTS_TEST_THREADS(name, threads)
#define BACKPORTS_TEST_THREADS(name, threads)                                                      \
    SCRIPTED_TEST(name, backports, threads, " (back-ports)")
// One that holds for those that cannot abort; for the one that can.
#define NO_ABORT_TEST(name)                                                                        \
    SCRIPTED_TEST(name, v0_37, 1, ""), SCRIPTED_TEST(name, v0_40, 1, " (0.40)")
#define ABORT_TEST(name) BACKPORTS_TEST_THREADS(name, 1)
