// SPDX-License-Identifier: MIT
//
// Flow control both ways, idle time-outs and wakes, of a server whose peer is the test's.
#include "peer.hpp"
#include "test_main.hpp"

#include <optional>
#include <thread>

using namespace amqp_test;

namespace {

constexpr size_t kMessage = 10000;

// An application that sends as much as there is credit, to whoever receives.
class Flooding : public Receiving {
public:
    size_t total = 0, made = 0;  // messages
    size_t size = kMessage;

    void flood(pn_link_t *link) {
        for (; pn_link_credit(link) > 0 && made < total; made++) {
            pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&made), sizeof(made)));
            const std::string message(size, static_cast<char>('a' + made % 26));
            pn_link_send(link, message.data(), message.size());
            pn_link_advance(link);
        }
    }

protected:
    void usual(pn_event_t *event) override {
        Receiving::usual(event);
        pn_link_t *link = pn_event_link(event);
        if (!link || !pn_link_is_sender(link))
            return;
        if (pn_event_type(event) == PN_DELIVERY && pn_delivery_updated(pn_event_delivery(event)))
            pn_delivery_settle(pn_event_delivery(event));
        if (pn_event_type(event) == PN_LINK_FLOW || pn_event_type(event) == PN_DELIVERY)
            flood(link);
    }
};

// A peer that receives, with so much credit.
void receive(Peer &peer, int credit, std::vector<std::string> &messages) {
    peer.sending.close = false;
    peer.on = [&peer, credit, &messages](pn_event_t *event) {
        pn_link_t *link = pn_event_link(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_INIT: {
            pn_connection_t *c = pn_event_connection(event);
            pn_connection_open(c);
            pn_session_t *session = pn_session(c);
            pn_session_open(session);
            pn_link_t *receiver = pn_receiver(session, "receiver");
            pn_link_open(receiver);
            pn_link_flow(receiver, credit);
            break;
        }
        case PN_DELIVERY: {
            pn_delivery_t *delivery = pn_event_delivery(event);
            if (pn_delivery_partial(delivery))
                break;
            std::string message(pn_delivery_pending(delivery), '\0');
            pn_link_recv(link, message.data(), message.size());
            messages.push_back(std::move(message));
            pn_delivery_update(delivery, PN_ACCEPTED);
            pn_delivery_settle(delivery);
            pn_link_flow(link, 1);
            break;
        }
        default:
            break;
        }
    };
}

void what_is_sent_to_a_peer_that_does_not_read_stays_in_deliveries() {
    Flooding application;
    application.total = 20;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    CHECK_EQ(peer.upgrade(), 101);
    std::vector<std::string> messages;
    receive(peer, 2000, messages);
    peer.begin();
    pn_link_t *sender = nullptr;
    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_LINK_FLOW) {
            peer.reading = false;
            sender = pn_event_link(event);
        }
        if (pn_event_type(event) == PN_CONNECTION_WAKE) {
            application.total += 100;
            application.flood(sender);
        }
    };
    peer.run();
    CHECK_EQ(application.made, 20u);
    for (int i = 0; i < 10; i++) {
        lws_proton_amqp_wake(application.connection);
        peer.run_until("the wake", [&] { return application.count("CONNECTION_WAKE") == i + 1u; });
    }
    CHECK_EQ(application.made, 1020u);
    CHECK_GE(pn_session_outgoing_bytes(pn_link_session(sender)), 1000 * kMessage);
    CHECK_LE(endpoint.context.stats().buffer_bytes, size_t{LWS_PROTON_RX + LWS_PROTON_TX});
    peer.reading = true;
    application.on = {};
    peer.run();
    CHECK_EQ(messages.size(), 1020u);
    for (size_t i = 0; i < messages.size(); i++)
        CHECK(messages[i] == std::string(kMessage, static_cast<char>('a' + i % 26)));
    CHECK_LE(peer.largest_message, size_t{LWS_PROTON_AMQP_PIECE});
}

