// SPDX-License-Identifier: MIT
//
// WebSocket clients and an lws echo server in one loop.
#include "certificates.hpp"
#include "client_context.hpp"
#include "numbered_stream.hpp"
#include "temporary_directory.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <algorithm>
#include <cstring>

using namespace e2e;
using namespace lws_test;

namespace {

struct Variant {
    bool tls;
    bool deflate;
};
constexpr Variant kVariants[] = {{false, false}, {false, true}, {true, false}, {true, true}};

struct Scene {
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    TestServer server;
    Client client;
    Context context;

    explicit Scene(const Variant &variant)
        : context([&](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              if (variant.deflate)
                  info.extensions = deflate();
              if (variant.tls)
                  info.client_ssl_ca_filepath = authority.c_str();
          }) {
        server.start(context, [&](lws_context_creation_info &info) {
            if (variant.deflate)
                info.extensions = deflate();
            if (variant.tls) {
                info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
                info.ssl_cert_filepath = certificate.c_str();
                info.ssl_private_key_filepath = key.c_str();
            }
        });
        connecting = [=](lws_client_connect_info &info) {
            info.method = nullptr;
            info.protocol = "echo";
            info.ssl_connection = variant.tls ? LCCSCF_USE_SSL : 0;
        };
    }
    void connect() { CHECK(context.connect(client, server.port, connecting)); }

    Context::Connecting connecting;
};

// Sends `data` as messages of at most `most` bytes, one whenever it may.
struct Sender {
    std::string data;
    size_t most;
    size_t sent = 0;

    int write(lws *wsi) {
        if (sent == data.size())
            return 0;
        const size_t length = std::min(most, data.size() - sent);
        std::vector<uint8_t> buffer(LWS_PRE + length);
        memcpy(buffer.data() + LWS_PRE, data.data() + sent, length);
        sent += length;
        if (lws_write(wsi, buffer.data() + LWS_PRE, length, LWS_WRITE_BINARY) < 0)
            return -1;
        lws_callback_on_writable(wsi);
        return 0;
    }
};

void send_from(Client &client, Sender &sender) {
    client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
            lws_callback_on_writable(wsi);
        return reason == LWS_CALLBACK_CLIENT_WRITEABLE ? sender.write(wsi) : 0;
    };
}

void check_echo(const std::string &data, size_t message) {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        Sender sender{data, message};
        send_from(scene.client, sender);
        scene.connect();
        scene.context.serve_until("the echo", [&] {
            return scene.client.received.size() >= data.size() || scene.client.ended();
        });
        CHECK_EQ(scene.client.error(), "");
        CHECK_EQ(scene.client.received.size(), data.size());
        CHECK(scene.client.received == data);
    }
}

void what_is_sent_comes_back() {
    check_echo(numbered_stream::text(0, 4 * 1024 * 1024), 50000);
}

void what_cannot_be_compressed_comes_back() {
    check_echo(random_bytes(2 * 1024 * 1024), 30000);
}

void many_small_messages_come_back() {
    check_echo(numbered_stream::text(0, 100 * 1000), 10);
}

// Each length of the header, and around what fits into the buffers of client and server.
void messages_of_all_lengths_come_back() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        Client &client = scene.client;
        std::vector<size_t> lengths;
        for (size_t length = 1; length < 300; length++)
            lengths.push_back(length);
        for (const size_t around : {1024, 4096, 65536})
            for (size_t length = around - 20; length < around + 20; length++)
                lengths.push_back(length);
        size_t sent = 0, came = 0;
        std::string message;
        client.on = [&](lws *wsi, lws_callback_reasons reason, void *in, size_t size) {
            if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
                lws_callback_on_writable(wsi);
            if (reason == LWS_CALLBACK_CLIENT_WRITEABLE && sent < lengths.size()) {
                Sender sender{numbered_stream::text(sent, lengths[sent]), lengths[sent]};
                sent++;
                return sender.write(wsi);
            }
            if (reason == LWS_CALLBACK_CLIENT_RECEIVE) {
                message.append(static_cast<char *>(in), size);
                if (!lws_is_final_fragment(wsi))
                    return 0;
                CHECK(message == numbered_stream::text(came, lengths[came]));
                message.clear();
                came++;
            }
            return 0;
        };
        scene.connect();
        scene.context.serve_until("all messages",
                                  [&] { return came == lengths.size() || client.ended(); });
        CHECK_EQ(client.error(), "");
        CHECK_EQ(came, lengths.size());
    }
}

