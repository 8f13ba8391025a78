// SPDX-License-Identifier: MIT
//
// Who serves a context: its own service threads, or those of an application.
#pragma once

#include "waiting.hpp"

#include <libwebsockets.h>
#include <lws_proton.h>

#include <proton/event.h>
#include <proton/proactor.h>

#include <atomic>
#include <thread>
#include <vector>

namespace stress {

class Serving {
public:
    Serving() = default;
    virtual ~Serving() = default;
    Serving(const Serving &) = delete;
    Serving &operator=(const Serving &) = delete;

    virtual void prepare(lws_context_creation_info &info) = 0;
    virtual void begin(lws_context *context) = 0;
    // Before the context is destroyed from outside.
    virtual void stop() = 0;
    // A callback has asked for its destruction: returns when no callback will be called any more.
    virtual void await_end() = 0;
};

// Each calls lws_service_tsi() until it is told to stop, or that a callback has destroyed the
// context.
class ServiceThreads final : public Serving {
public:
    explicit ServiceThreads(int count) : count_(count) {}
    ~ServiceThreads() override { stop(); }

    void prepare(lws_context_creation_info &info) override {
        info.count_threads = static_cast<unsigned>(count_);
    }

    void begin(lws_context *context) override {
        context_ = context;
        for (int tsi = 0; tsi < count_; tsi++)
            threads_.emplace_back([this, tsi] { serve(tsi); });
        // A context that is destroyed in a callback waits for the threads that it knows.
        e2e::await("every service thread", [&] { return serving_ == count_; });
    }

    void stop() override {
        if (threads_.empty())
            return;
        stop_ = true;
        lws_cancel_service(context_);
        await_end();
    }

    void await_end() override {
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

    const int count_;
    lws_context *context_ = nullptr;
    std::atomic<bool> stop_{false};
    std::atomic<int> serving_{0};
    std::vector<std::thread> threads_;
};

// They wait on the application's proactor, before the context is and after it is gone.
class ApplicationThreads final : public Serving {
public:
    explicit ApplicationThreads(int count) : proactor_(pn_proactor()) {
        for (int n = 0; n < count; n++)
            threads_.emplace_back([this] { serve(); });
    }
    ~ApplicationThreads() override {
        // What its peers had not read.
        e2e::await("Proton to let go of everything", [&] { return !lws_proton_held(proactor_); });
        stop_ = true;
        pn_proactor_interrupt(proactor_);
        for (std::thread &thread : threads_)
            thread.join();
        while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
            serve(batch);
        pn_proactor_free(proactor_);
    }

    void prepare(lws_context_creation_info &info) override {
        loops_[0] = proactor_;
        info.foreign_loops = loops_;
        info.count_threads = static_cast<unsigned>(threads_.size());
    }
    void begin(lws_context *context) override { context_ = context; }
    // It is destroyed under them.
    void stop() override {}
    void await_end() override {
        e2e::await("the context to go", [&] { return !lws_proton_loop_of(context_); });
    }

private:
    void serve() {
        while (!stop_)
            serve(pn_proactor_wait(proactor_));
        // Another thread polls now.
        while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
            serve(batch);
        // One interrupt reaches one thread.
        pn_proactor_interrupt(proactor_);
    }

    void serve(pn_event_batch_t *batch) {
        while (pn_event_t *event = pn_event_batch_next(batch))
            lws_proton_handle(batch, event);
        pn_proactor_done(proactor_, batch);
    }

    pn_proactor_t *const proactor_;
    lws_context *context_ = nullptr;
    void *loops_[1] = {};
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

}  // namespace stress