void check_unread(const Peer::Wrap &wrap) {
    Flooding application;
    application.total = 1000;
    application.keep_events = false;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    CHECK_EQ(peer.upgrade(), 101);
    peer.wrap = wrap;
    std::vector<std::string> messages;
    receive(peer, 1000, messages);
    peer.begin();
    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_LINK_FLOW)
            peer.reading = false;
    };
    peer.run();
    // Frames that say nothing: heartbeats.
    std::string frames;
    for (int i = 0; i < 1000; i++)
        frames.append("\0\0\0\x08\2\0\0\0", 8);
    const std::string many = peer.wrap(frames);
    size_t offered = 0;
    while (!peer.unsent() && offered < 2 * LWS_PROTON_AMQP_UNREAD) {
        peer.send(many);
        offered += many.size();
        peer.run();
    }
    CHECK_GE(offered, size_t{LWS_PROTON_AMQP_UNREAD});
    CHECK_LE(offered, LWS_PROTON_AMQP_UNREAD + LWS_PROTON_AMQP_UNREAD / 10u);
    // It reads a little, and so is read a little.
    application.on = {};
    peer.reading = true;
    size_t taken = 0;
    const size_t before = offered;
    for (; taken < LWS_PROTON_AMQP_UNREAD / 4; taken += many.size()) {
        peer.appetite = many.size();
        peer.run();
        for (; !peer.unsent() && offered < before + LWS_PROTON_AMQP_UNREAD; peer.run()) {
            peer.send(many);
            offered += many.size();
        }
    }
    CHECK_GE(offered - before, taken / 2);
    CHECK_LE(offered - before, taken + LWS_PROTON_AMQP_UNREAD / 10u);
    // It reads all, and so is read as ever.
    peer.appetite = SIZE_MAX;
    peer.run();
    CHECK_EQ(peer.unsent(), 0u);
    CHECK_EQ(messages.size(), 1000u);
    CHECK_EQ(application.failed, 0);
}

void a_peer_that_does_not_read_is_not_read_for_ever() {
    check_unread(Peer::one_message);
}

void nor_is_it_in_the_midst_of_a_frame() {
    check_unread(Peer::endless_frame());
}

void what_is_sent_on_a_wake_goes_with_the_answer() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.messages = {"first"};
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    peer.run();
    CHECK_EQ(peer.sending.settled, 1u);

    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_DELIVERY)
            lws_proton_amqp_wake(application.connection);
        else if (pn_event_type(event) == PN_CONNECTION_WAKE)
            pn_session_open(pn_session(application.connection));
    };
    peer.messages = 0;
    pn_link_t *link = pn_link_head(peer.engine()->connection, 0);
    pn_delivery(link, pn_dtag("second", 6));
    pn_link_send(link, "second", 6);
    pn_link_advance(link);
    peer.run();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 1u);
    CHECK_EQ(peer.sending.settled, 2u);
    CHECK(pn_session_next(pn_session_head(peer.engine()->connection, 0), 0));
    CHECK_EQ(peer.messages, 1);
}

void an_idle_peer_is_ended_and_told_why() {
    Receiving application;
    application.on_accept = [](lws *, pn_connection_t *, pn_transport_t *transport) {
        pn_transport_set_idle_timeout(transport, 200);
        return 0;
    };
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    peer.run();
    CHECK_EQ(application.failed, 0);
    peer.run_until("the idle time-out", [&] { return peer.finished(); });
    CHECK_EQ(application.condition, "amqp:resource-limit-exceeded: local-idle-timeout expired");
    CHECK_EQ(application.ended, 1);
    CHECK_EQ(peer.close_code, 1008);
    CHECK_EQ(std::string(
                 pn_condition_get_name(pn_connection_remote_condition(peer.engine()->connection))),
             "amqp:resource-limit-exceeded");
}

void an_idle_peer_that_does_not_read_is_ended_too() {
    Flooding application;
    application.total = 1000;
    application.on_accept = [](lws *, pn_connection_t *, pn_transport_t *transport) {
        pn_transport_set_idle_timeout(transport, 200);
        return 0;
    };
    Endpoint endpoint(application);
    Peer peer(endpoint);
    CHECK_EQ(peer.upgrade(), 101);
    std::vector<std::string> messages;
    receive(peer, 1000, messages);
    peer.begin();
    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_LINK_FLOW)
            peer.reading = false;
    };
    peer.run_until("the end", [&] { return application.ended == 1; });
    CHECK_EQ(application.condition, "amqp:resource-limit-exceeded: local-idle-timeout expired");
}

