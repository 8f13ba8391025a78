// SPDX-License-Identifier: MIT
//
// Real libwebsockets' clients over the driver transport: they talk to a server in another context
// of the same process, and no socket is there.
#include "cable.hpp"
#include "certificates.hpp"
#include "numbered_stream.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <filesystem>

using namespace e2e;
using namespace lws_test;

namespace {

constexpr const char *kName = "nowhere.invalid";  // no name service knows it
constexpr int kPort = 8888;

struct Variant {
    bool tls;
    bool deflate;
    const char *alpn;
};
constexpr Variant kPlain = {false, false, nullptr};
constexpr Variant kVariants[] = {
    kPlain, {false, true, nullptr}, {true, false, "http/1.1"}, {true, true, "http/1.1"}};

struct Scene {
    const std::string authority = certificates().authority();
    const std::string certificate = certificates().certificate("localhost");
    const std::string key = certificates().key("localhost");
    const Variant variant;
    TestServer server;
    Client client;
    Context servers, clients;
    Cable cable;

    explicit Scene(const Variant &v, const Context::Creation &change = {})
        : variant(v), clients([&](lws_context_creation_info &info) {
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
              if (variant.deflate)
                  info.extensions = deflate();
              if (variant.tls)
                  info.client_ssl_ca_filepath = authority.c_str();
              if (change)
                  change(info);
          }),
          cable(clients, servers, start()) {}

    lws_vhost *start() {
        server.start(servers, [&](lws_context_creation_info &info) {
            info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
            if (variant.deflate)
                info.extensions = deflate();
            if (variant.tls) {
                info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
                info.ssl_cert_filepath = certificate.c_str();
                info.ssl_private_key_filepath = key.c_str();
                info.alpn = variant.alpn;
            }
        });
        return lws_get_vhost_by_name(servers.get(), "server");
    }

    void connect(const char *method, const char *path = "/") {
        CHECK(clients.connect(client, kPort, [&](lws_client_connect_info &info) {
            info.address = kName;
            info.host = "localhost";
            info.method = method;
            info.path = path;
            info.protocol = method ? nullptr : "echo";
            info.ssl_connection = variant.tls ? LCCSCF_USE_SSL : 0;
            info.alpn = variant.alpn;
        }));
    }

    // All that `data` is comes back, in messages of at most `most` bytes.
    void converse(const std::string &data, size_t most) {
        size_t sent = 0;
        client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED)
                lws_callback_on_writable(wsi);
            if (reason != LWS_CALLBACK_CLIENT_WRITEABLE || sent == data.size())
                return 0;
            const size_t n = std::min(most, data.size() - sent);
            std::vector<uint8_t> message(LWS_PRE + n);
            memcpy(message.data() + LWS_PRE, data.data() + sent, n);
            sent += n;
            lws_callback_on_writable(wsi);
            return lws_write(wsi, message.data() + LWS_PRE, n, LWS_WRITE_BINARY) < 0 ? -1 : 0;
        };
        connect(nullptr);
        cable.run_until("the echo",
                        [&] { return client.received.size() >= data.size() || client.ended(); });
        CHECK_EQ(client.error(), "");
        CHECK(client.received == data);
    }
};

// Descriptors of this process.
size_t sockets() {
    size_t count = 0;
    for (const auto &fd : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        count += read_symlink(fd.path(), gone).string().rfind("socket:", 0) == 0;
    }
    return count;
}

void check_nothing_left(Scene &scene) {
    CHECK_EQ(scene.cable.wires(), 0u);
    CHECK_EQ(scene.clients.stats().connections, 0u);
    CHECK_EQ(scene.servers.stats().connections, 0u);
    CHECK_EQ(lws_logged, "");
}

void a_conversation_needs_no_socket() {
    const size_t before = sockets();
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.converse(numbered_stream::text(0, 1024 * 1024), 50000);
        CHECK_EQ(sockets(), before);
        CHECK_EQ(scene.client.upgraded, 1);
        CHECK(scene.cable.carried > 0);
    }
}

