// SPDX-License-Identifier: MIT
#include "frames.hpp"

#include "encoding.hpp"

#include <lws_proton_amqp.h>

#include <algorithm>
#include <cstring>
#include <new>

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
    const auto *from = reinterpret_cast<const uint8_t *>(bytes);
    size_t at = 0;
    ended_ = false;
    continued_ = left_;
    while (at < size) {
        if (!left_) {
            held_ = size_ = 0;
            if (size - at >= kSizeField)
                set_size(from + at);
            // As a rule all of it is there, and it need not be put together.
            if (size_ && size_ <= size - at) {
                whole(from + at, size_);
                at += size_;
                if (ended_)
                    break;
                continue;
            }
            left_ = size_ ? size_ : kSizeField;
        }
        const size_t n = std::min(size - at, left_);
        hold(from + at, n);
        at += n;
        left_ -= n;
        if (left_)
            break;
        if (!size_) {
            set_size(head_.data());
            left_ = size_ - kSizeField;
            continue;
        }
        whole();
        if (ended_ || continued_)
            break;
    }
    return at;
}

void Frames::hold(const uint8_t *bytes, size_t size) noexcept {
    const size_t before = size_ ? size_ - left_ : held_;
    if (before == held_) {
        const size_t kept = std::min(size, kHead - held_);
        memcpy(head_.data() + held_, bytes, kept);
        held_ += kept;
    }
    if (size_ <= kHead || size_ > LWS_PROTON_AMQP_MAX_FRAME)
        return;
    look(head_.data(), held_);
    if (code_ == transfer)
        return;
    try {
        // Before its size was known it was not kept here.
        if (all_.size() < before && before <= held_)
            all_.assign(head_.data(), head_.data() + before);
        if (all_.size() == before)
            all_.insert(all_.end(), bytes, bytes + size);
    } catch (const std::bad_alloc &) {
    }
}

void Frames::set_size(const uint8_t *frame) noexcept {
    const uint32_t told = be32(frame);
    // Proton refuses a shorter one.
    size_ = told == kProtocol ? kFrameHeader : std::max<size_t>(told, kFrameHeader);
}

void Frames::whole() noexcept {
    if (all_.size() == size_)
        whole(all_.data(), size_);
    else
        whole(head_.data(), held_);
    all_ = {};
}

void Frames::whole(const uint8_t *frame, size_t known) noexcept {
    const uint8_t *const body = look(frame, known);
    if (be32(frame) == kProtocol)
        in_sasl_ = frame[4] == kSaslProtocol;
    if (code_ == transfer)
        transfers_++;
    refused_ = fault(frame, known, body);
    ended_ = !quiet();
}

// What Proton would find: a code, and fields. Returns the performative.
const uint8_t *Frames::look(const uint8_t *frame, size_t known) noexcept {
    const uint8_t *const end = frame + known;
    fields_ = Fields();
    code_ = unreadable;
    if (known < kFrameHeader)
        return end;
    const size_t offset = size_t{4} * frame[4];
    const uint8_t *const body = frame + std::min(offset, known);
    code_ = heartbeat;
    if (size_ == kFrameHeader || offset == size_)
        return body;  // or a protocol header
    code_ = other;
    if (frame[5] > kSaslFrame)
        return body;
    code_ = unreadable;
    const uint8_t *list = body;
    if (end - body > ptrdiff_t{kSmallDescriptor} && body[0] == kDescribed &&
        body[1] == kSmallUlong) {
        list += kSmallDescriptor;
        code_ = list[-1];
    } else if (end - body > ptrdiff_t{kDescriptor} && body[0] == kDescribed && body[1] == kUlong) {
        list += kDescriptor;
        code_ = std::all_of(body + 2, list - 1, [](uint8_t b) { return !b; }) ? list[-1]
                                                                              : uint8_t{other};
    } else {
        return body;
    }
    // Proton has none of SASL's in a frame of AMQP's, nor the other way round.
    if ((code_ >= sasl_mechanisms) != (frame[5] == kSaslFrame))
        code_ = other;
    const bool is_short = *list == kList8;
    const uint8_t *fields = list + (is_short ? kList8Head : kList32Head);
    if (!is_short && *list != kList32)
        return body;
    if (fields > end) {
        code_ = known < size_ ? uint8_t{unreadable} : code_;
        return body;
    }
    // Proton goes by the size of the list, and so has no more than that, nor than the frame.
    const size_t counted = is_short ? size_t{list[1]} + 2 : size_t{be32(list + 1)} + 5;
    const size_t there = static_cast<size_t>(end - list);
    fields_ = Fields(fields, std::max(fields, list + std::min(counted, there)),
                     counted <= there || known == size_);
    return body;
}

const char *Frames::fault(const uint8_t *frame, size_t known, const uint8_t *body) noexcept {
    const auto channel = static_cast<uint16_t>(frame[6] << 8 | frame[7]);
    if (size_ > kFrameHeader && frame[5] == kSaslFrame)
        if (const char *why = fault_of_sasl())
            return why;
    switch (code_) {
    case heartbeat:
    case other:
    case flow:
        return nullptr;
    case transfer:
        return endpoints_.transfer(channel, fields_);
    case unreadable:
        return "a frame without a performative";
    default:
        break;
    }
    if (known < size_)
        return "a frame that is too long";
    if (!end_of_value(body, frame + size_))
        return "a frame that is not well-formed";
    switch (code_) {
    case open:
        return endpoints_.open();
    case begin:
        answers_ = fields_.constructor() == kUshort;
        return endpoints_.begin(channel, fields_);
    case attach:
        return endpoints_.attach(channel, fields_);
    case disposition:
        set_range();
        return nullptr;
    case detach:
        endpoints_.detach(channel, fields_);
        return nullptr;
    case end:
        endpoints_.end(channel);
        return nullptr;
    default:
        return nullptr;
    }
}

// Proton 0.37 takes SASL's frames also when SASL is over, keeps a mechanism anew each time, and
// does not look whether there is one.
const char *Frames::fault_of_sasl() noexcept {
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
        return range_ == 1 && size_ <= kPlainDisposition;
    default:
        return false;
    }
}

void Frames::set_range() noexcept {
    Fields fields = fields_;
    fields.skip();  // the role
    const uint32_t first = fields.take_uint().value;
    const Fields::Uint last = fields.take_uint();
    range_ = last.known == Fields::Known::yes ? uint64_t{last.value - first} + 1 : 1;
}

}  // namespace lws_proton::amqp
