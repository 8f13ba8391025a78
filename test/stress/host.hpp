// SPDX-License-Identifier: MIT
//
// The context under stress: its protocols, and the two ways in which it ends.
#pragma once

#include "census.hpp"
#include "serving.hpp"

#include <lws_proton.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

namespace stress {

// What the peers of one context know of it.
struct Generation {
    int port = 0;
    // Connections may end early from now on.
    std::atomic<bool> ending{false};
};

// Lets threads into something until it is closed; who closes it waits until they have left.
class Gate {
public:
    template <class F>
    bool pass(F f) {
        inside_++;
        const bool open = open_;
        if (open)
            f();
        inside_--;
        return open;
    }
    void close() {
        open_ = false;
        while (inside_)
            std::this_thread::yield();
    }

private:
    std::atomic<bool> open_{true};
    std::atomic<int> inside_{0};
};

// What lws has logged: how much, and the end of it.
class Log {
public:
    static void begin();
    static std::string tail();
    // Connections, and contexts that had such, that were not waited for any longer: their peers did
    // not read in time.
    struct LeftBehind {
        size_t connections = 0, contexts = 0;
    };
    static LeftBehind left_behind();
};

struct Counters {
    std::atomic<uint64_t> received{0}, written{0}, answered{0}, broadcasts{0}, cancelled{0};
};

// A ws echo ("echo") with rx flow control, and an HTTP server: "/N" has a body of N bytes, the
// answer to a POST is the length of its body. Every so often a callback asks for WRITEABLE on all
// connections of all pts.
class Host {
public:
    // Served by `threads` of its own or, if it has its `own_proactor`, of an application.
    Host(int threads, bool own_proactor, Counters &counters);
    ~Host();
    Host(const Host &) = delete;
    Host &operator=(const Host &) = delete;

    const std::shared_ptr<Generation> &generation() const { return generation_; }
    // From any thread, also while the context ends. False: it has.
    bool cancel_service();
    bool stats(lws_proton_stats_t *into);

    // Both return when the context is gone.
    void destroy();
    void destroy_in(lws_callback_reasons reason);

private:
    friend struct Protocols;

    void on(lws *wsi, lws_callback_reasons reason);
    void ask_all_to_write(lws *wsi);
    void end();

    Counters &counters_;
    const std::shared_ptr<Generation> generation_ = std::make_shared<Generation>();
    lws_test::Census census_;
    Gate gate_;
    std::atomic<int> destroyed_in_{-1};
    std::atomic<bool> gone_{false};
    std::atomic<unsigned> occasions_{0};
    lws_context *context_ = nullptr;
    std::unique_ptr<Serving> serving_;
};

// The largest body that "/N" has.
constexpr size_t kMostBody = 4000;
// A message that the server answers with a close.
inline const std::string kCloseMe = "close me";

}  // namespace stress
