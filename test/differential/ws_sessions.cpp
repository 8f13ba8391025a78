// WebSocket: how connections are upgraded, what is sent on them, and how they end.
#include "check.hpp"
#include "stage.hpp"
#include "ws_peer.hpp"

using namespace differential;
using e2e::close_payload;
using e2e::masked_frame;
using e2e::Opcode;

namespace {

// Byte by byte. Each byte of the payload has been echoed when the next is sent: otherwise the
// program would be called once for some of them.
void send_message_slowly(Peer &peer, const std::string &payload) {
    const std::string frame = text(payload);
    const size_t head = frame.size() - payload.size();
    peer.send_slowly(frame.substr(0, head));
    for (size_t i = 0; i < payload.size(); ++i) {
        peer.send(frame.substr(head + i, 1));
        peer.await(payload.substr(i, 1));
    }
}

void an_upgrade_to_a_subprotocol(Play &play) {
    WsPeer peer(play);
    peer.end_in_order();
}

void an_upgrade_to_no_subprotocol(Play &play) {
    Peer peer(play, "plain");
    peer.send(upgrade());
    peer.await("\r\n\r\n");
    peer.send(closing(1000));
    peer.await_end();
}

void an_upgrade_to_the_second_of_two_subprotocols(Play &play) {
    Peer peer(play, "plain");
    peer.send(upgrade(subprotocol("unknown, echo")));
    peer.await("\r\n\r\n");
    peer.send(closing(1000));
    peer.await_end();
}

void an_upgrade_to_a_subprotocol_that_does_not_exist(Play &play) {
    Peer peer(play, "plain");
    peer.send(upgrade(subprotocol("unknown")));
    peer.await_end();
}

void an_upgrade_to_something_else(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: carrier-pigeon\r\n"
              "Connection: Upgrade\r\n\r\n");
    peer.half_close();
    peer.await_end();
}

void an_upgrade_without_a_key(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n");
    peer.half_close();
    peer.await_end();
}

void an_upgrade_of_another_version(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
              "Connection: Upgrade\r\nSec-WebSocket-Version: 5\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    peer.half_close();
    peer.await_end();
}

void an_upgrade_byte_by_byte(Play &play) {
    Peer peer(play, "plain");
    peer.send_slowly(upgrade(subprotocol("echo")));
    peer.await("\r\n\r\n");
    peer.send_slowly(closing(1000));
    peer.await_end();
}

void an_upgrade_after_a_request(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer.await("bbbbb");
    peer.send(upgrade(subprotocol("echo")));
    peer.await("\r\n\r\n");
    peer.send(closing(1000));
    peer.await_end();
}

void a_message_in_the_segment_of_the_upgrade(Play &play) {
    Peer peer(play, "plain");
    peer.send(upgrade(subprotocol("echo")) + text("hello"));
    peer.await("hello");
    peer.send(closing(1000));
    peer.await_end();
}

void everything_in_the_segment_of_the_upgrade(Play &play) {
    Peer peer(play, "plain");
    peer.socket().send_last(upgrade(subprotocol("echo")) + text("hello") + closing(1000));
    peer.await_end();
}

void messages_one_after_the_other(Play &play) {
    WsPeer peer(play);
    for (const char *message : {"one", "two", "three"}) {
        peer.send(text(message));
        peer.await(message);
    }
    peer.end_in_order();
}

void messages_in_one_segment(Play &play) {
    WsPeer peer(play);
    peer.send(text("one") + masked_frame(Opcode::binary, "two") + text("") + text("four"));
    peer.await("four");
    peer.end_in_order();
}

void a_message_byte_by_byte(Play &play) {
    WsPeer peer(play);
    send_message_slowly(peer, "slowly");
    peer.end_in_order();
}

void a_message_in_fragments(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::text, "one ", false));
    peer.await("one ");
    peer.send(masked_frame(Opcode::continuation, "two ", false) +
              masked_frame(Opcode::ping, "in between") +
              masked_frame(Opcode::continuation, "three"));
    peer.await("three");
    peer.end_in_order();
}

void a_message_of_some_pages(Play &play) {
    play.pieces_may_differ();
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::binary, std::string(60000, 'p')) + text("!last"));
    // The echo comes in as many frames as there were pieces.
    peer.discard_to_end();
}

void pings_and_pongs(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::ping, ""));
    peer.await_bytes(2);
    peer.send(masked_frame(Opcode::ping, "a ping"));
    peer.await("a ping");
    peer.send(masked_frame(Opcode::pong, "a pong"));
    play.await_callback("RECEIVE_PONG ");
    peer.end_in_order();
}

void the_program_pings(Play &play) {
    WsPeer peer(play);
    peer.send(text("!ping"));
    peer.await("are you there");
    peer.send(masked_frame(Opcode::pong, "are you there"));
    play.await_callback("RECEIVE_PONG ");
    peer.end_in_order();
}

