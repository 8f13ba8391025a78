// The raw-connection transport: Proton lets go, at any moment, in the ways of both versions.
#include "scripted_loop.hpp"

#include <thread>

using namespace scripted;

namespace {

constexpr size_t kTx = LWS_PROTON_TX;

size_t count(const pn_raw_connection_t &raw, pn_event_type_t type) {
    return std::count(raw.events.begin(), raw.events.end(), type);
}

void buffers_are_taken_back_at_the_first_chance(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send("the last words");
    wsi.close();
    s.run();
    CHECK_EQ(raw.unread.size() + raw.unwritten.size(), 2u);
    raw.events.clear();
    raw.peer_takes = SIZE_MAX;
    s.run();
    // Proton would have said DRAIN_BUFFERS, and 0.37 READ and WRITTEN too, had any been left.
    CHECK(raw.events == std::vector<pn_event_type_t>(
                            {PN_RAW_CONNECTION_WRITTEN, PN_RAW_CONNECTION_DISCONNECTED}));
    CHECK(raw.freed);
}

// The ways a connection's life can go before it is lost.
struct Life {
    const char *name;
    void (*live)(ScriptedLoop &, ScriptedLoop::Connection);
};

const Life kLives[] = {
    {"open", [](ScriptedLoop &, ScriptedLoop::Connection) {}},
    {"open, unread",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.disable(LWS_PROTON_READ);
         c.raw.peer_sends("unread");
         s.run();
     }},
    {"open, rx full",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.disable(LWS_PROTON_READ);
         c.raw.peer_sends(pattern(2 * LWS_PROTON_RX_SMALL));
         c.wsi.send("unsent");  // or Proton 0.37 would not see the reset
         s.run();
     }},
    {"open, unsent",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.send(pattern(kTx));
         s.run();
     }},
    {"open, unsent and not given yet",
     [](ScriptedLoop &, ScriptedLoop::Connection c) { c.wsi.send(pattern(kTx)); }},
    {"open, both",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.disable(LWS_PROTON_READ);
         c.raw.peer_sends("unread");
         c.wsi.send(pattern(kTx));
         s.run();
     }},
    {"peer_closed",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.send("unsent");
         c.raw.peer_ends();
         s.run();
     }},
    {"shut",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.shutdown();
         s.run();
     }},
    {"shut, unsent",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.send("unsent");
         c.wsi.shutdown();
         s.run();
     }},
    {"half_gone",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.send("unsent");
         c.wsi.shutdown();
         c.raw.peer_ends();
         s.run();
     }},
    {"closing",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.send(pattern(kTx));
         c.wsi.close();
         s.run();
     }},
    {"closing, not told yet",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.send(pattern(kTx));
         s.run();
         c.wsi.close();
     }},
    {"closed, not told yet", [](ScriptedLoop &, ScriptedLoop::Connection c) { c.wsi.close(); }},
    {"shut and closed, not told yet",
     [](ScriptedLoop &s, ScriptedLoop::Connection c) {
         c.wsi.shutdown();
         s.run();
         c.wsi.close();
     }},
};

// For each life: `lose` it, and look that both sides have let go and lws was told at most once.
template <class Lose>
void for_each_life(ScriptedLoop &s, const Lose &lose) {
    for (const Life &life : kLives) {
        for (bool lws_closes_at_once : {true, false}) {
            ScriptedLoop::Connection c = s.connect();
            c.raw.peer_takes = 0;
            c.wsi.closes_at_end = false;
            life.live(s, c);
            const bool held = c.wsi.conn;
            c.wsi.closes_at_end = lws_closes_at_once;
            c.wsi.calls.clear();
            lose(c);
            s.run();
            if (!c.raw.freed)
                FAIL(std::string("Proton still has it: ") + life.name);
            if (c.wsi.calls.empty() == held)
                FAIL(std::string("lws was not told once: ") + life.name);
            if (c.wsi.conn)
                c.wsi.close();
            if (s.stats().connections || s.stats().lingering)
                FAIL(std::string("not freed: ") + life.name);
        }
    }
}

