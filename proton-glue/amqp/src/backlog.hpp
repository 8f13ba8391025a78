// SPDX-License-Identifier: MIT
#pragma once

#include <lws_proton.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace lws_proton::amqp {

// Bytes that a peer has sent and that have to wait: what lws hands over before it heeds that it is
// not to read, a piece and what is in the rx window.
class Backlog {
public:
    bool empty() const noexcept { return begin_ == end_; }
    const char *data() const noexcept { return bytes_.get() + begin_; }
    size_t size() const noexcept { return end_ - begin_; }

    // False: there is more than may be, or no memory.
    bool append(const char *bytes, size_t n) noexcept {
        if (n > kMost - size())
            return false;
        drop(0);
        void *grown = realloc(bytes_.get(), end_ + n);
        if (!grown)
            return false;
        static_cast<void>(bytes_.release());
        bytes_.reset(static_cast<char *>(grown));
        memcpy(bytes_.get() + end_, bytes, n);
        end_ += n;
        return true;
    }

    void drop(size_t n) noexcept {
        begin_ += n;
        if (empty())
            return clear();
        memmove(bytes_.get(), bytes_.get() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
    }

    void clear() noexcept {
        bytes_.reset();
        begin_ = end_ = 0;
    }

private:
    static constexpr size_t kMost = 2 * LWS_PROTON_WINDOW_MAX;

    struct Free {
        void operator()(char *bytes) const noexcept { free(bytes); }
    };

    std::unique_ptr<char, Free> bytes_;
    size_t begin_ = 0, end_ = 0;
};

}  // namespace lws_proton::amqp
