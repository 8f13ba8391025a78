// The driver transport: bytes through the two windows.
#include "lws_proton.h"
#include "scripted_driver.hpp"
#include "scripted_memory.hpp"

#include <random>

using namespace scripted;

namespace {

constexpr size_t kRxWindow = LWS_PROTON_RX;
constexpr size_t kTxWindow = LWS_PROTON_TX;

void received_bytes_reach_lws(DriverLoop &loop) {
    Driver driver(loop);
    CHECK_EQ(driver.receive("hello"), 5u);
    CHECK(driver.wsi().calls.empty());  // until it is served
    CHECK(!driver.service());
    CHECK_EQ(driver.wsi().received, "hello");
    CHECK_EQ(driver.wsi().recv(1), -EAGAIN);
}

void a_peek_leaves_the_bytes(DriverLoop &loop) {
    Driver driver(loop);
    Wsi &wsi = driver.wsi();
    wsi.closes_at_end = false;
    std::string seen;
    CHECK_EQ(wsi.peek(1), -EAGAIN);
    driver.receive("hello");
    CHECK_EQ(wsi.peek(2, &seen), 2);
    CHECK_EQ(seen, "he");
    CHECK_EQ(wsi.peek(100, &seen), 5);
    CHECK_EQ(seen, "hello");
    CHECK_EQ(wsi.conn->ops->rx_used(wsi.conn), 5u);
    CHECK_EQ(wsi.recv(4), 4);
    CHECK_EQ(wsi.peek(100, &seen), 1);
    CHECK_EQ(wsi.conn->ops->rx_used(wsi.conn), 1u);
    CHECK_EQ(wsi.recv(1), 1);
    CHECK_EQ(wsi.peek(1), -EAGAIN);
    driver.read_close();
    CHECK_EQ(wsi.peek(1), 0);
    driver.write_close();
    CHECK_EQ(wsi.peek(1), -ECONNRESET);
}

// As from a socket: 0 if there is something, or it would have to wait.
void nothing_can_be_received_of_what_is_there(DriverLoop &loop) {
    Driver driver(loop);
    Wsi &wsi = driver.wsi();
    CHECK_EQ(wsi.recv(0), -EAGAIN);
    CHECK_EQ(wsi.peek(0), -EAGAIN);
    driver.receive("hello");
    CHECK_EQ(wsi.recv(0), 0);
    CHECK_EQ(wsi.peek(0), 0);
    CHECK_EQ(driver.wakes, 0u);
    CHECK_EQ(wsi.recv(100), 5);
}

void a_driver_s_connection_is_connected_and_has_no_address(DriverLoop &loop) {
    Driver driver(loop);
    Wsi &wsi = driver.wsi();
    sockaddr_storage address;
    socklen_t size = sizeof(address);
    sockaddr *sa = reinterpret_cast<sockaddr *>(&address);
    CHECK_EQ(wsi.connect("127.0.0.1", 80), -EISCONN);
    CHECK_EQ(wsi.connect_error(), 0);
    for (auto name : {wsi.conn->ops->peer_name, wsi.conn->ops->local_name}) {
        errno = 0;
        CHECK_EQ(name(wsi.conn, sa, &size), -1);
        CHECK_EQ(errno, ENOTCONN);
    }
}

void sent_bytes_reach_the_caller(DriverLoop &loop) {
    Driver driver(loop);
    CHECK_EQ(driver.transmit(), "");
    CHECK_EQ(driver.wsi().send("hello"), 5);
    CHECK_EQ(driver.transmit(), "hello");
    CHECK_EQ(driver.transmit(), "");
}

void a_full_rx_window_gives_no_read_buffer(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().disable(LWS_PROTON_READ);
    const std::string bytes = pattern(kRxWindow + 1000);
    CHECK_EQ(driver.receive(bytes), kRxWindow);
    CHECK_EQ(driver.read_room(), 0u);
    CHECK(!driver.read_closed());
    driver.service();
    CHECK_EQ(driver.read_room(), 0u);

    driver.wsi().enable(LWS_PROTON_READ);
    driver.service();
    CHECK_EQ(driver.receive(bytes.substr(kRxWindow)), 1000u);
    driver.service();
    CHECK(driver.wsi().received == bytes);
}

void reading_resumes_with_the_first_byte_that_lws_takes(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().disable(LWS_PROTON_READ);
    const std::string bytes = pattern(kRxWindow + 10);
    CHECK_EQ(driver.receive(bytes), kRxWindow);
    CHECK_EQ(driver.wsi().recv(1), 1);
    CHECK_EQ(driver.read_room(), 1u);
    CHECK_EQ(driver.receive(bytes.substr(kRxWindow)), 1u);
    CHECK_EQ(driver.wsi().recv(9), 9);
    CHECK_EQ(driver.receive(bytes.substr(kRxWindow + 1)), 9u);
    driver.wsi().enable(LWS_PROTON_READ);
    driver.service();
    CHECK(driver.wsi().received == bytes);
}

void a_window_that_lws_emptied_can_be_read_into_as_a_whole(DriverLoop &loop) {
    Driver driver(loop);
    driver.receive(pattern(1000));
    CHECK_EQ(driver.wsi().recv(1000), 1000);
    CHECK_EQ(driver.read_room(), kRxWindow);
}

void a_quenched_connection_is_read_ahead_by_one_window_and_no_more(DriverLoop &loop) {
    Driver driver(loop);
    driver.wsi().disable(LWS_PROTON_READ);
    size_t total = 0;
    for (int i = 0; i < 100; i++) {
        total += driver.receive(pattern(3000));
        driver.service();
    }
    CHECK_EQ(total, kRxWindow);
    CHECK_LE(loop.stats().buffer_bytes, kRxWindow);
    CHECK(driver.wsi().calls.empty());
    CHECK(driver.wsi().received.empty());
}

void a_full_tx_window_refuses_bytes(DriverLoop &loop) {
    Driver driver(loop);
    const std::string bytes = pattern(kTxWindow + 1000);
    CHECK_EQ(driver.wsi().send(bytes), ssize_t(kTxWindow));  // what fits
    CHECK_EQ(driver.wsi().tx_room(), 0u);
    CHECK_EQ(driver.wsi().send("x"), -EAGAIN);
    CHECK(driver.transmit() == bytes.substr(0, kTxWindow));
}

void a_transmitted_byte_makes_room_for_another(DriverLoop &loop) {
    Driver driver(loop);
    const std::string bytes = pattern(kTxWindow + 10);
    CHECK_EQ(driver.wsi().send(bytes), ssize_t(kTxWindow));
    std::string sent = driver.transmit(10);
    CHECK_EQ(driver.wsi().tx_room(), 10u);
    CHECK_EQ(driver.wsi().send(bytes.substr(kTxWindow) + "too much"), 10);
    CHECK_EQ(driver.wsi().send("x"), -EAGAIN);
    sent += driver.transmit();
    CHECK(sent == bytes);
}

void lws_is_asked_to_write_again_when_a_quarter_is_free(DriverLoop &loop) {
    Driver driver(loop);
    Wsi &wsi = driver.wsi();
    wsi.to_send = pattern(kTxWindow + 5000);
    wsi.enable(LWS_PROTON_WRITE);
    driver.service();
    CHECK_EQ(wsi.count(LWS_PROTON_WRITE), 1u);
    CHECK_EQ(wsi.to_send.size(), 5000u);

    driver.transmit(kTxWindow / 4 - 1);
    driver.service();
    CHECK_EQ(wsi.count(LWS_PROTON_WRITE), 1u);
    driver.transmit(1);
    driver.service();
    CHECK_EQ(wsi.count(LWS_PROTON_WRITE), 2u);
    CHECK(wsi.to_send.empty());
}

void bytes_pass_one_at_a_time_both_ways(DriverLoop &loop) {
    Driver driver(loop);
    Wsi &wsi = driver.wsi();
    const std::string bytes = pattern(5000);
    std::string sent;
    for (char byte : bytes) {
        CHECK_EQ(driver.receive(std::string(1, byte)), 1u);
        driver.service();
        CHECK_EQ(wsi.send(std::string(1, byte)), 1);
        sent += driver.transmit(1);
    }
    CHECK(wsi.received == bytes);
    CHECK(sent == bytes);
}

// An echo server as one writes it for lws: takes bytes while it has none to send.
void echo(Wsi &wsi, int events) {
    if (events == LWS_PROTON_READ) {
        wsi.recv(2000);
        wsi.to_send.append(wsi.received);
        wsi.received.clear();
        wsi.disable(LWS_PROTON_READ);
        wsi.enable(LWS_PROTON_WRITE);
        return;
    }
    wsi.write();
    wsi.enable(LWS_PROTON_READ, wsi.to_send.empty());
}

void an_echo_comes_back_whole_however_it_is_split(DriverLoop &loop) {
    std::mt19937 random(16021966);
    for (size_t most_in : {1u, 100u, 20000u, 200000u}) {
        for (size_t most_out : {1u, 100u, 20000u, 200000u}) {
            Driver driver(loop);
            driver.wsi().on_service = echo;
            const std::string bytes =
                pattern(std::min<size_t>(1000 * std::min(most_in, most_out), 400000), random());
            std::string back;
            size_t given = 0;
            while (back.size() < bytes.size()) {
                given +=
                    driver.receive(std::string_view(bytes).substr(given, 1 + random() % most_in));
                while (driver.service()) {
                }
                back += driver.transmit(1 + random() % most_out);
            }
            CHECK(back == bytes);
        }
    }
}

void small_sends_go_out_together(DriverLoop &loop) {
    Driver driver(loop);
    std::string bytes;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(driver.wsi().send(pattern(60, i)), 60);
        bytes += pattern(60, i);
    }
    const pn_bytes_t next = lws_proton_driver_write_buffer(driver.get());
    CHECK(std::string(next.start, next.size) == bytes);
}

