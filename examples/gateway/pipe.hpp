// SPDX-License-Identifier: MIT
#pragma once

#include <libwebsockets.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace gateway {

// Bytes on their way from one side to the other, with room before them for what lws_write() puts
// there.
class Pipe {
public:
    // What is put, and written, at a time.
    static constexpr size_t kPiece = 16 * 1024;
    // Beyond it the source is not read; what lws has read by then comes too, one piece at most.
    static constexpr size_t kFull = 32 * 1024;
    // Of memory, while something is on its way.
    static constexpr size_t kMost = LWS_PRE + kFull + kPiece;

    // False: out of memory, or more than a piece beyond kFull; then nothing was put.
    bool put(const void *bytes, size_t size) noexcept;
    bool empty() const { return at_ == end_; }
    size_t size() const { return end_ - at_; }
    // What is to be written next; LWS_PRE bytes before it may be overwritten.
    uint8_t *front() { return bytes_.get() + at_; }
    void written(size_t size) noexcept;

private:
    std::unique_ptr<uint8_t[]> bytes_;  // null: nothing is on its way
    size_t at_ = 0, end_ = 0;
};

}  // namespace gateway
