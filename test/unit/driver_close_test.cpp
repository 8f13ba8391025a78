// The driver transport: how a connection ends, from either side and in either order.
#include "lws_proton.h"
#include "scripted_driver.hpp"

using namespace scripted;

namespace {

// What a driver says whose connection has ended on both sides.
void check_is_over(Driver &driver) {
    CHECK(driver.finished());
    CHECK(driver.read_closed());
    CHECK(driver.write_closed());
    CHECK_EQ(driver.read_room(), 0u);
    CHECK_EQ(driver.transmit(), "");
    CHECK(!driver.service());
}

void turn(DriverLoop &loop) {
    lws_proton_loop_turn(loop.loop, 0, 0);
}

void end_of_stream_comes_after_the_data(DriverLoop &loop) {
    Driver driver(loop);
    driver.receive("the last words");
    driver.read_close();
    CHECK(!driver.wsi().ended);
    driver.service();
    CHECK_EQ(driver.wsi().received, "the last words");
    CHECK(driver.wsi().ended);
    CHECK(!driver.wsi().lost);
}

void end_of_stream_is_said_as_often_as_lws_asks(DriverLoop &loop) {
    Driver driver(loop);
    driver.receive("a");
    driver.read_close();
    driver.read_close();
    CHECK_EQ(driver.wsi().recv(1), 1);
    CHECK_EQ(driver.wsi().recv(1), 0);
    CHECK_EQ(driver.wsi().recv(1), 0);
}

void nothing_is_read_after_the_end_of_stream(DriverLoop &loop) {
    Driver driver(loop);
    CHECK(!driver.read_closed());
    driver.read_close();
    CHECK(driver.read_closed());
    CHECK_EQ(driver.read_room(), 0u);
    CHECK(!driver.write_closed());
    CHECK(!driver.finished());
}

void end_of_stream_waits_while_lws_wants_to_write(DriverLoop &loop) {
    Driver driver(loop);
    Wsi &wsi = driver.wsi();
    wsi.reads_all = false;  // as lws, one recv a call: it would find the end by itself
    wsi.to_send = pattern(LWS_PROTON_TX + 100);
    wsi.enable(LWS_PROTON_WRITE);
    driver.receive("a request");
    driver.read_close();
    driver.service();
    CHECK_EQ(wsi.received, "a request");
    CHECK(!wsi.ended);
    CHECK(wsi.conn);

    const std::string answer = driver.transmit();
    driver.service();
    CHECK(answer + driver.transmit() == pattern(LWS_PROTON_TX + 100));
    CHECK(wsi.ended);
}

void lws_may_write_after_the_end_of_stream(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().closes_at_end = false;
    driver.read_close();
    driver.service();
    CHECK(driver.wsi().ended);
    CHECK_EQ(driver.wsi().send("still here"), 10);
    CHECK_EQ(driver.transmit(), "still here");
}

void the_end_of_our_stream_comes_after_what_was_sent(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().send("the last words");
    driver.wsi().shutdown();
    CHECK(!driver.write_closed());
    CHECK_EQ(driver.transmit(4), "the ");
    CHECK(!driver.write_closed());
    CHECK_EQ(driver.transmit(), "last words");
    CHECK(driver.write_closed());
    CHECK(!driver.finished());
}

void nothing_is_sent_after_the_end_of_our_stream(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().shutdown();
    CHECK_EQ(driver.wsi().send("x"), -EPIPE);
    driver.wsi().shutdown();
    CHECK(driver.write_closed());
    // but received
    CHECK(!driver.read_closed());
    driver.receive("answer");
    driver.read_close();
    driver.service();
    CHECK_EQ(driver.wsi().received, "answer");
    CHECK(driver.wsi().ended);
}

void a_close_with_nothing_unsent_is_finished_at_once(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().close();
    check_is_over(driver);
    CHECK(!driver.conn()->wsi);
    CHECK_EQ(loop.stats().connections, 1u);  // the driver has it still
    CHECK_EQ(loop.stats().lingering, 0u);
}

void a_close_with_unsent_bytes_is_finished_when_they_are_sent(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().send("the last words");
    driver.wsi().close();
    CHECK(!driver.finished());
    CHECK(!driver.write_closed());
    CHECK(driver.read_closed());
    CHECK_EQ(loop.stats().lingering, 1u);
    CHECK_EQ(driver.transmit(13), "the last word");
    CHECK(!driver.finished());
    CHECK_EQ(driver.transmit(), "s");
    CHECK_EQ(loop.stats().lingering, 0u);
    check_is_over(driver);
}

void lws_may_close_while_it_is_called(DriverLoop &loop) {
    for (int events : {LWS_PROTON_READ, LWS_PROTON_WRITE}) {
        Driver driver(loop);
        driver.wsi().on_service = [](Wsi &wsi, int) { wsi.close(); };
        driver.wsi().enable(events);
        driver.receive("unread");
        CHECK(!driver.service());
        CHECK_EQ(driver.wsi().calls.size(), 1u);
        check_is_over(driver);
        CHECK_EQ(driver.wsi().calls.size(), 1u);
    }
}

void lws_may_send_and_close_while_it_is_called(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &wsi, int) {
        wsi.send("bye");
        wsi.close();
    };
    driver.receive("unread");
    driver.service();
    CHECK_EQ(loop.stats().lingering, 1u);
    CHECK_EQ(driver.transmit(), "bye");
    check_is_over(driver);
}

