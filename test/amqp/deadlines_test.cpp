// SPDX-License-Identifier: MIT
//
// A peer that does not do what it owes: open AMQP within its deadline, and say something within each
// idle time. Over TCP and over WebSocket.
#include "peer.hpp"
#include "test_main.hpp"

using namespace amqp_test;

namespace {

constexpr uint32_t kOpenMs = 150, kIdleMs = 300;
// At this pace all up to the open takes longer than the deadline.
constexpr auto kBytePause = std::chrono::milliseconds(10);

const std::string kHeader("AMQP\0\1\0\0", 8);
const std::string kSaslHeader("AMQP\3\1\0\0", 8);
// 5.3.3.2: a client's choice of ANONYMOUS.
const std::string kSaslInit("\0\0\0\x1c\2\1\0\0\0\x53\x41\xc0\x0f\1\xa3\x0c"
                            "ANONYMOUS\0\0\0",
                            28);
// 2.7.1: an open with no more than a container id.
const std::string kOpen("\0\0\0\x14\2\0\0\0\0\x53\x10\xc0\7\1\xa1\4test", 20);

// A peer whose bytes are the test's: of its engine's none go out.
struct Scene {
    Receiving application;
    Endpoint endpoint;
    Peer peer;
    const bool tcp;

    Scene(bool over_tcp, uint32_t open_ms, uint32_t idle_ms)
        : endpoint(configured(open_ms, idle_ms), over_tcp ? Endpoint::tcp() : nullptr),
          peer(endpoint), tcp(over_tcp) {
        if (!tcp)
            CHECK_EQ(peer.upgrade(), 101);
        peer.begin();
        peer.wrap = [](std::string_view) { return std::string(); };
        peer.on = [](pn_event_t *) {};
        peer.run();
    }

    Receiving &configured(uint32_t open_ms, uint32_t idle_ms) {
        application.amqp().open_ms = open_ms;
        application.amqp().idle_ms = idle_ms;
        return application;
    }

    void say(std::string_view bytes) {
        peer.send(tcp ? Peer::as_it_is(bytes) : Peer::one_message(bytes));
        peer.run();
    }