void closed_with_a_reason(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::close, close_payload(4000, "enough")));
    peer.await_end();
}

void closed_without_a_code(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::close, ""));
    peer.await_end();
}

void closed_with_half_a_code(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::close, "x"));
    peer.await_end();
}

void closed_with_a_code_that_is_not_for_the_wire(Play &play) {
    WsPeer peer(play);
    peer.send(closing(1005));
    peer.await_end();
}

void closed_right_after_a_message(Play &play) {
    WsPeer peer(play);
    peer.send(text("last") + closing(1000));
    peer.await_end();
}

void a_message_after_the_close(Play &play) {
    WsPeer peer(play);
    peer.send(closing(1000) + text("too late"));
    peer.await_end();
}

void half_closed_when_idle(Play &play) {
    WsPeer peer(play);
    peer.half_close();
    peer.await_end();
}

void half_closed_with_a_message(Play &play) {
    WsPeer peer(play);
    peer.socket().send_last(text("hello"));
    peer.await_end();
}

void half_closed_with_the_close(Play &play) {
    WsPeer peer(play);
    peer.socket().send_last(closing(1000));
    peer.await_end();
}

void half_closed_in_a_message(Play &play) {
    WsPeer peer(play);
    peer.socket().send_last(text("hello").substr(0, 8));
    peer.await_end();
}

void half_closed_while_much_is_sent(Play &play) {
    play.pieces_may_differ();
    WsPeer peer(play, "plain", "", kSlowReader);
    peer.send(text("!big"));
    peer.await("bbbb");
    peer.half_close();
    peer.await_end();
}

void lost_when_idle(Play &play) {
    WsPeer peer(play);
    peer.close();
}

void lost_in_a_message(Play &play) {
    WsPeer peer(play);
    peer.send(text("hello").substr(0, 8));
    peer.close();
}

void reset_when_idle(Play &play) {
    WsPeer peer(play);
    peer.reset();
}

void reset_after_a_message(Play &play) {
    WsPeer peer(play);
    peer.send(text("hello"));
    peer.await("hello");
    peer.reset();
}

void reset_while_much_is_sent(Play &play) {
    play.pieces_may_differ();
    WsPeer peer(play, "plain", "", kSlowReader);
    peer.send(text("!big"));
    peer.await("bbbb");
    peer.reset();
}

void much_is_sent_to_a_slow_reader(Play &play) {
    play.pieces_may_differ();
    WsPeer peer(play, "plain", "", kSlowReader);
    peer.send(text("!big"));
    // In frames of 4096 bytes, with heads of 4: the last one is not whole.
    for (int i = 0; i < 244; ++i)
        peer.await_bytes(4 + 4096);
    peer.await_bytes(4 + 576);
    peer.end_in_order();
}

void a_mask_is_missing(Play &play) {
    WsPeer peer(play);
    peer.send(std::string("\x81\x05hello", 7));
    // The echo, or more of a close.
    peer.await_bytes(7);
    peer.half_close();
    peer.await_end();
}

void an_opcode_that_is_reserved(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::reserved, "hello"));
    peer.end_when_closed();
}

void a_bit_that_is_reserved(Play &play) {
    WsPeer peer(play);
    std::string frame = text("hello");
    frame[0] = static_cast<char>(frame[0] | 0x40);
    peer.send(frame);
    peer.end_when_closed();
}

void a_ping_that_is_too_long(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::ping, std::string(126, 'p')));
    peer.await_end();
}

void a_continuation_of_nothing(Play &play) {
    WsPeer peer(play);
    peer.send(masked_frame(Opcode::continuation, "hello"));
    peer.end_when_closed();
}

void text_that_is_not_utf8(Play &play) {
    WsPeer peer(play);
    peer.send(text("\xff\xfe"));
    peer.end_when_closed();
}

void the_program_closes(Play &play) {
    WsPeer peer(play);
    peer.send(text("!close 4001"));
    peer.await("as you wish");
    peer.send(closing(4001));
    peer.await_end();
}

void the_program_closes_and_the_peer_half_closes(Play &play) {
    WsPeer peer(play);
    peer.send(text("!close 4001"));
    peer.await("as you wish");
    peer.half_close();
    peer.await_end();
}

void the_program_closes_and_the_peer_does_not_care(Play &play) {
    WsPeer peer(play);
    peer.send(text("!close 4001"));
    peer.await_end();
}

void the_program_closes_and_messages_still_come(Play &play) {
    WsPeer peer(play);
    peer.send(text("!close 4001"));
    peer.await("as you wish");
    peer.send(text("ignored") + closing(4001));
    peer.await_end();
}

