// SPDX-License-Identifier: MIT
#pragma once

#include "mutex.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lws_proton {

// Buffers for the windows, in the few sizes that windows have. Given-back buffers are kept for
// the next taker, a bounded number of each size; the rest returns to the heap.
class BufferPool {
public:
    BufferPool() = default;
    ~BufferPool();
    BufferPool(const BufferPool &) = delete;
    BufferPool &operator=(const BufferPool &) = delete;

    // Null if there is no memory.
    uint8_t *take(uint32_t size) noexcept;
    void give(uint8_t *buffer, uint32_t size) noexcept;

    // Bytes taken and kept.
    size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

private:
    // A free buffer's own first bytes hold the link.
    struct Free {
        Free *next;
    };
    struct Shelf {
        uint32_t size = 0;
        uint32_t count = 0;
        Free *head = nullptr;
    };
    // What a busy loop takes and gives back all the time. More would keep the heap around them from
    // shrinking.
    static constexpr uint32_t kKeptPerSize = 16;
    static constexpr size_t kKeptBytesPerSize = 1024 * 1024;
    static constexpr size_t kSizes = 4;

    Shelf *shelf(uint32_t size) noexcept LWS_PROTON_REQUIRES(mutex_);

    Mutex mutex_{Rank::leaf};
    std::array<Shelf, kSizes> shelves_ LWS_PROTON_GUARDED_BY(mutex_);
    std::atomic<size_t> bytes_{0};
};

}  // namespace lws_proton
