// Faults that the glue had, each told by what should have held. The comments say what went wrong.
#include "scripted_loop.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

using namespace scripted;

namespace {

// DriverConnection::release() says `close` for lws that never had the
// connection; in state lost that frees it, and lose() goes on with what is freed.
void a_driver_that_was_lost_before_lws_had_it_can_be_freed(ScriptedLoop &s) {
    lws_proton_driver_t *driver = lws_proton_driver_new(s.loop, 0, nullptr, nullptr);
    lws_proton_driver_write_close(driver);
    lws_proton_driver_free(driver);
    CHECK_EQ(s.stats().connections, 0u);
}

// The same `close` wakes: the driver's holder is told, in the call that
// frees the driver, to service it.
void freeing_a_driver_wakes_nobody(ScriptedLoop &s) {
    int wakes = 0;
    lws_proton_driver_t *driver = lws_proton_driver_new(
        s.loop, 0, [](void *n) { ++*static_cast<int *>(n); }, &wakes);
    lws_proton_driver_free(driver);
    CHECK_EQ(wakes, 0);
}

// "The rest of the connection's memory is released at once": the raw
// transport does, the driver transport keeps what lws did not read until the end.
void a_closing_driver_keeps_no_rx_buffer(ScriptedLoop &s) {
    const auto receive = [](lws_proton_driver_t *d) {
        CHECK(lws_proton_driver_read_buffer(d).size);
        lws_proton_driver_read_done(d, 1);
    };
    lws_proton_driver_t *first = lws_proton_driver_new(s.loop, 0, nullptr, nullptr);
    lws_proton_driver_t *second = lws_proton_driver_new(s.loop, 0, nullptr, nullptr);
    Wsi &wsi = s.host.adopt(lws_proton_driver_conn(first));
    receive(first);
    wsi.send("unsent");
    wsi.close();
    lws_proton_driver_service(first);
    const size_t before = s.stats().buffer_bytes;
    receive(second);
    const size_t after = s.stats().buffer_bytes;
    lws_proton_driver_free(first);
    lws_proton_driver_free(second);
    CHECK_EQ(after, before);
}

// WRITE is served before READ, and 256 small messages do not fill the window:
// if the network takes them as fast as lws writes, lws never hears what the peer says, were it to
// stop.
void lws_that_writes_small_messages_for_ever_still_reads(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &w, int events) {
        if (events == LWS_PROTON_WRITE)
            w.send(pattern(100));
        else
            w.serve(events);
    };
    wsi.enable(LWS_PROTON_WRITE);
    raw.peer_sends("stop");
    for (int i = 0; i < 50; i++)
        s.run_one();
    CHECK_EQ(wsi.received, "stop");
}

// When both have ended their streams Proton disconnects in the same batch
// in which it says that the peer has: lws, which has ended its own, gets ECONNRESET for a
// connection that ended in order.
void a_peer_that_ends_its_stream_after_lws_did_is_no_reset(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.shutdown();
    s.run();
    raw.peer_sends("the last words");
    raw.peer_ends();
    s.run();
    CHECK_EQ(wsi.received, "the last words");
    CHECK(wsi.ended);
    CHECK(!wsi.lost);
}

// What a lost connection's lws does is served in a loop that does not end
// while lws has reason to be called again; a connection with a transport goes back in line.
void a_lost_connection_leaves_time_to_others(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    int calls = 0;
    wsi.on_service = [&calls](Wsi &w, int) {
        if (++calls == 100000)
            w.close();  // or this test would not end
        else
            w.enable(LWS_PROTON_READ);  // in the hope of more
    };
    raw.peer_resets();
    CHECK(s.run_one());
    CHECK_LE(calls, 2000);
}

// The pt was woken, the thread of another pt was interrupted for it and served it,
// and the one that was to come back goes into its wait: lws_cancel_service() is lost until the
// heartbeat. (Loop::turn() looks at `woken` as well as at `returning`.)
void a_woken_pt_comes_back_although_another_thread_served_it(ScriptedLoop &s) {
    lws_proton_conn *pipe = lws_proton_loop_pipe(s.loop, 1);
    pipe->ops->wake(pipe);
    lws_proton_loop_turn(s.loop, 0, 1);
    const int waits = s.proton.waits;
    lws_proton_loop_turn(s.loop, 1, 1);
    CHECK_EQ(s.proton.waits, waits);
}

