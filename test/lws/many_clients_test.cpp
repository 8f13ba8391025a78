// SPDX-License-Identifier: MIT
//
// What connections cost when there are many of them: thousands connect at once, wait, stop
// reading, end. Both ends are in this process, and both are measured.
#include "cable.hpp"
#include "doubling.hpp"
#include "test_main.hpp"
#include "unique_fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>

namespace {

using namespace e2e;
using namespace lws_test;

const std::vector<int> kSizes = {5000, 10000, 20000};

// Echoes; from a message "stop" on it does not read any more.
int serve(lws *wsi, lws_callback_reasons reason, void *, void *in, size_t len) {
    if (reason != LWS_CALLBACK_RECEIVE)
        return 0;
    if (len == 4 && !memcmp(in, "stop", 4)) {
        lws_rx_flow_control(wsi, 0);
        return 0;
    }
    unsigned char message[LWS_PRE + 64];
    memcpy(message + LWS_PRE, in, len);
    return lws_write(wsi, message + LWS_PRE, len, LWS_WRITE_TEXT) < 0;
}

const lws_protocols kServer[] = {
    {"http", lws_callback_http_dummy, 0, 0, 0, nullptr, 0},
    {"echo", serve, 0, 64, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

int send(lws *wsi, const char *text) {
    unsigned char message[LWS_PRE + 64];
    const size_t size = strlen(text);
    memcpy(message + LWS_PRE, text, size);
    return lws_write(wsi, message + LWS_PRE, size, LWS_WRITE_TEXT) < 0;
}

// So many WebSocket clients in one context, their server in another.
class Crowd {
public:
    // `header_tables`: as many requests are read at a time; 0: all.
    explicit Crowd(int n, unsigned short header_tables = 0)
        : clients_(static_cast<size_t>(n)),
          servers_([n, header_tables](lws_context_creation_info &info) {
              make_room(info, n);
              info.max_http_header_pool = header_tables;
          }),
          context_([n](lws_context_creation_info &info) { make_room(info, n); }),
          vhost_(servers_.add_server([](lws_context_creation_info &info) {
              info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
              info.protocols = kServer;
          })),
          cable_(context_, servers_, vhost_) {
        const lws_proton_windows_t small = {LWS_PROTON_WINDOW_MIN, LWS_PROTON_WINDOW_MIN, false};
        for (const Context *context : {&servers_, &context_})
            CHECK_EQ(lws_proton_loop_set_windows(Cable::loop_of(*context), &small), 0);
    }

    size_t size() const { return clients_.size(); }
    Cable &cable() { return cable_; }

    void connect() {
        for (Client &client : clients_) {
            client.on = [this](lws *wsi, lws_callback_reasons reason, void *, size_t) {
                return hear(wsi, reason);
            };
            CHECK(context_.connect(client, 80, [](lws_client_connect_info &info) {
                info.method = nullptr;
                info.protocol = "echo";
            }));
        }
    }
    void await_upgrades() {
        cable_.run_until("every upgrade", [&] { return upgraded_ == size(); });
        CHECK_EQ(ended_, 0u);
    }
    void close() {
        for (Client &client : clients_)
            lws_set_timeout(client.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        cable_.run_until("every end", [&] { return ended_ == size() && !cable_.wires(); });
    }
    void close_by_the_server() {
        lws_vhost_destroy(vhost_);
        cable_.run_until("every end", [&] { return ended_ == size() && !cable_.wires(); });
    }
    // Both ends at once.
    void destroy() {
        cable_.cut();
        context_.destroy();
        servers_.destroy();
    }

    // All but the first have their server stop to read, with more for it to read.
    void stop_all_but_the_first() {
        for (size_t i = 1; i < clients_.size(); i++) {
            CHECK_EQ(send(clients_[i].wsi, "stop"), 0);
            CHECK_EQ(send(clients_[i].wsi, "unread"), 0);
        }
        cable_.run();
    }
    // The first sends so many messages, each once the one before has come back.
    void converse(size_t messages) {
        Client &first = clients_.front();
        for (size_t i = 0; i < messages; i++) {
            first.received.clear();
            CHECK_EQ(send(first.wsi, "hello"), 0);
            cable_.run_first([&] { return first.received == "hello"; });
        }
    }

private:
    static void make_room(lws_context_creation_info &info, int n) {
        info.fd_limit_per_thread = static_cast<unsigned>(n) + 16;
    }

    int hear(lws *, lws_callback_reasons reason) {
        upgraded_ += reason == LWS_CALLBACK_CLIENT_ESTABLISHED;
        ended_ +=
            reason == LWS_CALLBACK_CLIENT_CLOSED || reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR;
        return 0;
    }

    std::vector<Client> clients_;
    size_t upgraded_ = 0, ended_ = 0;
    Context servers_, context_;
    lws_vhost *const vhost_;
    Cable cable_;
};

void twice_as_many_that_connect_at_once_take_twice_as_long() {
    const std::string figures = check_doubling("connect, upgrade, close", kSizes, [](int n) {
        Crowd crowd(n);
        const double before = cpu_seconds();
        crowd.connect();
        crowd.await_upgrades();
        crowd.close();
        crowd.destroy();
        return cpu_seconds() - before;
    });
    printf("security: many clients that connect at once, and close | each costs log n steps, at "
           "either end | service | %s\n",
           figures.c_str());
}

void twice_as_many_that_end_inside_their_requests_take_twice_as_long() {
    const std::string figures = check_doubling("half a request", kSizes, [](int n) {
        Crowd crowd(n);
        const double before = cpu_seconds();
        crowd.connect();
        // Bytes of each request, so that its server has begun to read it.
        crowd.cable().quota = 20 * crowd.size();
        crowd.cable().most = 20;
        crowd.cable().run();
        crowd.destroy();
        return cpu_seconds() - before;
    });
    printf("security: many clients that end in the middle of their requests | each costs log n "
           "steps | nothing | %s\n",
           figures.c_str());
}

void twice_as_many_that_wait_for_few_header_tables_take_twice_as_long() {
    const std::string figures = check_doubling("few header tables", kSizes, [](int n) {
        Crowd crowd(n, 16);
        const double before = cpu_seconds();
        crowd.connect();
        crowd.await_upgrades();
        crowd.close_by_the_server();
        return cpu_seconds() - before;
    });
    printf("security: many requests at once, of which lws reads 16 at a time | each costs log n "
           "steps | it waits for its turn | %s\n",
           figures.c_str());
}

void a_message_costs_the_same_beside_any_number_that_do_not_read() {
    const std::string figures = check_doubling("messages beside", kSizes, [](int n) {
        Crowd crowd(n);
        crowd.connect();
        crowd.await_upgrades();
        crowd.stop_all_but_the_first();
        const double before = cpu_seconds();
        crowd.converse(crowd.size());
        return cpu_seconds() - before;
    });
    printf("security: as many connections as messages, which do not read what lws has received | "
           "no step looks at them | nothing; others are served | %s\n",
           figures.c_str());
}

// From an address of its own, of this machine.
void connect_from(int address, int port) {
    sockaddr_in sa = {};
    sa.sin_family = AF_INET;
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + static_cast<uint32_t>(address));
    CHECK_EQ(bind(fd.get(), reinterpret_cast<sockaddr *>(&sa), sizeof(sa)), 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sa.sin_port = htons(static_cast<uint16_t>(port));
    CHECK_EQ(connect(fd.get(), reinterpret_cast<sockaddr *>(&sa), sizeof(sa)), 0);
}

void twice_as_many_addresses_take_twice_as_long() {
    const std::string figures = check_doubling("addresses", kSizes, [](int n) {
        constexpr int kTogether = 10;
        Context context;
        const int port = lws_get_vhost_listen_port(
            context.add_server([](lws_context_creation_info &info) { info.protocols = kServer; }));
        const double before = cpu_seconds();
        for (int i = 0; i < n; i++) {
            connect_from(i, port);
            if (i % kTogether == 0)
                context.serve_what_is_there();
        }
        context.serve_until("every end", [&] { return !context.stats().connections; });
        return cpu_seconds() - before;
    });
    printf("security: each connection from another address | each costs log n steps; lws "
           "remembers as many as it has connections | nothing | %s\n",
           figures.c_str());
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(twice_as_many_that_connect_at_once_take_twice_as_long),
        E2E_TEST(twice_as_many_that_end_inside_their_requests_take_twice_as_long),
        E2E_TEST(twice_as_many_that_wait_for_few_header_tables_take_twice_as_long),
        E2E_TEST(twice_as_many_addresses_take_twice_as_long),
        E2E_TEST(a_message_costs_the_same_beside_any_number_that_do_not_read),
    };
    return cmocka_run_group_tests_name("many clients", tests, nullptr, nullptr);
}
