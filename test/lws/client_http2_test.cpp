// SPDX-License-Identifier: MIT
//
// HTTP/2 clients whose requests share a connection, over TLS and without it.
#include "certificates.hpp"
#include "client_context.hpp"
#include "numbered_stream.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <deque>

using namespace e2e;
using namespace lws_test;

namespace {

constexpr int kRequests = 20;
constexpr size_t kBody = 300000;

struct Scene {
    const bool tls;
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    TestServer server;
    std::deque<Client> clients;
    Context context;

    explicit Scene(bool over_tls)
        : tls(over_tls), context([this](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              info.client_ssl_ca_filepath = authority.c_str();
          }) {
        server.start(context, [this](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            if (!tls) {
                info.options |= LWS_SERVER_OPTION_H2_PRIOR_KNOWLEDGE;
                return;
            }
            info.ssl_cert_filepath = certificate.c_str();
            info.ssl_private_key_filepath = key.c_str();
        });
    }

    void connect(Client &client, size_t length = kBody) {
        const std::string path = "/body/" + std::to_string(length);
        CHECK(context.connect(client, server.port, [&](lws_client_connect_info &info) {
            info.path = path.c_str();
            info.ssl_connection =
                LCCSCF_PIPELINE | (tls ? LCCSCF_USE_SSL : LCCSCF_H2_PRIOR_KNOWLEDGE);
            info.alpn = "h2,http/1.1";
        }));
    }
    void connect_many(int count) {
        for (int i = 0; i < count; i++)
            connect(clients.emplace_back());
    }
    void await_answer(const Client &client, size_t length = kBody) {
        context.serve_until("an answer", [&] { return client.completed || client.ended(); });
        if (!client.completed)
            FAIL("no answer: " + client.error());
        CHECK_EQ(client.status, 200);
        CHECK(client.received == numbered_stream::text(0, length));
    }
};

// A request that may end up with HTTP/1.1 waits for the connection of one that is on its way, to see
// what that is; one for HTTP/2 alone does not.
void requests_at_once_share_a_connection() {
    for (const bool tls : {true, false}) {
        Scene scene(tls);
        scene.connect_many(kRequests);
        for (const Client &client : scene.clients)
            scene.await_answer(client);
        CHECK_EQ(scene.server.accepted, 1);
        CHECK_EQ(scene.server.http2, kRequests);
    }
}

void a_request_joins_a_connection_that_is_there() {
    for (const bool tls : {true, false}) {
        Scene scene(tls);
        for (int i = 0; i < 3; i++) {
            Client &client = scene.clients.emplace_back();
            scene.connect(client);
            scene.await_answer(client);
        }
        CHECK_EQ(scene.server.accepted, 1);
        CHECK_EQ(scene.server.http2, 3);
    }
}

void a_stream_that_is_not_read_leaves_the_others() {
    for (const bool tls : {true, false}) {
        Scene scene(tls);
        Client &resting = scene.clients.emplace_back();
        bool stopped = false;
        resting.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ && !stopped) {
                stopped = true;
                lws_rx_flow_control(wsi, 0);
            }
            return 0;
        };
        constexpr size_t kLong = 2 * 1024 * 1024;
        scene.connect(resting, kLong);
        scene.context.serve_until("the first bytes", [&] { return stopped; });
        scene.connect_many(3);
        for (size_t i = 1; i < scene.clients.size(); i++)
            scene.await_answer(scene.clients[i]);
        CHECK(!resting.completed);
        lws_rx_flow_control(resting.wsi, 1);
        scene.await_answer(resting, kLong);
        CHECK_EQ(scene.server.accepted, 1);
    }
}

void a_stream_that_is_closed_leaves_the_others() {
    for (const bool tls : {true, false}) {
        Scene scene(tls);
        scene.connect_many(5);
        Client &closing = scene.clients[2];
        closing.on = [](lws *, lws_callback_reasons reason, void *, size_t) {
            return reason == LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ ? -1 : 0;
        };
        scene.context.serve_until("the close", [&] { return closing.ended(); });
        CHECK_EQ(closing.closed, 1);
        CHECK(closing.errors.empty());
        for (const Client &client : scene.clients)
            if (&client != &closing)
                scene.await_answer(client);
    }
}

void the_end_of_the_context_ends_each_once() {
    for (const bool tls : {true, false}) {
        Scene scene(tls);
        scene.connect_many(5);
        scene.context.serve_until("the first bytes",
                                  [&] { return !scene.clients[4].received.empty(); });
        scene.context.destroy();
        for (const Client &client : scene.clients) {
            CHECK(!client.wsi);
            CHECK_EQ(client.errors.size() + client.closed, 1u);
        }
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(requests_at_once_share_a_connection),
        E2E_TEST(a_request_joins_a_connection_that_is_there),
        E2E_TEST(a_stream_that_is_not_read_leaves_the_others),
        E2E_TEST(a_stream_that_is_closed_leaves_the_others),
        E2E_TEST(the_end_of_the_context_ends_each_once),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
