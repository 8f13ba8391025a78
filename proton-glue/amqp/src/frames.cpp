// SPDX-License-Identifier: MIT
#include "frames.hpp"

#include <algorithm>
#include <cstring>

namespace lws_proton::amqp {

namespace {

constexpr size_t kFrameHeader = 8;  // size, offset of the body in words, type, channel
constexpr size_t kSizeField = 4;
constexpr uint32_t kProtocol = 0x414d5150;  // "AMQP", in the place of a size

uint32_t be32(const uint8_t *at) noexcept {
    return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

// A uint of a list, and behind it; null: it is not one, or not there.
const uint8_t *read_uint(const uint8_t *at, const uint8_t *end, uint32_t &value) noexcept {
    if (!at || at >= end)
        return nullptr;
    switch (*at) {
    case 0x43:
        value = 0;
        return at + 1;
    case 0x52:
        value = at + 1 < end ? at[1] : 0;
        return at + 2 <= end ? at + 2 : nullptr;
    case 0x70:
        value = at + 5 <= end ? be32(at + 1) : 0;
        return at + 5 <= end ? at + 5 : nullptr;
    default:
        return nullptr;
    }
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
        look();
        if (!code_ || code_ == transfer)
            transfers_++;
        ended_ = !quiet();
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

void Frames::look() noexcept {
    const uint8_t *body = head_.data() + kFrameHeader;
    if (size_ == kFrameHeader)
        code_ = heartbeat;  // or a protocol header, which is as harmless
    else if (head_[4] == 2 && !head_[5] && size_ >= kFrameHeader + 3 && !body[0] && body[1] == 0x53)
        code_ = body[2];
    else
        code_ = 0;  // SASL, or a body at another offset: it may be any
}

bool Frames::quiet() const noexcept {
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

// Of the list that a performative is; null: it has none, or it is behind the head.
const uint8_t *Frames::first_field() const noexcept {
    const uint8_t *list = head_.data() + kFrameHeader + 3, *end = head_.data() + held_;
    if (!code_ || list >= end || (*list != 0xc0 && *list != 0xd0))
        return nullptr;
    const uint8_t *at = list + (*list == 0xc0 ? 3 : 9);
    return at < end ? at : nullptr;
}

bool Frames::may_begin() const noexcept {
    if (!ends_with(begin))
        return false;
    // Answers have the channel that they answer.
    const uint8_t *at = first_field();
    return !at || *at != 0x60;
}

uint64_t Frames::range() const noexcept {
    const uint8_t *at = first_field(), *end = head_.data() + held_;
    if (code_ != disposition || !at)
        return UINT64_MAX;
    at += *at == 0x56 ? 2 : 1;  // the role
    uint32_t first = 0, last = 0;
    at = read_uint(at, end, first);
    if (!at)
        return UINT64_MAX;
    if (at < end && *at == 0x40)
        return 1;
    return read_uint(at, end, last) ? uint64_t{last - first} + 1 : UINT64_MAX;
}

}  // namespace lws_proton::amqp
