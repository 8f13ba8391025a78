// The raw-connection transport: connections that lws has closed and whose peers read nothing.
#include "scripted_loop.hpp"

#include <algorithm>
#include <chrono>

using namespace scripted;

namespace {

constexpr size_t kTx = LWS_PROTON_TX;

// Its peer takes nothing. Of a whole window one half was given before the close.
pn_raw_connection_t &linger(ScriptedLoop &s, size_t bytes = 10) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send(pattern(bytes));
    s.run();
    wsi.close();
    s.run();
    return raw;
}

// With lws_service() called meanwhile.
void pass(ScriptedLoop &s, int64_t ms) {
    for (; ms > 0; ms -= LWS_PROTON_HEARTBEAT_MS) {
        Proton::advance_ms(LWS_PROTON_HEARTBEAT_MS);
        s.run();
    }
}

// One whose peer takes half of it a heartbeat before `limit_ms` is over; then again as much time passes.
pn_raw_connection_t &take_some_just_before(ScriptedLoop &s, int64_t limit_ms) {
    pn_raw_connection_t &raw = linger(s, kTx);
    pass(s, limit_ms - LWS_PROTON_HEARTBEAT_MS);
    raw.peer_takes = kTx / 2;
    s.run();
    pass(s, limit_ms - LWS_PROTON_HEARTBEAT_MS);
    return raw;
}

void many_may_linger_and_then_new_connections_are_refused(ScriptedLoop &s) {
    s.host.log.clear();  // the first loop of the process warns of Proton's accept()
    for (int i = 0; i < LWS_PROTON_LINGER_MAX; i++)
        linger(s);
    CHECK_EQ(s.stats().lingering, size_t(LWS_PROTON_LINGER_MAX));
    const size_t adopted = s.host.wsis.size();
    for (int i = 0; i < 3; i++) {
        pn_raw_connection_t &refused = s.begin_to_connect();
        s.run();
        CHECK_EQ(refused.closes, 1);
        CHECK(refused.freed);
    }
    CHECK_EQ(s.host.wsis.size(), adopted);
    CHECK_EQ(s.host.log.size(), 1u);  // said once
    CHECK(s.host.log[0].find("refusing") != std::string::npos);

    s.proton.connections[0]->peer_takes = SIZE_MAX;  // one of them ends
    s.run();
    s.connect();
}

void refusing_is_said_again_after_it_had_ended(ScriptedLoop &s) {
    const auto refusals = [&s] {
        s.begin_to_connect();
        s.run();
        return std::count_if(s.host.log.begin(), s.host.log.end(), [](const std::string &line) {
            return line.find("refusing") != std::string::npos;
        });
    };
    for (int i = 0; i < LWS_PROTON_LINGER_MAX; i++)
        linger(s);
    CHECK_EQ(refusals(), 1);
    s.proton.connections[0]->peer_takes = SIZE_MAX;
    s.run();
    Proton::advance_ms(LWS_PROTON_HEARTBEAT_MS);
    s.run();
    linger(s);
    CHECK_EQ(refusals(), 2);
}

void lingering_is_reported_once_it_is_long(ScriptedLoop &s) {
    linger(s);
    pass(s, LWS_PROTON_LINGER_REPORT_MS - LWS_PROTON_HEARTBEAT_MS);
    linger(s);
    CHECK(s.host.log.empty());
    pass(s, LWS_PROTON_HEARTBEAT_MS);
    CHECK_EQ(s.host.log.size(), 1u);
    CHECK_EQ(s.host.log[0].substr(0, 20), "1 connections linger");
    pass(s, 3 * LWS_PROTON_HEARTBEAT_MS);
    CHECK_EQ(s.host.log.size(), 1u);
    pass(s, LWS_PROTON_HEARTBEAT_MS);
    CHECK_EQ(s.host.log.size(), 2u);
    CHECK_EQ(s.host.log[1].substr(0, 20), "2 connections linger");
    CHECK(s.host.log[1].find("(1 more") != std::string::npos);

    // one of those reported ends: the next report does not count it
    s.proton.connections[0]->peer_takes = SIZE_MAX;
    s.run();
    linger(s);
    pass(s, LWS_PROTON_LINGER_REPORT_MS);
    CHECK_EQ(s.host.log.size(), 3u);
    CHECK_EQ(s.host.log[2].substr(0, 20), "2 connections linger");
}

void a_peer_that_takes_some_is_not_reported(ScriptedLoop &s) {
    take_some_just_before(s, LWS_PROTON_LINGER_REPORT_MS);
    CHECK(s.host.log.empty());
    pass(s, LWS_PROTON_HEARTBEAT_MS);
    CHECK_EQ(s.host.log.size(), 1u);
}

void what_lingers_for_ever_is_only_reported(ScriptedLoop &s) {
    linger(s);
    pass(s, 2 * LWS_PROTON_LINGER_ABORT_MS);
    CHECK_EQ(s.stats().lingering, 1u);
    CHECK_EQ(s.host.log.size(), 1u);
}

