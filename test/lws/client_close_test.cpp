// SPDX-License-Identifier: MIT
//
// Clients that are closed, or whose context is destroyed, at every stage on the way to an answer;
// and a loop that goes on while a name is looked up.
#include "client_context.hpp"
#include "name_service.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"

#include <netdb.h>

using namespace e2e;
using namespace lws_test;

namespace {

// One client and its peer, which has come to some stage.
struct Scene {
    NameService names;
    TcpListener listener{"127.0.0.1", 0};
    std::vector<TcpSocket> sockets;
    Client client;
    Context context{[](lws_context_creation_info &info) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    }};

    TcpSocket &peer() { return sockets.back(); }

    void connect(const char *method = "GET", int tls = 0) {
        CHECK(context.connect(client, listener.port(), [&](lws_client_connect_info &info) {
            info.method = method;
            info.ssl_connection = tls;
        }));
    }
    void accept() {
        context.serve_while([&] {
            sockets.push_back(listener.accept());
            CHECK(peer().await_readable());
        });
    }
};

void resolving(Scene &scene) {
    scene.names.hold();
    CHECK(scene.context.connect(
        scene.client, 80, [](lws_client_connect_info &info) { info.address = "slow.invalid"; }));
    scene.context.serve_until("the question", [&] { return scene.names.asked() == 1; });
}

void asking_again(Scene &scene) {
    scene.names.answer_error(EAI_AGAIN);
    CHECK(scene.context.connect(
        scene.client, 80, [](lws_client_connect_info &info) { info.address = "later.invalid"; }));
    scene.context.serve_until("two questions", [&] { return scene.names.asked() == 2; });
}

void connecting(Scene &scene) {
    scene.sockets = scene.listener.fill_queue();
    scene.connect();
    scene.context.serve_what_is_there();
}

void in_the_tls_handshake(Scene &scene) {
    scene.connect("GET", LCCSCF_USE_SSL);
    scene.accept();
}

void in_the_tls_handshake_of_a_raw_client(Scene &scene) {
    scene.connect("RAW", LCCSCF_USE_SSL);
    scene.accept();
}

void awaiting_the_answer(Scene &scene) {
    scene.connect();
    scene.accept();
}

void awaiting_the_upgrade(Scene &scene) {
    scene.connect(nullptr);
    scene.accept();
}

void in_the_head(Scene &scene) {
    awaiting_the_answer(scene);
    scene.context.serve_while([&] { scene.peer().send_all("HTTP/1.1 200 OK\r\nContent-"); });
    scene.context.serve_what_is_there();
}

void in_the_body(Scene &scene) {
    awaiting_the_answer(scene);
    scene.context.serve_while(
        [&] { scene.peer().send_all("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"); });
    scene.context.serve_until("half of it", [&] { return scene.client.received == "12345"; });
}

void connected_raw(Scene &scene) {
    scene.connect("RAW");
    scene.context.serve_while([&] { scene.sockets.push_back(scene.listener.accept()); });
    scene.context.serve_until("the connection", [&] { return scene.client.established; });
}

const struct {
    const char *name;
    void (*reach)(Scene &);
    bool asked;  // then lws calls the end CLOSED or an error, before that it is an error
} kStages[] = {
    {"resolving", resolving, false},
    {"asking again", asking_again, false},
    {"connecting", connecting, false},
    {"in the TLS handshake", in_the_tls_handshake, false},
    {"in the TLS handshake of a raw client", in_the_tls_handshake_of_a_raw_client, false},
    {"awaiting the upgrade", awaiting_the_upgrade, true},
    {"awaiting the answer", awaiting_the_answer, true},
    {"in the head", in_the_head, true},
    {"in the body", in_the_body, true},
    {"connected, raw", connected_raw, true},
};

