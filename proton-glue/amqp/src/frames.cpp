// SPDX-License-Identifier: MIT
#include "frames.hpp"

#include <algorithm>
#include <cstring>

namespace lws_proton::amqp {

namespace {

constexpr size_t kFrameHeader = 8;  // size, offset of the body in words, type, channel
constexpr size_t kSizeField = 4;
constexpr uint32_t kProtocol = 0x414d5150;  // "AMQP", in the place of a size
constexpr uint8_t kSaslProtocol = 3;
constexpr uint8_t kSaslFrame = 1;

// Constructors of AMQP 1.0, 1.6.
enum : uint8_t {
    kDescribed = 0x00,
    kNull = 0x40,
    kSmallUlong = 0x53,
    kUshort = 0x60,
    kUlong = 0x80,
    kList8 = 0xc0,
    kList32 = 0xd0,
};

// Of a descriptor, and what is before the fields of a list.
constexpr size_t kSmallDescriptor = 3, kDescriptor = 10, kList8Head = 3, kList32Head = 9;

uint32_t be32(const uint8_t *at) noexcept {
    return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

}  // namespace

size_t Frames::piece(const char *bytes, size_t size) noexcept {
    size_t at = 0;
    ended_ = false;
    continued_ = left_;
    while (at < size) {
        if (!left_)
            start(bytes + at, size - at);
        const size_t n = std::min(size - at, left_);
        if (held_ < kHead && !whole_head_)
            keep(bytes + at, n);
        at += n;
        left_ -= n;
        if (left_)
            break;
        if (!size_) {
            set_size();
            left_ = size_ - kSizeField;
            continue;
        }
        whole();
        if (ended_ || continued_)
            break;
    }
    return at;
}

// As a rule all of its head is there, and it need not be put together.
void Frames::start(const char *bytes, size_t size) noexcept {
    held_ = size_ = 0;
    left_ = kSizeField;
    whole_head_ = size >= kHead;
    if (!whole_head_)
        return;
    memcpy(head_.data(), bytes, kHead);
    set_size();
    held_ = std::min(size_, kHead);
    left_ = size_;
}

void Frames::keep(const char *bytes, size_t size) noexcept {
    const size_t kept = std::min(size, kHead - held_);
    memcpy(head_.data() + held_, bytes, kept);
    held_ += kept;
}

void Frames::set_size() noexcept {
    const uint32_t told = be32(head_.data());
    // Proton refuses a shorter one.
    size_ = told == kProtocol ? kFrameHeader : std::max<size_t>(told, kFrameHeader);
}

void Frames::whole() noexcept {
    look();
    if (code_ == transfer)
        transfers_++;
    check();
    ended_ = !quiet();
}

// What Proton would find: a code, and fields.
void Frames::look() noexcept {
    const size_t offset = size_t{4} * head_[4];
    const uint8_t *body = head_.data() + std::min(offset, held_), *known = head_.data() + held_;
    fields_ = Fields();
    code_ = heartbeat;
    if (be32(head_.data()) == kProtocol)
        in_sasl_ = head_[4] == kSaslProtocol;
    if (size_ == kFrameHeader || offset == size_)
        return;  // or a protocol header
    code_ = other;
    if (head_[5] > kSaslFrame)
        return;
    code_ = unreadable;
    const uint8_t *list = body;
    if (known - body > ptrdiff_t{kSmallDescriptor} && body[0] == kDescribed &&
        body[1] == kSmallUlong) {
        list += kSmallDescriptor;
        code_ = list[-1];
    } else if (known - body > ptrdiff_t{kDescriptor} && body[0] == kDescribed &&
               body[1] == kUlong) {
        list += kDescriptor;
        code_ = std::all_of(body + 2, list - 1, [](uint8_t b) { return !b; }) ? list[-1]
                                                                              : uint8_t{other};
    } else {
        return;
    }
    // Proton has none of SASL's in a frame of AMQP's, nor the other way round.
    if ((code_ >= sasl_mechanisms) != (head_[5] == kSaslFrame))
        code_ = other;
    const bool is_short = *list == kList8;
    const uint8_t *fields = list + (is_short ? kList8Head : kList32Head);
    if (!is_short && *list != kList32)
        return;
    if (fields > known) {
        code_ = held_ < size_ ? uint8_t{unreadable} : code_;
        return;
    }
    // Proton goes by the size of the list, and so has no more than that, nor than the frame.
    const size_t counted = is_short ? size_t{list[1]} + 2 : size_t{be32(list + 1)} + 5;
    const size_t there = static_cast<size_t>(known - list);
    fields_ = Fields(fields, std::max(fields, list + std::min(counted, there)),
                     counted <= there || held_ == size_);
}

void Frames::check() noexcept {
    const auto channel = static_cast<uint16_t>(head_[6] << 8 | head_[7]);
    refused_ = size_ > kFrameHeader && head_[5] == kSaslFrame ? check_sasl() : nullptr;
    if (refused_)
        return;
    switch (code_) {
    case transfer:
        if (!unfinished_.transfer(channel, fields_))
            refused_ = "a delivery without a delivery-id";
        break;
    case attach:
        unfinished_.attach(channel, fields_);
        break;
    case detach:
        unfinished_.detach(channel, fields_);
        break;
    case begin:
    case end:
        unfinished_.session(channel);
        break;
    case unreadable:
        refused_ = "a frame without a performative";
        break;
    default:
        break;
    }
}

// Proton 0.37 takes SASL's frames also when SASL is over, keeps a mechanism anew each time, and does
// not look whether there is one.
const char *Frames::check_sasl() noexcept {
    if (!in_sasl_)
        return "a frame of SASL where there is no SASL";
    if (code_ < sasl_mechanisms || code_ > sasl_outcome)
        return nullptr;
    const auto seen = static_cast<uint8_t>(1 << (code_ - sasl_mechanisms));
    const bool again = sasl_seen_ & seen;
    sasl_seen_ |= seen;
    switch (code_) {
    case sasl_init:
        if (!fields_.begins_with_symbol())
            return "no mechanism of SASL";
        [[fallthrough]];
    case sasl_mechanisms:
    case sasl_outcome:
        return again ? "SASL for the second time" : nullptr;
    default:
        return nullptr;
    }
}

bool Frames::quiet() const noexcept {
    if (refused_)
        return false;
    switch (code_) {
    case heartbeat:
    case transfer:
    case flow:
        return true;
    case disposition:
        return size_ <= kPlainDisposition;
    default:
        return false;
    }
}

bool Frames::may_begin() const noexcept {
    // Answers have the channel that they answer.
    return ends_with(begin) && fields_.constructor() != kUshort;
}

uint64_t Frames::range() const noexcept {
    Fields fields = fields_;
    fields.skip();  // the role
    const Fields::Uint first = fields.take_uint();
    if (first.known == Fields::Known::no)
        return UINT64_MAX;
    const bool is_one = fields.constructor() == kNull;
    const Fields::Uint last = fields.take_uint();
    return last.known == Fields::Known::yes ? uint64_t{last.value - first.value} + 1
           : is_one                         ? 1
                                            : UINT64_MAX;
}

}  // namespace lws_proton::amqp
