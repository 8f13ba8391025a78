// SPDX-License-Identifier: MIT
//
// permessage-deflate. After the manner a byte chooses what is offered and one the mode: 'w', frames
// as they are on the wire; 'p', payloads, which are put into frames; any other, messages that are
// compressed as they should be, whose echoes have to be the same.
#include "harness.hpp"
#include "upgrade.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <zlib.h>

namespace {

constexpr const char *kOffers[] = {
    "permessage-deflate",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=10, permessage-deflate",
};
constexpr std::string_view kTail("\0\0\xff\xff", 4);  // what RFC 7692 has removed and put back
// For an input to be over soon.
constexpr size_t kMostMessage = 20000, kMostMessages = 60000;
constexpr unsigned char kFinal = 0x80, kCompressed = 0x40, kBinary = 2, kOpcode = 0x0f;

std::string frame(unsigned char first, std::string_view payload) {
    std::string f(1, static_cast<char>(first));
    const size_t n = payload.size();
    if (n < 126) {
        f += static_cast<char>(0x80 | n);
    } else {
        const int bytes = n <= 0xffff ? 2 : 8;
        f += static_cast<char>(0x80 | (bytes == 2 ? 126 : 127));
        for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
            f += static_cast<char>(static_cast<uint64_t>(n) >> shift);
    }
    return f.append(4, '\0').append(payload);
}

uint8_t next(std::string_view &input) {
    if (input.empty())
        return 0;
    const auto byte = static_cast<uint8_t>(input[0]);
    input.remove_prefix(1);
    return byte;
}

std::string_view next(std::string_view &input, size_t n) {
    const std::string_view taken = input.substr(0, n);
    input.remove_prefix(taken.size());
    return taken;
}

// The client's side of the extension, and what is still to come back.
class Echoes {
public:
    explicit Echoes(const std::string &answer) {
        compressing_ = answer.find("permessage-deflate") != std::string::npos;
        takeover_ = answer.find("client_no_context_takeover") == std::string::npos;
        int bits = 15;
        const size_t at = answer.find("client_max_window_bits=");
        if (at != std::string::npos)
            bits = atoi(answer.c_str() + at + strlen("client_max_window_bits="));
        fuzz::expect(deflateInit2(&deflate_, 6, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY) == Z_OK,
                     "deflateInit2");
        fuzz::expect(inflateInit2(&inflate_, -15) == Z_OK, "inflateInit2");
    }
    ~Echoes() {
        deflateEnd(&deflate_);
        inflateEnd(&inflate_);
    }
    Echoes(const Echoes &) = delete;
    Echoes &operator=(const Echoes &) = delete;

    // In frames of `piece` bytes at most, as it goes over the wire.
    std::string message(std::string content, bool compressed, size_t piece) {
        compressed &= compressing_;
        const std::string payload = compressed ? compress(content) : content;
        expected_.push_back(std::move(content));
        std::string wire;
        std::string_view rest = payload;
        do {
            const std::string_view part = next(rest, piece);
            unsigned char first = wire.empty() ? kBinary : 0;
            if (wire.empty() && compressed)
                first |= kCompressed;
            if (rest.empty())
                first |= kFinal;
            wire += frame(first, part);
        } while (!rest.empty());
        return wire;
    }

    void on_output(std::string_view bytes) {
        wire_ += bytes;
        while (take_frame()) {
        }
    }

    bool all_came() const { return expected_.empty() && wire_.empty(); }

private:
    std::string compress(const std::string &content) {
        std::string out(deflateBound(&deflate_, content.size()) + 16, '\0');
        deflate_.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(content.data()));
        deflate_.avail_in = static_cast<uInt>(content.size());
        deflate_.next_out = reinterpret_cast<Bytef *>(&out[0]);
        deflate_.avail_out = static_cast<uInt>(out.size());
        deflate(&deflate_, Z_SYNC_FLUSH);
        out.resize(out.size() - deflate_.avail_out);
        fuzz::expect(out.size() >= kTail.size() || content.empty(), "deflate");
        // zlib has nothing to flush for nothing after a flush.
        if (out.empty())
            out = std::string("\0", 1);
        else
            out.resize(out.size() - kTail.size());
        if (!takeover_)
            deflateReset(&deflate_);
        return out;
    }

