// SPDX-License-Identifier: MIT
//
// Raw connections: bytes of no protocol that lws knows, with and without TLS, as a client, as a
// server, and adopted by the program.
#include "certificates.hpp"
#include "client_context.hpp"
#include "numbered_stream.hpp"
#include "raw_server.hpp"
#include "tcp_listener.hpp"
#include "test_main.hpp"

#include <lws_proton_conn.h>

#include <algorithm>
#include <cstring>

using namespace e2e;
using namespace lws_test;

namespace {

constexpr size_t kBig = 8 * 1024 * 1024;
// More than kernels hold of an echo that nobody reads.
constexpr size_t kTooBig = 64 * 1024 * 1024;

struct Scene {
    const bool tls;
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    RawServer server;
    Client client;
    Context context;

    explicit Scene(bool over_tls = false)
        : tls(over_tls), context([this](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              info.client_ssl_ca_filepath = authority.c_str();
          }) {
        server.start(context, [this](lws_context_creation_info &info) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            if (!tls)
                return;
            info.ssl_cert_filepath = certificate.c_str();
            info.ssl_private_key_filepath = key.c_str();
        });
    }
    void connect(int port) {
        CHECK(context.connect(client, port, [this](lws_client_connect_info &info) {
            info.method = "RAW";
            info.ssl_connection = tls ? LCCSCF_USE_SSL : 0;
        }));
    }
    void await_end() {
        context.serve_until("the end", [&] { return client.ended(); });
        CHECK_EQ(client.closed + client.errors.size(), 1u);
        context.serve_until("the end of the connections",
                            [&] { return context.stats().connections == 0; });
    }
};

// lws sends no more at once for a protocol without a tx_packet_size, and keeps the rest.
constexpr size_t kMostAtOnce = 4096;
// What a record adds to its bytes, at most.
constexpr size_t kTlsOverhead = 64;

// Sends the numbered stream, a piece each time it may.
struct Sender {
    size_t length;
    size_t sent = 0;

    int on(lws *wsi, lws_callback_reasons reason) {
        if (reason == LWS_CALLBACK_RAW_CONNECTED)
            lws_callback_on_writable(wsi);
        if (reason != LWS_CALLBACK_RAW_WRITEABLE || sent == length)
            return 0;
        // What lws had to keep, it would send before it reads on.
        const size_t room = static_cast<size_t>(lws_get_peer_write_allowance(wsi));
        const size_t most = room > kTlsOverhead ? room - kTlsOverhead : 0;
        const std::string data =
            numbered_stream::text(sent, std::min<size_t>({length - sent, most, kMostAtOnce}));
        std::vector<uint8_t> buffer(LWS_PRE + data.size());
        memcpy(buffer.data() + LWS_PRE, data.data(), data.size());
        sent += data.size();
        if (lws_write(wsi, buffer.data() + LWS_PRE, data.size(), LWS_WRITE_RAW) < 0)
            return -1;
        lws_callback_on_writable(wsi);
        return 0;
    }
};

void what_is_sent_comes_back() {
    for (const bool tls : {false, true}) {
        Scene scene(tls);
        Sender sender{kBig};
        scene.client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            return sender.on(wsi, reason);
        };
        scene.connect(scene.server.port);
        scene.context.serve_until("the echo", [&] {
            return scene.client.received.size() >= kBig || scene.client.ended();
        });
        CHECK_EQ(scene.client.error(), "");
        CHECK_EQ(scene.client.established, 1);
        CHECK(scene.client.received == numbered_stream::text(0, kBig));
        CHECK_EQ(scene.server.adopted, 1);
        scene.context.destroy();
        CHECK_EQ(scene.client.closed, 1);
        CHECK_EQ(scene.server.closed, 1);
    }
}

