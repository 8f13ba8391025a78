// SPDX-License-Identifier: MIT
//
// A context with several service threads under everything that peers and programs do to it, at once
// and for some time: hundreds of connections that come and go, floods, readers that stop, resets,
// nonsense, storms of lws_cancel_service() from other threads, WRITEABLE asked for on all pts, and
// every few seconds the end of the context and a new one. What holds all the time: a connection
// gets its own messages, whole and in order; memory is bounded; and what has ended is gone.
#include "memory_bounds.hpp"
#include "own_process.hpp"
#include "peers.hpp"

#include <getopt.h>
#include <sys/resource.h>

#ifdef LWS_PROTON_SANITIZE
// Of <sanitizer/allocator_interface.h>, which GCC does not install.
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace stress;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Options {
    int seconds = 10;
    int threads = 4;
    bool own_proactor = false;
    size_t connections = 500;
    uint64_t seed = std::random_device()();
};

Options parse(int argc, char **argv) {
    constexpr option kOptions[] = {{"seconds", required_argument, nullptr, 's'},
                                   {"threads", required_argument, nullptr, 't'},
                                   {"own-proactor", no_argument, nullptr, 'o'},
                                   {"connections", required_argument, nullptr, 'c'},
                                   {"seed", required_argument, nullptr, 'r'},
                                   {}};
    Options options;
    for (int c; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;)
        switch (c) {
        case 's':
            options.seconds = atoi(optarg);
            break;
        case 't':
            options.threads = atoi(optarg);
            break;
        case 'o':
            options.own_proactor = true;
            break;
        case 'c':
            options.connections = strtoul(optarg, nullptr, 10);
            break;
        case 'r':
            options.seed = strtoull(optarg, nullptr, 10);
            break;
        default:
            exit(2);
        }
    if (optind < argc || options.seconds < 1 || options.threads < 1 || !options.connections) {
        fprintf(stderr, "usage: stress [--seconds N] [--threads N] [--own-proactor] [--connections "
                        "N] [--seed N]\n");
        exit(2);
    }
    return options;
}

// Both ends of each connection are here.
void allow_descriptors(size_t connections) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4 * connections + 500);
    setrlimit(RLIMIT_NOFILE, &limit);
}

// In use, as exactly as it can be told.
size_t memory_kib() {
#ifdef LWS_PROTON_SANITIZE
    return __sanitizer_get_current_allocated_bytes() / 1024;
#else
    return e2e::own_rss_kib();
#endif
}

// Threads that wake the context, in bursts.
class Storms {
public:
    explicit Storms(int threads) {
        for (int n = 0; n < threads; n++)
            threads_.emplace_back([this] { run(); });
    }
    ~Storms() {
        stop_ = true;
        for (std::thread &thread : threads_)
            thread.join();
    }
    void over(Host *host) {
        std::lock_guard<std::mutex> lock(mutex_);
        host_ = host;
    }

private:
    void run() {
        constexpr int kBurst = 100, kPauseMs = 10;
        while (!stop_) {
            {
                std::lock_guard<std::mutex> lock(mutex_);
                for (int i = 0; host_ && i < kBurst && host_->cancel_service(); i++) {
                }
            }
            poll(nullptr, 0, kPauseMs);
        }
    }

    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    Host *host_ = nullptr;
    std::vector<std::thread> threads_;
};

struct Ending {
    const char *name;
    lws_callback_reasons reason;
};

// The first is from outside.
constexpr Ending kEndings[] = {
    {"from outside", LWS_CALLBACK_USER},
    {"in a message", LWS_CALLBACK_RECEIVE},
    {"in a request", LWS_CALLBACK_HTTP},
    {"in room to write", LWS_CALLBACK_SERVER_WRITEABLE},
    {"in a handshake", LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION},
    {"in its success", LWS_CALLBACK_ESTABLISHED},
    {"in the end of a WebSocket", LWS_CALLBACK_CLOSED},
    {"in a new connection", LWS_CALLBACK_FILTER_NETWORK_CONNECTION},
    {"in the end of a wsi", LWS_CALLBACK_WSI_DESTROY},
    {"in a cancelled service", LWS_CALLBACK_EVENT_WAIT_CANCELLED},
};

class Stress {
public:
    explicit Stress(const Options &options) : options_(options), random_(options.seed) {
        for (size_t n = 0; n < kCrowds; n++)
            crowds_.push_back(std::make_unique<Crowd>(options.connections / kCrowds, n, kCrowds,
                                                      random_(), totals_));
    }

