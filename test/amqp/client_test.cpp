// SPDX-License-Identifier: MIT
//
// Clients and a server of one process, each an application, with and without TLS and compression;
// no socket is there.
#include "application.hpp"
#include "cable.hpp"
#include "certificates.hpp"
#include "numbered_stream.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <memory>

using namespace amqp_test;
using namespace e2e;
using namespace lws_test;

namespace {

struct Variant {
    bool tls, deflate;
};
constexpr Variant kVariants[] = {{false, false}, {false, true}, {true, false}, {true, true}};

struct Scene {
    const std::string authority = certificates().authority();
    const std::string certificate, key;
    const Variant variant;
    Receiving server;
    Sending client;
    Context servers, clients;
    Cable cable;

    explicit Scene(const Variant &v = kVariants[0], const std::string &name = "localhost")
        : certificate(certificates().certificate(name)), key(certificates().key(name)), variant(v),
          clients([&](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              info.protocols = client.protocols();
              if (variant.deflate)
                  info.extensions = deflate();
              info.client_ssl_ca_filepath = authority.c_str();
          }),
          cable(clients, servers, start()) {}

    lws_vhost *start() {
        return servers.add_server([&](lws_context_creation_info &info) {
            info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
            info.protocols = server.protocols();
            if (variant.deflate)
                info.extensions = deflate();
            if (variant.tls) {
                info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
                info.ssl_cert_filepath = certificate.c_str();
                info.ssl_private_key_filepath = key.c_str();
            }
        });
    }

    lws_proton_amqp_connect_t how() const {
        lws_proton_amqp_connect_t how = {};
        how.context = clients.get();
        how.vhost = lws_get_vhost_by_name(clients.get(), "clients");
        how.url = variant.tls ? "wss://localhost:5671/amqp?a=b" : "ws://localhost:5671/amqp?a=b";
        return how;
    }
    void connect(const lws_proton_amqp_connect_t &how, pn_connection_t *c = nullptr,
                 pn_transport_t *t = nullptr) {
        CHECK_EQ(lws_proton_amqp_connect(&how, c, t), 0);
    }
    void connect() { connect(how()); }
    void run_to_end() {
        cable.run_until("the end of both", [&] {
            return client.ended && client.ended == client.begun && server.ended == server.begun &&
                   cable.wires() == 0;
        });
    }
};

void messages_of_every_size_arrive_once_and_in_order() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.client.messages.clear();
        for (const size_t size : {0, 1, 100, 4000, 4096, 5000, 70000, 1000000, 3})
            for (int i = 0; i < 5; i++)
                scene.client.messages.push_back(numbered_stream::text(i, size));
        scene.connect();
        scene.run_to_end();
        CHECK_EQ(scene.client.condition, "");
        CHECK_EQ(scene.server.condition, "");
        CHECK(scene.server.messages == scene.client.messages);
        CHECK_EQ(scene.client.settled, scene.client.messages.size());
        CHECK_EQ(lws_logged, "");
    }
}

// As many messages as there are, as far as there is credit.
void send(pn_link_t *link, const std::vector<std::string> &messages, size_t &sent) {
    for (; pn_link_credit(link) > 0 && sent < messages.size(); sent++) {
        pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&sent), sizeof(sent)));
        pn_link_send(link, messages[sent].data(), messages[sent].size());
        pn_link_advance(link);
    }
}

