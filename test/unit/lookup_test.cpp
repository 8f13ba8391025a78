// Names that are looked up in other threads, with the real Proton and the real getaddrinfo(), which
// a test can make wait.
#include "lookup.hpp"
#include "doubling.hpp"
#include "lws_proton.h"
#include "scripted_driver.hpp"
#include "scripted_memory.hpp"

#include <proton/proactor.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include <dlfcn.h>
#include <pthread.h>

using namespace scripted;

namespace {

constexpr int kMostThreads = lws_proton::Lookup::kMostThreads;

// What getaddrinfo() and pthread_create() do. Names that begin with "gate" wait until it opens, and
// are not found then.
class Gate {
public:
    void close() { set(false); }
    void open() { set(true); }

    void pass(const char *name) {
        if (std::string_view(name).substr(0, 4) != "gate")
            return;
        std::unique_lock<std::mutex> lock(mutex_);
        inside_++;
        most_ = std::max(most_, inside_);
        begun_.emplace_back(std::string_view(name).substr(0, kShort));
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        inside_--;
    }

    void wait_for_begun(size_t n) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return begun_.size() >= n; });
    }
    // Their names.
    std::vector<std::string> begun() {
        std::lock_guard<std::mutex> lock(mutex_);
        return begun_;
    }
    int most() {
        std::lock_guard<std::mutex> lock(mutex_);
        return most_;
    }
    void forget() {
        std::lock_guard<std::mutex> lock(mutex_);
        begun_.clear();
        begun_.reserve(100);
        most_ = 0;
    }

    std::atomic<bool> no_threads{false};

private:
    static constexpr size_t kShort = 15;  // a string of it needs no memory, which tests count

    void set(bool open) {
        std::lock_guard<std::mutex> lock(mutex_);
        open_ = open;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    std::vector<std::string> begun_;
    int inside_ = 0, most_ = 0;
};
Gate gate;

size_t threads() {
    namespace fs = std::filesystem;
    return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
}

#if defined(__SANITIZE_THREAD__)
constexpr size_t kOwnThreads = 2;  // one is the sanitizer's
#else
constexpr size_t kOwnThreads = 1;
#endif

// Until every thread that looked names up has ended, also to the kernel.
void wait_for_threads() {
    while (threads() > kOwnThreads)
        std::this_thread::yield();
}

struct Told {
    std::intptr_t cookie;
    int error;
    std::string address;  // the first
    int this_tsi;
};

// A loop whose host writes down what it is told.
class Names {
public:
    explicit Names(DriverLoop &l) : loop(l.loop) {
        gate.forget();
        gate.close();
        l.host.on_resolved = [this](void *cookie, int error, const addrinfo *found) {
            Told t = {reinterpret_cast<std::intptr_t>(cookie), error, "",
                      lws_proton_loop_this_tsi(loop)};
            if (found) {
                char text[NI_MAXHOST];
                getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), nullptr, 0,
                            NI_NUMERICHOST);
                t.address = text;
            }
            told.push_back(t);
            if (on_told)
                on_told();
        };
    }
    ~Names() {
        gate.open();
        wait_for_threads();
    }

    lws_proton_lookup_t *start(const char *name, std::intptr_t cookie = 0, int tsi = 0) {
        return lws_proton_loop_resolve(loop, tsi, name, reinterpret_cast<void *>(cookie));
    }
    void wait_for_told(size_t n, int tsi = 0) {
        while (told.size() < n)
            lws_proton_loop_turn(loop, tsi, 1);
    }

    lws_proton_loop_t *const loop;
    std::vector<Told> told;
    std::function<void()> on_told;
};

void a_numeric_address_is_found(DriverLoop &loop) {
    Names names(loop);
    CHECK(names.start("127.0.0.1", 42));
    names.wait_for_told(1);
    CHECK_EQ(names.told[0].cookie, 42);
    CHECK_EQ(names.told[0].error, 0);
    CHECK_EQ(names.told[0].address, "127.0.0.1");
    CHECK_EQ(names.told[0].this_tsi, 0);
}

void a_name_is_found(DriverLoop &loop) {
    Names names(loop);
    CHECK(names.start("localhost"));
    names.wait_for_told(1);
    CHECK_EQ(names.told[0].error, 0);
    const std::string &address = names.told[0].address;
    if (address != "127.0.0.1" && address != "::1")
        FAIL("localhost is " + address);
}

