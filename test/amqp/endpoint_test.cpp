// SPDX-License-Identifier: MIT
//
// The rules of the binding, kept by a server: a peer that puts AMQP's bytes into messages in every
// way, breaks the rules, and goes away at every byte.
#include "peer.hpp"
#include "test_main.hpp"

#include <memory>

using namespace amqp_test;

namespace {

void converse(Peer &peer) {
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    peer.run();
}

void check_conversed(const Receiving &application, const Peer &peer) {
    CHECK(application.messages == peer.sending.messages);
    CHECK_EQ(application.begun, 1);
    CHECK_EQ(application.ended, 1);
    CHECK_EQ(application.condition, "");
    CHECK_EQ(peer.close_code, 1000);
}

// AMQP's bytes of the conversation, as a client sends them when it waits for each answer.
size_t bytes_of_a_conversation() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    size_t bytes = 0;
    peer.wrap = [&](std::string_view piece) {
        bytes += piece.size();
        return Peer::one_message(piece);
    };
    converse(peer);
    return bytes;
}

void a_conversation_ends_with_amqps_close_before_the_websockets() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    converse(peer);
    check_conversed(application, peer);
    CHECK_EQ(peer.close_reason, "");
    CHECK(pn_connection_driver_finished(peer.engine()));
    CHECK(peer.finished());
    CHECK_EQ(application.events.front(), "CONNECTION_INIT");
    CHECK_EQ(application.events.back(), "TRANSPORT_CLOSED");
    CHECK_EQ(application.count("CONNECTION_REMOTE_CLOSE"), 1u);
    CHECK_EQ(lws_logged, "");
}

void frames_are_cut_into_messages_anywhere() {
    const size_t total = bytes_of_a_conversation();
    for (size_t at = 1; at < total; at++) {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        size_t gone = 0;
        peer.wrap = [&](std::string_view piece) {
            const size_t cut = at > gone ? std::min(at - gone, piece.size()) : 0;
            gone += piece.size();
            return (cut ? Peer::one_message(piece.substr(0, cut)) : "") +
                   Peer::one_message(piece.substr(cut));
        };
        converse(peer);
        check_conversed(application, peer);
    }
}

void messages_of_every_size_and_fragments_are_the_same() {
    for (const size_t size : {1, 2, 3, 7, 8, 9, 100, 5000}) {
        for (const auto &wrap : {Peer::messages_of(size), Peer::fragments_of(size)}) {
            for (const size_t most : {size_t{1}, SIZE_MAX}) {
                Receiving application;
                Endpoint endpoint(application);
                Peer peer(endpoint);
                peer.wrap = wrap;
                peer.most = most;
                peer.sending.messages = {"", "small", std::string(20000, 'l')};
                converse(peer);
                check_conversed(application, peer);
            }
        }
    }
}

void empty_messages_and_pings_between_fragments_are_nothing() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.wrap = [](std::string_view piece) {
        using namespace conformance;
        return frame({kBinary}, "") + frame({kBinary, false}, piece.substr(0, 1)) +
               frame({kPong}, "unasked") + frame({kContinuation}, piece.substr(1)) +
               frame({kBinary}, "");
    };
    converse(peer);
    check_conversed(application, peer);
}

// The peer says this instead of AMQP, or after it has begun with that.
void check_fault(std::string_view said, bool begun, int code, const std::string &condition) {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    CHECK_EQ(peer.upgrade(), 101);
    peer.begin();
    if (begun)
        peer.run();
    peer.send(said);
    peer.run();
    CHECK_EQ(peer.close_code, code);
    CHECK_EQ(application.condition.substr(0, condition.size()), condition);
    CHECK_EQ(application.failed, 1);
    CHECK_EQ(application.ended, 1);
    CHECK(peer.finished());
}

void a_text_message_closes_with_1003() {
    for (const bool begun : {false, true})
        check_fault(conformance::text_frame("hello"), begun, 1003,
                    "amqp:connection:framing-error: a text message on the WebSocket");
}