void an_echo_that_is_not_read_stops_the_sender() {
    for (const bool tls : {false, true}) {
        Scene scene(tls);
        Sender sender{kTooBig};
        bool stopped = false;
        scene.client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_RAW_RX && !stopped) {
                stopped = true;
                lws_rx_flow_control(wsi, 0);
            }
            return sender.on(wsi, reason);
        };
        scene.connect(scene.server.port);
        scene.context.serve_until("the first echo", [&] { return stopped; });
        // Until nothing moves any more.
        size_t before;
        do {
            before = sender.sent;
            scene.context.serve_what_is_there();
        } while (sender.sent != before);
        CHECK(!scene.client.ended());
        CHECK(sender.sent < kTooBig);
        CHECK(scene.client.received.size() < 64u * 1024);
        CHECK_LE(scene.context.stats().buffer_bytes, 4u * 64 * 1024 + 64 * 1024);
        CHECK_LE(scene.server.most_queued, kMostRawQueued + 16 * 1024);
        sender.length = sender.sent;
        lws_rx_flow_control(scene.client.wsi, 1);
        scene.context.serve_until("the echo", [&] {
            return scene.client.received.size() >= sender.sent || scene.client.ended();
        });
        CHECK(scene.client.received == numbered_stream::text(0, sender.sent));
    }
}

void a_client_closes_when_its_callback_says_so() {
    for (const bool tls : {false, true})
        for (const lws_callback_reasons last :
             {LWS_CALLBACK_RAW_CONNECTED, LWS_CALLBACK_RAW_WRITEABLE, LWS_CALLBACK_RAW_RX}) {
            Scene scene(tls);
            Sender sender{100};
            scene.client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
                return reason == last ? -1 : sender.on(wsi, reason);
            };
            scene.connect(scene.server.port);
            scene.await_end();
            CHECK_EQ(scene.server.closed, scene.server.adopted);
        }
}

void what_was_written_before_the_end_arrives() {
    Scene scene;
    TcpListener listener;
    scene.client.on = [](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_RAW_CONNECTED)
            lws_callback_on_writable(wsi);
        if (reason != LWS_CALLBACK_RAW_WRITEABLE)
            return 0;
        // More than the window takes: lws keeps the rest.
        const std::string data = numbered_stream::text(0, 1024 * 1024);
        std::vector<uint8_t> buffer(LWS_PRE + data.size());
        memcpy(buffer.data() + LWS_PRE, data.data(), data.size());
        if (lws_write(wsi, buffer.data() + LWS_PRE, data.size(), LWS_WRITE_RAW) < 0)
            return -1;
        return lws_raw_transaction_completed(wsi);
    };
    scene.connect(listener.port());
    std::string got;
    scene.context.serve_while([&] {
        TcpSocket peer = listener.accept();
        Io end = Io::ok;
        got = peer.receive_to_end(&end);
        CHECK(end == Io::closed);
    });
    scene.await_end();
    CHECK(got == numbered_stream::text(0, 1024 * 1024));
}

void the_end_of_the_peers_stream_closes_a_client() {
    Scene scene;
    TcpListener listener;
    scene.connect(listener.port());
    scene.context.serve_while([&] {
        TcpSocket peer = listener.accept();
        peer.send_last("last words");
        CHECK_EQ(peer.receive_to_end(), "");
    });
    scene.await_end();
    CHECK_EQ(scene.client.received, "last words");
    CHECK_EQ(scene.client.closed, 1);
}

void a_reset_closes_a_client() {
    Scene scene;
    TcpListener listener;
    scene.connect(listener.port());
    scene.context.serve_until("the connection", [&] { return scene.client.established; });
    scene.context.serve_while([&] { listener.accept().reset(); });
    scene.await_end();
    CHECK_EQ(scene.client.closed, 1);
}

void a_half_closed_peer_gets_its_answer() {
    Scene scene;
    std::string got;
    scene.context.serve_while([&] {
        TcpSocket peer(scene.server.port);
        const std::string sent = numbered_stream::text(0, 50000);
        CHECK_EQ(peer.await_connected(), 0);
        peer.send_last(sent);
        got = peer.receive_to_end();
    });
    CHECK(got == numbered_stream::text(0, 50000));
    scene.context.serve_until("the close", [&] { return scene.server.closed; });
    CHECK_EQ(scene.server.closed, 1);
}

