// Where the two programs may differ, and why. Each is described in docs/limits.md or docs/design.md.
#pragma once

#include <string>
#include <vector>

namespace differential {

struct Difference {
    const char *session;
    const char *reason;
    // As transcript.hpp's difference() tells it.
    std::vector<std::string> lines;
    // Not always: which of the two happens is a matter of time on one or both sides.
    bool may_be_missing;
};

const std::vector<Difference> &known_differences();

} // namespace differential
