// SPDX-License-Identifier: MIT
//
// Many connections on several threads, of lws's own loop and of an application's proactor, woken by
// others all the time and lost under the application's feet.
#include "../lws/application.hpp"
#include "server.hpp"
#include "test_main.hpp"

#include <lws_proton_amqp.h>

#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <array>
#include <memory>
#include <mutex>

using namespace e2e;

namespace {

constexpr int kThreads = 4, kConnections = 24, kMessages = 50, kRounds = 3;

// A client's own.
struct Progress {
    int sent = 0, settled = 0;
};

// Both ends of many connections at once.
class Site {
public:
    explicit Site(bool lose, bool restless = false) : lose_(lose), restless_(restless) {}

    std::atomic<int> begun{0}, ended{0}, failed{0}, wakes{0}, received{0}, clients_ended{0};

    const lws_protocols *protocols() const { return protocols_; }

    // Clients of each pt.
    std::array<std::atomic<int>, kThreads> at{};

    void connect(lws_context *context, int port) {
        const std::string url = "ws://127.0.0.1:" + std::to_string(port) + "/";
        lws_proton_amqp_connect_t how = {};
        how.context = context;
        how.protocol = "amqp-client";
        how.url = url.c_str();
        pn_connection_t *connection = pn_connection();
        pn_connection_set_context(connection, new Progress);
        CHECK_EQ(lws_proton_amqp_connect(&how, connection, nullptr), 0);
    }

    // Whoever there is, and whoever has been.
    void wake_all() {
        std::lock_guard<std::mutex> lock(mutex_);
        for (const Waker &waker : wakers_)
            lws_proton_amqp_waker_wake(waker.get());
    }

private:
    struct Free {
        void operator()(lws_proton_amqp_waker_t *waker) const { lws_proton_amqp_waker_free(waker); }
    };
    using Waker = std::unique_ptr<lws_proton_amqp_waker_t, Free>;

    void both(pn_event_t *event) {
        pn_connection_t *c = pn_event_connection(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_INIT: {
            begun++;
            std::lock_guard<std::mutex> lock(mutex_);
            wakers_.emplace_back(lws_proton_amqp_waker(c));
            break;
        }
        case PN_CONNECTION_WAKE:
            wakes++;
            break;
        case PN_CONNECTION_REMOTE_CLOSE:
            pn_connection_close(c);
            break;
        case PN_TRANSPORT_ERROR:
            failed++;
            break;
        case PN_TRANSPORT_CLOSED:
            ended++;
            break;
        default:
            break;
        }
    }

