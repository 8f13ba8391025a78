// The raw-connection transport: what is read, into which buffers, and when.
#include "scripted_loop.hpp"

#include <random>

using namespace scripted;

namespace {

constexpr uint32_t kSmall = LWS_PROTON_RX_SMALL;
constexpr uint32_t kLarge = LWS_PROTON_RX;
constexpr uint32_t kLeastRead = 1024;  // less free space is not worth a read

void received_bytes_reach_lws(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_sends("hello");
    s.run();
    CHECK_EQ(wsi.received, "hello");
    CHECK_EQ(wsi.recv(1), -EAGAIN);
    raw.peer_sends(" again");
    s.run();
    CHECK_EQ(wsi.received, "hello again");
}

void an_idle_connection_holds_one_small_buffer(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    CHECK_EQ(raw.unread.size(), 1u);
    CHECK_EQ(raw.read_sizes.back(), kSmall);
    CHECK_EQ(s.stats().buffer_bytes, kSmall);
    for (int i = 0; i < 10; i++) {
        raw.peer_sends("request");
        s.run();
    }
    CHECK_EQ(raw.unread.size(), 1u);
    CHECK_EQ(raw.read_sizes.back(), kSmall);  // all of it
    CHECK_EQ(s.stats().buffer_bytes, kSmall);
    CHECK_EQ(wsi.calls.size(), 10u);
}

void a_read_buffer_that_was_filled_is_followed_by_a_large_one(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_sends(pattern(kSmall));
    s.run();
    CHECK(raw.read_sizes == std::vector<uint32_t>({kSmall, kLarge}));
    raw.peer_sends(pattern(kLarge));
    s.run();
    CHECK_EQ(raw.read_sizes.back(), kLarge);
}

void a_short_read_is_followed_by_a_small_buffer(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    for (size_t short_read : {size_t(1), size_t(kSmall) - 1, size_t(kLarge) - 1}) {
        raw.peer_sends(pattern(kSmall));
        s.run();
        CHECK_EQ(raw.read_sizes.back(), kLarge);
        raw.peer_sends(pattern(short_read));
        s.run();
        CHECK_EQ(raw.read_sizes.back(), kSmall);
    }
}

void much_data_comes_in_order(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    const std::string bytes = pattern(1000000);
    raw.peer_sends(bytes);
    s.run();
    CHECK(wsi.received == bytes);
    CHECK_LE(raw.read_sizes.size(), 1000000 / kLarge + 4);
}

void data_comes_in_order_however_it_is_split(ScriptedLoop &s) {
    std::mt19937 random(1);
    auto [raw, wsi] = s.connect();
    wsi.on_service = [&random](Wsi &w, int) { w.recv(1 + random() % 5000); };
    const std::string bytes = pattern(500000);
    for (size_t sent = 0; sent < bytes.size();) {
        const size_t n = 1 + random() % 20000;
        raw.peer_sends(std::string_view(bytes).substr(sent, n));
        sent += std::min(n, bytes.size() - sent);
        if (random() % 2)
            s.run_one();
    }
    s.run();
    CHECK(wsi.received == bytes);
}

void bytes_come_one_at_a_time(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    for (char byte : pattern(300)) {
        raw.peer_sends(std::string(1, byte));
        s.run();
    }
    CHECK(wsi.received == pattern(300));
}

void a_quenched_connection_is_read_ahead_by_one_window(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    const std::string bytes = pattern(100000);
    raw.peer_sends(bytes);
    s.run();
    CHECK(wsi.calls.empty());
    CHECK(raw.unread.empty());
    CHECK_EQ(raw.to_us.size(), 100000 - kSmall);  // it waits in the network
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK(wsi.received == bytes);
}

void a_quenched_connection_fills_its_window_piece_by_piece(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    uint32_t read_ahead = 0;
    while (kSmall - read_ahead >= kLeastRead) {
        CHECK_EQ(raw.unread.size(), 1u);  // a spare one, so that the peer's end is seen
        CHECK_EQ(raw.read_sizes.back(), kSmall - read_ahead);
        raw.peer_sends(pattern(1500, read_ahead));
        read_ahead += 1500;
        s.run();
    }
    CHECK(raw.unread.empty());
    CHECK(wsi.calls.empty());
    raw.peer_sends(pattern(1500, read_ahead));
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK(wsi.received == pattern(read_ahead + 1500));
    CHECK_EQ(raw.unread.size(), 1u);
}

void reading_resumes_when_lws_takes_bytes_outside_of_its_turn(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends(pattern(kSmall + 10));
    s.run();
    CHECK(raw.unread.empty());
    CHECK_EQ(wsi.recv(kSmall), ssize_t(kSmall));  // in a timer, say
    s.run();
    CHECK_EQ(raw.to_us.size(), 0u);
    CHECK(wsi.calls.empty());
    CHECK_EQ(wsi.recv(kSmall), 10);
    CHECK(wsi.received == pattern(kSmall + 10));
}

void space_that_wraps_is_lent_once_what_was_read_is_taken(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends(pattern(kSmall));
    s.run();
    CHECK_EQ(wsi.recv(kSmall - 100), ssize_t(kSmall - 100));
    s.run();
    CHECK_EQ(raw.read_sizes.back(), kSmall - 100);  // in front of what is left
    raw.peer_sends(pattern(500, kSmall));
    s.run();
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK(wsi.received == pattern(kSmall + 500));
}

void end_of_stream_comes_after_the_data(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_sends("the last words");
    raw.peer_ends();
    s.run();
    CHECK_EQ(wsi.received, "the last words");
    CHECK(wsi.ended);
    CHECK(!wsi.lost);
}

void end_of_stream_waits_while_lws_wants_to_write(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.reads_all = false;
    raw.peer_takes = 0;
    wsi.to_send = pattern(2 * LWS_PROTON_TX);
    wsi.enable(LWS_PROTON_WRITE);
    raw.peer_sends("request");
    raw.peer_ends();
    s.run();
    CHECK_EQ(wsi.received, "request");
    CHECK(!wsi.ended);
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK(wsi.ended);
    CHECK(raw.peer_got == pattern(2 * LWS_PROTON_TX));
}

void a_quenched_connection_sees_the_peer_end_and_tells_later(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends("unread");
    s.run();
    raw.peer_ends();
    s.run();
    CHECK_EQ(std::count(raw.events.begin(), raw.events.end(), PN_RAW_CONNECTION_CLOSED_READ), 1);
    CHECK(wsi.calls.empty());
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(wsi.received, "unread");
    CHECK(wsi.ended);
}

void a_quenched_connection_sees_a_reset_and_hangs_up(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends("unread");
    s.run();
    raw.peer_resets();
    s.run();
    CHECK(wsi.calls == std::vector<int>({LWS_PROTON_HANGUP}));
    CHECK(!wsi.conn);
    CHECK(raw.freed);
}

void a_reset_is_told_after_what_was_received(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends("unread");
    s.run();
    wsi.closes_at_end = false;
    raw.peer_resets();
    s.run();
    CHECK_EQ(wsi.recv(100), 6);
    CHECK_EQ(wsi.recv(100), -ECONNRESET);
    CHECK_EQ(wsi.send("x"), -EPIPE);
}

void no_read_buffer_is_given_after_the_end_of_stream(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_ends();
    s.run();
    const size_t given = raw.read_sizes.size();
    wsi.send("still here");
    s.run();
    CHECK_EQ(raw.peer_got, "still here");
    CHECK_EQ(raw.read_sizes.size(), given);
}

void no_memory_for_a_read_buffer_closes_the_connection(ScriptedLoop &s) {
    pn_raw_connection_t &raw = s.begin_to_connect();
    {
        const OutOfMemory none(kSmall);
        s.run();
    }
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
    CHECK_EQ(s.host.wsis.size(), 1u);
    CHECK(!s.host.wsis[0]->conn);  // lws was told
    CHECK_EQ(s.host.log.size(), 1u);
    CHECK(s.host.log[0].find("out of memory") != std::string::npos);
    CHECK_EQ(s.stats().connections, 0u);
}

void no_memory_later_is_no_harm_while_there_is_a_buffer(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    const OutOfMemory none(kSmall);
    for (int i = 0; i < 5; i++) {
        raw.peer_sends("request");
        s.run();
    }
    CHECK_EQ(wsi.received.size(), 35u);
    CHECK_EQ(raw.closes, 0);
}

void lws_that_takes_nothing_is_called_a_bounded_number_of_times(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &, int) {};
    raw.peer_sends("unwanted");
    s.run();
    CHECK_LE(wsi.calls.size(), 4u);
    wsi.calls.clear();
    s.run();
    CHECK(wsi.calls.empty());
    wsi.on_service = Wsi::as_lws;
    wsi.enable(LWS_PROTON_READ);  // it can now
    s.run();
    CHECK_EQ(wsi.received, "unwanted");
}

