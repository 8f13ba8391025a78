// SPDX-License-Identifier: MIT
//
// Loops around lws_service(): timers set between its calls, several threads, and a context that is
// destroyed from inside.
#include "lws_log.hpp"

#include <atomic>
#include <memory>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <thread>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace {

lws_context *create(int threads) {
    log_to_string();
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_PROTON;
    info.count_threads = threads;
    lws_context *context = lws_create_context(&info);
    assert_non_null(context);
    return context;
}

struct Timer {
    lws_sorted_usec_list_t sul = {};
    std::atomic<int> fired{0};
    lws_context *to_destroy = nullptr;

    void set(lws_context *context, lws_usec_t us) {
        lws_sul_schedule(
            context, 0, &sul,
            [](lws_sorted_usec_list_t *s) {
                auto *self = lws_container_of(s, Timer, sul);
                self->fired++;
                if (self->to_destroy)
                    lws_context_destroy(self->to_destroy);
            },
            us);
    }
};

void a_timer_set_between_two_services_fires_in_time(void **) {
    lws_context *context = create(1);
    for (int i = 0; i < 3; i++)
        lws_service(context, -1);
    Timer timer;
    timer.set(context, 20 * LWS_US_PER_MS);
    // Without its deadline the wait would end with the heartbeat, before the timer is looked at.
    for (int i = 0; i < 2 && !timer.fired; i++)
        lws_service(context, 0);
    assert_int_equal(timer.fired, 1);
    lws_context_destroy(context);
}

void every_thread_comes_back_though_nothing_happens(void **) {
    constexpr int kThreads = 4;
    lws_context *context = create(kThreads);
    std::vector<std::thread> threads;
    std::atomic<int> back{0};
    for (int tsi = 0; tsi < kThreads; tsi++)
        threads.emplace_back([&, tsi] {
            // The second time, all the others wait too.
            for (int i = 0; i < 2; i++)
                lws_service_tsi(context, 0, tsi);
            back++;
            while (back < kThreads)
                lws_service_tsi(context, 0, tsi);
        });
    for (std::thread &thread : threads)
        thread.join();
    lws_context_destroy(context);
}

void a_cancelled_service_brings_every_thread_back(void **) {
    constexpr int kThreads = 4;
    lws_context *context = create(kThreads);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int tsi = 0; tsi < kThreads; tsi++)
        threads.emplace_back([&, tsi] {
            while (!stop)
                lws_service_tsi(context, 0, tsi);
        });
    for (int i = 0; i < 1000; i++)
        lws_cancel_service(context);
    stop = true;
    lws_cancel_service(context);
    for (std::thread &thread : threads)
        thread.join();
    lws_context_destroy(context);
}

void a_callback_may_destroy_the_context(void **) {
    for (int threads : {1, 4}) {
        for (int round = 0; round < 20; round++) {
            lws_context *context = create(threads);
            Timer timer;
            timer.to_destroy = context;
            // The last of those that have asked for service destroys: all ask before the timer is
            // set.
            std::atomic<int> serving{0};
            std::vector<std::thread> servers;
            for (int tsi = 0; tsi < threads; tsi++)
                servers.emplace_back([&, tsi] {
                    assert_int_equal(lws_service_tsi(context, -1, tsi), 0);
                    serving++;
                    while (tsi == 0 && serving < threads)
                        lws_service_tsi(context, -1, tsi);
                    if (tsi == 0)
                        timer.set(context, LWS_US_PER_MS);
                    while (lws_service_tsi(context, 0, tsi) >= 0) {
                    }
                });
            for (std::thread &server : servers)
                server.join();
            assert_int_equal(timer.fired, 1);
        }
    }
}

lws_context *interrupted_context;

void a_signal_handler_may_destroy_the_context(void **) {
    for (int threads : {1, 4}) {
        interrupted_context = create(threads);
        signal(SIGUSR1, [](int) { lws_context_destroy(interrupted_context); });
        std::atomic<int> serving{0};
        std::vector<std::thread> servers;
        for (int tsi = 0; tsi < threads; tsi++)
            servers.emplace_back([&, tsi] {
                assert_int_equal(lws_service_tsi(interrupted_context, -1, tsi), 0);
                serving++;
                while (lws_service_tsi(interrupted_context, 0, tsi) >= 0) {
                }
            });
        while (serving < threads)
            std::this_thread::yield();
        pthread_kill(servers[0].native_handle(), SIGUSR1);
        for (std::thread &server : servers)
            server.join();
        signal(SIGUSR1, SIG_DFL);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_set_between_two_services_fires_in_time),
        cmocka_unit_test(every_thread_comes_back_though_nothing_happens),
        cmocka_unit_test(a_cancelled_service_brings_every_thread_back),
        cmocka_unit_test(a_callback_may_destroy_the_context),
        cmocka_unit_test(a_signal_handler_may_destroy_the_context),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
