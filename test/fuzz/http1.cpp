// SPDX-License-Identifier: MIT
//
// Requests of HTTP/1, to a site with a bit of everything.
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lws_vhost *const vhost = fuzz::make_vhost("localhost", fuzz::site());
    fuzz::converse(vhost, {}, {reinterpret_cast<const char *>(data), size});
    return 0;
}