void a_name_that_is_not_found_is_told_with_the_error(DriverLoop &loop) {
    Names names(loop);
    gate.open();
    CHECK(names.start("gate"));
    names.wait_for_told(1);
    CHECK_EQ(names.told[0].error, EAI_NONAME);
    CHECK_EQ(names.told[0].address, "");
}

void the_pt_that_asked_is_told() {
    DriverLoop loop(2);
    {
        Names names(loop);
        CHECK(names.start("127.0.0.1", 1, 1));
        names.wait_for_told(1);
        CHECK_EQ(names.told[0].this_tsi, 1);
        CHECK(names.start("127.0.0.1", 0, 0));
        names.wait_for_told(2, 1);
        CHECK_EQ(names.told[1].this_tsi, 0);
    }
    loop.check_nothing_left();
}

void the_loop_goes_on_meanwhile(DriverLoop &loop) {
    Names names(loop);
    lws_proton_lookup_t *slow = names.start("gate");
    gate.wait_for_begun(1);
    CHECK(names.start("127.0.0.1", 1));
    names.wait_for_told(1);
    CHECK_EQ(names.told[0].cookie, 1);
    lws_proton_lookup_cancel(slow);
}

void each_of_many_is_told_once_and_some_wait_for_a_thread(DriverLoop &loop) {
    Names names(loop);
    constexpr int kMany = 3 * kMostThreads + 1;
    for (int i = 0; i < kMany; i++)
        CHECK(names.start("gate", i));
    gate.wait_for_begun(kMostThreads);
    CHECK_EQ(threads(), kOwnThreads + kMostThreads);
    gate.open();
    names.wait_for_told(kMany);
    CHECK_EQ(gate.most(), kMostThreads);
    std::set<std::intptr_t> cookies;
    for (const Told &t : names.told)
        cookies.insert(t.cookie);
    CHECK_EQ(cookies.size(), size_t(kMany));
    CHECK_EQ(names.told.size(), size_t(kMany));
    wait_for_threads();
}

void those_that_wait_are_looked_up_in_their_order(DriverLoop &loop) {
    Names names(loop);
    CHECK(names.start("gate"));
    gate.wait_for_begun(1);
    gate.no_threads = true;
    lws_proton_lookup_t *cancelled[3];
    CHECK(cancelled[0] = names.start("gate: cancelled first"));
    CHECK(names.start("gate: first"));
    CHECK(cancelled[1] = names.start("gate: cancelled"));
    CHECK(names.start("gate: second"));
    CHECK(cancelled[2] = names.start("gate: cancelled last"));
    for (lws_proton_lookup_t *lookup : cancelled)
        lws_proton_lookup_cancel(lookup);
    CHECK(names.start("gate: third"));
    gate.no_threads = false;
    gate.open();
    names.wait_for_told(4);
    CHECK(gate.begun() ==
          std::vector<std::string>({"gate", "gate: first", "gate: second", "gate: third"}));
}

void twice_as_many_that_wait_and_are_cancelled_take_twice_as_long(DriverLoop &loop) {
    Names names(loop);
    std::vector<lws_proton_lookup_t *> begun;
    for (int i = 0; i < kMostThreads; i++)
        begun.push_back(names.start("gate"));
    gate.wait_for_begun(kMostThreads);
    e2e::check_doubling("names", {5000, 10000, 20000}, [&](int n) {
        std::vector<lws_proton_lookup_t *> lookups;
        const double before = e2e::cpu_seconds();
        for (int i = 0; i < n; i++)
            lookups.push_back(names.start("gate"));
        for (; !lookups.empty(); lookups.pop_back())
            lws_proton_lookup_cancel(lookups.back());
        return e2e::cpu_seconds() - before;
    });
    for (lws_proton_lookup_t *lookup : begun)
        lws_proton_lookup_cancel(lookup);
}

// Cancelled.

