#include "wire.hpp"

#include "check.hpp"

namespace conformance {

namespace {

constexpr uint8_t kFinal = 0x80;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kMask[4] = {0x37, 0xfa, 0x21, 0x3d};
constexpr std::string_view kTail("\0\0\xff\xff", 4);  // what RFC 7692 has removed and put back

void append_big_endian(std::string *to, uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        to->push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::string frame_head(const Head &head, uint64_t length) {
    int bytes = head.length_bytes;
    if (!bytes)
        bytes = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;
    std::string out;
    out.push_back(static_cast<char>((head.final ? kFinal : 0) | head.rsv | head.opcode));
    const uint64_t second = bytes == 0 ? length : bytes == 2 ? 126 : 127;
    out.push_back(static_cast<char>((head.masked ? kMasked : 0) | second));
    append_big_endian(&out, length, bytes);
    if (head.masked)
        out.append(reinterpret_cast<const char *>(kMask), sizeof kMask);
    return out;
}

std::string frame(const Head &head, std::string_view payload) {
    std::string out = frame_head(head, payload.size());
    if (!head.masked)
        return out.append(payload);
    out.reserve(out.size() + payload.size());
    for (size_t i = 0; i < payload.size(); ++i)
        out.push_back(static_cast<char>(payload[i] ^ kMask[i % sizeof kMask]));
    return out;
}

std::string close_frame(uint16_t code, std::string_view reason) {
    std::string payload;
    append_big_endian(&payload, code, 2);
    return frame({kClose}, payload.append(reason));
}

std::optional<Frame> take_frame(std::string *bytes) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>((*bytes)[i]); };
    if (bytes->size() < 2)
        return {};
    CHECK(!(byte(1) & kMasked));
    const int extended = byte(1) < 126 ? 0 : byte(1) == 126 ? 2 : 8;
    const size_t head = 2 + static_cast<size_t>(extended);
    if (bytes->size() < head)
        return {};
    uint64_t length = extended ? 0 : byte(1);
    for (size_t i = 2; i < head; ++i)
        length = length << 8 | byte(i);
    CHECK(extended != 2 || length >= 126);
    CHECK(extended != 8 || length > UINT16_MAX);
    Frame frame{static_cast<uint8_t>(byte(0) & 0x0f), (byte(0) & kFinal) != 0,
                static_cast<uint8_t>(byte(0) & 0x70), ""};
    if (frame.opcode & 8)
        CHECK(frame.final && length < 126);
    if (bytes->size() < head + length)
        return {};
    frame.payload = bytes->substr(head, length);
    bytes->erase(0, head + length);
    return frame;
}

Deflater::Deflater(int window_bits) {
    CHECK_EQ(
        deflateInit2(&stream_, Z_BEST_COMPRESSION, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY),
        Z_OK);
}

std::string Deflater::message(std::string_view text) {
    stream_.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
    stream_.avail_in = static_cast<uInt>(text.size());
    std::string out;
    char block[65536];
    do {
        stream_.next_out = reinterpret_cast<Bytef *>(block);
        stream_.avail_out = sizeof block;
        deflate(&stream_, Z_SYNC_FLUSH);
        out.append(block, sizeof block - stream_.avail_out);
    } while (!stream_.avail_out);
    if (out.empty())
        return std::string(1, '\0');  // RFC 7692, 7.2.3.6
    CHECK_EQ(out.substr(out.size() - kTail.size()), kTail);
    return out.substr(0, out.size() - kTail.size());
}

Inflater::Inflater(int window_bits) {
    CHECK_EQ(inflateInit2(&stream_, -window_bits), Z_OK);
}

std::string Inflater::message(std::string payload) {
    payload.append(kTail);
    stream_.next_in = reinterpret_cast<Bytef *>(payload.data());
    stream_.avail_in = static_cast<uInt>(payload.size());
    std::string out;
    char block[65536];
    do {
        stream_.next_out = reinterpret_cast<Bytef *>(block);
        stream_.avail_out = sizeof block;
        const int result = inflate(&stream_, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR)
            FAIL("not a deflated payload: " + std::string(stream_.msg ? stream_.msg : ""));
        out.append(block, sizeof block - stream_.avail_out);
    } while (!stream_.avail_out);
    CHECK_EQ(stream_.avail_in, 0u);
    return out;
}

}  // namespace conformance
