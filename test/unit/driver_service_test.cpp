// The driver transport: when lws is called, how often, and who is woken for it.
#include "lws_proton.h"
#include "scripted_driver.hpp"

#include <thread>

using namespace scripted;

namespace {

constexpr size_t kIdleRounds = 4;  // calls of lws in one service(), at most, if it does nothing

void do_nothing(Wsi &, int) {}

void lws_is_not_called_for_a_connection_it_does_not_have(DriverLoop &loop) {
    Driver driver(loop, Driver::not_adopted);
    driver.receive("early");
    driver.conn()->ops->enable(driver.conn(), 1, LWS_PROTON_READ | LWS_PROTON_WRITE);
    CHECK(!driver.service());
    CHECK_EQ(loop.host.calls_without_wsi, 0u);

    Wsi &wsi = loop.host.adopt(driver.conn());
    wsi.disable(LWS_PROTON_WRITE);
    driver.service();
    CHECK_EQ(wsi.received, "early");  // nothing was lost
}

void nothing_to_do_is_no_call(DriverLoop &loop) {
    Driver driver(loop);
    for (int i = 0; i < 5; i++)
        CHECK(!driver.service());
    CHECK(driver.wsi().calls.empty());
}

void without_read_enabled_bytes_wait(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().disable(LWS_PROTON_READ);
    driver.receive("waiting");
    driver.read_close();
    CHECK(!driver.service());
    CHECK(driver.wsi().calls.empty());
    driver.wsi().enable(LWS_PROTON_READ);
    driver.service();
    CHECK_EQ(driver.wsi().received, "waiting");
    CHECK(driver.wsi().ended);
}

void lws_is_called_for_one_thing_at_a_time_and_write_comes_first(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().to_send = "answer";
    driver.wsi().enable(LWS_PROTON_WRITE);
    driver.receive("question");
    driver.service();
    CHECK(driver.wsi().calls == std::vector<int>({LWS_PROTON_WRITE, LWS_PROTON_READ}));
}

void lws_is_called_until_it_has_taken_everything(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &wsi, int) { wsi.recv(10); };
    driver.receive(pattern(95));
    CHECK(!driver.service());
    CHECK(driver.wsi().received == pattern(95));
    CHECK_EQ(driver.wsi().calls.size(), 10u);
}

void lws_that_takes_nothing_is_not_called_again_and_again(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = do_nothing;
    driver.receive("unwanted");
    CHECK(!driver.service());
    CHECK_EQ(driver.wsi().calls.size(), 1u);
    CHECK_EQ(driver.wakes, 0u);
}

void lws_that_took_nothing_is_called_when_more_comes(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = do_nothing;
    driver.receive("unwanted");
    driver.service();
    driver.wsi().on_service = Wsi::as_lws;
    driver.receive(" wanted");
    driver.service();
    CHECK_EQ(driver.wsi().received, "unwanted wanted");
}

void lws_that_took_nothing_is_called_when_the_peer_ends(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = do_nothing;
    driver.receive("unwanted");
    driver.service();
    driver.wsi().on_service = Wsi::as_lws;
    driver.read_close();
    driver.service();
    CHECK_EQ(driver.wsi().received, "unwanted");
    CHECK(driver.wsi().ended);
}

void lws_that_took_nothing_is_called_when_it_asks_again(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = do_nothing;
    driver.receive("unwanted");
    driver.service();
    driver.wsi().on_service = Wsi::as_lws;
    driver.wsi().disable(LWS_PROTON_READ);
    driver.wsi().enable(LWS_PROTON_READ);
    CHECK_EQ(driver.wakes, 1u);
    driver.service();
    CHECK_EQ(driver.wsi().received, "unwanted");
}

void lws_that_takes_nothing_but_does_something_is_called_on(DriverLoop &loop) {
    Driver driver(loop);
    size_t calls = 0;
    driver.wsi().on_service = [&calls](Wsi &wsi, int events) {
        if (events == LWS_PROTON_READ && ++calls < 5)
            wsi.send("progress");
        else
            wsi.disable(LWS_PROTON_READ);
    };
    driver.receive("unread");
    CHECK(!driver.service());
    CHECK_EQ(calls, 5u);
}

