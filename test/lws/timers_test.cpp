// SPDX-License-Identifier: MIT
//
// What a program can wait for besides bytes: timers of its own and of a connection, and being woken
// by lws_cancel_service() from wherever it is called.
#include "server.hpp"

#include "ws_client.hpp"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <memory>
#include <random>

namespace {

using namespace lws_test;
using e2e::Opcode;
using e2e::WsClient;
using e2e::WsClients;

constexpr lws_usec_t kMs = LWS_US_PER_MS;

struct Timer : lws_sorted_usec_list_t {
    Timer() : lws_sorted_usec_list_t{} {}

    lws_usec_t fired = 0;
    std::function<void(Timer &)> action;

    // From the service thread.
    void set(lws_context *context, lws_usec_t from_now) {
        lws_sul_schedule(
            context, 0, this,
            [](lws_sorted_usec_list_t *s) {
                auto *self = static_cast<Timer *>(s);
                self->fired = lws_now_usecs();
                self->action(*self);
            },
            from_now);
    }
    lws_usec_t due() const { return us; }
};

void many_timers_fire_in_order_and_never_early() {
    constexpr int kTimers = 1000;
    std::mt19937 random;
    std::uniform_int_distribution<lws_usec_t> delay(1, 200 * kMs);
    Server server;
    std::vector<Timer> timers(kTimers);
    std::vector<const Timer *> order;
    std::vector<lws_usec_t> due;
    std::atomic<int> fired{0};
    server.run([&] {
        for (Timer &timer : timers) {
            timer.action = [&](Timer &t) {
                order.push_back(&t);
                fired++;
            };
            timer.set(server.context(), delay(random));
            due.push_back(timer.due());
        }
    });
    e2e::await("every timer", [&] { return fired == kTimers; });
    std::vector<lws_usec_t> due_in_order;
    for (const Timer *timer : order) {
        const lws_usec_t its = due[static_cast<size_t>(timer - timers.data())];
        CHECK_GE(timer->fired, its);
        due_in_order.push_back(its);
    }
    CHECK(std::is_sorted(due_in_order.begin(), due_in_order.end()));
}

lws_usec_t median(std::vector<lws_usec_t> values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

// How late this thread comes back from sleeping until each of these times.
std::vector<lws_usec_t> sleep_until_each(const std::vector<lws_usec_t> &times) {
    std::vector<lws_usec_t> late;
    for (const lws_usec_t time : times) {
        timespec at;
        at.tv_sec = time / LWS_US_PER_SEC;
        at.tv_nsec = time % LWS_US_PER_SEC * 1000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
        late.push_back(lws_now_usecs() - time);
    }
    return late;
}

void timers_are_to_the_millisecond_if_the_machine_is() {
    // Proton's timer counts milliseconds, and a turn takes its time.
    constexpr lws_usec_t kResolution = 1 * kMs, kTurn = (e2e::kSanitized ? 10 : 1) * kMs;
    constexpr int kTimers = 50, kAttempts = 20;
    Server server;
    for (int attempt = 1;; attempt++) {
        std::vector<Timer> timers(kTimers);
        std::vector<lws_usec_t> due, late;
        std::atomic<int> fired{0};
        server.run([&] {
            for (int i = 0; i < kTimers; i++) {
                timers[i].action = [&](Timer &) { fired++; };
                timers[i].set(server.context(), (5 + 3 * i) * kMs + 37 * i);
                due.push_back(timers[i].due());
            }
        });
        const std::vector<lws_usec_t> machine = sleep_until_each(due);
        e2e::await("every timer", [&] { return fired == kTimers; });
        for (int i = 0; i < kTimers; i++)
            late.push_back(timers[i].fired - due[i]);
        // The machine may have others to serve: it counts if it was so once.
        if (median(late) <= 2 * median(machine) + kResolution + kTurn)
            return;
        if (attempt == kAttempts)
            FAIL("timers are late by " + std::to_string(median(late)) + " us, sleeping by " +
                 std::to_string(median(machine)));
    }
}

void a_timer_can_be_moved_and_cancelled() {
    Server server;
    std::string order;
    std::atomic<bool> done{false};
    Timer moved_forward, stays, moved_back, cancelled, last;
    moved_forward.action = [&](Timer &) { order += "forward "; };
    stays.action = [&](Timer &) { order += "stays "; };
    moved_back.action = [&](Timer &) { order += "back "; };
    cancelled.action = [&](Timer &) { order += "cancelled "; };
    last.action = [&](Timer &) { done = true; };
    server.run([&] {
        stays.set(server.context(), 30 * kMs);
        last.set(server.context(), 90 * kMs);
        cancelled.set(server.context(), 20 * kMs);
        moved_forward.set(server.context(), 60 * kMs);
        moved_back.set(server.context(), 5 * kMs);
        moved_forward.set(server.context(), 10 * kMs);
        moved_back.set(server.context(), 60 * kMs);
        lws_sul_cancel(&cancelled);
    });
    e2e::await("the last timer", [&] { return done.load(); });
    CHECK_EQ(order, "forward stays back ");
}

// Sets itself again until it has fired so often.
struct Chain {
    Timer timer;
    std::atomic<int> fired{0};

    Chain(lws_context *context, lws_usec_t period, int times) {
        timer.action = [this, context, period, times](Timer &t) {
            if (++fired < times)
                t.set(context, period);
        };
    }
    void await(int times) {
        e2e::await("the chain of timers", [&] { return fired == times; });
    }
};

void a_timer_may_set_itself_again() {
    constexpr int kTimes = 500;
    Server server;
    Chain chain(server.context(), 1, kTimes);
    server.run([&] { chain.timer.set(server.context(), 1); });
    chain.await(kTimes);
    server.run([] {});  // the last callback has returned
}

void timers_come_while_bytes_flow() {
    constexpr int kTimes = 50;
    Server server;
    WsClients clients;
    for (int i = 0; i < 4; i++)
        clients.push_back(std::make_unique<WsClient>(server.port(), "echo"));
    Chain chain(server.context(), 5 * kMs, kTimes);
    server.run([&] { chain.timer.set(server.context(), 1); });
    size_t echoed = 0;
    e2e::drive(clients, "the chain of timers", [&] {
        for (auto &client : clients) {
            echoed += client->frames().size();
            client->frames().clear();
            if (client->state() == WsClient::State::open && client->unsent_here() < 4096)
                for (int i = 0; i < 100; i++)
                    client->queue_frame(Opcode::text, std::string(200, 'x'));
        }
        return chain.fired == kTimes;
    });
    server.run([] {});  // the last timer's callback has returned
    CHECK(echoed > 0);
}

struct Connections {
    std::mutex mutex;
    std::vector<lws_usec_t> set, came;
    int closed = 0;

    void await(const char *what, std::vector<lws_usec_t> Connections::*which, size_t n) {
        e2e::await(what, [&] {
            std::lock_guard<std::mutex> lock(mutex);
            return (this->*which).size() == n;
        });
    }
};

void check_connection_timers(int threads) {
    constexpr size_t kClients = 16;
    constexpr lws_usec_t kDelay = 20 * kMs;
    Connections seen;
    Server server(
        {},
        [&](lws *wsi, lws_callback_reasons reason, void *, size_t) {
            std::lock_guard<std::mutex> lock(seen.mutex);
            if (reason == LWS_CALLBACK_ESTABLISHED) {
                seen.set.push_back(lws_now_usecs());
                lws_set_timer_usecs(wsi, kDelay);
            } else if (reason == LWS_CALLBACK_TIMER) {
                seen.came.push_back(lws_now_usecs());
            }
            return 0;
        },
        threads);
    WsClients clients;
    for (size_t i = 0; i < kClients; i++)
        clients.push_back(std::make_unique<WsClient>(server.port(), "echo"));
    for (auto &client : clients)
        client->await_open();
    seen.await("a timer for each connection", &Connections::came, kClients);
    std::sort(seen.set.begin(), seen.set.end());
    std::sort(seen.came.begin(), seen.came.end());
    for (size_t i = 0; i < kClients; i++)
        CHECK_GE(seen.came[i], seen.set[i] + kDelay);
    // None comes twice, and no connection has ended of it.
    for (auto &client : clients) {
        client->queue_frame(Opcode::text, "still here");
        CHECK_EQ(client->await_frame().payload, "still here");
    }
    CHECK_EQ(seen.came.size(), kClients);
}

void a_connections_timer_comes_to_its_protocol() {
    check_connection_timers(1);
}

void on_several_threads_too() {
    check_connection_timers(4);
}

void a_connections_timeout_closes_it_and_tells_its_protocol() {
    constexpr auto kReason = PENDING_TIMEOUT_USER_REASON_BASE;
    Connections seen;
    Server server({}, [&](lws *wsi, lws_callback_reasons reason, void *in, size_t len) {
        std::lock_guard<std::mutex> lock(seen.mutex);
        if (reason == LWS_CALLBACK_RECEIVE) {
            const std::string wanted(static_cast<char *>(in), len);
            seen.set.push_back(lws_now_usecs());
            if (wanted == "1 s")
                lws_set_timeout(wsi, kReason, 1);
            else if (wanted == "never")
                lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
            else if (wanted == "at once")
                lws_set_timeout(wsi, kReason, LWS_TO_KILL_ASYNC);
        } else if (reason == LWS_CALLBACK_CLOSED) {
            seen.came.push_back(lws_now_usecs());
        }
        return 0;
    });
    WsClient untouched(server.port(), "echo");
    untouched.await_open();
    size_t closed = 0;
    for (const auto &[wanted, least] : {std::pair{"1 s", 1000 * kMs}, {"at once", lws_usec_t{0}}}) {
        WsClient client(server.port(), "echo");
        client.await_open();
        client.queue_frame(Opcode::text, wanted);
        client.await_end();
        seen.await("its protocol to hear of it", &Connections::came, ++closed);
        CHECK_GE(seen.came.back(), seen.set.back() + least);
    }
    // One that is taken back before it comes: of the two, the other comes.
    WsClient kept(server.port(), "echo"), ended(server.port(), "echo");
    for (const char *wanted : {"1 s", "never"})
        kept.queue_frame(Opcode::text, wanted);
    kept.await_open();
    ended.await_open();
    for (const char *wanted : {"1 s", "never"})
        CHECK_EQ(kept.await_frame().payload, wanted);
    ended.queue_frame(Opcode::text, "1 s");
    ended.await_end();
    seen.await("its protocol to hear of it", &Connections::came, ++closed);
    for (WsClient *client : {&untouched, &kept}) {
        client->queue_frame(Opcode::text, "still here");
        CHECK_EQ(client->await_frame().payload, "still here");
    }
}

// Waits for what comes too soon to sleep over it.
void spin_until(const char *what, const std::function<bool()> &holds) {
    const e2e::Deadline deadline;
    while (!holds())
        if (deadline.passed())
            FAIL("gave up waiting for: " + std::string(what));
        else
            std::this_thread::yield();
}

// Who waits for the service thread to have heard of it: the thread takes what was asked for in
// LWS_CALLBACK_EVENT_WAIT_CANCELLED only.
struct Ask {
    std::atomic<bool> asked{false};

    void await_heard() {
        spin_until("a cancelled service to be told", [this] { return !asked; });
    }
};

Callback hear(std::vector<Ask> &asks) {
    return [&asks](lws *, lws_callback_reasons reason, void *, size_t) {
        if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED)
            for (Ask &ask : asks)
                ask.asked = false;
        return 0;
    };
}

void check_cancels_from_threads(int service_threads) {
    constexpr int kTimes = 300;
    std::vector<Ask> asks(4);
    Server server({}, hear(asks), service_threads);
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (Ask &ask : asks)
        threads.emplace_back([&] {
            try {
                for (int i = 0; i < kTimes; i++) {
                    ask.asked = true;
                    for (int burst = 0; burst <= i % 3; burst++)
                        lws_cancel_service(server.context());
                    ask.await_heard();
                }
            } catch (const std::exception &) {
                failed++;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    CHECK_EQ(failed, 0);
}

void any_thread_may_cancel_the_service() {
    check_cancels_from_threads(1);
}

void any_thread_may_cancel_the_service_of_several() {
    check_cancels_from_threads(4);
}

Ask *signalled;
lws_context *to_cancel;
std::atomic<int> signals_handled;

void on_signal(int) {
    signalled->asked = true;
    lws_cancel_service(to_cancel);
    signals_handled++;
}

void signal_and_await_heard(pthread_t thread) {
    const int before = signals_handled;
    pthread_kill(thread, SIGUSR1);
    spin_until("the signal", [&] { return signals_handled > before; });
    signalled->await_heard();
}

// The signal comes while the service thread waits, while it is inside lws, and in another thread.
void a_signal_handler_may_cancel_the_service() {
    constexpr int kTimes = 300;
    std::vector<Ask> asks(1);
    Server server({}, hear(asks));
    signalled = &asks[0];
    to_cancel = server.context();
    pthread_t service_thread;
    server.run([&] { service_thread = pthread_self(); });
    struct sigaction action = {}, before;
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, &before);
    for (int i = 0; i < kTimes; i++) {
        signal_and_await_heard(service_thread);
        signal_and_await_heard(pthread_self());
    }
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        WsClient client(server.port(), "echo");
        client.await_open();
        while (!stop) {
            for (int i = 0; i < 20; i++)
                client.queue_frame(Opcode::text, "hello");
            for (int i = 0; i < 20; i++)
                client.await_frame();
        }
    });
    for (int i = 0; i < kTimes; i++)
        signal_and_await_heard(service_thread);
    stop = true;
    busy.join();
    sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(many_timers_fire_in_order_and_never_early),
        E2E_TEST(timers_are_to_the_millisecond_if_the_machine_is),
        E2E_TEST(a_timer_can_be_moved_and_cancelled),
        E2E_TEST(a_timer_may_set_itself_again),
        E2E_TEST(timers_come_while_bytes_flow),
        E2E_TEST(a_connections_timer_comes_to_its_protocol),
        E2E_TEST(on_several_threads_too),
        E2E_TEST(a_connections_timeout_closes_it_and_tells_its_protocol),
        E2E_TEST(any_thread_may_cancel_the_service),
        E2E_TEST(any_thread_may_cancel_the_service_of_several),
        E2E_TEST(a_signal_handler_may_cancel_the_service),
    };
    return cmocka_run_group_tests_name("timers", tests, nullptr, nullptr);
}
