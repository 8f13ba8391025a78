// The loop: timers, wakes, what it counts, and its own beginning and end.
#include "scripted_loop.hpp"

#include <thread>

using namespace scripted;

namespace {

constexpr int64_t kMs = 1000;  // µs
constexpr pn_millis_t kHeartbeat = LWS_PROTON_HEARTBEAT_MS;

void do_nothing(Wsi &, int) {}

// lws's wsi of the pipe of tsi.
class Pipe {
public:
    explicit Pipe(ScriptedLoop &s, int tsi = 0) : wsi(lws_proton_loop_pipe(s.loop, tsi)) {
        wsi.on_service = do_nothing;
    }
    ~Pipe() {
        if (wsi.conn)
            wsi.close();
    }
    void wake() { wsi.conn->ops->wake(wsi.conn); }

    Wsi wsi;
};

void turn(ScriptedLoop &s, int tsi, bool wait) {
    lws_proton_loop_turn(s.loop, tsi, wait);
}

// The scripted Proton is part of this program, where its accept() cannot be replaced.
void the_first_loop_warns_that_proton_keeps_its_accept(ScriptedLoop &s) {
    // Each version of Proton has this test in one process.
    static size_t warnings = 1;
    CHECK_EQ(s.host.log.size(), warnings);
    if (warnings)
        CHECK(s.host.log[0].find("Proton keeps its own accept()") != std::string::npos);
    s.free();
    s.loop = lws_proton_loop_new(1, s.host.table(), &s.host, nullptr);
    CHECK_EQ(s.host.log.size(), warnings);
    warnings = 0;
}

// Timers.

void a_loop_comes_back_once_a_heartbeat(ScriptedLoop &s) {
    const auto start = std::chrono::steady_clock::now();
    const std::chrono::milliseconds heartbeat(kHeartbeat);
    for (int i = 0; i < 10; i++) {
        const auto before = std::chrono::steady_clock::now();
        turn(s, 0, true);
        CHECK(std::chrono::steady_clock::now() - before <= heartbeat);
    }
    // and not all the time
    CHECK(std::chrono::steady_clock::now() - start >= 4 * heartbeat);
}

void a_turn_that_does_not_wait_returns_at_once(ScriptedLoop &s) {
    turn(s, 0, false);
    CHECK_EQ(s.proton.waits, 0);
    CHECK_EQ(s.proton.timeouts.size(), 1u);
}

void a_deadline_that_is_earlier_is_armed(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    s.proton.timeouts.clear();
    s.host.on_after = [](int) { return 300 * kMs; };
    raw.peer_sends("x");
    s.run();
    CHECK(s.proton.timeouts == std::vector<pn_millis_t>({300}));
}

void a_deadline_that_is_later_is_not_armed(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    s.host.on_after = [](int) { return 300 * kMs; };
    raw.peer_sends("x");
    s.run();
    s.proton.timeouts.clear();
    for (int64_t later : {300 * kMs, 301 * kMs, 5000 * kMs, int64_t(-1)}) {
        s.host.on_after = [later](int) { return later; };
        raw.peer_sends("x");
        s.run();
    }
    CHECK(s.proton.timeouts.empty());
}

void a_deadline_is_not_armed_too_early_nor_in_the_past(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    s.proton.timeouts.clear();
    s.host.on_after = [](int) { return 100 * kMs + 1; };
    raw.peer_sends("x");
    s.run();
    CHECK(s.proton.timeouts == std::vector<pn_millis_t>({101}));
    s.host.on_after = [](int) { return int64_t(0); };
    raw.peer_sends("x");
    s.run_one();
    CHECK_EQ(s.proton.timeouts.back(), 0u);
    s.host.on_after = nullptr;
    s.run();
}

void a_due_deadline_is_served(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    const auto start = std::chrono::steady_clock::now();
    std::vector<int64_t> served;  // ms after start
    s.host.on_after = [&](int) {
        served.push_back((std::chrono::steady_clock::now() - start) / std::chrono::milliseconds(1));
        return 50 * kMs;
    };
    raw.peer_sends("x");
    s.run();
    for (int i = 0; i < 3; i++)
        s.wait_one();
    CHECK(served == std::vector<int64_t>({0, 50, 100, 150}));
}

void a_deadline_that_moved_away_is_not_served_early(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    int visits = 0;
    int64_t next = 50 * kMs;
    s.host.on_after = [&](int) { return visits++, next; };
    raw.peer_sends("x");
    s.run();
    next = 400 * kMs;
    raw.peer_sends("x");
    s.run();
    visits = 0;
    s.wait_one();  // what was armed comes
    CHECK_EQ(visits, 0);
    CHECK_EQ(s.proton.timeouts.back(), 350u);
    s.wait_one();
    CHECK_EQ(visits, 1);
}

void only_the_pt_that_is_due_is_visited(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    auto [other_raw, other] = s.connect();
    CHECK_EQ(other.conn->tsi, 1);
    std::vector<int> visited;
    s.host.on_after = [&](int tsi) {
        visited.push_back(tsi);
        return tsi ? 100 * kMs : 400 * kMs;
    };
    raw.peer_sends("x");
    other_raw.peer_sends("x");
    s.run();
    visited.clear();
    s.wait_one();
    CHECK(visited == std::vector<int>({1}));
    for (int i = 0; i < 3; i++)
        s.wait_one();
    CHECK(visited == std::vector<int>({1, 1, 1, 0, 1}));
}

void a_timer_that_was_set_between_two_turns_is_armed_by_the_next(ScriptedLoop &s) {
    int visits = 0;
    s.host.on_after = [&](int) { return visits++, 200 * kMs; };
    turn(s, 0, false);
    CHECK_EQ(visits, 0);
    s.proton.timeouts.clear();
    s.host.new_deadline = 200 * kMs;
    turn(s, 0, false);
    CHECK_EQ(s.proton.timeouts.front(), 200u);
    CHECK_EQ(visits, 1);
}

// Wakes.

void a_wake_from_outside_interrupts_once(ScriptedLoop &s) {
    Pipe pipe(s);
    pipe.wake();
    pipe.wake();
    std::thread other([&pipe] { pipe.wake(); });
    other.join();
    CHECK_EQ(s.proton.interrupts, 1);
    CHECK(pipe.wsi.calls.empty());
    s.run();
    CHECK(pipe.wsi.calls == std::vector<int>({LWS_PROTON_READ}));
    pipe.wake();
    CHECK_EQ(s.proton.interrupts, 2);
    s.run();
    CHECK_EQ(pipe.wsi.calls.size(), 2u);
}

void a_wake_from_inside_a_visit_is_served_without_an_interrupt(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    Pipe pipe(s);
    wsi.on_service = [&pipe](Wsi &w, int events) {
        w.serve(events);
        pipe.wake();
    };
    raw.peer_sends("x");
    s.run_one();
    CHECK_EQ(s.proton.interrupts, 0);
    CHECK(pipe.wsi.calls == std::vector<int>({LWS_PROTON_READ}));
}

void a_wake_from_a_timer_is_served_too(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    Pipe pipe(s);
    bool once = true;
    s.host.on_after = [&](int) {
        if (std::exchange(once, false))
            pipe.wake();
        return int64_t(-1);
    };
    raw.peer_sends("x");
    s.run_one();
    CHECK_EQ(s.proton.interrupts, 0);
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
}

void a_wake_while_the_pipe_is_served_is_served_again(ScriptedLoop &s) {
    Pipe pipe(s, 1);  // by the thread of pt 0
    int more = 3;
    pipe.wsi.on_service = [&](Wsi &, int) {
        if (more-- > 0)
            pipe.wake();
    };
    pipe.wake();
    s.run();
    CHECK_EQ(pipe.wsi.calls.size(), 4u);
}

// lws_cancel_service() is one thing, a wake for the loop's own needs another.

// Lost, and served by the loop.
Wsi &orphan(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_resets();
    s.run();
    wsi.calls.clear();
    return wsi;
}

void a_wake_for_a_connection_is_not_the_pipe_s(ScriptedLoop &s) {
    Wsi &wsi = orphan(s);
    Pipe pipe(s);
    std::thread other([&wsi] {
        wsi.disable(LWS_PROTON_READ);
        wsi.enable(LWS_PROTON_READ);
    });
    other.join();
    CHECK_EQ(s.proton.interrupts, 1);
    s.run();
    CHECK_EQ(wsi.calls.size(), 1u);
    CHECK(pipe.wsi.calls.empty());
}

void a_wake_of_the_pipe_and_one_for_a_connection_are_both_served(ScriptedLoop &s) {
    Wsi &wsi = orphan(s);
    Pipe pipe(s);
    for (bool pipe_first : {true, false}) {
        wsi.calls.clear();
        pipe.wsi.calls.clear();
        if (pipe_first)
            pipe.wake();
        wsi.disable(LWS_PROTON_READ);
        wsi.enable(LWS_PROTON_READ);
        if (!pipe_first)
            pipe.wake();
        s.run();
        CHECK_EQ(wsi.calls.size(), 1u);
        CHECK_EQ(pipe.wsi.calls.size(), 1u);
    }
    CHECK_EQ(s.proton.interrupts, 2);
}

void a_wake_of_the_pipe_is_served_once(ScriptedLoop &s) {
    Wsi &wsi = orphan(s);
    Pipe pipe(s);
    pipe.wake();
    s.run();
    wsi.disable(LWS_PROTON_READ);
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
}

void the_pipe_that_was_woken_is_the_one_that_is_served(ScriptedLoop &s) {
    Pipe zero(s, 0), one(s, 1);
    one.wake();
    s.run();
    CHECK(zero.wsi.calls.empty());
    CHECK_EQ(one.wsi.calls.size(), 1u);
}

void a_turn_does_not_wait_when_it_was_woken(ScriptedLoop &s) {
    Pipe pipe(s);
    pipe.wake();
    turn(s, 0, true);
    CHECK_EQ(s.proton.waits, 0);
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
    s.run();
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
}

void a_wake_of_a_pipe_that_lws_does_not_have_is_no_harm(ScriptedLoop &s) {
    Pipe pipe(s);
    lws_proton_conn *conn = pipe.wsi.conn;
    pipe.wsi.close();
    conn->ops->wake(conn);
    s.run();
    CHECK(pipe.wsi.calls.empty());
}

void a_pipe_is_no_stream(ScriptedLoop &s) {
    Pipe pipe(s);
    CHECK_EQ(pipe.wsi.recv(1), -ENOTCONN);
    CHECK_EQ(pipe.wsi.send("x"), -ENOTCONN);
    CHECK_EQ(pipe.wsi.tx_room(), 0u);
    CHECK(!pipe.wsi.conn->ops->accept(pipe.wsi.conn));
    CHECK_EQ(pipe.wsi.conn->ops->peer_name(pipe.wsi.conn, nullptr, nullptr), -1);
    CHECK_EQ(pipe.wsi.conn->ops->local_name(pipe.wsi.conn, nullptr, nullptr), -1);
    CHECK_EQ(pipe.wsi.peek(1), -ENOTCONN);
    CHECK_EQ(pipe.wsi.connect("127.0.0.1", 80), -ENOTCONN);
    CHECK_EQ(pipe.wsi.connect_error(), 0);
    CHECK_EQ(pipe.wsi.conn->ops->rx_used(pipe.wsi.conn), 0u);
    pipe.wsi.shutdown();
    pipe.wsi.enable(LWS_PROTON_READ);
    pipe.wsi.disable(LWS_PROTON_READ);
}

void whoever_is_interrupted_serves_the_pt_that_was_woken(ScriptedLoop &s) {
    Pipe zero(s, 0), one(s, 1);
    int during = -2;
    one.wsi.on_service = [&](Wsi &, int) { during = lws_proton_loop_this_tsi(s.loop); };
    one.wake();
    CHECK_EQ(s.proton.interrupts, 1);
    turn(s, 0, true);
    CHECK_EQ(during, 1);
    CHECK(zero.wsi.calls.empty());
}

void an_interrupt_is_passed_on_to_the_thread_it_was_for(ScriptedLoop &s) {
    Pipe zero(s, 0), one(s, 1);
    const auto start = std::chrono::steady_clock::now();
    s.proton.on_wait = [&] {
        zero.wake();
        turn(s, 1, true);  // the thread of pt 1 takes the interrupt, and serves pt 0
        expect(zero.wsi.calls.size() == 1, "who is interrupted serves");
    };
    turn(s, 0, true);
    CHECK_EQ(zero.wsi.calls.size(), 1u);
    CHECK_EQ(one.wsi.calls.size(), 0u);
    CHECK(std::chrono::steady_clock::now() == start);  // neither waited
}

// It may not come again, and Proton has another thread poll instead of one that finds nothing.
void who_is_called_back_leaves_when_there_is_nothing_to_do(ScriptedLoop &s) {
    Pipe zero(s, 0);
    auto [raw, wsi] = s.connect();
    raw.peer_sends("hello");
    zero.wake();
    turn(s, 0, true);
    CHECK_EQ(zero.wsi.calls.size(), 1u);
    CHECK_EQ(wsi.received, "hello");
    CHECK(!s.run_one());
}

void a_heartbeat_brings_every_waiting_thread_back(ScriptedLoop &s) {
    const auto start = std::chrono::steady_clock::now();
    s.proton.on_wait = [&s] { turn(s, 1, true); };
    turn(s, 0, true);
    CHECK_EQ(s.proton.waits, 2);
    CHECK(std::chrono::steady_clock::now() - start == std::chrono::milliseconds(kHeartbeat));
}

void a_wake_that_comes_as_the_wait_begins_ends_it(ScriptedLoop &s) {
    Pipe pipe(s);
    const auto start = std::chrono::steady_clock::now();
    s.proton.on_wait = [&pipe] { pipe.wake(); };
    turn(s, 0, true);
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
    CHECK(std::chrono::steady_clock::now() == start);
}

// Its beginning and end.

void a_loop_counts_connections_and_buffers(ScriptedLoop &s) {
    CHECK_EQ(s.stats().connections, 0u);
    CHECK_EQ(s.stats().buffer_bytes, 0u);
    auto [raw, wsi] = s.connect();
    s.connect();
    CHECK_EQ(s.stats().connections, 2u);
    CHECK_EQ(s.stats().buffer_bytes, 2 * LWS_PROTON_RX_SMALL);
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().connections, 1u);
    CHECK_EQ(s.stats().buffer_bytes, 2 * LWS_PROTON_RX_SMALL);  // one kept for the next
}

