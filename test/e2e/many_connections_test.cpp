// Thousands of WebSocket connections at once, and what is left when they are gone.
#include "check.hpp"
#include "live_heap.hpp"
#include "memory_bounds.hpp"
#include "mirror_room.hpp"
#include "own_process.hpp"
#include "server_process.hpp"
#include "test_main.hpp"
#include "ws_client.hpp"

#include <algorithm>
#include <cstdio>

using namespace e2e;

namespace {

constexpr size_t kConnections = kSanitized ? 500 : 2000;
constexpr size_t kHandshakesAtOnce = 200;  // within any listen backlog

// So many clients also send a mirror message, which goes to all. (Fewer than bring on flow
// control.)
constexpr size_t kMessages = 20;

bool all_open(const WsClients &clients) {
    return std::all_of(clients.begin(), clients.end(), [](const auto &client) {
        CHECK(client->state() != WsClient::State::ended);
        return client->state() == WsClient::State::open;
    });
}

bool all_have_frames(const WsClients &clients, size_t count) {
    return std::all_of(clients.begin(), clients.end(), [&](const auto &client) {
        CHECK(client->state() == WsClient::State::open);
        return client->frames().size() >= count;
    });
}

void open_all(WsClients *clients, int port, size_t count) {
    while (clients->size() < count) {
        for (size_t i = 0; i < kHandshakesAtOnce && clients->size() < count; ++i)
            clients->push_back(std::make_unique<WsClient>(port, "lws-mirror-protocol"));
        drive(*clients, "the handshakes", [&] { return all_open(*clients); });
    }
}

// Every connection carries bytes of its own both ways: a ping, and the pong with its payload.
void ping_all(const WsClients &clients) {
    for (size_t i = 0; i < clients.size(); ++i)
        clients[i]->queue_frame(Opcode::ping, "ping " + std::to_string(i));
    drive(clients, "every pong", [&] { return all_have_frames(clients, 1); });
    for (size_t i = 0; i < clients.size(); ++i) {
        CHECK_EQ(clients[i]->frames().size(), 1u);
        CHECK(clients[i]->frames()[0].opcode == Opcode::pong);
        CHECK_EQ(clients[i]->frames()[0].payload, "ping " + std::to_string(i));
        clients[i]->frames().clear();
    }
}

// Some send a message, and all get all of them, in the same order. (With threads the mirror could
// still be busy with it when the first client goes: see mirror_room.hpp.)
void mirror_to_all(const WsClients &clients) {
    for (size_t i = 0; i < kMessages; ++i)
        clients[i * clients.size() / kMessages]->queue_frame(Opcode::text,
                                                             "message " + std::to_string(i));
    drive(clients, "every message for everyone",
          [&] { return all_have_frames(clients, kMessages); });
    std::vector<std::string> order;
    for (const WsFrame &frame : clients[0]->frames())
        order.push_back(frame.payload);
    std::vector<std::string> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::unique(sorted.begin(), sorted.end()) == sorted.end());
    for (const auto &client : clients) {
        CHECK_EQ(client->frames().size(), kMessages);
        for (size_t i = 0; i < kMessages; ++i)
            CHECK_EQ(client->frames()[i].payload, order[i]);
        client->frames().clear();
    }
}

// A third says goodbye properly, a third just closes, a third resets.
void close_all(WsClients *clients) {
    for (size_t i = 0; i < clients->size(); i += 3)
        (*clients)[i]->queue_frame(Opcode::close, close_payload(1000));
    drive(*clients, "every close to be answered", [&] {
        for (size_t i = 0; i < clients->size(); i += 3)
            if ((*clients)[i]->state() != WsClient::State::ended)
                return false;
        return true;
    });
    for (size_t i = 2; i < clients->size(); i += 3)
        (*clients)[i]->socket().reset();
    clients->clear();
}

void thousands_come_talk_and_go() {
    constexpr size_t kMostInUseKib = kConnections * kIdleConnectionKib + kProcessSlackKib;
    // More than what is kept once for all, which depends on how connections fell to threads.
    constexpr size_t kLeastLeak = 64;
    constexpr size_t kCycles = 2, kSmallCycles = 20, kSmall = kConnections / 10;

    raise_descriptor_limit(kConnections + 200);
    LiveHeap heap;
    ServerProcess server;
    const size_t descriptors = server.fd_count();
    const size_t rss_at_start = server.rss_kib();
    // Returns what is in use while all are there.
    const auto cycle = [&](size_t connections) {
        WsClients clients;
        open_all(&clients, server.port(), connections);
        CHECK_GE(server.fd_count(), descriptors + connections);
        ping_all(clients);
        if (MirrorRoom::may_use_flow_control())
            mirror_to_all(clients);
        const size_t in_use = server.rss_kib();
        close_all(&clients);
        await("every descriptor to go", [&] { return server.fd_count() <= descriptors; });
        return in_use;
    };

    const size_t in_use = cycle(kConnections);
    printf("             RSS in KiB: %zu at the start, %zu with %zu connections\n", rss_at_start,
           in_use, kConnections);
    if (!kSanitized)
        CHECK_LE(in_use, rss_at_start + kMostInUseKib);

    const size_t kept = heap.bytes();
    const auto check_that_nothing_is_left = [&](size_t cycles, size_t connections) {
        for (size_t i = 0; i < cycles; ++i)
            cycle(connections);
        printf("             in the heap: %zu bytes, %zu times %zu connections later %zu\n", kept,
               cycles, connections, heap.bytes());
        await("nothing to be left",
              [&] { return heap.bytes() <= kept + cycles * connections * kLeastLeak; });
    };
    check_that_nothing_is_left(kCycles, kConnections);
    check_that_nothing_is_left(kSmallCycles, kSmall);
    server.stop();
}

void it_stops_cleanly_with_thousands_open() {
    raise_descriptor_limit(kConnections + 200);
    ServerProcess server;
    WsClients clients;
    open_all(&clients, server.port(), kConnections);
    server.stop();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(thousands_come_talk_and_go),
        E2E_TEST(it_stops_cleanly_with_thousands_open),
    };
    return cmocka_run_group_tests_name("many_connections", tests, nullptr, nullptr);
}
