// SPDX-License-Identifier: MIT
#pragma once

#include "buffer_pool.hpp"

namespace lws_proton {

// A contiguous piece of a window.
struct Span {
    uint8_t *data = nullptr;
    uint32_t size = 0;
};

// A bounded queue of bytes in one ring buffer of the pool.
//
// Parts of it can be in Proton's hands: the first stored bytes (being sent) or the first free
// bytes (being read into). The window does not know; its owner must not release it, nor touch
// those bytes, meanwhile. Stored bytes never move.
class Window {
public:
    explicit Window(BufferPool &pool) noexcept : pool_(pool) {}
    ~Window() { release(); }
    Window(const Window &) = delete;
    Window &operator=(const Window &) = delete;

    // Gets a buffer of `capacity` bytes; false if there is no memory. Only when it has none.
    bool acquire(uint32_t capacity) noexcept;
    // Gives the buffer back, with whatever it holds.
    void release() noexcept;

    bool acquired() const noexcept { return buffer_; }
    uint32_t capacity() const noexcept { return capacity_; }
    uint32_t used() const noexcept { return used_; }
    uint32_t room() const noexcept { return capacity_ - used_; }

    // The stored bytes after the first `skip`, as far as they are contiguous.
    Span stored(uint32_t skip = 0) const noexcept;
    // Free space in order, as far as it is contiguous.
    Span space() const noexcept;

    // `n` bytes were put into space().
    void commit(uint32_t n) noexcept { used_ += n; }
    // The first `n` stored bytes are done with.
    void consume(uint32_t n) noexcept;
    // Starts at the front again, so that space() is all of it. Only when empty.
    void rewind() noexcept { head_ = 0; }

    // Copy in what fits, copy out what is there; both return the count.
    uint32_t write(const void *bytes, size_t n) noexcept;
    uint32_t read(void *bytes, size_t n) noexcept;
    // The same, but it stays.
    uint32_t peek(void *bytes, size_t n) const noexcept;

private:
    BufferPool &pool_;
    uint8_t *buffer_ = nullptr;
    uint32_t capacity_ = 0;
    uint32_t head_ = 0;  // of the stored bytes
    uint32_t used_ = 0;
};

}  // namespace lws_proton
