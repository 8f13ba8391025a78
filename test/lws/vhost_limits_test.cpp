// SPDX-License-Identifier: MIT
//
// What a vhost and a context limit: connections, and the windows of each.
#include "server.hpp"

#include "own_process.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>

namespace {

using e2e::TcpSocket;
using lws_test::Server;

std::atomic<int> held, most_held;
std::atomic<long> allowance;

int watch(lws *wsi, lws_callback_reasons reason, void *, size_t) {
    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        most_held = std::max<int>(most_held, ++held);
        break;
    case LWS_CALLBACK_CLOSED_HTTP:
        held--;
        break;
    case LWS_CALLBACK_HTTP:
        allowance = lws_get_peer_write_allowance(wsi);
        break;
    default:
        break;
    }
    return 0;
}

void check_limit(int threads) {
    constexpr int kFds = 10, kClients = 60;
    lws_context_creation_info info = {};
    info.fd_limit_per_thread = kFds;
    held = most_held = 0;
    Server server(info, watch, threads);
    std::vector<std::unique_ptr<TcpSocket>> clients;
    for (int i = 0; i < kClients; i++)
        clients.push_back(std::make_unique<TcpSocket>(server.port()));
    for (auto &client : clients)
        client->await_writable();
    server.await_connections(kClients);
    CHECK_LE(most_held, kFds * threads);
    // Those that lws has are not told apart from those that wait: each asks, each is answered.
    for (auto &client : clients)
        lws_test::ask(*client);
    for (auto &client : clients)
        CHECK_EQ(lws_test::body(client->receive_to_end()), "default");
    CHECK_LE(most_held, kFds * threads);
}

void connections_over_the_limit_wait_and_none_is_lost() {
    check_limit(1);
}

void with_several_threads_too() {
    check_limit(3);
}

// Proton's object, the glue's, and no buffer.
void those_that_wait_cost_little() {
    constexpr size_t kClients = 500;
    lws_context_creation_info info = {};
    info.fd_limit_per_thread = 10;
    Server server(info);
    std::vector<std::unique_ptr<TcpSocket>> clients;
    const auto connect = [&](size_t count) {
        for (size_t i = 0; i < count; i++) {
            clients.push_back(std::make_unique<TcpSocket>(server.port()));
            clients.back()->await_writable();
        }
        server.await_connections(clients.size());
    };
    connect(50);
    const size_t before = e2e::own_rss_kib();
    connect(kClients);
    const size_t grown = e2e::own_rss_kib() - before;
    printf("             %zu waiting connections: %zu KiB\n", kClients, grown);
    if (!e2e::kSanitized)
        CHECK_LE(grown, kClients * 8);
}

void a_vhost_has_the_windows_that_its_pvo_says() {
    const lws_protocol_vhost_options tx = {nullptr, nullptr, "tx-window", "131072"};
    const lws_protocol_vhost_options rx = {&tx, nullptr, "rx-window", "16384"};
    const lws_protocol_vhost_options proton = {nullptr, &rx, "lws-proton", ""};
    const lws_protocol_vhost_options http = {&proton, nullptr, "http", ""};
    for (const auto *pvo : {&http, static_cast<const lws_protocol_vhost_options *>(nullptr)}) {
        lws_context_creation_info info = {};
        info.pvo = pvo;
        Server server(info, watch);
        TcpSocket client(server.port());
        CHECK_EQ(lws_test::get(client), "default");
        CHECK_EQ(allowance, pvo ? 131072 : long{LWS_PROTON_TX});
    }
}

void a_pvo_that_cannot_be_had_fails_the_vhost_and_says_why() {
    for (const auto &[name, value] : {std::pair{"tx-window", "12"},
                                      {"tx-window", "64k"},
                                      {"rx-window", ""},
                                      {"rx-window", "-1"},
                                      {"answer-first", "2"},
                                      {"rx_window", "65536"}}) {
        const lws_protocol_vhost_options option = {nullptr, nullptr, name, value};
        const lws_protocol_vhost_options proton = {nullptr, &option, "lws-proton", ""};
        lws_context_creation_info info = {};
        info.options = LWS_SERVER_OPTION_PROTON;
        info.protocols = lws_test::kProtocols;
        info.pvo = &proton;
        log_to_string();
        lws_context *context = lws_create_context(&info);
        if (context)
            lws_context_destroy(context);
        CHECK(!context);
        CHECK(lws_logged.find("lws-proton: bad option '" + std::string(name) + "' = '" + value +
                              "'") != std::string::npos);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(connections_over_the_limit_wait_and_none_is_lost),
        E2E_TEST(with_several_threads_too),
        E2E_TEST(those_that_wait_cost_little),
        E2E_TEST(a_vhost_has_the_windows_that_its_pvo_says),
        E2E_TEST(a_pvo_that_cannot_be_had_fails_the_vhost_and_says_why),
    };
    return cmocka_run_group_tests_name("vhost_limits", tests, nullptr, nullptr);
}
