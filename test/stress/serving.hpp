// SPDX-License-Identifier: MIT
//
// Who serves a context. Another way to do it would have the same members, and be chosen in Host.
#pragma once

#include "waiting.hpp"

#include <libwebsockets.h>

#include <atomic>
#include <thread>
#include <vector>

namespace stress {

// lws's own service threads: each calls lws_service_tsi() until it is told to stop, or that a
// callback has destroyed the context.
class ServiceThreads {
public:
    static void prepare(lws_context_creation_info &info, int threads) {
        info.count_threads = static_cast<unsigned>(threads);
    }

    ServiceThreads(lws_context *context, int threads) : context_(context) {
        for (int tsi = 0; tsi < threads; tsi++)
            threads_.emplace_back([this, tsi] { serve(tsi); });
        // A context that is destroyed in a callback waits for the threads that it knows.
        e2e::await("every service thread", [&] { return serving_ == threads; });
    }
    ~ServiceThreads() { stop(); }
    ServiceThreads(const ServiceThreads &) = delete;
    ServiceThreads &operator=(const ServiceThreads &) = delete;

    // Nobody serves any more. The context is the caller's to destroy, unless a callback did.
    void stop() {
        if (threads_.empty())
            return;
        stop_ = true;
        lws_cancel_service(context_);
        await_end();
    }
    // The same, once a callback has destroyed the context.
    void await_end() {
        for (std::thread &thread : threads_)
            thread.join();
        threads_.clear();
    }

private:
    void serve(int tsi) {
        lws_service_tsi(context_, -1, tsi);
        serving_++;
        while (!stop_ && lws_service_tsi(context_, 0, tsi) >= 0) {
        }
    }

    lws_context *const context_;
    std::atomic<bool> stop_{false};
    std::atomic<int> serving_{0};
    std::vector<std::thread> threads_;
};

}  // namespace stress
