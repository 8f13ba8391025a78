// SPDX-License-Identifier: MIT
#include "lookup.hpp"

#include "loop.hpp"

#include <csignal>
#include <memory>
#include <new>

namespace lws_proton {

Lookup::Lookup(Loop &loop, int tsi_, const char *name, void *cookie_)
    : tsi(tsi_), cookie(cookie_), loop_(&loop), name_(name) {
    hints_.ai_socktype = SOCK_STREAM;
    request_.ar_name = name_.c_str();
    request_.ar_request = &hints_;
}

Lookup::~Lookup() {
    // The loop may have got it before finish() has let go of it.
    std::lock_guard<std::mutex> lock(mutex_);
    if (addrinfo *result = take_result())
        freeaddrinfo(result);
}

Lookup *Lookup::start(Loop &loop, int tsi, const char *name, void *cookie) noexcept {
    try {
        std::unique_ptr<Lookup> lookup(new Lookup(loop, tsi, name, cookie));
        sigevent event = {};
        event.sigev_notify = SIGEV_THREAD;
        event.sigev_value.sival_ptr = lookup.get();
        event.sigev_notify_function = [](sigval value) {
            static_cast<Lookup *>(value.sival_ptr)->finish();
        };
        gaicb *request = &lookup->request_;
        return getaddrinfo_a(GAI_NOWAIT, &request, 1, &event) ? nullptr : lookup.release();
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

addrinfo *Lookup::take_result() noexcept {
    addrinfo *result = request_.ar_result;
    request_.ar_result = nullptr;
    return result;
}

void Lookup::finish() noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    finished_ = true;
    if (loop_) {
        loop_->looked_up(*this);
        return;
    }
    lock.unlock();
    delete this;
}

void Lookup::cancel() noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!finished_) {
        loop_ = nullptr;
        return;
    }
    loop_->forget(*this);
    lock.unlock();
    delete this;
}

}  // namespace lws_proton
