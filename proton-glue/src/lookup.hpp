// SPDX-License-Identifier: MIT
#pragma once

#include "linked_list.hpp"
#include "mutex.hpp"

#include <netdb.h>
#include <string>

namespace lws_proton {

class Loop;

// A host name that is looked up in another thread: Proton 0.37 and getaddrinfo() would stop the
// loop meanwhile. (Not getaddrinfo_a(): after some of its failures it still uses what it
// was given, and the thread in which it tells of the end crashes under ThreadSanitizer.)
//
// One that is under way cannot be stopped, so it may outlive who wants it, and the loop: cancel()
// only makes it forget both. Freed by whoever is last: cancel(), its thread, or the loop once the
// host was told.
class Lookup {
public:
    // As many names are looked up at a time, in the whole process; others wait.
    static constexpr int kMostThreads = 16;

    // Null: no memory, or no thread to do it.
    static Lookup *start(Loop &loop, int tsi, const char *name, void *cookie) noexcept;
    ~Lookup();
    Lookup(const Lookup &) = delete;
    Lookup &operator=(const Lookup &) = delete;

    // With the pt serialized. May free it.
    void cancel() noexcept;

    // How it ended, as getaddrinfo() tells; what was found is the caller's.
    int error() const noexcept { return error_; }
    addrinfo *take_result() noexcept;

    const int tsi;
    void *const cookie;
    // Of those that wait for a thread; of those that have ended, in their loop.
    Links<Lookup> waiting_links, ended_links;

private:
    Lookup(Loop &loop, int tsi, const char *name, void *cookie);
    static void work() noexcept;
    bool withdraw() noexcept;
    void run() noexcept;

    Mutex mutex_{Rank::waiting};
    Loop *loop_ LWS_PROTON_GUARDED_BY(mutex_);  // null: cancelled
    bool finished_ LWS_PROTON_GUARDED_BY(mutex_) = false;
    const std::string name_;
    int error_ = 0;
    addrinfo *result_ = nullptr;
};

}  // namespace lws_proton
