// SPDX-License-Identifier: MIT
//
// The end of a context, or of a vhost, while clients of it are under way: each is destroyed, and a
// program hears of it.
#include "census.hpp"
#include "server.hpp"

#include "unique_fd.hpp"

#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>

namespace {

using namespace lws_test;
using e2e::TcpSocket;

// A port where connections are made, by the kernel, and nobody answers.
class SilentPeer {
public:
    explicit SilentPeer(int backlog) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        CHECK(!bind(fd_.get(), reinterpret_cast<sockaddr *>(&address), size) &&
              !listen(fd_.get(), backlog) &&
              !getsockname(fd_.get(), reinterpret_cast<sockaddr *>(&address), &size));
        port_ = ntohs(address.sin_port);
    }
    int port() const { return port_; }

    // Nor are they made any more.
    void fill() {
        for (int i = 0; i < 4; i++)
            queue_.push_back(std::make_unique<TcpSocket>(port_));
        CHECK_EQ(queue_.front()->await_connected(), 0);
    }

private:
    e2e::UniqueFd fd_;
    int port_;
    std::vector<std::unique_ptr<TcpSocket>> queue_;
};

struct Scene {
    const char *name;
    const char *address;
    bool full;
    const char *method;  // null: WebSocket
    int ssl;
};

constexpr Scene kScenes[] = {
    {"resolving", "no-such-name.invalid", false, "GET", 0},
    {"connecting", "127.0.0.1", true, "GET", 0},
    {"the TLS handshake under way", "127.0.0.1", false, "GET", LCCSCF_USE_SSL},
    {"waiting for an answer", "127.0.0.1", false, "GET", 0},
    {"waiting for the upgrade", "127.0.0.1", false, nullptr, 0},
};

void connect(lws_context *context, const Scene &scene, int port) {
    lws_client_connect_info info = {};
    info.context = context;
    info.address = info.host = info.origin = scene.address;
    info.port = port;
    info.path = "/";
    info.method = scene.method;
    info.local_protocol_name = "echo";
    info.ssl_connection = scene.ssl;
    lws_client_connect_via_info(&info);
}

enum class End { context, context_in_callback, vhost };

// Does both in callbacks of a cancelled service. `turns`: how far they get in between.
void check_destroy_with(const Scene &scene, End end, int threads, int turns) {
    constexpr int kClients = 5;
    SilentPeer peer(scene.full ? 0 : 100);
    if (scene.full)
        peer.fill();
    Census census;
    std::atomic<bool> create{false}, created{false}, destroy{false};
    {
        lws_context_creation_info info = {};
        info.port = CONTEXT_PORT_NO_LISTEN;
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        Server server(
            info,
            [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
                census.note(wsi, reason);
                if (reason != LWS_CALLBACK_EVENT_WAIT_CANCELLED)
                    return 0;
                if (create.exchange(false)) {
                    for (int i = 0; i < kClients; i++)
                        connect(lws_get_context(wsi), scene, peer.port());
                    created = true;
                }
                if (!destroy.exchange(false))
                    return 0;
                if (end == End::vhost)
                    lws_vhost_destroy(lws_get_vhost(wsi));
                else
                    lws_context_destroy(lws_get_context(wsi));
                return 0;
            },
            threads);
        create = true;
        lws_cancel_service(server.context());
        e2e::await("the clients", [&] { return created.load(); });
        if (turns)
            server.run([&] {
                for (int i = 0; i < turns; i++)
                    lws_service_tsi(server.context(), -1, 0);
            });
        // In a service thread: the context lives at least until it goes on.
        if (end != End::context)
            server.run([&] {
                destroy = true;
                lws_cancel_service(server.context());
            });
        if (end == End::context_in_callback)
            server.await_destroyed();
        if (end == End::vhost)
            e2e::await("every client to go", [&] { return census.destroyed() == kClients; });
    }
    CHECK_EQ(census.destroyed(), kClients);
}

void check_all(End end, int threads) {
    for (const Scene &scene : kScenes)
        for (int turns : {0, 1, 5, 20})
            try {
                check_destroy_with(scene, end, threads, turns);
            } catch (const std::exception &error) {
                FAIL(std::string(scene.name) + ", " + std::to_string(turns) +
                     " turns: " + error.what());
            }
}

void a_context_may_be_destroyed_with_clients_under_way() {
    check_all(End::context, 1);
}

void by_a_callback_too() {
    check_all(End::context_in_callback, 1);
}

void by_one_of_several_threads_too() {
    check_all(End::context_in_callback, 3);
}

void a_vhost_may_be_destroyed_with_clients_under_way() {
    check_all(End::vhost, 1);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_context_may_be_destroyed_with_clients_under_way),
        E2E_TEST(by_a_callback_too),
        E2E_TEST(by_one_of_several_threads_too),
        E2E_TEST(a_vhost_may_be_destroyed_with_clients_under_way),
    };
    return cmocka_run_group_tests_name("destroy_clients", tests, nullptr, nullptr);
}
