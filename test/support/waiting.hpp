// Watchdogs and waiting. No test asserts how long anything takes: a deadline only turns a hang
// into a failure.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace e2e {

#ifdef LWS_PROTON_SANITIZE
inline constexpr bool kSanitized = true;
inline constexpr std::chrono::seconds kWatchdog{240};
#else
inline constexpr bool kSanitized = false;
inline constexpr std::chrono::seconds kWatchdog{60};
#endif

class Deadline {
public:
    explicit Deadline(std::chrono::milliseconds from_now = kWatchdog)
        : end_(std::chrono::steady_clock::now() + from_now)
    {
    }

    bool passed() const { return std::chrono::steady_clock::now() >= end_; }

    // What is left, as poll() wants it.
    int remaining_ms() const;

private:
    std::chrono::steady_clock::time_point end_;
};

// Waits for something that has no descriptor to poll (a figure in /proc, a line in a log) by
// looking again and again. Throws, naming `what`, when the deadline passes.
void await(const std::string &what, const std::function<bool()> &holds,
           const Deadline &deadline = Deadline());

// The same without the failure: whether it came to hold.
bool comes_to_hold(const std::function<bool()> &holds, const Deadline &deadline);

} // namespace e2e
