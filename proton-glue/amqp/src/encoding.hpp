// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace lws_proton::amqp {

// The end of the value that begins here, if that is one as AMQP encodes it (AMQP 1.0, 1.6): what is
// in a list, a map or an array fills it, and is not more than its bytes. Null: it is not.
//
// Proton 0.37 makes an object of 72 bytes of each value. An array whose elements take no bytes
// would have as many of them as it says.
const uint8_t *end_of_value(const uint8_t *at, const uint8_t *end) noexcept;

}  // namespace lws_proton::amqp
