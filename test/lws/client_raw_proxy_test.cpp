// SPDX-License-Identifier: MIT
//
// lws's raw proxy: what comes in on one raw connection goes out on another, which it makes.
#include "client_context.hpp"
#include "numbered_stream.hpp"
#include "raw_server.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"

#include <poll.h>

using namespace e2e;
using namespace lws_test;

extern "C" const lws_protocols raw_proxy_protocols[];

namespace {

constexpr size_t kBig = 8 * 1024 * 1024;

struct Scene {
    RawServer echo;
    // lws does not copy these.
    std::string onward;
    lws_protocol_vhost_options option = {nullptr, nullptr, "onward", nullptr};
    lws_protocol_vhost_options protocol = {nullptr, &option, "raw-proxy", ""};
    Context context;
    int port = 0;

    // It goes on to the echo, unless another port is named.
    explicit Scene(int onward_port = 0) {
        echo.start(context);
        onward = "ipv4:127.0.0.1:" + std::to_string(onward_port ? onward_port : echo.port);
        option.value = onward.c_str();
        lws_vhost *vhost = context.add_server([&](lws_context_creation_info &info) {
            info.vhost_name = "proxy";
            info.protocols = raw_proxy_protocols;
            info.pvo = &protocol;
            info.options |= LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG;
            info.listen_accept_role = "raw-proxy";
            info.listen_accept_protocol = "raw-proxy";
        });
        port = lws_get_vhost_listen_port(vhost);
    }
    void await_no_connection() {
        context.serve_until("the end of the connections",
                            [&] { return context.stats().connections == 0; });
    }
};

// Sends the numbered stream and reads it back at the same time.
void exchange(TcpSocket &peer, size_t length) {
    size_t sent = 0;
    NumberedStreamReader echoed;
    std::string block(65536, '\0');
    const Deadline deadline;
    while (echoed.position() < length) {
        const short out = sent < length ? POLLOUT : 0;
        pollfd waiting{peer.fd(), static_cast<short>(POLLIN | out), 0};
        if (poll(&waiting, 1, deadline.remaining_ms()) <= 0)
            FAIL("stuck after " + std::to_string(echoed.position()) + " of " +
                 std::to_string(sent));
        if (waiting.revents & POLLOUT)
            sent +=
                peer.send_some(numbered_stream::text(sent, std::min<size_t>(length - sent, 50000)))
                    .bytes;
        if (waiting.revents & POLLIN) {
            const IoResult got = peer.receive_some(block.data(), block.size());
            CHECK(got.state == Io::ok);
            echoed.check_next(std::string_view(block).substr(0, got.bytes));
        }
    }
}

void bytes_go_both_ways() {
    Scene scene;
    scene.context.serve_while([&] {
        TcpSocket peer(scene.port);
        exchange(peer, kBig);
    });
    scene.await_no_connection();
    CHECK_EQ(scene.echo.adopted, 1);
    CHECK_EQ(scene.echo.closed, 1);
}

void connections_do_not_mix() {
    Scene scene;
    scene.context.serve_while([&] {
        TcpSocket one(scene.port), other(scene.port);
        for (int i = 0; i < 10; i++) {
            one.send_all("one");
            other.send_all("two");
            CHECK_EQ(one.receive_until("one"), "one");
            CHECK_EQ(other.receive_until("two"), "two");
        }
    });
    scene.await_no_connection();
    CHECK_EQ(scene.echo.adopted, 2);
}

void a_peer_that_does_not_read_stops_the_other() {
    TcpListener listener;
    Scene scene(listener.port());
    size_t sent = 0;
    scene.context.serve_while([&] {
        TcpSocket peer(scene.port);
        peer.send_all("begin");
        TcpSocket server = listener.accept();
        server.receive_until("begin");
        constexpr std::chrono::milliseconds kLong{500};
        while (server.await_writable(Deadline(kLong)))
            sent += server.send_some(numbered_stream::text(sent, 50000)).bytes;
        CHECK_LE(scene.context.stats().buffer_bytes, 4u * 64 * 1024);
        NumberedStreamReader got;
        std::string block(65536, '\0');
        while (got.position() < sent) {
            CHECK(peer.await_readable());
            const IoResult read = peer.receive_some(block.data(), block.size());
            CHECK(read.state == Io::ok);
            got.check_next(std::string_view(block).substr(0, read.bytes));
        }
    });
    scene.await_no_connection();
}

void the_end_of_either_ends_both() {
    for (const bool by_server : {false, true})
        for (const bool reset : {false, true}) {
            TcpListener listener;
            Scene scene(listener.port());
            scene.context.serve_while([&] {
                TcpSocket peer(scene.port);
                peer.send_all("hello");
                TcpSocket server = listener.accept();
                CHECK_EQ(server.receive_until("hello"), "hello");
                TcpSocket &first = by_server ? server : peer, &second = by_server ? peer : server;
                if (reset)
                    first.reset();
                else
                    first.close();
                CHECK_EQ(second.receive_to_end(), "");
            });
            scene.await_no_connection();
        }
}

void what_was_sent_before_the_end_arrives() {
    for (const bool by_server : {false, true}) {
        TcpListener listener;
        Scene scene(listener.port());
        const std::string all = numbered_stream::text(0, 20000);
        scene.context.serve_while([&] {
            TcpSocket peer(scene.port);
            peer.send_all("hello");
            TcpSocket server = listener.accept();
            server.receive_until("hello");
            TcpSocket &first = by_server ? server : peer, &second = by_server ? peer : server;
            first.send_last(all);
            CHECK(second.receive_to_end() == all);
        });
        scene.await_no_connection();
    }
}

void a_peer_is_hung_up_on_if_there_is_no_server() {
    Scene scene(closed_port());
    scene.context.serve_while([&] {
        TcpSocket peer(scene.port);
        CHECK_EQ(peer.receive_to_end(), "");
    });
    scene.await_no_connection();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(bytes_go_both_ways),
        E2E_TEST(connections_do_not_mix),
        E2E_TEST(a_peer_that_does_not_read_stops_the_other),
        E2E_TEST(the_end_of_either_ends_both),
        E2E_TEST(what_was_sent_before_the_end_arrives),
        E2E_TEST(a_peer_is_hung_up_on_if_there_is_no_server),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
