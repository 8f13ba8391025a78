// SPDX-License-Identifier: MIT
//
// HTTP clients and an lws server in one loop: bodies, flow control, redirects, POST, several
// requests on one connection, and trying again.
#include "certificates.hpp"
#include "client_context.hpp"
#include "numbered_stream.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>

using namespace e2e;
using namespace lws_test;

namespace {

constexpr size_t kBig = 8 * 1024 * 1024;

enum class Over { tcp, tls, http2 };
constexpr Over kAll[] = {Over::tcp, Over::tls, Over::http2};

// The context goes first: its clients and server have to outlive it.
struct Scene {
    const Over over;
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    TestServer server;
    std::deque<Client> clients;
    Context context;

    explicit Scene(Over o = Over::tcp)
        : over(o), context([this](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              info.client_ssl_ca_filepath = authority.c_str();
          }) {
        server.start(context, [this](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            if (over == Over::tcp)
                return;
            info.ssl_cert_filepath = certificate.c_str();
            info.ssl_private_key_filepath = key.c_str();
        });
    }

    void connect(Client &client, const std::string &path, const Context::Connecting &change = {}) {
        CHECK(context.connect(client, server.port, [&](lws_client_connect_info &info) {
            info.path = path.c_str();
            if (over != Over::tcp) {
                info.ssl_connection = LCCSCF_USE_SSL;
                info.alpn = over == Over::http2 ? "h2" : "http/1.1";
            }
            if (change)
                change(info);
        }));
    }
    Client &get(const std::string &path, const Context::Connecting &change = {}) {
        Client &client = clients.emplace_back();
        connect(client, path, change);
        return client;
    }
    void await(const Client &client) {
        context.serve_until("an answer", [&] { return client.completed || client.ended(); });
        if (!client.completed)
            FAIL("no answer: " + client.error());
    }
};

std::string body_of(size_t length) {
    return numbered_stream::text(0, length);
}

void a_big_body_arrives_whole() {
    for (const Over over : kAll) {
        Scene scene(over);
        Client &client = scene.get("/body/" + std::to_string(kBig));
        scene.await(client);
        CHECK_EQ(client.status, 200);
        CHECK(client.received == body_of(kBig));
        CHECK_EQ(scene.server.http2, over == Over::http2);
    }
}

void check_rests_stop_the_server(Over over) {
    Scene scene(over);
    lws_sorted_usec_list_t go_on = {};
    static Client *stopped;
    int stops = 0;
    size_t at_stop = 0, most_buffered = 0;
    Client &client = scene.clients.emplace_back();
    stopped = &client;
    // Every time another megabyte has come, it rests for a while.
    client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ &&
            client.received.size() >= (stops + 1) * kBig / 8) {
            stops++;
            at_stop = client.received.size();
            lws_rx_flow_control(wsi, 0);
            lws_sul_schedule(
                scene.context.get(), 0, &go_on,
                [](lws_sorted_usec_list_t *) { lws_rx_flow_control(stopped->wsi, 1); },
                50 * LWS_US_PER_MS);
        }
        return 0;
    };
    scene.connect(client, "/body/8388608");
    scene.context.serve_until("the body", [&] {
        most_buffered = std::max(most_buffered, scene.context.stats().buffer_bytes);
        return client.completed || client.ended();
    });
    lws_sul_cancel(&go_on);
    CHECK_EQ(stops, 7 + (at_stop == kBig));
    CHECK(client.received == body_of(kBig));
    // The windows of both ends.
    CHECK_LE(most_buffered, 4u * 64 * 1024);
}

void a_client_that_stops_reading_stops_the_server() {
    for (const Over over : kAll)
        check_rests_stop_the_server(over);
}

void headers_go_both_ways() {
    Scene scene;
    Client &client = scene.clients.emplace_back();
    std::string answered;
    client.on = [&](lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
        if (reason == LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER) {
            auto **p = static_cast<unsigned char **>(in);
            if (lws_add_http_header_by_name(wsi, reinterpret_cast<const unsigned char *>("x-test:"),
                                            reinterpret_cast<const unsigned char *>("a value"), 7,
                                            p, *p + len))
                return -1;
        }
        if (reason == LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP) {
            char value[64];
            const int n = lws_hdr_custom_copy(wsi, value, sizeof(value), "x-answer:", 9);
            answered.assign(value, static_cast<size_t>(std::max(n, 0)));
        }
        return 0;
    };
    CHECK(scene.context.connect(client, scene.server.port,
                                [](lws_client_connect_info &info) { info.path = "/headers"; }));
    scene.await(client);
    CHECK_EQ(client.received, "a value");
    CHECK_EQ(answered, "a value");
}