void an_echo_that_is_not_read_stops_the_sender() {
    for (const bool tls : {false, true}) {
        Scene scene({tls, false});
        // More than kernels hold of an echo that nobody reads.
        Sender sender{numbered_stream::text(0, 64 * 1024 * 1024), 10000};
        Client &client = scene.client;
        bool stopped = false;
        client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
                lws_callback_on_writable(wsi);
            if (reason == LWS_CALLBACK_CLIENT_RECEIVE && !stopped) {
                stopped = true;
                lws_rx_flow_control(wsi, 0);
            }
            return reason == LWS_CALLBACK_CLIENT_WRITEABLE ? sender.write(wsi) : 0;
        };
        scene.connect();
        scene.context.serve_until("the first echo", [&] { return stopped; });
        // Until nothing moves any more.
        size_t before;
        do {
            before = sender.sent;
            scene.context.serve_what_is_there();
        } while (sender.sent != before);
        CHECK(!client.ended());
        CHECK(sender.sent < sender.data.size());
        CHECK_LE(scene.context.stats().buffer_bytes, 4u * 64 * 1024 + 64 * 1024);
        CHECK_LE(scene.server.most_queued, 128u * 1024);
        sender.data.resize(sender.sent);
        lws_rx_flow_control(client.wsi, 1);
        scene.context.serve_until("the echo", [&] {
            return client.received.size() >= sender.data.size() || client.ended();
        });
        CHECK(client.received == sender.data);
    }
}

void a_close_is_answered() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        bool told = false;
        scene.client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
                lws_callback_on_writable(wsi);
            if (reason == LWS_CALLBACK_CLIENT_WRITEABLE) {
                unsigned char why[] = "bye";
                lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, why, 3);
                told = true;
                return -1;
            }
            return 0;
        };
        scene.connect();
        scene.context.serve_until("the close", [&] { return scene.client.ended(); });
        CHECK(told);
        CHECK_EQ(scene.client.closed, 1);
        CHECK_EQ(scene.client.errors.size(), 0u);
        scene.context.serve_until("the end of the connections",
                                  [&] { return scene.context.stats().connections == 0; });
    }
}

void a_client_may_close_in_the_middle_of_a_frame() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        Sender sender{random_bytes(60000), 60000};
        int received = 0;
        scene.client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
                lws_callback_on_writable(wsi);
            if (reason == LWS_CALLBACK_CLIENT_RECEIVE) {
                received++;
                lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, nullptr, 0);
                return -1;
            }
            return reason == LWS_CALLBACK_CLIENT_WRITEABLE ? sender.write(wsi) : 0;
        };
        scene.connect();
        scene.context.serve_until("the close", [&] { return scene.client.ended(); });
        CHECK_EQ(received, 1);
        scene.context.serve_until("the end of the connections",
                                  [&] { return scene.context.stats().connections == 0; });
    }
}

void a_server_that_refuses_to_upgrade_is_named() {
    Scene scene({false, false});
    CHECK(scene.context.connect(scene.client, scene.server.port, [](lws_client_connect_info &info) {
        info.method = nullptr;
        info.protocol = "unknown";
    }));
    scene.context.serve_until("the refusal", [&] { return scene.client.ended(); });
    CHECK_EQ(scene.client.errors.size(), 1u);
    CHECK_EQ(scene.client.closed, 0);
    CHECK_EQ(scene.client.error(), "read failed: peer closed");
}

void many_clients_at_once_are_echoed() {
    constexpr int kClients = 50;
    std::vector<Client> clients(kClients);
    std::vector<Sender> senders(kClients, Sender{numbered_stream::text(0, 100000), 5000});
    Scene scene({false, true});
    for (int i = 0; i < kClients; i++) {
        send_from(clients[i], senders[i]);
        CHECK(scene.context.connect(clients[i], scene.server.port, scene.connecting));
    }
    for (int i = 0; i < kClients; i++) {
        scene.context.serve_until(
            "an echo", [&] { return clients[i].received.size() >= 100000 || clients[i].ended(); });
        CHECK(clients[i].received == senders[i].data);
    }
    scene.context.destroy();
    for (const Client &client : clients)
        CHECK_EQ(client.closed, 1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(what_is_sent_comes_back),
        E2E_TEST(what_cannot_be_compressed_comes_back),
        E2E_TEST(many_small_messages_come_back),
        E2E_TEST(messages_of_all_lengths_come_back),
        E2E_TEST(an_echo_that_is_not_read_stops_the_sender),
        E2E_TEST(a_close_is_answered),
        E2E_TEST(a_client_may_close_in_the_middle_of_a_frame),
        E2E_TEST(a_server_that_refuses_to_upgrade_is_named),
        E2E_TEST(many_clients_at_once_are_echoed),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
