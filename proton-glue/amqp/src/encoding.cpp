// SPDX-License-Identifier: MIT
#include "encoding.hpp"

#include <cstddef>

namespace lws_proton::amqp {

namespace {

constexpr uint8_t kDescribed = 0x00;
// Compound values in each other: no AMQP peer comes near it, and the stack does not mind.
constexpr int kDepth = 32;

uint32_t be(const uint8_t *at, size_t width) noexcept {
    uint32_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | at[i];
    return value;
}

class Reader {
public:
    Reader(const uint8_t *at, const uint8_t *end) noexcept : at_(at), end_(end) {}

    const uint8_t *at() const noexcept { return at_; }

    bool value(int depth) noexcept {
        uint8_t constructor;
        return this->constructor(constructor) && rest(constructor, depth);
    }

private:
    size_t left() const noexcept { return static_cast<size_t>(end_ - at_); }

    bool skip(size_t bytes) noexcept {
        if (bytes > left())
            return false;
        at_ += bytes;
        return true;
    }

    bool number(size_t width, uint32_t &value) noexcept {
        if (left() < width)
            return false;
        value = be(at_, width);
        at_ += width;
        return true;
    }

    // What describes it is no compound value, and not described itself: Proton takes none of both.
    bool constructor(uint8_t &constructor) noexcept {
        if (!left())
            return false;
        constructor = *at_++;
        if (constructor != kDescribed)
            return true;
        if (!left() || *at_ == kDescribed || *at_ >= 0xc0 || !value(0) || !left())
            return false;
        constructor = *at_++;
        return constructor != kDescribed;
    }

    // The value behind its constructor.
    bool rest(uint8_t constructor, int depth) noexcept {
        const size_t width = constructor & 0x10 ? 4 : 1;  // of a size
        uint32_t size;
        switch (constructor >> 4) {
        case 0x4:
            return true;
        case 0x5:
        case 0x6:
        case 0x7:
        case 0x8:
        case 0x9:
            return skip(size_t{1} << ((constructor >> 4) - 5));
        case 0xa:
        case 0xb:
            return number(width, size) && skip(size);
        case 0xc:
        case 0xd:
        case 0xe:
        case 0xf:
            return depth > 0 && number(width, size) && size <= left() &&
                   compound(constructor >= 0xe0, width, at_ + size, depth - 1);
        default:
            return false;
        }
    }

    bool compound(bool is_array, size_t width, const uint8_t *end, int depth) noexcept {
        const uint8_t *const outer = end_;
        end_ = end;
        uint32_t count;
        const size_t size = left();
        uint8_t of = kDescribed;
        if (!number(width, count) || count > size || (is_array && !constructor(of)))
            return false;
        for (; count; count--)
            if (!(is_array ? rest(of, depth) : value(depth)))
                return false;
        const bool filled = at_ == end;
        end_ = outer;
        return filled;
    }

    const uint8_t *at_, *end_;
};

}  // namespace

const uint8_t *end_of_value(const uint8_t *at, const uint8_t *end) noexcept {
    Reader reader(at, end);
    return reader.value(kDepth) ? reader.at() : nullptr;
}

}  // namespace lws_proton::amqp
