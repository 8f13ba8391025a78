// SPDX-License-Identifier: MIT
#include "lookup.hpp"

#include "loop.hpp"

#include <csignal>
#include <exception>
#include <memory>
#include <thread>

namespace lws_proton {

namespace {

// Those that no thread has begun with, and the threads, which end when there are none.
Mutex waiting_mutex(Rank::leaf);
LinkedList<Lookup, &Lookup::waiting_links> waiting LWS_PROTON_GUARDED_BY(waiting_mutex);
int threads LWS_PROTON_GUARDED_BY(waiting_mutex);

// A signal is for the program's own threads.
class NoSignals {
public:
    NoSignals() noexcept {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    NoSignals(const NoSignals &) = delete;
    NoSignals &operator=(const NoSignals &) = delete;

private:
    sigset_t before_;
};

}  // namespace

Lookup::Lookup(Loop &loop, int tsi_, const char *name, void *cookie_)
    : tsi(tsi_), cookie(cookie_), loop_(&loop), name_(name) {}

Lookup::~Lookup() {
    // The loop may have got it before its thread has let go of it.
    Lock lock(mutex_);
    if (result_)
        freeaddrinfo(result_);
}

Lookup *Lookup::start(Loop &loop, int tsi, const char *name, void *cookie) noexcept {
    try {
        std::unique_ptr<Lookup> lookup(new Lookup(loop, tsi, name, cookie));
        Lock lock(waiting_mutex);
        if (threads < kMostThreads) {
            try {
                const NoSignals none;
                std::thread(work).detach();
                threads++;
            } catch (const std::exception &) {
                if (!threads)
                    return nullptr;
            }
        }
        waiting.push(*lookup);
        return lookup.release();
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

void Lookup::work() noexcept {
    for (;;) {
        Lookup *lookup;
        {
            Lock lock(waiting_mutex);
            lookup = waiting.take();
            if (!lookup) {
                threads--;
                return;
            }
        }
        lookup->run();
    }
}

void Lookup::run() noexcept {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    error_ = getaddrinfo(name_.c_str(), nullptr, &hints, &result_);

    Lock lock(mutex_);
    finished_ = true;
    if (loop_) {
        loop_->looked_up(*this);
        return;
    }
    lock.unlock();
    delete this;
}

addrinfo *Lookup::take_result() noexcept {
    addrinfo *result = result_;
    result_ = nullptr;
    return result;
}

// True: no thread has begun with it, and none will.
bool Lookup::withdraw() noexcept {
    Lock lock(waiting_mutex);
    if (!waiting.has(*this))
        return false;
    waiting.pull(*this);
    return true;
}

void Lookup::cancel() noexcept {
    if (!withdraw()) {
        Lock lock(mutex_);
        if (!finished_) {
            loop_ = nullptr;
            return;
        }
        loop_->forget(*this);
    }
    delete this;
}

}  // namespace lws_proton
