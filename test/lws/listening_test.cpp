// SPDX-License-Identifier: MIT
//
// Where vhosts listen: on which addresses and ports, together or alone, and what a program is told
// when they cannot.
#include "server.hpp"

#include "certificate.hpp"
#include "tls_client.hpp"
#include "ws_client.hpp"

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

using namespace lws_test;
using e2e::TcpSocket;
using e2e::TlsClient;
using e2e::WsClient;

// From the service thread, or before it serves.
lws_vhost *create_vhost(lws_context *context, const char *name, int port,
                        const char *iface = nullptr, uint64_t options = 0) {
    lws_context_creation_info info = {};
    info.vhost_name = name;
    info.port = port;
    info.iface = iface;
    info.options = options;
    info.protocols = kProtocols;
    return lws_create_vhost(context, &info);
}

// Its port.
int add_vhost(Server &server, const char *name, int port, const char *iface = nullptr,
              uint64_t options = 0) {
    int listens_on = 0;
    server.run([&] {
        lws_vhost *vhost = create_vhost(server.context(), name, port, iface, options);
        if (!vhost)
            FAIL("no vhost: " + lws_log());
        listens_on = lws_get_vhost_listen_port(vhost);
    });
    return listens_on;
}

void destroy_vhost(Server &server, const char *name) {
    server.run([&] { lws_vhost_destroy(server.vhost(name)); });
}

std::string answer_of(const char *host, int port, const std::string &name = "localhost") {
    TcpSocket client(host, port);
    CHECK_EQ(client.await_connected(), 0);
    return get(client, name);
}

std::string answer_of(int port, const std::string &name = "localhost") {
    return answer_of("127.0.0.1", port, name);
}

bool refused(const char *host, int port) {
    return TcpSocket(host, port).await_connected() == ECONNREFUSED;
}

void check_echo(WsClient &client, const std::string &message) {
    client.queue_frame(e2e::Opcode::text, message);
    CHECK_EQ(client.await_frame().payload, message);
}

void vhosts_on_one_port_are_chosen_by_the_host_header() {
    Server server(explicit_vhosts());
    const int port = add_vhost(server, "first.test", 0);
    CHECK_EQ(add_vhost(server, "second.test", port), port);
    CHECK_EQ(answer_of(port, "first.test"), "first.test");
    CHECK_EQ(answer_of(port, "second.test"), "second.test");
    CHECK_EQ(answer_of(port, "second.test:" + std::to_string(port)), "second.test");
    CHECK_EQ(answer_of(port, "other.test"), "first.test");
}

void vhosts_on_one_port_are_chosen_by_the_server_name_of_tls() {
    const e2e::Certificate first("first.test"), second("second.test");
    Server server(explicit_vhosts());
    int port = 0;
    for (const auto &[name, certificate] : {std::pair{"first.test", &first}, {"second.test", &second}})
        server.run([&, name = name, certificate = certificate] {
            lws_context_creation_info info = {};
            info.vhost_name = name;
            info.port = port;
            info.protocols = kProtocols;
            info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            info.ssl_cert_filepath = certificate->path().c_str();
            info.ssl_private_key_filepath = certificate->key_path().c_str();
            lws_vhost *vhost = lws_create_vhost(server.context(), &info);
            CHECK(vhost);
            port = lws_get_vhost_listen_port(vhost);
        });
    for (const std::string name : {"first.test", "second.test"}) {
        TlsClient client(port, name);
        CHECK_EQ(client.server_common_name(), name);
        client.send_all("GET / HTTP/1.1\r\nHost: " + name + "\r\nConnection: close\r\n\r\n");
        CHECK_EQ(body(client.receive_to_end()), name);
    }
    CHECK_EQ(TlsClient(port).server_common_name(), "first.test");
}

void each_port_is_its_vhosts_own() {
    Server server(explicit_vhosts());
    std::vector<int> ports;
    const char *const names[] = {"first.test", "second.test", "third.test"};
    for (const char *name : names)
        ports.push_back(add_vhost(server, name, 0));
    // by the port alone: the name that is asked for is another vhost's
    for (size_t i = 0; i < ports.size(); i++)
        CHECK_EQ(answer_of(ports[i], names[(i + 1) % ports.size()]), names[i]);
}

void a_port_of_0_is_read_back() {
    Server server;
    CHECK(server.port() > 0);
    CHECK_EQ(answer_of(server.port()), "default");
}