void lws_that_may_write_and_does_not_gets_a_bounded_number_of_calls(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = do_nothing;
    driver.wsi().enable(LWS_PROTON_WRITE);
    CHECK(driver.service());  // there is more to do
    CHECK_LE(driver.wsi().calls.size(), kIdleRounds);
    CHECK(driver.wsi().calls.size() > 1);
    driver.wsi().calls.clear();
    CHECK(driver.service());
    CHECK_LE(driver.wsi().calls.size(), kIdleRounds);
    driver.wsi().disable(LWS_PROTON_WRITE);
    CHECK(!driver.service());
}

void lws_that_writes_for_ever_is_stopped_by_the_window(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &wsi, int) { wsi.send(pattern(1000)); };
    driver.wsi().enable(LWS_PROTON_WRITE);
    CHECK(!driver.service());
    // called while a quarter is free, and not after
    CHECK_EQ(driver.wsi().calls.size(), LWS_PROTON_TX * 3 / 4 / 1000 + 1);
    CHECK_EQ(driver.transmit().size(), 1000 * driver.wsi().calls.size());
}

void data_that_lws_itself_holds_is_served_with_an_empty_window(DriverLoop &loop) {
    Driver driver(loop);
    size_t held = 30;
    loop.host.on_pending = [&held](Wsi &) { return held; };
    driver.wsi().on_service = [&held](Wsi &, int) { held -= 10; };
    CHECK(!driver.service());
    CHECK_EQ(driver.wsi().count(LWS_PROTON_READ), 3u);
    CHECK_EQ(held, 0u);
}

void data_that_lws_holds_waits_without_read_enabled(DriverLoop &loop) {
    Driver driver(loop);
    loop.host.on_pending = [](Wsi &) { return size_t(10); };
    driver.wsi().disable(LWS_PROTON_READ);
    CHECK(!driver.service());
    CHECK(driver.wsi().calls.empty());
}

void data_that_lws_holds_and_does_not_take_is_no_endless_loop(DriverLoop &loop) {
    Driver driver(loop);
    loop.host.on_pending = [](Wsi &) { return size_t(10); };
    driver.wsi().on_service = do_nothing;
    CHECK(!driver.service());
    CHECK_EQ(driver.wsi().calls.size(), 1u);
}

void what_is_disabled_in_a_callback_is_not_called(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &wsi, int) {
        wsi.disable(LWS_PROTON_READ | LWS_PROTON_WRITE);
    };
    driver.receive("waiting");
    driver.wsi().enable(LWS_PROTON_WRITE);
    CHECK(!driver.service());
    CHECK(driver.wsi().calls == std::vector<int>({LWS_PROTON_WRITE}));
}

void what_is_enabled_in_a_callback_is_called_at_once(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &wsi, int events) {
        wsi.serve(events);
        if (events == LWS_PROTON_READ) {
            wsi.to_send = "answer";
            wsi.enable(LWS_PROTON_WRITE);
        }
    };
    driver.receive("question");
    CHECK(!driver.service());
    CHECK_EQ(driver.transmit(), "answer");
    CHECK_EQ(driver.wakes, 0u);  // and nobody was woken for it
}

void enabling_write_from_outside_wakes_once(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = do_nothing;
    driver.wsi().enable(LWS_PROTON_WRITE);
    CHECK_EQ(driver.wakes, 1u);
    driver.wsi().enable(LWS_PROTON_WRITE);
    driver.wsi().disable(LWS_PROTON_WRITE);
    driver.wsi().enable(LWS_PROTON_WRITE);
    CHECK_EQ(driver.wakes, 1u);  // it has not been served since

    driver.service();
    CHECK_EQ(driver.wakes, 1u);
    driver.wsi().disable(LWS_PROTON_WRITE);
    CHECK_EQ(driver.wakes, 1u);
    driver.wsi().enable(LWS_PROTON_WRITE);
    CHECK_EQ(driver.wakes, 2u);
}

void enabling_write_from_another_thread_wakes(DriverLoop &loop) {
    Driver driver(loop);
    std::thread other([&driver] { driver.wsi().enable(LWS_PROTON_WRITE); });
    other.join();
    CHECK_EQ(driver.wakes, 1u);
}