void bytes_sent_meanwhile_do_not_disturb_those_on_their_way(DriverLoop &loop) {
    Driver driver(loop);
    CHECK_EQ(driver.wsi().send("on their way"), 12);
    const pn_bytes_t before = lws_proton_driver_write_buffer(driver.get());
    CHECK_EQ(driver.wsi().send(", meanwhile"), 11);
    CHECK_EQ(std::string(before.start, before.size), "on their way");
    lws_proton_driver_write_done(driver.get(), before.size);
    CHECK_EQ(driver.transmit(), ", meanwhile");
}

void nothing_done_is_nothing_moved(DriverLoop &loop) {
    Driver driver(loop);
    lws_proton_driver_read_buffer(driver.get());
    lws_proton_driver_read_done(driver.get(), 0);
    lws_proton_driver_write_done(driver.get(), 0);
    driver.service();
    CHECK(driver.wsi().calls.empty());
    CHECK_EQ(driver.wsi().send("a"), 1);
    lws_proton_driver_write_done(driver.get(), 0);
    CHECK_EQ(driver.transmit(), "a");
}

void a_recv_of_no_bytes_is_not_end_of_stream(DriverLoop &loop) {
    Driver driver(loop);
    CHECK_EQ(driver.wsi().recv(0), -EAGAIN);
    driver.receive("a");
    driver.wsi().recv(0);
    CHECK_EQ(driver.wsi().recv(1), 1);
}

