// What the server may hold in memory, from its documented windows.
#pragma once

#include <cstddef>

namespace e2e {

inline constexpr size_t kRxWindowKib = 64;
inline constexpr size_t kTxWindowKib = 64;

// A connection's rest: lws's wsi with its header table (4 KiB and a bit) and the protocol's session,
// Proton's raw connection with its 2 x 16 buffer slots, the glue's object.
inline constexpr size_t kConnectionStateKib = 16;

// The one small read buffer that an idle connection holds.
inline constexpr size_t kIdleReadKib = 8;

inline constexpr size_t kBusyConnectionKib = kRxWindowKib + kTxWindowKib + kConnectionStateKib;
inline constexpr size_t kIdleConnectionKib = kIdleReadKib + kConnectionStateKib;

// What is left of a connection that was closed while its peer reads nothing: its tx buffer, and the
// read buffer that Proton has and cannot give back.
inline constexpr size_t kLingeringConnectionKib =
    kTxWindowKib + kIdleReadKib + kConnectionStateKib;

// What is not anybody's in particular: malloc's arenas and their fragmentation, code and tables
// that are paged in the first time they are used.
inline constexpr size_t kProcessSlackKib = 4 * 1024;

} // namespace e2e
