// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lws_proton {

// What may be logged, so that no peer can flood the log: see lws_proton_log.h. Times are in
// microseconds of one clock. Not for several threads at once.
class LogLimits {
public:
    // LLL_USER of lws.
    static constexpr int kUser = 1 << 10;
    // Of a line of a kind, so that a report shows which.
    static constexpr size_t kSample = 80;

    // A line is to be logged. False: it is left out, and counted.
    bool admit(int level, std::string_view line, int64_t now) noexcept;

    // Lines of one kind that were left out since the last report of it.
    struct LeftOut {
        size_t lines = 0;
        std::array<char, kSample> sample;  // the beginning of one
        size_t sample_size;
    };
    // One whose report is due, or, `at_once`, would be later. `lines` is 0: there is none.
    LeftOut report(int64_t now, bool at_once) noexcept;
    // When the next is due.
    int64_t next_report() const noexcept;

    // Where the line's own text begins, after what lws puts before it: the time and the level.
    static size_t text_begins(std::string_view line) noexcept;
    // The same number for lines of one kind.
    static uint32_t kind_of(int level, std::string_view line) noexcept;

private:
    // As many bytes as it has, which grow by a rate.
    struct Budget {
        int64_t bytes, since;
        bool has(size_t size, size_t rate, size_t burst, int64_t now) noexcept;
        void take(size_t size) noexcept { bytes -= static_cast<int64_t>(size); }
    };
    struct Kind {
        bool used;
        Budget budget;
        int64_t due;  // of the report
        LeftOut left_out;
    };
    // Kinds beyond that share what they have with others.
    static constexpr size_t kKinds = 64;

    // The last is that of LLL_USER.
    std::array<Kind, kKinds + 1> kinds_{};
    Budget all_{};
    bool used_ = false;
};

}  // namespace lws_proton
