// SPDX-License-Identifier: MIT
//
// What a program is told of its peers, and what it can limit for each of them.
#include "server.hpp"

#include "temporary_directory.hpp"
#include "ws_client.hpp"

#include <memory>

namespace {

using e2e::TcpSocket;
using e2e::TemporaryDirectory;
using e2e::WsClient;
using lws_test::Server;

struct Names {
    std::string simple, numeric;
};

// What lws says of the peer of a request to `host`.
Names names_of_a_peer(const char *host) {
    Names names;
    Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason != LWS_CALLBACK_HTTP)
            return 0;
        char simple[64], name[256] = "", rip[64] = "";
        names.simple = lws_get_peer_simple(wsi, simple, sizeof(simple));
        lws_get_peer_addresses(wsi, lws_get_socket_fd(wsi), name, sizeof(name), rip, sizeof(rip));
        names.numeric = rip;
        return 0;
    });
    TcpSocket client(host, server.port());
    CHECK_EQ(lws_test::get(client), "default");
    return names;
}

void a_peer_is_known_by_its_ipv4_address() {
    const Names names = names_of_a_peer("127.0.0.1");
    CHECK_EQ(names.simple, "127.0.0.1");
    CHECK_EQ(names.numeric, "127.0.0.1");
}

void a_peer_is_known_by_its_ipv6_address() {
    const Names names = names_of_a_peer("::1");
    CHECK_EQ(names.simple, "::1");
    CHECK_EQ(names.numeric, "::1");
}

void a_peer_has_so_many_connections_and_no_more() {
    lws_context_creation_info info = {};
    info.ip_limit_wsi = 2;
    std::atomic<int> open{0};
    Server server(info, [&](lws *, lws_callback_reasons reason, void *, size_t) {
        open += (reason == LWS_CALLBACK_ESTABLISHED) - (reason == LWS_CALLBACK_CLOSED);
        return 0;
    });
    e2e::WsClients clients;
    for (int i = 0; i < 2; i++) {
        clients.push_back(std::make_unique<WsClient>(server.port(), "echo"));
        clients.back()->await_open();
    }
    TcpSocket refused(server.port());
    CHECK_EQ(refused.receive_to_end(), "");
    CHECK_EQ(open, 2);

    clients.pop_back();
    e2e::await("the end of one", [&] { return open == 1; });
    e2e::await("room for another", [&] {
        TcpSocket another(server.port());
        another.send_all("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        return another.receive_to_end().find(" 200 ") != std::string::npos;
    });
}

// A header table is lws's place for a request that it reads.
void a_peer_gets_its_header_tables_back() {
    constexpr int kTables = 2;
    lws_context_creation_info info = {};
    info.ip_limit_ah = kTables;
    Server server(info);
    const char *const kBeginnings[] = {
        "GET / HTTP/1.1\r\nHost: loc",
        // It becomes the connection's first stream.
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" /* SETTINGS */};
    for (const char *beginning : kBeginnings)
        for (int i = 0; i < kTables + 1; i++) {
            {
                TcpSocket client(server.port());
                client.send_all(beginning);
                if (beginning != kBeginnings[0]) {
                    client.send_all(std::string("\0\0\0\4\0\0\0\0\0", 9));
                    client.receive_until("default");
                } else {
                    server.await_connections(1);
                    server.run([] {});
                }
            }
            server.await_no_connections();
        }
    TcpSocket client(server.port());
    CHECK_EQ(lws_test::get(client), "default");
}

void requests_are_in_the_access_log() {
    const TemporaryDirectory directory;
    const std::string file = directory.file("access.log");
    {
        lws_context_creation_info info = {};
        info.log_filepath = file.c_str();
        Server server(info);
        TcpSocket client(server.port());
        client.send_all("GET /page?a=b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tester\r\n"
                        "Connection: close\r\n\r\n");
        CHECK_EQ(lws_test::body(client.receive_to_end()), "default");
    }
    const std::string log = directory.read("access.log");
    if (log.find("127.0.0.1 - - [") != 0 ||
        log.find("\"GET /page HTTP/1.1\" 200 ") == std::string::npos ||
        log.find("tester") == std::string::npos)
        FAIL("the log: " + log);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_peer_is_known_by_its_ipv4_address),
        E2E_TEST(a_peer_is_known_by_its_ipv6_address),
        E2E_TEST(a_peer_has_so_many_connections_and_no_more),
        E2E_TEST(a_peer_gets_its_header_tables_back),
        E2E_TEST(requests_are_in_the_access_log),
    };
    return cmocka_run_group_tests_name("introspection", tests, nullptr, nullptr);
}
