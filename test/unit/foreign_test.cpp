// An application's proactor: whose an event is, the timeout that is shared, the loop's beginning
// and end, and connections that the application gives away.
#include "scripted_loop.hpp"

#include <cerrno>

using namespace scripted;

namespace {

using Events = std::vector<pn_event_type_t>;

constexpr int64_t kMs = 1000;  // µs

void a_connection_is_served(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_sends("hello");
    s.run();
    CHECK_EQ(wsi.received, "hello");
    {
        const Entered entered(s.loop, wsi.conn->tsi);
        wsi.send("world");
    }
    s.run();
    CHECK_EQ(raw.peer_got, "world");
    CHECK(s.theirs.empty());
}

// Accepted by the application, at its own port.
pn_raw_connection_t &accept_one(ScriptedLoop &s) {
    pn_listener_t *listener = pn_listener();
    pn_proactor_listen(s.proactor, listener, ":0", 1);
    s.on_theirs = [](pn_event_t *event) {
        if (pn_event_type(event) == PN_LISTENER_ACCEPT)
            pn_listener_raw_accept(pn_event_listener(event), pn_raw_connection());
    };
    listener->waiting = 1;
    s.run();
    s.on_theirs = nullptr;
    pn_listener_close(listener);
    s.run();
    s.theirs.clear();
    return *s.proton.connections.back();
}

void what_is_the_application_s_is_left_to_it(ScriptedLoop &s) {
    pn_raw_connection_t &raw = accept_one(s);
    pn_raw_connection_wake(&raw);
    s.on_theirs = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_RAW_CONNECTION_WAKE)
            pn_raw_connection_close(&raw);
    };
    s.run();
    CHECK(s.theirs.front() == PN_RAW_CONNECTION_WAKE);
    CHECK(s.theirs.back() == PN_RAW_CONNECTION_DISCONNECTED);
    s.theirs.clear();
    pn_proactor_interrupt(s.proactor);
    s.run();
    CHECK(s.theirs == Events({PN_PROACTOR_INTERRUPT}));
}

void a_wake_is_no_interrupt(ScriptedLoop &s) {
    Wsi pipe(lws_proton_loop_pipe(s.loop, 0));
    pipe.on_service = [](Wsi &, int) {};
    pipe.conn->ops->wake(pipe.conn);
    CHECK_EQ(s.proton.interrupts, 0);
    s.run();
    CHECK_EQ(pipe.calls.size(), 1u);
    CHECK(s.theirs.empty());
    pipe.close();
}

void nothing_is_armed_without_a_deadline(ScriptedLoop &s) {
    s.run();
    CHECK(!s.proton.timeout_is_set());
}

void each_gets_its_own_timeout(ScriptedLoop &s) {
    int64_t deadline = 30 * kMs;
    int afters = 0;
    s.host.on_after = [&](int) { return afters++, deadline; };
    CHECK_EQ(lws_proton_loop_enter(s.loop, 0), 0);
    lws_proton_loop_leave(s.loop);
    lws_proton_set_timeout(s.proactor, 50);
    s.run();
    afters = 0;
    Proton::advance_ms(30);
    deadline = 1000 * kMs;
    s.run();
    CHECK_EQ(afters, 2);  // of each pt
    CHECK(s.theirs.empty());
    Proton::advance_ms(20);
    s.run();
    CHECK(s.theirs == Events({PN_PROACTOR_TIMEOUT}));
    Proton::advance_ms(500);
    s.run();
    CHECK_EQ(s.theirs.size(), 1u);
}

void a_timeout_that_was_cancelled_does_not_come(ScriptedLoop &s) {
    lws_proton_set_timeout(s.proactor, 50);
    lws_proton_cancel_timeout(s.proactor);
    Proton::advance_ms(100);
    s.run();
    CHECK(s.theirs.empty());
}

void the_application_s_timeout_outlives_the_context(ScriptedLoop &s) {
    lws_proton_set_timeout(s.proactor, 50);
    s.lws_closes_everything();
    s.free();
    s.run();
    CHECK(s.proton.timeout_is_set());
    Proton::advance_ms(50);
    s.run();
    CHECK(s.theirs == Events({PN_PROACTOR_TIMEOUT}));
    // It is Proton's now, as without lws.
    lws_proton_set_timeout(s.proactor, 10);
    CHECK_EQ(s.proton.timeouts.back(), 10u);
    lws_proton_cancel_timeout(s.proactor);
    CHECK(!s.proton.timeout_is_set());
    s.loop = lws_proton_loop_new(1, s.host.table(), &s.host, s.proactor);
    lws_proton_loop_started(s.loop);
}