void buffers_of_many_connections_are_not_all_kept(ScriptedLoop &s) {
    for (int i = 0; i < 200; i++)
        s.connect();
    CHECK_EQ(s.stats().buffer_bytes, 200 * LWS_PROTON_RX_SMALL);
    for (auto &wsi : s.host.wsis)
        wsi->close();
    s.run();
    CHECK_EQ(s.stats().connections, 0u);
    CHECK_LE(s.stats().buffer_bytes, 100 * LWS_PROTON_RX_SMALL);
}

void a_loop_is_found_by_its_user(ScriptedLoop &s) {
    const auto context = [](const void *user) { return static_cast<const lws_context *>(user); };
    int first, second;
    lws_proton_loop_t *a = lws_proton_loop_new(1, s.host.table(), &first, nullptr);
    lws_proton_loop_t *b = lws_proton_loop_new(1, s.host.table(), &second, nullptr);
    CHECK_EQ(lws_proton_loop_of(context(&s.host)), s.loop);
    CHECK_EQ(lws_proton_loop_of(context(&first)), a);
    CHECK_EQ(lws_proton_loop_of(context(&second)), b);
    CHECK(!lws_proton_loop_of(nullptr));
    lws_proton_loop_free(a);
    CHECK(!lws_proton_loop_of(context(&first)));
    CHECK_EQ(lws_proton_loop_of(context(&second)), b);
    lws_proton_loop_free(b);
    CHECK(!lws_proton_loop_of(context(&second)));
    CHECK_EQ(lws_proton_loop_of(context(&s.host)), s.loop);
}

