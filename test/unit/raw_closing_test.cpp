// The raw-connection transport: how a connection ends when lws ends it.
#include "scripted_loop.hpp"

#include <thread>

using namespace scripted;

namespace {

constexpr size_t kTx = LWS_PROTON_TX;

void a_close_with_nothing_unsent_closes_at_once(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.close();
    CHECK_EQ(s.stats().lingering, 0u);
    s.run();
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
    CHECK_EQ(s.stats().connections, 0u);
}

void a_close_gives_everything_that_is_unsent_and_then_closes_once(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send(pattern(kTx));
    s.run();
    CHECK_EQ(raw.unwritten.size(), 1u);
    wsi.close();
    s.run();
    CHECK_EQ(raw.closes, 1);
    CHECK_EQ(raw.written_sizes.size(), 2u);
    CHECK_EQ(raw.written_sizes[0] + raw.written_sizes[1], kTx);
    raw.peer_takes = 100;
    s.run();
    CHECK(!raw.freed);
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK(raw.peer_got == pattern(kTx));
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
}

void what_came_behind_the_buffer_s_end_is_given_too(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = kTx / 2;
    wsi.send(pattern(kTx));
    s.run();  // the first half is gone, the second under way
    CHECK_EQ(wsi.send(pattern(1000, kTx)), 1000);
    wsi.close();
    s.run();
    CHECK(raw.written_sizes == std::vector<uint32_t>({uint32_t(kTx / 2), uint32_t(kTx / 2), 1000}));
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK(raw.peer_got == pattern(kTx + 1000));
    CHECK(raw.freed);
}

void what_is_not_given_yet_and_wraps_is_given_as_two_buffers(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = kTx / 2;
    wsi.send(pattern(50000));
    s.run();
    const uint32_t given = kTx / 2, under_way = 50000 - given, to_the_end = kTx - 50000;
    CHECK_EQ(wsi.send(pattern(40000, 50000)), 40000);
    wsi.close();
    s.run();
    CHECK(raw.written_sizes ==
          std::vector<uint32_t>({given, under_way, to_the_end, 40000 - to_the_end}));
    raw.peer_takes = under_way + to_the_end + 1;
    s.run();
    CHECK(raw.written.empty());  // both taken back, or Proton 0.40 says so again and again
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK(raw.peer_got == pattern(90000));
    CHECK(raw.freed);
}

void what_is_unsent_lingers_until_it_is_sent(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send("never read");
    s.run();
    CHECK_EQ(s.stats().lingering, 0u);
    wsi.close();
    CHECK_EQ(s.stats().lingering, 1u);
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    CHECK_EQ(s.stats().connections, 1u);
    raw.peer_takes = 5;
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    raw.peer_takes = 5;
    s.run();
    CHECK_EQ(s.stats().lingering, 0u);
    CHECK_EQ(s.stats().connections, 0u);
}

void what_is_unsent_lingers_until_the_connection_is_lost(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send(pattern(kTx));
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    raw.peer_resets();
    s.run();
    CHECK_EQ(s.stats().lingering, 0u);
    CHECK_EQ(s.stats().connections, 0u);
    CHECK(raw.freed);
}

void a_close_that_is_sent_in_the_same_batch_does_not_linger(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.send("bye");
    wsi.close();
    s.run();
    CHECK_EQ(raw.peer_got, "bye");
    CHECK_EQ(s.stats().lingering, 0u);
    CHECK(raw.freed);
}

void lingering_connections_keep_what_is_unsent_and_no_other_buffer(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends(pattern(LWS_PROTON_RX_SMALL));  // the rx window is full, and not lent
    raw.peer_takes = 0;
    wsi.send("never read");
    s.run();
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    const size_t before = s.stats().buffer_bytes;
    s.connect();
    CHECK_EQ(s.stats().buffer_bytes, before);  // takes over the other's rx buffer
}

void lws_may_close_while_it_is_called(ScriptedLoop &s) {
    for (int events : {LWS_PROTON_READ, LWS_PROTON_WRITE}) {
        auto [raw, wsi] = s.connect();
        const int wakes = raw.wakes;
        wsi.on_service = [](Wsi &w, int) { w.close(); };
        if (events == LWS_PROTON_WRITE)
            wsi.enable(LWS_PROTON_WRITE);
        else
            raw.peer_sends("unread");
        s.run();
        CHECK(wsi.calls == std::vector<int>({events}));
        CHECK_EQ(raw.closes, 1);
        CHECK(raw.freed);
        CHECK_EQ(raw.wakes, wakes + (events == LWS_PROTON_WRITE));
        CHECK_EQ(s.stats().connections, 0u);
    }
}

void lws_may_send_and_close_while_it_is_called(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &w, int) {
        w.send(pattern(kTx));
        w.close();
    };
    raw.peer_sends("unread");
    s.run();
    CHECK(raw.peer_got == pattern(kTx));
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
}

void lws_may_close_another_connection_while_it_is_called(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    auto [other_raw, other] = s.connect();
    wsi.on_service = [&o = other](Wsi &w, int events) {
        w.serve(events);
        o.close();
    };
    raw.peer_sends("x");
    other_raw.peer_sends("never read");
    s.run_one();
    s.run();
    CHECK(other.calls.empty());
    CHECK(other_raw.freed);
    CHECK(!raw.freed);
}

