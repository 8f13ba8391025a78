// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace lws_proton::amqp {

// The fields of a performative as they are encoded (AMQP 1.0, 1.6), read as Proton 0.37 reads them.
//
// Proton takes a list to be as long as it says, whatever number of fields it tells, and what is not
// there as false, or 0. Of a long one only the beginning may be there: then it is not known.
class Fields {
public:
    enum class Known : uint8_t { no, absent, yes };
    struct Uint {
        Known known;  // absent: no uint
        uint32_t value;
    };
    struct Bool {
        Known known;  // absent: no boolean, and so false
        bool value;
    };

    Fields() noexcept = default;
    // `whole`: there is no more of it than up to `end`.
    Fields(const uint8_t *at, const uint8_t *end, bool whole) noexcept
        : at_(at), end_(end), whole_(whole) {}

    // The next one, and on to the one behind it.
    Uint take_uint() noexcept;
    Uint take_ushort() noexcept;
    Bool take_bool() noexcept;
    void skip(int fields = 1) noexcept;
    // Whether the next one is certainly a symbol, and all of it is there.
    bool begins_with_symbol() const noexcept;
    // The next one is there, and not null.
    bool has_value() const noexcept;
    // ... and is a value as AMQP encodes it.
    bool is_well_formed() const noexcept;
    // Of the next one; 0: it is not there, or not known.
    uint8_t constructor() const noexcept { return at_ < end_ ? *at_ : 0; }

private:
    size_t left() const noexcept { return static_cast<size_t>(end_ - at_); }
    void lose() noexcept;
    void skip_plain() noexcept;

    const uint8_t *at_ = nullptr, *end_ = nullptr;
    bool whole_ = true;
};

}  // namespace lws_proton::amqp
