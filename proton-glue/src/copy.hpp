// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lws_proton {

// memcpy(), for what may be long. glibc leaves 4 KiB and more at a time to `rep movsb`, which on AMD's
// Zen 3 and 4 is 20 times slower if the destination is up to 63 bytes further into its page than the
// source is into its own (glibc's bug 30994; 2 GB/s). Here it often is: buffers begin alike, and one of
// them with the header of a frame.
inline void copy(void *to, const void *from, size_t size) noexcept {
    constexpr size_t kPiece = 2048;
    auto *out = static_cast<uint8_t *>(to);
    const auto *in = static_cast<const uint8_t *>(from);
    while (size) {
        size_t n = std::min(size, kPiece);
        // gcc is not to know when it is a constant: it would have a `rep movsq` of its own.
        asm("" : "+r"(n));
        memcpy(out, in, n);
        out += n;
        in += n;
        size -= n;
    }
}

}  // namespace lws_proton