// Each call of a driver ends a visit, which serves lws's timers; one of those wakes
// lws's pipe. The wake trusts in settle(), which only some of the calls do: the loop's thread stays
// in its wait until the heartbeat.
void a_wake_in_a_timer_that_a_driver_s_call_served_arrives(ScriptedLoop &s) {
    lws_proton_conn *conn = lws_proton_loop_pipe(s.loop, 0);
    Wsi pipe(conn);
    pipe.on_service = [](Wsi &, int) {};
    lws_proton_driver_t *driver = lws_proton_driver_new(s.loop, 0, nullptr, nullptr);
    bool once = true;
    s.host.on_after = [&](int) {
        if (std::exchange(once, false))
            conn->ops->wake(conn);
        return int64_t(-1);
    };
    lws_proton_driver_finished(driver);
    const bool arrived = !pipe.calls.empty() || s.proton.interrupts;
    lws_proton_driver_free(driver);
    s.run();
    pipe.close();
    CHECK(arrived);
}

// lws closes the listener (pt 0) after another thread, which serves Proton's
// batch of it, has looked at closed_ and before it accepts: Proton refuses, never mentions the raw
// connection again (PROTON-2764), and connection and listener stay for ever. Both would have to be
// under listen_mutex.
void a_listener_closed_while_it_accepts_leaves_nothing(ScriptedLoop &s) {
    std::mutex mutex;
    std::condition_variable changed;
    bool closed = false;
    std::thread lws;
    s.proton.on_accept = [&] {
        lws = std::thread([&] {
            s.listeners[0]->close();
            std::lock_guard<std::mutex> lock(mutex);
            closed = true;
            changed.notify_one();
        });
        // Either it closes now, or it has to wait for us.
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait_until(lock, std::chrono::system_clock::now() + std::chrono::milliseconds(100),
                           [&] { return closed; });
    };
    s.begin_to_connect();
    lws.join();
    s.proton.on_accept = nullptr;
    s.run();
    CHECK_EQ(s.stats().connections, 0u);
}

// A constructor that throws runs no destructor.
void no_memory_for_a_loop_leaves_no_proactor(ScriptedLoop &s) {
    s.proton.timeouts.reserve(100);
    for (size_t spared = 0; spared < 10; spared++) {
        lws_proton_loop_t *loop;
        {
            const OutOfMemory none(0, OutOfMemory::throwing, spared);
            loop = lws_proton_loop_new(2, s.host.table(), &s, nullptr);
        }
        lws_proton_loop_free(loop);
        CHECK_EQ(s.proton.proactors_freed + 1, s.proton.proactors_made);  // the test's own is left
    }
}

// The time is for peers; a machine that has much else to do takes it too.
void a_loop_whose_time_to_drain_is_up_serves_what_has_happened(ScriptedLoop &s) {
    std::vector<pn_raw_connection_t *> raws;
    for (int i = 0; i < 3; i++) {
        auto [raw, wsi] = s.connect();
        raws.push_back(&raw);
        wsi.close();
    }
    s.listeners[0]->close();
    s.proton.on_wait = [] {
        std::this_thread::sleep_for(std::chrono::milliseconds(LWS_PROTON_DRAIN_MS));
    };
    s.free();
    for (pn_raw_connection_t *raw : raws)
        CHECK(raw->freed);
    CHECK_EQ(s.proton.proactors_freed, 1);
    CHECK(s.host.log.empty());
    // finish() wants one to end
    s.loop = lws_proton_loop_new(1, s.host.table(), &s.host, nullptr);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(a_driver_that_was_lost_before_lws_had_it_can_be_freed),
        PROTON_TEST(freeing_a_driver_wakes_nobody),
        PROTON_TEST(a_closing_driver_keeps_no_rx_buffer),
        PROTON_TEST(lws_that_writes_small_messages_for_ever_still_reads),
        PROTON_TEST(a_peer_that_ends_its_stream_after_lws_did_is_no_reset),
        PROTON_TEST(a_lost_connection_leaves_time_to_others),
        PROTON_TEST_TWO_PTS(a_woken_pt_comes_back_although_another_thread_served_it),
        PROTON_TEST(a_wake_in_a_timer_that_a_driver_s_call_served_arrives),
        PROTON_TEST(a_listener_closed_while_it_accepts_leaves_nothing),
        PROTON_TEST(no_memory_for_a_loop_leaves_no_proactor),
        PROTON_TEST(a_loop_whose_time_to_drain_is_up_serves_what_has_happened),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