void no_proactor_is_no_loop(ScriptedLoop &s) {
    s.proton.no_proactor = true;
    CHECK(!lws_proton_loop_new(1, s.host.table(), &s.host, nullptr));
}

void freeing_no_loop_means_nothing(ScriptedLoop &) {
    lws_proton_loop_free(nullptr);
}

void a_batch_from_elsewhere_is_handed_back(ScriptedLoop &s) {
    pn_event_batch_t *batch = pn_proactor_wait(lws_proton_loop_proactor(s.loop));
    CHECK(batch);  // the heartbeat
    lws_proton_loop_dispatch(s.loop, batch);
    CHECK(!batch->working);
    CHECK_EQ(s.proton.timeouts.size(), 2u);
}

void a_loop_that_is_freed_lets_proton_finish_what_lws_closed(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.send("the last words");
    wsi.close();
    s.listeners[0]->close();
    s.free();
    CHECK_EQ(raw.peer_got, "the last words");
    CHECK(raw.freed);
    CHECK_EQ(s.proton.proactors_freed, 1);
    CHECK(s.host.log.empty());
    // finish() wants one to end
    s.loop = lws_proton_loop_new(1, s.host.table(), &s.host, nullptr);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(the_first_loop_warns_that_proton_keeps_its_accept),
        PROTON_TEST(a_loop_comes_back_once_a_heartbeat),
        PROTON_TEST(a_turn_that_does_not_wait_returns_at_once),
        PROTON_TEST(a_deadline_that_is_earlier_is_armed),
        PROTON_TEST(a_deadline_that_is_later_is_not_armed),
        PROTON_TEST(a_deadline_is_not_armed_too_early_nor_in_the_past),
        PROTON_TEST(a_due_deadline_is_served),
        PROTON_TEST(a_deadline_that_moved_away_is_not_served_early),
        PROTON_TEST_TWO_PTS(only_the_pt_that_is_due_is_visited),
        PROTON_TEST(a_timer_that_was_set_between_two_turns_is_armed_by_the_next),
        PROTON_TEST(a_wake_from_outside_interrupts_once),
        PROTON_TEST(a_wake_from_inside_a_visit_is_served_without_an_interrupt),
        PROTON_TEST(a_wake_from_a_timer_is_served_too),
        PROTON_TEST_TWO_PTS(who_is_called_back_leaves_when_there_is_nothing_to_do),
        PROTON_TEST_TWO_PTS(a_wake_while_the_pipe_is_served_is_served_again),
        PROTON_TEST(a_wake_for_a_connection_is_not_the_pipe_s),
        PROTON_TEST(a_wake_of_the_pipe_and_one_for_a_connection_are_both_served),
        PROTON_TEST(a_wake_of_the_pipe_is_served_once),
        PROTON_TEST_TWO_PTS(the_pipe_that_was_woken_is_the_one_that_is_served),
        PROTON_TEST(a_turn_does_not_wait_when_it_was_woken),
        PROTON_TEST(a_wake_of_a_pipe_that_lws_does_not_have_is_no_harm),
        PROTON_TEST(a_pipe_is_no_stream),
        PROTON_TEST_TWO_PTS(whoever_is_interrupted_serves_the_pt_that_was_woken),
        PROTON_TEST_TWO_PTS(an_interrupt_is_passed_on_to_the_thread_it_was_for),
        PROTON_TEST_TWO_PTS(a_heartbeat_brings_every_waiting_thread_back),
        PROTON_TEST(a_wake_that_comes_as_the_wait_begins_ends_it),
        PROTON_TEST(a_loop_counts_connections_and_buffers),
        PROTON_TEST(buffers_of_many_connections_are_not_all_kept),
        PROTON_TEST(a_loop_is_found_by_its_user),
        PROTON_TEST(no_proactor_is_no_loop),
        PROTON_TEST(freeing_no_loop_means_nothing),
        PROTON_TEST(a_batch_from_elsewhere_is_handed_back),
        PROTON_TEST(a_loop_that_is_freed_lets_proton_finish_what_lws_closed),
    };
    return cmocka_run_group_tests_name("loop", tests, nullptr, nullptr);
}
