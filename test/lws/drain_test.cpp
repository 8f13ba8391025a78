// SPDX-License-Identifier: MIT
//
// How a context's connections end before it does, and what its protocols have to say to it.
#include "server.hpp"
#include "site.hpp"

#include "ws_client.hpp"

#include <memory>

namespace {

using namespace lws_test;
using e2e::Opcode;
using e2e::TcpSocket;
using e2e::WsClient;
using e2e::WsFrame;

constexpr int kLong = 60000, kShort = 300;  // ms

void drain(lws_context *context, int ms = kLong) {
    lws_proton_loop_drain(lws_proton_loop_of(context), ms);
}
void drain(const Server &server, int ms = kLong) {
    drain(server.context(), ms);
}
bool drained(const Server &server) {
    return lws_proton_loop_drained(lws_proton_loop_of(server.context()));
}
void await_drained(const Server &server) {
    e2e::await("the connections to end", [&] { return drained(server); });
}
bool is_drain(lws_callback_reasons reason) {
    return static_cast<int>(reason) == LWS_PROTON_CALLBACK_DRAIN;
}

// What it may have sent comes back first.
void expect_close(WsClient &client, const std::string &payload, const std::string &sent = "") {
    WsFrame frame = client.await_frame();
    while (frame.opcode != Opcode::close) {
        CHECK_EQ(frame.payload, sent);
        frame = client.await_frame();
    }
    CHECK_EQ(frame.payload, payload);
    client.queue_frame(Opcode::close, frame.payload);
    client.await_end();
}

std::unique_ptr<WsClient> open(int port) {
    auto client = std::make_unique<WsClient>(port, "echo");
    client->await_open();
    return client;
}

void an_idle_context_is_drained_at_once() {
    Server server;
    CHECK(!drained(server));
    drain(server);
    await_drained(server);
    CHECK_EQ(server.stats().connections, 0u);
}

void websockets_of_all_pts_hear_1001() {
    Server server({}, {}, 4);
    std::vector<std::unique_ptr<WsClient>> clients;
    for (int i = 0; i < 20; i++)
        clients.push_back(open(server.port()));
    drain(server);
    for (auto &client : clients)
        expect_close(*client, e2e::close_payload(1001));
    await_drained(server);
    CHECK_EQ(server.stats().connections, 0u);
}

void an_application_s_threads_drain_it() {
    Application application(4);
    Site site(application, {}, 4);
    std::vector<std::unique_ptr<WsClient>> clients;
    for (int i = 0; i < 20; i++)
        clients.push_back(open(site.port()));
    drain(site.context());
    for (auto &client : clients)
        expect_close(*client, e2e::close_payload(1001));
    e2e::await("the connections to end",
               [&] { return lws_proton_loop_drained(lws_proton_loop_of(site.context())); });
}

void who_still_sends_hears_it_between_two_messages() {
    Server server;
    auto client = open(server.port());
    drain(server);
    for (bool closed = false; !closed;) {
        client->queue_frame(Opcode::text, "again");
        const WsFrame frame = client->await_frame();
        closed = frame.opcode == Opcode::close;
        CHECK_EQ(frame.payload, closed ? e2e::close_payload(1001) : "again");
    }
    client->queue_frame(Opcode::close, e2e::close_payload(1001));
    client->await_end();
    await_drained(server);
}

void a_protocol_may_end_its_connection_itself() {
    int asked = 0;
    bool ends = false;
    Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (is_drain(reason)) {
            asked++;
            ends = true;
            lws_callback_on_writable(wsi);
            return 1;
        }
        if (reason != LWS_CALLBACK_SERVER_WRITEABLE || !ends)
            return 0;
        unsigned char text[LWS_PRE + 4] = "";
        memcpy(text + LWS_PRE, "last", 4);
        lws_write(wsi, text + LWS_PRE, 4, LWS_WRITE_TEXT);
        lws_close_reason(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION, text + LWS_PRE, 4);
        return -1;
    });
    auto client = open(server.port());
    drain(server);
    CHECK_EQ(client->await_frame().payload, "last");
    expect_close(*client, e2e::close_payload(1008, "last"));
    await_drained(server);
    CHECK_EQ(asked, 1);
}

void a_protocol_may_have_its_connection_closed_now() {
    Server server({}, [](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (!is_drain(reason))
            return 0;
        unsigned char why[] = "moved";
        lws_close_reason(wsi, LWS_CLOSE_STATUS_GOINGAWAY, why, 5);
        return -1;
    });
    auto client = open(server.port());
    drain(server);
    expect_close(*client, e2e::close_payload(1001, "moved"));
    await_drained(server);
}

void a_protocol_that_does_not_end_it_is_cut() {
    std::atomic<int> asked{0}, closed{0};
    Server server({}, [&](lws *, lws_callback_reasons reason, void *, size_t) {
        closed += reason == LWS_CALLBACK_CLOSED;
        asked += is_drain(reason);
        return is_drain(reason) ? 1 : 0;
    });
    auto client = open(server.port());
    drain(server, kShort);
    client->await_end();
    await_drained(server);
    CHECK_EQ(asked, 1);
    CHECK_EQ(closed, 1);
}