void what_lingers_for_too_long_is_aborted(ScriptedLoop &s) {
    pn_raw_connection_t &raw = linger(s);
    pass(s, LWS_PROTON_LINGER_ABORT_MS - LWS_PROTON_HEARTBEAT_MS);
    pn_raw_connection_t &later = linger(s);
    CHECK_EQ(raw.aborts, 0);
    pass(s, LWS_PROTON_HEARTBEAT_MS);
    CHECK_EQ(raw.aborts, 1);
    CHECK(raw.freed);
    CHECK_EQ(later.aborts, 0);
    CHECK_EQ(s.stats().lingering, 1u);
    CHECK_EQ(s.stats().connections, 1u);
    CHECK_EQ(s.host.log.back().substr(0, 32), "1 lingering connections aborted:");
}

void a_peer_that_takes_some_is_not_aborted(ScriptedLoop &s) {
    pn_raw_connection_t &raw = take_some_just_before(s, LWS_PROTON_LINGER_ABORT_MS);
    CHECK_EQ(raw.aborts, 0);
    pass(s, LWS_PROTON_HEARTBEAT_MS);
    CHECK_EQ(raw.aborts, 1);
    CHECK(raw.freed);
}

void of_too_many_that_linger_the_oldest_is_aborted(ScriptedLoop &s) {
    for (int i = 0; i < LWS_PROTON_LINGER_MAX; i++)
        linger(s);
    const auto &raws = s.proton.connections;
    CHECK_EQ(raws[0]->aborts, 0);
    for (int i = 0; i < 3; i++) {
        linger(s);
        CHECK_EQ(s.stats().lingering, size_t(LWS_PROTON_LINGER_MAX));
        CHECK_EQ(raws[i]->aborts, 1);
        CHECK(raws[i]->freed);
        CHECK_EQ(raws[i + 1]->aborts, 0);
    }
    CHECK_EQ(s.host.log.size(), 1u);  // said once
    CHECK(s.host.log[0].find("the oldest is aborted") != std::string::npos);
}

void one_that_ends_by_itself_may_be_aborted_too(ScriptedLoop &s) {
    pn_raw_connection_t &raw = linger(s);
    // The abort is on its way.
    Proton::advance_ms(LWS_PROTON_LINGER_ABORT_MS);
    s.run_one();
    CHECK_EQ(raw.aborts, 1);
    CHECK(!raw.freed);
    CHECK_EQ(s.stats().lingering, 0u);
    raw.peer_takes = SIZE_MAX;
    raw.peer_resets();
    s.run();
    CHECK(raw.freed);
    CHECK_EQ(s.stats().connections, 0u);
}

void a_loop_that_is_freed_waits_for_unsent_bytes_but_not_for_ever() {
    for (Version version : {Version::v0_37, Version::v0_40}) {
        ScriptedLoop s(version);
        auto [raw, wsi] = s.connect();
        raw.peer_takes = 0;
        wsi.send("never read");
        wsi.close();
        s.listeners[0]->close();
        const auto began = std::chrono::steady_clock::now();
        s.free();
        const auto took = std::chrono::steady_clock::now() - began;
        CHECK(took >= std::chrono::milliseconds(LWS_PROTON_DRAIN_MS));
        CHECK(took < std::chrono::milliseconds(2 * LWS_PROTON_DRAIN_MS));
        CHECK_EQ(s.proton.proactors_freed, 0);  // it would leak what it holds
        CHECK_EQ(s.host.log.size(), 1u);
        CHECK(s.host.log[0].find("1 connections linger beyond") != std::string::npos);
        forget_loans();
    }
}

void a_loop_that_is_freed_aborts_in_the_end() {
    ScriptedLoop s(Version::backports);
    pn_raw_connection_t &raw = linger(s);
    s.listeners[0]->close();
    s.free();
    CHECK_EQ(raw.aborts, 1);
    CHECK(raw.freed);
    CHECK_EQ(s.proton.proactors_freed, 1);
    CHECK(s.host.log.empty());
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        NO_ABORT_TEST(many_may_linger_and_then_new_connections_are_refused),
        NO_ABORT_TEST(refusing_is_said_again_after_it_had_ended),
        PROTON_TEST(lingering_is_reported_once_it_is_long),
        PROTON_TEST(a_peer_that_takes_some_is_not_reported),
        NO_ABORT_TEST(what_lingers_for_ever_is_only_reported),
        ABORT_TEST(what_lingers_for_too_long_is_aborted),
        ABORT_TEST(a_peer_that_takes_some_is_not_aborted),
        ABORT_TEST(of_too_many_that_linger_the_oldest_is_aborted),
        ABORT_TEST(one_that_ends_by_itself_may_be_aborted_too),
        E2E_TEST(a_loop_that_is_freed_waits_for_unsent_bytes_but_not_for_ever),
        E2E_TEST(a_loop_that_is_freed_aborts_in_the_end),
    };
    return cmocka_run_group_tests_name("raw_lingering", tests, nullptr, nullptr);
}