// Neither waits for the other for ever, and what is held is what there is credit for.
void two_that_flood_each_other_go_on() {
    constexpr size_t kMessages = 500, kSize = 20000;
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.client.keep_events = scene.server.keep_events = false;
        scene.client.close = false;
        scene.client.messages.clear();
        for (size_t i = 0; i < kMessages; i++)
            scene.client.messages.push_back(numbered_stream::text(static_cast<int>(i), kSize));
        std::vector<std::string> back;
        size_t sent = 0, most = 0;
        scene.server.on = [&](pn_event_t *event) {
            pn_link_t *link = pn_event_link(event);
            most = std::max(most, lws_proton_amqp_memory());
            switch (pn_event_type(event)) {
            case PN_SESSION_REMOTE_OPEN:
                pn_session_open(pn_event_session(event));
                pn_link_open(pn_sender(pn_event_session(event), "back"));
                break;
            case PN_LINK_FLOW:
                if (pn_link_is_sender(link))
                    send(link, scene.client.messages, sent);
                break;
            case PN_DELIVERY:
                if (pn_link_is_sender(link))
                    pn_delivery_settle(pn_event_delivery(event));
                break;
            default:
                break;
            }
        };
        scene.client.on = [&](pn_event_t *event) {
            pn_link_t *link = pn_event_link(event);
            if (!link || pn_link_is_sender(link))
                return;
            if (pn_event_type(event) == PN_LINK_REMOTE_OPEN) {
                pn_link_open(link);
                pn_link_flow(link, scene.server.credit);
            }
            pn_delivery_t *delivery = pn_event_delivery(event);
            if (pn_event_type(event) != PN_DELIVERY || pn_delivery_partial(delivery))
                return;
            std::string bytes(pn_delivery_pending(delivery), '\0');
            pn_link_recv(link, bytes.data(), bytes.size());
            back.push_back(std::move(bytes));
            pn_delivery_update(delivery, PN_ACCEPTED);
            pn_delivery_settle(delivery);
            pn_link_flow(link, 1);
        };
        scene.connect();
        scene.cable.run_until("all messages", [&] {
            return back.size() == kMessages && scene.server.messages.size() == kMessages;
        });
        CHECK(back == scene.client.messages);
        CHECK(scene.server.messages == scene.client.messages);
        CHECK_EQ(scene.client.condition + scene.server.condition, "");
        CHECK_LE(most, 4 * static_cast<size_t>(scene.server.credit) * kSize);
        pn_connection_close(scene.client.connection);
        lws_proton_amqp_wake(scene.client.connection);
        scene.run_to_end();
    }
}

void one_byte_at_a_time_is_the_same() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.cable.most = 1;
        scene.connect();
        scene.run_to_end();
        CHECK(scene.server.messages == scene.client.messages);
        CHECK_EQ(scene.client.condition + scene.server.condition, "");
    }
}

void the_request_is_as_it_was_asked_for() {
    Scene scene;
    std::string path, query, origin, cookie, token, host;
    scene.server.on_accept = [&](lws *wsi, pn_connection_t *, pn_transport_t *) {
        const auto header = [&](lws_token_indexes token) {
            char value[200] = "";
            lws_hdr_copy(wsi, value, sizeof(value), token);
            return std::string(value);
        };
        path = header(WSI_TOKEN_GET_URI);
        query = header(WSI_TOKEN_HTTP_URI_ARGS);
        origin = header(WSI_TOKEN_ORIGIN);
        cookie = header(WSI_TOKEN_HTTP_COOKIE);
        token = header(WSI_TOKEN_HTTP_AUTHORIZATION);
        host = header(WSI_TOKEN_HOST);
        return 0;
    };
    const lws_proton_amqp_header_t headers[] = {{"Origin", "http://localhost"},
                                                {"Cookie", "session=1"},
                                                {"Authorization", "Bearer 1234"},
                                                {nullptr, nullptr}};
    lws_proton_amqp_connect_t how = scene.how();
    how.headers = headers;
    scene.connect(how);
    scene.run_to_end();
    CHECK(scene.cable.asked == std::vector<std::string>({"localhost:5671"}));
    CHECK_EQ(path, "/amqp");
    CHECK_EQ(query, "a=b");
    CHECK_EQ(origin, "http://localhost");
    CHECK_EQ(cookie, "session=1");
    CHECK_EQ(token, "Bearer 1234");
    CHECK_EQ(host, "localhost:5671");
}

void the_connection_may_be_the_applications() {
    Scene scene;
    int own = 0;
    pn_connection_t *connection = pn_connection();
    pn_connection_set_context(connection, &own);
    pn_transport_t *transport = pn_transport();
    pn_transport_set_max_frame(transport, 2000);
    scene.client.on = [&](pn_event_t *event) {
        pn_connection_t *c = pn_event_connection(event);
        CHECK(c == connection);
        CHECK(pn_connection_get_context(c) == &own);
        own++;
    };
    scene.connect(scene.how(), connection, transport);
    uint32_t told = 0;
    scene.server.on = [&](pn_event_t *event) {
        if (pn_event_type(event) == PN_CONNECTION_REMOTE_OPEN)
            told = pn_transport_get_remote_max_frame(pn_event_transport(event));
    };
    scene.run_to_end();
    CHECK(own > 5);
    CHECK_EQ(told, 2000u);
}