    void run() {
        const auto until = Clock::now() + seconds(options_.seconds);
        const auto destroyed = [this](int n) {
            const size_t others = std::size(kEndings) - 1;
            round(n % 2 ? kEndings[0].name : kEndings[1 + random_() % others].name, false);
        };
        // The heaps of many threads have their size by then.
        for (int n = 0; n < kSettling; n++)
            destroyed(n);
        round("all go", true);
        const size_t memory = memory_kib(), fds = e2e::own_fd_count();
        const Log::LeftBehind before = Log::left_behind();
        for (int n = 0; n < kAtLeast || Clock::now() < until; n++)
            destroyed(n);
        round("all go", true);
        Log::LeftBehind left = Log::left_behind();
        left.connections -= before.connections;
        left.contexts -= before.contexts;
        printf("memory: %zu KiB after the first contexts, %zu at the end; left behind: %zu "
               "connections "
               "of %zu contexts\n",
               memory, memory_kib(), left.connections, left.contexts);
        CHECK_LE(e2e::own_fd_count(), fds + left.connections + kProactorFds * left.contexts);
        CHECK_LE(memory_kib(),
                 memory + memory / 2 + kSlackKib + e2e::kLingeringConnectionKib * left.connections);
        CHECK_EQ(totals_.sent, totals_.echoed + totals_.abandoned);
        CHECK_LE(totals_.echoed, counters_.written);
        CHECK_LE(counters_.written, counters_.received);
        CHECK_LE(totals_.answers, counters_.answered);
    }

private:
    static constexpr size_t kCrowds = 2;
    static constexpr int kSettling = 4, kAtLeast = 4;
    static constexpr size_t kSlackKib = 2 * 1024;
    static constexpr size_t kProactorFds = 8;
    static constexpr uint64_t kBusyMessages = 5;  // echoed, for each connection

    // One context's life: of all its connections', or until it is destroyed under them.
    void round(const char *ending, bool all_go) {
        const size_t left_before = Log::left_behind().connections;
        host_ = std::make_unique<Host>(options_.threads, options_.own_proactor, counters_);
        Host &host = *host_;
        storms_.over(&host);
        for (auto &crowd : crowds_)
            crowd->go_to(host.generation());
        // On a slow machine, longer: until all are under way.
        const auto until = Clock::now() + milliseconds(500 + random_() % 2000);
        const uint64_t busy = counters_.written + kBusyMessages * options_.connections;
        const e2e::Deadline deadline;
        while (Clock::now() < until || counters_.written < busy) {
            watch(host);
            if (deadline.passed())
                FAIL("no messages come through");
        }
        if (all_go) {
            for (auto &crowd : crowds_)
                crowd->go_to(nullptr);
            await_all(host);
        }
        const auto *how = std::find_if(std::begin(kEndings), std::end(kEndings),
                                       [&](const Ending &e) { return e.name == ending; });
        if (how == std::begin(kEndings) || how == std::end(kEndings))
            host.destroy();
        else
            host.destroy_in(how->reason);
        storms_.over(nullptr);
        for (auto &crowd : crowds_)
            crowd->go_to(nullptr);
        e2e::await("the peers to see the end",
                   [&] { return peers() <= Log::left_behind().connections - left_before; });
        for (auto &crowd : crowds_)
            crowd->dismiss();
        host_ = nullptr;
        report(ending);
    }

    // Windows that all connections have, and what the pool keeps.
    void watch(Host &host) {
        constexpr int kLookAgainMs = 50;
        constexpr size_t kPoolKept = 4 * 1024 * 1024;
        constexpr size_t kClosing = 100;  // since the look at their number
        poll(nullptr, 0, kLookAgainMs);
        lws_proton_stats_t stats{};
        if (!host.stats(&stats))
            return;
        CHECK_LE(stats.buffer_bytes,
                 (stats.connections + kClosing) * (LWS_PROTON_RX + LWS_PROTON_TX) + kPoolKept);
        CHECK_LE(stats.connections, 4 * options_.connections);
        for (auto &crowd : crowds_)
            crowd->check();
    }

    size_t peers() {
        size_t all = 0;
        for (auto &crowd : crowds_) {
            crowd->check();
            all += crowd->size();
        }
        return all;
    }

    void await_all(Host &host) {
        e2e::await("all peers to go", [&] { return peers() == 0; });
        e2e::await("every connection to go", [&] {
            lws_proton_stats_t stats{};
            return host.stats(&stats) && stats.connections == 0;
        });
    }

    void report(const char *ending) {
        printf("context %d, ended %s: so far %" PRIu64 " connections, %" PRIu64 " resets, %" PRIu64
               " messages (%" PRIu64 " echoed, %" PRIu64 " given up), %" PRIu64
               " requests (%" PRIu64 " answered), %" PRIu64 " broadcasts, %" PRIu64 " cancels\n",
               ++contexts_, ending, totals_.connections.load(), totals_.resets.load(),
               totals_.sent.load(), totals_.echoed.load(), totals_.abandoned.load(),
               totals_.requests.load(), totals_.answers.load(), counters_.broadcasts.load(),
               counters_.cancelled.load());
        fflush(stdout);
    }

    const Options options_;
    Random random_;
    Totals totals_;
    Counters counters_;
    int contexts_ = 0;
    std::unique_ptr<Host> host_;
    std::vector<std::unique_ptr<Crowd>> crowds_;
    Storms storms_{2};
};

}  // namespace

int main(int argc, char **argv) {
    const Options options = parse(argc, argv);
    printf("stress: %d s, %d threads%s, %zu connections, --seed %" PRIu64 "\n", options.seconds,
           options.threads, options.own_proactor ? " of an application" : "", options.connections,
           options.seed);
    fflush(stdout);
    allow_descriptors(options.connections);
    Log::begin();
    Stress stress(options);
    try {
        stress.run();
    } catch (const std::exception &error) {
        fprintf(stderr, "stress: failed: %s\nlog:\n%s", error.what(), Log::tail().c_str());
        // The context is in use: nothing of it can be ended in order.
        _Exit(1);
    }
    printf("stress: passed\n");
    return 0;
}
