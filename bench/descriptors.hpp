// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace ws_load {

// Lets this process have so many descriptors, and a few more for what else it does. Throws a
// Failure.
void allow_descriptors(size_t wanted);

}  // namespace ws_load
