// SPDX-License-Identifier: MIT
//
// The end of a context: from inside its own callbacks, and with connections in every state. Whatever
// lws has created is destroyed, once, and every peer sees the end of its connection.
#include "census.hpp"
#include "server.hpp"

#include "certificate.hpp"
#include "own_process.hpp"
#include "tls_client.hpp"
#include "ws_client.hpp"

#include <array>
#include <memory>

namespace {

using namespace lws_test;
using e2e::Opcode;
using e2e::TcpSocket;
using e2e::TlsClient;
using e2e::WsClient;
using e2e::WsClients;

struct Occasion {
    const char *name;
    lws_callback_reasons reason;
};

constexpr Occasion kOccasions[] = {
    {"a new connection", LWS_CALLBACK_FILTER_NETWORK_CONNECTION},
    {"an accepted one", LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED},
    {"a request", LWS_CALLBACK_HTTP},
    {"its body", LWS_CALLBACK_HTTP_BODY},
    {"its body's end", LWS_CALLBACK_HTTP_BODY_COMPLETION},
    {"its end", LWS_CALLBACK_CLOSED_HTTP},
    {"a handshake", LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION},
    {"its success", LWS_CALLBACK_ESTABLISHED},
    {"room to write", LWS_CALLBACK_SERVER_WRITEABLE},
    {"a message", LWS_CALLBACK_RECEIVE},
    {"a timer", LWS_CALLBACK_TIMER},
    {"the peer's goodbye", LWS_CALLBACK_WS_PEER_INITIATED_CLOSE},
    {"the end", LWS_CALLBACK_CLOSED},
    {"a cancelled service", LWS_CALLBACK_EVENT_WAIT_CANCELLED},
    {"the end of a wsi", LWS_CALLBACK_WSI_DESTROY},
};

// Brings all of them about, again and again, until it happened.
class Peers {
public:
    // Locked while it happens.
    Peers(Server &server, std::mutex &happening)
        : server_(server), port_(server.port()), happening_(happening) {}

    void until(const std::atomic<bool> &happened) {
        const e2e::Deadline deadline;
        while (!happened) {
            try {
                post();
                talk(happened);
            } catch (const e2e::CheckFailed &) {
                // of a context that is gone by now
                if (!happened || deadline.passed())
                    throw;
            }
        }
    }

private:
    void post() {
        TcpSocket client(port_);
        client.send_all("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
                        "Connection: close\r\n\r\nhello");
        client.receive_to_end();
    }
    void talk(const std::atomic<bool> &happened) {
        WsClients clients;
        clients.push_back(std::make_unique<WsClient>(port_, "echo"));
        WsClient &client = *clients.front();
        bool sent = false, said_goodbye = false;
        {
            // The context lives as long as nothing has happened.
            std::lock_guard<std::mutex> lock(happening_);
            if (happened)
                return;
            lws_cancel_service(server_.context());
        }
        e2e::drive(clients, "a conversation", [&] {
            if (client.state() == WsClient::State::open && !sent) {
                client.queue_frame(Opcode::text, "hello");
                sent = true;
            }
            if (client.frames().size() == 1 && !said_goodbye) {
                client.queue_frame(Opcode::close, e2e::close_payload(1000));
                said_goodbye = true;
            }
            return happened || client.state() == WsClient::State::ended;
        });
    }

    Server &server_;
    const int port_;
    std::mutex &happening_;
};

void keep_busy(lws *wsi, lws_callback_reasons reason) {
    if (reason == LWS_CALLBACK_ESTABLISHED) {
        lws_callback_on_writable(wsi);
        lws_set_timer_usecs(wsi, 1);
    }
}

void check_destroy_on(const Occasion &occasion, int threads) {
    Census census;
    std::atomic<bool> happened{false};
    std::mutex happening;
    WsClients bystanders;
    {
        Server server(
            {},
            [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
                census.note(wsi, reason);
                keep_busy(wsi, reason);
                std::unique_lock<std::mutex> lock(happening);
                if (reason != occasion.reason || bystanders.size() < 3 || happened.exchange(true))
                    return 0;
                lock.unlock();
                lws_context_destroy(lws_get_context(wsi));
                return 0;
            },
            threads);
        const int port = server.port();
        Peers peers(server, happening);
        for (int i = 0; i < 3; i++) {
            auto client = std::make_unique<WsClient>(port, "echo");
            client->await_open();
            server.run([&] {
                std::lock_guard<std::mutex> lock(happening);
                bystanders.push_back(std::move(client));
            });
        }
        peers.until(happened);
        server.await_destroyed();
    }
    for (auto &client : bystanders)
        client->await_end();
    census.check_all_lived_and_died();
}

void on_every_occasion(const std::function<void(const Occasion &)> &check) {
    for (const Occasion &occasion : kOccasions)
        try {
            check(occasion);
        } catch (const std::exception &error) {
            FAIL(std::string(occasion.name) + ": " + error.what());
        }
}

void any_callback_may_destroy_the_context() {
    on_every_occasion([](const Occasion &occasion) { check_destroy_on(occasion, 1); });
}

void any_callback_of_several_threads_may() {
    on_every_occasion([](const Occasion &occasion) { check_destroy_on(occasion, 3); });
}

void a_service_inside_a_callback_is_refused() {
    on_every_occasion([](const Occasion &occasion) {
        std::atomic<bool> happened{false};
        std::atomic<int> result{0};
        Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            keep_busy(wsi, reason);
            if (reason == occasion.reason && !happened) {
                result = lws_service(lws_get_context(wsi), 0);
                happened = true;
            }
            return 0;
        });
        std::mutex happening;  // the context lives on
        Peers(server, happening).until(happened);
        CHECK_EQ(result, -1);
        CHECK(lws_log().find("lws_service() from inside a callback") != std::string::npos);
        TcpSocket client(server.port());
        CHECK_EQ(get(client), "default");
    });
}

