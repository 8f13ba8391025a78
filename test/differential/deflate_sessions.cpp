// WebSocket with permessage-deflate.
#include "check.hpp"
#include "stage.hpp"
#include "ws_peer.hpp"

#include <zlib.h>

using namespace differential;
using e2e::masked_frame;
using e2e::Opcode;

namespace {

const char *const kOfferDeflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

// RFC 7692, 7.2.3.1: "Hello", compressed.
const std::string kHello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);

// A message of text whose payload is compressed already.
std::string compressed(const std::string &payload, bool first = true, bool final = true) {
    std::string frame = masked_frame(first ? Opcode::text : Opcode::continuation, payload, final);
    if (first)
        frame[0] = static_cast<char>(frame[0] | 0x40);
    return frame;
}

// Compressed to blocks that hold the bytes as they are: RFC 1951, 3.2.4.
std::string stored(const std::string &bytes) {
    const auto low = static_cast<char>(bytes.size() & 0xff);
    const auto high = static_cast<char>(bytes.size() >> 8);
    return std::string{0, low, high, static_cast<char>(~low), static_cast<char>(~high)} + bytes +
           std::string(1, 0);
}

std::string deflated(const std::string &bytes) {
    z_stream stream{};
    CHECK_EQ(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
                          Z_DEFAULT_STRATEGY),
             Z_OK);
    std::string out(deflateBound(&stream, bytes.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    CHECK_EQ(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    // RFC 7692, 7.2.1: without the end that every message has.
    return out.substr(0, out.size() - 4);
}

void a_compressed_message(Play &play) {
    WsPeer peer(play, "deflate", kOfferDeflate);
    peer.send(compressed(kHello));
    play.await_callback("SERVER_WRITEABLE ");
    peer.end_in_order();
}

void compressed_messages_in_one_segment(Play &play) {
    WsPeer peer(play, "deflate", kOfferDeflate);
    peer.send(compressed(kHello) + compressed(kHello) + text("not compressed"));
    play.await_callback("SERVER_WRITEABLE ", 3);
    peer.end_in_order();
}

void a_compressed_message_in_fragments(Play &play) {
    WsPeer peer(play, "deflate", kOfferDeflate);
    peer.send(compressed(kHello.substr(0, 3), true, false) +
              compressed(kHello.substr(3), false, true));
    play.await_callback("SERVER_WRITEABLE ", 2);
    peer.end_in_order();
}

void a_compressed_message_of_some_pages(Play &play) {
    play.pieces_may_differ();
    WsPeer peer(play, "deflate", kOfferDeflate);
    peer.send(compressed(stored(std::string(50000, 'p'))) + text("!last"));
    peer.discard_to_end();
}

void little_that_is_much_when_inflated(Play &play) {
    play.pieces_may_differ();
    WsPeer peer(play, "deflate", kOfferDeflate);
    // Nothing is echoed: no event of its own keeps libwebsockets inflating.
    peer.send(text("!mute") + compressed(deflated(std::string(1000000, 'm'))) + text("!last"));
    peer.discard_to_end();
}

void compressed_data_that_is_broken(Play &play) {
    WsPeer peer(play, "deflate", kOfferDeflate);
    peer.send(compressed("\xff\xff\xff\xff"));
    peer.await_end();
}

void the_program_does_not_read_compressed_messages_for_some_time(Play &play) {
    WsPeer peer(play, "deflate", kOfferDeflate);
    peer.send(text("!pause") + compressed(kHello) + compressed(kHello));
    play.await_callback("SERVER_WRITEABLE ", 2);
    peer.end_in_order();
}

const std::vector<Session> kSessions = {
    SESSION(a_compressed_message),
    SESSION(compressed_messages_in_one_segment),
    SESSION(a_compressed_message_in_fragments),
    SESSION(a_compressed_message_of_some_pages),
    SESSION(little_that_is_much_when_inflated),
    SESSION(compressed_data_that_is_broken),
    SESSION(the_program_does_not_read_compressed_messages_for_some_time),
};

}  // namespace

int main() {
    return run("permessage-deflate", kSessions);
}
