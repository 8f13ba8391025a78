// SPDX-License-Identifier: MIT
//
// Connections that lws checks by pings and hangs up if nothing comes back, and clients that are
// connected again.
#include "client_context.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"
#include "test_server.hpp"
#include "ws_client.hpp"

using namespace e2e;
using namespace lws_test;

namespace {

struct Policy {
    const uint32_t delays[3] = {10, 20, 40};  // ms
    lws_retry_bo_t bo = {};

    Policy() {
        bo.retry_ms_table = delays;
        bo.retry_ms_table_count = 3;
        bo.conceal_count = 100;
        bo.secs_since_valid_ping = 1;
        bo.secs_since_valid_hangup = 2;
    }
};

struct Scene {
    Policy policy;
    TestServer server;
    Client client;
    Context context;

    // Checked connections are the server's, or the client's own.
    explicit Scene(bool server_checks) {
        server.start(context, [&](lws_context_creation_info &info) {
            if (server_checks)
                info.retry_and_idle_policy = &policy.bo;
        });
    }
    void connect(int port) {
        CHECK(context.connect(client, port, [&](lws_client_connect_info &info) {
            info.method = nullptr;
            info.protocol = "echo";
            info.retry_and_idle_policy = &policy.bo;
        }));
    }
};

void a_server_hangs_up_on_a_peer_that_does_not_answer_its_ping() {
    Scene scene(true);
    scene.context.serve_while([&] {
        WsClient peer(scene.server.port, "echo");
        peer.await_open();
        CHECK(peer.await_frame().opcode == Opcode::ping);
        peer.await_end();
        CHECK(peer.frames().empty());
    });
    scene.context.serve_until("the end of the connection",
                              [&] { return scene.context.stats().connections == 0; });
}

void a_server_keeps_a_peer_that_answers_its_pings() {
    Scene scene(true);
    scene.context.serve_while([&] {
        WsClient peer(scene.server.port, "echo");
        peer.await_open();
        for (int i = 0; i < 3; i++) {
            const WsFrame ping = peer.await_frame();
            CHECK(ping.opcode == Opcode::ping);
            peer.queue_frame(Opcode::pong, ping.payload);
            peer.flush();
        }
        peer.queue_frame(Opcode::text, "still there");
        peer.flush();
        CHECK_EQ(peer.await_frame().payload, "still there");
    });
}

void a_client_hangs_up_on_a_server_that_does_not_answer_its_ping() {
    Scene scene(false);
    TcpListener listener;
    scene.connect(listener.port());
    std::string sent;
    scene.context.serve_while([&] {
        // Lets the upgrade through, and nothing after it.
        TcpSocket client = listener.accept();
        TcpSocket server(scene.server.port);
        server.send_all(client.receive_until("\r\n\r\n"));
        client.send_all(server.receive_until("\r\n\r\n"));
        sent = client.receive_to_end();
    });
    scene.context.serve_until("the end", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.upgraded, 1);
    CHECK_EQ(scene.client.closed, 1);
    CHECK(scene.client.errors.empty());
    // One ping, masked, and nothing else.
    CHECK_GE(sent.size(), 6u);
    CHECK_EQ(sent.substr(0, 1), "\x89");
    CHECK_EQ(sent.size(), 6u + (static_cast<uint8_t>(sent[1]) & 0x7f));
}

void a_client_keeps_a_server_that_answers_its_pings() {
    Scene scene(false);
    int pongs = 0;
    scene.client.on = [&](lws *, lws_callback_reasons reason, void *, size_t) {
        pongs += reason == LWS_CALLBACK_CLIENT_RECEIVE_PONG;
        return 0;
    };
    scene.connect(scene.server.port);
    scene.context.serve_until("three pongs", [&] { return pongs == 3 || scene.client.ended(); });
    CHECK(!scene.client.ended());
}

void a_client_is_connected_again_whatever_ended_it() {
    Scene scene(false);
    TcpListener listener;
    struct Again {
        lws_sorted_usec_list_t sul = {};
        uint16_t count = 0;
        int attempts = 0;
        bool given_up = false;
        Scene *scene;
        int port;

        void attempt() {
            attempts++;
            scene->connect(port);
        }
    } again;
    again.scene = &scene;
    again.port = listener.port();
    scene.client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
            again.count = 0;
        if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR || reason == LWS_CALLBACK_CLIENT_CLOSED)
            again.given_up |= lws_retry_sul_schedule_retry_wsi(
                wsi, &again.sul,
                [](lws_sorted_usec_list_t *t) { lws_container_of(t, Again, sul)->attempt(); },
                &again.count);
        return 0;
    };
    std::vector<TcpSocket> last;  // the connection that stays
    again.attempt();
    scene.context.serve_while([&] {
        // Refused twice, then let in and dropped twice.
        for (int i = 0; i < 2; i++)
            listener.accept().reset();
        for (int i = 0; i < 2; i++) {
            TcpSocket client = listener.accept();
            TcpSocket server(scene.server.port);
            server.send_all(client.receive_until("\r\n\r\n"));
            client.send_all(server.receive_until("\r\n\r\n"));
            client.shutdown_write();
            client.receive_to_end();
        }
        last.push_back(listener.accept());
        last.back().receive_until("\r\n\r\n");
    });
    CHECK(!again.given_up);
    CHECK_EQ(again.attempts, 5);
    CHECK_EQ(scene.client.errors.size(), 2u);
    CHECK_EQ(scene.client.upgraded, 2);
    CHECK_EQ(scene.client.closed, 2);
    lws_sul_cancel(&again.sul);
    scene.client.on = nullptr;
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_server_hangs_up_on_a_peer_that_does_not_answer_its_ping),
        E2E_TEST(a_server_keeps_a_peer_that_answers_its_pings),
        E2E_TEST(a_client_hangs_up_on_a_server_that_does_not_answer_its_ping),
        E2E_TEST(a_client_keeps_a_server_that_answers_its_pings),
        E2E_TEST(a_client_is_connected_again_whatever_ended_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