    std::string inflated(std::string payload) {
        payload += kTail;
        std::string out;
        char buffer[16384];
        inflate_.next_in = reinterpret_cast<Bytef *>(&payload[0]);
        inflate_.avail_in = static_cast<uInt>(payload.size());
        do {
            inflate_.next_out = reinterpret_cast<Bytef *>(buffer);
            inflate_.avail_out = sizeof(buffer);
            const int result = inflate(&inflate_, Z_SYNC_FLUSH);
            fuzz::expect(result == Z_OK || result == Z_BUF_ERROR, "an echo cannot be inflated");
            out.append(buffer, sizeof(buffer) - inflate_.avail_out);
        } while (!inflate_.avail_out);
        return out;
    }

    bool take_frame() {
        const auto byte = [&](size_t i) { return static_cast<uint8_t>(wire_[i]); };
        if (wire_.size() < 2)
            return false;
        const size_t extended = byte(1) < 126 ? 0 : byte(1) == 126 ? 2 : 8, head = 2 + extended;
        if (wire_.size() < head)
            return false;
        uint64_t length = extended ? 0 : byte(1);
        for (size_t i = 2; i < head; i++)
            length = length << 8 | byte(i);
        if (wire_.size() - head < length)
            return false;
        const uint8_t first = byte(0);
        fuzz::expect((first & kOpcode) == (in_message_ ? 0 : kBinary), "not an echo");
        fuzz::expect(!in_message_ || !(first & kCompressed), "RSV1 in the midst of a message");
        if (!in_message_)
            compressed_ = first & kCompressed;
        payload_.append(wire_, head, length);
        wire_.erase(0, head + length);
        in_message_ = !(first & kFinal);
        if (in_message_)
            return true;
        fuzz::expect(!expected_.empty(), "an echo of nothing");
        fuzz::expect((compressed_ ? inflated(payload_) : payload_) == expected_.front(),
                     "an echo is not what was sent");
        expected_.pop_front();
        payload_.clear();
        return true;
    }

    bool compressing_, takeover_, in_message_ = false, compressed_ = false;
    z_stream deflate_ = {}, inflate_ = {};
    std::deque<std::string> expected_;
    std::string wire_, payload_;
};

// Frames around the payloads: what the fuzzer would have to count otherwise.
std::string framed(std::string_view input) {
    std::string wire;
    while (!input.empty()) {
        const uint8_t first = next(input);
        const size_t length = next(input);
        wire += frame(first, next(input, length));
    }
    return wire;
}

void messages(fuzz::Peer &peer, std::string_view input) {
    Echoes echoes(peer.received);
    peer.on_output = [&](std::string_view bytes) { echoes.on_output(bytes); };
    std::string wire;
    size_t all = 0;
    while (!input.empty() && all < kMostMessages) {
        const uint8_t flags = next(input);
        const size_t times = size_t{1} << (flags & 0x0f), piece = 1 + next(input) * next(input);
        const std::string_view seed = next(input, next(input));
        std::string content;
        for (size_t i = 0; i < times && content.size() + seed.size() <= kMostMessage; i++)
            content += seed;
        all += content.size();
        wire += echoes.message(std::move(content), !(flags & 0x80), piece);
    }
    fuzz::expect(peer.exchange(wire) == wire.size(), "lws does not take all that it is sent");
    fuzz::expect(echoes.all_came(), "not every message came back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lws_vhost *const vhost = fuzz::make_vhost("deflate", fuzz::echo());
    std::string_view input(reinterpret_cast<const char *>(data), size);
    const fuzz::Manner manner = fuzz::Manner::of(input);
    const char *offer = kOffers[next(input) % (sizeof(kOffers) / sizeof(*kOffers))];
    const uint8_t mode = next(input);
    {
        fuzz::Peer peer(manner);
        peer.adopt(vhost);
        peer.exchange(fuzz::upgrade(offer));
        fuzz::expect(peer.received.find(" 101 ") != std::string::npos, "no WebSocket");
        if (mode == 'w' || mode == 'p') {
            peer.on_output = [](std::string_view) {};
            peer.exchange(mode == 'w' ? input : framed(input));
        } else {
            messages(peer, input);
        }
        peer.on_output = [](std::string_view) {};
        peer.leave();
    }
    fuzz::expect_no_connections();
    return 0;
}