void garbage_is_a_framing_error() {
    check_fault(Peer::one_message("GET / HTTP/1.1\r\n\r\n"), false, 1002,
                "amqp:connection:framing-error: ");
    check_fault(Peer::one_message("AMQP\4\1\0\0"), false, 1002, "amqp:connection:framing-error: ");
    check_fault(Peer::one_message("\xff\xff\xff\xff garbage"), true, 1002,
                "amqp:connection:framing-error: ");
    check_fault(Peer::one_message(std::string(100, '\0')), true, 1002,
                "amqp:connection:framing-error: ");
}

void a_frame_longer_than_allowed_is_told_in_amqp() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    converse(peer);
    CHECK_EQ(pn_transport_get_remote_max_frame(peer.engine()->transport),
             uint32_t{LWS_PROTON_AMQP_MAX_FRAME});
    // Its head is enough.
    const uint32_t size = LWS_PROTON_AMQP_MAX_FRAME + 1;
    std::string head = {
        char(size >> 24), char(size >> 16), char(size >> 8), char(size), 2, 0, 0, 0};
    peer.send(Peer::one_message(head));
    peer.run();
    CHECK_EQ(application.condition.find("amqp:connection:framing-error"), 0u);
    pn_condition_t *told = pn_connection_remote_condition(peer.engine()->connection);
    CHECK_EQ(std::string(pn_condition_get_name(told)), "amqp:connection:framing-error");
    CHECK_EQ(peer.close_code, 1002);
    CHECK_EQ(peer.close_reason.find("amqp:connection:framing-error: "), 0u);
    CHECK(peer.finished());
}

void the_application_sets_the_largest_frame() {
    Receiving application;
    application.on_accept = [](lws *, pn_connection_t *, pn_transport_t *transport) {
        pn_transport_set_max_frame(transport, 1000);
        return 0;
    };
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.messages = {std::string(10000, 'm')};
    converse(peer);
    check_conversed(application, peer);
    CHECK_EQ(pn_transport_get_remote_max_frame(peer.engine()->transport), 1000u);
}

void a_websocket_that_closes_first_aborts_amqp() {
    for (const bool open : {false, true}) {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        peer.sending.close = false;
        CHECK_EQ(peer.upgrade(), 101);
        if (open) {
            peer.begin();
            peer.run();
        }
        peer.close(1001);
        peer.run();
        CHECK_EQ(application.condition.find("amqp:connection:framing-error: the peer closed the "
                                            "WebSocket with 1001"),
                 0u);
        CHECK_EQ(application.failed, 1);
        CHECK_EQ(application.ended, 1);
        CHECK(peer.finished());
    }
}

void a_connection_that_is_cut_anywhere_is_aborted_once() {
    size_t total;
    {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        converse(peer);
        total = SIZE_MAX - peer.quota;
    }
    int aborted = 0;
    for (size_t at = 1; at <= total; at++) {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        peer.quota = at;
        if (peer.upgrade() == 101) {
            peer.begin();
            peer.run();
        }
        peer.cut();
        CHECK_EQ(application.begun, application.ended);
        CHECK_LE(application.failed, 1);
        if (application.failed)
            CHECK(application.condition.find("amqp:connection:framing-error: ") == 0);
        aborted += application.failed;
        CHECK_EQ(endpoint.context.stats().connections, 0u);
    }
    CHECK_GE(aborted, 100);
}

void a_peer_may_go_once_amqp_is_closed() {
    // It sends its close, and does not wait for ours.
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    application.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_CONNECTION_REMOTE_CLOSE)
            peer.reading = false;
    };
    converse(peer);
    peer.cut();
    CHECK_EQ(application.ended, 1);
    CHECK_EQ(application.condition, "");
}

void who_is_not_answered_closes_in_the_end() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    peer.sending.close = false;
    converse(peer);
    pn_connection_close(application.connection);
    lws_proton_amqp_wake(application.connection);
    peer.wrap = [](std::string_view) { return std::string(); };
    peer.run_until("the end", [&] { return application.ended == 1; });
    CHECK_EQ(application.count("CONNECTION_REMOTE_CLOSE"), 0u);
}

