// SPDX-License-Identifier: MIT
//
// What reaches the connections of every service thread, from any of them, while connections come
// and go.
#include "server.hpp"

#include "ws_client.hpp"

#include <algorithm>
#include <memory>
#include <set>

namespace {

using namespace lws_test;
using e2e::Opcode;
using e2e::WsClient;
using e2e::WsClients;

constexpr int kThreads = 4;

const lws_protocols *echo_of(lws *wsi) {
    return lws_vhost_name_to_protocol(lws_get_vhost_by_name(lws_get_context(wsi), "default"),
                                      "echo");
}

// As a program shares what is new: whoever receives "all" asks for all, and each connection says in
// its WRITEABLE which round it has heard of.
class Rounds {
public:
    explicit Rounds(bool of_vhost) : of_vhost_(of_vhost) {}

    int operator()(lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
        switch (reason) {
        case LWS_CALLBACK_ESTABLISHED: {
            std::lock_guard<std::mutex> lock(mutex_);
            pts_.insert(lws_get_tsi(wsi));
            return 0;
        }
        case LWS_CALLBACK_RECEIVE:
            if (std::string(static_cast<char *>(in), len) != "all")
                return 0;
            round_++;
            if (of_vhost_)
                lws_callback_on_writable_all_protocol_vhost(
                    lws_get_vhost_by_name(lws_get_context(wsi), "default"), echo_of(wsi));
            else
                lws_callback_on_writable_all_protocol(lws_get_context(wsi), echo_of(wsi));
            return 0;
        case LWS_CALLBACK_SERVER_WRITEABLE: {
            const std::string text = std::to_string(round_);
            return echo(wsi, text.data(), text.size());
        }
        default:
            return 0;
        }
    }
    // Of the connections there have been.
    size_t pts() {
        std::lock_guard<std::mutex> lock(mutex_);
        return pts_.size();
    }

private:
    const bool of_vhost_;
    std::atomic<int> round_{0};
    std::mutex mutex_;
    std::set<int> pts_;
};

// Connections that come and go until the test has seen enough.
class Traffic {
public:
    Traffic(int port, int threads) {
        for (int n = 0; n < threads; n++)
            threads_.emplace_back([this, port] { run(port); });
    }
    ~Traffic() {
        stop_ = true;
        for (std::thread &thread : threads_)
            if (thread.joinable())
                thread.join();
    }
    void stop() {
        stop_ = true;
        for (std::thread &thread : threads_)
            thread.join();
        CHECK_EQ(failed_, "");
        CHECK(connections_ > 0);
    }

private:
    void run(int port) {
        try {
            for (int n = 0; !stop_; n++) {
                WsClient client(port, "echo");
                client.await_open();
                connections_++;
                if (n % 2)
                    client.socket().reset();
            }
        } catch (const std::exception &error) {
            std::lock_guard<std::mutex> lock(mutex_);
            failed_ = error.what();
        }
    }

    std::atomic<bool> stop_{false};
    std::atomic<int> connections_{0};
    std::mutex mutex_;
    std::string failed_;
    std::vector<std::thread> threads_;
};

WsClients open_clients(int port, size_t count) {
    WsClients clients;
    for (size_t i = 0; i < count; i++) {
        clients.push_back(std::make_unique<WsClient>(port, "echo"));
        clients.back()->await_open();
    }
    return clients;
}

// The round that each has heard of, from what it was sent.
bool have_heard_of(int round, const WsClients &clients, std::vector<int> &heard) {
    for (size_t i = 0; i < clients.size(); i++) {
        for (const e2e::WsFrame &frame : clients[i]->frames())
            if (frame.payload != "all")
                heard[i] = std::max(heard[i], std::stoi(frame.payload));
        clients[i]->frames().clear();
    }
    return std::all_of(heard.begin(), heard.end(), [&](int n) { return n >= round; });
}

void check_all_are_asked(bool of_vhost) {
    constexpr int kRounds = 100;
    Rounds rounds(of_vhost);
    Server server(
        {},
        [&](lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
            return rounds(wsi, reason, in, len);
        },
        kThreads);
    const WsClients clients = open_clients(server.port(), 24);
    CHECK_EQ(rounds.pts(), static_cast<size_t>(kThreads));
    std::vector<int> heard(clients.size());
    Traffic traffic(server.port(), 3);
    for (int round = 1; round <= kRounds; round++) {
        clients[static_cast<size_t>(round) % clients.size()]->queue_frame(Opcode::text, "all");
        e2e::drive(clients, "all connections to be asked to write",
                   [&] { return have_heard_of(round, clients, heard); });
    }
    traffic.stop();
}

void all_of_a_protocol_may_be_asked_to_write() {
    check_all_are_asked(false);
}

void all_of_a_vhost_may_be_asked_to_write() {
    check_all_are_asked(true);
}

void each_cancelled_service_is_told_to_every_pt() {
    constexpr int kCancellers = 6, kTimes = 100;
    std::atomic<unsigned> told[kThreads] = {};
    Server server(
        {},
        [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED)
                told[lws_get_tsi(wsi)]++;
            return 0;
        },
        kThreads);
    Traffic traffic(server.port(), 1);
    std::vector<std::thread> cancellers;
    std::atomic<int> failed{0};
    for (int n = 0; n < kCancellers; n++)
        cancellers.emplace_back([&] {
            for (int i = 0; i < kTimes && !failed; i++) {
                unsigned before[kThreads];
                std::copy(std::begin(told), std::end(told), before);
                lws_cancel_service(server.context());
                for (int tsi = 0; tsi < kThreads; tsi++)
                    failed += !e2e::comes_to_hold([&] { return told[tsi] != before[tsi]; },
                                                  e2e::Deadline());
            }
        });
    for (std::thread &canceller : cancellers)
        canceller.join();
    CHECK_EQ(failed, 0);
    traffic.stop();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(all_of_a_protocol_may_be_asked_to_write),
        E2E_TEST(all_of_a_vhost_may_be_asked_to_write),
        E2E_TEST(each_cancelled_service_is_told_to_every_pt),
    };
    return cmocka_run_group_tests_name("across_threads", tests, nullptr, nullptr);
}
