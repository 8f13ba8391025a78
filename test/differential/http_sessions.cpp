// HTTP/1.1: what clients ask for, how they ask, and how they leave.
#include "peer.hpp"
#include "requests.hpp"
#include "stage.hpp"

using namespace differential;

namespace {

void nothing_but_a_connection(Play &play) {
    Peer peer(play, "plain");
    peer.half_close();
    peer.await_end();
}

void a_get(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/small"));
    peer.await_end();
}

void a_head(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("HEAD", "/files/small.txt", "Connection: close\r\n"));
    peer.await_end();
}

void a_file(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/files/small.txt"));
    peer.await_end();
}

void a_large_file(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain");
    peer.send(last_request("/files/large.txt"));
    peer.await_end();
}

void something_that_is_not_there(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/nothing"));
    peer.await_end();
}

void three_requests_one_after_the_other(Play &play) {
    Peer peer(play, "plain");
    for (int i = 0; i < 2; ++i) {
        peer.send(request("GET", "/small"));
        peer.await("\r\n\r\nbbbbb");
    }
    peer.send(last_request("/small"));
    peer.await_end();
}

void three_requests_in_one_segment(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/small") + request("GET", "/small") + last_request("/small"));
    peer.await_end();
}

void a_request_behind_one_for_much(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain");
    peer.send(request("GET", "/big") + last_request("/small"));
    peer.await_end();
}

void a_request_while_the_answer_is_not_ready(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/later"));
    play.await_callback("HTTP ");
    peer.send(last_request("/small"));
    peer.await_end();
}

void a_post(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 11\r\n") +
              "hello world");
    peer.await_end();
}

void a_post_whose_body_comes_later(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 11\r\n"));
    play.await_callback("HTTP ");
    peer.send("hello ");
    play.await_callback("HTTP_BODY ");
    peer.send("world");
    peer.await_end();
}

void a_large_post(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 500000\r\n") +
              std::string(500000, 'p'));
    peer.await_end();
}

void a_request_byte_by_byte(Play &play) {
    Peer peer(play, "plain");
    peer.send_slowly(last_request("/small"));
    peer.await_end();
}

void an_old_client(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET /small HTTP/1.0\r\n\r\n");
    peer.await_end();
}

void a_part_of_a_file(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/files/small.txt", "Connection: close\r\nRange: bytes=2-6\r\n"));
    peer.await_end();
}

void a_post_in_chunks(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nTransfer-Encoding: chunked\r\n") +
              "5\r\nhello\r\n0\r\n\r\n");
    peer.half_close();
    peer.await_end();
}

void a_post_and_a_request_in_one_segment(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Content-Length: 11\r\n") + "hello world" +
              last_request("/small"));
    peer.await_end();
}

void a_body_that_nobody_asked_for(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/nothing", "Content-Length: 11\r\n") + "hello world");
    peer.await("</html>");
    peer.send(last_request("/small"));
    peer.await_end();
}

void garbage(Play &play) {
    Peer peer(play, "plain");
    peer.send("\x16\x03\x01 this is not HTTP\r\n\r\n");
    peer.await_end();
}

void a_method_that_does_not_exist(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("BREW", "/small", "Connection: close\r\n"));
    peer.await_end();
}

void a_head_that_is_too_long(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/small",
                      "X-Long: " + std::string(3000, 'x') + "\r\n" +
                          "X-Long: " + std::string(3000, 'x') + "\r\nConnection: close\r\n"));
    peer.await_end();
}

void an_address_that_is_too_long(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/" + std::string(6000, 'x')));
    peer.await_end();
}

void half_closed_with_the_request(Play &play) {
    Peer peer(play, "plain");
    peer.socket().send_last(request("GET", "/small"));
    peer.await_end();
}

void half_closed_with_the_request_of_a_file(Play &play) {
    Peer peer(play, "plain");
    peer.socket().send_last(request("GET", "/files/small.txt"));
    peer.await_end();
}

void half_closed_with_the_request_of_much(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain");
    peer.socket().send_last(last_request("/big"));
    peer.await_end();
}

void half_closed_after_the_answer(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/small"));
    peer.await("\r\n\r\nbbbbb");
    peer.half_close();
    peer.await_end();
}

void half_closed_while_the_answer_is_not_ready(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/later"));
    play.await_callback("HTTP ");
    peer.half_close();
    peer.await_end();
}

void half_closed_in_the_head(Play &play) {
    Peer peer(play, "plain");
    peer.socket().send_last("GET /small HTTP/1.1\r\nHo");
    peer.await_end();
}

void half_closed_in_the_body(Play &play) {
    Peer peer(play, "plain");
    peer.socket().send_last(request("POST", "/post", "Content-Length: 11\r\n") + "hello");
    peer.await_end();
}

void half_closed_with_the_body(Play &play) {
    Peer peer(play, "plain");
    peer.socket().send_last(request("POST", "/post", "Content-Length: 5\r\n") + "hello");
    peer.await_end();
}

void closed_in_the_head(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET /small HTTP/1.1\r\nHo");
    peer.close();
}

