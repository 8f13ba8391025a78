// SPDX-License-Identifier: MIT
//
// What comes after the upgrade to a WebSocket, as it is on the wire. The mask is the input's: zeros
// leave the payload legible.
#include "harness.hpp"
#include "upgrade.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lws_vhost *const vhost = fuzz::make_vhost("ws", fuzz::echo());
    fuzz::converse(vhost, fuzz::upgrade({}), {reinterpret_cast<const char *>(data), size});
    return 0;
}
