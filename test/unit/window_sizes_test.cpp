// Windows of other sizes, by loop and by connection, and those of a protocol that answers first.
#include "lws_proton_host.h"
#include "scripted_driver.hpp"

using namespace scripted;

namespace {

void set(DriverLoop &loop, uint32_t rx, uint32_t tx, bool answer_first = false) {
    const lws_proton_windows_t windows = {rx, tx, answer_first};
    CHECK_EQ(lws_proton_loop_set_windows(loop.loop, &windows), 0);
}

void new_connections_have_the_loop_s_windows(DriverLoop &loop) {
    Driver before(loop);
    set(loop, 10000, 20000);
    const lws_proton_windows_t in_force = lws_proton_loop_windows(loop.loop);
    CHECK_EQ(in_force.rx, 10000u);
    CHECK_EQ(in_force.tx, 20000u);
    CHECK(!in_force.answer_first);
    Driver after(loop);
    for (Driver *driver : {&before, &after})
        driver->wsi().disable(LWS_PROTON_READ);
    CHECK_EQ(before.receive(pattern(100000)), LWS_PROTON_RX);
    CHECK_EQ(after.receive(pattern(100000)), 10000u);
    CHECK_EQ(before.wsi().tx_room(), LWS_PROTON_TX);
    CHECK_EQ(after.wsi().tx_room(), 20000u);
    CHECK_EQ(after.wsi().send(pattern(100000)), 20000);
    CHECK_EQ(after.transmit(), pattern(20000));
}

void a_connection_can_have_its_own(DriverLoop &loop) {
    Driver driver(loop);
    const lws_proton_windows_t windows = {LWS_PROTON_WINDOW_MIN, LWS_PROTON_WINDOW_MAX, false};
    driver.conn()->ops->set_windows(driver.conn(), &windows);
    driver.wsi().disable(LWS_PROTON_READ);
    CHECK_EQ(driver.receive(pattern(100000)), LWS_PROTON_WINDOW_MIN);
    CHECK_EQ(driver.wsi().send(pattern(LWS_PROTON_WINDOW_MAX + 1)),
             static_cast<ssize_t>(LWS_PROTON_WINDOW_MAX));
}

void what_is_in_use_stays_as_it_is(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().disable(LWS_PROTON_READ);
    CHECK_EQ(driver.receive("read"), 4u);
    CHECK_EQ(driver.wsi().send("written"), 7);
    const lws_proton_windows_t windows = {8192, 8192, false};
    driver.conn()->ops->set_windows(driver.conn(), &windows);
    CHECK_EQ(driver.wsi().tx_room(), LWS_PROTON_TX - 7);
    CHECK_EQ(driver.transmit(), "written");
    CHECK_EQ(driver.wsi().tx_room(), 8192u);
    driver.wsi().enable(LWS_PROTON_READ);
    driver.service();
    CHECK_EQ(driver.wsi().received, "read");
    CHECK_EQ(driver.read_room(), 8192u);
}

void sizes_out_of_range_change_nothing(DriverLoop &loop) {
    const lws_proton_windows_t bad[] = {
        {LWS_PROTON_WINDOW_MIN - 1, LWS_PROTON_TX, false},
        {LWS_PROTON_RX, LWS_PROTON_WINDOW_MIN - 1, false},
        {LWS_PROTON_WINDOW_MAX + 1, LWS_PROTON_TX, false},
        {LWS_PROTON_RX, LWS_PROTON_WINDOW_MAX + 1, false},
        {0, 0, true},
    };
    for (const lws_proton_windows_t &windows : bad) {
        CHECK(!lws_proton_windows_valid(&windows));
        CHECK_EQ(lws_proton_loop_set_windows(loop.loop, &windows), -1);
    }
    CHECK_EQ(lws_proton_loop_windows(loop.loop).rx, LWS_PROTON_RX);
    CHECK_EQ(lws_proton_loop_windows(loop.loop).tx, LWS_PROTON_TX);
    CHECK(!lws_proton_loop_windows(loop.loop).answer_first);
}

// lws would ask for WRITE again at once, for ever.
void write_is_told_only_of_a_window_that_is_not_choked(DriverLoop &loop) {
    set(loop, LWS_PROTON_WINDOW_MIN, LWS_PROTON_WINDOW_MIN);
    Driver driver(loop);
    driver.wsi().on_service = [](Wsi &, int) {};
    driver.wsi().send(pattern(LWS_PROTON_WINDOW_MIN));
    driver.wsi().enable(LWS_PROTON_WRITE);
    driver.transmit(LWS_PROTON_TX_CHOKED - 1);
    CHECK(!driver.service());
    CHECK_EQ(driver.wsi().count(LWS_PROTON_WRITE), 0u);
    driver.transmit(1);
    driver.wsi().on_service = [](Wsi &w, int) { w.disable(LWS_PROTON_WRITE); };
    driver.service();
    CHECK_EQ(driver.wsi().count(LWS_PROTON_WRITE), 1u);
}

void who_answers_first_does_not_read_while_tx_is_full(DriverLoop &loop) {
    for (bool answer_first : {true, false}) {
        set(loop, LWS_PROTON_RX, 8192, answer_first);
        Driver driver(loop);
        CHECK_EQ(driver.wsi().send(pattern(8192)), 8192);
        CHECK_EQ(driver.receive("question"), 8u);
        driver.service();
        CHECK_EQ(driver.wsi().received, answer_first ? "" : "question");
        driver.transmit(2047);
        driver.service();
        CHECK_EQ(driver.wsi().received, answer_first ? "" : "question");
        driver.transmit(1);  // a quarter is free
        driver.service();
        CHECK_EQ(driver.wsi().received, "question");
    }
}

void who_answers_first_hears_of_the_end_even_so(DriverLoop &loop) {
    set(loop, LWS_PROTON_RX, 8192, true);
    Driver driver(loop);
    driver.wsi().send(pattern(8192));
    driver.write_close();
    loop.host.wsis[0]->closes_at_end = true;
    lws_proton_loop_turn(loop.loop, 0, 0);
    CHECK(driver.wsi().lost);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        DRIVER_TEST(new_connections_have_the_loop_s_windows),
        DRIVER_TEST(a_connection_can_have_its_own),
        DRIVER_TEST(what_is_in_use_stays_as_it_is),
        DRIVER_TEST(sizes_out_of_range_change_nothing),
        DRIVER_TEST(write_is_told_only_of_a_window_that_is_not_choked),
        DRIVER_TEST(who_answers_first_does_not_read_while_tx_is_full),
        DRIVER_TEST(who_answers_first_hears_of_the_end_even_so),
    };
    return cmocka_run_group_tests_name("window_sizes", tests, nullptr, nullptr);
}