void a_send_of_no_bytes_sends_none(DriverLoop &loop) {
    Driver driver(loop);
    const size_t before = loop.stats().buffer_bytes;
    CHECK_EQ(driver.wsi().send(""), 0);
    CHECK_EQ(loop.stats().buffer_bytes, before);
    CHECK_EQ(driver.transmit(), "");
    CHECK_EQ(driver.wsi().send(pattern(kTxWindow)), ssize_t(kTxWindow));
    CHECK_EQ(driver.wsi().send(""), 0);  // also when there is no room
}

void an_unused_window_has_all_its_room_and_no_memory(DriverLoop &loop) {
    Driver driver(loop);
    CHECK_EQ(driver.wsi().tx_room(), kTxWindow);
    CHECK_EQ(loop.stats().buffer_bytes, 0u);
    CHECK_EQ(loop.stats().connections, 1u);
}

void windows_that_emptied_are_shared_with_other_connections(DriverLoop &loop) {
    Driver first(loop), second(loop);
    for (int i = 0; i < 10; i++) {
        for (Driver *driver : {&first, &second}) {
            driver->receive(pattern(1000));
            driver->service();
            driver->wsi().send(pattern(1000));
            driver->transmit();
        }
    }
    // one rx and one tx window at any time
    CHECK_LE(loop.stats().buffer_bytes, kRxWindow + kTxWindow);
}

void a_loop_that_is_freed_leaves_no_buffer_behind(DriverLoop &) {
    const LiveAllocations live(LWS_PROTON_RX_SMALL);
    {
        DriverLoop loop;
        Driver driver(loop), unread(loop), unsent(loop);
        driver.receive(pattern(1000));
        driver.service();
        driver.wsi().send(pattern(1000));
        driver.transmit();
        unread.receive(pattern(1000));
        unsent.wsi().send(pattern(1000));
        CHECK(live.count() > 0);
        for (Driver *d : {&driver, &unread, &unsent})
            d->free();
        loop.check_nothing_left();
        CHECK_EQ(loop.stats().buffer_bytes, kRxWindow + kTxWindow);  // the most at a time
    }
    CHECK_EQ(live.count(), 0);
}

