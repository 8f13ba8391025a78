// The raw role: bytes of no protocol that libwebsockets knows.
#include "peer.hpp"
#include "requests.hpp"
#include "stage.hpp"

using namespace differential;

namespace {

void bytes_come_back(Play &play) {
    Peer peer(play, "raw");
    for (const char *bytes : {"one", "two", "three"}) {
        peer.send(bytes);
        peer.await(bytes);
    }
    peer.half_close();
    peer.await_end();
}

void many_bytes_come_back(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "raw");
    // Half of it is what the program holds at most: nothing of it waits for this peer to read.
    peer.send(std::string(100000, 'r') + "end");
    peer.await("end");
    peer.half_close();
    peer.await_end();
}

void nothing_but_a_connection(Play &play) {
    Peer peer(play, "raw");
    play.await_callback("RAW_ADOPT ");
    peer.half_close();
    peer.await_end();
}

void half_closed_with_bytes(Play &play) {
    Peer peer(play, "raw");
    peer.socket().send_last("last");
    peer.await_end();
}

void closed_after_bytes(Play &play) {
    Peer peer(play, "raw");
    peer.send("hello");
    peer.await("hello");
    peer.close();
}

void reset_after_bytes(Play &play) {
    Peer peer(play, "raw");
    peer.send("hello");
    peer.await("hello");
    peer.reset();
}

void reset_at_once(Play &play) {
    Peer peer(play, "raw");
    play.await_callback("RAW_ADOPT ");
    peer.reset();
}

void http_where_raw_is_the_fallback(Play &play) {
    Peer peer(play, "fallback");
    peer.send(last_request("/small"));
    peer.await_end();
}

void something_else_where_raw_is_the_fallback(Play &play) {
    Peer peer(play, "fallback");
    peer.send("\x01\x02\x03 not HTTP");
    peer.await("not HTTP");
    peer.send("more");
    peer.await("more");
    peer.half_close();
    peer.await_end();
}

const std::vector<Session> kSessions = {
    SESSION(bytes_come_back),
    SESSION(many_bytes_come_back),
    SESSION(nothing_but_a_connection),
    SESSION(half_closed_with_bytes),
    SESSION(closed_after_bytes),
    SESSION(reset_after_bytes),
    SESSION(reset_at_once),
    SESSION(http_where_raw_is_the_fallback),
    SESSION(something_else_where_raw_is_the_fallback),
};

}  // namespace

int main() {
    return run("raw", kSessions);
}
