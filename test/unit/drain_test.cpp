// How a loop has its connections end: when which phase comes, to which pt, and when it is over.
#include "scripted_loop.hpp"

#include "drain.hpp"

#include <vector>

using namespace scripted;
using lws_proton::Drain;
using lws_proton::kMs;
using lws_proton::kNever;

namespace {

using Phases = std::vector<std::pair<int, int>>;  // of which pt, and which

constexpr int64_t kNow = 1000 * 1000 * kMs;

void it_begins_quietly_tells_and_cuts() {
    Drain drain;
    CHECK(!drain.begun());
    drain.begin(kNow, 10000);
    CHECK(drain.begun());
    CHECK_EQ(drain.phase(kNow), LWS_PROTON_DRAIN_QUIET);
    CHECK_EQ(drain.next(kNow), kNow + LWS_PROTON_DRAIN_QUIET_MS * kMs);
    const int64_t tell = kNow + LWS_PROTON_DRAIN_TELL_MS * kMs, cut = kNow + 10000 * kMs;
    CHECK_EQ(drain.phase(tell - 1), LWS_PROTON_DRAIN_QUIET);
    CHECK_EQ(drain.next(tell - 1), tell);
    CHECK_EQ(drain.phase(tell), LWS_PROTON_DRAIN_TELL);
    CHECK_EQ(drain.phase(cut - 1), LWS_PROTON_DRAIN_TELL);
    CHECK_EQ(drain.next(cut - 1), cut);
    CHECK_EQ(drain.phase(cut), LWS_PROTON_DRAIN_CUT);
}

void half_of_a_short_time_is_for_what_is_quiet() {
    Drain drain;
    drain.begin(kNow, 100);
    CHECK_EQ(drain.phase(kNow + 50 * kMs - 1), LWS_PROTON_DRAIN_QUIET);
    CHECK_EQ(drain.phase(kNow + 50 * kMs), LWS_PROTON_DRAIN_TELL);
}

void the_time_only_becomes_shorter() {
    Drain drain;
    drain.begin(kNow, 5000);
    drain.begin(kNow + 1, 60000);
    CHECK_EQ(drain.phase(kNow + 5000 * kMs), LWS_PROTON_DRAIN_CUT);
    drain.begin(kNow + 2, 0);
    CHECK_EQ(drain.phase(kNow + 2), LWS_PROTON_DRAIN_CUT);
    drain.begin(kNow + 3, -1);
    CHECK_EQ(drain.phase(kNow + 2), LWS_PROTON_DRAIN_CUT);
}

// What is armed, until `n` phases have come.
void await_phases(ScriptedLoop &s, size_t n) {
    while (s.host.drains.size() < n)
        s.wait_one();
}

void each_pt_hears_of_it_at_once_and_again(ScriptedLoop &s) {
    s.connect();
    CHECK(!lws_proton_loop_drained(s.loop));
    lws_proton_loop_drain(s.loop, 400);
    s.run();
    CHECK(s.host.drains == Phases({{0, LWS_PROTON_DRAIN_BEGIN}, {1, LWS_PROTON_DRAIN_BEGIN}}));
    await_phases(s, 4);
    CHECK_EQ(s.host.drains[2].second, LWS_PROTON_DRAIN_QUIET);
    while (s.host.drains.back().second != LWS_PROTON_DRAIN_CUT)
        s.wait_one();
    while (!lws_proton_loop_drained(s.loop))
        s.wait_one();
    const size_t calls = s.host.drains.size();
    CHECK_EQ(s.host.drains[calls - 2].second, LWS_PROTON_DRAIN_CUT);
    CHECK_EQ(s.host.drains[calls - 3].second, LWS_PROTON_DRAIN_TELL);
    // Nothing comes after it.
    lws_proton_loop_drain(s.loop, 0);
    s.run();
    CHECK_EQ(s.host.drains.size(), calls);
}

void it_is_over_when_all_have_ended(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    lws_proton_loop_drain(s.loop, 60000);
    s.run();
    wsi.close();
    s.listeners[0]->close();
    CHECK(!lws_proton_loop_drained(s.loop));
    s.run();
    CHECK(lws_proton_loop_drained(s.loop));
}

void a_second_call_cuts_now(ScriptedLoop &s) {
    s.connect();
    lws_proton_loop_drain(s.loop, 60000);
    s.run();
    s.host.drains.clear();
    lws_proton_loop_drain(s.loop, 0);
    s.run();
    CHECK(s.host.drains == Phases({{0, LWS_PROTON_DRAIN_CUT}, {1, LWS_PROTON_DRAIN_CUT}}));
    CHECK(lws_proton_loop_drained(s.loop));
}

void a_callback_may_call_it(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [&](Wsi &w, int) {
        w.recv(100);
        lws_proton_loop_drain(s.loop, 60000);
    };
    raw.peer_sends("x");
    s.run();
    CHECK_EQ(s.host.drains.size(), 2u);
}

void what_lingers_is_aborted_after_the_cut(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    raw.peer_takes = 0;
    wsi.send("x");
    wsi.close();
    s.run();
    CHECK_EQ(s.stats().lingering, 1u);
    lws_proton_loop_drain(s.loop, 0);
    s.run();
    CHECK_EQ(s.stats().lingering, 0u);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(it_begins_quietly_tells_and_cuts),
        E2E_TEST(half_of_a_short_time_is_for_what_is_quiet),
        E2E_TEST(the_time_only_becomes_shorter),
        PROTON_TEST_TWO_PTS(each_pt_hears_of_it_at_once_and_again),
        PROTON_TEST(it_is_over_when_all_have_ended),
        PROTON_TEST_TWO_PTS(a_second_call_cuts_now),
        PROTON_TEST_TWO_PTS(a_callback_may_call_it),
        ABORT_TEST(what_lingers_is_aborted_after_the_cut),
    };
    return cmocka_run_group_tests_name("drain", tests, nullptr, nullptr);
}