void without_an_address_it_listens_on_both_families() {
    Server server;
    CHECK_EQ(answer_of("127.0.0.1", server.port()), "default");
    CHECK_EQ(answer_of("127.0.0.2", server.port()), "default");
    CHECK_EQ(answer_of("::1", server.port()), "default");
}

void on_one_address_it_is_reached_at_no_other() {
    const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "::1"};
    for (const char *own : addresses) {
        lws_context_creation_info info = {};
        info.iface = own;
        Server server(info);
        for (const char *address : addresses)
            if (address == own)
                CHECK_EQ(answer_of(address, server.port()), "default");
            else
                CHECK(refused(address, server.port()));
    }
}

void addresses_of_one_port_are_vhosts_of_their_own() {
    Server server(explicit_vhosts());
    const int port = add_vhost(server, "first.test", 0, "127.0.0.1");
    CHECK_EQ(add_vhost(server, "second.test", port, "127.0.0.2"), port);
    CHECK_EQ(add_vhost(server, "third.test", port, "::1"), port);
    CHECK_EQ(answer_of("127.0.0.1", port), "first.test");
    destroy_vhost(server, "first.test");
    CHECK(refused("127.0.0.1", port));
    CHECK_EQ(answer_of("127.0.0.2", port, "second.test"), "second.test");
    CHECK_EQ(answer_of("::1", port, "third.test"), "third.test");
}

void options_choose_one_family() {
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_DISABLE_IPV6;
    {
        Server server(info);
        CHECK_EQ(answer_of("127.0.0.1", server.port()), "default");
        CHECK(refused("::1", server.port()));
    }
    info.options = LWS_SERVER_OPTION_IPV6_V6ONLY_MODIFY | LWS_SERVER_OPTION_IPV6_V6ONLY_VALUE;
    Server server(info);
    CHECK_EQ(answer_of("::1", server.port()), "default");
    CHECK(refused("127.0.0.1", server.port()));
}

void the_name_of_an_interface_is_its_first_address() {
    lws_context_creation_info info = {};
    info.iface = "lo";
    {
        Server server(info);
        CHECK_EQ(answer_of("127.0.0.1", server.port()), "default");
        CHECK(refused("127.0.0.2", server.port()));
    }
    info.options = LWS_SERVER_OPTION_IPV6_V6ONLY_MODIFY | LWS_SERVER_OPTION_IPV6_V6ONLY_VALUE;
    Server server(info);
    CHECK_EQ(answer_of("::1", server.port()), "default");
}

// What is logged when no context can be had so.
std::string failure(const char *iface, int port) {
    log_to_string();
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON;
    info.protocols = kProtocols;
    info.iface = iface;
    info.port = port;
    if (lws_context *context = lws_create_context(&info)) {
        lws_context_destroy(context);
        FAIL("it listens");
    }
    return lws_log();
}

void check_contains(const std::string &text, const std::string &part) {
    if (text.find(part) == std::string::npos)
        FAIL("no \"" + part + "\" in: " + text);
}

void a_port_in_use_fails_at_creation_and_is_named() {
    Server server;
    const std::string port = std::to_string(server.port());
    const std::string log = failure("127.0.0.1", server.port());
    check_contains(log, "Address already in use");
    check_contains(log, "127.0.0.1:" + port);
    check_contains(failure(nullptr, server.port()), ":" + port);
    server.run([&] {
        CHECK(!create_vhost(server.context(), "second.test", server.port(), "127.0.0.1"));
    });
    CHECK_EQ(answer_of(server.port()), "default");
}

void an_address_that_cannot_be_had_fails_at_creation_and_is_named() {
    // of the range for documentation: nobody's
    const std::string nobodys = failure("192.0.2.1", 7681);
    check_contains(nobodys, "Cannot assign requested address");
    check_contains(nobodys, "192.0.2.1:7681");
    check_contains(failure("no-such-interface.invalid", 7681), "no-such-interface.invalid:7681");
    check_contains(failure("300.1.2.3", 7681), "300.1.2.3:7681");
}

