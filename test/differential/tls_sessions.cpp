// TLS below HTTP/1.1 and WebSocket: handshakes, records, and how connections end.
#include "check.hpp"
#include "peer.hpp"
#include "requests.hpp"
#include "stage.hpp"

using namespace differential;
using e2e::masked_frame;
using e2e::Opcode;

namespace {

class TlsPeer : public Peer {
public:
    TlsPeer(Play &play, const std::string &alpn = "", const e2e::SocketOptions &options = {})
        : Peer(play, "tls", options) {
        start_tls(alpn);
    }

    void upgrade_to_echo() {
        send(upgrade(subprotocol("echo")));
        await("\r\n\r\n");
    }
};

// One that is there before its first bytes are: what libwebsockets calls back for when a handshake
// fails while it accepts the connection is another matter than when it fails later.
class AcceptedPeer : public Peer {
public:
    AcceptedPeer(Play &play, const std::string &vhost) : Peer(play, vhost) {
        play.await_callback("SERVER_NEW_CLIENT_INSTANTIATED ");
    }
};

std::string client_hello() {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = SSL_new(context);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(tls, BIO_new(BIO_s_mem()), out);
    SSL_connect(tls);
    char bytes[4096];
    const int size = BIO_read(out, bytes, sizeof bytes);
    SSL_free(tls);
    SSL_CTX_free(context);
    CHECK(size > 0);
    return {bytes, static_cast<size_t>(size)};
}

void a_handshake_and_nothing_else(Play &play) {
    TlsPeer peer(play);
    play.await_callback("SERVER_NEW_CLIENT_INSTANTIATED ");
    peer.end_tls();
    peer.await_end();
}

void a_get(Play &play) {
    TlsPeer peer(play);
    peer.send(last_request("/small"));
    peer.await_end();
}

void a_get_that_asked_for_http_1_1(Play &play) {
    TlsPeer peer(play, "http/1.1");
    peer.send(last_request("/small"));
    peer.await_end();
}

void a_file(Play &play) {
    play.pieces_may_differ();
    TlsPeer peer(play);
    peer.send(last_request("/files/large.txt"));
    peer.await_end();
}

void requests_one_after_the_other(Play &play) {
    TlsPeer peer(play);
    for (int i = 0; i < 2; ++i) {
        peer.send(request("GET", "/small"));
        peer.await("bbbbb");
    }
    peer.send(last_request("/small"));
    peer.await_end();
}

void a_post(Play &play) {
    TlsPeer peer(play);
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 11\r\n"));
    play.await_callback("HTTP ");
    peer.send("hello ");
    play.await_callback("HTTP_BODY ");
    peer.send("world");
    peer.await_end();
}

void a_large_post(Play &play) {
    play.pieces_may_differ();
    TlsPeer peer(play);
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 500000\r\n") +
              std::string(500000, 'p'));
    peer.await_end();
}

void a_request_byte_by_byte(Play &play) {
    TlsPeer peer(play);
    peer.send_slowly(last_request("/small"));
    peer.await_end();
}

void messages_one_after_the_other(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    for (const char *message : {"one", "two", "three"}) {
        peer.send(text(message));
        peer.await(message);
    }
    peer.send(closing(1000));
    peer.await_end();
}

void messages_in_one_record(Play &play) {
    play.pieces_may_differ();
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    // More than one read of lws's: the rest waits in OpenSSL, of which no socket knows.
    std::string messages;
    for (int i = 0; i < 15; ++i)
        messages += masked_frame(Opcode::binary, std::string(1000, static_cast<char>('a' + i)));
    peer.send(messages);
    peer.await(std::string(1000, 'o'));
    peer.send(closing(1000));
    peer.await_end();
}

void much_is_sent_to_a_slow_reader(Play &play) {
    play.pieces_may_differ();
    TlsPeer peer(play, "", kSlowReader);
    peer.upgrade_to_echo();
    peer.send(text("!big"));
    // In frames of 4096 bytes, with heads of 4: the last one is not whole.
    for (int i = 0; i < 244; ++i)
        peer.await_bytes(4 + 4096);
    peer.await_bytes(4 + 576);
    peer.send(closing(1000));
    peer.await_end();
}

