// SPDX-License-Identifier: MIT
//
// Clients over TLS: whom they trust, who trusts them, what is agreed on, and what is resumed.
#include "certificates.hpp"
#include "client_context.hpp"
#include "test_main.hpp"
#include "test_server.hpp"

#include <openssl/ssl.h>

#include <deque>

using namespace e2e;
using namespace lws_test;

namespace {

const struct {
    const char *name;
    const char *method;
    const char *protocol;
} kKinds[] = {
    {"https", "GET", nullptr},
    {"wss", nullptr, "echo"},
    {"raw", "RAW", nullptr},
};

struct Setup {
    std::string authority = certificates().authority();  // whom the clients trust
    std::string client;                                  // their own certificate, if any
    std::string server = "localhost";
    uint64_t client_options = 0;
    uint64_t server_options = 0;
    const char *server_alpn = nullptr;
    long without = 0;  // SSL_OP_NO_..., of the server's
};

struct Scene {
    const Setup setup;
    std::string client_certificate, client_key;
    TestServer server;
    std::deque<Client> clients;
    Context context;

    explicit Scene(const Setup &s)
        : setup(s), context([this](lws_context_creation_info &info) {
              // What OpenSSL and lws keep of these they copy.
              info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | setup.client_options;
              info.client_ssl_ca_filepath = setup.authority.c_str();
              if (!setup.client.empty()) {
                  client_certificate = certificates().certificate(setup.client);
                  client_key = certificates().key(setup.client);
                  info.client_ssl_cert_filepath = client_certificate.c_str();
                  info.client_ssl_private_key_filepath = client_key.c_str();
              }
          }) {
        start(server, setup.server);
    }

    void start(TestServer &one, const std::string &name, int port = 0) {
        const std::string certificate = certificates().certificate(name);
        const std::string key = certificates().key(name);
        const std::string authority = certificates().authority();
        one.start(context, [&](lws_context_creation_info &info) {
            info.port = port;
            info.vhost_name = name.c_str();
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | setup.server_options;
            info.ssl_cert_filepath = certificate.c_str();
            info.ssl_private_key_filepath = key.c_str();
            // It is sent too, so only where clients are to be verified.
            if (setup.server_options & LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT)
                info.ssl_ca_filepath = authority.c_str();
            info.ssl_options_set = setup.without;
            info.alpn = setup.server_alpn;
        });
    }

