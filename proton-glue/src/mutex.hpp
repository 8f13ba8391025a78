// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cassert>
#include <mutex>
#include <thread>

// For clang's -Wthread-safety, which the fuzzers' tree is compiled with. Elsewhere they are
// nothing.
#if defined(__clang__)
#define LWS_PROTON_THREADS(attribute) __attribute__((attribute))
#else
#define LWS_PROTON_THREADS(attribute)
#endif
#define LWS_PROTON_GUARDED_BY(mutex) LWS_PROTON_THREADS(guarded_by(mutex))
#define LWS_PROTON_REQUIRES(mutex) LWS_PROTON_THREADS(requires_capability(mutex))
// For what takes or leaves as many mutexes as there are pts.
#define LWS_PROTON_NOT_ANALYZED LWS_PROTON_THREADS(no_thread_safety_analysis)

namespace lws_proton {

// A thread takes locks in this order (loop.hpp says which is which). lws's own come after the pts'.
enum class Rank { pt, waiting, listening, lingering, leaf };

// A std::mutex that knows its place. In a build with assertions a thread that takes it out of order
// ends there, whether another thread is in its way or not.
class LWS_PROTON_THREADS(capability("mutex")) Mutex {
public:
#if defined(NDEBUG)
    explicit constexpr Mutex(Rank) noexcept {}
#else
    explicit Mutex(Rank rank) noexcept : rank_(rank) {}
#endif
    Mutex(const Mutex &) = delete;
    Mutex &operator=(const Mutex &) = delete;

    void lock() LWS_PROTON_THREADS(acquire_capability()) {
        check_order();
        mutex_.lock();
        note(1);
    }
    bool try_lock() LWS_PROTON_THREADS(try_acquire_capability(true)) {
        check_order();
        if (!mutex_.try_lock())
            return false;
        note(1);
        return true;
    }
    void unlock() LWS_PROTON_THREADS(release_capability()) {
        note(-1);
        mutex_.unlock();
    }

#if !defined(NDEBUG)
    // By this thread.
    bool held() const noexcept {
        return holder_ == std::this_thread::get_id();
    }
#endif

private:
#if defined(NDEBUG)
    void check_order() const noexcept {}
    void note(int) noexcept {}
#else
    // A pt may be taken after another: in which order, Loop::begin() looks.
    void check_order() const noexcept {
        for (int rank = static_cast<int>(rank_) + (rank_ == Rank::pt); rank < kRanks; rank++)
            assert(!held_[rank] && "locks are taken in their order");
    }
    void note(int n) noexcept {
        held_[static_cast<int>(rank_)] += n;
        holder_ = n > 0 ? std::this_thread::get_id() : std::thread::id();
    }

    static constexpr int kRanks = static_cast<int>(Rank::leaf) + 1;
    static inline thread_local int held_[kRanks] = {};
    const Rank rank_;
    std::atomic<std::thread::id> holder_{};
#endif

    std::mutex mutex_;
};

// std::unique_lock, as far as it is needed here and clang can follow it.
class LWS_PROTON_THREADS(scoped_lockable) Lock {
public:
    explicit Lock(Mutex &mutex) LWS_PROTON_THREADS(acquire_capability(mutex)) : mutex_(mutex) {
        mutex_.lock();
    }
    ~Lock() LWS_PROTON_THREADS(release_capability()) {
        if (locked_)
            mutex_.unlock();
    }
    Lock(const Lock &) = delete;
    Lock &operator=(const Lock &) = delete;

    void unlock() LWS_PROTON_THREADS(release_capability()) {
        locked_ = false;
        mutex_.unlock();
    }

private:
    Mutex &mutex_;
    bool locked_ = true;
};

}  // namespace lws_proton