void a_redirect_is_followed() {
    Scene scene;
    Client &client = scene.get("/redirect");
    scene.await(client);
    CHECK_EQ(client.received, body_of(100));
    CHECK_EQ(client.status, 200);
    CHECK_EQ(client.errors.size(), 0u);
    CHECK_EQ(scene.server.requests, 2);
}

void a_redirect_to_another_name_is_followed() {
    Scene scene;
    TcpListener listener;
    Client &client = scene.clients.emplace_back();
    CHECK(scene.context.connect(client, listener.port()));
    scene.context.serve_while([&] {
        TcpSocket peer = listener.accept();
        peer.receive_until("\r\n\r\n");
        peer.send_all("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://localhost:" +
                      std::to_string(scene.server.port) + "/body/10\r\n\r\n");
        peer.receive_to_end();
    });
    scene.await(client);
    CHECK_EQ(client.received, body_of(10));
}

void a_redirect_is_not_followed_if_so_told() {
    Scene scene;
    Client &client = scene.get("/redirect", [](lws_client_connect_info &info) {
        info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
    });
    scene.context.serve_until("the answer", [&] { return client.established || client.ended(); });
    CHECK_EQ(client.status, 302);
}

// Over HTTP/2, lws makes one frame of what it is given, and no peer has to take a larger one.
size_t most_of(Over over) {
    return over == Over::http2 ? 16384 : 30000;
}