void a_refusal_is_told_in_words() {
    for (const bool tls : {false, true}) {
        Scene scene({tls, false});
        scene.server.on_accept = [](lws *, pn_connection_t *, pn_transport_t *) { return 403; };
        scene.connect();
        scene.run_to_end();
        CHECK_EQ(scene.client.condition.substr(0, 11), "proton:io: ");
        CHECK(scene.client.condition.find("HS: ws upgrade response not 101") != std::string::npos);
        CHECK_EQ(scene.client.failed, 1);
        CHECK_EQ(scene.client.ended, 1);
        CHECK_EQ(scene.server.begun, 0);
    }
}

// A server's answer to a client's request, by hand; the request.
std::string answer(lws_proton_driver_t *driver, const std::string &text) {
    lws_proton_driver_connected(driver, 0);
    while (lws_proton_driver_service(driver))
        ;
    const pn_bytes_t out = lws_proton_driver_write_buffer(driver);
    const std::string request(out.start, out.size);
    lws_proton_driver_write_done(driver, out.size);
    const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver);
    CHECK_GE(in.size, text.size());
    memcpy(in.start, text.data(), text.size());
    lws_proton_driver_read_done(driver, text.size());
    while (lws_proton_driver_service(driver))
        ;
    return request;
}

void credentials_do_not_follow_a_redirect() {
    Scene scene;
    std::vector<lws_proton_driver_t *> drivers;
    scene.cable.on_dial = [&](lws_proton_driver_t *driver) {
        drivers.push_back(driver);
        return 0;
    };
    const lws_proton_amqp_header_t headers[] = {{"Authorization", "Bearer 1234"},
                                                {nullptr, nullptr}};
    lws_proton_amqp_connect_t how = scene.how();
    how.headers = headers;
    scene.connect(how);
    CHECK_EQ(drivers.size(), 1u);
    const std::string request = answer(drivers[0], "HTTP/1.1 302 Found\r\n"
                                                   "Location: ws://elsewhere:5671/\r\n"
                                                   "Content-Length: 0\r\n\r\n");
    CHECK(request.find("Authorization: Bearer 1234\r\n") != std::string::npos);
    scene.cable.run_until("the error", [&] { return scene.client.ended == 1; });
    CHECK_EQ(scene.client.condition.substr(0, 11), "proton:io: ");
    CHECK(scene.cable.asked == std::vector<std::string>({"localhost:5671"}));
    for (lws_proton_driver_t *driver : drivers)
        lws_proton_driver_free(driver);
}

void a_server_that_is_not_reached_is_told_in_words() {
    for (const bool later : {false, true}) {
        Scene scene;
        lws_proton_driver_t *driver = nullptr;
        scene.cable.on_dial = [&](lws_proton_driver_t *d) {
            driver = d;
            return later ? 0 : ECONNREFUSED;
        };
        scene.connect();
        if (later)
            lws_proton_driver_connected(driver, ECONNREFUSED);
        scene.cable.run_until("the error", [&] { return scene.client.ended == 1; });
        CHECK_EQ(scene.client.condition, "proton:io: conn fail: Connection refused");
        CHECK_EQ(scene.client.failed, 1);
        if (later)
            lws_proton_driver_free(driver);
    }
}

void a_certificate_that_is_not_good_is_refused() {
    for (const std::string name : {"expired", "other.example", "self"}) {
        Scene scene({true, false}, name);
        scene.connect();
        scene.cable.run_until("the error", [&] { return scene.client.ended == 1; });
        CHECK_EQ(scene.client.condition.substr(0, 11), "proton:io: ");
        CHECK(scene.client.condition.find("certificate") != std::string::npos ||
              scene.client.condition.find("hostname") != std::string::npos);
    }
    Scene scene({true, false}, "self");
    lws_proton_amqp_connect_t how = scene.how();
    how.tls_flags = LCCSCF_ALLOW_SELFSIGNED;
    scene.connect(how);
    scene.run_to_end();
    CHECK_EQ(scene.client.condition, "");
    CHECK(scene.server.messages == scene.client.messages);
}