void one_byte_at_a_time_is_the_same() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.cable.most = 1;
        scene.converse(numbered_stream::text(0, 2000), 100);
    }
}

void the_application_decides_what_a_name_means() {
    Scene scene(kPlain);
    scene.connect("GET", "/body/10");
    scene.cable.run_until("the body", [&] { return scene.client.completed == 1; });
    CHECK(scene.cable.asked == std::vector<std::string>({"nowhere.invalid:8888"}));
    CHECK_EQ(scene.client.status, 200);
    CHECK_EQ(scene.client.received, numbered_stream::text(0, 10));
}

void http_bodies_arrive_whole() {
    for (const char *alpn : {static_cast<const char *>(nullptr), "http/1.1", "h2"}) {
        Scene scene({alpn != nullptr, false, alpn});
        scene.connect("GET", "/body/3000000");
        scene.cable.run_until("the body",
                              [&] { return scene.client.completed == 1 || scene.client.ended(); });
        CHECK_EQ(scene.client.error(), "");
        CHECK(scene.client.received == numbered_stream::text(0, 3000000));
        CHECK_EQ(scene.server.http2, alpn && !strcmp(alpn, "h2") ? 1 : 0);
    }
}

void a_redirect_is_dialed_too() {
    Scene scene(kPlain);
    scene.connect("GET", "/redirect");
    scene.cable.run_until("the body", [&] { return scene.client.completed == 1; });
    CHECK_EQ(scene.client.received, numbered_stream::text(0, 100));
    CHECK(scene.cable.asked ==
          std::vector<std::string>({"nowhere.invalid:8888", "nowhere.invalid:8888"}));
}

void both_ends_come_to_rest_when_the_client_closes() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.converse("hello", 5);
        lws_set_timeout(scene.client.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        scene.cable.run_until("the end", [&] { return scene.cable.wires() == 0; });
        CHECK_EQ(scene.client.closed, 1);
        check_nothing_left(scene);
    }
}

void a_connection_that_is_lost_is_closed() {
    for (const Variant &variant : kVariants) {
        Scene scene(variant);
        scene.converse("hello", 5);
        scene.cable.cut();
        CHECK_EQ(scene.client.closed, 1);
        check_nothing_left(scene);
    }
}

// How a client may ask for its connection.
const struct {
    const char *method;
    bool tls;
} kKinds[] = {{"GET", false}, {"GET", true}, {nullptr, false}, {nullptr, true}, {"RAW", false}};

// Dials a client of each kind, and checks what it is told.
void check_told(const std::string &cause, int (*dial)(lws_proton_driver_t *),
                const Context::Creation &change = {},
                void (*later)(lws_proton_driver_t *) = nullptr) {
    for (const auto &kind : kKinds) {
        Scene scene({kind.tls, false, nullptr}, change);
        lws_proton_driver_t *driver = nullptr;
        scene.cable.on_dial = [&](lws_proton_driver_t *d) {
            const int refused = dial(d);
            if (!refused)
                driver = d;
            return refused;
        };
        scene.connect(kind.method);
        CHECK_EQ(scene.client.error(), "");
        if (later)
            later(driver);
        scene.cable.run_until("the error", [&] { return scene.client.ended(); });
        CHECK_EQ(scene.client.errors.size(), 1u);
        CHECK_EQ(scene.client.error(), cause);
        CHECK(!scene.client.wsi);
        if (driver)
            CHECK(lws_proton_driver_finished(driver));
        lws_proton_driver_free(driver);
        check_nothing_left(scene);
    }
}

void a_refusal_is_told_in_words() {
    check_told("conn fail: Permission denied", [](lws_proton_driver_t *) { return EACCES; });
}

