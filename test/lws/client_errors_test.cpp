// SPDX-License-Identifier: MIT
//
// Clients that do not get a connection: each hears of it once, in words that name the cause.
#include "client_context.hpp"
#include "name_service.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"

#include <netdb.h>

// Those of the leak sanitizer, if it is there.
extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

using namespace e2e;
using namespace lws_test;

namespace {

// How a client may ask for its connection, before the answer to that could make a difference.
const struct {
    const char *name;
    const char *method;
    int tls;
} kKinds[] = {
    {"http", "GET", 0}, {"https", "GET", LCCSCF_USE_SSL},
    {"ws", nullptr, 0}, {"wss", nullptr, LCCSCF_USE_SSL},
    {"raw", "RAW", 0},  {"raw over TLS", "RAW", LCCSCF_USE_SSL},
};

void check_told_once(const Client &client, const std::string &cause) {
    if (client.error().find(cause) == std::string::npos)
        FAIL("\"" + client.error() + "\" does not say " + cause);
    CHECK_EQ(client.errors.size(), 1u);
    CHECK_EQ(client.established, 0);
    CHECK_EQ(client.closed, 0);
    CHECK(!client.wsi);
}

// Connects each kind of client, and checks what it is told.
void check_all(const std::string &cause, int port, const Context::Creation &creation,
               const Context::Connecting &connecting) {
    for (const auto &kind : kKinds) {
        Client client;
        Context context([&](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            if (creation)
                creation(info);
        });
        CHECK(context.connect(client, port, [&](lws_client_connect_info &info) {
            info.method = kind.method;
            info.ssl_connection = kind.tls;
            if (connecting)
                connecting(info);
        }));
        context.serve_until(kind.name, [&] { return client.ended(); });
        context.serve_what_is_there();
        try {
            check_told_once(client, cause);
        } catch (const CheckFailed &failed) {
            FAIL(std::string(kind.name) + ": " + failed.what());
        }
        CHECK_EQ(context.stats().connections, 0u);
    }
}

void a_refused_connection_is_named() {
    check_all("Connection refused", closed_port(), {}, {});
}

// Proton up to 0.38 does not free a raw connection whose connect the kernel refuses at once.
struct ProtonLeaks {
    ProtonLeaks() {
        if (__lsan_disable)
            __lsan_disable();
    }
    ~ProtonLeaks() {
        if (__lsan_enable)
            __lsan_enable();
    }
};

void an_unreachable_network_is_named() {
    const ProtonLeaks leaks;
    // Nothing can be connected to a broadcast address.
    check_all("Network is unreachable", 80, {},
              [](lws_client_connect_info &info) { info.address = "255.255.255.255"; });
}

void a_connect_that_takes_longer_than_its_timeout_is_named() {
    TcpListener listener("127.0.0.1", 0);
    const auto queue = listener.fill_queue();
    check_all("timed out", listener.port(),
              [](lws_context_creation_info &info) { info.connect_timeout_secs = 1; }, {});
    // The other clock that runs meanwhile.
    check_all("timed out", listener.port(),
              [](lws_context_creation_info &info) { info.timeout_secs = 1; }, {});
}

void a_name_that_does_not_exist_is_named() {
    NameService names;
    names.answer_error(EAI_NONAME);
    check_all("DNS NXDOMAIN", 80, {},
              [](lws_client_connect_info &info) { info.address = "none.invalid"; });
}

void a_name_service_that_fails_is_named() {
    NameService names;
    names.answer_error(EAI_FAIL);
    check_all(gai_strerror(EAI_FAIL), 80, {},
              [](lws_client_connect_info &info) { info.address = "none.invalid"; });
}

void a_name_service_that_has_no_answer_yet_is_asked_again_until_the_timeout() {
    NameService names;
    names.answer_error(EAI_AGAIN);
    Client client;
    Context context([](lws_context_creation_info &info) { info.connect_timeout_secs = 2; });
    CHECK(context.connect(client, 80,
                          [](lws_client_connect_info &info) { info.address = "later.invalid"; }));
    context.serve_until("the end", [&] { return client.ended(); });
    check_told_once(client, gai_strerror(EAI_AGAIN));
    CHECK_GE(names.asked(), 2);
}

void a_name_that_is_found_at_last_is_connected_to() {
    NameService names;
    names.answer_error(EAI_AGAIN);
    TcpListener listener;
    Client client;
    Context context;
    CHECK(context.connect(client, listener.port(),
                          [](lws_client_connect_info &info) { info.address = "later.invalid"; }));
    context.serve_until("the first question", [&] { return names.asked() == 1; });
    names.answer({"127.0.0.1"});
    context.serve_while([&] {
        TcpSocket peer = listener.accept();
        peer.receive_until("\r\n\r\n");
        peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    context.serve_until("the answer", [&] { return client.completed; });
    CHECK_EQ(client.received, "ok");
    CHECK(client.errors.empty());
}

void a_lookup_that_never_ends_is_given_up() {
    NameService names;
    names.hold();
    Client client;
    Context context([](lws_context_creation_info &info) { info.connect_timeout_secs = 1; });
    CHECK(context.connect(client, 80,
                          [](lws_client_connect_info &info) { info.address = "never.invalid"; }));
    context.serve_until("the end", [&] { return client.ended(); });
    check_told_once(client, "DNS");
    CHECK(client.error().find("timed out") != std::string::npos);
}

// A server on 127.0.0.1 is reached by a name that has other addresses too.
void check_reached(const std::vector<std::string> &addresses) {
    NameService names;
    TcpListener listener("127.0.0.1");
    names.answer(addresses);
    Client client;
    Context context;
    CHECK(context.connect(client, listener.port(),
                          [](lws_client_connect_info &info) { info.address = "several.invalid"; }));
    context.serve_while([&] {
        TcpSocket peer = listener.accept();
        CHECK(peer.receive_until("\r\n\r\n").find("Host: several.invalid") != std::string::npos);
        peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    context.serve_until("the answer", [&] { return client.completed; });
    CHECK_EQ(client.received, "ok");
    CHECK(client.errors.empty());
}

void the_next_address_is_tried() {
    check_reached({"127.0.0.1", "127.0.0.2"});
    check_reached({"127.0.0.2", "127.0.0.3", "127.0.0.1"});
    check_reached({"::1", "127.0.0.1"});
}

void the_next_address_is_tried_when_one_is_unreachable() {
    const ProtonLeaks leaks;
    check_reached({"255.255.255.255", "127.0.0.1"});
}

void the_next_address_is_tried_when_one_does_not_answer() {
    NameService names;
    TcpListener silent("127.0.0.1", 0);
    const auto queue = silent.fill_queue();
    names.answer({"127.0.0.1", "127.0.0.2"});
    Client client;
    Context context([](lws_context_creation_info &info) { info.timeout_secs = 1; });
    CHECK(context.connect(client, silent.port(),
                          [](lws_client_connect_info &info) { info.address = "two.invalid"; }));
    context.serve_until("the end", [&] { return client.ended(); });
    check_told_once(client, "Connection refused");
}

void the_last_of_several_addresses_tells_the_cause_once() {
    NameService names;
    names.answer({"127.0.0.1", "127.0.0.2", "::1"});
    check_all("Connection refused", closed_port(), {},
              [](lws_client_connect_info &info) { info.address = "several.invalid"; });
    CHECK_EQ(names.asked(), static_cast<int>(std::size(kKinds)));
}

void a_local_address_is_refused() {
    NameService names;
    names.answer({"127.0.0.1"});
    check_all("socket bind", 80, {}, [](lws_client_connect_info &info) {
        info.address = "one.invalid";
        info.iface = "127.0.0.1";
    });
}

void what_fails_at_once_is_told_by_the_call_alone() {
    Client client;
    Context context;
    CHECK(!context.connect(client, 80,
                           [](lws_client_connect_info &info) { info.iface = "127.0.0.1"; }));
    context.serve_what_is_there();
    CHECK(client.errors.empty());
    CHECK(!client.wsi);
    CHECK_EQ(context.stats().connections, 0u);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_refused_connection_is_named),
        E2E_TEST(an_unreachable_network_is_named),
        E2E_TEST(a_connect_that_takes_longer_than_its_timeout_is_named),
        E2E_TEST(a_name_that_does_not_exist_is_named),
        E2E_TEST(a_name_service_that_fails_is_named),
        E2E_TEST(a_name_service_that_has_no_answer_yet_is_asked_again_until_the_timeout),
        E2E_TEST(a_name_that_is_found_at_last_is_connected_to),
        E2E_TEST(a_lookup_that_never_ends_is_given_up),
        E2E_TEST(the_next_address_is_tried),
        E2E_TEST(the_next_address_is_tried_when_one_is_unreachable),
        E2E_TEST(the_next_address_is_tried_when_one_does_not_answer),
        E2E_TEST(the_last_of_several_addresses_tells_the_cause_once),
        E2E_TEST(a_local_address_is_refused),
        E2E_TEST(what_fails_at_once_is_told_by_the_call_alone),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
