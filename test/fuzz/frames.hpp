// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace fuzz {

// HTTP/2 frames of what has a byte each of type, flags and stream, two of length, and the payload:
// their heads are made so that they fit.
inline std::string frames(std::string_view input) {
    constexpr size_t head = 5;
    std::string wire;
    while (input.size() >= head) {
        const auto byte = [&](size_t i) { return static_cast<uint8_t>(input[i]); };
        const size_t length = std::min<size_t>(size_t{byte(3)} << 8 | byte(4), input.size() - head);
        for (int shift = 16; shift >= 0; shift -= 8)
            wire += static_cast<char>(length >> shift);
        wire.append(input, 0, 2).append(3, '\0').append(input, 2, 1);
        wire.append(input, head, length);
        input.remove_prefix(head + length);
    }
    return wire;
}

}  // namespace fuzz