void a_connection_can_be_lost_in_every_state(ScriptedLoop &s) {
    for_each_life(s, [](ScriptedLoop::Connection c) { c.raw.peer_resets(); });
}

void a_connection_can_be_disconnected_twice_in_one_batch(ScriptedLoop &s) {
    for_each_life(s, [](ScriptedLoop::Connection c) {
        c.raw.says_disconnected_twice = true;
        c.raw.peer_resets();
    });
}

void a_disconnect_can_come_with_no_word_before(ScriptedLoop &s) {
    for_each_life(s, [](ScriptedLoop::Connection c) {
        c.raw.only_says_disconnected = true;
        c.raw.peer_resets();
    });
}

void drained_buffers_can_be_announced_again(ScriptedLoop &s) {
    for_each_life(s, [](ScriptedLoop::Connection c) {
        c.raw.announces_again = true;
        c.raw.peer_resets();
    });
}

void a_connection_can_be_disconnected_again_in_later_batches(ScriptedLoop &s) {
    for_each_life(s, [](ScriptedLoop::Connection c) {
        c.raw.disconnects_again = 2;
        c.raw.peer_resets();
    });
}

void a_wake_can_come_after_the_disconnect(ScriptedLoop &s) {
    for_each_life(s, [](ScriptedLoop::Connection c) {
        c.raw.late_wakes = 2;
        c.raw.peer_resets();
    });
}

void a_late_wake_finds_a_connection_that_lws_has_let_go_of(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.late_wakes = 1;
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().connections, 0u);
    CHECK_EQ(raw.events.back(), PN_RAW_CONNECTION_WAKE);
    CHECK(raw.freed);
}

void a_wake_and_a_loss_can_come_in_one_batch(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_resets();
    wsi.enable(LWS_PROTON_WRITE);
    s.run();
    CHECK(raw.freed);
    CHECK(wsi.lost);
}

void a_lost_connection_is_not_woken(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_resets();
    s.run();
    const int wakes = raw.wakes;
    std::thread other([&w = wsi] { w.enable(LWS_PROTON_READ | LWS_PROTON_WRITE); });
    other.join();
    wsi.shutdown();
    wsi.disable(LWS_PROTON_READ);
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(raw.wakes, wakes);
    wsi.close();
    s.run();
    CHECK_EQ(raw.wakes, wakes);
}

void a_lost_connection_is_told_to_lws_again_when_it_asks(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [](Wsi &, int) {};
    raw.peer_resets();
    s.run();
    wsi.calls.clear();
    wsi.on_service = Wsi::as_lws;
    wsi.disable(LWS_PROTON_READ);
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK(wsi.calls == std::vector<int>({LWS_PROTON_READ}));
    CHECK(!wsi.conn);
    CHECK_EQ(s.stats().connections, 0u);
}

// As lws does with output that it could not send: it reads no more, however often it asks to, and
// closes when send() fails.
void who_keeps_a_lost_connection_may_write_to_it(ScriptedLoop &s) {
    for (int reads : {0, int(LWS_PROTON_READ)}) {
        auto [raw, wsi] = s.connect();
        pn_raw_connection_t &its = raw;
        wsi.on_service = [&its, reads](Wsi &w, int events) {
            if (events == LWS_PROTON_WRITE && w.send("x") == -EPIPE)
                w.close();
            else if (its.peer_reset)
                w.enable(reads | LWS_PROTON_WRITE);
        };
        raw.peer_takes = 0;
        wsi.send(pattern(kTx));
        wsi.disable(LWS_PROTON_READ);
        wsi.enable(reads | LWS_PROTON_WRITE);
        raw.peer_sends("never read");
        s.run();
        raw.peer_resets();
        s.run();
        CHECK(!wsi.conn);
    }
    CHECK_EQ(s.stats().connections, 0u);
}

