// Where the two programs may differ, and why. Each is described in docs/design.md or
// docs/lws-findings.md.
#pragma once

#include <string>
#include <vector>

namespace differential {

struct Difference {
    const char *session;
    const char *reason;
    // As transcript.hpp's difference() tells it, with * for any text.
    std::vector<std::string> lines;
    // Not always: which of the two happens is a matter of time on one or both sides.
    bool may_be_missing;
};

// That of one session, or nullptr.
const Difference *known_difference(const std::string &session);

}  // namespace differential