void unsent_bytes_outlive_the_context(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    {
        const Entered entered(s.loop, wsi.conn->tsi);
        wsi.send("to be read later");
    }
    s.lws_closes_everything();
    s.free();
    s.run();
    CHECK_EQ(lws_proton_held(s.proactor), 1u);
    raw.peer_takes = SIZE_MAX;
    s.run();
    CHECK_EQ(raw.peer_got, "to be read later");
    CHECK_EQ(lws_proton_held(s.proactor), 0u);
    CHECK(s.theirs.empty());
    s.loop = lws_proton_loop_new(1, s.host.table(), &s.host, s.proactor);
    lws_proton_loop_started(s.loop);
}

void a_callback_s_destroy_waits_for_its_end(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [&](Wsi &w, int events) {
        Wsi::as_lws(w, events);
        expect(lws_proton_loop_stop(s.loop) == 1, "it is put off");
        expect(s.host.destroys == 0, "not in the callback");
    };
    raw.peer_sends("x");
    s.run();
    CHECK_EQ(s.host.destroys, 1u);
}

void a_pt_can_be_entered_again_but_not_another(ScriptedLoop &s) {
    CHECK_EQ(lws_proton_loop_enter(s.loop, 1), 0);
    CHECK_EQ(lws_proton_loop_enter(s.loop, 1), 0);
    CHECK_EQ(lws_proton_loop_enter(s.loop, 0), -1);
    lws_proton_loop_leave(s.loop);
    CHECK_EQ(lws_proton_loop_this_tsi(s.loop), 1);
    lws_proton_loop_leave(s.loop);
    CHECK_EQ(lws_proton_loop_this_tsi(s.loop), -1);
}

void all_pts_can_be_entered(ScriptedLoop &s) {
    CHECK_EQ(lws_proton_loop_enter(s.loop, -1), 0);
    CHECK(lws_proton_loop_serves(s.loop, 0));
    CHECK(lws_proton_loop_serves(s.loop, 1));
    CHECK_EQ(lws_proton_loop_enter(s.loop, 1), 0);
    lws_proton_loop_leave(s.loop);
    CHECK(lws_proton_loop_serves(s.loop, 0));
    // What is asked for meanwhile is done in the end.
    CHECK_EQ(lws_proton_loop_stop(s.loop), 1);
    CHECK_EQ(s.host.destroys, 0u);
    lws_proton_loop_leave(s.loop);
    CHECK_EQ(s.host.destroys, 1u);
    CHECK(!lws_proton_loop_serves(s.loop, 0));
    // One pt is not all.
    CHECK_EQ(lws_proton_loop_enter(s.loop, 0), 0);
    CHECK_EQ(lws_proton_loop_enter(s.loop, -1), -1);
    lws_proton_loop_leave(s.loop);
}

lws_proton_conn *adopt(ScriptedLoop &s, pn_raw_connection_t &raw) {
    lws_proton_conn *conn = nullptr;
    pn_raw_connection_wake(&raw);
    s.on_theirs = [&](pn_event_t *event) {
        if (pn_event_type(event) != PN_RAW_CONNECTION_WAKE)
            return;
        errno = 0;
        conn = lws_proton_loop_adopt(s.loop, &raw);
    };
    s.run_one();
    s.on_theirs = nullptr;
    return conn;
}

void an_adopted_connection_is_lws_s(ScriptedLoop &s) {
    pn_raw_connection_t &raw = accept_one(s);
    lws_proton_conn *conn = adopt(s, raw);
    CHECK(conn);
    Wsi &wsi = [&]() -> Wsi & {
        const Entered entered(s.loop, lws_proton_conn_tsi(conn));
        return s.host.adopt(conn);
    }();
    s.theirs.clear();
    raw.peer_sends("hello");
    s.run();
    CHECK_EQ(wsi.received, "hello");
    raw.peer_ends();
    s.run();
    CHECK(!wsi.conn);
    CHECK(raw.freed);
    CHECK(s.theirs.empty());
}

