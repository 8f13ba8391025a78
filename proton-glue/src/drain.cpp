// SPDX-License-Identifier: MIT
#include "drain.hpp"

#include "lws_proton.h"
#include "lws_proton_host.h"

#include <algorithm>

namespace lws_proton {

void Drain::begin(int64_t now, int ms) noexcept {
    const int64_t all = std::max(ms, 0) * kMs;
    lower(tell_, now + std::min(all / 2, LWS_PROTON_DRAIN_TELL_MS * kMs));
    lower(cut_, now + all);
}

int Drain::phase(int64_t now) const noexcept {
    return now >= cut_    ? LWS_PROTON_DRAIN_CUT
           : now >= tell_ ? LWS_PROTON_DRAIN_TELL
                          : LWS_PROTON_DRAIN_QUIET;
}

int64_t Drain::next(int64_t now) const noexcept {
    int64_t next = std::min<int64_t>(now + LWS_PROTON_DRAIN_QUIET_MS * kMs, cut_);
    if (now < tell_)
        next = std::min<int64_t>(next, tell_);
    return next;
}

}  // namespace lws_proton
