// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace fuzz {

// The request that makes a WebSocket of the connection; `offer` names extensions, `subprotocol` one
// subprotocol. Empty: the request has no such header.
inline std::string upgrade(std::string_view offer, std::string_view subprotocol = {}) {
    std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    if (!offer.empty())
        request.append("Sec-WebSocket-Extensions: ").append(offer).append("\r\n");
    if (!subprotocol.empty())
        request.append("Sec-WebSocket-Protocol: ").append(subprotocol).append("\r\n");
    return request + "\r\n";
}

}  // namespace fuzz
