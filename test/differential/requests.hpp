// What peers of a server send, as bytes.
#pragma once

#include "ws_client.hpp"

#include <string>

namespace differential {

// Of a connection that reads little at a time.
inline constexpr e2e::SocketOptions kSlowReader{16 * 1024, 0};

inline std::string request(const std::string &method, const std::string &path,
                           const std::string &more_headers = "") {
    return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more_headers + "\r\n";
}

inline std::string last_request(const std::string &path) {
    return request("GET", path, "Connection: close\r\n");
}

inline std::string subprotocol(const std::string &name) {
    return "Sec-WebSocket-Protocol: " + name + "\r\n";
}

inline std::string upgrade(const std::string &more_headers = "") {
    return request("GET", "/",
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                       more_headers);
}

inline std::string text(const std::string &payload) {
    return e2e::masked_frame(e2e::Opcode::text, payload);
}

inline std::string closing(uint16_t code) {
    return e2e::masked_frame(e2e::Opcode::close, e2e::close_payload(code));
}

}  // namespace differential