void a_peer_that_sends_is_not_idle() {
    Receiving application;
    application.on_accept = [](lws *, pn_connection_t *, pn_transport_t *transport) {
        pn_transport_set_idle_timeout(transport, 1000);
        return 0;
    };
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    peer.run();
    const e2e::Deadline thrice(std::chrono::milliseconds(3000));
    peer.run_until("three times the time-out", [&] {
        peer.send(Peer::one_message({"\0\0\0\x08\2\0\0\0", 8}));
        return thrice.passed();
    });
    CHECK_EQ(application.condition, "");
}

void a_peer_that_wants_heartbeats_gets_them() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    pn_transport_set_idle_timeout(peer.engine()->transport, 200);
    peer.run();
    const uint64_t frames = pn_transport_get_frames_input(peer.engine()->transport);
    peer.run_until("heartbeats", [&] {
        return pn_transport_get_frames_input(peer.engine()->transport) >= frames + 5;
    });
    CHECK_EQ(application.failed, 0);
}

void an_idle_time_out_of_a_millisecond_does_not_spin() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    pn_transport_set_idle_timeout(peer.engine()->transport, 2);  // it tells half of its own
    peer.run();
    CHECK_EQ(pn_transport_get_remote_idle_timeout(pn_connection_transport(application.connection)),
             1u);
    // When it is to come again: a busy machine makes it less, but not always.
    int most = 0;
    for (int i = 0; i < 100; i++) {
        most = std::max(most, lws_proton_loop_tick(endpoint.loop()));
        peer.run();
    }
    CHECK_GE(most, 5);
    CHECK_EQ(application.failed, 0);
}

void wakes_are_told_once_from_any_thread() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    peer.run();
    lws_proton_amqp_waker_t *waker = lws_proton_amqp_waker(application.connection);
    std::thread([&] {
        for (int i = 0; i < 1000; i++)
            lws_proton_amqp_waker_wake(waker);
    }).join();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 0u);
    peer.run();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 1u);
    peer.run();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 1u);
    // ... and again, also from inside.
    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_CONNECTION_WAKE && application.count("CONNECTION_WAKE") < 4)
            lws_proton_amqp_waker_wake(waker);
    };
    lws_proton_amqp_wake(application.connection);
    peer.run();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 4u);
    lws_proton_amqp_waker_free(waker);
}

void a_wake_may_come_before_the_websocket_and_after_it() {
    Receiving application;
    lws_proton_amqp_waker_t *waker = nullptr;
    application.on_accept = [&](lws *, pn_connection_t *connection, pn_transport_t *) {
        waker = lws_proton_amqp_waker(connection);
        lws_proton_amqp_waker_wake(waker);
        return 0;
    };
    {
        Endpoint endpoint(application);
        Peer peer(endpoint);
        CHECK_EQ(peer.upgrade(), 101);
        CHECK_EQ(application.count("CONNECTION_WAKE"), 1u);
        lws_proton_amqp_waker_wake(waker);
        peer.cut();
        CHECK_EQ(application.ended, 1);
        lws_proton_amqp_waker_wake(waker);
        lws_proton_loop_tick(endpoint.loop());
    }
    lws_proton_amqp_waker_wake(waker);
    lws_proton_amqp_waker_free(waker);
    CHECK_EQ(application.count("CONNECTION_WAKE"), 1u);
}

// A peer that reads nothing from the moment that messages may be sent to it.
struct Deaf {
    Deaf(uint32_t window, size_t total, size_t size) {
        application.total = total;
        application.size = size;
        lws_proton_windows_t windows = lws_proton_loop_windows(endpoint.loop());
        windows.tx = window;
        CHECK_EQ(lws_proton_loop_set_windows(endpoint.loop(), &windows), 0);
        peer.emplace(endpoint);
        CHECK_EQ(peer->upgrade(), 101);
        receive(*peer, 1000, messages);
        peer->begin();
        application.on = [this](pn_event_t *event) {
            if (pn_event_type(event) == PN_LINK_FLOW)
                peer->reading = false;
        };
        peer->run();
        CHECK_EQ(application.made, total);
    }

    void wake() {
        lws_proton_amqp_wake(application.connection);
        peer->run_until("the wake", [&] { return application.count("CONNECTION_WAKE") == 1; });
    }

    Flooding application;
    Endpoint endpoint{application};
    std::vector<std::string> messages;
    std::optional<Peer> peer;
};

constexpr uint32_t kWindow = 64 * 1024;  // tx, as it comes

