// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ws_load {

// How often each value was seen, as HdrHistogram keeps it: 128 equal steps to each power of two, so
// that a percentile is too high by less than 0.8 %. Recording takes no memory and no branch.
class Histogram {
public:
    void record(uint64_t value, uint64_t times = 1) noexcept { counts_[slot(value)] += times; }

    void add(const Histogram &other) noexcept {
        for (size_t i = 0; i < counts_.size(); ++i)
            counts_[i] += other.counts_[i];
    }

    void clear() noexcept { std::fill(counts_.begin(), counts_.end(), 0); }

    uint64_t total() const noexcept {
        uint64_t sum = 0;
        for (const uint64_t count : counts_)
            sum += count;
        return sum;
    }

    // The largest value of the slot in which `percent` of all values are reached; 0: there are none.
    uint64_t percentile(double percent) const noexcept {
        const auto wanted = std::max(
            1.0, std::ceil(static_cast<double>(total()) * std::min(percent, 100.0) / 100.0));
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (static_cast<double>(seen) >= wanted)
                return highest(i);
        }
        return 0;
    }

private:
    static constexpr unsigned kStepBits = 7;
    static constexpr uint64_t kSteps = uint64_t{1} << kStepBits;

    // Values below kSteps each have a slot. Above, the highest kStepBits + 1 bits choose it.
    static size_t slot(uint64_t value) noexcept {
        const unsigned shift = 63u - static_cast<unsigned>(__builtin_clzll(value | kSteps)) - kStepBits;
        return (static_cast<size_t>(shift) << kStepBits) + static_cast<size_t>(value >> shift);
    }

    static uint64_t highest(size_t slot) noexcept {
        if (slot < 2 * kSteps)
            return slot;
        const size_t shift = (slot >> kStepBits) - 1;
        return (((slot & (kSteps - 1)) + kSteps + 1) << shift) - 1;
    }

    std::vector<uint64_t> counts_ = std::vector<uint64_t>((64 - kStepBits + 1) * kSteps);
};

}  // namespace ws_load
