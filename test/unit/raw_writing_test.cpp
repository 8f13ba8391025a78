// The raw-connection transport: what is written, in which pieces, and who is woken for it.
#include "scripted_loop.hpp"

#include <random>
#include <thread>

using namespace scripted;

namespace {

constexpr size_t kTx = LWS_PROTON_TX;
constexpr size_t kMostAtOnce = kTx / 2;
constexpr size_t kIdleRounds = 4;  // calls of lws in one turn, at most, if it does nothing

void sent_bytes_reach_the_peer(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    CHECK_EQ(wsi.send("hello"), 5);
    s.run();
    CHECK_EQ(raw.peer_got, "hello");
    CHECK_EQ(wsi.tx_room(), kTx);
}

void an_answer_given_in_a_callback_reaches_the_peer(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    const int wakes = raw.wakes;
    wsi.on_service = [](Wsi &w, int) {
        w.recv(100);
        w.send("answer");
    };
    raw.peer_sends("question");
    s.run();
    CHECK_EQ(raw.peer_got, "answer");
    CHECK_EQ(raw.wakes, wakes);  // and nobody was woken for it
}

void at_most_half_a_window_is_given_at_a_time(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    CHECK_EQ(wsi.send(pattern(kTx)), ssize_t(kTx));
    s.run();
    CHECK(raw.written_sizes == std::vector<uint32_t>({kMostAtOnce}));
    CHECK_EQ(raw.unwritten.size(), 1u);
    raw.peer_takes = kMostAtOnce - 1;
    s.run();
    CHECK_EQ(raw.written_sizes.size(), 1u);  // still under way
    raw.peer_takes = 1;
    s.run();
    CHECK(raw.written_sizes == std::vector<uint32_t>({kMostAtOnce, kMostAtOnce}));
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK(raw.peer_got == pattern(kTx));
}

void small_writes_go_out_together_behind_the_one_under_way(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send("first");
    s.run();
    std::string rest;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(wsi.send(pattern(50, i)), 50);
        rest += pattern(50, i);
        s.run();
    }
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK(raw.written_sizes == std::vector<uint32_t>({5, 5000}));
    CHECK(raw.peer_got == "first" + rest);
}

void what_is_written_in_one_callback_after_another_goes_out_together(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    int messages = 64;
    wsi.on_service = [&messages](Wsi &w, int events) {
        if (events == LWS_PROTON_READ)
            w.recv(100);
        else
            w.send("a message of 24 bytes...");
        w.enable(LWS_PROTON_WRITE, events == LWS_PROTON_READ || --messages > 0);
    };
    raw.peer_sends("go");
    s.run();
    CHECK(raw.written_sizes == std::vector<uint32_t>({64 * 24}));
}

void partial_writes_are_gone_on_with(ScriptedLoop &s) {
    s.proton.send_at_most = 1000;
    auto [raw, wsi] = s.connect();
    wsi.to_send = pattern(5 * kTx);
    wsi.enable(LWS_PROTON_WRITE);
    s.run();
    CHECK(raw.peer_got == pattern(5 * kTx));
    CHECK(wsi.to_send.empty());
}

void bytes_go_one_at_a_time(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    for (char byte : pattern(300)) {
        CHECK_EQ(wsi.send(std::string(1, byte)), 1);
        s.run();
    }
    CHECK(raw.peer_got == pattern(300));
}

void a_full_window_refuses_bytes(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    CHECK_EQ(wsi.send(pattern(kTx + 1000)), ssize_t(kTx));
    s.run();
    CHECK_EQ(wsi.send("x"), -EAGAIN);
    CHECK_EQ(wsi.tx_room(), 0u);  // what Proton has counts
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK_EQ(wsi.tx_room(), kTx);
}

void lws_is_asked_to_write_when_a_buffer_has_been_taken(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.to_send = pattern(2 * kTx);
    wsi.enable(LWS_PROTON_WRITE);
    s.run();
    CHECK_EQ(wsi.count(LWS_PROTON_WRITE), 1u);
    CHECK_EQ(wsi.to_send.size(), kTx);
    raw.peer_takes = kMostAtOnce;
    s.run();
    CHECK_EQ(wsi.count(LWS_PROTON_WRITE), 2u);
    CHECK_EQ(wsi.to_send.size(), kTx - kMostAtOnce);
}