// With more to read than the window has room for.
void close_much(Receiving &application, Peer &peer) {
    peer.sending.close = false;
    peer.on = [&](pn_event_t *event) {
        pn_link_t *link = pn_event_link(event);
        if (pn_event_type(event) == PN_CONNECTION_INIT) {
            pn_connection_t *c = pn_event_connection(event);
            pn_connection_open(c);
            pn_session_t *session = pn_session(c);
            pn_session_open(session);
            pn_link_t *receiver = pn_receiver(session, "receiver");
            pn_link_open(receiver);
            pn_link_flow(receiver, 1);
        }
        if (pn_event_type(event) == PN_DELIVERY) {
            char bytes[4096];
            while (pn_link_recv(link, bytes, sizeof(bytes)) > 0)
                ;
        }
        if (pn_event_type(event) == PN_CONNECTION_REMOTE_CLOSE)
            pn_connection_close(pn_event_connection(event));
    };
    application.on = [&](pn_event_t *event) {
        pn_link_t *link = pn_event_link(event);
        if (pn_event_type(event) != PN_LINK_FLOW || !pn_link_credit(link))
            return;
        peer.reading = false;
        const std::string message(1000000, 'm');
        pn_delivery(link, pn_dtag("1", 1));
        pn_link_send(link, message.data(), message.size());
        pn_link_advance(link);
        pn_connection_close(pn_event_connection(event));
    };
    converse(peer);
}

void who_does_not_read_ends_after_the_close() {
    for (const auto &wrap : {Peer::Wrap(Peer::one_message), Peer::endless_frame()}) {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        peer.wrap = wrap;
        close_much(application, peer);
        CHECK_EQ(application.ended, 0);
        peer.run_until("the end", [&] { return application.ended == 1; });
        CHECK_EQ(endpoint.context.stats().connections, 1u);  // the peer's, which nobody reads
    }
}

void who_reads_slowly_reads_all_before_the_end() {
    Receiving application;
    Endpoint endpoint(application);
    Peer peer(endpoint);
    close_much(application, peer);
    // It takes longer than the limit, but never that long for nothing.
    const e2e::Deadline limit(std::chrono::milliseconds(LWS_PROTON_AMQP_END_MS + 1000));
    peer.reading = true;
    peer.appetite = 0;
    peer.run_until("more than the limit", [&] {
        peer.appetite = 1000;
        return limit.passed();
    });
    CHECK_EQ(application.ended, 0);
    peer.appetite = SIZE_MAX;
    peer.run();
    CHECK_EQ(application.ended, 1);
    CHECK_EQ(application.condition, "");
    CHECK_EQ(peer.close_code, 1000);
}

void a_request_is_refused_before_the_upgrade() {
    for (const int status : {401, 403, 503}) {
        Receiving application;
        std::string origin, token;
        application.on_accept = [&](lws *wsi, pn_connection_t *connection, pn_transport_t *) {
            char value[100];
            CHECK(lws_hdr_copy(wsi, value, sizeof(value), WSI_TOKEN_ORIGIN) > 0);
            origin = value;
            CHECK(lws_hdr_copy(wsi, value, sizeof(value), WSI_TOKEN_HTTP_AUTHORIZATION) > 0);
            token = value;
            CHECK(lws_proton_amqp_wsi(connection) == nullptr);
            return status;
        };
        Endpoint endpoint(application);
        Peer peer(endpoint);
        CHECK_EQ(peer.upgrade("Sec-WebSocket-Protocol: amqp\r\nOrigin: http://elsewhere\r\n"
                              "Authorization: Bearer 1234\r\n"),
                 status);
        CHECK_EQ(origin, "http://elsewhere");
        CHECK_EQ(token, "Bearer 1234");
        CHECK(application.events.empty());
        CHECK(peer.finished());
    }
}

