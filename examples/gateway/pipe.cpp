// SPDX-License-Identifier: MIT
#include "pipe.hpp"

#include <cstring>
#include <new>

namespace gateway {

bool Pipe::put(const void *bytes, size_t size) noexcept {
    if (!size)
        return true;
    if (this->size() + size > kMost - LWS_PRE)
        return false;
    if (!bytes_) {
        bytes_.reset(new (std::nothrow) uint8_t[kMost]);
        if (!bytes_)
            return false;
        at_ = end_ = LWS_PRE;
    }
    // Each byte is moved seldom: the source is stopped beyond kFull, and a piece is free then.
    if (size > kMost - end_) {
        memmove(bytes_.get() + LWS_PRE, front(), this->size());
        end_ -= at_ - LWS_PRE;
        at_ = LWS_PRE;
    }
    memcpy(bytes_.get() + end_, bytes, size);
    end_ += size;
    return true;
}

void Pipe::written(size_t size) noexcept {
    at_ += size;
    if (!empty())
        return;
    bytes_.reset();
    at_ = end_ = 0;
}

}  // namespace gateway