void a_close_during_a_write_leaves_the_bytes_in_place(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().send("under way");
    const pn_bytes_t bytes = lws_proton_driver_write_buffer(driver.get());
    driver.wsi().close();
    CHECK_EQ(std::string(bytes.start, bytes.size), "under way");
    lws_proton_driver_write_done(driver.get(), bytes.size);
    check_is_over(driver);
}

void a_write_that_fails_after_a_close_ends_the_lingering(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().send("never read");
    driver.wsi().close();
    driver.transmit(3);
    CHECK_EQ(loop.stats().lingering, 1u);
    driver.write_close();
    CHECK_EQ(loop.stats().lingering, 0u);
    CHECK_EQ(loop.stats().connections, 0u);
    check_is_over(driver);
}

void a_close_after_a_write_that_failed_ends_the_connection(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().closes_at_end = false;
    driver.wsi().send("never read");
    driver.write_close();
    CHECK_EQ(loop.stats().connections, 1u);
    CHECK(!driver.finished());
    driver.wsi().close();
    CHECK_EQ(loop.stats().lingering, 0u);
    CHECK_EQ(loop.stats().connections, 0u);
    check_is_over(driver);
}

void a_lost_connection_is_reset_to_lws_that_reads(DriverLoop &loop) {
    Driver driver(loop);
    driver.write_close();
    driver.service();
    CHECK_EQ(driver.wsi().calls.size(), 1u);
    CHECK_EQ(driver.wsi().calls[0], int(LWS_PROTON_READ));
    CHECK(driver.wsi().lost);
    CHECK(!driver.wsi().ended);
    check_is_over(driver);
}

void a_lost_connection_is_hung_up_once_to_lws_that_does_not_read(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().closes_at_end = false;
    driver.wsi().disable(LWS_PROTON_READ);
    driver.wsi().enable(LWS_PROTON_WRITE);
    driver.write_close();
    for (int i = 0; i < 5; i++) {
        driver.service();
        turn(loop);
    }
    const std::vector<int> &calls = driver.wsi().calls;
    CHECK_EQ(calls[0], int(LWS_PROTON_HANGUP));
    CHECK_EQ(std::count(calls.begin(), calls.end(), int(LWS_PROTON_HANGUP)), 1);
    driver.wsi().close();
    check_is_over(driver);
}

void what_was_received_before_the_loss_is_read_first(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &, int) {};  // in no hurry
    driver.receive("before");
    driver.write_close();
    CHECK_EQ(driver.wsi().recv(3), 3);
    CHECK_EQ(driver.wsi().recv(3), 3);
    CHECK_EQ(driver.wsi().recv(3), -ECONNRESET);
    CHECK_EQ(driver.wsi().received, "before");
    driver.wsi().close();
}