void one_that_is_cancelled_before_a_thread_began_is_not_looked_up(DriverLoop &loop) {
    Names names(loop);
    for (int i = 0; i < kMostThreads; i++)
        CHECK(names.start("gate", 1));
    gate.wait_for_begun(kMostThreads);
    {
        const LiveAllocations live(1);
        lws_proton_lookup_t *lookup = names.start("gate that nobody goes through", 2);
        CHECK_EQ(live.count(), 2);
        lws_proton_lookup_cancel(lookup);
        CHECK_EQ(live.count(), 0);
    }
    gate.open();
    names.wait_for_told(kMostThreads);
    CHECK_EQ(gate.begun().size(), size_t(kMostThreads));
    for (const Told &t : names.told)
        CHECK_EQ(t.cookie, 1);
}

void one_that_is_cancelled_while_it_is_under_way_is_freed_by_its_thread(DriverLoop &loop) {
    Names names(loop);
    const LiveAllocations live(1);
    lws_proton_lookup_t *lookup = names.start("gate with a name that is not short", 2);
    gate.wait_for_begun(1);
    lws_proton_lookup_cancel(lookup);
    CHECK_GE(live.count(), 2);
    gate.open();
    wait_for_threads();
    CHECK_EQ(live.count(), 0);
    lws_proton_loop_turn(loop.loop, 0, 0);
    CHECK(names.told.empty());
}

// It has ended and woken the loop, which was not there yet.
void one_that_is_cancelled_after_its_end_is_not_told(DriverLoop &loop) {
    Names names(loop);
    lws_proton_lookup_t *one = names.start("127.0.0.1", 1), *two = nullptr;
    pn_event_batch_t *wake = pn_proactor_wait(lws_proton_loop_proactor(loop.loop));
    two = names.start("localhost", 2);
    lws_proton_lookup_cancel(one);
    lws_proton_loop_dispatch(loop.loop, wake);
    names.wait_for_told(1);
    CHECK_EQ(names.told[0].cookie, 2);
    CHECK(two);
    lws_proton_loop_turn(loop.loop, 0, 0);
    CHECK_EQ(names.told.size(), 1u);
}

void one_can_be_cancelled_as_the_host_is_told_of_another(DriverLoop &loop) {
    Names names(loop);
    lws_proton_lookup_t *lookups[3];
    for (int i = 0; i < 3; i++)
        lookups[i] = names.start("gate", i);
    gate.wait_for_begun(3);
    gate.open();
    wait_for_threads();  // all have ended
    names.on_told = [&] {
        for (int i = 0; i < 3; i++)
            if (i != names.told[0].cookie)
                lws_proton_lookup_cancel(lookups[i]);
        names.on_told = nullptr;
    };
    names.wait_for_told(1);
    lws_proton_loop_turn(loop.loop, 0, 0);
    CHECK_EQ(names.told.size(), 1u);
}

