// SPDX-License-Identifier: MIT
//
// AMQP over TCP, kept by a server of lws's: bytes that are cut anywhere, peers that end anywhere,
// connections that the application brings, and TLS.
#include "peer.hpp"
#include "certificates.hpp"
#include "test_main.hpp"
#include "tls_client.hpp"

#include <memory>

using namespace amqp_test;

namespace {

const std::string kHeader("AMQP\0\1\0\0", 8);
const std::string kSaslHeader("AMQP\3\1\0\0", 8);
// 2.7.1: an open with no more than a container id.
const std::string kOpen("\0\0\0\x14\2\0\0\0\0\x53\x10\xc0\7\1\xa1\4test", 20);

void converse(Peer &peer) {
    peer.begin();
    peer.run();
}

void check_conversed(const Receiving &application, Peer &peer) {
    CHECK(application.messages == peer.sending.messages);
    CHECK_EQ(application.begun, 1);
    CHECK_EQ(application.ended, 1);
    CHECK_EQ(application.condition, "");
    CHECK(pn_connection_driver_finished(peer.engine()));
    CHECK(peer.finished());
}

size_t bytes_of_a_conversation() {
    Receiving application;
    Endpoint endpoint(application, Endpoint::tcp());
    Peer peer(endpoint);
    converse(peer);
    return SIZE_MAX - peer.quota;
}

void a_conversation_has_the_events_of_one_over_websocket() {
    std::vector<std::string> events[2];
    for (const bool tcp : {false, true}) {
        Receiving application;
        bool is_websocket = false;
        int headers = 0;
        application.on_accept = [&](lws *wsi, pn_connection_t *connection, pn_transport_t *) {
            is_websocket = lws_proton_amqp_is_websocket(connection);
            headers = lws_hdr_total_length(wsi, WSI_TOKEN_HOST);
            return 0;
        };
        Endpoint endpoint(application, tcp ? Endpoint::tcp() : nullptr);
        Peer peer(endpoint);
        if (!tcp)
            CHECK_EQ(peer.upgrade(), 101);
        converse(peer);
        check_conversed(application, peer);
        CHECK_EQ(is_websocket, !tcp);
        CHECK_EQ(headers > 0, !tcp);
        CHECK_EQ(lws_logged, "");
        events[tcp] = application.events;
    }
    CHECK(events[0] == events[1]);
}

void bytes_are_cut_anywhere() {
    const size_t total = bytes_of_a_conversation();
    for (size_t at = 1; at < total; at++) {
        Receiving application;
        Endpoint endpoint(application, Endpoint::tcp());
        Peer peer(endpoint);
        peer.most = at;
        converse(peer);
        check_conversed(application, peer);
    }
}

void large_messages_come_and_go() {
    Receiving application;
    Endpoint endpoint(application, Endpoint::tcp());
    Peer peer(endpoint);
    peer.sending.messages = {"", "small", std::string(300 * 1000, 'l'), std::string(20000, 'm')};
    converse(peer);
    check_conversed(application, peer);
}

// Each byte of a conversation is the last once.
void the_end_of_input_anywhere_frees_the_connection_at_once() {
    const size_t total = bytes_of_a_conversation();
    int aborted = 0;
    for (const bool half : {false, true})
        for (size_t at = 0; at <= total; at++) {
            Receiving application;
            Endpoint endpoint(application, Endpoint::tcp());
            Peer peer(endpoint);
            peer.quota = at;
            peer.goes_on_reading = half;
            converse(peer);
            CHECK(half ? peer.finished() : true);
            peer.cut();
            CHECK_EQ(endpoint.context.stats().connections, 0u);
            CHECK_EQ(application.begun, application.ended);
            CHECK_LE(application.failed, 1);
            if (application.failed)
                CHECK(application.condition.find("amqp:connection:framing-error: ") == 0);
            aborted += application.failed;
        }
    CHECK_GE(aborted, 100);
}

void garbage_is_a_framing_error() {
    for (const std::string &garbage :
         {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("AMQP\4\1\0\0", 8),
          kHeader + "\xff\xff\xff\xff garbage", kHeader + std::string(100, '\0')}) {
        Receiving application;
        Endpoint endpoint(application, Endpoint::tcp());
        Peer peer(endpoint);
        peer.send(garbage);
        peer.run();
        CHECK(peer.finished());
        CHECK_EQ(application.condition.find("amqp:connection:framing-error: "), 0u);
        CHECK_EQ(application.failed, 1);
        CHECK_EQ(application.ended, 1);
    }
}

void a_refused_connection_is_closed_without_an_event() {
    Receiving application;
    int asked = 0;
    application.on_accept = [&](lws *, pn_connection_t *, pn_transport_t *) { return ++asked; };
    Endpoint endpoint(application, Endpoint::tcp());
    Peer peer(endpoint);
    peer.send(kHeader);
    peer.run();
    CHECK(peer.finished());
    CHECK_EQ(asked, 1);
    CHECK(application.events.empty());
    peer.cut();
    CHECK_EQ(endpoint.context.stats().connections, 0u);
}

void it_is_woken() {
    Receiving application;
    Endpoint endpoint(application, Endpoint::tcp());
    Peer peer(endpoint);
    peer.sending.close = false;
    converse(peer);
    lws_proton_amqp_waker_t *waker = lws_proton_amqp_waker(application.connection);
    CHECK(waker);
    lws_proton_amqp_wake(application.connection);
    peer.run();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 1u);
    lws_proton_amqp_waker_wake(waker);
    peer.run();
    CHECK_EQ(application.count("CONNECTION_WAKE"), 2u);
    application.on = [](pn_event_t *event) {
        if (pn_event_type(event) == PN_CONNECTION_WAKE)
            pn_connection_close(pn_event_connection(event));
    };
    lws_proton_amqp_waker_wake(waker);
    peer.run();
    CHECK_EQ(application.ended, 1);
    CHECK(peer.finished());
    lws_proton_amqp_waker_wake(waker);
    lws_proton_amqp_waker_free(waker);
}