void a_request_that_runs_on_is_asked_about_and_answered() {
    std::atomic<lws *> waiting{nullptr};
    std::atomic<int> asked{0};
    Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_HTTP) {
            waiting = wsi;
            // Nothing of it is answered.
            return 0;
        }
        asked += is_drain(reason);
        return 0;
    });
    TcpSocket client(server.port());
    client.send_all("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
    e2e::await("the request", [&] { return waiting.load(); });
    drain(server);
    e2e::await("the question", [&] { return asked == 1; });
    CHECK(!drained(server));
    client.send_all("dy");
    const std::string answer = client.receive_to_end();
    CHECK_EQ(body(answer), "default");
    CHECK(answer.find("\r\nconnection: close\r\n") != std::string::npos);
    await_drained(server);
    CHECK_EQ(asked, 1);
}

void a_second_call_cuts_what_is_left() {
    Server server({}, [](lws *, lws_callback_reasons reason, void *, size_t) {
        return is_drain(reason) ? 1 : 0;
    });
    auto client = open(server.port());
    drain(server);
    CHECK(!drained(server));
    drain(server, 0);
    client->await_end();
    await_drained(server);
}

void a_callback_may_drain_and_all_threads_at_once() {
    Server server({}, [](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_RECEIVE)
            drain(lws_get_context(wsi));
        return 0;
    }, 4);
    std::vector<std::unique_ptr<WsClient>> clients;
    for (int i = 0; i < 20; i++)
        clients.push_back(open(server.port()));
    for (auto &client : clients)
        client->queue_frame(Opcode::text, "stop");
    for (auto &client : clients)
        expect_close(*client, e2e::close_payload(1001), "stop");
    await_drained(server);
}

void a_context_may_be_destroyed_while_it_drains() {
    for (int i = 0; i < 20; i++) {
        Server server({}, {}, 2);
        auto client = open(server.port());
        drain(server, i % 2 ? kLong : 0);
        server.stop();
    }
}

void a_callback_may_destroy_what_drains() {
    Server server({}, [](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (is_drain(reason))
            lws_context_destroy(lws_get_context(wsi));
        return 0;
    }, 2);
    auto client = open(server.port());
    drain(server);
    server.await_destroyed();
    client->await_end();
}

void it_listens_no_more() {
    Server server;
    const int port = server.port();
    drain(server);
    await_drained(server);
    TcpSocket refused(port);
    CHECK_EQ(refused.await_connected(), ECONNREFUSED);
    server.run([&] {
        lws_context_creation_info info = {};
        info.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
        info.vhost_name = "late";
        info.protocols = kProtocols;
        CHECK(!lws_create_vhost(server.context(), &info));
    });
}

// Written, and the peer had no room yet.
void what_a_raw_connection_wrote_goes_out() {
    constexpr size_t kBytes = 48 * 1024;
    static std::atomic<int> closed;
    closed = 0;
    static const lws_protocols protocols[] = {
        {"raw",
         [](lws *wsi, lws_callback_reasons reason, void *, void *, size_t) {
             if (reason == LWS_CALLBACK_RAW_RX) {
                 std::string bytes(LWS_PRE + kBytes, 'x');
                 lws_write(wsi, reinterpret_cast<unsigned char *>(&bytes[LWS_PRE]), kBytes,
                           LWS_WRITE_RAW);
             }
             closed += reason == LWS_CALLBACK_RAW_CLOSE;
             return 0;
         },
         0, 0, 0, nullptr, 0},
        LWS_PROTOCOL_LIST_TERM,
    };
    lws_context_creation_info info = {};
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG;
    info.listen_accept_role = "raw-skt";
    info.listen_accept_protocol = "raw";
    Server server(info);
    e2e::SocketOptions small;
    small.receive_buffer = 4096;
    TcpSocket client(server.port(), small);
    client.send_all("x");
    CHECK(client.await_readable());
    drain(server);
    e2e::await("its end", [] { return closed == 1; });
    CHECK_EQ(client.receive_to_end().size(), kBytes);
    await_drained(server);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(an_idle_context_is_drained_at_once),
        E2E_TEST(websockets_of_all_pts_hear_1001),
        E2E_TEST(an_application_s_threads_drain_it),
        E2E_TEST(who_still_sends_hears_it_between_two_messages),
        E2E_TEST(a_protocol_may_end_its_connection_itself),
        E2E_TEST(a_protocol_may_have_its_connection_closed_now),
        E2E_TEST(a_protocol_that_does_not_end_it_is_cut),
        E2E_TEST(a_request_that_runs_on_is_asked_about_and_answered),
        E2E_TEST(a_second_call_cuts_what_is_left),
        E2E_TEST(a_callback_may_drain_and_all_threads_at_once),
        E2E_TEST(a_context_may_be_destroyed_while_it_drains),
        E2E_TEST(a_callback_may_destroy_what_drains),
        E2E_TEST(it_listens_no_more),
        E2E_TEST(what_a_raw_connection_wrote_goes_out),
    };
    return cmocka_run_group_tests_name("drain", tests, nullptr, nullptr);
}
