// SPDX-License-Identifier: MIT
//
// Clients that reach their server through an HTTP proxy (CONNECT), which the test plays.
#include "certificates.hpp"
#include "client_context.hpp"
#include "name_service.hpp"
#include "numbered_stream.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <netdb.h>
#include <poll.h>

using namespace e2e;
using namespace lws_test;

namespace {

// A client whose vhost has a proxy, and a server for it to reach.
struct Scene {
    NameService names;
    TcpListener listener;
    TestServer server;
    TestServer tls_server;
    Client client;
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    const char *proxy = "127.0.0.1";
    Context context{[this](lws_context_creation_info &info) {
        info.http_proxy_address = proxy;
        info.http_proxy_port = static_cast<unsigned>(listener.port());
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.client_ssl_ca_filepath = authority.c_str();
    }};

    explicit Scene(const char *proxy_name = "127.0.0.1") : proxy(proxy_name) {
        server.start(context);
        tls_server.start(context, [this](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            info.vhost_name = "tls";
            info.ssl_cert_filepath = certificate.c_str();
            info.ssl_private_key_filepath = key.c_str();
        });
    }
};

void relay(TcpSocket &from, TcpSocket &to, bool *ended) {
    char block[65536];
    const IoResult got = from.receive_some(block, sizeof(block));
    if (got.state == Io::ok)
        to.send_all(std::string_view(block, got.bytes));
    else if (got.state != Io::would_block)
        *ended = true;
}

// Serves one CONNECT and relays until one side ends. What it was asked.
std::string serve_proxy(TcpListener &listener) {
    TcpSocket client = listener.accept();
    const std::string request = client.receive_until("\r\n\r\n");
    const size_t colon = request.find(':');
    TcpSocket server(std::stoi(request.substr(colon + 1)));
    client.send_all("HTTP/1.1 200 Connection established\r\n\r\n");
    bool ended = false;
    const Deadline deadline;
    while (!ended) {
        pollfd waiting[] = {{client.fd(), POLLIN, 0}, {server.fd(), POLLIN, 0}};
        if (poll(waiting, 2, deadline.remaining_ms()) <= 0)
            FAIL("the proxy gave up waiting");
        if (waiting[0].revents)
            relay(client, server, &ended);
        if (waiting[1].revents)
            relay(server, client, &ended);
    }
    return request;
}

constexpr size_t kBig = 1024 * 1024;

void a_server_is_reached_through_the_proxy() {
    for (const bool tls : {false, true}) {
        Scene scene;
        const int port = tls ? scene.tls_server.port : scene.server.port;
        CHECK(scene.context.connect(scene.client, port, [&](lws_client_connect_info &info) {
            info.path = "/body/1048576";
            info.address = info.host = "localhost";
            info.ssl_connection = tls ? LCCSCF_USE_SSL : 0;
        }));
        std::string request;
        scene.client.on = [](lws *, lws_callback_reasons reason, void *, size_t) {
            return reason == LWS_CALLBACK_COMPLETED_CLIENT_HTTP ? -1 : 0;
        };
        scene.context.serve_while([&] { request = serve_proxy(scene.listener); });
        scene.context.serve_until("the end", [&] { return scene.client.ended(); });
        CHECK_EQ(scene.client.error(), "");
        CHECK_EQ(scene.client.received.size(), kBig);
        CHECK(scene.client.received == numbered_stream::text(0, kBig));
        CHECK_EQ(request.find("CONNECT localhost:" + std::to_string(port) + " HTTP/1.1\r\n"), 0u);
        // The name of the server is the proxy's business.
        CHECK_EQ(scene.names.asked(), 0);
    }
}

void a_websocket_goes_through_the_proxy() {
    Scene scene;
    scene.client.on = [](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
            lws_callback_on_writable(wsi);
        if (reason == LWS_CALLBACK_CLIENT_WRITEABLE) {
            unsigned char message[LWS_PRE + 5] = {};
            if (lws_write(wsi, message + LWS_PRE, 5, LWS_WRITE_BINARY) < 0)
                return -1;
        }
        // Enough: ends it when the echo is here.
        return reason == LWS_CALLBACK_CLIENT_RECEIVE ? -1 : 0;
    };
    CHECK(scene.context.connect(scene.client, scene.server.port,
                                [](lws_client_connect_info &info) {
                                    info.method = nullptr;
                                    info.protocol = "echo";
                                }));
    scene.context.serve_while([&] { serve_proxy(scene.listener); });
    CHECK(scene.client.established);
    CHECK_EQ(scene.client.closed, 1);
}

// What the client is told if the proxy does this.
void check_told(const std::string &cause, const std::function<void(TcpSocket &)> &answer) {
    for (const bool tls : {false, true}) {
        Scene scene;
        CHECK(scene.context.connect(scene.client, 80, [&](lws_client_connect_info &info) {
            info.ssl_connection = tls ? LCCSCF_USE_SSL : 0;
        }));
        scene.context.serve_while([&] {
            TcpSocket peer = scene.listener.accept();
            peer.receive_until("\r\n\r\n");
            answer(peer);
        });
        scene.context.serve_until("the end", [&] { return scene.client.ended(); });
        CHECK_EQ(scene.client.errors.size(), 1u);
        CHECK_EQ(scene.client.error(), cause);
        CHECK_EQ(scene.client.closed, 0);
        scene.context.serve_until("the end of the connection",
                                  [&] { return scene.context.stats().connections == 0; });
    }
}

void a_proxy_that_refuses_is_named() {
    check_told("http_proxy -> 403", [](TcpSocket &peer) {
        peer.send_all("HTTP/1.1 403 Forbidden\r\n\r\n");
        peer.receive_to_end();
    });
}

void a_proxy_that_talks_something_else_is_named() {
    check_told("http_proxy fail", [](TcpSocket &peer) {
        peer.send_all("220 this is a mail server\r\n");
        peer.receive_to_end();
    });
}

void a_proxy_that_hangs_up_is_named() {
    check_told("http_proxy fail", [](TcpSocket &peer) { peer.close(); });
    check_told("proxy read err", [](TcpSocket &peer) { peer.reset(); });
}

void a_proxy_that_is_not_there_is_named() {
    Scene scene;
    scene.listener.close();
    CHECK(scene.context.connect(scene.client, 80));
    scene.context.serve_until("the end", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.errors.size(), 1u);
    CHECK_EQ(scene.client.error(), "conn fail: Connection refused");
}

void a_proxy_whose_name_does_not_exist_is_named() {
    Scene scene("proxy.invalid");
    CHECK(scene.context.connect(scene.client, 80));
    scene.context.serve_until("the end", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.errors.size(), 1u);
    CHECK_EQ(scene.client.error(), "DNS NXDOMAIN");
    CHECK_EQ(scene.names.asked(), 1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_server_is_reached_through_the_proxy),
        E2E_TEST(a_websocket_goes_through_the_proxy),
        E2E_TEST(a_proxy_that_refuses_is_named),
        E2E_TEST(a_proxy_that_talks_something_else_is_named),
        E2E_TEST(a_proxy_that_hangs_up_is_named),
        E2E_TEST(a_proxy_that_is_not_there_is_named),
        E2E_TEST(a_proxy_whose_name_does_not_exist_is_named),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