// Posts a body of the numbered stream, as much each time as the connection takes.
void post(Client &client, Over over, size_t length) {
    auto sent = std::make_shared<size_t>(0);
    client.on = [=](lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
        if (reason == LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER) {
            const std::string value = std::to_string(length);
            auto **p = static_cast<unsigned char **>(in);
            if (lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH,
                                             reinterpret_cast<const uint8_t *>(value.data()),
                                             static_cast<int>(value.size()), p, *p + len))
                return -1;
            lws_client_http_body_pending(wsi, 1);
            lws_callback_on_writable(wsi);
        }
        if (reason == LWS_CALLBACK_CLIENT_HTTP_WRITEABLE && *sent < length) {
            size_t most = std::min<size_t>(length - *sent, most_of(over));
            // Over HTTP/2, what the peer's window takes; otherwise the room for it here.
            const lws_fileofs_t allowance = lws_get_peer_write_allowance(wsi);
            if (allowance >= 0)
                most = std::min(most, static_cast<size_t>(allowance));
            if (!most) {
                lws_callback_on_writable(wsi);
                return 0;
            }
            const std::string data = numbered_stream::text(*sent, most);
            std::vector<uint8_t> buffer(LWS_PRE + data.size());
            memcpy(buffer.data() + LWS_PRE, data.data(), data.size());
            *sent += data.size();
            const bool last = *sent == length;
            if (last)
                lws_client_http_body_pending(wsi, 0);
            else
                lws_callback_on_writable(wsi);
            if (lws_write(wsi, buffer.data() + LWS_PRE, data.size(),
                          last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
                return -1;
        }
        return 0;
    };
}

void what_is_posted_comes_back() {
    for (const Over over : kAll)
        for (const size_t length : {size_t{1}, size_t{1000}, kBig}) {
            Scene scene(over);
            Client &client = scene.clients.emplace_back();
            post(client, over, length);
            scene.connect(client, "/", [](lws_client_connect_info &info) { info.method = "POST"; });
            scene.await(client);
            CHECK(client.received == body_of(length));
        }
}

void requests_for_one_place_share_a_connection() {
    constexpr int kRequests = 20;
    Scene scene;
    for (int i = 0; i < kRequests; i++)
        scene.get("/body/" + std::to_string(100000 + i),
                  [](lws_client_connect_info &info) { info.ssl_connection = LCCSCF_PIPELINE; });
    for (int i = 0; i < kRequests; i++) {
        scene.await(scene.clients[i]);
        CHECK(scene.clients[i].received == body_of(100000 + i));
    }
    CHECK_EQ(scene.server.requests, kRequests);
    CHECK_EQ(scene.server.accepted, 1);
}

void a_request_takes_over_an_idle_connection() {
    Scene scene;
    const auto pipelined = [](lws_client_connect_info &info) {
        info.ssl_connection = LCCSCF_PIPELINE;
    };
    for (int i = 0; i < 3; i++)
        scene.await(scene.get("/body/10", pipelined));
    CHECK_EQ(scene.server.accepted, 1);
}

void requests_that_share_a_connection_end_with_it() {
    Scene scene;
    TcpListener listener;
    for (int i = 0; i < 5; i++)
        CHECK(scene.context.connect(
            scene.clients.emplace_back(), listener.port(),
            [](lws_client_connect_info &info) { info.ssl_connection = LCCSCF_PIPELINE; }));
    scene.context.serve_while([&] {
        TcpSocket peer = listener.accept();
        peer.receive_until("\r\n\r\n");
        peer.reset();
    });
    // The others may try on a connection of their own, which is refused now.
    listener.close();
    for (const Client &client : scene.clients) {
        scene.context.serve_until("an end", [&] { return client.ended(); });
        CHECK_EQ(client.errors.size() + client.closed, 1u);
    }
}

void a_server_without_an_answer_is_given_up() {
    TestServer server;
    Client client;
    Context context([](lws_context_creation_info &info) { info.timeout_secs = 1; });
    server.start(context);
    CHECK(context.connect(client, server.port,
                          [](lws_client_connect_info &info) { info.path = "/never"; }));
    context.serve_until("the time-out", [&] { return client.ended(); });
    CHECK_EQ(client.errors.size(), 1u);
    CHECK_EQ(client.error(), "Timed out waiting server reply");
}

// Connects again as a policy says, until it is served.
struct Retry {
    lws_sorted_usec_list_t sul = {};
    uint16_t count = 0;
    int attempts = 0;
    Context *context = nullptr;
    Client *client = nullptr;
    int port = 0;
    lws_retry_bo_t policy = {};
    const uint32_t delays[3] = {10, 20, 40};  // ms

    Retry() {
        policy.retry_ms_table = delays;
        policy.retry_ms_table_count = 3;
        policy.conceal_count = 3;
    }
    void attempt() {
        attempts++;
        if (!context->connect(*client, port))
            again();
    }
    bool again() {
        return !lws_retry_sul_schedule(
            context->get(), 0, &sul, &policy,
            [](lws_sorted_usec_list_t *s) { lws_container_of(s, Retry, sul)->attempt(); }, &count);
    }
};

void a_refused_client_tries_again_and_backs_off() {
    Retry retry;
    Client client;
    TestServer server;
    Context context;
    retry.context = &context;
    retry.client = &client;
    retry.port = closed_port();
    bool gave_up = false;
    client.on = [&](lws *, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR && !retry.again())
            gave_up = true;
        return 0;
    };
    retry.attempt();
    context.serve_until("all attempts", [&] { return gave_up; });
    CHECK_EQ(retry.attempts, 4);
    CHECK_EQ(client.errors.size(), 4u);

    // And one that is let in at last.
    retry.count = 0;
    gave_up = false;
    client.errors.clear();
    retry.attempt();
    context.serve_until("one more refusal", [&] { return !client.errors.empty(); });
    server.start(context);
    retry.port = server.port;
    context.serve_until("the answer", [&] { return client.completed; });
    CHECK_EQ(client.status, 404);
    lws_sul_cancel(&retry.sul);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_big_body_arrives_whole),
        E2E_TEST(a_client_that_stops_reading_stops_the_server),
        E2E_TEST(headers_go_both_ways),
        E2E_TEST(a_redirect_is_followed),
        E2E_TEST(a_redirect_to_another_name_is_followed),
        E2E_TEST(a_redirect_is_not_followed_if_so_told),
        E2E_TEST(what_is_posted_comes_back),
        E2E_TEST(requests_for_one_place_share_a_connection),
        E2E_TEST(a_request_takes_over_an_idle_connection),
        E2E_TEST(requests_that_share_a_connection_end_with_it),
        E2E_TEST(a_server_without_an_answer_is_given_up),
        E2E_TEST(a_refused_client_tries_again_and_backs_off),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