void everything_that_changes_from_outside_wakes(DriverLoop &loop) {
    using Step = void (*)(Driver &);
    for (Step step :
         {Step([](Driver &d) { d.wsi().send("x"); }), Step([](Driver &d) { d.wsi().recv(1); }),
          Step([](Driver &d) { d.wsi().shutdown(); }), Step([](Driver &d) { d.wsi().close(); }),
          Step([](Driver &d) { d.conn()->ops->wake(d.conn()); })}) {
        Driver driver(loop);
        driver.receive("unread");
        step(driver);
        CHECK_EQ(driver.wakes, 1u);
    }
}

void nothing_that_happens_in_a_service_wakes(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &wsi, int) {
        wsi.recv(1);
        wsi.send("x");
        wsi.enable(LWS_PROTON_READ | LWS_PROTON_WRITE);
        wsi.shutdown();
        wsi.send("y");
        wsi.close();
    };
    driver.receive("request");
    driver.service();
    CHECK_EQ(driver.wakes, 0u);
    CHECK_EQ(driver.transmit(), "x");
}

void what_lws_does_to_another_connection_wakes_that_one(DriverLoop &loop) {
    Driver first(loop), second(loop);
    first.wsi().on_service = [&second](Wsi &wsi, int events) {
        wsi.serve(events);
        second.wsi().send("relayed");
    };
    first.receive("question");
    first.service();
    CHECK_EQ(first.wakes, 0u);
    CHECK_EQ(second.wakes, 1u);
    CHECK_EQ(second.transmit(), "relayed");
}

void another_connection_that_cannot_write_yet_is_not_woken_for_it(DriverLoop &loop) {
    Driver first(loop), second(loop);
    second.wsi().send(pattern(LWS_PROTON_TX));
    second.service();
    second.wakes = 0;
    first.wsi().on_service = [&second](Wsi &wsi, int events) {
        wsi.serve(events);
        second.wsi().enable(LWS_PROTON_WRITE);
    };
    first.receive("question");
    first.service();
    CHECK_EQ(second.wakes, 0u);
    second.transmit();
    second.service();
    CHECK_EQ(second.wsi().count(LWS_PROTON_WRITE), 1u);
}

void a_service_says_whose_pt_it_serves(DriverLoop &) {
    DriverLoop loop(3);
    Driver driver(loop, Driver::adopted, 2);
    int served = -2, timed = -2;
    loop.host.on_after = [&timed](int tsi) { return timed = tsi, -1; };
    driver.wsi().on_service = [&](Wsi &wsi, int events) {
        served = lws_proton_loop_this_tsi(loop.loop);
        wsi.serve(events);
    };
    CHECK_EQ(driver.conn()->tsi, 2);
    driver.receive("x");
    driver.service();
    CHECK_EQ(served, 2);
    CHECK_EQ(timed, 2);  // lws's timers were served too
    CHECK_EQ(lws_proton_loop_this_tsi(loop.loop), -1);
}

void a_driver_without_a_pt_goes_to_the_idlest(DriverLoop &) {
    DriverLoop loop(3);
    Driver a(loop, Driver::adopted, 0), b(loop, Driver::adopted, 1);
    {
        Driver c(loop, Driver::adopted, -1);
        CHECK_EQ(c.conn()->tsi, 2);
    }
    b.free();
    Driver d(loop, Driver::adopted, -1), e(loop, Driver::adopted, -1);
    CHECK_EQ(d.conn()->tsi, 1);
    CHECK_EQ(e.conn()->tsi, 2);
}

void a_visit_to_another_loop_inside_a_service_ends_where_it_began(DriverLoop &loop) {
    DriverLoop other;
    Driver driver(loop), inner(other);
    int during = -2, after = -2, of_other = -2;
    driver.wsi().on_service = [&](Wsi &wsi, int events) {
        inner.wsi().on_service = [&](Wsi &w, int e) {
            during = lws_proton_loop_this_tsi(other.loop);
            w.serve(e);
        };
        inner.receive("x");
        inner.service();
        after = lws_proton_loop_this_tsi(loop.loop);
        of_other = lws_proton_loop_this_tsi(other.loop);
        wsi.serve(events);
    };
    driver.receive("x");
    driver.service();
    CHECK_EQ(during, 0);
    CHECK_EQ(after, 0);
    CHECK_EQ(of_other, -1);
}

