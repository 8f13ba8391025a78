// Clients of libwebsockets, which the program is told to start: to its own servers, and to peers
// that behave in ways its servers do not.
#include "check.hpp"
#include "peer.hpp"
#include "requests.hpp"
#include "stage.hpp"
#include "tcp_listener.hpp"

using namespace differential;
using e2e::masked_frame;
using e2e::Opcode;
using e2e::TcpListener;
using e2e::TcpSocket;

namespace {

// Has the program start a client. The connection that asks for it is the first of the session, the
// client the second.
void start(Play &play, const std::string &method, int port, const std::string &path = "/") {
    play.hide("/" + std::to_string(port) + "/", "/PORT/");
    Peer asking(play, "plain");
    play.one_more_connection();
    asking.send(last_request("/client/" + method + "/" + std::to_string(port) + path));
    asking.await_end();
}

void start_to_own(Play &play, const std::string &method, const std::string &vhost,
                  const std::string &path = "/") {
    play.one_more_connection();
    start(play, method, play.port(vhost), path);
}

// What the client sends until `end`.
std::string read_until(TcpSocket &socket, const std::string &end) {
    std::string all;
    while (all.find(end) == std::string::npos) {
        char block[4096];
        CHECK(socket.await_readable());
        const e2e::IoResult got = socket.receive_some(block, sizeof block);
        CHECK(got.state == e2e::Io::ok);
        all.append(block, got.bytes);
    }
    return all;
}

// A peer that a client of the program connects to.
class ClientsPeer {
public:
    ClientsPeer(Play &play, const std::string &method) {
        start(play, method, listener_.port(), "/path");
        socket_ = std::make_unique<TcpSocket>(listener_.accept());
    }

    // The client's next connection.
    void accept_again() { socket_ = std::make_unique<TcpSocket>(listener_.accept()); }