void what_proton_holds_buffers_of_is_not_adopted(ScriptedLoop &s) {
    pn_raw_connection_t &raw = accept_one(s);
    char bytes[100];
    pn_raw_connection_wake(&raw);
    s.on_theirs = [&](pn_event_t *event) {
        pn_raw_buffer_t buffer = {};
        switch (pn_event_type(event)) {
        case PN_RAW_CONNECTION_WAKE:
            buffer.bytes = bytes;
            buffer.capacity = sizeof(bytes);
            pn_raw_connection_give_read_buffers(&raw, &buffer, 1);
            errno = 0;
            expect(!lws_proton_loop_adopt(s.loop, &raw), "it is refused");
            expect(errno == EBUSY, "EBUSY");
            pn_raw_connection_close(&raw);
            break;
        case PN_RAW_CONNECTION_READ:
        case PN_RAW_CONNECTION_DRAIN_BUFFERS:
        case PN_RAW_CONNECTION_DISCONNECTED:
            while (pn_raw_connection_take_read_buffers(&raw, &buffer, 1)) {
            }
            break;
        default:
            break;
        }
    };
    s.run();
    s.on_theirs = nullptr;
    CHECK(s.theirs.back() == PN_RAW_CONNECTION_DISCONNECTED);
}

void a_connection_is_adopted_once(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    CHECK(!lws_proton_loop_adopt(s.loop, &raw));
    CHECK_EQ(errno, EALREADY);
    CHECK(wsi.conn);
}

void a_loop_that_drains_adopts_nothing(ScriptedLoop &s) {
    pn_raw_connection_t &raw = accept_one(s);
    lws_proton_loop_drain(s.loop, 60000);
    s.run();
    pn_raw_connection_wake(&raw);
    s.on_theirs = [&](pn_event_t *event) {
        if (pn_event_type(event) != PN_RAW_CONNECTION_WAKE)
            return;
        errno = 0;
        expect(!lws_proton_loop_adopt(s.loop, &raw) && errno == ECONNREFUSED, "it is refused");
        pn_raw_connection_close(&raw);
    };
    s.run();
    s.on_theirs = nullptr;
    CHECK(s.theirs.back() == PN_RAW_CONNECTION_DISCONNECTED);
}

}  // namespace

#define FOREIGN_TEST_OF(name, version, suffix)                                                     \
    {                                                                                              \
#name suffix, e2e::run_body < in_scripted_loop < name, Version::version, 2, true>>,        \
            nullptr, nullptr, nullptr                                                              \
    }
#define FOREIGN_TEST(name)                                                                         \
    FOREIGN_TEST_OF(name, v0_37, ""), FOREIGN_TEST_OF(name, v0_40, " (0.40)"),                     \
        FOREIGN_TEST_OF(name, backports, " (back-ports)")

int main() {
    const CMUnitTest tests[] = {
        FOREIGN_TEST(a_connection_is_served),
        FOREIGN_TEST(what_is_the_application_s_is_left_to_it),
        FOREIGN_TEST(a_wake_is_no_interrupt),
        FOREIGN_TEST(nothing_is_armed_without_a_deadline),
        FOREIGN_TEST(each_gets_its_own_timeout),
        FOREIGN_TEST(a_timeout_that_was_cancelled_does_not_come),
        FOREIGN_TEST(the_application_s_timeout_outlives_the_context),
        FOREIGN_TEST(unsent_bytes_outlive_the_context),
        FOREIGN_TEST(a_callback_s_destroy_waits_for_its_end),
        FOREIGN_TEST(a_pt_can_be_entered_again_but_not_another),
        FOREIGN_TEST(all_pts_can_be_entered),
        FOREIGN_TEST(an_adopted_connection_is_lws_s),
        FOREIGN_TEST(what_proton_holds_buffers_of_is_not_adopted),
        FOREIGN_TEST(a_connection_is_adopted_once),
        FOREIGN_TEST(a_loop_that_drains_adopts_nothing),
    };
    return cmocka_run_group_tests_name("foreign", tests, nullptr, nullptr);
}
