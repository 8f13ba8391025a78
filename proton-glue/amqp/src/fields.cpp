// SPDX-License-Identifier: MIT
#include "fields.hpp"

#include "encoding.hpp"

namespace lws_proton::amqp {

namespace {

// Constructors of AMQP 1.0, 1.6.
enum : uint8_t {
    kDescribed = 0x00,
    kNull = 0x40,
    kTrue = 0x41,
    kFalse = 0x42,
    kUint0 = 0x43,
    kSmallUint = 0x52,
    kBoolean = 0x56,
    kUshort = 0x60,
    kUint = 0x70,
    kSymbol8 = 0xa3,
    kSymbol32 = 0xb3,
};

uint32_t be32(const uint8_t *at) noexcept {
    return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

// Nothing behind it is known.
void Fields::lose() noexcept {
    at_ = end_;
    whole_ = false;
}

// Proton takes the descriptor, and what is described, for plain values.
void Fields::skip(int fields) noexcept {
    for (; fields > 0 && at_ < end_; fields--) {
        if (*at_ == kDescribed) {
            at_++;
            skip_plain();
        }
        skip_plain();
    }
}

void Fields::skip_plain() noexcept {
    if (at_ >= end_)
        return lose();
    const uint8_t constructor = *at_++;
    size_t width = 0;
    switch (constructor >> 4) {
    case 0x4:
        break;
    case 0x5:
    case 0x6:
    case 0x7:
    case 0x8:
    case 0x9:
        width = size_t{1} << ((constructor >> 4) - 5);
        break;
    case 0xa:
    case 0xc:
    case 0xe:
        width = left() < 1 ? 1 : size_t{1} + *at_;
        break;
    case 0xb:
    case 0xd:
    case 0xf:
        width = left() < 4 ? 4 : size_t{4} + be32(at_);
        break;
    default:
        return lose();
    }
    if (width > left())
        return lose();
    at_ += width;
}

bool Fields::has_value() const noexcept {
    return at_ < end_ && *at_ != kNull;
}

bool Fields::is_well_formed() const noexcept {
    return end_of_value(at_, end_);
}

Fields::Uint Fields::take_uint() noexcept {
    if (at_ >= end_)
        return {whole_ ? Known::absent : Known::no, 0};
    const uint8_t constructor = *at_;
    const uint8_t *value = at_ + 1;
    skip();
    switch (constructor) {
    case kUint0:
        return {Known::yes, 0};
    case kSmallUint:
        return at_ == value + 1 ? Uint{Known::yes, *value} : Uint{Known::no, 0};
    case kUint:
        return at_ == value + 4 ? Uint{Known::yes, be32(value)} : Uint{Known::no, 0};
    default:
        return {whole_ || at_ < end_ ? Known::absent : Known::no, 0};
    }
}

Fields::Uint Fields::take_ushort() noexcept {
    const uint8_t *value = at_ + 1;
    const bool is_one = at_ < end_ && *at_ == kUshort;
    const bool known = at_ < end_ || whole_;
    skip();
    if (is_one && at_ == value + 2)
        return {Known::yes, uint32_t{value[0]} << 8 | value[1]};
    return {is_one || !known ? Known::no : Known::absent, 0};
}

Fields::Bool Fields::take_bool() noexcept {
    if (at_ >= end_)
        return {whole_ ? Known::absent : Known::no, false};
    const uint8_t constructor = *at_;
    const uint8_t *value = at_ + 1;
    skip();
    switch (constructor) {
    case kTrue:
    case kFalse:
        return {Known::yes, constructor == kTrue};
    case kBoolean:
        return at_ == value + 1 ? Bool{Known::yes, *value != 0} : Bool{Known::no, false};
    default:
        return {whole_ || at_ < end_ ? Known::absent : Known::no, false};
    }
}

bool Fields::begins_with_symbol() const noexcept {
    Fields next = *this;
    next.skip();
    const bool there = next.at_ < next.end_ || next.whole_;
    return there && (constructor() == kSymbol8 || constructor() == kSymbol32);
}

}  // namespace lws_proton::amqp