void data_is_right_however_writes_and_the_network_interleave(ScriptedLoop &s) {
    std::mt19937 random(2);
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    const std::string bytes = pattern(1000000);
    size_t sent = 0;
    while (raw.peer_got.size() < bytes.size()) {
        const ssize_t n = wsi.send(std::string_view(bytes).substr(sent, random() % 40000));
        sent += n > 0 ? n : 0;
        raw.peer_takes += random() % 40000;
        if (random() % 3)
            s.run();
    }
    CHECK(raw.peer_got == bytes);
}

void an_echo_comes_back_whole(ScriptedLoop &s) {
    std::mt19937 random(3);
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &w, int events) {
        if (events == LWS_PROTON_READ) {
            w.recv(4096);
            w.to_send += std::exchange(w.received, "");
        }
        if (!w.to_send.empty())
            w.write();
        w.enable(LWS_PROTON_READ, w.to_send.empty());
    };
    const std::string bytes = pattern(400000);
    raw.peer_takes = 0;
    raw.peer_sends(bytes);
    while (raw.peer_got.size() < bytes.size()) {
        raw.peer_takes += random() % 30000;
        s.run();
    }
    CHECK(raw.peer_got == bytes);
}

void the_end_of_our_stream_comes_after_what_was_sent(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send(pattern(kTx));
    wsi.shutdown();
    s.run();
    raw.peer_takes = kTx - 1;
    s.run();
    CHECK_EQ(raw.write_closes, 0);
    CHECK(!raw.peer_saw_end);
    raw.peer_takes = 1;
    s.run();
    CHECK_EQ(raw.write_closes, 1);
    CHECK(raw.peer_saw_end);
    CHECK(raw.peer_got == pattern(kTx));
    CHECK_EQ(raw.closes, 0);
}

void the_end_of_our_stream_is_said_once(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.shutdown();
    s.run();
    CHECK_EQ(raw.write_closes, 1);
    wsi.shutdown();
    CHECK_EQ(wsi.send("x"), -EPIPE);
    raw.peer_sends("answer");
    s.run();
    CHECK_EQ(raw.write_closes, 1);
    CHECK_EQ(wsi.received, "answer");  // reading goes on
    CHECK(!raw.freed);
}

void sends_from_outside_wake_once(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    const int wakes = raw.wakes;
    for (int i = 0; i < 5; i++)
        wsi.send("x");
    CHECK_EQ(raw.wakes, wakes + 1);
    s.run();
    CHECK_EQ(raw.peer_got, "xxxxx");
    wsi.send("y");
    CHECK_EQ(raw.wakes, wakes + 2);
    s.run();
    CHECK_EQ(raw.peer_got, "xxxxxy");
}

void another_thread_s_enable_wakes(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    const int wakes = raw.wakes;
    wsi.to_send = "from far away";
    std::thread other([&w = wsi] { w.enable(LWS_PROTON_WRITE); });
    other.join();
    CHECK_EQ(raw.wakes, wakes + 1);
    CHECK_EQ(raw.peer_got, "");
    s.run();
    CHECK_EQ(raw.peer_got, "from far away");
}

void what_lws_does_to_another_connection_wakes_that_one(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    auto [other_raw, other] = s.connect();
    const int wakes = raw.wakes, other_wakes = other_raw.wakes;
    wsi.on_service = [&o = other](Wsi &w, int events) {
        w.serve(events);
        o.send("relayed");
    };
    raw.peer_sends("question");
    s.run();
    CHECK_EQ(other_raw.peer_got, "relayed");
    CHECK_EQ(raw.wakes, wakes);
    CHECK_EQ(other_raw.wakes, other_wakes + 1);
}

void lws_that_may_write_and_does_not_leaves_time_to_others(ScriptedLoop &s) {
    auto [raw, greedy] = s.connect();
    auto [other_raw, other] = s.connect();
    greedy.on_service = [](Wsi &, int) {};
    greedy.enable(LWS_PROTON_WRITE);
    other_raw.peer_sends("a");
    // a batch is a few turns at most: one for each lot of events that its flush brings
    for (int i = 0; i < 4; i++) {
        greedy.calls.clear();
        CHECK(s.run_one());
        CHECK_LE(greedy.calls.size(), 3 * kIdleRounds);
    }
    CHECK_EQ(other.received, "a");
    CHECK(raw.due());  // there is more to do, it has woken itself
    greedy.disable(LWS_PROTON_WRITE);
    s.run();
}