// What it holds itself, decrypted or inflated, is read to its end first.
void who_reads_on_what_it_holds_is_not_asked_to_write(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    int64_t held = 5;
    s.host.on_pending = [&](Wsi &) { return held; };
    wsi.enable(LWS_PROTON_READ | LWS_PROTON_WRITE);
    wsi.on_service = [&](Wsi &w, int events) {
        if (events == LWS_PROTON_READ && --held == 0)
            w.close();
        else if (events == LWS_PROTON_WRITE && w.send("x") == -EPIPE)
            w.close();
    };
    raw.peer_takes = 0;
    wsi.send(pattern(kTx));
    raw.peer_resets();
    s.run();
    CHECK(!wsi.conn);
    CHECK_EQ(held, 0);
}

void a_hangup_is_told_once(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    wsi.disable(LWS_PROTON_READ);
    raw.peer_resets();
    for (int i = 0; i < 5; i++) {
        s.run();
        wsi.enable(LWS_PROTON_WRITE);
    }
    CHECK_EQ(std::count(wsi.calls.begin(), wsi.calls.end(), int(LWS_PROTON_HANGUP)), 1);
    CHECK_EQ(wsi.calls[0], int(LWS_PROTON_HANGUP));
}

void buffers_are_taken_back_before_the_disconnect_is_told(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send(pattern(kTx));
    s.run();
    size_t with_proton = 99;
    wsi.on_service = [&](Wsi &w, int) {
        with_proton =
            raw.unread.size() + raw.read.size() + raw.unwritten.size() + raw.written.size();
        w.close();
    };
    raw.peer_resets();
    s.run();
    CHECK_EQ(with_proton, 0u);
    CHECK_EQ(loans(), 0u);
}

void what_was_received_with_the_loss_is_read_first(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.disable(LWS_PROTON_READ);
    raw.peer_sends("before");
    s.run();
    raw.peer_resets();
    wsi.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(wsi.received, "before");
    CHECK(wsi.lost);
}

void a_loss_comes_before_the_connect_is_told(ScriptedLoop &s) {
    pn_raw_connection_t &raw = s.begin_to_connect();
    // Proton found out meanwhile, and says both in the first batch.
    raw.lose();
    s.run();
    CHECK_EQ(raw.events.front(), PN_RAW_CONNECTION_CONNECTED);
    CHECK(raw.freed);
    CHECK(s.host.wsis.empty());
    CHECK_EQ(s.stats().connections, 0u);
}

void a_connection_can_fail_without_ever_having_been_connected(ScriptedLoop &s) {
    pn_raw_connection_t &raw = s.begin_to_connect();
    raw.batch.events.clear();
    raw.lose();
    raw.put(PN_RAW_CONNECTION_CLOSED_READ);
    s.run();
    CHECK_EQ(count(raw, PN_RAW_CONNECTION_CONNECTED), 0u);
    CHECK(raw.freed);
    CHECK(s.host.wsis.empty());
    CHECK_EQ(s.stats().connections, 0u);
}

void what_proton_takes_no_more_is_dropped_with_the_connection(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.close_write();  // a send that returned 0
    raw.write_closed_pending = true;
    wsi.send("too late");
    s.run();
    CHECK(raw.written_sizes.empty());
    CHECK(!raw.freed);
    raw.peer_sends("still read");
    s.run();
    CHECK_EQ(wsi.received, "still read");
    wsi.close();
    s.run();
    CHECK(raw.freed);
    CHECK_EQ(s.stats().lingering, 0u);
}

void a_peer_that_ended_may_still_be_lost(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    raw.peer_ends();
    s.run();
    CHECK(wsi.ended);
    raw.peer_takes = 0;
    wsi.send("unsent");
    s.run();
    raw.peer_resets();
    s.run();
    CHECK(wsi.lost);
    CHECK(raw.freed);
}

