// Listening: how connections come to lws, and how it ends.
#include "scripted_loop.hpp"

#include <sys/socket.h>
#include <tuple>

using namespace scripted;

namespace {

// Tries to listen; what it could not is in `why`.
lws_proton_conn *try_to_listen(ScriptedLoop &s, const char *host, int &port, std::string &why) {
    char err[200] = "";
    lws_proton_conn *conn = lws_proton_loop_listen(s.loop, host, &port, err, sizeof(err));
    why = err;
    return conn;
}

void an_address_is_given_to_proton_as_it_wants_it(ScriptedLoop &s) {
    std::string why;
    for (const auto &[host, port, address] :
         std::vector<std::tuple<const char *, int, std::string>>{
             {nullptr, 80, ":80"},
             {"192.0.2.1", 8080, "192.0.2.1:8080"},
             {"::1", 443, "::1:443"}}) {
        int taken = port;
        lws_proton_conn *conn = try_to_listen(s, host, taken, why);
        CHECK(conn);
        CHECK_EQ(s.proton.listeners.back()->address, address);
        CHECK_EQ(taken, port);
        conn->ops->close(conn);
    }
    s.run();
}

void any_port_is_answered_with_the_one_taken(ScriptedLoop &s) {
    for (const char *host : {static_cast<const char *>(nullptr), "::1"}) {
        int port = 0;
        std::string why;
        lws_proton_conn *conn = try_to_listen(s, host, port, why);
        CHECK_EQ(port, 4242);
        conn->ops->close(conn);
    }
    s.run();
}

void a_listen_that_fails_says_why_and_leaves_nothing(ScriptedLoop &s) {
    s.proton.listen_error = "Address already in use - listen on :80";
    int port = 80;
    std::string why;
    CHECK(!try_to_listen(s, nullptr, port, why));
    CHECK_EQ(why, s.proton.listen_error);
    s.run();  // Proton says that it is closed
    CHECK(s.proton.listeners[0]->freed);
}

void no_memory_for_a_listener_is_a_listen_that_fails(ScriptedLoop &s) {
    s.proton.no_listener = true;
    int port = 80;
    std::string why;
    CHECK(!try_to_listen(s, "192.0.2.1", port, why));
    CHECK_EQ(why, "listen on 192.0.2.1:80: out of memory");
    s.proton.no_listener = false;
    const OutOfMemory none;
    CHECK(!try_to_listen(s, "192.0.2.1", port, why));
    CHECK(why.find("out of memory") != std::string::npos);
}

void an_address_that_is_too_long_is_a_listen_that_fails(ScriptedLoop &s) {
    int port = 80;
    std::string why;
    CHECK(!try_to_listen(s, std::string(5000, 'a').c_str(), port, why));
    CHECK(why.find("too long") != std::string::npos);
    CHECK(s.proton.listeners.empty());
}

void a_connection_is_offered_in_its_own_first_batch(ScriptedLoop &s) {
    pn_raw_connection_t &raw = s.begin_to_connect();
    CHECK(raw.accepted);
    CHECK(s.host.wsis.empty());
    CHECK_EQ(s.stats().connections, 1u);
    CHECK(s.run_one());
    CHECK_EQ(s.host.wsis.size(), 1u);
    CHECK_EQ(raw.unread.size(), 1u);
}

void what_came_with_the_connection_is_not_lost(ScriptedLoop &s) {
    pn_raw_connection_t &raw = s.begin_to_connect();
    raw.peer_sends("early");
    raw.peer_ends();
    s.run();
    CHECK_EQ(s.host.wsis[0]->received, "early");
    CHECK(s.host.wsis[0]->ended);
}

void lws_may_serve_a_connection_while_it_adopts_it(ScriptedLoop &s) {
    s.host.on_adopt = [](Wsi &w) { w.send("welcome"); };
    auto [raw, wsi] = s.connect();
    CHECK_EQ(raw.peer_got, "welcome");
    CHECK_EQ(raw.wakes, 0);  // all of it in that batch
}

void lws_may_close_a_connection_while_it_adopts_it(ScriptedLoop &s) {
    s.host.on_adopt = [](Wsi &w) {
        w.send("no");
        w.close();
    };
    auto [raw, wsi] = s.connect();
    CHECK_EQ(raw.peer_got, "no");
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
    CHECK_EQ(s.stats().connections, 0u);
}

void many_connections_that_come_at_once_are_all_accepted(ScriptedLoop &s) {
    s.listen();
    s.proton.listeners[0]->waiting = 50;
    s.run();
    CHECK_EQ(s.host.wsis.size(), 50u);
    CHECK_EQ(s.stats().connections, 50u);
}

void a_connection_that_lws_does_not_accept_is_closed(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    listener.on_service = [](Wsi &, int) {};
    pn_raw_connection_t &raw = s.begin_to_connect();
    s.run();
    CHECK_EQ(listener.calls.size(), 1u);
    CHECK(!s.accept(listener));  // too late
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
    CHECK_EQ(s.stats().connections, 0u);
}

// `n` peers connect while lws accepts none.
std::vector<pn_raw_connection_t *> let_wait(ScriptedLoop &s, Wsi &listener, size_t n) {
    listener.disable(LWS_PROTON_READ);
    std::vector<pn_raw_connection_t *> raws;
    for (size_t i = 0; i < n; i++) {
        raws.push_back(&s.begin_to_connect());
        s.run();
    }
    return raws;
}

void connections_wait_while_lws_accepts_none(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    const size_t buffers = s.stats().buffer_bytes;
    const auto raws = let_wait(s, listener, 3);
    CHECK(listener.calls.empty());
    for (pn_raw_connection_t *raw : raws) {
        CHECK_EQ(raw->closes, 0);
        CHECK(raw->unread.empty());
    }
    CHECK_EQ(s.stats().buffer_bytes, buffers);
    listener.enable(LWS_PROTON_WRITE);  // not what counts
    s.run();
    CHECK(listener.calls.empty());
    raws[1]->peer_sends("second");
    listener.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(s.host.wsis.size(), 3u);
    CHECK_EQ(s.host.wsis[1]->received, "second");
    s.connect();
}

void those_that_wait_are_accepted_in_order_as_far_as_lws_wants(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    const auto raws = let_wait(s, listener, 3);
    for (size_t i = 0; i < raws.size(); i++)
        raws[i]->peer_sends(std::to_string(i));
    // As lws does it at its limit: room for one more, then for none.
    listener.on_service = [&s](Wsi &w, int) {
        s.accept(w);
        w.disable(LWS_PROTON_READ);
    };
    for (size_t i = 0; i < raws.size(); i++) {
        CHECK_EQ(s.host.wsis.size(), i);
        listener.enable(LWS_PROTON_READ);
        s.run();
        CHECK_EQ(s.host.wsis.size(), i + 1);
        CHECK_EQ(s.host.wsis[i]->received, std::to_string(i));
    }
}

void one_that_comes_later_does_not_overtake_those_that_wait(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    let_wait(s, listener, 1)[0]->peer_sends("first");
    pn_raw_connection_t &late = s.begin_to_connect();
    late.peer_sends("late");
    listener.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(s.host.wsis.size(), 2u);
    CHECK_EQ(s.host.wsis[0]->received, "first");
    CHECK_EQ(s.host.wsis[1]->received, "late");
}

void one_that_waits_and_is_lost_gives_way(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    const auto raws = let_wait(s, listener, 2);
    raws[0]->lose();
    pn_raw_connection_wake(raws[0]);
    s.run();
    CHECK(raws[0]->freed);
    listener.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(s.host.wsis.size(), 1u);
}

void those_that_wait_are_refused_when_the_listener_closes(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    const auto raws = let_wait(s, listener, 2);
    listener.close();
    s.run();
    for (pn_raw_connection_t *raw : raws)
        CHECK(raw->freed);
    CHECK(s.host.wsis.empty());
}

void those_that_wait_do_not_count_for_a_pt(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    Wsi &one = s.connect().wsi, &two = s.connect().wsi;
    CHECK_EQ(one.conn->tsi + two.conn->tsi, 1);
    let_wait(s, listener, 1);
    // Both pts have one. The one whose connection goes has the room.
    const int free = two.conn->tsi;
    two.close();
    s.run();
    listener.enable(LWS_PROTON_READ);
    s.run();
    CHECK_EQ(s.host.wsis.back()->conn->tsi, free);
}

void only_so_many_wait(ScriptedLoop &s) {
    constexpr size_t kMost = SOMAXCONN;
    Wsi &listener = s.listen();
    listener.disable(LWS_PROTON_READ);
    s.proton.listeners[0]->waiting = kMost + 2;
    while (s.run_one()) {
    }
    CHECK_EQ(s.stats().connections, kMost);
    CHECK_EQ(s.host.log.size(), 1u);
    CHECK(s.host.log[0].find("refusing new ones") != std::string::npos);
    listener.enable(LWS_PROTON_READ);
    while (s.run_one()) {
    }
    CHECK_EQ(s.host.wsis.size(), kMost);
}

void a_listener_without_its_wsi_refuses(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    lws *wsi = std::exchange(listener.conn->wsi, nullptr);
    pn_raw_connection_t &raw = s.begin_to_connect();
    s.run();
    CHECK(raw.freed);
    listener.conn->wsi = wsi;
}

void an_accept_outside_of_an_offer_finds_none(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    errno = 0;
    CHECK(!s.accept(listener));
    CHECK_EQ(errno, EAGAIN);
    listener.on_service = [&s](Wsi &w, int) {
        expect(s.accept(w), "the offered connection is accepted");
        errno = 0;
        expect(!s.accept(w) && errno == EAGAIN, "one connection is offered at a time");
    };
    s.connect();
    CHECK(!s.accept(listener));
}

void a_listener_is_no_stream(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    CHECK_EQ(listener.recv(1), -ENOTCONN);
    CHECK_EQ(listener.send("x"), -ENOTCONN);
    CHECK_EQ(listener.tx_room(), 0u);
    CHECK_EQ(listener.conn->ops->shutdown(listener.conn), -1);
    CHECK_EQ(listener.conn->ops->peer_name(listener.conn, nullptr, nullptr), -1);
    CHECK_EQ(listener.conn->ops->wake(listener.conn), 0);
}

void a_listener_that_is_closed_closes_proton_s(ScriptedLoop &s) {
    s.listen().close();
    CHECK(s.proton.listeners[0]->closed);
    s.run();
    CHECK(s.proton.listeners[0]->freed);
}

void a_connection_whose_listener_closed_meanwhile_is_refused(ScriptedLoop &s) {
    pn_raw_connection_t &raw = s.begin_to_connect();
    s.listeners[0]->close();
    s.run();
    CHECK_EQ(raw.closes, 1);
    CHECK(raw.freed);
    CHECK(s.host.wsis.empty());
    CHECK_EQ(s.stats().connections, 0u);
}

void a_listener_can_be_closed_while_it_accepts(ScriptedLoop &s) {
    s.listen().on_service = [&s](Wsi &w, int) {
        expect(s.accept(w), "the offered connection is accepted");
        w.close();
    };
    s.proton.listeners[0]->waiting = 2;
    s.run();
    CHECK_EQ(s.host.wsis.size(), 1u);  // the second was too late
    CHECK_EQ(s.stats().connections, 1u);
}

void a_listener_that_proton_closes_is_still_lws_s_to_close(ScriptedLoop &s) {
    Wsi &listener = s.listen();
    s.run();
    s.proton.listeners[0]->close();  // an error of its socket, say
    s.run();
    CHECK(s.proton.listeners[0]->freed);
    listener.disable(LWS_PROTON_READ);
    listener.close();
}

// As when a descriptor or memory is missing.
void cannot_accept(ScriptedLoop &s) {
    s.proton.listeners.back()->condition.description = "No buffer space available - accept";
    s.proton.listeners.back()->close();
    s.run();
}

// Waits until Proton has `n` listeners in all.
void await_listeners(ScriptedLoop &s, size_t n) {
    for (int rounds = 0; s.proton.listeners.size() < n && rounds < 10; rounds++)
        s.wait_one();
    CHECK_EQ(s.proton.listeners.size(), n);
    s.run();
}

void a_listener_that_cannot_accept_listens_again_on_its_port(ScriptedLoop &s) {
    int port = 0;
    std::string why;
    s.host.adopt(try_to_listen(s, "192.0.2.1", port, why));
    s.run();
    for (size_t n = 1; n < 4; n++) {
        cannot_accept(s);
        CHECK(s.proton.listeners.back()->freed);
        await_listeners(s, n + 1);
        CHECK_EQ(s.proton.listeners.back()->address, "192.0.2.1:4242");
    }
}

void a_listener_that_listens_again_accepts(ScriptedLoop &s) {
    s.connect();
    cannot_accept(s);
    await_listeners(s, 2);
    s.connect();
    CHECK_EQ(s.stats().connections, 2u);
}

void no_memory_for_a_raw_connection_is_a_pause_in_listening(ScriptedLoop &s) {
    s.listen();
    s.proton.no_connection = true;
    s.proton.listeners[0]->waiting = 1;
    s.run();
    CHECK(s.proton.listeners[0]->freed);
    CHECK_EQ(s.host.log.size(), 1u);
    CHECK(s.host.log[0].find("out of memory; listening again") != std::string::npos);
    s.proton.no_connection = false;
    await_listeners(s, 2);
    s.connect();
}

void what_cannot_listen_again_yet_tries_until_it_can(ScriptedLoop &s) {
    s.connect();
    cannot_accept(s);
    s.proton.no_listener = true;
    for (int n = 0; n < 3; n++)
        s.wait_one();
    s.proton.no_listener = false;
    s.proton.listen_error = "Too many open files - listen on :80";
    await_listeners(s, 3);
    s.proton.listen_error.clear();
    await_listeners(s, 4);
    s.connect();
}

void a_listener_that_cannot_accept_is_reported_once_a_second(ScriptedLoop &s) {
    s.listen();
    s.run();
    for (size_t n = 1; n <= 25; n++) {
        cannot_accept(s);
        await_listeners(s, n + 1);
    }
    CHECK_EQ(s.host.log.size(), 3u);  // 25 times in 2.5 s
    CHECK(s.host.log[0].find("No buffer space available - accept; listening again in 100 ms "
                             "(1 times") != std::string::npos);
    CHECK(s.host.log[1].find("(10 times") != std::string::npos);
}

void a_listener_that_waits_to_listen_again_can_be_closed(ScriptedLoop &s) {
    Wsi &first = s.listen();
    s.run();
    cannot_accept(s);
    Wsi &second = s.listen();
    s.run();
    cannot_accept(s);
    first.close();
    await_listeners(s, 3);
    cannot_accept(s);
    second.close();
    for (int n = 0; n < 3; n++)
        s.wait_one();
    CHECK_EQ(s.proton.listeners.size(), 3u);
}

void no_memory_for_a_connection_refuses_it(ScriptedLoop &s) {
    s.listen();
    s.run();
    {
        const OutOfMemory none;
        s.begin_to_connect();
    }
    s.run();
    CHECK_EQ(s.proton.connections[0]->closes, 1);
    CHECK(s.proton.connections[0]->freed);
    CHECK_EQ(s.host.log.size(), 1u);
    CHECK(s.host.log[0].find("refused") != std::string::npos);
    s.connect();
}

// With two pts.

void connections_go_to_the_idlest_pt(ScriptedLoop &s) {
    std::vector<int> served;
    s.host.on_adopt = [&](Wsi &w) { served.push_back(w.conn->tsi); };
    s.connect();
    auto [raw, second] = s.connect();
    s.connect();
    CHECK(served == std::vector<int>({0, 1, 0}));
    second.close();
    s.run();
    s.connect();
    s.connect();
    CHECK(served == std::vector<int>({0, 1, 0, 1, 1}));
}

void one_that_lingers_makes_room_in_its_pt(ScriptedLoop &s) {
    std::vector<int> served;
    s.host.on_adopt = [&](Wsi &w) { served.push_back(w.conn->tsi); };
    s.connect();
    auto [raw, second] = s.connect();
    raw.peer_takes = 0;
    second.send("never read");
    second.close();
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    s.connect();
    CHECK(served == std::vector<int>({0, 1, 1}));
}

void a_connection_is_offered_with_both_pts_standing_still(ScriptedLoop &s) {
    s.connect();
    std::vector<int> visits;  // as they end
    s.host.on_after = [&](int tsi) {
        visits.push_back(tsi);
        return int64_t(-1);
    };
    auto [raw, wsi] = s.connect();
    CHECK(visits == std::vector<int>({1, 0}));
    visits.clear();
    raw.peer_sends("x");
    s.run();
    CHECK(visits == std::vector<int>({1}));
}

void a_connection_is_offered_and_served_on_its_own_pt(ScriptedLoop &s) {
    std::vector<int> during;
    s.host.on_adopt = [&](Wsi &) { during.push_back(lws_proton_loop_this_tsi(s.loop)); };
    s.connect();
    auto [raw, wsi] = s.connect();
    CHECK(during == std::vector<int>({0, 1}));
    wsi.on_service = [&](Wsi &w, int events) {
        during.push_back(lws_proton_loop_this_tsi(s.loop));
        w.serve(events);
    };
    raw.peer_sends("x");
    s.run();  // by the thread of pt 0, it does not matter
    CHECK_EQ(during.back(), 1);
    CHECK_EQ(lws_proton_loop_this_tsi(s.loop), -1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        PROTON_TEST(an_address_is_given_to_proton_as_it_wants_it),
        PROTON_TEST(any_port_is_answered_with_the_one_taken),
        PROTON_TEST(a_listen_that_fails_says_why_and_leaves_nothing),
        PROTON_TEST(no_memory_for_a_listener_is_a_listen_that_fails),
        PROTON_TEST(an_address_that_is_too_long_is_a_listen_that_fails),
        PROTON_TEST(a_connection_is_offered_in_its_own_first_batch),
        PROTON_TEST(what_came_with_the_connection_is_not_lost),
        PROTON_TEST(lws_may_serve_a_connection_while_it_adopts_it),
        PROTON_TEST(lws_may_close_a_connection_while_it_adopts_it),
        PROTON_TEST(many_connections_that_come_at_once_are_all_accepted),
        PROTON_TEST(a_connection_that_lws_does_not_accept_is_closed),
        PROTON_TEST(connections_wait_while_lws_accepts_none),
        PROTON_TEST(those_that_wait_are_accepted_in_order_as_far_as_lws_wants),
        PROTON_TEST(one_that_comes_later_does_not_overtake_those_that_wait),
        PROTON_TEST(one_that_waits_and_is_lost_gives_way),
        PROTON_TEST(those_that_wait_are_refused_when_the_listener_closes),
        PROTON_TEST_TWO_PTS(those_that_wait_do_not_count_for_a_pt),
        PROTON_TEST(only_so_many_wait),
        PROTON_TEST(a_listener_without_its_wsi_refuses),
        PROTON_TEST(an_accept_outside_of_an_offer_finds_none),
        PROTON_TEST(a_listener_is_no_stream),
        PROTON_TEST(a_listener_that_is_closed_closes_proton_s),
        PROTON_TEST(a_connection_whose_listener_closed_meanwhile_is_refused),
        PROTON_TEST(a_listener_can_be_closed_while_it_accepts),
        PROTON_TEST(a_listener_that_proton_closes_is_still_lws_s_to_close),
        PROTON_TEST(a_listener_that_cannot_accept_listens_again_on_its_port),
        PROTON_TEST(a_listener_that_listens_again_accepts),
        PROTON_TEST(no_memory_for_a_raw_connection_is_a_pause_in_listening),
        PROTON_TEST(what_cannot_listen_again_yet_tries_until_it_can),
        PROTON_TEST(a_listener_that_cannot_accept_is_reported_once_a_second),
        PROTON_TEST(a_listener_that_waits_to_listen_again_can_be_closed),
        PROTON_TEST(no_memory_for_a_connection_refuses_it),
        PROTON_TEST_TWO_PTS(connections_go_to_the_idlest_pt),
        PROTON_TEST_TWO_PTS(one_that_lingers_makes_room_in_its_pt),
        PROTON_TEST_TWO_PTS(a_connection_is_offered_with_both_pts_standing_still),
        PROTON_TEST_TWO_PTS(a_connection_is_offered_and_served_on_its_own_pt),
    };
    return cmocka_run_group_tests_name("listener", tests, nullptr, nullptr);
}