void a_lost_connection_sends_and_receives_nothing(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &, int) {};
    driver.wsi().send("unsent");
    driver.write_close();
    driver.write_close();
    CHECK_EQ(driver.wsi().send("x"), -EPIPE);
    CHECK_EQ(driver.transmit(), "");
    CHECK_EQ(driver.read_room(), 0u);
    CHECK(driver.read_closed());
    CHECK(driver.write_closed());
    driver.read_close();  // too late to mean anything
    CHECK_EQ(driver.wsi().recv(1), -ECONNRESET);
    driver.wsi().close();
}

void a_connection_can_be_lost_in_every_state(DriverLoop &loop) {
    using Step = void (*)(Driver &);
    const Step peer_closes = [](Driver &d) { d.read_close(); };
    const Step lws_shuts = [](Driver &d) { d.wsi().shutdown(); };
    const Step lws_sends = [](Driver &d) { d.wsi().send("unsent"); };
    const Step lws_closes = [](Driver &d) { d.wsi().close(); };
    const std::vector<std::vector<Step>> lives = {
        {},
        {peer_closes},
        {lws_shuts},
        {peer_closes, lws_shuts},
        {lws_sends},
        {lws_sends, lws_shuts, peer_closes},
        {lws_sends, lws_closes},
        {lws_closes},
        {peer_closes, lws_sends, lws_closes},
    };
    for (const auto &life : lives) {
        for (bool by_freeing : {false, true}) {
            Driver driver(loop);
            for (Step step : life)
                step(driver);
            if (by_freeing)
                driver.free();
            else
                driver.write_close();
            turn(loop);
            CHECK(!driver.wsi().conn);
            CHECK_EQ(loop.stats().connections, 0u);
            CHECK_EQ(loop.stats().lingering, 0u);
        }
    }
}

void a_loss_after_both_ends_is_in_order_if_all_was_sent(DriverLoop &loop) {
    for (bool sent : {true, false}) {
        Driver driver(loop);
        Wsi &wsi = driver.wsi();
        wsi.closes_at_end = false;
        wsi.send("bytes");
        wsi.shutdown();
        driver.read_close();
        if (sent)
            driver.transmit();
        driver.write_close();
        CHECK_EQ(wsi.recv(1), sent ? 0 : -ECONNRESET);
        driver.write_close();
        CHECK_EQ(wsi.recv(1), sent ? 0 : -ECONNRESET);
        driver.free();
        CHECK_EQ(wsi.recv(1), sent ? 0 : -ECONNRESET);
        wsi.close();
    }
}

void a_driver_can_be_freed_before_lws_has_closed(DriverLoop &loop) {
    Driver driver(loop);
    driver.receive("unread");
    driver.wsi().send("unsent");
    driver.free();
    turn(loop);
    CHECK_EQ(driver.wsi().received, "unread");
    CHECK(driver.wsi().lost);
    CHECK(!driver.wsi().conn);
    CHECK_EQ(loop.stats().connections, 0u);
}

void a_freed_driver_s_connection_is_lws_s_until_it_closes(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &, int) {};
    driver.receive("unread");
    driver.free();
    turn(loop);
    CHECK_EQ(loop.stats().connections, 1u);
    CHECK_EQ(driver.wsi().send("x"), -EPIPE);
    CHECK_EQ(driver.wsi().recv(100), 6);
    CHECK_EQ(driver.wsi().recv(100), -ECONNRESET);
    driver.wsi().enable(LWS_PROTON_WRITE);  // still harmless
    driver.wsi().shutdown();
    turn(loop);
    driver.wsi().close();
    CHECK_EQ(loop.stats().connections, 0u);
}

void lws_can_close_in_the_callback_that_tells_of_a_freed_driver(DriverLoop &loop) {
    for (bool reads : {false, true}) {
        Driver driver(loop);
        driver.wsi().enable(LWS_PROTON_READ, reads);
        driver.wsi().on_service = [](Wsi &wsi, int) { wsi.close(); };
        driver.free();
        turn(loop);
        CHECK_EQ(driver.wsi().calls.size(), 1u);
        CHECK_EQ(loop.stats().connections, 0u);
    }
}

void every_one_of_many_freed_drivers_is_told_to_lws_once(DriverLoop &loop) {
    std::vector<std::unique_ptr<Driver>> drivers;
    for (int i = 0; i < 20; i++)
        drivers.push_back(std::make_unique<Driver>(loop));
    for (int i = 0; i < 20; i += 3)
        drivers[i]->wsi().close();  // some were quicker
    for (auto &driver : drivers)
        driver->free();
    turn(loop);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(drivers[i]->wsi().calls.size(), i % 3 ? 1u : 0u);
}