void a_wake_of_lws_s_pipe_in_a_service_is_served_before_it_returns(DriverLoop &loop) {
    Driver driver(loop);
    lws_proton_conn *pipe = lws_proton_loop_pipe(loop.loop, 0);
    Wsi woken(pipe);
    woken.on_service = do_nothing;
    driver.wsi().on_service = [pipe](Wsi &wsi, int events) {
        wsi.serve(events);
        pipe->ops->wake(pipe);
        pipe->ops->wake(pipe);
    };
    driver.receive("x");
    driver.service();
    CHECK(woken.calls == std::vector<int>({LWS_PROTON_READ}));
    woken.close();
    CHECK(!pipe->wsi);
}

void a_driver_with_no_wake_is_served_by_its_caller_all_the_same(DriverLoop &loop) {
    lws_proton_driver_t *driver = lws_proton_driver_new(loop.loop, 0, nullptr, nullptr);
    Wsi &wsi = loop.host.adopt(lws_proton_driver_conn(driver));
    wsi.to_send = "x";
    wsi.enable(LWS_PROTON_WRITE);
    lws_proton_driver_service(driver);
    CHECK_EQ(lws_proton_driver_write_buffer(driver).size, 1u);
    lws_proton_driver_free(driver);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        DRIVER_TEST(lws_is_not_called_for_a_connection_it_does_not_have),
        DRIVER_TEST(nothing_to_do_is_no_call),
        DRIVER_TEST(without_read_enabled_bytes_wait),
        DRIVER_TEST(lws_is_called_for_one_thing_at_a_time_and_write_comes_first),
        DRIVER_TEST(lws_is_called_until_it_has_taken_everything),
        DRIVER_TEST(lws_that_takes_nothing_is_not_called_again_and_again),
        DRIVER_TEST(lws_that_took_nothing_is_called_when_more_comes),
        DRIVER_TEST(lws_that_took_nothing_is_called_when_the_peer_ends),
        DRIVER_TEST(lws_that_took_nothing_is_called_when_it_asks_again),
        DRIVER_TEST(lws_that_takes_nothing_but_does_something_is_called_on),
        DRIVER_TEST(lws_that_may_write_and_does_not_gets_a_bounded_number_of_calls),
        DRIVER_TEST(lws_that_writes_for_ever_is_stopped_by_the_window),
        DRIVER_TEST(data_that_lws_itself_holds_is_served_with_an_empty_window),
        DRIVER_TEST(data_that_lws_holds_waits_without_read_enabled),
        DRIVER_TEST(data_that_lws_holds_and_does_not_take_is_no_endless_loop),
        DRIVER_TEST(what_is_disabled_in_a_callback_is_not_called),
        DRIVER_TEST(what_is_enabled_in_a_callback_is_called_at_once),
        DRIVER_TEST(enabling_write_from_outside_wakes_once),
        DRIVER_TEST(enabling_write_from_another_thread_wakes),
        DRIVER_TEST(everything_that_changes_from_outside_wakes),
        DRIVER_TEST(nothing_that_happens_in_a_service_wakes),
        DRIVER_TEST(what_lws_does_to_another_connection_wakes_that_one),
        DRIVER_TEST(another_connection_that_cannot_write_yet_is_not_woken_for_it),
        DRIVER_TEST(a_service_says_whose_pt_it_serves),
        DRIVER_TEST(a_driver_without_a_pt_goes_to_the_idlest),
        DRIVER_TEST(a_visit_to_another_loop_inside_a_service_ends_where_it_began),
        DRIVER_TEST(a_wake_of_lws_s_pipe_in_a_service_is_served_before_it_returns),
        DRIVER_TEST(a_driver_with_no_wake_is_served_by_its_caller_all_the_same),
    };
    return cmocka_run_group_tests_name("driver_service", tests, nullptr, nullptr);
}