void a_failure_is_told_in_words_whenever_it_is_known() {
    check_told("conn fail: No route to host", [](lws_proton_driver_t *d) {
        return lws_proton_driver_connected(d, EHOSTUNREACH), 0;
    });
    check_told(
        "conn fail: Connection refused", [](lws_proton_driver_t *) { return 0; }, {},
        [](lws_proton_driver_t *d) { lws_proton_driver_connected(d, ECONNREFUSED); });
}

void a_connection_that_is_given_up_is_told_so() {
    check_told(
        "conn fail: Software caused connection abort", [](lws_proton_driver_t *) { return 0; }, {},
        lws_proton_driver_write_close);
}

void lws_gives_up_at_its_timeout() {
    check_told(
        "conn fail: Connection timed out", [](lws_proton_driver_t *) { return 0; },
        [](lws_context_creation_info &info) { info.timeout_secs = 1; });
}

void a_context_can_be_destroyed_at_every_stage() {
    enum Stage { dialed, answered, connected, established };
    for (const bool tls : {false, true}) {
        for (const Stage stage : {dialed, answered, connected, established}) {
            Scene scene({tls, false, nullptr});
            lws_proton_driver_t *driver = nullptr;
            if (stage == dialed || stage == answered)
                scene.cable.on_dial = [&](lws_proton_driver_t *d) { return driver = d, 0; };
            scene.connect(nullptr);
            if (stage == answered)
                lws_proton_driver_connected(driver, 0);
            if (stage == connected) {
                scene.cable.most = 1;
                scene.cable.run_until("a byte", [&] { return scene.cable.carried > 0; });
            }
            if (stage == established)
                scene.cable.run_until("the upgrade", [&] { return scene.client.upgraded == 1; });
            lws_proton_driver_free(driver);
            scene.cable.cut();
            scene.clients.destroy();
            CHECK(scene.client.ended());
            CHECK(!scene.client.wsi);
        }
    }
}

void a_destroyed_context_tells_of_clients_that_wait() {
    // Its driver's holder frees it only in the last moment, with lws not told yet.
    Scene scene(kPlain);
    scene.cable.on_dial = [&](lws_proton_driver_t *d) {
        return lws_proton_driver_connected(d, ECONNREFUSED), ECONNRESET;
    };
    scene.connect("GET");
    scene.clients.destroy();
    CHECK_EQ(scene.client.errors.size(), 1u);
    CHECK(!scene.client.wsi);
}

void without_a_dialer_proton_connects_again() {
    Scene scene(kPlain);
    TestServer listening;
    listening.start(scene.clients,
                    [](lws_context_creation_info &info) { info.vhost_name = "listening"; });
    scene.cable.cut();
    CHECK(scene.clients.connect(scene.client, listening.port,
                                [](lws_client_connect_info &info) { info.path = "/body/10"; }));
    scene.clients.serve_until("the body", [&] { return scene.client.completed == 1; });
    CHECK(scene.cable.asked.empty());
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_conversation_needs_no_socket),
        E2E_TEST(one_byte_at_a_time_is_the_same),
        E2E_TEST(the_application_decides_what_a_name_means),
        E2E_TEST(http_bodies_arrive_whole),
        E2E_TEST(a_redirect_is_dialed_too),
        E2E_TEST(both_ends_come_to_rest_when_the_client_closes),
        E2E_TEST(a_connection_that_is_lost_is_closed),
        E2E_TEST(a_refusal_is_told_in_words),
        E2E_TEST(a_failure_is_told_in_words_whenever_it_is_known),
        E2E_TEST(a_connection_that_is_given_up_is_told_so),
        E2E_TEST(lws_gives_up_at_its_timeout),
        E2E_TEST(a_context_can_be_destroyed_at_every_stage),
        E2E_TEST(a_destroyed_context_tells_of_clients_that_wait),
        E2E_TEST(without_a_dialer_proton_connects_again),
    };
    return cmocka_run_group_tests_name("driver_client", tests, nullptr, nullptr);
}
