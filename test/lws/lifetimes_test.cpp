// SPDX-License-Identifier: MIT
//
// Contexts one after the other, a thousand of them, and several at once.
#include "server.hpp"

#include "own_process.hpp"
#include "ws_client.hpp"

#include <cstdio>
#include <memory>

namespace {

using namespace lws_test;
using e2e::kSanitized;
using e2e::Opcode;
using e2e::TcpSocket;
using e2e::WsClient;

lws_context *create(const Callback *callback = nullptr) {
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON;
    info.protocols = kProtocols;
    info.user = const_cast<Callback *>(callback);
    lws_context *context = lws_create_context(&info);
    CHECK(context);
    return context;
}

int port_of(lws_context *context) {
    return lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
}

void serve_until_readable(lws_context *context, TcpSocket &client) {
    const e2e::Deadline deadline;
    while (!client.await_readable(e2e::Deadline(std::chrono::milliseconds(0)))) {
        CHECK(!deadline.passed());
        lws_service(context, 0);
    }
}

void check_a_thousand(const char *what, const std::function<void()> &cycle) {
    // Malloc's heap and what is loaded the first time have settled by then.
    constexpr int kWarmUp = 200, kTimes = 1000;
    // A leak of 1 KiB in each would show, not malloc's holes. (What is lost for good, however small,
    // the address sanitizer shows.)
    constexpr size_t kMostKib = kTimes - kWarmUp;
    size_t rss = 0, fds = 0;
    for (int i = 0; i < kTimes; i++) {
        if (i == kWarmUp) {
            rss = e2e::own_rss_kib();
            fds = e2e::own_fd_count();
        }
        cycle();
    }
    printf("             %s: RSS %zu KiB after %d, %zu after %d\n", what, rss, kWarmUp,
           e2e::own_rss_kib(), kTimes);
    CHECK_EQ(e2e::own_fd_count(), fds);
    if (!kSanitized)
        CHECK_LE(e2e::own_rss_kib(), rss + kMostKib);
}

void a_thousand_contexts_leave_nothing_behind() {
    log_to_string();
    check_a_thousand("unserved", [] { lws_context_destroy(create()); });
}

void a_thousand_that_have_served_leave_nothing_behind() {
    log_to_string();
    check_a_thousand("served", [] {
        lws_context *context = create();
        TcpSocket client(port_of(context));
        ask(client);
        serve_until_readable(context, client);
        lws_context_destroy(context);
        CHECK_EQ(body(client.receive_to_end()), "default");
    });
}

void a_thousand_destroyed_with_a_websocket_leave_nothing_behind() {
    log_to_string();
    check_a_thousand("with a WebSocket", [] {
        lws_context *context = create();
        WsClient client(port_of(context), "echo");
        client.flush();
        serve_until_readable(context, client.socket());
        client.await_open();
        lws_context_destroy(context);
        client.await_end();
    });
}

void check_served(lws_context *context) {
    TcpSocket client(port_of(context));
    ask(client);
    serve_until_readable(context, client);
    while (client.open() && lws_proton_loop_stats(lws_proton_loop_of(context)).connections)
        lws_service(context, 0);
    CHECK_EQ(body(client.receive_to_end()), "default");
}

void one_thread_may_serve_two_contexts() {
    log_to_string();
    lws_context *first = create(), *second = create();
    for (int i = 0; i < 10; i++) {
        check_served(first);
        check_served(second);
    }
    lws_context_destroy(first);
    check_served(second);
    lws_context_destroy(second);
}

void a_callback_of_one_context_may_serve_another() {
    log_to_string();
    lws_context *inner = create();
    bool served = false;
    const Callback callback = [&](lws *, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_HTTP) {
            TcpSocket client(port_of(inner));
            ask(client);
            const e2e::Deadline deadline;
            while (!served && !deadline.passed()) {
                lws_service(inner, 0);
                served = client.await_readable(e2e::Deadline(std::chrono::milliseconds(0)));
            }
        }
        return 0;
    };
    lws_context *outer = create(&callback);
    check_served(outer);
    CHECK(served);
    lws_context_destroy(inner);
    lws_context_destroy(outer);
}

void contexts_in_several_threads_come_and_go() {
    constexpr int kThreads = 4, kTimes = 30;
    log_to_string();
    Server beside;
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (int n = 0; n < kThreads; n++)
        threads.emplace_back([&] {
            try {
                for (int i = 0; i < kTimes; i++) {
                    lws_context *context = create();
                    check_served(context);
                    lws_context_destroy(context);
                }
            } catch (const std::exception &error) {
                fprintf(stderr, "%s\n", error.what());
                failed++;
            }
        });
    WsClient client(beside.port(), "echo");
    client.await_open();
    for (int i = 0; i < 100; i++) {
        client.queue_frame(Opcode::text, "hello");
        CHECK_EQ(client.await_frame().payload, "hello");
    }
    for (std::thread &thread : threads)
        thread.join();
    CHECK_EQ(failed, 0);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_thousand_contexts_leave_nothing_behind),
        E2E_TEST(a_thousand_that_have_served_leave_nothing_behind),
        E2E_TEST(a_thousand_destroyed_with_a_websocket_leave_nothing_behind),
        E2E_TEST(one_thread_may_serve_two_contexts),
        E2E_TEST(a_callback_of_one_context_may_serve_another),
        E2E_TEST(contexts_in_several_threads_come_and_go),
    };
    return cmocka_run_group_tests_name("lifetimes", tests, nullptr, nullptr);
}