void a_reset_closes_a_server_connection() {
    Scene scene;
    scene.context.serve_while([&] {
        TcpSocket peer(scene.server.port);
        peer.send_all("hello");
        peer.receive_until("hello");
        peer.reset();
    });
    scene.context.serve_until("the close", [&] { return scene.server.closed; });
    CHECK_EQ(scene.server.adopted, 1);
    CHECK_EQ(scene.server.closed, 1);
}

// A connection over the driver transport that the server's vhost adopts as a raw one.
struct Adopted {
    lws_proton_driver_t *driver;

    explicit Adopted(Scene &scene) {
        driver = lws_proton_driver_new(
            lws_proton_loop_of(scene.context.get()), 0, [](void *) {}, nullptr);
        CHECK(driver);
        lws_sock_file_fd_type fd;
        fd.sockfd = lws_proton_driver_conn(driver);
        CHECK(lws_adopt_descriptor_vhost(scene.server.vhost, LWS_ADOPT_SOCKET, fd, kRawEcho,
                                         nullptr));
    }
    ~Adopted() { lws_proton_driver_free(driver); }

    // Puts in what it takes of the stream from `position` on; how much.
    size_t feed(size_t position, size_t length) {
        const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver);
        if (!in.size)
            return 0;
        const std::string data = numbered_stream::text(position, std::min(in.size, length));
        memcpy(in.start, data.data(), data.size());
        lws_proton_driver_read_done(driver, data.size());
        return data.size();
    }
    std::string take() {
        const pn_bytes_t out = lws_proton_driver_write_buffer(driver);
        const std::string data(out.start, out.size);
        lws_proton_driver_write_done(driver, out.size);
        return data;
    }
};

void a_program_adopts_a_connection() {
    Scene scene;
    Adopted adopted(scene);
    CHECK_EQ(scene.server.adopted, 1);
    size_t sent = 0;
    NumberedStreamReader echoed;
    while (echoed.position() < kBig) {
        sent += adopted.feed(sent, kBig - sent);
        lws_proton_driver_service(adopted.driver);
        const std::string data = adopted.take();
        CHECK(sent < kBig || !data.empty());
        echoed.check_next(data);
    }
    lws_proton_driver_read_close(adopted.driver);
    lws_proton_driver_service(adopted.driver);
    CHECK_EQ(scene.server.closed, 1);
    CHECK(lws_proton_driver_write_closed(adopted.driver));
}

void an_adopted_connection_that_is_not_drained_takes_no_more() {
    Scene scene;
    Adopted adopted(scene);
    size_t sent = 0, fed;
    do {
        fed = adopted.feed(sent, kBig - sent);
        sent += fed;
        while (lws_proton_driver_service(adopted.driver))
            ;
    } while (fed);
    CHECK(sent < kBig);
    CHECK_LE(scene.context.stats().buffer_bytes, 4u * 64 * 1024);
    CHECK_LE(scene.server.most_queued, kMostRawQueued + 16 * 1024);
    lws_proton_driver_write_close(adopted.driver);
    lws_proton_driver_service(adopted.driver);
    CHECK_EQ(scene.server.closed, 1);
}

void an_adopted_connection_that_is_lost_closes() {
    Scene scene;
    {
        Adopted adopted(scene);
        adopted.feed(0, 1000);
    }
    CHECK_EQ(scene.server.adopted, 1);
    CHECK_EQ(scene.server.closed, 1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(what_is_sent_comes_back),
        E2E_TEST(an_echo_that_is_not_read_stops_the_sender),
        E2E_TEST(a_client_closes_when_its_callback_says_so),
        E2E_TEST(what_was_written_before_the_end_arrives),
        E2E_TEST(the_end_of_the_peers_stream_closes_a_client),
        E2E_TEST(a_reset_closes_a_client),
        E2E_TEST(a_half_closed_peer_gets_its_answer),
        E2E_TEST(a_reset_closes_a_server_connection),
        E2E_TEST(a_program_adopts_a_connection),
        E2E_TEST(an_adopted_connection_that_is_not_drained_takes_no_more),
        E2E_TEST(an_adopted_connection_that_is_lost_closes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