void the_program_does_not_read_for_some_time(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.send(text("!pause") + text("one") + text("two"));
    peer.await("two");
    peer.send(closing(1000));
    peer.await_end();
}

void the_program_closes(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.send(text("!close 4001"));
    peer.await("as you wish");
    peer.send(closing(4001));
    peer.await_end();
}

void the_program_drops_the_connection(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.send(text("!drop"));
    peer.await_end();
}

void garbage(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.send("\x16\x03\x01 this is not TLS, nor anything else\r\n\r\n");
    peer.await_end();
}

void plain_http(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.send(last_request("/small"));
    peer.await_end();
}

void plain_http_where_that_is_redirected(Play &play) {
    AcceptedPeer peer(play, "redirect");
    peer.send(last_request("/small"));
    peer.await("\r\n\r\n");
    peer.half_close();
    peer.discard_to_end();
}

void a_get_where_plain_http_is_redirected(Play &play) {
    AcceptedPeer peer(play, "redirect");
    peer.start_tls();
    peer.send(last_request("/small"));
    peer.await_end();
}

void closed_at_once(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.close();
}

void half_closed_in_the_handshake(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.socket().send_last(client_hello().substr(0, 50));
    peer.await_end();
}

void half_closed_with_the_first_flight(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.socket().send_last(client_hello());
    // What comes is random, encrypted.
    peer.discard_to_end();
}

void reset_in_the_handshake(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.send(client_hello());
    // The server's answer: it waits for the client's second flight.
    peer.await("\x16");
    peer.reset();
}

void the_handshake_never_ends(Play &play) {
    AcceptedPeer peer(play, "tls");
    peer.send(client_hello().substr(0, 50));
    peer.await_end();
}

void close_notify_when_idle(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.end_tls();
    peer.await_end();
}

void close_notify_and_the_end_of_the_stream(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.end_tls();
    peer.half_close();
    peer.await_end();
}

void half_closed_without_close_notify(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.half_close();
    peer.await_end();
}

void half_closed_with_a_request(Play &play) {
    TlsPeer peer(play);
    peer.send(last_request("/later"));
    play.await_callback("HTTP ");
    peer.half_close();
    peer.await_end();
}

void reset_when_idle(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.reset();
}

void reset_after_a_message(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    peer.send(text("hello"));
    peer.await("hello");
    peer.reset();
}

void reset_while_much_is_sent(Play &play) {
    play.pieces_may_differ();
    TlsPeer peer(play, "", kSlowReader);
    peer.send(last_request("/big"));
    peer.await("bbbb");
    peer.reset();
}

void a_record_that_is_broken(Play &play) {
    TlsPeer peer(play);
    peer.upgrade_to_echo();
    // Past the peer's own TLS: application data that cannot be decrypted.
    peer.socket().send_all(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
    peer.await_end();
}

const std::vector<Session> kSessions = {
    SESSION(a_handshake_and_nothing_else),
    SESSION(a_get),
    SESSION(a_get_that_asked_for_http_1_1),
    SESSION(a_file),
    SESSION(requests_one_after_the_other),
    SESSION(a_post),
    SESSION(a_large_post),
    SESSION(a_request_byte_by_byte),
    SESSION(messages_one_after_the_other),
    SESSION(messages_in_one_record),
    SESSION(much_is_sent_to_a_slow_reader),
    SESSION(the_program_does_not_read_for_some_time),
    SESSION(the_program_closes),
    SESSION(the_program_drops_the_connection),
    SESSION(garbage),
    SESSION(plain_http),
    SESSION(plain_http_where_that_is_redirected),
    SESSION(a_get_where_plain_http_is_redirected),
    SESSION(closed_at_once),
    SESSION(half_closed_in_the_handshake),
    SESSION(half_closed_with_the_first_flight),
    SESSION(reset_in_the_handshake),
    SESSION(the_handshake_never_ends),
    SESSION(close_notify_when_idle),
    SESSION(close_notify_and_the_end_of_the_stream),
    SESSION(half_closed_without_close_notify),
    SESSION(half_closed_with_a_request),
    SESSION(reset_when_idle),
    SESSION(reset_after_a_message),
    SESSION(reset_while_much_is_sent),
    SESSION(a_record_that_is_broken),
};

}  // namespace

int main() {
    return run("TLS", kSessions);
}
