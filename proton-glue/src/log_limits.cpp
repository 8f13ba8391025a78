// SPDX-License-Identifier: MIT
#include "log_limits.hpp"

#include "lws_proton_log.h"
#include "timers.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace lws_proton {

namespace {

// So many characters tell a kind. What a peer sent may come after them.
constexpr size_t kTelling = 32;
// What the clock counts.
constexpr int64_t kSecond = 1000 * kMs;

// What ends what `c` begins, if that is not looked at; 0: it begins nothing.
char closes(char c, char before) noexcept {
    switch (c) {
    case '[':
        return ']';
    case '"':
        return '"';
    case '\'':
        // Not within a word, as in "can't".
        return isalpha(static_cast<unsigned char>(before)) ? 0 : '\'';
    default:
        return 0;
    }
}

}  // namespace

size_t LogLimits::text_begins(std::string_view line) noexcept {
    const size_t end = line.find("] ");
    if (line.empty() || line[0] != '[' || end == line.npos || line.size() < end + 5 ||
        line.compare(end + 3, 2, ": ") != 0)
        return 0;
    return end + 5;
}

uint32_t LogLimits::kind_of(int level, std::string_view line) noexcept {
    uint32_t hash = 2166136261u;  // FNV-1a
    const auto add = [&](unsigned char c) { hash = (hash ^ c) * 16777619u; };
    size_t told = 0;
    char before = ' ', until = 0;
    for (int bits = level; bits; bits >>= 8)
        add(static_cast<unsigned char>(bits));
    for (const char c : line.substr(text_begins(line))) {
        if (told == kTelling)
            break;
        if (until) {
            if (c == until)
                until = 0;
        } else if (!(until = closes(c, before)) && !isdigit(static_cast<unsigned char>(c))) {
            add(static_cast<unsigned char>(c));
            told++;
        }
        before = c;
    }
    return hash;
}

bool LogLimits::Budget::has(size_t size, size_t rate, size_t burst, int64_t now) noexcept {
    const auto most = static_cast<int64_t>(burst);
    const int64_t passed = std::clamp<int64_t>(now - since, 0, most * kSecond);
    const int64_t more = passed * static_cast<int64_t>(rate) / kSecond;
    if (more) {
        bytes = std::min(bytes + more, most);
        since = now;
    }
    return bytes >= static_cast<int64_t>(size);
}

bool LogLimits::admit(int level, std::string_view line, int64_t now) noexcept {
    const bool user = level == kUser;
    Kind &kind = kinds_[user ? kKinds : kind_of(level, line) % kKinds];
    if (!kind.used) {
        kind.used = true;
        kind.budget = {user ? LWS_PROTON_LOG_USER_BURST : LWS_PROTON_LOG_KIND_BURST, now};
    }
    if (!used_) {
        used_ = true;
        all_ = {LWS_PROTON_LOG_BURST, now};
    }
    const bool enough =
        user ? kind.budget.has(line.size(), LWS_PROTON_LOG_USER_RATE, LWS_PROTON_LOG_USER_BURST, now)
             : kind.budget.has(line.size(), LWS_PROTON_LOG_KIND_RATE, LWS_PROTON_LOG_KIND_BURST,
                               now) &&
                   all_.has(line.size(), LWS_PROTON_LOG_RATE, LWS_PROTON_LOG_BURST, now);
    if (enough) {
        kind.budget.take(line.size());
        if (!user)
            all_.take(line.size());
        return true;
    }
    if (!kind.left_out.lines++) {
        const std::string_view text = line.substr(text_begins(line));
        kind.left_out.sample_size = std::min(text.size(), kSample);
        memcpy(kind.left_out.sample.data(), text.data(), kind.left_out.sample_size);
        kind.due = now + LWS_PROTON_LOG_REPORT_MS * kMs;
    }
    return false;
}

LogLimits::LeftOut LogLimits::report(int64_t now, bool at_once) noexcept {
    for (Kind &kind : kinds_)
        if (kind.left_out.lines && (at_once || kind.due <= now)) {
            const LeftOut found = kind.left_out;
            kind.left_out.lines = 0;
            return found;
        }
    return {};
}

int64_t LogLimits::next_report() const noexcept {
    int64_t next = kNever;
    for (const Kind &kind : kinds_)
        if (kind.left_out.lines)
            next = std::min(next, kind.due);
    return next;
}

}  // namespace lws_proton