// Both have ended their streams, but not all of lws's was sent.
void a_reset_that_meets_unsent_bytes_is_no_end_in_order(ScriptedLoop &s) {
    for (size_t unsent : {size_t(6), kTx}) {  // all of them lent to Proton, or not
        auto [raw, wsi] = s.connect();
        raw.peer_takes = 0;
        wsi.closes_at_end = false;
        wsi.send(pattern(unsent));
        wsi.shutdown();
        raw.peer_ends();
        s.run();
        CHECK(wsi.ended);
        raw.peer_resets();
        s.run();
        CHECK_EQ(wsi.recv(1), -ECONNRESET);
        CHECK_EQ(wsi.peek(1), -ECONNRESET);
        wsi.close();
    }
}

void an_end_in_order_is_said_as_often_as_lws_asks(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    wsi.shutdown();
    raw.peer_ends();
    s.run();
    CHECK(raw.freed);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(wsi.recv(1), 0);
        CHECK_EQ(wsi.peek(1), 0);
    }
    CHECK(!wsi.lost);
}

void a_lost_connection_does_not_know_its_peer_any_more(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.closes_at_end = false;
    sockaddr_in address = {};
    socklen_t size = sizeof(address);
    sockaddr *sa = reinterpret_cast<sockaddr *>(&address);
    CHECK_EQ(wsi.conn->ops->peer_name(wsi.conn, sa, &size), 0);
    CHECK_EQ(size, sizeof(address));
    CHECK_EQ(address.sin_port, raw.peer_address.v4.sin_port);
    size = 4;  // too small is cut off, and says how much there is
    CHECK_EQ(wsi.conn->ops->peer_name(wsi.conn, sa, &size), 0);
    CHECK_EQ(size, sizeof(address));

    raw.peer_resets();
    s.run();
    errno = 0;
    CHECK_EQ(wsi.conn->ops->peer_name(wsi.conn, sa, &size), -1);
    CHECK_EQ(errno, ENOTCONN);
    errno = 0;
    CHECK_EQ(wsi.conn->ops->local_name(wsi.conn, sa, &size), -1);
    CHECK_EQ(errno, ENOTCONN);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(buffers_are_taken_back_at_the_first_chance),
        PROTON_TEST(a_connection_can_be_lost_in_every_state),
        PROTON_TEST(a_connection_can_be_disconnected_twice_in_one_batch),
        PROTON_TEST(a_disconnect_can_come_with_no_word_before),
        PROTON_TEST(drained_buffers_can_be_announced_again),
        PROTON_TEST(a_connection_can_be_disconnected_again_in_later_batches),
        PROTON_TEST(a_wake_can_come_after_the_disconnect),
        PROTON_TEST(a_late_wake_finds_a_connection_that_lws_has_let_go_of),
        PROTON_TEST(a_wake_and_a_loss_can_come_in_one_batch),
        PROTON_TEST(a_lost_connection_is_not_woken),
        PROTON_TEST(a_lost_connection_is_told_to_lws_again_when_it_asks),
        PROTON_TEST(who_keeps_a_lost_connection_may_write_to_it),
        PROTON_TEST(who_reads_on_what_it_holds_is_not_asked_to_write),
        PROTON_TEST(a_hangup_is_told_once),
        PROTON_TEST(buffers_are_taken_back_before_the_disconnect_is_told),
        PROTON_TEST(what_was_received_with_the_loss_is_read_first),
        PROTON_TEST(a_loss_comes_before_the_connect_is_told),
        PROTON_TEST(a_connection_can_fail_without_ever_having_been_connected),
        PROTON_TEST(what_proton_takes_no_more_is_dropped_with_the_connection),
        PROTON_TEST(a_peer_that_ended_may_still_be_lost),
        PROTON_TEST(a_reset_that_meets_unsent_bytes_is_no_end_in_order),
        PROTON_TEST(an_end_in_order_is_said_as_often_as_lws_asks),
        PROTON_TEST(a_lost_connection_does_not_know_its_peer_any_more),
    };
    return cmocka_run_group_tests_name("raw_disconnect", tests, nullptr, nullptr);
}
