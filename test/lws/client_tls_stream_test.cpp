// SPDX-License-Identifier: MIT
//
// How TLS clients' connections begin and end, with a peer that the test plays.
#include "certificates.hpp"
#include "client_context.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"
#include "test_server.hpp"
#include "tls_client.hpp"

#include <poll.h>

using namespace e2e;
using namespace lws_test;

namespace {

struct Scene {
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    TcpListener listener;
    Client client;
    Context context;

    explicit Scene(unsigned timeout_secs = 0)
        : context([=](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              info.client_ssl_ca_filepath = authority.c_str();
              info.timeout_secs = timeout_secs;
              // That of a raw client.
              info.connect_timeout_secs = timeout_secs;
          }) {}

    void connect(const char *method = "GET") {
        CHECK(context.connect(client, listener.port(), [=](lws_client_connect_info &info) {
            info.method = method;
            info.ssl_connection = LCCSCF_USE_SSL;
        }));
    }
    TlsServer accept() { return TlsServer(listener.accept(), certificate, key); }
    void await_end() {
        context.serve_until("the end", [&] { return client.ended(); });
        context.serve_until("the end of the connection",
                            [&] { return context.stats().connections == 0; });
        CHECK_EQ(client.errors.size() + client.closed, 1u);
    }
};

// Reads a request.
std::string request_of(TlsStream &peer) {
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos)
        request += peer.receive_some();
    return request;
}

const struct {
    const char *name;
    const char *method;
} kKinds[] = {{"https", "GET"}, {"wss", nullptr}, {"raw", "RAW"}};

void a_client_ends_tls_when_it_closes() {
    for (const auto &[kind, method] : kKinds) {
        Scene scene;
        scene.connect(method);
        scene.client.on = [](lws *, lws_callback_reasons reason, void *, size_t) {
            return reason == LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ ||
                           reason == LWS_CALLBACK_CLIENT_RECEIVE || reason == LWS_CALLBACK_RAW_RX
                       ? -1
                       : 0;
        };
        bool told = false;
        scene.context.serve_while([&] {
            TlsServer peer = scene.accept();
            if (kind != std::string("raw"))
                request_of(peer);
            // Not an upgrade: what a WebSocket asked for it does not get.
            peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
            peer.receive_to_end();
            told = peer.ended_by_peer();
        });
        scene.await_end();
        if (!told)
            FAIL(std::string(kind) + " hangs up");
    }
}

void an_answer_without_length_lasts_to_the_end_of_tls() {
    for (const bool also_tcp : {false, true}) {
        Scene scene;
        scene.connect();
        scene.context.serve_while([&] {
            TlsServer peer = scene.accept();
            request_of(peer);
            peer.send_all("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345");
            peer.end();
            if (also_tcp)
                peer.socket().shutdown_write();
            // It closes although the TCP connection is still there.
            peer.receive_to_end();
        });
        scene.await_end();
        CHECK_EQ(scene.client.received, "12345");
        CHECK(scene.client.errors.empty());
    }
}

void an_answer_that_is_cut_off_is_not_completed() {
    Scene scene;
    scene.connect();
    scene.context.serve_while([&] {
        TlsServer peer = scene.accept();
        request_of(peer);
        peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        peer.socket().shutdown_write();
        peer.receive_to_end();
    });
    scene.await_end();
    CHECK_EQ(scene.client.received, "12345");
    CHECK_EQ(scene.client.completed, 0);
}

void a_server_that_never_answers_the_handshake_is_given_up() {
    for (const auto &[kind, method] : kKinds) {
        Scene scene(1);
        scene.connect(method);
        scene.context.serve_while([&] {
            TcpSocket peer = scene.listener.accept();
            peer.receive_to_end();
        });
        scene.await_end();
        CHECK_EQ(scene.client.errors.size(), 1u);
        CHECK_EQ(scene.client.error(), "Timed out waiting SSL");
    }
}

void a_server_that_speaks_no_tls_is_named() {
    for (const auto &[kind, method] : kKinds)
        for (const char *says : {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-some\r\n"}) {
            Scene scene;
            scene.connect(method);
            scene.context.serve_while([&] {
                TcpSocket peer = scene.listener.accept();
                peer.send_all(says);
                peer.receive_to_end();
            });
            scene.await_end();
            CHECK_EQ(scene.client.errors.size(), 1u);
            if (scene.client.error().find("wrong version number") == std::string::npos)
                FAIL("told: " + scene.client.error());
        }
}

void what_is_no_record_ends_the_connection() {
    for (const auto &[kind, method] : kKinds) {
        Scene scene;
        scene.connect(method);
        scene.context.serve_while([&] {
            TlsServer peer = scene.accept();
            if (kind != std::string("raw"))
                request_of(peer);
            peer.socket().send_all("this is not TLS any more");
            peer.receive_to_end();
        });
        scene.await_end();
        CHECK(scene.client.received.empty());
    }
}

// Passes bytes on, one at a time, until both sides have ended.
void relay(TcpSocket &client, TcpSocket &server) {
    TcpSocket *ends[] = {&client, &server};
    bool open[] = {true, true};
    const Deadline deadline;
    while (open[0] || open[1]) {
        pollfd waiting[2];
        for (int i : {0, 1})
            waiting[i] = {open[i] ? ends[i]->fd() : -1, POLLIN, 0};
        if (poll(waiting, 2, deadline.remaining_ms()) <= 0)
            FAIL("the relay gave up waiting");
        for (int i : {0, 1}) {
            if (!waiting[i].revents)
                continue;
            char byte;
            IoResult moved = ends[i]->receive_some(&byte, 1);
            if (moved.state == Io::ok) {
                CHECK(ends[1 - i]->await_writable(deadline));
                moved = ends[1 - i]->send_some(std::string_view(&byte, 1));
            }
            if (moved.state != Io::ok && moved.state != Io::would_block) {
                open[i] = false;
                ends[1 - i]->shutdown_write();
            }
        }
    }
}

void tls_in_single_bytes_is_understood() {
    for (const char *alpn : {"http/1.1", "h2"}) {
        TestServer server;
        Scene scene;
        server.start(scene.context, [&](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            info.ssl_cert_filepath = scene.certificate.c_str();
            info.ssl_private_key_filepath = scene.key.c_str();
        });
        scene.client.on = [](lws *, lws_callback_reasons reason, void *, size_t) {
            return reason == LWS_CALLBACK_COMPLETED_CLIENT_HTTP ? -1 : 0;
        };
        CHECK(scene.context.connect(scene.client, scene.listener.port(),
                                    [=](lws_client_connect_info &info) {
                                        info.path = "/body/1000";
                                        info.ssl_connection = LCCSCF_USE_SSL;
                                        info.alpn = alpn;
                                    }));
        scene.context.serve_while([&] {
            TcpSocket client = scene.listener.accept();
            TcpSocket to_server(server.port);
            relay(client, to_server);
        });
        scene.context.serve_until("the end", [&] { return scene.client.ended(); });
        CHECK_EQ(scene.client.error(), "");
        CHECK_EQ(scene.client.received.size(), 1000u);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_client_ends_tls_when_it_closes),
        E2E_TEST(an_answer_without_length_lasts_to_the_end_of_tls),
        E2E_TEST(an_answer_that_is_cut_off_is_not_completed),
        E2E_TEST(a_server_that_never_answers_the_handshake_is_given_up),
        E2E_TEST(a_server_that_speaks_no_tls_is_named),
        E2E_TEST(what_is_no_record_ends_the_connection),
        E2E_TEST(tls_in_single_bytes_is_understood),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