void no_memory_for_an_rx_window_is_no_read_buffer(DriverLoop &loop) {
    Driver driver(loop);
    {
        const OutOfMemory none;
        CHECK_EQ(driver.read_room(), 0u);
    }
    CHECK(!driver.read_closed());
    CHECK_EQ(driver.receive("abc"), 3u);
    driver.service();
    CHECK_EQ(driver.wsi().received, "abc");
}

void no_memory_for_a_tx_window_is_an_error_and_not_the_end(DriverLoop &loop) {
    Driver driver(loop);
    {
        const OutOfMemory none;
        CHECK_EQ(driver.wsi().send("abc"), -ENOMEM);
    }
    CHECK_EQ(driver.wsi().send("abc"), 3);
    CHECK_EQ(driver.transmit(), "abc");
}

void no_memory_for_a_driver_is_null(DriverLoop &loop) {
    const OutOfMemory none;
    CHECK(!lws_proton_driver_new(loop.loop, 0, nullptr, nullptr));
    CHECK_EQ(loop.stats().connections, 0u);
}

void no_memory_for_a_connection_is_null_too(DriverLoop &loop) {
    const OutOfMemory none(0, OutOfMemory::nothrow, 1);  // the second allocation fails
    CHECK(!lws_proton_driver_new(loop.loop, 0, nullptr, nullptr));
    CHECK_EQ(OutOfMemory::refused(), 1u);
    CHECK_EQ(loop.stats().connections, 0u);
}

void a_driver_knows_no_peer_and_accepts_nothing(DriverLoop &loop) {
    Driver driver(loop);
    sockaddr_storage address;
    socklen_t len = sizeof(address);
    errno = 0;
    CHECK_EQ(
        driver.conn()->ops->peer_name(driver.conn(), reinterpret_cast<sockaddr *>(&address), &len),
        -1);
    CHECK_EQ(errno, ENOTCONN);
    errno = 0;
    CHECK(!driver.conn()->ops->accept(driver.conn()));
    CHECK_EQ(errno, EINVAL);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        DRIVER_TEST(received_bytes_reach_lws),
        DRIVER_TEST(a_peek_leaves_the_bytes),
        DRIVER_TEST(nothing_can_be_received_of_what_is_there),
        DRIVER_TEST(a_driver_s_connection_is_connected_and_has_no_address),
        DRIVER_TEST(sent_bytes_reach_the_caller),
        DRIVER_TEST(a_full_rx_window_gives_no_read_buffer),
        DRIVER_TEST(reading_resumes_with_the_first_byte_that_lws_takes),
        DRIVER_TEST(a_window_that_lws_emptied_can_be_read_into_as_a_whole),
        DRIVER_TEST(a_quenched_connection_is_read_ahead_by_one_window_and_no_more),
        DRIVER_TEST(a_full_tx_window_refuses_bytes),
        DRIVER_TEST(a_transmitted_byte_makes_room_for_another),
        DRIVER_TEST(lws_is_asked_to_write_again_when_a_quarter_is_free),
        DRIVER_TEST(bytes_pass_one_at_a_time_both_ways),
        DRIVER_TEST(an_echo_comes_back_whole_however_it_is_split),
        DRIVER_TEST(small_sends_go_out_together),
        DRIVER_TEST(bytes_sent_meanwhile_do_not_disturb_those_on_their_way),
        DRIVER_TEST(nothing_done_is_nothing_moved),
        DRIVER_TEST(a_recv_of_no_bytes_is_not_end_of_stream),
        DRIVER_TEST(a_send_of_no_bytes_sends_none),
        DRIVER_TEST(an_unused_window_has_all_its_room_and_no_memory),
        DRIVER_TEST(windows_that_emptied_are_shared_with_other_connections),
        DRIVER_TEST(a_loop_that_is_freed_leaves_no_buffer_behind),
        DRIVER_TEST(no_memory_for_an_rx_window_is_no_read_buffer),
        DRIVER_TEST(no_memory_for_a_tx_window_is_an_error_and_not_the_end),
        DRIVER_TEST(no_memory_for_a_driver_is_null),
        DRIVER_TEST(no_memory_for_a_connection_is_null_too),
        DRIVER_TEST(a_driver_knows_no_peer_and_accepts_nothing),
    };
    return cmocka_run_group_tests_name("driver_flow", tests, nullptr, nullptr);
}
