// SPDX-License-Identifier: MIT
//
// HTTP/2 with prior knowledge. After the manner a byte says how: 'w', as it is on the wire; any
// other, after the preface, frames of type, flags, stream and length (a byte each, the length is
// two), whose heads are made so that they fit.
#include "harness.hpp"

#include <algorithm>

namespace {

constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 33);
constexpr size_t kRecordHead = 5;

std::string frames(std::string_view input) {
    std::string wire(kPreface);
    while (input.size() >= kRecordHead) {
        const auto byte = [&](size_t i) { return static_cast<uint8_t>(input[i]); };
        const size_t length =
            std::min<size_t>(size_t{byte(3)} << 8 | byte(4), input.size() - kRecordHead);
        wire += {static_cast<char>(length >> 16),
                 static_cast<char>(length >> 8),
                 static_cast<char>(length),
                 input[0],
                 input[1],
                 '\0',
                 '\0',
                 '\0',
                 input[2]};
        wire += input.substr(kRecordHead, length);
        input.remove_prefix(kRecordHead + length);
    }
    return wire;
}

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
        all += frames(input.substr(head));
    fuzz::converse(vhost, {}, all);
    return 0;
}
