// An HTTP/2 client, frame by frame: RFC 9113. Its headers are plain literals (RFC 7541, 6.2.2).
#pragma once

#include "peer.hpp"

#include <string>
#include <utility>
#include <vector>

namespace differential {

struct H2Frame {
    uint8_t type, flags;
    uint32_t stream;
    std::string payload;
};

class H2Peer : public Peer {
public:
    enum Type : uint8_t {
        data = 0,
        headers = 1,
        reset_stream = 3,
        settings = 4,
        ping = 6,
        go_away = 7,
        window_update = 8,
        continuation = 9,
    };
    enum Flag : uint8_t { none = 0, end_stream = 1, ack = 1, end_headers = 4 };

    using Headers = std::vector<std::pair<std::string, std::string>>;

    // Connected, both sides' settings exchanged and acknowledged.
    explicit H2Peer(Play &play);

    void send_frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string &payload = "");
    void send_headers(uint32_t stream, const Headers &headers, uint8_t more_flags = none);
    void get(uint32_t stream, const std::string &path);
    void post(uint32_t stream, const std::string &path);

    // The next frame of a stream. Those of the connection, and window updates, are passed over.
    H2Frame await_frame(uint32_t stream);
    // All of a stream's data until its end, or `count` bytes of it.
    std::string await_data(uint32_t stream, size_t count = std::string::npos);

private:
    H2Frame receive_frame();

    std::vector<H2Frame> of_other_streams_;
};

}  // namespace differential
