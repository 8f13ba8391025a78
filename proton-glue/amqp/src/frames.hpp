// SPDX-License-Identifier: MIT
#pragma once

#include "endpoints.hpp"
#include "fields.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lws_proton::amqp {

// Finds where frames end in what a peer sends, before Proton has it: a frame that makes something
// which stays is given to Proton at the end of a piece, so that it can be refused or put off.
//
// A protocol header it takes for a frame. What Proton would refuse it leaves to Proton, but for
// what is not encoded well: Proton's ways to read that differ among themselves. Of a transfer it
// looks at the beginning, of other frames at all, which it keeps if they come in pieces.
class Frames {
public:
    // A performative, by its descriptor (AMQP 1.0, 2.7 and 5.3).
    enum Code : uint8_t {
        open = 0x10,
        begin = 0x11,
        attach = 0x12,
        flow = 0x13,
        transfer = 0x14,
        disposition = 0x15,
        detach = 0x16,
        end = 0x17,
        close = 0x18,
        sasl_mechanisms = 0x40,
        sasl_init = 0x41,
        sasl_outcome = 0x44,
        // Of ours: a frame without one, or none of AMQP; one that is not where others have it.
        heartbeat = 0xfe,
        other = 0xff,
        unreadable = 0x00,
    };

    // How many of these bytes go to Proton next: up to the end of the frame that is under way, or
    // of one that is not quiet, or all.
    size_t piece(const char *bytes, size_t size) noexcept;

    // Whether the last piece is only more of a quiet frame.
    bool is_more() const noexcept { return continued_ && !ended_; }
    // Whether it begins in the midst of a frame.
    bool is_continued() const noexcept { return continued_; }
    // Whether it ends with a frame that Proton may not have: why. Null: it does not.
    const char *refused() const noexcept { return refused_; }
    // Whether it ends with one of these.
    bool ends_with(Code code) const noexcept { return ended_ && code_ == code; }
    // ... with a begin that is not the answer to one of ours, or that is.
    bool may_begin() const noexcept { return ends_with(begin) && !answers_; }
    bool answers() const noexcept { return ends_with(begin) && answers_; }
    size_t frame_size() const noexcept { return size_; }
    // A disposition's: how many deliveries it may be about.
    uint64_t range() const noexcept { return range_; }
    // Of transfers in all pieces.
    uint64_t transfers() const noexcept { return transfers_; }

    // Longer ones have more in them than an outcome.
    static constexpr size_t kPlainDisposition = 64;

private:
    // A transfer's beginning, up to its `aborted`: tags have up to 32 bytes.
    static constexpr size_t kHead = 128;

    void hold(const uint8_t *bytes, size_t size) noexcept;
    void set_size(const uint8_t *frame) noexcept;
    void whole(const uint8_t *frame, size_t known) noexcept;
    void whole() noexcept;
    const uint8_t *look(const uint8_t *frame, size_t known) noexcept;
    const char *fault(const uint8_t *frame, size_t known, const uint8_t *body) noexcept;
    const char *fault_of_sasl() noexcept;
    void set_range() noexcept;
    bool quiet() const noexcept;

    // Of a frame that comes in pieces.
    std::array<uint8_t, kHead> head_{};
    std::vector<uint8_t> all_;  // ... if it is longer, and no transfer
    size_t held_ = 0;           // in head_
    size_t size_ = 0;           // of the frame, once it is known
    size_t left_ = 0;           // ... still to come
    Fields fields_;             // of the frame that is looked at
    Endpoints endpoints_;
    uint64_t transfers_ = 0;
    uint64_t range_ = 0;
    const char *refused_ = nullptr;
    uint8_t code_ = heartbeat;
    uint8_t sasl_seen_ = 0;   // a bit for each SASL performative
    bool in_sasl_ = false;    // between SASL's header and AMQP's
    bool answers_ = false;    // it is an answer to a begin of ours
    bool continued_ = false;  // the last piece begins within a frame
    bool ended_ = false;      // ... and ends with a frame that is not quiet
};

}  // namespace lws_proton::amqp
