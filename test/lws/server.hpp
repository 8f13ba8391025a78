// SPDX-License-Identifier: MIT
//
// An lws context on Proton in the test's own process, served by threads of its own.
#pragma once

#include "lws_log.hpp"

#include <lws_proton.h>

#include "check.hpp"
#include "tcp_socket.hpp"
#include "test_main.hpp"
#include "waiting.hpp"

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lws_test {

// What a test does in lws's callbacks: it is asked first, and what it returns is what lws is told.
// What it leaves at 0 is then answered as below.
using Callback = std::function<int(lws *, lws_callback_reasons, void *in, size_t len)>;

// A request gets the vhost's name for an answer, a WebSocket message comes back.
inline int answer_http(lws *wsi) {
    const std::string name = lws_get_vhost_name(lws_get_vhost(wsi));
    unsigned char buffer[LWS_PRE + 1024], *start = buffer + LWS_PRE, *at = start,
                                          *end = buffer + sizeof(buffer);
    if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/plain", name.size(), &at, end) ||
        lws_finalize_write_http_header(wsi, start, &at, end))
        return 1;
    memcpy(start, name.data(), name.size());
    if (lws_write(wsi, start, name.size(), LWS_WRITE_HTTP_FINAL) < 0)
        return 1;
    return lws_http_transaction_completed(wsi);
}

// Messages of this size at most.
constexpr size_t kMostEchoed = 1024;

inline int echo(lws *wsi, const void *in, size_t len) {
    unsigned char buffer[LWS_PRE + kMostEchoed];
    memcpy(buffer + LWS_PRE, in, len);
    return lws_write(wsi, buffer + LWS_PRE, len, LWS_WRITE_TEXT) < 0;
}

inline int serve(lws *wsi, lws_callback_reasons reason, void *, void *in, size_t len) {
    const auto *callback = static_cast<Callback *>(lws_context_user(lws_get_context(wsi)));
    if (callback && *callback)
        if (const int result = (*callback)(wsi, reason, in, len))
            return result;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) ? 0 : answer_http(wsi);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return answer_http(wsi);
    case LWS_CALLBACK_RECEIVE:
        return echo(wsi, in, len);
    default:
        return 0;
    }
}

inline const lws_protocols kProtocols[] = {
    {"http", serve, 0, 0, 0, nullptr, 0},
    {"echo", serve, 0, kMostEchoed, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

// A context, by default on a port of its own, served until it goes.
class Server {
public:
    explicit Server(lws_context_creation_info info = {}, Callback callback = {}, int threads = 1)
        : callback_(std::move(callback)) {
        log_to_string();
        info.options |= LWS_SERVER_OPTION_PROTON;
        if (!info.protocols)
            info.protocols = kProtocols;
        info.user = &callback_;
        info.count_threads = static_cast<unsigned>(threads);
        context_ = lws_create_context(&info);
        if (!context_)
            FAIL("no context: " + lws_logged);
        for (int tsi = 0; tsi < threads; tsi++)
            threads_.emplace_back([this, tsi] { serve(tsi); });
        // A context that is destroyed in a callback waits for the threads that it knows.
        e2e::await("every service thread", [&] { return serving_ == threads; });
    }
    ~Server() { stop(); }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

    lws_context *context() const { return context_; }
    lws_vhost *vhost(const char *name = "default") const {
        return lws_get_vhost_by_name(context_, name);
    }
    int port() const { return lws_get_vhost_listen_port(vhost()); }

    // In the thread that serves pt 0, between two services; waits for it, and throws what it threw.
    void run(const std::function<void()> &action) {
        std::exception_ptr thrown;
        std::atomic<bool> done{false};
        {
            std::lock_guard<std::mutex> lock(mutex_);
            actions_.push_back([&] {
                try {
                    action();
                } catch (...) {
                    thrown = std::current_exception();
                }
                done = true;
            });
            // Under the lock: the action may end the context.
            lws_cancel_service(context_);
        }
        e2e::await("the service thread", [&] { return done.load(); });
        if (thrown)
            std::rethrow_exception(thrown);
    }

    lws_proton_stats_t stats() const { return lws_proton_loop_stats(lws_proton_loop_of(context_)); }
    void await_connections(size_t n) const {
        e2e::await("so many connections", [&] { return stats().connections >= n; });
    }
    void await_no_connections() const {
        e2e::await("every connection to go", [&] { return stats().connections == 0; });
    }

    // Every service thread was told that the context is gone.
    void await_destroyed() {
        e2e::await("the context to be destroyed", [&] { return serving_ == 0; });
        CHECK(destroyed_);
    }

    void stop() {
        if (!context_)
            return;
        stop_ = true;
        if (!destroyed_)
            lws_cancel_service(context_);
        for (std::thread &thread : threads_)
            thread.join();
        if (!destroyed_)
            lws_context_destroy(context_);
        context_ = nullptr;
    }

private:
    void serve(int tsi) {
        lws_service_tsi(context_, -1, tsi);
        serving_++;
        while (!stop_) {
            std::vector<std::function<void()>> actions;
            if (tsi == 0) {
                std::lock_guard<std::mutex> lock(mutex_);
                actions.swap(actions_);
            }
            for (const auto &action : actions)
                action();
            if (lws_service_tsi(context_, 0, tsi) < 0) {
                destroyed_ = true;
                break;
            }
        }
        serving_--;
    }

    Callback callback_;
    lws_context *context_;
    std::atomic<bool> stop_{false}, destroyed_{false};
    std::atomic<int> serving_{0};
    std::mutex mutex_;
    std::vector<std::function<void()>> actions_;
    std::vector<std::thread> threads_;
};

inline lws_context_creation_info explicit_vhosts() {
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    return info;
}

// A GET that is to be the connection's last.
inline void ask(e2e::TcpSocket &client, const std::string &host = "localhost") {
    client.send_all("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
}

inline std::string body(const std::string &answer) {
    const size_t end = answer.find("\r\n\r\n");
    if (answer.compare(0, 12, "HTTP/1.1 200") != 0 || end == std::string::npos)
        FAIL("not an answer: " + answer);
    return answer.substr(end + 4);
}

inline std::string get(e2e::TcpSocket &client, const std::string &host = "localhost") {
    ask(client, host);
    return body(client.receive_to_end());
}

}  // namespace lws_test