// The kernel's to refuse; which ports are, it is told by a setting, and root is refused none.
void a_privileged_port_fails_at_creation_and_is_named() {
    constexpr int kPort = 81;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(kPort);
    const bool refused_it =
        bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)) < 0 && errno == EACCES;
    close(fd);
    if (!refused_it) {
        print_message("[  SKIPPED ] a user who may not bind port 81 is missing\n");
        skip();
    }
    const std::string log = failure("127.0.0.1", kPort);
    check_contains(log, "Permission denied");
    check_contains(log, "127.0.0.1:81");
}

void a_vhost_destroyed_ends_its_listener_and_its_connections_only() {
    Server server(explicit_vhosts());
    const int port = add_vhost(server, "first.test", 0);
    const int other_port = add_vhost(server, "second.test", 0);
    WsClient other(other_port, "echo");
    other.await_open();
    for (int round = 0; round < 3; round++) {
        WsClient open(port, "echo");
        open.await_open();
        TcpSocket silent(port), half(port);
        half.send_all("GET / HTTP/1.1\r\nHo");
        server.await_connections(4);
        destroy_vhost(server, "first.test");
        open.await_end();
        silent.receive_to_end();
        half.receive_to_end();
        CHECK(refused("127.0.0.1", port));
        CHECK(refused("::1", port));
        check_echo(other, "still here");
        CHECK_EQ(answer_of(other_port), "second.test");
        CHECK_EQ(add_vhost(server, "first.test", port), port);
        CHECK_EQ(answer_of(port), "first.test");
    }
}

void a_vhost_that_shares_the_port_keeps_it() {
    Server server(explicit_vhosts());
    const int port = add_vhost(server, "first.test", 0);
    add_vhost(server, "second.test", port);
    destroy_vhost(server, "first.test");
    CHECK_EQ(answer_of(port, "first.test"), "second.test");
    add_vhost(server, "first.test", port);
    CHECK_EQ(answer_of(port, "first.test"), "first.test");
    destroy_vhost(server, "second.test");
    destroy_vhost(server, "first.test");
    CHECK(refused("127.0.0.1", port));
}

void a_callback_may_create_a_vhost() {
    std::atomic<int> second_port{0};
    Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_HTTP && !second_port)
            if (lws_vhost *vhost = create_vhost(lws_get_context(wsi), "second.test", 0))
                second_port = lws_get_vhost_listen_port(vhost);
        return 0;
    });
    CHECK_EQ(answer_of(server.port()), "default");
    CHECK_EQ(answer_of(second_port), "second.test");
}

void a_callback_may_destroy_its_own_vhost() {
    Server *in_callback = nullptr;
    Server server(explicit_vhosts(), [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_RECEIVE && lws_get_vhost(wsi) == in_callback->vhost("first.test"))
            lws_vhost_destroy(lws_get_vhost(wsi));
        return 0;
    });
    in_callback = &server;
    const int port = add_vhost(server, "first.test", 0);
    const int other_port = add_vhost(server, "second.test", 0);
    WsClient client(port, "echo"), beside(port, "echo");
    client.await_open();
    beside.await_open();
    client.queue_frame(e2e::Opcode::text, "destroy");
    client.await_end();
    beside.await_end();
    CHECK(refused("127.0.0.1", port));
    CHECK_EQ(answer_of(other_port), "second.test");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(vhosts_on_one_port_are_chosen_by_the_host_header),
        E2E_TEST(vhosts_on_one_port_are_chosen_by_the_server_name_of_tls),
        E2E_TEST(each_port_is_its_vhosts_own),
        E2E_TEST(a_port_of_0_is_read_back),
        E2E_TEST(without_an_address_it_listens_on_both_families),
        E2E_TEST(on_one_address_it_is_reached_at_no_other),
        E2E_TEST(addresses_of_one_port_are_vhosts_of_their_own),
        E2E_TEST(options_choose_one_family),
        E2E_TEST(the_name_of_an_interface_is_its_first_address),
        E2E_TEST(a_port_in_use_fails_at_creation_and_is_named),
        E2E_TEST(an_address_that_cannot_be_had_fails_at_creation_and_is_named),
        E2E_TEST(a_privileged_port_fails_at_creation_and_is_named),
        E2E_TEST(a_vhost_destroyed_ends_its_listener_and_its_connections_only),
        E2E_TEST(a_vhost_that_shares_the_port_keeps_it),
        E2E_TEST(a_callback_may_create_a_vhost),
        E2E_TEST(a_callback_may_destroy_its_own_vhost),
    };
    return cmocka_run_group_tests_name("listening", tests, nullptr, nullptr);
}