void another_can_be_started_as_the_host_is_told_of_one(DriverLoop &loop) {
    Names names(loop);
    names.on_told = [&] {
        if (names.told.size() < 4)
            CHECK(names.start("127.0.0.1", names.told.size()));
    };
    CHECK(names.start("127.0.0.1", 0));
    names.wait_for_told(4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(names.told[i].cookie, i);
}

void a_loop_can_be_freed_while_one_that_was_cancelled_is_under_way() {
    auto loop = std::make_unique<DriverLoop>();
    Names names(*loop);
    lws_proton_lookup_t *lookup = names.start("gate");
    gate.wait_for_begun(1);
    lws_proton_lookup_cancel(lookup);
    loop.reset();
    gate.open();
}

// Cancelled at every moment there is.
void cancelling_races_with_the_end(DriverLoop &loop) {
    Names names(loop);
    gate.open();
    for (int i = 0; i < 300; i++) {
        lws_proton_lookup_t *lookup = names.start("gate", i);
        for (int j = 0; j < i; j++)
            std::this_thread::yield();
        lws_proton_lookup_cancel(lookup);
    }
    CHECK(names.start("127.0.0.1", -1));
    names.wait_for_told(1);
    CHECK_EQ(names.told[0].cookie, -1);
}

void the_wake_for_one_is_not_lws_s_pipe_s(DriverLoop &loop) {
    Names names(loop);
    Wsi pipe(lws_proton_loop_pipe(loop.loop, 0));
    pipe.on_service = [](Wsi &, int) {};
    CHECK(names.start("127.0.0.1"));
    names.wait_for_told(1);
    CHECK(pipe.calls.empty());
    pipe.conn->ops->wake(pipe.conn);
    lws_proton_loop_turn(loop.loop, 0, 1);
    CHECK_EQ(pipe.calls.size(), 1u);
    pipe.close();
}

// Nothing to do it with.

void no_memory_is_no_lookup(DriverLoop &loop) {
    Names names(loop);
    for (size_t spared = 0;; spared++) {
        const LiveAllocations live(1);
        lws_proton_lookup_t *lookup;
        size_t refused;
        {
            const OutOfMemory none(0, OutOfMemory::throwing, spared);
            lookup = names.start("gate with a name that is not short");
            refused = OutOfMemory::refused();
        }
        if (lookup) {
            CHECK_EQ(refused, 0u);
            CHECK_GE(spared, 2u);
            gate.wait_for_begun(1);
            lws_proton_lookup_cancel(lookup);
            return;
        }
        CHECK_EQ(live.count(), 0);
    }
}

void no_thread_is_no_lookup(DriverLoop &loop) {
    Names names(loop);
    gate.no_threads = true;
    lws_proton_lookup_t *lookup = names.start("127.0.0.1");
    gate.no_threads = false;
    CHECK(!lookup);
    CHECK(names.start("127.0.0.1"));
    names.wait_for_told(1);
}

void without_another_thread_those_there_are_do_it(DriverLoop &loop) {
    Names names(loop);
    CHECK(names.start("gate", 1));
    gate.wait_for_begun(1);
    gate.no_threads = true;
    lws_proton_lookup_t *lookup = names.start("gate", 2);
    gate.no_threads = false;
    CHECK(lookup);
    gate.open();
    names.wait_for_told(2);
    CHECK_EQ(gate.most(), 1);
}

// A program that has its signals in a thread of its own must find them there.
void signals_are_for_the_program_s_own_threads(DriverLoop &loop) {
    Names names(loop);
    CHECK(names.start("gate"));
    gate.wait_for_begun(1);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    CHECK(!sigismember(&before, SIGUSR1));
    kill(getpid(), SIGUSR1);  // which would end the test, in another thread
    int got;
    CHECK_EQ(sigwait(&set, &got), 0);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    gate.open();
    names.wait_for_told(1);
}

}  // namespace

extern "C" {

int getaddrinfo(const char *name, const char *service, const addrinfo *hints, addrinfo **result) {
    using Function = decltype(&getaddrinfo);
    static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"));
    if (std::string_view(name).substr(0, 4) != "gate")
        return real(name, service, hints, result);
    gate.pass(name);
    return EAI_NONAME;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    using Function = decltype(&pthread_create);
    static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_create"));
    return gate.no_threads ? EAGAIN : real(thread, attributes, start, argument);
}
}

int main() {
    const CMUnitTest tests[] = {
        DRIVER_TEST(a_numeric_address_is_found),
        DRIVER_TEST(a_name_is_found),
        DRIVER_TEST(a_name_that_is_not_found_is_told_with_the_error),
        E2E_TEST(the_pt_that_asked_is_told),
        DRIVER_TEST(the_loop_goes_on_meanwhile),
        DRIVER_TEST(each_of_many_is_told_once_and_some_wait_for_a_thread),
        DRIVER_TEST(those_that_wait_are_looked_up_in_their_order),
        DRIVER_TEST(twice_as_many_that_wait_and_are_cancelled_take_twice_as_long),
        DRIVER_TEST(one_that_is_cancelled_before_a_thread_began_is_not_looked_up),
        DRIVER_TEST(one_that_is_cancelled_while_it_is_under_way_is_freed_by_its_thread),
        DRIVER_TEST(one_that_is_cancelled_after_its_end_is_not_told),
        DRIVER_TEST(one_can_be_cancelled_as_the_host_is_told_of_another),
        DRIVER_TEST(another_can_be_started_as_the_host_is_told_of_one),
        E2E_TEST(a_loop_can_be_freed_while_one_that_was_cancelled_is_under_way),
        DRIVER_TEST(cancelling_races_with_the_end),
        DRIVER_TEST(the_wake_for_one_is_not_lws_s_pipe_s),
        DRIVER_TEST(no_memory_is_no_lookup),
        DRIVER_TEST(no_thread_is_no_lookup),
        DRIVER_TEST(without_another_thread_those_there_are_do_it),
        DRIVER_TEST(signals_are_for_the_program_s_own_threads),
    };
    return cmocka_run_group_tests_name("lookup", tests, nullptr, nullptr);
}
