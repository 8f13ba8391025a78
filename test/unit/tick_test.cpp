// The tick: how a loop that is not Proton's learns what is due, and when.
#include "scripted_loop.hpp"

#include <atomic>
#include <cstring>
#include <thread>

using namespace scripted;

namespace {

constexpr int64_t kMs = 1000;  // µs

int tick(ScriptedLoop &s) {
    return lws_proton_loop_tick(s.loop);
}

// Counts the wakes of a loop.
class Wakes {
public:
    explicit Wakes(ScriptedLoop &s) : loop_(s.loop) {
        lws_proton_loop_set_wake(
            loop_, [](void *self) { static_cast<Wakes *>(self)->count++; }, this);
    }
    ~Wakes() { lws_proton_loop_set_wake(loop_, nullptr, nullptr); }

    std::atomic<int> count{0};

private:
    lws_proton_loop_t *const loop_;
};

// lws's wsi of the pipe of tsi.
class Pipe {
public:
    explicit Pipe(ScriptedLoop &s, int tsi = 0) : wsi(lws_proton_loop_pipe(s.loop, tsi)) {
        wsi.on_service = [](Wsi &, int) {};
    }
    ~Pipe() { wsi.close(); }
    void wake() { wsi.conn->ops->wake(wsi.conn); }

    Wsi wsi;
};

// A driver whose lws's side is enabled for READ.
struct Link {
    explicit Link(ScriptedLoop &s, int tsi = 0)
        : driver(lws_proton_driver_new(s.loop, tsi, nullptr, nullptr)),
          wsi(s.host.adopt(lws_proton_driver_conn(driver))) {
        lws_proton_driver_service(driver);
    }
    ~Link() { lws_proton_driver_free(driver); }