    Client &connect(const char *method = "GET", const char *protocol = nullptr, int flags = 0,
                    const Context::Connecting &change = {}) {
        Client &client = clients.emplace_back();
        CHECK(context.connect(client, server.port, [&](lws_client_connect_info &info) {
            info.method = method;
            info.protocol = protocol;
            info.path = "/body/10";
            info.host = "localhost";
            info.ssl_connection = LCCSCF_USE_SSL | flags;
            if (change)
                change(info);
        }));
        return client;
    }
    void await(const Client &client) {
        context.serve_until("an outcome", [&] { return client.established || client.ended(); });
    }
    void await_answer(const Client &client) {
        context.serve_until("an answer", [&] { return client.completed || client.ended(); });
        if (!client.completed)
            FAIL("no answer: " + client.error());
    }
};

void check_refused(const Client &client, const std::string &cause) {
    CHECK_EQ(client.errors.size(), 1u);
    CHECK_EQ(client.established, 0);
    CHECK_EQ(client.closed, 0);
    if (client.error().find(cause) == std::string::npos)
        FAIL("\"" + client.error() + "\" does not say " + cause);
}

void a_server_that_the_authority_signed_is_trusted() {
    for (const auto &kind : kKinds)
        for (const char *name : {"localhost", "127.0.0.1"}) {
            Scene scene{Setup()};
            const Client &client =
                scene.connect(kind.method, kind.protocol, 0,
                              [&](lws_client_connect_info &info) { info.host = name; });
            scene.await(client);
            CHECK_EQ(client.error(), "");
            CHECK_EQ(client.established, 1);
        }
}

const struct {
    const char *server;
    bool trusted;  // the authority, by the client
    const char *cause;
    int allowed_by;
} kFaults[] = {
    {"localhost", false, "unable to get local issuer cert", LCCSCF_ALLOW_INSECURE},
    {"self", true, "self-signed certificate", LCCSCF_ALLOW_SELFSIGNED},
    {"expired", true, "certificate has expired", LCCSCF_ALLOW_EXPIRED},
    {"other.example", true, "ostname mismatch", LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK},
};

constexpr int kAllowAll = LCCSCF_ALLOW_INSECURE | LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_EXPIRED |
                          LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;

template <typename Fault>
Setup setup_of(const Fault &fault) {
    Setup setup;
    setup.server = fault.server;
    // Anything that has not signed it.
    if (!fault.trusted)
        setup.authority = certificates().certificate("self");
    return setup;
}

void what_is_wrong_with_a_certificate_is_named() {
    for (const auto &fault : kFaults)
        for (const auto &kind : kKinds) {
            Scene scene(setup_of(fault));
            const Client &client = scene.connect(kind.method, kind.protocol);
            scene.await(client);
            check_refused(client, fault.cause);
            CHECK_EQ(scene.server.requests, 0);
        }
}

void a_flag_allows_one_fault_and_no_other() {
    for (const auto &fault : kFaults)
        for (const auto &kind : kKinds) {
            Scene scene(setup_of(fault));
            const Client &strict =
                scene.connect(kind.method, kind.protocol, kAllowAll & ~fault.allowed_by);
            scene.await(strict);
            check_refused(strict, fault.cause);
            const Client &client = scene.connect(kind.method, kind.protocol, fault.allowed_by);
            scene.await(client);
            CHECK_EQ(client.error(), "");
            CHECK_EQ(client.established, 1);
        }
}

void the_protocol_is_agreed_on() {
    const struct {
        const char *client, *server;
        bool http2;
    } kCases[] = {
        {nullptr, nullptr, false},   {"http/1.1", nullptr, false},
        {"h2", nullptr, true},       {"h2,http/1.1", nullptr, true},
        {"h2", "http/1.1", false},   {"h2,http/1.1", "http/1.1", false},
        {"h2,http/1.1", "h2", true},
    };
    for (const auto &c : kCases) {
        Setup setup;
        setup.server_alpn = c.server;
        Scene scene(setup);
        const Client &client = scene.connect(
            "GET", nullptr, 0, [&](lws_client_connect_info &info) { info.alpn = c.client; });
        scene.await_answer(client);
        CHECK_EQ(client.status, 200);
        CHECK_EQ(client.received.size(), 10u);
        CHECK_EQ(scene.server.requests, 1);
        CHECK_EQ(scene.server.http2, c.http2);
    }
}

void the_name_asked_for_selects_the_certificate() {
    Scene scene{Setup()};
    TestServer other;
    scene.start(other, "other.example", scene.server.port);
    for (const std::string name : {"localhost", "other.example"}) {
        std::string shown;
        Client &client = scene.clients.emplace_back();
        client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            union lws_tls_cert_info_results result;
            if (reason == LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP &&
                !lws_tls_peer_cert_info(wsi, LWS_TLS_CERT_INFO_COMMON_NAME, &result,
                                        sizeof(result.ns.name)))
                shown = result.ns.name;
            return 0;
        };
        CHECK(scene.context.connect(client, scene.server.port, [&](lws_client_connect_info &info) {
            info.path = "/body/10";
            info.host = name.c_str();
            info.ssl_connection = LCCSCF_USE_SSL;
        }));
        scene.await_answer(client);
        CHECK_EQ(shown, name);
    }
    CHECK_EQ(scene.server.requests, 1);
    CHECK_EQ(other.requests, 1);

    // A name that no vhost has is served by the one that listens.
    const Client &unknown = scene.connect(
        "GET", nullptr, 0, [](lws_client_connect_info &info) { info.host = "unknown.example"; });
    scene.await(unknown);
    check_refused(unknown, "ostname mismatch");
}

constexpr long kVersions[] = {SSL_OP_NO_TLSv1_3, SSL_OP_NO_TLSv1_2};

Setup setup_for_known_clients(long version) {
    Setup setup;
    setup.server_options = LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
    setup.without = version;
    return setup;
}

void a_client_shows_its_certificate() {
    for (const long without : kVersions)
        for (const auto &kind : {kKinds[0], kKinds[1]}) {
            Setup setup = setup_for_known_clients(without);
            setup.client = "client";
            Scene scene(setup);
            const Client &client = scene.connect(kind.method, kind.protocol);
            scene.await(client);
            CHECK_EQ(client.error(), "");
            CHECK_EQ(scene.server.client, "client");
        }
}

void a_client_without_a_certificate_is_refused() {
    for (const long without : kVersions)
        for (const auto &kind : {kKinds[0], kKinds[1]}) {
            Scene scene(setup_for_known_clients(without));
            const Client &client = scene.connect(kind.method, kind.protocol);
            scene.await(client);
            CHECK_EQ(scene.server.requests, 0);
            // TLS 1.2 has no alert of its own for it.
            check_refused(client, without == SSL_OP_NO_TLSv1_3 ? "handshake failure"
                                                               : "certificate required");
        }
}

