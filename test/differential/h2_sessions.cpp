// HTTP/2 over TLS: streams, WebSocket on a stream, and how both end.
#include "check.hpp"
#include "h2_peer.hpp"
#include "requests.hpp"
#include "stage.hpp"

using namespace differential;

namespace {

// The connection and `streams` streams on it.
class CountedH2Peer : public H2Peer {
public:
    CountedH2Peer(Play &play, int streams) : H2Peer(play) {
        while (streams--)
            play.one_more_connection();
    }

    // WebSocket on a stream: RFC 8441.
    void upgrade_to_echo(uint32_t stream) {
        send_headers(stream, {{":method", "CONNECT"},
                              {":protocol", "websocket"},
                              {":scheme", "https"},
                              {":authority", "localhost"},
                              {":path", "/"},
                              {"sec-websocket-version", "13"},
                              {"sec-websocket-protocol", "echo"}});
        CHECK_EQ(await_frame(stream).type, headers);
    }

    void message(uint32_t stream, const std::string &payload) {
        send_frame(data, none, stream, text(payload));
        // A server's frame: two bytes of head.
        CHECK_EQ(await_data(stream, payload.size() + 2).substr(2), payload);
    }

    void end_in_order() {
        send_frame(go_away, none, 0, std::string(8, '\0'));
        end_tls();
        half_close();
        discard_to_end();
    }
};

void nothing_but_settings(Play &play) {
    CountedH2Peer peer(play, 0);
    peer.end_in_order();
}

void a_get(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/small");
    play.saw(peer.await_data(1));
    peer.end_in_order();
}

void something_that_is_not_there(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/nothing");
    peer.await_data(1);
    peer.end_in_order();
}

void a_file(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/files/small.txt");
    play.saw(peer.await_data(1));
    peer.end_in_order();
}

void much(Play &play) {
    play.pieces_may_differ();
    CountedH2Peer peer(play, 1);
    peer.get(1, "/big");
    play.saw(std::to_string(peer.await_data(1).size()));
    peer.end_in_order();
}

void a_post(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.post(1, "/post");
    play.await_callback("HTTP ");
    peer.send_frame(H2Peer::data, H2Peer::none, 1, "hello ");
    play.await_callback("HTTP_BODY ");
    peer.send_frame(H2Peer::data, H2Peer::end_stream, 1, "world");
    play.saw(peer.await_data(1));
    peer.end_in_order();
}

void requests_one_after_the_other(Play &play) {
    CountedH2Peer peer(play, 3);
    for (const uint32_t stream : {1u, 3u, 5u}) {
        peer.get(stream, "/small");
        play.saw(peer.await_data(stream));
    }
    peer.end_in_order();
}

void requests_at_once(Play &play) {
    play.pieces_may_differ();
    CountedH2Peer peer(play, 3);
    peer.get(1, "/later");
    peer.get(3, "/big");
    peer.get(5, "/small");
    for (const uint32_t stream : {1u, 3u, 5u})
        play.saw(std::to_string(peer.await_data(stream).size()));
    peer.end_in_order();
}

void a_stream_is_reset_while_its_answer_is_not_ready(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/never");
    play.await_callback("HTTP ");
    peer.send_frame(H2Peer::reset_stream, H2Peer::none, 1, std::string("\0\0\0\x08", 4));
    play.await_callback("WSI_DESTROY ");
    peer.end_in_order();
}

void lost_while_an_answer_is_not_ready(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/never");
    play.await_callback("HTTP ");
    peer.reset();
}

void half_closed_while_an_answer_is_not_ready(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/later");
    play.await_callback("HTTP ");
    peer.half_close();
    peer.discard_to_end();
}

void the_program_drops_a_request(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.get(1, "/drop");
    play.await_callback("WSI_DESTROY ");
    peer.end_in_order();
}

void the_preface_is_wrong(Play &play) {
    Peer peer(play, "tls");
    peer.start_tls("h2");
    peer.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    peer.discard_to_end();
}

void the_preface_never_comes(Play &play) {
    Peer peer(play, "tls");
    peer.start_tls("h2");
    play.await_callback("SERVER_NEW_CLIENT_INSTANTIATED ");
    peer.half_close();
    peer.discard_to_end();
}

void a_frame_that_is_too_long(Play &play) {
    CountedH2Peer peer(play, 0);
    peer.send(std::string("\xff\xff\xff\x04\x00\x00\x00\x00\x00", 9));
    peer.discard_to_end();
}

void messages_of_a_websocket_on_a_stream(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.upgrade_to_echo(1);
    for (const char *message : {"one", "two", "three"})
        peer.message(1, message);
    peer.send_frame(H2Peer::data, H2Peer::none, 1, closing(1000));
    play.await_callback("WSI_DESTROY ");
    peer.end_in_order();
}

void two_websockets_and_a_request(Play &play) {
    CountedH2Peer peer(play, 3);
    peer.upgrade_to_echo(1);
    peer.upgrade_to_echo(3);
    peer.get(5, "/small");
    play.saw(peer.await_data(5));
    peer.message(3, "three");
    peer.message(1, "one");
    peer.send_frame(H2Peer::data, H2Peer::none, 3, closing(1000));
    play.await_callback("CLOSED ");
    peer.message(1, "still there");
    peer.send_frame(H2Peer::data, H2Peer::none, 1, closing(1000));
    play.await_callback("CLOSED ", 2);
    peer.end_in_order();
}

void a_websockets_stream_is_reset(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.upgrade_to_echo(1);
    peer.message(1, "one");
    peer.send_frame(H2Peer::reset_stream, H2Peer::none, 1, std::string("\0\0\0\x08", 4));
    peer.end_in_order();
}

void a_websocket_is_lost_with_its_connection(Play &play) {
    CountedH2Peer peer(play, 1);
    peer.upgrade_to_echo(1);
    peer.message(1, "one");
    peer.reset();
}

const std::vector<Session> kSessions = {
    SESSION(nothing_but_settings),
    SESSION(a_get),
    SESSION(something_that_is_not_there),
    SESSION(a_file),
    SESSION(much),
    SESSION(a_post),
    SESSION(requests_one_after_the_other),
    SESSION(requests_at_once),
    SESSION(a_stream_is_reset_while_its_answer_is_not_ready),
    SESSION(lost_while_an_answer_is_not_ready),
    SESSION(half_closed_while_an_answer_is_not_ready),
    SESSION(the_program_drops_a_request),
    SESSION(the_preface_is_wrong),
    SESSION(the_preface_never_comes),
    SESSION(a_frame_that_is_too_long),
    SESSION(messages_of_a_websocket_on_a_stream),
    SESSION(two_websockets_and_a_request),
    SESSION(a_websockets_stream_is_reset),
    SESSION(a_websocket_is_lost_with_its_connection),
};

}  // namespace

int main() {
    return run("HTTP/2", kSessions);
}