void a_destroyed_context_ends_its_connections() {
    Receiving application;
    auto endpoint = std::make_unique<Endpoint>(application, Endpoint::tcp());
    auto peer = std::make_unique<Peer>(*endpoint);
    peer->sending.close = false;
    converse(*peer);
    CHECK_EQ(application.ended, 0);
    peer.reset();
    endpoint.reset();
    CHECK_EQ(application.ended, 1);
}

// What a client sends of a conversation before it waits for an answer.
std::string first_bytes() {
    pn_connection_driver_t engine;
    CHECK_EQ(pn_connection_driver_init(&engine, nullptr, nullptr), 0);
    pn_connection_open(engine.connection);
    const pn_bytes_t bytes = pn_connection_driver_write_buffer(&engine);
    std::string first(bytes.start, bytes.size);
    pn_connection_driver_destroy(&engine);
    return first;
}

// The application has read the first bytes, and gives the connection to lws with them; to a vhost
// that is for AMQP, or beside HTTP.
void a_connection_is_adopted_with_its_first_bytes() {
    const size_t total = first_bytes().size();
    CHECK_GE(total, 8u);
    for (const bool tcp : {true, false})
        for (size_t taken = 0; taken <= total; taken++) {
            Receiving application;
            Endpoint endpoint(application, tcp ? Endpoint::tcp() : nullptr);
            endpoint.over_tcp = true;
            Peer peer(endpoint, Peer::Adopted::not_yet);
            peer.begin();
            std::string sent;
            peer.wrap = [&](std::string_view bytes) {
                sent += bytes;
                return "";
            };
            peer.speak();
            const std::string first = sent.substr(0, taken);
            lws_proton_conn *c = lws_proton_driver_conn(peer.driver());
            if (tcp && taken)
                CHECK(lws_adopt_socket_vhost_readbuf(endpoint.vhost, c, first.data(), taken));
            else
                CHECK_EQ(lws_proton_amqp_adopt(endpoint.vhost, "amqp", c, first.data(), taken, 0), 0);
            peer.send(sent.substr(first.size()));
            peer.wrap = Peer::as_it_is;
            peer.run();
            check_conversed(application, peer);
            CHECK_EQ(lws_logged, "");
        }
}