void lws_may_end_its_stream_and_close_while_it_is_called(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &w, int) {
        w.send("bye");
        w.shutdown();
        w.close();
    };
    raw.peer_sends("x");
    s.run();
    CHECK_EQ(raw.peer_got, "bye");
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
}

void lws_closes_first_and_then_the_write_under_way_ends(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 2;
    wsi.send("under way");
    s.run();
    CHECK_EQ(raw.unwritten.size(), 1u);
    wsi.close();
    s.run();
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK_EQ(raw.peer_got, "under way");
    CHECK(raw.freed);
}

void lws_closes_first_and_then_the_write_under_way_fails(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 2;
    wsi.send("under way");
    s.run();
    wsi.close();
    raw.peer_resets();  // before Proton is told of the close
    s.run();
    CHECK(raw.freed);
    CHECK_EQ(s.stats().lingering, 0u);
}

void the_write_under_way_fails_first_and_then_lws_closes(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_takes = 2;
    wsi.send("under way");
    s.run();
    raw.peer_resets();
    s.run();
    CHECK(raw.freed);
    CHECK(wsi.lost);
    CHECK_EQ(s.stats().connections, 1u);
    wsi.close();
    CHECK_EQ(s.stats().connections, 0u);
    CHECK_EQ(s.stats().lingering, 0u);
}

void lws_answers_after_the_peer_has_ended_and_closes(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &w, int) {
        if (w.recv(4096) == 0) {
            w.send(pattern(3000));
            w.close();
        }
    };
    raw.peer_sends("request");
    raw.peer_ends();
    s.run();
    CHECK(raw.peer_got == pattern(3000));
    CHECK(raw.freed);
}

void what_was_closed_for_lack_of_memory_is_still_lws_s_to_close(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_takes = 0;
    wsi.send("unsent");
    raw.peer_sends(pattern(LWS_PROTON_RX_SMALL));  // the next buffer is to be large
    {
        const OutOfMemory none(LWS_PROTON_RX);
        s.run();
    }
    CHECK_EQ(raw.closes, 1);
    CHECK(!raw.freed);  // the peer keeps it waiting
    CHECK_EQ(wsi.received.size(), LWS_PROTON_RX_SMALL);
    wsi.calls.clear();
    wsi.enable(LWS_PROTON_WRITE);  // of which Proton hears no more
    s.run();
    CHECK_EQ(wsi.count(LWS_PROTON_WRITE), 1u);
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK_EQ(raw.peer_got, "unsent");
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
    CHECK_EQ(s.stats().lingering, 0u);
}

// As ThreadSanitizer sees it: nothing but what may be looked at from outside of the pt is.
void what_was_closed_for_lack_of_memory_may_be_enabled_by_any_thread(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_takes = 0;
    wsi.send("unsent");
    raw.peer_sends(pattern(LWS_PROTON_RX_SMALL));
    {
        const OutOfMemory none(LWS_PROTON_RX);
        s.run();
    }
    CHECK_EQ(raw.closes, 1);
    std::thread other([&w = wsi] {
        for (int i = 0; i < 100; i++) {
            w.enable(LWS_PROTON_WRITE);
            w.disable(LWS_PROTON_WRITE);
        }
    });
    wsi.shutdown();
    other.join();
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(a_close_with_nothing_unsent_closes_at_once),
        PROTON_TEST(a_close_gives_everything_that_is_unsent_and_then_closes_once),
        PROTON_TEST(what_came_behind_the_buffer_s_end_is_given_too),
        PROTON_TEST(what_is_not_given_yet_and_wraps_is_given_as_two_buffers),
        PROTON_TEST(what_is_unsent_lingers_until_it_is_sent),
        PROTON_TEST(what_is_unsent_lingers_until_the_connection_is_lost),
        PROTON_TEST(a_close_that_is_sent_in_the_same_batch_does_not_linger),
        PROTON_TEST(lingering_connections_keep_what_is_unsent_and_no_other_buffer),
        PROTON_TEST(lws_may_close_while_it_is_called),
        PROTON_TEST(lws_may_send_and_close_while_it_is_called),
        PROTON_TEST(lws_may_close_another_connection_while_it_is_called),
        PROTON_TEST(lws_may_end_its_stream_and_close_while_it_is_called),
        PROTON_TEST(lws_closes_first_and_then_the_write_under_way_ends),
        PROTON_TEST(lws_closes_first_and_then_the_write_under_way_fails),
        PROTON_TEST(the_write_under_way_fails_first_and_then_lws_closes),
        PROTON_TEST(lws_answers_after_the_peer_has_ended_and_closes),
        PROTON_TEST(what_was_closed_for_lack_of_memory_is_still_lws_s_to_close),
        PROTON_TEST(what_was_closed_for_lack_of_memory_may_be_enabled_by_any_thread),
    };
    return cmocka_run_group_tests_name("raw_closing", tests, nullptr, nullptr);
}