void lws_is_asked_what_it_holds_only_when_that_can_have_changed(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    int asked = 0;
    int64_t held = -1;
    s.host.on_pending = [&](Wsi &) { return asked++, held; };
    raw.peer_takes = 0;
    wsi.send("x");
    s.run();
    asked = 0;
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK_EQ(asked, 0);

    // Another connection of the pt has it read again.
    auto [raw2, other] = s.connect();
    Wsi &its = wsi;
    s.host.on_pending = [&](Wsi &w) { return &w == &its ? held : -1; };
    other.on_service = [&](Wsi &w, int events) {
        w.serve(events);
        its.disable(LWS_PROTON_READ);
        its.enable(LWS_PROTON_READ);
    };
    held = 5;
    wsi.calls.clear();
    wsi.on_service = [&](Wsi &, int) { held = -1; };
    raw2.peer_sends("x");
    s.run();
    CHECK(wsi.calls == std::vector<int>({LWS_PROTON_READ}));

    held = 5;
    wsi.conn->ops->wake(wsi.conn);
    s.run();
    CHECK_EQ(wsi.calls.size(), 2u);
    CHECK_EQ(held, -1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(received_bytes_reach_lws),
        PROTON_TEST(an_idle_connection_holds_one_small_buffer),
        PROTON_TEST(a_read_buffer_that_was_filled_is_followed_by_a_large_one),
        PROTON_TEST(a_short_read_is_followed_by_a_small_buffer),
        PROTON_TEST(much_data_comes_in_order),
        PROTON_TEST(data_comes_in_order_however_it_is_split),
        PROTON_TEST(bytes_come_one_at_a_time),
        PROTON_TEST(a_quenched_connection_is_read_ahead_by_one_window),
        PROTON_TEST(a_quenched_connection_fills_its_window_piece_by_piece),
        PROTON_TEST(reading_resumes_when_lws_takes_bytes_outside_of_its_turn),
        PROTON_TEST(space_that_wraps_is_lent_once_what_was_read_is_taken),
        PROTON_TEST(end_of_stream_comes_after_the_data),
        PROTON_TEST(end_of_stream_waits_while_lws_wants_to_write),
        PROTON_TEST(a_quenched_connection_sees_the_peer_end_and_tells_later),
        PROTON_TEST(a_quenched_connection_sees_a_reset_and_hangs_up),
        PROTON_TEST(a_reset_is_told_after_what_was_received),
        PROTON_TEST(no_read_buffer_is_given_after_the_end_of_stream),
        PROTON_TEST(no_memory_for_a_read_buffer_closes_the_connection),
        PROTON_TEST(no_memory_later_is_no_harm_while_there_is_a_buffer),
        PROTON_TEST(lws_is_asked_what_it_holds_only_when_that_can_have_changed),
        PROTON_TEST(lws_that_takes_nothing_is_called_a_bounded_number_of_times),
    };
    return cmocka_run_group_tests_name("raw_reading", tests, nullptr, nullptr);
}
