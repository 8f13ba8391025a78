// An endless text of which every position is known: whoever receives a part can check it without a
// copy, however it was cut into messages.
#pragma once

#include "check.hpp"

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace e2e {

namespace numbered_stream {

constexpr size_t kRecord = 16; // 15 digits and a semicolon

inline std::string text(uint64_t position, size_t length)
{
    std::string result;
    result.reserve(length + kRecord);
    char record[kRecord + 8];
    for (uint64_t number = position / kRecord; result.size() < length + kRecord; ++number) {
        snprintf(record, sizeof record, "%015llu;", static_cast<unsigned long long>(number));
        result += record;
    }
    return result.substr(position % kRecord, length);
}

} // namespace numbered_stream

// Follows one receiver through the stream, from its start.
class NumberedStreamReader {
public:
    uint64_t position() const { return position_; }

    void check_next(std::string_view part)
    {
        if (numbered_stream::text(position_, part.size()) != part)
            FAIL("the stream is broken at byte " + std::to_string(position_));
        position_ += part.size();
    }

private:
    uint64_t position_ = 0;
};

} // namespace e2e