    TcpSocket &socket() { return *socket_; }
    std::string request() { return read_until(*socket_, "\r\n\r\n"); }
    void answer(const std::string &bytes) { socket_->send_all(bytes); }

private:
    TcpListener listener_;
    std::unique_ptr<TcpSocket> socket_;
};

// A server's frame is not masked.
std::string servers_text(const std::string &payload) {
    return std::string("\x81") + static_cast<char>(payload.size()) + payload;
}

// RFC 6455, 1.3, of the key that the client sent.
std::string accept_of(const std::string &request);

void a_get(Play &play) {
    start_to_own(play, "GET", "plain", "/small");
}

void a_get_of_much(Play &play) {
    play.pieces_may_differ();
    start_to_own(play, "GET", "plain", "/big");
}

void a_get_of_something_that_is_not_there(Play &play) {
    start_to_own(play, "GET", "plain", "/nothing");
}

void a_get_that_the_server_drops(Play &play) {
    start_to_own(play, "GET", "plain", "/drop");
}

void a_get_that_is_answered_later(Play &play) {
    start_to_own(play, "GET", "plain", "/later");
}

void a_get_over_tls(Play &play) {
    start_to_own(play, "GET-tls", "tls", "/small");
}

void a_get_over_http_2(Play &play) {
    play.one_more_connection();
    play.one_more_connection();
    start_to_own(play, "GET-h2", "tls", "/small");
}

void a_get_over_tls_from_a_server_without(Play &play) {
    start_to_own(play, "GET-tls", "plain", "/small");
}

void a_websocket(Play &play) {
    start_to_own(play, "ws", "plain");
}

void a_websocket_over_tls(Play &play) {
    start_to_own(play, "ws-tls", "tls");
}

void a_websocket_with_deflate(Play &play) {
    start_to_own(play, "ws", "deflate");
}

void raw(Play &play) {
    start_to_own(play, "RAW", "raw");
}

void nobody_listens(Play &play) {
    start(play, "GET", e2e::closed_port());
}

void nobody_listens_for_a_websocket(Play &play) {
    start(play, "ws", e2e::closed_port());
}

void nobody_listens_for_raw(Play &play) {
    start(play, "RAW", e2e::closed_port());
}

void the_server_closes_at_once(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.socket().close();
}

void the_server_resets_at_once(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.socket().reset();
}

void the_server_closes_in_its_head(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 200 OK\r\nContent-");
    peer.socket().close();
}

void the_server_closes_in_its_body(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello");
    play.await_callback("RECEIVE_CLIENT_HTTP_READ ");
    peer.socket().close();
}

void the_server_resets_in_its_body(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello");
    play.await_callback("RECEIVE_CLIENT_HTTP_READ ");
    peer.socket().reset();
}

void the_body_ends_with_the_stream(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
    play.await_callback("RECEIVE_CLIENT_HTTP_READ ");
    peer.socket().close();
}

void the_body_comes_in_chunks(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    play.await_callback("RECEIVE_CLIENT_HTTP_READ ");
    peer.answer("6\r\n world\r\n0\r\n\r\n");
    peer.socket().receive_to_end();
}

void the_answer_comes_byte_by_byte(Play &play) {
    play.pieces_may_differ();
    ClientsPeer peer(play, "GET");
    peer.request();
    const std::string all = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for (const char byte : all) {
        peer.answer({&byte, 1});
        e2e::await("the byte to arrive", [&] { return peer.socket().unsent() == 0; });
    }
    peer.socket().receive_to_end();
}

void the_answer_comes_with_the_end_of_the_stream(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.socket().send_last("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    peer.socket().receive_to_end();
}

void the_server_redirects(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    peer.accept_again();
    const std::string request = peer.request();
    play.saw(request.substr(0, request.find("\r\n")));
    peer.answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    peer.socket().receive_to_end();
}

void the_server_redirects_to_where_nobody_listens(Play &play) {
    const std::string port = std::to_string(e2e::closed_port());
    play.hide(port, "PORT");
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:" + port +
                "/elsewhere\r\nContent-Length: 0\r\n\r\n");
    peer.socket().receive_to_end();
}

void the_server_talks_http_where_tls_is_expected(Play &play) {
    ClientsPeer peer(play, "GET-tls");
    char byte;
    CHECK(peer.socket().await_readable());
    CHECK(peer.socket().receive_some(&byte, 1).state == e2e::Io::ok);
    peer.answer("HTTP/1.1 400 Bad Request\r\n\r\n");
    peer.socket().receive_to_end();
}

void the_server_closes_in_the_tls_handshake(Play &play) {
    ClientsPeer peer(play, "GET-tls");
    char byte;
    CHECK(peer.socket().await_readable());
    CHECK(peer.socket().receive_some(&byte, 1).state == e2e::Io::ok);
    peer.socket().shutdown_write();
    peer.socket().receive_to_end();
}

void the_certificate_is_not_trusted(Play &play) {
    start_to_own(play, "GET-sure", "tls", "/small");
}

void the_answer_is_garbage(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.answer("this is not HTTP\r\n\r\n");
    peer.socket().receive_to_end();
}

void the_answer_never_comes(Play &play) {
    ClientsPeer peer(play, "GET");
    peer.request();
    peer.socket().receive_to_end();
}

void the_upgrade_is_refused(Play &play) {
    ClientsPeer peer(play, "ws");
    peer.request();
    peer.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    peer.socket().receive_to_end();
}

void the_upgrade_is_accepted_with_a_wrong_key(Play &play) {
    ClientsPeer peer(play, "ws");
    peer.request();
    peer.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                "Sec-WebSocket-Protocol: echo\r\n\r\n");
    peer.socket().receive_to_end();
}

void the_server_closes_instead_of_upgrading(Play &play) {
    ClientsPeer peer(play, "ws");
    peer.request();
    peer.socket().close();
}

// A server's side of a WebSocket to the client.
class ClientsWsPeer : public ClientsPeer {
public:
    explicit ClientsWsPeer(Play &play) : ClientsPeer(play, "ws") {
        answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: " +
               accept_of(request()) + "\r\nSec-WebSocket-Protocol: echo\r\n\r\n");
        play.await_callback("CLIENT_WRITEABLE ");
    }
};