// Connections in one state: made on a server, and what is left of them once it is gone.
struct Peer {
    std::unique_ptr<WsClient> ws;
    std::unique_ptr<TlsClient> tls;
    std::unique_ptr<TcpSocket> tcp;

    void await_end() {
        if (ws)
            ws->await_end();
        if (tls)
            tls->receive_to_end();
        if (tcp)
            tcp->receive_to_end();
    }
};

Peer tcp_peer(int port, const std::string &bytes) {
    auto client = std::make_unique<TcpSocket>(port);
    CHECK_EQ(client->await_connected(), 0);
    if (!bytes.empty())
        client->send_all(bytes);
    return {nullptr, nullptr, std::move(client)};
}

Peer ws_peer(int port) {
    auto client = std::make_unique<WsClient>(port, "echo");
    client->await_open();
    return {std::move(client), nullptr, nullptr};
}

// The first bytes of a TLS 1.2 record that promises a hello of 512 bytes.
const std::string kHalfHello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);

struct Scene {
    const char *name;
    bool tls;
    std::function<Peer(int port)> make;
};

const Scene kScenes[] = {
    {"connected", false, [](int port) { return tcp_peer(port, ""); }},
    {"a request half sent", false, [](int port) { return tcp_peer(port, "GET / HTTP/1.1\r\nHo"); }},
    {"its body half sent", false,
     [](int port) {
         return tcp_peer(port, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe");
     }},
    {"kept alive", false,
     [](int port) { return tcp_peer(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); }},
    {"WebSocket", false, ws_peer},
    {"a message half sent", false,
     [](int port) {
         Peer peer = ws_peer(port);
         peer.ws->queue(e2e::masked_frame(Opcode::text, "hello").substr(0, 8));
         return peer;
     }},
    {"the server's goodbye not answered", false,
     [](int port) {
         Peer peer = ws_peer(port);
         peer.ws->queue_frame(Opcode::text, "say goodbye");
         CHECK(peer.ws->await_frame().opcode == Opcode::close);
         return peer;
     }},
    {"TLS, nothing said", true, [](int port) { return tcp_peer(port, ""); }},
    {"TLS, the handshake under way", true, [](int port) { return tcp_peer(port, kHalfHello); }},
    {"TLS, shaken hands", true,
     [](int port) { return Peer{nullptr, std::make_unique<TlsClient>(port), nullptr}; }},
    {"TLS, a request half sent", true,
     [](int port) {
         auto client = std::make_unique<TlsClient>(port);
         client->send_all("GET / HTTP/1.1\r\nHo");
         return Peer{nullptr, std::move(client), nullptr};
     }},
};

int say_goodbye_when_told(lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
    if (reason != LWS_CALLBACK_RECEIVE ||
        std::string(static_cast<char *>(in), len) != "say goodbye")
        return 0;
    lws_close_reason(wsi, LWS_CLOSE_STATUS_GOINGAWAY, nullptr, 0);
    return -1;
}

void check_destroy_with(const Scene &scene, int threads, int fd_limit) {
    constexpr int kPeers = 5;
    const e2e::Certificate certificate("localhost");
    lws_context_creation_info info = {};
    info.fd_limit_per_thread = static_cast<unsigned>(fd_limit);
    if (scene.tls) {
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = certificate.path().c_str();
        info.ssl_private_key_filepath = certificate.key_path().c_str();
    }
    Census census;
    std::vector<Peer> peers;
    {
        Server server(
            info,
            [&](lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
                census.note(wsi, reason);
                return say_goodbye_when_told(wsi, reason, in, len);
            },
            threads);
        for (int i = 0; i < kPeers; i++)
            peers.push_back(scene.make(server.port()));
        server.await_connections(kPeers);
    }
    for (Peer &peer : peers)
        peer.await_end();
    census.check_all_lived_and_died();
}

void on_every_scene(const std::function<void(const Scene &)> &check) {
    for (const Scene &scene : kScenes)
        try {
            check(scene);
        } catch (const std::exception &error) {
            FAIL(std::string(scene.name) + ": " + error.what());
        }
}

void a_context_may_be_destroyed_with_connections_in_any_state() {
    on_every_scene([](const Scene &scene) { check_destroy_with(scene, 1, 0); });
}

void on_several_threads_too() {
    on_every_scene([](const Scene &scene) { check_destroy_with(scene, 3, 0); });
}

// pt 0 has the pipe and the listener too: two connections are lws's, three wait.
void with_connections_that_wait_at_the_limit() {
    check_destroy_with(kScenes[0], 1, 4);
    check_destroy_with(kScenes[1], 1, 4);
}

lws_context *unserved(const Callback &callback) {
    log_to_string();
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON;
    info.protocols = kProtocols;
    info.user = const_cast<Callback *>(&callback);
    lws_context *context = lws_create_context(&info);
    CHECK(context);
    return context;
}

int port_of(lws_context *context) {
    return lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
}

void a_context_may_be_destroyed_before_it_is_served() {
    const Callback nothing;
    lws_context_destroy(unserved(nothing));
    lws_context *context = unserved(nothing);
    const int port = port_of(context);
    std::vector<Peer> peers;
    for (int i = 0; i < 5; i++)
        peers.push_back(tcp_peer(port, i % 2 ? "GET / HTTP/1.1\r\nHo" : ""));
    lws_context_destroy(context);
    for (Peer &peer : peers)
        peer.await_end();
    CHECK_EQ(TcpSocket(port).await_connected(), ECONNREFUSED);
}

// After any number of turns, when new connections are wherever they are by then.
void a_context_may_be_destroyed_after_any_turn() {
    for (int turns = 0; turns < 60; turns++) {
        Census census;
        const Callback callback = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            census.note(wsi, reason);
            return 0;
        };
        lws_context *context = unserved(callback);
        std::vector<Peer> peers;
        for (int i = 0; i < 3; i++)
            peers.push_back(tcp_peer(port_of(context), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        for (int i = 0; i < turns; i++)
            lws_service(context, -1);
        lws_context_destroy(context);
        for (Peer &peer : peers)
            peer.await_end();
        if (turns > 50)
            census.check_all_lived_and_died();
    }
}

// What a peer that does not read leaves unsent is waited for, but not for ever; and that is said.
void a_peer_that_does_not_read_does_not_keep_it() {
    // More than the kernels take of it: tcp_wmem allows 4 MiB, unless it was changed.
    constexpr size_t kMessage = 10000, kMuch = 12 * 1024 * 1024;
    static_assert(kMuch <= LWS_PROTON_WINDOW_MAX * 3 / 4);
    Census census;
    std::unique_ptr<WsClient> client;
    std::atomic<size_t> written{0};
    {
        Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            census.note(wsi, reason);
            if (reason == LWS_CALLBACK_ESTABLISHED)
                lws_callback_on_writable(wsi);
            if (reason != LWS_CALLBACK_SERVER_WRITEABLE)
                return 0;
            unsigned char buffer[LWS_PRE + kMessage] = {};
            written += kMessage;
            lws_write(wsi, buffer + LWS_PRE, kMessage, LWS_WRITE_BINARY);
            lws_callback_on_writable(wsi);
            return 0;
        });
        const lws_proton_windows_t windows = {LWS_PROTON_RX, LWS_PROTON_WINDOW_MAX, false};
        CHECK_EQ(lws_proton_loop_set_windows(lws_proton_loop_of(server.context()), &windows), 0);
        client = std::make_unique<WsClient>(server.port(), "echo", "/", e2e::SocketOptions{1, 0});
        client->await_open();
        client->set_reading(false);
        e2e::await("much to be written", [&] { return written >= kMuch; });
    }
    census.check_all_lived_and_died();
    const bool lingers =
        lws_log().find("1 connections linger beyond the context") != std::string::npos;
    CHECK_EQ(lingers, !e2e::proton_aborts());
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(any_callback_may_destroy_the_context),
        E2E_TEST(any_callback_of_several_threads_may),
        E2E_TEST(a_service_inside_a_callback_is_refused),
        E2E_TEST(a_context_may_be_destroyed_with_connections_in_any_state),
        E2E_TEST(on_several_threads_too),
        E2E_TEST(with_connections_that_wait_at_the_limit),
        E2E_TEST(a_context_may_be_destroyed_before_it_is_served),
        E2E_TEST(a_context_may_be_destroyed_after_any_turn),
        E2E_TEST(a_peer_that_does_not_read_does_not_keep_it),
    };
    return cmocka_run_group_tests_name("destroy", tests, nullptr, nullptr);
}