void lws_that_writes_for_ever_leaves_time_to_others(ScriptedLoop &s) {
    auto [raw, greedy] = s.connect();
    auto [other_raw, other] = s.connect();
    greedy.on_service = [](Wsi &w, int) { w.send(pattern(100)); };
    greedy.enable(LWS_PROTON_WRITE);
    other_raw.peer_sends("a");
    for (int i = 0; i < 4; i++)
        CHECK(s.run_one());
    CHECK_EQ(other.received, "a");
    CHECK(!raw.peer_got.empty());
    greedy.disable(LWS_PROTON_WRITE);
    s.run();
}

// A wake that comes while it is served is one more event of the batch.
void who_wakes_a_connection_again_and_again_leaves_time_to_others(ScriptedLoop &s) {
    auto [raw, restless] = s.connect();
    auto [other_raw, other] = s.connect();
    restless.on_service = [](Wsi &w, int) {
        w.disable(LWS_PROTON_WRITE);
        std::thread([&w] { w.enable(LWS_PROTON_WRITE); }).join();
    };
    restless.enable(LWS_PROTON_WRITE);
    other_raw.peer_sends("a");
    for (int i = 0; i < 4; i++)
        CHECK(s.run_one());
    CHECK_EQ(other.received, "a");
    restless.on_service = Wsi::as_lws;
    restless.disable(LWS_PROTON_WRITE);
    s.run();
}

void tx_memory_is_held_only_while_bytes_are_unsent(ScriptedLoop &s) {
    std::vector<ScriptedLoop::Connection> connections;
    for (int i = 0; i < 10; i++)
        connections.push_back(s.connect());
    for (auto &c : connections) {
        c.wsi.send(pattern(1000));
        s.run();
        CHECK_EQ(c.raw.peer_got.size(), 1000u);
    }
    CHECK_EQ(s.stats().buffer_bytes, 10 * LWS_PROTON_RX_SMALL + kTx);  // one after the other
}

void no_memory_for_a_tx_window_is_an_error_and_not_the_end(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    {
        const OutOfMemory none;
        CHECK_EQ(wsi.send("x"), -ENOMEM);
    }
    CHECK_EQ(wsi.send("y"), 1);
    s.run();
    CHECK_EQ(raw.peer_got, "y");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(sent_bytes_reach_the_peer),
        PROTON_TEST(an_answer_given_in_a_callback_reaches_the_peer),
        PROTON_TEST(at_most_half_a_window_is_given_at_a_time),
        PROTON_TEST(small_writes_go_out_together_behind_the_one_under_way),
        PROTON_TEST(what_is_written_in_one_callback_after_another_goes_out_together),
        PROTON_TEST(partial_writes_are_gone_on_with),
        PROTON_TEST(bytes_go_one_at_a_time),
        PROTON_TEST(a_full_window_refuses_bytes),
        PROTON_TEST(lws_is_asked_to_write_when_a_buffer_has_been_taken),
        PROTON_TEST(data_is_right_however_writes_and_the_network_interleave),
        PROTON_TEST(an_echo_comes_back_whole),
        PROTON_TEST(the_end_of_our_stream_comes_after_what_was_sent),
        PROTON_TEST(the_end_of_our_stream_is_said_once),
        PROTON_TEST(sends_from_outside_wake_once),
        PROTON_TEST(another_thread_s_enable_wakes),
        PROTON_TEST(what_lws_does_to_another_connection_wakes_that_one),
        PROTON_TEST(lws_that_may_write_and_does_not_leaves_time_to_others),
        PROTON_TEST(lws_that_writes_for_ever_leaves_time_to_others),
        PROTON_TEST(who_wakes_a_connection_again_and_again_leaves_time_to_others),
        PROTON_TEST(tx_memory_is_held_only_while_bytes_are_unsent),
        PROTON_TEST(no_memory_for_a_tx_window_is_an_error_and_not_the_end),
    };
    return cmocka_run_group_tests_name("raw_writing", tests, nullptr, nullptr);
}