std::string accept_of(const std::string &request) {
    const std::string name = "Sec-WebSocket-Key: ";
    const size_t begin = request.find(name) + name.size();
    const std::string key = request.substr(begin, request.find("\r\n", begin) - begin) +
                            "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[20], base64[29];
    CHECK(EVP_Digest(key.data(), key.size(), digest, nullptr, EVP_sha1(), nullptr));
    EVP_EncodeBlock(base64, digest, sizeof digest);
    return reinterpret_cast<char *>(base64);
}

void a_message_comes_with_the_acceptance(Play &play) {
    ClientsPeer peer(play, "ws");
    const std::string request = peer.request();
    peer.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: " +
                accept_of(request) + "\r\nSec-WebSocket-Protocol: echo\r\n\r\n" +
                servers_text("welcome"));
    play.await_callback("CLIENT_RECEIVE ");
    peer.socket().receive_to_end();
}

void the_server_closes_a_websocket(Play &play) {
    ClientsWsPeer peer(play);
    peer.answer(std::string("\x88\x02\x03\xe8", 4));
    peer.socket().receive_to_end();
}

void the_server_ends_the_stream_of_a_websocket(Play &play) {
    ClientsWsPeer peer(play);
    peer.socket().shutdown_write();
    peer.socket().receive_to_end();
}

void the_server_resets_a_websocket(Play &play) {
    ClientsWsPeer peer(play);
    peer.socket().reset();
}

void the_server_sends_a_masked_frame(Play &play) {
    ClientsWsPeer peer(play);
    peer.answer(masked_frame(Opcode::text, "hello"));
    // It writes a close.
    play.await_callback("CLIENT_WRITEABLE ", 2);
    peer.socket().shutdown_write();
    peer.socket().receive_to_end();
}

void a_raw_server_ends_its_stream(Play &play) {
    ClientsPeer peer(play, "RAW");
    read_until(peer.socket(), "hello");
    peer.socket().shutdown_write();
    peer.socket().receive_to_end();
}

void a_raw_server_resets(Play &play) {
    ClientsPeer peer(play, "RAW");
    read_until(peer.socket(), "hello");
    peer.socket().reset();
}

const std::vector<Session> kSessions = {
    SESSION(a_get),
    SESSION(a_get_of_much),
    SESSION(a_get_of_something_that_is_not_there),
    SESSION(a_get_that_the_server_drops),
    SESSION(a_get_that_is_answered_later),
    SESSION(a_get_over_tls),
    SESSION(a_get_over_http_2),
    SESSION(a_get_over_tls_from_a_server_without),
    SESSION(a_websocket),
    SESSION(a_websocket_over_tls),
    SESSION(a_websocket_with_deflate),
    SESSION(raw),
    SESSION(nobody_listens),
    SESSION(nobody_listens_for_a_websocket),
    SESSION(nobody_listens_for_raw),
    SESSION(the_server_closes_at_once),
    SESSION(the_server_resets_at_once),
    SESSION(the_server_closes_in_its_head),
    SESSION(the_server_closes_in_its_body),
    SESSION(the_server_resets_in_its_body),
    SESSION(the_body_ends_with_the_stream),
    SESSION(the_body_comes_in_chunks),
    SESSION(the_answer_comes_byte_by_byte),
    SESSION(the_answer_comes_with_the_end_of_the_stream),
    SESSION(the_server_redirects),
    SESSION(the_server_redirects_to_where_nobody_listens),
    SESSION(the_server_talks_http_where_tls_is_expected),
    SESSION(the_server_closes_in_the_tls_handshake),
    SESSION(the_certificate_is_not_trusted),
    SESSION(the_answer_is_garbage),
    SESSION(the_answer_never_comes),
    SESSION(the_upgrade_is_refused),
    SESSION(the_upgrade_is_accepted_with_a_wrong_key),
    SESSION(the_server_closes_instead_of_upgrading),
    SESSION(a_message_comes_with_the_acceptance),
    SESSION(the_server_closes_a_websocket),
    SESSION(the_server_ends_the_stream_of_a_websocket),
    SESSION(the_server_resets_a_websocket),
    SESSION(the_server_sends_a_masked_frame),
    SESSION(a_raw_server_ends_its_stream),
    SESSION(a_raw_server_resets),
};

}  // namespace

int main() {
    return run("clients", kSessions);
}
