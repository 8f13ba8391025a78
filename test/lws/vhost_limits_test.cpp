// SPDX-License-Identifier: MIT
//
// What a vhost and a context limit: connections, and the windows of each.
#include "lws_log.hpp"

#include <lws_proton.h>

#include "check.hpp"
#include "tcp_socket.hpp"
#include "test_main.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

using e2e::TcpSocket;

std::atomic<int> held, most_held;
std::atomic<long> allowance;

int answer(lws *wsi, lws_callback_reasons reason, void *, void *, size_t) {
    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        most_held = std::max<int>(most_held, ++held);
        break;
    case LWS_CALLBACK_CLOSED_HTTP:
        held--;
        break;
    case LWS_CALLBACK_HTTP:
        allowance = lws_get_peer_write_allowance(wsi);
        return lws_return_http_status(wsi, HTTP_STATUS_NO_CONTENT, nullptr) ||
               lws_http_transaction_completed(wsi);
    default:
        break;
    }
    return 0;
}

const lws_protocols kProtocols[] = {{"http", answer, 0, 0, 0, nullptr, 0}, LWS_PROTOCOL_LIST_TERM};

// A context on a port of its own, served by a thread until it goes.
class Server {
public:
    explicit Server(lws_context_creation_info info, int threads = 1) {
        log_to_string();
        held = most_held = 0;
        info.options |= LWS_SERVER_OPTION_PROTON;
        info.protocols = kProtocols;
        info.count_threads = static_cast<unsigned>(threads);
        context_ = lws_create_context(&info);
        CHECK(context_);
        for (int tsi = 0; tsi < threads; tsi++)
            threads_.emplace_back([this, tsi] {
                while (!stop_)
                    lws_service_tsi(context_, 0, tsi);
            });
    }
    ~Server() {
        stop_ = true;
        lws_cancel_service(context_);
        for (std::thread &thread : threads_)
            thread.join();
        lws_context_destroy(context_);
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

    int port() { return lws_get_vhost_listen_port(lws_get_vhost_by_name(context_, "default")); }

    void await_connections(size_t n) {
        e2e::await("so many connections",
                   [&] { return lws_proton_loop_stats(lws_proton_loop_of(context_)).connections >= n; });
    }

private:
    lws_context *context_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

void request(TcpSocket &client) {
    client.send_all("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
}

void check_answered(TcpSocket &client) {
    const std::string answer = client.receive_to_end();
    CHECK_EQ(answer.substr(0, 12), "HTTP/1.1 204");
}

void check_limit(int threads) {
    constexpr int kFds = 10, kClients = 60;
    lws_context_creation_info info = {};
    info.fd_limit_per_thread = kFds;
    Server server(info, threads);
    std::vector<std::unique_ptr<TcpSocket>> clients;
    for (int i = 0; i < kClients; i++)
        clients.push_back(std::make_unique<TcpSocket>(server.port()));
    for (auto &client : clients)
        client->await_writable();
    server.await_connections(kClients);
    CHECK_LE(most_held, kFds * threads);
    // Those that lws has are not told apart from those that wait: each asks, each is answered.
    for (auto &client : clients)
        request(*client);
    for (auto &client : clients)
        check_answered(*client);
    CHECK_LE(most_held, kFds * threads);
}

void connections_over_the_limit_wait_and_none_is_lost() {
    check_limit(1);
}

void with_several_threads_too() {
    check_limit(3);
}

void a_vhost_has_the_windows_that_its_pvo_says() {
    const lws_protocol_vhost_options tx = {nullptr, nullptr, "tx-window", "131072"};
    const lws_protocol_vhost_options rx = {&tx, nullptr, "rx-window", "16384"};
    const lws_protocol_vhost_options proton = {nullptr, &rx, "lws-proton", ""};
    const lws_protocol_vhost_options http = {&proton, nullptr, "http", ""};
    for (const auto *pvo : {&http, static_cast<const lws_protocol_vhost_options *>(nullptr)}) {
        lws_context_creation_info info = {};
        info.pvo = pvo;
        Server server(info);
        TcpSocket client(server.port());
        request(client);
        check_answered(client);
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
        info.protocols = kProtocols;
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
        E2E_TEST(a_vhost_has_the_windows_that_its_pvo_says),
        E2E_TEST(a_pvo_that_cannot_be_had_fails_the_vhost_and_says_why),
    };
    return cmocka_run_group_tests_name("vhost_limits", tests, nullptr, nullptr);
}
