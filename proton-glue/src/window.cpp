// SPDX-License-Identifier: MIT
#include "window.hpp"

#include "copy.hpp"

#include <algorithm>
#include <cassert>

namespace lws_proton {

bool Window::acquire(uint32_t capacity) noexcept {
    assert(!buffer_ && capacity);
    buffer_ = pool_.take(capacity);
    if (!buffer_)
        return false;
    capacity_ = capacity;
    return true;
}

void Window::release() noexcept {
    if (buffer_)
        pool_.give(buffer_, capacity_);
    buffer_ = nullptr;
    capacity_ = head_ = used_ = 0;
}

Span Window::stored(uint32_t skip) const noexcept {
    if (skip >= used_)
        return {};
    const uint32_t at = (head_ + skip) % capacity_;
    return {buffer_ + at, std::min(used_ - skip, capacity_ - at)};
}

Span Window::space() const noexcept {
    if (!room())
        return {};
    const uint32_t at = (head_ + used_) % capacity_;
    return {buffer_ + at, std::min(room(), capacity_ - at)};
}

void Window::consume(uint32_t n) noexcept {
    assert(n <= used_);
    if (!n)
        return;
    head_ = (head_ + n) % capacity_;
    used_ -= n;
}

uint32_t Window::write(const void *bytes, size_t n) noexcept {
    const uint8_t *from = static_cast<const uint8_t *>(bytes);
    uint32_t done = 0;
    // twice at most: up to the end of the buffer, then from its start
    while (done < n) {
        const Span s = space();
        if (!s.size)
            break;
        const uint32_t k = static_cast<uint32_t>(std::min<size_t>(s.size, n - done));
        copy(s.data, from + done, k);
        commit(k);
        done += k;
    }
    return done;
}

uint32_t Window::read(void *bytes, size_t n) noexcept {
    const uint32_t done = peek(bytes, n);
    consume(done);
    return done;
}

uint32_t Window::peek(void *bytes, size_t n) const noexcept {
    uint8_t *to = static_cast<uint8_t *>(bytes);
    uint32_t done = 0;
    while (done < n) {
        const Span s = stored(done);
        if (!s.size)
            break;
        const uint32_t k = static_cast<uint32_t>(std::min<size_t>(s.size, n - done));
        copy(to + done, s.data, k);
        done += k;
    }
    return done;
}

}  // namespace lws_proton
