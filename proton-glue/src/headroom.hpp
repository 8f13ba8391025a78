// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdlib>

namespace lws_proton {

// Whether malloc() has `bytes` at the moment. Proton 0.37 does not look whether most of its own
// allocations succeed, and would end the process: it is asked for something new only where there
// is more than that takes. It is no reservation: another thread may take the memory first.
inline bool has_headroom(size_t bytes) noexcept {
    void *p = malloc(bytes);
    // Or the compiler leaves both out.
    asm volatile("" : "+r"(p) : : "memory");
    free(p);
    return p;
}

// More than Proton takes for a raw connection, its events, and our attachment.
constexpr size_t kRawHeadroom = 16 * 1024;
// More than it takes for a listener with the largest backlog that Linux has by default.
constexpr size_t kListenHeadroom = 96 * 1024;

}  // namespace lws_proton