void the_program_drops_the_connection(Play &play) {
    WsPeer peer(play);
    peer.send(text("!drop"));
    peer.await_end();
}

void the_program_closes_after_its_last_words(Play &play) {
    WsPeer peer(play);
    peer.send(text("!last"));
    peer.await("last words");
    peer.await_end();
}

void the_program_sets_a_timeout(Play &play) {
    WsPeer peer(play);
    peer.send(text("!timeout"));
    peer.await_end();
}

void the_program_writes_by_a_timer(Play &play) {
    WsPeer peer(play);
    peer.send(text("!timer"));
    peer.await("in time");
    peer.end_in_order();
}

void the_program_does_not_read_for_some_time(Play &play) {
    WsPeer peer(play);
    peer.send(text("!pause"));
    play.await_callback("note: !pause");
    peer.send(text("one") + text("two"));
    peer.await("two");
    peer.end_in_order();
}

void the_program_does_not_read_what_came_with_its_stop(Play &play) {
    WsPeer peer(play);
    peer.send(text("!pause") + text("one") + text("two"));
    peer.await("two");
    peer.end_in_order();
}

void half_closed_while_the_program_does_not_read(Play &play) {
    WsPeer peer(play);
    peer.send(text("!pause"));
    play.await_callback("note: !pause");
    peer.socket().send_last(text("one"));
    peer.await_end();
}

void an_idle_peer_answers_pings(Play &play) {
    WsPeer peer(play, "impatient");
    for (int i = 0; i < 2; ++i) {
        const std::string ping = peer.await_bytes(2);
        peer.await_bytes(static_cast<size_t>(ping[1]));
        peer.send(masked_frame(Opcode::pong, ""));
    }
    peer.end_in_order();
}

void an_idle_peer_answers_nothing(Play &play) {
    WsPeer peer(play, "impatient");
    peer.await_end();
}

const std::vector<Session> kSessions = {
    SESSION(an_upgrade_to_a_subprotocol),
    SESSION(an_upgrade_to_no_subprotocol),
    SESSION(an_upgrade_to_the_second_of_two_subprotocols),
    SESSION(an_upgrade_to_a_subprotocol_that_does_not_exist),
    SESSION(an_upgrade_to_something_else),
    SESSION(an_upgrade_without_a_key),
    SESSION(an_upgrade_of_another_version),
    SESSION(an_upgrade_byte_by_byte),
    SESSION(an_upgrade_after_a_request),
    SESSION(a_message_in_the_segment_of_the_upgrade),
    SESSION(everything_in_the_segment_of_the_upgrade),
    SESSION(messages_one_after_the_other),
    SESSION(messages_in_one_segment),
    SESSION(a_message_byte_by_byte),
    SESSION(a_message_in_fragments),
    SESSION(a_message_of_some_pages),
    SESSION(pings_and_pongs),
    SESSION(the_program_pings),
    SESSION(closed_with_a_reason),
    SESSION(closed_without_a_code),
    SESSION(closed_with_half_a_code),
    SESSION(closed_with_a_code_that_is_not_for_the_wire),
    SESSION(closed_right_after_a_message),
    SESSION(a_message_after_the_close),
    SESSION(half_closed_when_idle),
    SESSION(half_closed_with_a_message),
    SESSION(half_closed_with_the_close),
    SESSION(half_closed_in_a_message),
    SESSION(half_closed_while_much_is_sent),
    SESSION(lost_when_idle),
    SESSION(lost_in_a_message),
    SESSION(reset_when_idle),
    SESSION(reset_after_a_message),
    SESSION(reset_while_much_is_sent),
    SESSION(much_is_sent_to_a_slow_reader),
    SESSION(a_mask_is_missing),
    SESSION(an_opcode_that_is_reserved),
    SESSION(a_bit_that_is_reserved),
    SESSION(a_ping_that_is_too_long),
    SESSION(a_continuation_of_nothing),
    SESSION(text_that_is_not_utf8),
    SESSION(the_program_closes),
    SESSION(the_program_closes_and_the_peer_half_closes),
    SESSION(the_program_closes_and_the_peer_does_not_care),
    SESSION(the_program_closes_and_messages_still_come),
    SESSION(the_program_drops_the_connection),
    SESSION(the_program_closes_after_its_last_words),
    SESSION(the_program_sets_a_timeout),
    SESSION(the_program_writes_by_a_timer),
    SESSION(the_program_does_not_read_for_some_time),
    SESSION(the_program_does_not_read_what_came_with_its_stop),
    SESSION(half_closed_while_the_program_does_not_read),
    SESSION(an_idle_peer_answers_pings),
    SESSION(an_idle_peer_answers_nothing),
};

}  // namespace

int main() {
    return run("WebSocket", kSessions);
}