    lws_proton_driver_t *driver;
    Wsi &wsi;
};

void without_a_timer_it_is_not_due(ScriptedLoop &s) {
    CHECK_EQ(tick(s), -1);
    Link link(s);
    CHECK_EQ(tick(s), -1);
}

void it_is_due_with_the_next_timer(ScriptedLoop &s) {
    for (int64_t ms : {0, 1, 20, 5000, 86400000}) {
        s.host.on_after = [ms](int) { return ms * kMs; };
        CHECK_EQ(tick(s), ms);
    }
}

void it_is_due_no_sooner_than_the_timer(ScriptedLoop &s) {
    s.host.on_after = [](int) { return 1; };
    CHECK_EQ(tick(s), 1);
    s.host.on_after = [](int) { return 20 * kMs + 1; };
    CHECK_EQ(tick(s), 21);
}

void a_timer_that_is_very_far_is_as_far_as_can_be_said(ScriptedLoop &s) {
    s.host.on_after = [](int) { return INT64_MAX / 2; };
    CHECK_EQ(tick(s), INT32_MAX);
}

void the_first_timer_of_all_pts_counts(ScriptedLoop &s) {
    std::vector<int> served;
    s.host.on_after = [&](int tsi) {
        served.push_back(tsi);
        return (tsi ? 30 : 70) * kMs;
    };
    CHECK_EQ(tick(s), 30);
    CHECK(served == std::vector<int>({0, 1}));
    s.host.on_after = [](int tsi) { return tsi ? -1 : 70 * kMs; };
    CHECK_EQ(tick(s), 70);
}

void a_timer_that_a_driver_s_call_has_set_is_heeded(ScriptedLoop &s) {
    Link link(s);
    CHECK_EQ(tick(s), -1);
    int64_t next = -1;
    s.host.on_after = [&](int) { return next; };
    link.wsi.on_service = [&](Wsi &wsi, int) {
        wsi.recv(10);
        next = 15 * kMs;
    };
    const pn_rwbytes_t space = lws_proton_driver_read_buffer(link.driver);
    memcpy(space.start, "x", 1);
    lws_proton_driver_read_done(link.driver, 1);
    lws_proton_driver_service(link.driver);
    CHECK_EQ(tick(s), 15);
}

void it_does_not_wait_and_leaves_the_proactor_alone(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_sends("for lws_service()");
    CHECK_EQ(tick(s), -1);
    CHECK_EQ(s.proton.waits, 0);
    CHECK(wsi.calls.empty());
    s.run();
    CHECK_EQ(wsi.received, "for lws_service()");
}

void a_cancelled_service_wakes_and_is_served(ScriptedLoop &s) {
    Wakes wakes(s);
    Pipe first(s, 0), second(s, 1);
    second.wake();
    CHECK_EQ(wakes.count, 1);
    second.wake();  // nothing new
    CHECK_EQ(wakes.count, 1);
    tick(s);
    CHECK(first.wsi.calls.empty());
    CHECK_EQ(second.wsi.calls.size(), 1u);
    tick(s);
    CHECK_EQ(second.wsi.calls.size(), 1u);
    second.wake();
    CHECK_EQ(wakes.count, 2);
}

void who_is_inside_lws_is_not_woken(ScriptedLoop &s) {
    Wakes wakes(s);
    Pipe pipe(s);
    Link link(s);
    link.wsi.on_service = [&](Wsi &wsi, int) {
        wsi.recv(10);
        pipe.wake();
    };
    const pn_rwbytes_t space = lws_proton_driver_read_buffer(link.driver);
    memcpy(space.start, "x", 1);
    lws_proton_driver_read_done(link.driver, 1);
    lws_proton_driver_service(link.driver);
    CHECK_EQ(wakes.count, 0);
    CHECK_EQ(pipe.wsi.calls.size(), 1u);  // served as it came out
}

void what_wakes_again_while_it_is_served_makes_it_due_at_once(ScriptedLoop &s) {
    Wakes wakes(s);
    Pipe pipe(s);
    pipe.wsi.on_service = [&](Wsi &, int) { pipe.wake(); };
    pipe.wake();
    CHECK_EQ(tick(s), 0);
    CHECK_EQ(wakes.count, 2);
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
    pipe.wsi.on_service = [](Wsi &, int) {};
    CHECK_EQ(tick(s), -1);
    CHECK_EQ(pipe.wsi.calls.size(), 2u);
}

void a_name_that_was_looked_up_wakes_and_is_told(ScriptedLoop &s) {
    Wakes wakes(s);
    int told = 0;
    s.host.on_resolved = [&](void *cookie, int error, const addrinfo *) {
        CHECK(cookie == &told);
        told += error == 0;
    };
    CHECK(lws_proton_loop_resolve(s.loop, 0, "127.0.0.1", &told));
    while (!wakes.count)
        std::this_thread::yield();
    tick(s);
    CHECK_EQ(told, 1);
}

void a_wake_may_come_from_another_thread(ScriptedLoop &s) {
    Wakes wakes(s);
    Pipe pipe(s);
    std::thread([&] { pipe.wake(); }).join();
    CHECK_EQ(wakes.count, 1);
    tick(s);
    CHECK_EQ(pipe.wsi.calls.size(), 1u);
}

void connections_that_linger_are_reported(ScriptedLoop &s) {
    Link link(s);
    link.wsi.send("unsent");
    link.wsi.close();
    CHECK_EQ(s.stats().lingering, 1u);
    int64_t passed = 0;
    while (s.host.log.empty() && passed <= LWS_PROTON_LINGER_REPORT_MS) {
        const int next = tick(s);
        CHECK(next > 0 && next <= LWS_PROTON_HEARTBEAT_MS);
        s.proton.advance_ms(next);
        passed += next;
    }
    tick(s);
    CHECK_EQ(s.host.log.size(), 1u);
    CHECK_GE(passed, int64_t{LWS_PROTON_LINGER_REPORT_MS});
    lws_proton_driver_write_close(link.driver);
    CHECK_EQ(tick(s), -1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(without_a_timer_it_is_not_due),
        PROTON_TEST(it_is_due_with_the_next_timer),
        PROTON_TEST(it_is_due_no_sooner_than_the_timer),
        PROTON_TEST(a_timer_that_is_very_far_is_as_far_as_can_be_said),
        PROTON_TEST_TWO_PTS(the_first_timer_of_all_pts_counts),
        PROTON_TEST(a_timer_that_a_driver_s_call_has_set_is_heeded),
        PROTON_TEST(it_does_not_wait_and_leaves_the_proactor_alone),
        PROTON_TEST_TWO_PTS(a_cancelled_service_wakes_and_is_served),
        PROTON_TEST(who_is_inside_lws_is_not_woken),
        PROTON_TEST(what_wakes_again_while_it_is_served_makes_it_due_at_once),
        PROTON_TEST(a_name_that_was_looked_up_wakes_and_is_told),
        PROTON_TEST(a_wake_may_come_from_another_thread),
        PROTON_TEST(connections_that_linger_are_reported),
    };
    return cmocka_run_group_tests_name("tick", tests, nullptr, nullptr);
}