    void check_ended(const std::string &condition) {
        CHECK_EQ(application.begun, 1);
        CHECK_EQ(application.failed, 1);
        CHECK_EQ(application.ended, 1);
        // Of half a frame Proton adds what it says of any.
        CHECK_EQ(application.condition.find(condition), 0u);
        CHECK_EQ(peer.close_code, tcp ? 0 : 1008);
        CHECK(tcp || peer.close_reason.find(condition) == 0);
        CHECK(peer.finished());
        peer.cut();
        CHECK_EQ(endpoint.context.stats().connections, 0u);
    }
};

template <typename Body> void over_each_carrier(Body body) {
    for (const bool tcp : {false, true})
        body(tcp);
}

const std::string kLate =
    "amqp:resource-limit-exceeded: the peer did not open the connection in time";

void who_does_not_open_is_ended_in_time() {
    for (const std::string &said :
         {std::string(), std::string("A"), kHeader.substr(0, 7), kHeader, kSaslHeader,
          kSaslHeader + kSaslInit, kSaslHeader + kSaslInit + kHeader, kHeader + kOpen.substr(0, 19)})
        over_each_carrier([&](bool tcp) {
            Scene scene(tcp, kOpenMs, LWS_PROTON_AMQP_NEVER);
            const auto begun = std::chrono::steady_clock::now();
            if (!said.empty())
                scene.say(said);
            scene.peer.run_until("the end", [&] { return scene.peer.finished(); });
            CHECK(std::chrono::steady_clock::now() - begun >=
                  std::chrono::milliseconds(kOpenMs - 50));
            scene.check_ended(kLate);
        });
}

void bytes_one_by_one_do_not_move_the_deadline() {
    over_each_carrier([](bool tcp) {
        Scene scene(tcp, kOpenMs, LWS_PROTON_AMQP_NEVER);
        const std::string all = kSaslHeader + kSaslInit + kHeader + kOpen;
        size_t said = 0;
        auto next = std::chrono::steady_clock::now();
        scene.peer.run_until("the end", [&] {
            if (scene.peer.finished())
                return true;
            const auto now = std::chrono::steady_clock::now();
            if (now >= next && said < all.size()) {
                next = now + kBytePause;
                scene.say(all.substr(said++, 1));
            }
            return false;
        });
        CHECK_LE(said, all.size() - 1);
        scene.check_ended(kLate);
    });
}

// Most of the time has passed before the application knew what the connection was for.
void the_deadline_of_an_adopted_connection_is_from_its_accept() {
    Receiving application;
    application.amqp().open_ms = 3600 * 1000;
    Endpoint endpoint(application, Endpoint::tcp());
    Peer peer(endpoint, Peer::Adopted::not_yet);
    lws_proton_conn *c = lws_proton_driver_conn(peer.driver());
    const uint32_t age = application.amqp().open_ms - kOpenMs;
    CHECK_EQ(lws_proton_amqp_adopt(endpoint.vhost, "amqp", c, "AMQP", 4, age), 0);
    peer.run_until("the end", [&] { return peer.finished(); });
    CHECK_EQ(application.condition, kLate);
}

void who_opens_in_time_stays_until_it_is_idle() {
    over_each_carrier([](bool tcp) {
        Scene scene(tcp, kOpenMs, kOpenMs + kIdleMs);
        scene.say(kHeader + kOpen);
        CHECK_EQ(scene.application.count("CONNECTION_REMOTE_OPEN"), 1u);
        // AMQP asks for half of it.
        CHECK_EQ(pn_transport_get_remote_idle_timeout(scene.peer.engine()->transport),
                 (kOpenMs + kIdleMs) / 2);
        const e2e::Deadline beyond(std::chrono::milliseconds(kOpenMs + 50));
        scene.peer.run_until("more than the deadline", [&] { return beyond.passed(); });
        CHECK_EQ(scene.application.ended, 0);
        scene.peer.run_until("the end", [&] { return scene.peer.finished(); });
        pn_condition_t *told = pn_connection_remote_condition(scene.peer.engine()->connection);
        CHECK_EQ(std::string(pn_condition_get_name(told)), "amqp:resource-limit-exceeded");
        scene.check_ended("amqp:resource-limit-exceeded: local-idle-timeout expired");
    });
}

void deadlines_have_defaults_and_may_be_left_out() {
    Receiving application;
    Endpoint endpoint(application, Endpoint::tcp());
    std::vector<pn_millis_t> idle;
    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_CONNECTION_BOUND)
            idle.push_back(pn_transport_get_idle_timeout(pn_event_transport(event)));
    };
    Peer usual(endpoint);
    usual.run();
    application.on_accept = [](lws *, pn_connection_t *, pn_transport_t *transport) {
        pn_transport_set_idle_timeout(transport, 0);
        return 0;
    };
    Peer without(endpoint);
    without.run();
    application.on_accept = nullptr;
    application.amqp().idle_ms = application.amqp().open_ms = LWS_PROTON_AMQP_NEVER;
    Peer never(endpoint);
    never.run();
    CHECK(idle == std::vector<pn_millis_t>({LWS_PROTON_AMQP_IDLE_MS, 0, 0}));
    const int due = lws_proton_loop_tick(endpoint.loop());
    CHECK_LE(due, LWS_PROTON_AMQP_OPEN_MS);
    usual.cut();
    without.cut();
    CHECK(lws_proton_loop_tick(endpoint.loop()) < 0 ||
          lws_proton_loop_tick(endpoint.loop()) > LWS_PROTON_AMQP_OPEN_MS);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(who_does_not_open_is_ended_in_time),
        E2E_TEST(bytes_one_by_one_do_not_move_the_deadline),
        E2E_TEST(the_deadline_of_an_adopted_connection_is_from_its_accept),
        E2E_TEST(who_opens_in_time_stays_until_it_is_idle),
        E2E_TEST(deadlines_have_defaults_and_may_be_left_out),
    };
    return cmocka_run_group_tests_name("amqp_deadlines", tests, nullptr, nullptr);
}