void a_client_with_a_certificate_of_its_own_making_is_refused() {
    for (const long without : kVersions)
        for (const auto &kind : {kKinds[0], kKinds[1]}) {
            Setup setup = setup_for_known_clients(without);
            setup.client = "self";
            Scene scene(setup);
            const Client &client = scene.connect(kind.method, kind.protocol);
            scene.await(client);
            CHECK_EQ(scene.server.requests, 0);
            check_refused(client, "unknown ca");
        }
}

// Whether a client's session was an earlier one, for some clients one after the other.
std::vector<bool> resumed(Scene &scene, int count, const Context::Connecting &change = {}) {
    std::vector<bool> reused;
    for (int i = 0; i < count; i++) {
        Client &client = scene.clients.emplace_back();
        client.on = [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP)
                reused.push_back(lws_tls_session_is_reused(wsi));
            return 0;
        };
        CHECK(scene.context.connect(client, scene.server.port, [&](lws_client_connect_info &info) {
            info.path = "/body/100000";
            info.host = "localhost";
            info.ssl_connection = LCCSCF_USE_SSL;
            if (change)
                change(info);
        }));
        scene.await_answer(client);
        CHECK_EQ(client.received.size(), 100000u);
    }
    return reused;
}

void a_session_is_resumed() {
    for (const long without : kVersions)
        for (const char *alpn : {"http/1.1", "h2"}) {
            Setup setup;
            setup.without = without;
            Scene scene(setup);
            CHECK(resumed(scene, 3, [=](lws_client_connect_info &info) { info.alpn = alpn; }) ==
                  std::vector<bool>({false, true, true}));
        }
}

void a_session_is_not_resumed_with_another_host() {
    Scene scene{Setup()};
    CHECK(resumed(scene, 1) == std::vector<bool>{false});
    CHECK(resumed(scene, 1, [](lws_client_connect_info &info) { info.host = "127.0.0.1"; }) ==
          std::vector<bool>{false});
}

// Resumed, it would not be checked again.
void a_session_of_a_server_that_was_let_pass_is_not_for_others() {
    Setup setup;
    setup.server = "self";
    Scene scene(setup);
    const Context::Connecting let_pass = [](lws_client_connect_info &info) {
        info.ssl_connection |= LCCSCF_ALLOW_SELFSIGNED;
    };
    CHECK(resumed(scene, 2, let_pass) == std::vector<bool>({false, true}));
    const Client &strict = scene.connect();
    scene.await(strict);
    check_refused(strict, "self-signed certificate");
}

void a_vhost_may_keep_no_sessions() {
    Setup setup;
    setup.client_options = LWS_SERVER_OPTION_DISABLE_TLS_SESSION_CACHE;
    Scene scene(setup);
    CHECK(resumed(scene, 2) == std::vector<bool>({false, false}));
}

void as_many_sessions_are_kept_as_lws_says() {
    // Ten, the oldest goes first.
    Scene scene{Setup()};
    const auto once = [&](const std::string &host) {
        return resumed(scene, 1, [&](lws_client_connect_info &info) {
            info.host = host.c_str();
            info.ssl_connection |= LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
        });
    };
    for (int i = 0; i < 11; i++)
        CHECK(once("host" + std::to_string(i)) == std::vector<bool>{false});
    CHECK(once("host10") == std::vector<bool>{true});
    CHECK(once("host0") == std::vector<bool>{false});
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_server_that_the_authority_signed_is_trusted),
        E2E_TEST(what_is_wrong_with_a_certificate_is_named),
        E2E_TEST(a_flag_allows_one_fault_and_no_other),
        E2E_TEST(the_protocol_is_agreed_on),
        E2E_TEST(the_name_asked_for_selects_the_certificate),
        E2E_TEST(a_client_shows_its_certificate),
        E2E_TEST(a_client_without_a_certificate_is_refused),
        E2E_TEST(a_client_with_a_certificate_of_its_own_making_is_refused),
        E2E_TEST(a_session_is_resumed),
        E2E_TEST(a_session_is_not_resumed_with_another_host),
        E2E_TEST(a_session_of_a_server_that_was_let_pass_is_not_for_others),
        E2E_TEST(a_vhost_may_keep_no_sessions),
        E2E_TEST(as_many_sessions_are_kept_as_lws_says),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
