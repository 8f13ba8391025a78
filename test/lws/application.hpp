// SPDX-License-Identifier: MIT
//
// A Proton application in the test's own process: its own proactor, served by its own threads,
// which show lws each event first.
#pragma once

#include <lws_proton.h>

#include <proton/event.h>
#include <proton/proactor.h>

#include "check.hpp"
#include "waiting.hpp"

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace lws_test {

class Application {
public:
    using Handler = std::function<void(pn_event_batch_t *, pn_event_t *)>;

    explicit Application(int threads = 1, Handler handler = {})
        : proactor_(pn_proactor()), handler_(std::move(handler)) {
        for (int i = 0; i < threads; i++)
            threads_.emplace_back([this] { serve(); });
    }
    ~Application() {
        stop_ = true;
        pn_proactor_interrupt(proactor_);
        for (std::thread &thread : threads_)
            thread.join();
        // What lws's contexts left unsent.
        while (lws_proton_held(proactor_))
            serve(pn_proactor_wait(proactor_));
        while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
            serve(batch);
        pn_proactor_free(proactor_);
    }
    Application(const Application &) = delete;
    Application &operator=(const Application &) = delete;

    pn_proactor_t *proactor() const { return proactor_; }

    // Each of the application's own events, as often as the threads were given them.
    std::atomic<int> timeouts{0}, interrupts{0}, others{0};

    void await_nothing_held() const {
        e2e::await("Proton to let go of everything", [&] { return !lws_proton_held(proactor_); });
    }

private:
    void serve() {
        while (!stop_)
            serve(pn_proactor_wait(proactor_));
        // Another thread polls now.
        while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
            serve(batch);
        // The one interrupt is for all threads.
        pn_proactor_interrupt(proactor_);
    }

    void serve(pn_event_batch_t *batch) {
        while (pn_event_t *event = pn_event_batch_next(batch))
            if (!lws_proton_handle(batch, event))
                own(batch, event);
        pn_proactor_done(proactor_, batch);
    }

    void own(pn_event_batch_t *batch, pn_event_t *event) {
        switch (pn_event_type(event)) {
        case PN_PROACTOR_TIMEOUT:
            timeouts++;
            break;
        case PN_PROACTOR_INTERRUPT:
            interrupts++;
            break;
        default:
            others++;
        }
        if (handler_)
            handler_(batch, event);
    }

    pn_proactor_t *const proactor_;
    const Handler handler_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

}  // namespace lws_test