    void serve(pn_event_t *event) {
        both(event);
        pn_connection_t *c = pn_event_connection(event);
        if (restless_)
            lws_proton_amqp_wake(c);
        pn_delivery_t *delivery = pn_event_delivery(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_BOUND:
            pn_transport_require_auth(pn_event_transport(event), false);
            break;
        case PN_CONNECTION_REMOTE_OPEN:
            CHECK_EQ(std::string(lws_proton_amqp_peer(c)), "127.0.0.1");
            pn_connection_open(c);
            break;
        case PN_SESSION_REMOTE_OPEN:
            pn_session_open(pn_event_session(event));
            break;
        case PN_LINK_REMOTE_OPEN:
            pn_link_open(pn_event_link(event));
            pn_link_flow(pn_event_link(event), 10);
            break;
        case PN_DELIVERY:
            if (pn_delivery_partial(delivery))
                break;
            pn_delivery_update(delivery, PN_ACCEPTED);
            pn_delivery_settle(delivery);
            pn_link_flow(pn_event_link(event), 1);
            // Every so often a WebSocket is gone.
            if (++received % 37 == 0 && lose_)
                lws_set_timeout(lws_proton_amqp_wsi(c), PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
            break;
        default:
            break;
        }
    }

    void send(pn_event_t *event) {
        both(event);
        pn_connection_t *c = pn_event_connection(event);
        auto *progress = static_cast<Progress *>(pn_connection_get_context(c));
        pn_link_t *link = pn_event_link(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_INIT: {
            if (lws *wsi = lws_proton_amqp_wsi(c))
                at[static_cast<size_t>(lws_wsi_tsi(wsi))]++;
            pn_session_t *session = pn_session(c);
            pn_session_open(session);
            pn_link_open(pn_sender(session, "sender"));
            break;
        }
        case PN_LINK_FLOW:
            for (; pn_link_credit(link) > 0 && progress->sent < kMessages; progress->sent++) {
                const std::string message(static_cast<size_t>(progress->sent) * 100, 'm');
                pn_delivery(link, pn_dtag(reinterpret_cast<char *>(&progress->sent),
                                          sizeof(progress->sent)));
                pn_link_send(link, message.data(), message.size());
                pn_link_advance(link);
            }
            break;
        case PN_DELIVERY:
            pn_delivery_settle(pn_event_delivery(event));
            if (++progress->settled == kMessages)
                pn_connection_close(c);
            break;
        case PN_TRANSPORT_CLOSED:
            delete progress;
            clients_ended++;
            break;
        default:
            break;
        }
    }

    const bool lose_;      // WebSockets, under their connections
    const bool restless_;  // each connection that is served wakes itself in each event
    std::mutex mutex_;
    std::vector<Waker> wakers_;
    lws_proton_amqp_t handled_by(void (*handle)(void *self, pn_event_t *event)) {
        lws_proton_amqp_t amqp{};
        amqp.handle = handle;
        amqp.context = this;
        return amqp;
    }

    lws_proton_amqp_t server_ = handled_by(
        [](void *self, pn_event_t *event) { static_cast<Site *>(self)->serve(event); });
    lws_proton_amqp_t client_ = handled_by(
        [](void *self, pn_event_t *event) { static_cast<Site *>(self)->send(event); });
    const lws_protocols protocols_[4] = {
        {"http", lws_callback_http_dummy, 0, 0, 0, nullptr, 0},
        LWS_PROTON_AMQP_PROTOCOL("amqp", &server_),
        LWS_PROTON_AMQP_PROTOCOL("amqp-client", &client_),
        LWS_PROTOCOL_LIST_TERM,
    };
};

lws_context_creation_info creation(const Site &site) {
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON;
    info.iface = "127.0.0.1";
    info.count_threads = kThreads;
    info.protocols = site.protocols();
    return info;
}

// Rounds of connections, from a thread of nobody's, while another wakes them.
void visit(Site &site, lws_context *context) {
    std::atomic<bool> stop{false};
    std::thread waking([&] {
        while (!stop) {
            site.wake_all();
            std::this_thread::yield();
        }
    });
    const int port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
    for (int round = 1; round <= kRounds; round++) {
        for (int i = 0; i < kConnections; i++)
            site.connect(context, port);
        await("both ends of every connection to end",
              [&] { return site.begun == site.ended && site.ended >= 2 * round * kConnections; });
    }
    stop = true;
    waking.join();
}

void check(const Site &site, bool lost) {
    CHECK_EQ(site.begun, site.ended);
    CHECK(site.wakes > kConnections);
    // A thread that is none of lws's makes them for the pts in turn.
    for (const std::atomic<int> &clients : site.at)
        CHECK_EQ(clients, kRounds * kConnections / kThreads);
    if (lost) {
        CHECK_GE(site.failed, 1);
        return;
    }
    CHECK_EQ(site.failed, 0);
    CHECK_EQ(site.ended, 2 * kRounds * kConnections);
    CHECK_EQ(site.received, kRounds * kConnections * kMessages);
}

void connections_on_lwss_own_threads_are_all_served() {
    for (const bool lose : {false, true}) {
        Site site(lose);
        lws_test::Server server(creation(site), {}, kThreads);
        visit(site, server.context());
        server.stop();
        check(site, lose);
    }
}

void connections_on_an_applications_proactor_are_all_served() {
    for (const bool lose : {false, true}) {
        Site site(lose);
        lws_test::Application application(kThreads);
        void *loops[] = {application.proactor()};
        lws_context_creation_info info = creation(site);
        info.foreign_loops = loops;
        log_to_string();
        lws_context *context = lws_create_context(&info);
        CHECK(context);
        visit(site, context);
        lws_context_destroy(context);
        application.await_nothing_held();
        check(site, lose);
    }
}

void connections_that_wake_themselves_for_ever_leave_turns_to_others() {
    Site site(false, true);
    lws_test::Server server(creation(site), {}, kThreads);
    visit(site, server.context());
    server.stop();
    check(site, false);
}

void a_context_may_go_while_its_connections_are_woken() {
    for (int i = 0; i < 5; i++) {
        Site site(false);
        std::atomic<bool> stop{false};
        std::thread waking([&] {
            while (!stop)
                site.wake_all();
        });
        {
            lws_test::Application application(kThreads);
            void *loops[] = {application.proactor()};
            lws_context_creation_info info = creation(site);
            info.foreign_loops = loops;
            lws_context *context = lws_create_context(&info);
            CHECK(context);
            const int port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
            for (int n = 0; n < kConnections; n++)
                site.connect(context, port);
            // Proton 0.37 can leak a raw connection that is closed while it connects.
            await("both ends of all, and some messages", [&] {
                return site.begun == 2 * kConnections && site.received > i * 100;
            });
            lws_context_destroy(context);
            application.await_nothing_held();
        }
        stop = true;
        waking.join();
        CHECK_EQ(site.begun, site.ended);
        CHECK_EQ(site.clients_ended, kConnections);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(connections_on_lwss_own_threads_are_all_served),
        E2E_TEST(connections_on_an_applications_proactor_are_all_served),
        E2E_TEST(connections_that_wake_themselves_for_ever_leave_turns_to_others),
        E2E_TEST(a_context_may_go_while_its_connections_are_woken),
    };
    return cmocka_run_group_tests_name("amqp_threads", tests, nullptr, nullptr);
}