// Brings a client to each stage, ends it there, and checks that it was told so once.
void check_each_stage(void (*end)(Scene &)) {
    for (const auto &stage : kStages) {
        Scene scene;
        try {
            stage.reach(scene);
            CHECK(!scene.client.ended());
            end(scene);
            CHECK_EQ(scene.client.errors.size() + scene.client.closed, 1u);
            if (!stage.asked)
                CHECK_EQ(scene.client.errors.size(), 1u);
            CHECK(!scene.client.wsi);
        } catch (const CheckFailed &failed) {
            FAIL(std::string(stage.name) + ": " + failed.what());
        }
    }
}

void await_no_connection(Scene &scene) {
    scene.context.serve_until("the end of the connection",
                              [&] { return scene.context.stats().connections == 0; });
}

void a_client_is_closed_at_each_stage() {
    check_each_stage([](Scene &scene) {
        lws_set_timeout(scene.client.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        CHECK(scene.client.ended());
        await_no_connection(scene);
    });
}

void a_client_times_out_at_each_stage() {
    check_each_stage([](Scene &scene) {
        lws_set_timeout(scene.client.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        scene.context.serve_until("the time-out", [&] { return scene.client.ended(); });
        await_no_connection(scene);
    });
}

void the_context_is_destroyed_at_each_stage() {
    check_each_stage([](Scene &scene) {
        scene.context.destroy();
        scene.names.release();
    });
}

void what_a_lookup_finds_after_the_close_is_dropped() {
    Scene scene;
    resolving(scene);
    scene.names.answer({"127.0.0.1", "::1"});
    lws_set_timeout(scene.client.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    scene.names.release();
    scene.context.serve_what_is_there();
    CHECK_EQ(scene.client.errors.size(), 1u);
    CHECK_EQ(scene.context.stats().connections, 0u);
}

void the_peer_ends_at_each_stage() {
    for (const auto &stage : kStages)
        for (const bool reset : {false, true}) {
            Scene scene;
            stage.reach(scene);
            if (scene.sockets.size() != 1)
                continue;
            try {
                if (reset)
                    scene.peer().reset();
                else
                    scene.peer().close();
                scene.context.serve_until("the end", [&] { return scene.client.ended(); });
                await_no_connection(scene);
                CHECK_EQ(scene.client.errors.size() + scene.client.closed, 1u);
                // A close is a reset too, if the peer has not read what the client sent.
                const std::string error = scene.client.error();
                if (!scene.client.errors.empty() &&
                    error.find("Connection reset") == std::string::npos &&
                    (reset || (error.find("closed") == std::string::npos &&
                               error.find("unexpected eof") == std::string::npos)))
                    FAIL("told: " + error);
            } catch (const CheckFailed &failed) {
                FAIL(std::string(stage.name) + (reset ? ", reset: " : ", closed: ") +
                     failed.what());
            }
        }
}

void an_answer_that_came_before_the_end_counts() {
    Scene scene;
    awaiting_the_answer(scene);
    scene.peer().send_last("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345");
    scene.context.serve_until("the end", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.received, "12345");
    CHECK_EQ(scene.client.completed, 1);
    CHECK(scene.client.errors.empty());
}

void an_answer_without_length_lasts_to_the_end() {
    Scene scene;
    awaiting_the_answer(scene);
    scene.peer().send_last("HTTP/1.1 200 OK\r\n\r\n12345");
    scene.context.serve_until("the end", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.received, "12345");
    CHECK(scene.client.errors.empty());
}

void an_answer_of_single_bytes_arrives() {
    Scene scene;
    scene.connect();
    scene.context.serve_while([&] {
        scene.sockets.push_back(scene.listener.accept());
        scene.peer().receive_until("\r\n\r\n");
        for (const char byte : std::string("HTTP/1.1 200 OK\r\nX-Test: v\r\n"
                                           "Transfer-Encoding: chunked\r\n\r\n"
                                           "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
            scene.peer().send_all(std::string_view(&byte, 1));
    });
    scene.context.serve_until("the end of it", [&] { return scene.client.completed; });
    CHECK_EQ(scene.client.received, "abcde");
    CHECK_EQ(scene.client.status, 200);
}

// What a callback wants closed.
void a_client_that_returns_an_error_is_closed_at_each_callback() {
    for (const lws_callback_reasons reason :
         {LWS_CALLBACK_CONNECTING, LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER,
          LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH, LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP,
          LWS_CALLBACK_RECEIVE_CLIENT_HTTP, LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ,
          LWS_CALLBACK_COMPLETED_CLIENT_HTTP}) {
        Scene scene;
        int called = 0;
        scene.client.on = [&](lws *, lws_callback_reasons r, void *, size_t) {
            called += r == reason;
            return r == reason ? -1 : 0;
        };
        const bool begun = scene.context.connect(scene.client, scene.listener.port());
        CHECK_EQ(begun, reason != LWS_CALLBACK_CONNECTING);
        if (begun)
            scene.context.serve_while([&] {
                TcpSocket peer = scene.listener.accept();
                // It may be gone before it has asked.
                if (peer.await_readable() && reason != LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER)
                    peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345");
                peer.receive_to_end();
            });
        CHECK_EQ(called, 1);
        await_no_connection(scene);
        CHECK_LE(scene.client.errors.size() + scene.client.closed, 1u);
        CHECK(!scene.client.wsi);
    }
}

struct Timer {
    lws_sorted_usec_list_t sul = {};
    int fired = 0;

    void set(const Context &context) {
        lws_sul_schedule(
            context.get(), 0, &sul,
            [](lws_sorted_usec_list_t *s) { lws_container_of(s, Timer, sul)->fired++; },
            10 * LWS_US_PER_MS);
    }
};

void the_loop_goes_on_while_a_name_is_looked_up() {
    Timer timer;
    Client other;
    Scene scene;
    resolving(scene);
    timer.set(scene.context);
    scene.context.serve_until("the timer", [&] { return timer.fired; });

    CHECK(scene.context.connect(other, scene.listener.port()));
    scene.context.serve_while([&] {
        TcpSocket peer = scene.listener.accept();
        peer.receive_until("\r\n\r\n");
        peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    scene.context.serve_until("the other's answer", [&] { return other.completed; });
    CHECK(!scene.client.ended());

    scene.names.answer_error(EAI_NONAME);
    scene.names.release();
    scene.context.serve_until("the name", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.errors.size(), 1u);
}

void many_lookups_at_once_all_end() {
    constexpr int kClients = 200;
    std::vector<Client> clients(kClients);
    Scene scene;
    scene.names.hold();
    scene.names.answer({"127.0.0.1"});
    const int port = closed_port();
    for (Client &client : clients)
        CHECK(scene.context.connect(
            client, port, [](lws_client_connect_info &info) { info.address = "many.invalid"; }));
    scene.names.release();
    for (Client &client : clients) {
        scene.context.serve_until("an end", [&] { return client.ended(); });
        CHECK_EQ(client.errors.size(), 1u);
    }
    CHECK_EQ(scene.names.asked(), kClients);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_client_is_closed_at_each_stage),
        E2E_TEST(a_client_times_out_at_each_stage),
        E2E_TEST(the_context_is_destroyed_at_each_stage),
        E2E_TEST(what_a_lookup_finds_after_the_close_is_dropped),
        E2E_TEST(the_peer_ends_at_each_stage),
        E2E_TEST(an_answer_that_came_before_the_end_counts),
        E2E_TEST(an_answer_without_length_lasts_to_the_end),
        E2E_TEST(an_answer_of_single_bytes_arrives),
        E2E_TEST(a_client_that_returns_an_error_is_closed_at_each_callback),
        E2E_TEST(the_loop_goes_on_while_a_name_is_looked_up),
        E2E_TEST(many_lookups_at_once_all_end),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
