// SPDX-License-Identifier: MIT
#pragma once

#include <mutex>
#include <netdb.h>
#include <string>

namespace lws_proton {

class Loop;

// A host name that is looked up in a thread of the C library's (getaddrinfo_a): Proton 0.37 and
// getaddrinfo() would stop the loop meanwhile.
//
// It cannot be stopped, so it may outlive who wants it, and the loop: cancel() only makes it
// forget both. Freed by whoever is last: cancel(), finish() or the loop once the host was told.
class Lookup {
public:
    // Null: no memory, or no thread to do it.
    static Lookup *start(Loop &loop, int tsi, const char *name, void *cookie) noexcept;
    ~Lookup();
    Lookup(const Lookup &) = delete;
    Lookup &operator=(const Lookup &) = delete;

    // With the pt serialized. May free it.
    void cancel() noexcept;

    // How it ended, as getaddrinfo() tells; what was found is the caller's.
    int error() noexcept { return gai_error(&request_); }
    addrinfo *take_result() noexcept;

    const int tsi;
    void *const cookie;
    Lookup *next = nullptr;  // the loop's

private:
    Lookup(Loop &loop, int tsi, const char *name, void *cookie);
    void finish() noexcept;

    std::mutex mutex_;
    Loop *loop_;  // null: cancelled
    bool finished_ = false;
    const std::string name_;
    addrinfo hints_ = {};
    gaicb request_ = {};
};

}  // namespace lws_proton