void closed_in_the_body(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Content-Length: 11\r\n") + "hello");
    play.await_callback("HTTP_BODY ");
    peer.close();
}

void closed_while_the_answer_is_not_ready(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/never"));
    play.await_callback("HTTP ");
    peer.close();
}

void reset_at_once(Play &play) {
    Peer peer(play, "plain");
    peer.reset();
}

void reset_in_the_head(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET /small HTTP/1.1\r\nHo");
    play.await_callback("SERVER_NEW_CLIENT_INSTANTIATED ");
    peer.reset();
}

void reset_in_the_body(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Content-Length: 11\r\n") + "hello");
    play.await_callback("HTTP_BODY ");
    peer.reset();
}

void reset_while_the_answer_is_not_ready(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/never"));
    play.await_callback("HTTP ");
    peer.reset();
}

void reset_between_requests(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/small"));
    peer.await("\r\n\r\nbbbbb");
    peer.reset();
}

void reset_in_the_answer(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain", kSlowReader);
    peer.send(last_request("/big"));
    peer.await("\r\n\r\nb");
    peer.reset();
}

void closed_in_the_answer(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain", kSlowReader);
    peer.send(last_request("/big"));
    peer.await("\r\n\r\nb");
    peer.close();
}

void a_slow_reader(Play &play) {
    play.pieces_may_differ();
    Peer peer(play, "plain", kSlowReader);
    peer.send(last_request("/big"));
    peer.await("\r\n\r\n");
    for (int i = 0; i < 100; ++i)
        peer.await_bytes(10000);
    peer.await_end();
}

void the_program_drops_a_request(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/drop"));
    peer.await_end();
}

void the_program_sets_a_timeout(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("GET", "/timeout"));
    peer.await_end();
}

void the_program_answers_later(Play &play) {
    Peer peer(play, "plain");
    peer.send(last_request("/later"));
    peer.await_end();
}

void the_head_never_comes(Play &play) {
    Peer peer(play, "plain");
    peer.send("GET /small HTTP/1.1\r\nHo");
    peer.await_end();
}

void the_body_never_comes(Play &play) {
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Content-Length: 11\r\n") + "hello");
    peer.await_end();
}

void the_next_request_never_comes(Play &play) {
    Peer peer(play, "impatient");
    peer.send(request("GET", "/small"));
    peer.await_end();
}

void two_connections_at_once(Play &play) {
    Peer first(play, "plain");
    first.send("GET /small HTTP/1.1\r\nHo");
    play.await_callback("SERVER_NEW_CLIENT_INSTANTIATED ");
    Peer second(play, "plain");
    second.send(last_request("/later"));
    play.await_callback("HTTP ");
    first.send("st: localhost\r\nConnection: close\r\n\r\n");
    first.await_end();
    second.await_end();
}

const std::vector<Session> kSessions = {
    SESSION(nothing_but_a_connection),
    SESSION(a_get),
    SESSION(a_head),
    SESSION(a_file),
    SESSION(a_large_file),
    SESSION(something_that_is_not_there),
    SESSION(three_requests_one_after_the_other),
    SESSION(three_requests_in_one_segment),
    SESSION(a_request_behind_one_for_much),
    SESSION(a_request_while_the_answer_is_not_ready),
    SESSION(a_post),
    SESSION(a_post_whose_body_comes_later),
    SESSION(a_large_post),
    SESSION(a_request_byte_by_byte),
    SESSION(an_old_client),
    SESSION(a_part_of_a_file),
    SESSION(a_post_in_chunks),
    SESSION(a_post_and_a_request_in_one_segment),
    SESSION(a_body_that_nobody_asked_for),
    SESSION(garbage),
    SESSION(a_method_that_does_not_exist),
    SESSION(a_head_that_is_too_long),
    SESSION(an_address_that_is_too_long),
    SESSION(half_closed_with_the_request),
    SESSION(half_closed_with_the_request_of_a_file),
    SESSION(half_closed_with_the_request_of_much),
    SESSION(half_closed_after_the_answer),
    SESSION(half_closed_while_the_answer_is_not_ready),
    SESSION(half_closed_in_the_head),
    SESSION(half_closed_in_the_body),
    SESSION(half_closed_with_the_body),
    SESSION(closed_in_the_head),
    SESSION(closed_in_the_body),
    SESSION(closed_while_the_answer_is_not_ready),
    SESSION(reset_at_once),
    SESSION(reset_in_the_head),
    SESSION(reset_in_the_body),
    SESSION(reset_while_the_answer_is_not_ready),
    SESSION(reset_between_requests),
    SESSION(reset_in_the_answer),
    SESSION(closed_in_the_answer),
    SESSION(a_slow_reader),
    SESSION(the_program_drops_a_request),
    SESSION(the_program_sets_a_timeout),
    SESSION(the_program_answers_later),
    SESSION(the_head_never_comes),
    SESSION(the_body_never_comes),
    SESSION(the_next_request_never_comes),
    SESSION(two_connections_at_once),
};

}  // namespace

int main() {
    return run("HTTP", kSessions);
}
