// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>

namespace ws_load {

// Why a run counts for nothing. `kind` is one word, for programs to read.
class Failure : public std::runtime_error {
public:
    Failure(const char *kind, const std::string &text) : std::runtime_error(text), kind_(kind) {}
    const char *kind() const noexcept { return kind_; }

private:
    const char *kind_;
};

// The server refuses, breaks HTTP, WebSocket or TLS, or does not answer in time.
inline Failure refused(const std::string &text) { return {"refused", text}; }
inline Failure bad_protocol(const std::string &text) { return {"protocol", text}; }
// The server has ended a connection.
inline Failure closed(const std::string &text) { return {"closed", text}; }
// What came back is not what was sent: other bytes, another message, or none for too long.
inline Failure corrupted(const std::string &text) { return {"corrupted", text}; }
inline Failure out_of_order(const std::string &text) { return {"out-of-order", text}; }
inline Failure missing(const std::string &text) { return {"missing", text}; }
// More messages came than were sent.
inline Failure unexpected(const std::string &text) { return {"unexpected", text}; }
// This machine does not let us: descriptors, ports, memory.
inline Failure no_resources(const std::string &text) { return {"resources", text}; }

}  // namespace ws_load
