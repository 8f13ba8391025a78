// SPDX-License-Identifier: MIT
//
// An lws server on Proton that speaks no protocol: it echoes all it gets, and reads no more while
// its peer does not read.
#pragma once

#include "client_context.hpp"

namespace lws_test {

struct RawServer {
    int port = 0;
    lws_vhost *vhost = nullptr;
    int adopted = 0;
    int closed = 0;
    size_t received = 0;
    size_t most_queued = 0;  // bytes that it kept because its peer did not read

    // Adds it to the context; it has to outlive that.
    void start(Context &context, const Context::Creation &change = {});
};

// The name of its protocol.
inline constexpr const char *kRawEcho = "raw-echo";

// Its queue stops growing within a read of this.
inline constexpr size_t kMostRawQueued = 64 * 1024;

}  // namespace lws_test
