// SPDX-License-Identifier: MIT
#include "buffer_pool.hpp"

#include <new>

namespace lws_proton {

BufferPool::~BufferPool() {
    for (Shelf &s : shelves_) {
        while (s.head) {
            Free *f = s.head;
            s.head = f->next;
            ::operator delete(f);
        }
    }
}

BufferPool::Shelf *BufferPool::shelf(uint32_t size) noexcept {
    for (Shelf &s : shelves_) {
        if (!s.size)
            s.size = size;
        if (s.size == size)
            return &s;
    }
    return nullptr;
}

uint8_t *BufferPool::take(uint32_t size) noexcept {
    {
        Lock lock(mutex_);
        Shelf *s = shelf(size);
        if (s && s->head) {
            Free *f = s->head;
            s->head = f->next;
            s->count--;
            return reinterpret_cast<uint8_t *>(f);
        }
    }
    void *p = ::operator new(size, std::nothrow);
    if (p)
        bytes_.fetch_add(size, std::memory_order_relaxed);
    return static_cast<uint8_t *>(p);
}

void BufferPool::give(uint8_t *buffer, uint32_t size) noexcept {
    {
        Lock lock(mutex_);
        Shelf *s = shelf(size);
        if (s && s->count < kKeptPerSize && size_t{size} * (s->count + 1) <= kKeptBytesPerSize) {
            s->head = new (buffer) Free{s->head};
            s->count++;
            return;
        }
    }
    bytes_.fetch_sub(size, std::memory_order_relaxed);
    ::operator delete(buffer);
}

}  // namespace lws_proton
