// SPDX-License-Identifier: MIT
//
// lws inside an application's proactor, served by the application's threads.
#include "site.hpp"

#include "ws_client.hpp"

#include <proton/connection.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/object.h>
#include <proton/session.h>

#include <memory>

namespace {

using namespace lws_test;
using e2e::Opcode;
using e2e::TcpSocket;
using e2e::WsClient;

void check_echo(WsClient &client, const std::string &text) {
    client.queue_frame(Opcode::text, text);
    CHECK_EQ(client.await_frame().payload, text);
}

void check_serves(int port) {
    TcpSocket http(port);
    CHECK_EQ(get(http), "default");
    WsClient ws(port, "echo");
    ws.await_open();
    check_echo(ws, "hello");
}

void its_threads_serve_http_and_websocket() {
    Application application(4);
    Site site(application, {}, 2);
    std::vector<std::unique_ptr<WsClient>> clients;
    for (int i = 0; i < 8; i++) {
        clients.push_back(std::make_unique<WsClient>(site.port(), "echo"));
        clients.back()->await_open();
    }
    for (auto &client : clients)
        check_echo(*client, "hello");
    check_serves(site.port());
}

void lws_service_is_refused() {
    Application application;
    Site site(application);
    CHECK(lws_service(site.context(), 0) < 0);
    CHECK(lws_log().find("lws_proton_handle()") != std::string::npos);
    check_serves(site.port());
}

// AMQP on the same proactor, both ends of it.
void its_own_connections_are_untouched() {
    std::atomic<int> opened{0}, closed{0};
    std::atomic<bool> listening{false};
    pn_listener_t *listener = pn_listener();
    Application application(2, [&](pn_event_batch_t *, pn_event_t *event) {
        switch (pn_event_type(event)) {
        case PN_LISTENER_OPEN:
            listening = true;
            break;
        case PN_LISTENER_ACCEPT:
            pn_listener_accept2(pn_event_listener(event), nullptr, nullptr);
            break;
        case PN_CONNECTION_REMOTE_OPEN:
            pn_connection_open(pn_event_connection(event));
            opened++;
            break;
        case PN_CONNECTION_WAKE:
            pn_connection_close(pn_event_connection(event));
            break;
        case PN_CONNECTION_REMOTE_CLOSE:
            pn_connection_close(pn_event_connection(event));
            break;
        case PN_TRANSPORT_CLOSED:
        case PN_LISTENER_CLOSE:
            closed++;
            break;
        default:
            break;
        }
    });
    int mine = 0;
    pn_listener_set_context(listener, &mine);
    Site site(application, {}, 2);
    pn_proactor_listen(application.proactor(), listener, "127.0.0.1:0", 4);
    e2e::await("the application's listener", [&] { return listening.load(); });
    char address[64];
    pn_netaddr_str(pn_listener_addr(listener), address, sizeof(address));
    pn_connection_t *connection = pn_connection();
    pn_connection_open(connection);
    pn_proactor_connect2(application.proactor(), connection, nullptr, address);
    e2e::await("AMQP to open at both ends", [&] { return opened == 2; });
    check_serves(site.port());
    CHECK(pn_listener_get_context(listener) == &mine);
    site.destroy();
    application.await_nothing_held();
    // Not by pn_proactor_disconnect(): with a raw connection on the proactor Proton 0.37 aborts.
    pn_connection_wake(connection);
    pn_listener_close(listener);
    e2e::await("AMQP to close at both ends", [&] { return closed == 3; });
}

struct Ticking {
    lws_sorted_usec_list_t sul;
    lws_context *context;
    std::atomic<int> ticks{0};
    static void tick(lws_sorted_usec_list_t *sul) {
        auto *self = reinterpret_cast<Ticking *>(sul);
        self->ticks++;
        lws_sul_schedule(self->context, 0, sul, tick, 2 * LWS_US_PER_MS);
    }
};

void the_timeout_is_shared() {
    Application application(2);
    Site site(application);
    Ticking ticking{};
    ticking.context = site.context();
    CHECK_EQ(lws_proton_loop_enter(site.loop(), 0), 0);
    Ticking::tick(&ticking.sul);
    lws_proton_loop_leave(site.loop());
    for (int i = 1; i <= 5; i++) {
        const int ticks = ticking.ticks;
        lws_proton_set_timeout(application.proactor(), 20);
        e2e::await("the application's timeout", [&] { return application.timeouts == i; });
        e2e::await("lws's timer", [&] { return ticking.ticks > ticks + 5; });
        CHECK_EQ(application.timeouts, i);
    }
    // One that is cancelled does not come.
    lws_proton_set_timeout(application.proactor(), 10);
    lws_proton_cancel_timeout(application.proactor());
    const int ticks = ticking.ticks;
    e2e::await("lws's timer", [&] { return ticking.ticks > ticks + 20; });
    CHECK_EQ(application.timeouts, 5);
    // One that is under way when the context goes does.
    lws_proton_set_timeout(application.proactor(), 50);
    site.destroy();
    e2e::await("the application's timeout", [&] { return application.timeouts == 6; });
}

void interrupts_are_the_application_s() {
    std::atomic<int> cancelled{0};
    Application application(2);
    Site site(application, [&](lws *, lws_callback_reasons reason, void *, size_t) {
        cancelled += reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED;
        return 0;
    });
    for (int i = 0; i < 10; i++) {
        const int before = cancelled;
        lws_cancel_service(site.context());
        e2e::await("the cancelled wait", [&] { return cancelled > before; });
    }
    CHECK_EQ(application.interrupts, 0);
    pn_proactor_interrupt(application.proactor());
    e2e::await("the interrupt", [&] { return application.interrupts == 1; });
}

void contexts_come_and_go_while_its_threads_serve() {
    Application application(4);
    const int contexts = 30;
    for (int i = 0; i < contexts; i++) {
        Site site(application, {}, 1 + i % 3);
        WsClient ws(site.port(), "echo");
        ws.await_open();
        check_echo(ws, "hello");
        TcpSocket idle(site.port());
        site.destroy();
    }
    application.await_nothing_held();
    CHECK_EQ(application.interrupts, 0);
    // At most what was on its way as one went.
    CHECK_LE(application.timeouts, contexts);
}

void two_contexts_share_a_proactor() {
    Application application(3);
    Site first(application, {}, 2);
    auto second = std::make_unique<Site>(application);
    check_serves(first.port());
    check_serves(second->port());
    second.reset();
    check_serves(first.port());
}

void a_callback_may_destroy_the_context() {
    Application application(3);
    for (int i = 0; i < 20; i++) {
        std::atomic<bool> gone{false};
        Site site(
            application,
            [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
                if (reason == LWS_CALLBACK_RECEIVE)
                    lws_context_destroy(lws_get_context(wsi));
                if (reason == LWS_CALLBACK_PROTOCOL_DESTROY)
                    gone = true;
                return 0;
            },
            2);
        WsClient ws(site.port(), "echo"), other(site.port(), "echo");
        ws.await_open();
        other.await_open();
        ws.queue_frame(Opcode::text, "end");
        ws.await_end();
        other.await_end();
        e2e::await("the context to go", [&] { return gone.load(); });
        site.destroyed();
        application.await_nothing_held();
    }
}

// A context with a peer that does not read goes when TCP seems to take no more. False: it took the
// rest after all.
bool leaves_something_unsent(Application &application, std::unique_ptr<WsClient> &stalled) {
    std::atomic<int> pieces{0};
    std::atomic<lws *> flooded{nullptr};
    Site site(application, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_RECEIVE) {
            flooded = wsi;
            lws_callback_on_writable(wsi);
        }
        if (reason == LWS_CALLBACK_SERVER_WRITEABLE && wsi == flooded) {
            std::string piece(LWS_PRE + 32 * 1024, 'x');
            lws_write(wsi, reinterpret_cast<unsigned char *>(piece.data()) + LWS_PRE,
                      piece.size() - LWS_PRE, LWS_WRITE_BINARY);
            pieces++;
            lws_callback_on_writable(wsi);
        }
        return 0;
    });
    stalled = std::make_unique<WsClient>(site.port(), "echo");
    WsClient other(site.port(), "echo");
    stalled->await_open();
    other.await_open();
    stalled->queue_frame(Opcode::text, "much");
    stalled->flush();
    e2e::await("the window to be full, while others are served", [&] {
        const int before = pieces;
        for (int i = 0; i < 20; i++) {
            other.queue_frame(Opcode::ping, "still there?");
            CHECK_EQ(other.await_frame().payload, "still there?");
        }
        return before && pieces == before;
    });
    site.destroy();
    return lws_proton_held(application.proactor());
}

void what_is_unsent_outlives_the_context() {
    Application application(2);
    std::unique_ptr<WsClient> stalled;
    e2e::await("unsent bytes", [&] { return leaves_something_unsent(application, stalled); });
    Site next(application);
    check_serves(next.port());
    stalled.reset();
    next.destroy();
    application.await_nothing_held();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(its_threads_serve_http_and_websocket),
        E2E_TEST(lws_service_is_refused),
        E2E_TEST(its_own_connections_are_untouched),
        E2E_TEST(the_timeout_is_shared),
        E2E_TEST(interrupts_are_the_application_s),
        E2E_TEST(contexts_come_and_go_while_its_threads_serve),
        E2E_TEST(two_contexts_share_a_proactor),
        E2E_TEST(a_callback_may_destroy_the_context),
        E2E_TEST(what_is_unsent_outlives_the_context),
    };
    return cmocka_run_group_tests_name("foreign", tests, nullptr, nullptr);
}