void what_cannot_be_adopted_is_closed() {
    Receiving application;
    Endpoint endpoint(application, Endpoint::tcp());
    for (const char *protocol : {"http", "no such"}) {
        Peer peer(endpoint, Peer::Adopted::not_yet);
        lws_proton_conn *c = lws_proton_driver_conn(peer.driver());
        CHECK_EQ(lws_proton_amqp_adopt(endpoint.vhost, protocol, c, nullptr, 0, 0), -1);
        peer.run();
        CHECK(peer.finished());
    }
    application.on_accept = [&](lws *, pn_connection_t *, pn_transport_t *) { return 1; };
    Peer refused(endpoint, Peer::Adopted::not_yet);
    lws_proton_conn *c = lws_proton_driver_conn(refused.driver());
    CHECK_EQ(lws_proton_amqp_adopt(endpoint.vhost, "amqp", c, "AMQP", 4, 0), 0);
    refused.run_until("the end", [&] { return refused.finished(); });
    CHECK(application.events.empty());
}

// Over sockets, since TLS is: a port of AMQPS.
struct Amqps {
    Receiving application;
    lws_test::Context context;
    lws_vhost *vhost;

    explicit Amqps(uint32_t open_ms = 0)
        : context([](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              info.pt_serv_buf_size = LWS_PROTON_AMQP_RX;
          }) {
        application.amqp().open_ms = open_ms;
        const std::string certificate = lws_test::certificates().certificate("localhost"),
                          key = lws_test::certificates().key("localhost");
        vhost = context.add_server([&](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            info.protocols = application.protocols();
            info.ssl_cert_filepath = certificate.c_str();
            info.ssl_private_key_filepath = key.c_str();
            lws_proton_amqp_over_tcp(&info, "amqp");
        });
    }
    int port() const { return lws_get_vhost_listen_port(vhost); }
};

void amqps_is_accepted_once_tls_is_there() {
    Amqps server;
    bool with_tls = false;
    server.application.on_accept = [&](lws *wsi, pn_connection_t *, pn_transport_t *) {
        with_tls = lws_is_ssl(wsi);
        return 0;
    };
    server.context.serve_while([&] {
        e2e::TlsClient client(server.port());
        client.send_all(kHeader + kOpen);
        std::string answer;
        while (answer.find(std::string("\0\x53\x10", 3)) == std::string::npos)
            answer += client.receive_some();
        CHECK_EQ(answer.substr(0, 4), "AMQP");
        client.end();
        client.receive_to_end();
    });
    server.context.serve_until("the end", [&] { return server.application.ended == 1; });
    CHECK(with_tls);
    CHECK_EQ(server.context.stats().connections, 0u);
}

void who_is_silent_over_amqps_is_closed_in_time() {
    Amqps server(300);
    server.context.serve_while([&] {
        e2e::TcpSocket before_tls(server.port());
        e2e::TlsClient after_tls(server.port()), half(server.port());
        half.send_all(kSaslHeader);
        after_tls.receive_to_end();
        half.receive_to_end();
        before_tls.receive_to_end();
    });
    // Of the one that spoke.
    CHECK_EQ(server.application.ended, 1);
    CHECK_EQ(server.context.stats().connections, 0u);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_conversation_has_the_events_of_one_over_websocket),
        E2E_TEST(bytes_are_cut_anywhere),
        E2E_TEST(large_messages_come_and_go),
        E2E_TEST(the_end_of_input_anywhere_frees_the_connection_at_once),
        E2E_TEST(garbage_is_a_framing_error),
        E2E_TEST(a_refused_connection_is_closed_without_an_event),
        E2E_TEST(it_is_woken),
        E2E_TEST(a_destroyed_context_ends_its_connections),
        E2E_TEST(a_connection_is_adopted_with_its_first_bytes),
        E2E_TEST(what_cannot_be_adopted_is_closed),
        E2E_TEST(amqps_is_accepted_once_tls_is_there),
        E2E_TEST(who_is_silent_over_amqps_is_closed_in_time),
    };
    return cmocka_run_group_tests_name("amqp_tcp", tests, nullptr, nullptr);
}
