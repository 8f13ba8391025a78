#include "waiting.hpp"

#include "check.hpp"

#include <poll.h>

#include <algorithm>

namespace e2e {

namespace {
constexpr int kLookAgainMs = 5;
}

int Deadline::remaining_ms() const
{
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    const auto left = duration_cast<milliseconds>(end_ - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::max<long long>(left, 0));
}

bool comes_to_hold(const std::function<bool()> &holds, const Deadline &deadline)
{
    while (!holds()) {
        if (deadline.passed())
            return false;
        poll(nullptr, 0, kLookAgainMs);
    }
    return true;
}

void await(const std::string &what, const std::function<bool()> &holds, const Deadline &deadline)
{
    if (!comes_to_hold(holds, deadline))
        FAIL("gave up waiting for: " + what);
}

} // namespace e2e