void what_is_no_websocket_url_is_refused_at_once() {
    Scene scene;
    for (const char *url : {"", "localhost", "amqp://localhost", "http://localhost", "ws://",
                            "ws:///path", "ws://localhost:0/", "ws://localhost:65536/"}) {
        lws_proton_amqp_connect_t how = scene.how();
        how.url = url;
        CHECK_EQ(lws_proton_amqp_connect(&how, pn_connection(), nullptr), -1);
    }
    lws_proton_amqp_connect_t how = scene.how();
    how.protocol = "http";
    CHECK_EQ(lws_proton_amqp_connect(&how, nullptr, pn_transport()), -1);
    CHECK_EQ(scene.client.begun, 0);
}

void ports_have_their_defaults() {
    for (const auto &[url, asked] :
         std::vector<std::pair<const char *, const char *>>{{"ws://localhost", "localhost:80"},
                                                            {"ws://localhost/path", "localhost:80"},
                                                            {"ws://[::1]:1234/", "::1:1234"}}) {
        Scene scene;
        lws_proton_amqp_connect_t how = scene.how();
        how.url = url;
        scene.connect(how);
        scene.run_to_end();
        CHECK_EQ(scene.cable.asked.front(), asked);
        CHECK_EQ(scene.client.condition, "");
    }
}

void both_ends_are_told_once_wherever_it_is_cut() {
    for (const Variant &variant : {kVariants[0], kVariants[2]}) {
        size_t total;
        {
            Scene scene(variant);
            scene.connect();
            scene.run_to_end();
            total = scene.cable.carried;
        }
        for (size_t at = 0; at < total; at += variant.tls ? 211 : 23) {
            Scene scene(variant);
            scene.cable.quota = at;
            scene.connect();
            scene.cable.run();
            scene.cable.cut();
            CHECK_EQ(scene.client.begun, 1);
            CHECK_EQ(scene.client.ended, 1);
            CHECK_EQ(scene.server.ended, scene.server.begun);
            CHECK_LE(scene.client.failed, 1);
            CHECK_EQ(scene.clients.stats().connections + scene.servers.stats().connections, 0u);
        }
    }
}

void a_context_that_is_destroyed_ends_its_clients() {
    for (const bool established : {false, true}) {
        Scene scene;
        scene.client.close = false;
        scene.connect();
        if (established)
            scene.cable.run_until("messages", [&] { return scene.client.settled == 3; });
        scene.cable.cut();
        scene.clients.destroy();
        CHECK_EQ(scene.client.ended, 1);
        CHECK_EQ(scene.client.failed, 1);
    }
}

void check_sasl(const char *mechanisms, bool wanted, const std::string &client,
                const std::string &server) {
    Scene scene;
    pn_transport_t *transport = pn_transport();
    if (mechanisms)
        pn_sasl_allowed_mechs(pn_sasl(transport), mechanisms);
    scene.server.require_auth = wanted;
    scene.connect(scene.how(), nullptr, transport);
    scene.run_to_end();
    CHECK_EQ(scene.client.condition.substr(0, client.size()), client);
    CHECK_EQ(scene.server.condition.substr(0, server.size()), server);
    if (client.empty())
        CHECK(scene.server.messages == scene.client.messages);
}

void sasl_is_protons_own() {
    check_sasl("ANONYMOUS", false, "", "");
    check_sasl(nullptr, false, "", "");
    check_sasl(nullptr, true, "amqp:connection:", "amqp:connection:policy-error");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(messages_of_every_size_arrive_once_and_in_order),
        E2E_TEST(two_that_flood_each_other_go_on),
        E2E_TEST(one_byte_at_a_time_is_the_same),
        E2E_TEST(the_request_is_as_it_was_asked_for),
        E2E_TEST(the_connection_may_be_the_applications),
        E2E_TEST(a_refusal_is_told_in_words),
        E2E_TEST(credentials_do_not_follow_a_redirect),
        E2E_TEST(a_server_that_is_not_reached_is_told_in_words),
        E2E_TEST(a_certificate_that_is_not_good_is_refused),
        E2E_TEST(what_is_no_websocket_url_is_refused_at_once),
        E2E_TEST(ports_have_their_defaults),
        E2E_TEST(both_ends_are_told_once_wherever_it_is_cut),
        E2E_TEST(a_context_that_is_destroyed_ends_its_clients),
        E2E_TEST(sasl_is_protons_own),
    };
    return cmocka_run_group_tests_name("amqp_client", tests, nullptr, nullptr);
}