void lws_may_close_one_lost_connection_while_it_is_told_of_another(DriverLoop &loop) {
    Driver first(loop), second(loop);
    // nobody is told before both are lost
    for (Driver *driver : {&first, &second})
        driver->wsi().on_service = [](Wsi &, int) {};
    first.write_close();
    second.write_close();
    first.wsi().on_service = [&second](Wsi &wsi, int) {
        second.wsi().close();
        wsi.close();
    };
    second.wsi().calls.clear();
    for (Driver *driver : {&first, &second})
        driver->wsi().enable(LWS_PROTON_READ);  // tell it again
    turn(loop);
    CHECK(!first.wsi().conn);
    CHECK(second.wsi().calls.empty());
    CHECK_EQ(loop.stats().connections, 0u);
}

void a_driver_that_was_never_adopted_can_be_freed(DriverLoop &loop) {
    Driver driver(loop, Driver::not_adopted);
    driver.receive("nobody reads this");
    CHECK(!driver.service());
    CHECK(!driver.finished());
    driver.free();
    turn(loop);
    CHECK_EQ(loop.stats().connections, 0u);
}

void a_connection_that_lws_does_not_want_is_closed_by_it(DriverLoop &loop) {
    Driver driver(loop, Driver::not_adopted);
    driver.conn()->ops->close(driver.conn());  // as a failed lws_adopt_socket() does
    check_is_over(driver);
}

void freeing_no_driver_means_nothing(DriverLoop &) {
    lws_proton_driver_free(nullptr);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        DRIVER_TEST(end_of_stream_comes_after_the_data),
        DRIVER_TEST(end_of_stream_is_said_as_often_as_lws_asks),
        DRIVER_TEST(nothing_is_read_after_the_end_of_stream),
        DRIVER_TEST(end_of_stream_waits_while_lws_wants_to_write),
        DRIVER_TEST(lws_may_write_after_the_end_of_stream),
        DRIVER_TEST(the_end_of_our_stream_comes_after_what_was_sent),
        DRIVER_TEST(nothing_is_sent_after_the_end_of_our_stream),
        DRIVER_TEST(a_close_with_nothing_unsent_is_finished_at_once),
        DRIVER_TEST(a_close_with_unsent_bytes_is_finished_when_they_are_sent),
        DRIVER_TEST(lws_may_close_while_it_is_called),
        DRIVER_TEST(lws_may_send_and_close_while_it_is_called),
        DRIVER_TEST(a_close_during_a_write_leaves_the_bytes_in_place),
        DRIVER_TEST(a_write_that_fails_after_a_close_ends_the_lingering),
        DRIVER_TEST(a_close_after_a_write_that_failed_ends_the_connection),
        DRIVER_TEST(a_lost_connection_is_reset_to_lws_that_reads),
        DRIVER_TEST(a_lost_connection_is_hung_up_once_to_lws_that_does_not_read),
        DRIVER_TEST(what_was_received_before_the_loss_is_read_first),
        DRIVER_TEST(a_lost_connection_sends_and_receives_nothing),
        DRIVER_TEST(a_connection_can_be_lost_in_every_state),
        DRIVER_TEST(a_loss_after_both_ends_is_in_order_if_all_was_sent),
        DRIVER_TEST(a_driver_can_be_freed_before_lws_has_closed),
        DRIVER_TEST(a_freed_driver_s_connection_is_lws_s_until_it_closes),
        DRIVER_TEST(lws_can_close_in_the_callback_that_tells_of_a_freed_driver),
        DRIVER_TEST(every_one_of_many_freed_drivers_is_told_to_lws_once),
        DRIVER_TEST(lws_may_close_one_lost_connection_while_it_is_told_of_another),
        DRIVER_TEST(a_driver_that_was_never_adopted_can_be_freed),
        DRIVER_TEST(a_connection_that_lws_does_not_want_is_closed_by_it),
        DRIVER_TEST(freeing_no_driver_means_nothing),
    };
    return cmocka_run_group_tests_name("driver_close", tests, nullptr, nullptr);
}
