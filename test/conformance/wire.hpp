// WebSocket on the wire: frames with any bits, right or wrong, and permessage-deflate's payloads.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace conformance {

inline constexpr uint8_t kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9,
                         kPong = 10;
inline constexpr uint8_t kRsv1 = 0x40, kRsv2 = 0x20, kRsv3 = 0x10;
inline constexpr uint8_t kNoRsv = 0;

// What can be chosen of a frame besides its payload.
struct Head {
    uint8_t opcode;
    bool final = true;
    uint8_t rsv = 0;
    bool masked = true;
    int length_bytes = 0;  // of the extended length: 0 is the shortest that holds it, or 2, or 8
};

// A client's frame.
std::string frame(const Head &head, std::string_view payload = "");

// Only the head of one that announces `length` bytes.
std::string frame_head(const Head &head, uint64_t length);

inline std::string text_frame(std::string_view payload) {
    return frame({kText}, payload);
}

std::string close_frame(uint16_t code, std::string_view reason = "");

struct Frame {
    uint8_t opcode;
    bool final;
    uint8_t rsv;
    std::string payload;
};

// Takes a server's frame from the front of `bytes`, once it is whole. Throws if it is masked, if
// its length is not encoded in the shortest way, or if a control frame is long or fragmented.
std::optional<Frame> take_frame(std::string *bytes);

// One end's compressor: what follows a message's compression is kept unless told to forget.
class Deflater {
public:
    explicit Deflater(int window_bits = 15);
    ~Deflater() { deflateEnd(&stream_); }
    Deflater(const Deflater &) = delete;

    std::string message(std::string_view text);  // 00 00 ff ff removed
    void forget() { deflateReset(&stream_); }

private:
    z_stream stream_{};
};

class Inflater {
public:
    explicit Inflater(int window_bits = 15);
    ~Inflater() { inflateEnd(&stream_); }
    Inflater(const Inflater &) = delete;

    std::string message(std::string payload);  // throws if it is not deflate's
    void forget() { inflateReset(&stream_); }

private:
    z_stream stream_{};
};

}  // namespace conformance