void pages_of_others_are_refused_by_default() {
    static const char *const example[] = {"https://example.org", nullptr};
    const struct {
        const char *const *origins;
        const char *headers;
        int status;
    } cases[] = {
        {nullptr, "", 101},
        {nullptr, "Origin: http://localhost\r\n", 101},
        {nullptr, "Origin: https://localhost\r\n", 403},
        {nullptr, "Origin: http://localhost:8080\r\n", 403},
        {nullptr, "Origin: http://evil.example\r\n", 403},
        {nullptr, "Origin: null\r\n", 403},
        {example, "Origin: http://localhost\r\n", 101},
        {example, "Origin: https://example.org\r\n", 101},
        {example, "Origin: https://www.example.org\r\n", 403},
    };
    for (const auto &one : cases) {
        Receiving application;
        application.amqp().origins = one.origins;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        CHECK_EQ(peer.upgrade(std::string("Sec-WebSocket-Protocol: amqp\r\n") + one.headers),
                 one.status);
    }
}

void aliases_are_answered_by_their_name_and_no_name_is_refused() {
    for (const std::string name : {"amqp", "binary"}) {
        Receiving application;
        Endpoint endpoint(application);
        Peer peer(endpoint);
        peer.send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: unknown, " +
                  name + "\r\n\r\n");
        peer.run();
        CHECK(peer.received.find("Sec-WebSocket-Protocol: " + name + "\r\n") != std::string::npos);
    }
    Receiving application;
    Endpoint endpoint(application, [&](lws_context_creation_info &info) {
        info.protocols = application.protocols() + 1;
    });
    Peer peer(endpoint);
    CHECK_EQ(peer.upgrade(""), 400);
    CHECK(application.events.empty());
}

void a_websocket_without_a_name_is_the_first_protocols() {
    static int established;
    established = 0;
    Receiving application;
    const lws_protocols protocols[] = {
        {"first",
         [](lws *, lws_callback_reasons reason, void *, void *, size_t) {
             established += reason == LWS_CALLBACK_ESTABLISHED;
             return 0;
         },
         0, 0, 0, nullptr, 0},
        application.protocols()[1],
        LWS_PROTOCOL_LIST_TERM,
    };
    Endpoint endpoint(application,
                      [&](lws_context_creation_info &info) { info.protocols = protocols; });
    Peer nameless(endpoint), named(endpoint);
    CHECK_EQ(nameless.upgrade(""), 101);
    CHECK_EQ(established, 1);
    CHECK(application.events.empty());
    converse(named);
    check_conversed(application, named);
    CHECK_EQ(established, 1);
}

void a_destroyed_context_ends_its_connections() {
    Receiving application;
    auto endpoint = std::make_unique<Endpoint>(application);
    auto peer = std::make_unique<Peer>(*endpoint);
    peer->sending.close = false;
    converse(*peer);
    CHECK_EQ(application.ended, 0);
    peer.reset();
    endpoint.reset();
    CHECK_EQ(application.ended, 1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_conversation_ends_with_amqps_close_before_the_websockets),
        E2E_TEST(frames_are_cut_into_messages_anywhere),
        E2E_TEST(messages_of_every_size_and_fragments_are_the_same),
        E2E_TEST(empty_messages_and_pings_between_fragments_are_nothing),
        E2E_TEST(a_text_message_closes_with_1003),
        E2E_TEST(garbage_is_a_framing_error),
        E2E_TEST(a_frame_longer_than_allowed_is_told_in_amqp),
        E2E_TEST(the_application_sets_the_largest_frame),
        E2E_TEST(a_websocket_that_closes_first_aborts_amqp),
        E2E_TEST(a_connection_that_is_cut_anywhere_is_aborted_once),
        E2E_TEST(a_peer_may_go_once_amqp_is_closed),
        E2E_TEST(who_is_not_answered_closes_in_the_end),
        E2E_TEST(who_does_not_read_ends_after_the_close),
        E2E_TEST(who_reads_slowly_reads_all_before_the_end),
        E2E_TEST(a_request_is_refused_before_the_upgrade),
        E2E_TEST(pages_of_others_are_refused_by_default),
        E2E_TEST(aliases_are_answered_by_their_name_and_no_name_is_refused),
        E2E_TEST(a_websocket_without_a_name_is_the_first_protocols),
        E2E_TEST(a_destroyed_context_ends_its_connections),
    };
    return cmocka_run_group_tests_name("amqp_endpoint", tests, nullptr, nullptr);
}
