// SPDX-License-Identifier: MIT
//
// HTTP/2 with prior knowledge. After the manner a byte says how: 'w', as it is on the wire; any
// other, after the preface, frames as frames.hpp makes them.
#include "frames.hpp"
#include "harness.hpp"

namespace {

constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 33);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lws_vhost *const vhost = [] {
        lws_context_creation_info info = fuzz::site();
        info.options |= LWS_SERVER_OPTION_H2_PRIOR_KNOWLEDGE;
        return fuzz::make_vhost("localhost", info);
    }();
    const std::string_view input(reinterpret_cast<const char *>(data), size);
    constexpr size_t head = 4;
    if (size < head)
        return 0;
    std::string all(input.substr(0, head - 1));
    if (input[head - 1] == 'w')
        all += input.substr(head);
    else
        all.append(kPreface).append(fuzz::frames(input.substr(head)));
    fuzz::converse(vhost, {}, all);
    return 0;
}