void a_wake_reaches_a_connection_whose_peer_does_not_read() {
    Deaf deaf(kWindow, 100, kMessage);
    deaf.wake();
    // Woken and gone before anybody has looked.
    lws_proton_amqp_wake(deaf.application.connection);
    deaf.peer->cut();
    lws_proton_loop_tick(deaf.endpoint.loop());
    CHECK_EQ(deaf.application.ended, 1);
}

void a_wake_reaches_a_connection_whatever_room_is_left() {
    for (size_t left = 0; left < kWindow / 2; left += 500)
        Deaf(kWindow, 1, kWindow - left).wake();
    for (size_t left = kWindow / 4 - 200; left < kWindow / 4 + 200; left += 8)
        Deaf(kWindow, 1, kWindow - left).wake();
    for (size_t size = 500; size < LWS_PROTON_WINDOW_MIN; size += 50)
        Deaf(LWS_PROTON_WINDOW_MIN, 1, size).wake();
}

void fill_with_pongs(size_t size) {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    peer.run();
    peer.reading = false;
    const std::string ping = conformance::frame({conformance::kPing}, std::string(size, 'p'));
    for (size_t pongs = 0; pongs < 4 * kWindow; pongs += size + 2)
        peer.send(ping);
    peer.run();
    CHECK_EQ(peer.unsent(), 0u);
    lws_proton_amqp_wake(application.connection);
    peer.run_until("the wake", [&] { return application.count("CONNECTION_WAKE") == 1; });
    peer.reading = true;
    peer.run();
    CHECK_GE(peer.pongs, 100);
}

// What one read makes of the window is another each time.
void a_wake_reaches_a_connection_whose_window_is_full_of_pongs() {
    for (size_t size : {0, 1, 13, 60, 100, 101, 125})
        fill_with_pongs(size);
}

void what_a_lost_peer_had_sent_is_read_whatever_pings_are_in_it() {
    constexpr size_t kMessages = 40;
    for (int pings : {0, 1, 2, 30}) {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        peer.sending.messages = {};
        peer.sending.close = false;
        CHECK_EQ(peer.upgrade(), 101);
        peer.begin();
        peer.run();

        std::string last;
        for (int i = 0; i < pings; i++)
            last += conformance::frame({conformance::kPing}, "p");
        peer.wrap = [&](std::string_view bytes) {
            last += Peer::messages_of(1024)(bytes);
            return std::string();
        };
        pn_link_t *link = pn_link_head(peer.engine()->connection, 0);
        CHECK_GE(pn_link_credit(link), static_cast<int>(kMessages));
        const std::string message(1000, 'm');
        for (size_t i = 0; i < kMessages; i++) {
            pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&i), sizeof(i)));
            pn_link_send(link, message.data(), message.size());
            pn_link_advance(link);
        }
        peer.run();
        // Nothing is read between its coming and the end.
        peer.quota = last.size();
        peer.send(last);
        peer.run();
        peer.run_until("the end", [&] { return application.ended == 1; });
        CHECK_EQ(application.messages.size(), kMessages);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(what_is_sent_to_a_peer_that_does_not_read_stays_in_deliveries),
        E2E_TEST(a_peer_that_does_not_read_is_not_read_for_ever),
        E2E_TEST(nor_is_it_in_the_midst_of_a_frame),
        E2E_TEST(what_is_sent_on_a_wake_goes_with_the_answer),
        E2E_TEST(an_idle_peer_is_ended_and_told_why),
        E2E_TEST(an_idle_peer_that_does_not_read_is_ended_too),
        E2E_TEST(a_peer_that_sends_is_not_idle),
        E2E_TEST(a_peer_that_wants_heartbeats_gets_them),
        E2E_TEST(an_idle_time_out_of_a_millisecond_does_not_spin),
        E2E_TEST(wakes_are_told_once_from_any_thread),
        E2E_TEST(a_wake_may_come_before_the_websocket_and_after_it),
        E2E_TEST(a_wake_reaches_a_connection_whose_peer_does_not_read),
        E2E_TEST(a_wake_reaches_a_connection_whatever_room_is_left),
        E2E_TEST(a_wake_reaches_a_connection_whose_window_is_full_of_pongs),
        E2E_TEST(what_a_lost_peer_had_sent_is_read_whatever_pings_are_in_it),
    };
    return cmocka_run_group_tests_name("amqp_flow", tests, nullptr, nullptr);
}
