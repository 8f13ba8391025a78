// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lws_proton::amqp {

// Finds where frames end in what a peer sends, before Proton has it: a frame that makes something
// which stays is given to Proton at the end of a piece, so that it can be refused or put off.
//
// Of a protocol header, and of what is no AMQP, it makes what it can: Proton decides about these.
class Frames {
public:
    // A performative, by its descriptor (AMQP 1.0, 2.7).
    enum Code : uint8_t {
        begin = 0x11,
        attach = 0x12,
        flow = 0x13,
        transfer = 0x14,
        disposition = 0x15,
        heartbeat = 0xff,  // of ours: a frame without one
    };

    // How many of these bytes go to Proton next: up to the end of the frame that is under way, or of
    // one that is not quiet, or all.
    size_t piece(const char *bytes, size_t size) noexcept;

    // Whether the last piece is only more of a quiet frame, or nothing of Proton's concern.
    bool is_more() const noexcept { return continued_ && !ended_; }
    // Whether the last piece ends with a frame that may be one of these.
    bool ends_with(Code code) const noexcept { return ended_ && (!code_ || code_ == code); }
    // ... with a begin that is not the answer to one of ours.
    bool may_begin() const noexcept;
    size_t frame_size() const noexcept { return size_; }
    // A disposition's: how many deliveries it may be about.
    uint64_t range() const noexcept;
    // Of transfers in all pieces.
    uint64_t transfers() const noexcept { return transfers_; }

    // Longer ones have more in them than an outcome.
    static constexpr size_t kPlainDisposition = 64;

private:
    // A disposition's beginning, up to its `last`, at most.
    static constexpr size_t kHead = 40;

    void start(const char *bytes, size_t size) noexcept;
    void keep(const char *bytes, size_t size) noexcept;
    void set_size() noexcept;
    void look() noexcept;
    const uint8_t *first_field() const noexcept;
    bool quiet() const noexcept;

    std::array<uint8_t, kHead> head_{};
    size_t held_ = 0;      // of the frame, in head_
    size_t size_ = 0;      // of the frame, once it is known
    size_t left_ = 0;      // ... still to come
    uint64_t transfers_ = 0;
    uint8_t code_ = 0;     // of the frame; 0: it may be any
    bool whole_head_ = false;
    bool continued_ = false;  // the last piece begins within a frame
    bool ended_ = false;   // the last piece ends with a frame that is not quiet
};

}  // namespace lws_proton::amqp
