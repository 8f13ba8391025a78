// HTTP/1.1: what clients ask for, how they ask, and how they leave.
#include "peer.hpp"
#include "stage.hpp"

using namespace differential;

namespace {

std::string request(const std::string &method, const std::string &path,
                    const std::string &more_headers = "")
{
    return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more_headers + "\r\n";
}

std::string last_request(const std::string &path)
{
    return request("GET", path, "Connection: close\r\n");
}

void nothing_but_a_connection(Play &play)
{
    Peer peer(play, "plain");
    peer.half_close();
    peer.await_end();
}

void a_get(Play &play)
{
    Peer peer(play, "plain");
    peer.send(last_request("/small"));
    peer.await_end();
}

void a_head(Play &play)
{
    Peer peer(play, "plain");
    peer.send(request("HEAD", "/files/small.txt", "Connection: close\r\n"));
    peer.await_end();
}

void a_file(Play &play)
{
    Peer peer(play, "plain");
    peer.send(last_request("/files/small.txt"));
    peer.await_end();
}

void a_large_file(Play &play)
{
    play.pieces_may_differ();
    Peer peer(play, "plain");
    peer.send(last_request("/files/large.txt"));
    peer.await_end();
}

void something_that_is_not_there(Play &play)
{
    Peer peer(play, "plain");
    peer.send(last_request("/nothing"));
    peer.await_end();
}

void three_requests_one_after_the_other(Play &play)
{
    Peer peer(play, "plain");
    for (int i = 0; i < 2; ++i) {
        peer.send(request("GET", "/small"));
        peer.await("\r\n\r\nbbbbb");
    }
    peer.send(last_request("/small"));
    peer.await_end();
}

void three_requests_in_one_segment(Play &play)
{
    Peer peer(play, "plain");
    peer.send(request("GET", "/small") + request("GET", "/small") + last_request("/small"));
    peer.await_end();
}

void a_post(Play &play)
{
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 11\r\n") +
              "hello world");
    peer.await_end();
}

void a_post_whose_body_comes_later(Play &play)
{
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 11\r\n"));
    play.await_callback("HTTP ");
    peer.send("hello ");
    play.await_callback("HTTP_BODY ");
    peer.send("world");
    peer.await_end();
}

void a_large_post(Play &play)
{
    play.pieces_may_differ();
    Peer peer(play, "plain");
    peer.send(request("POST", "/post", "Connection: close\r\nContent-Length: 500000\r\n") +
              std::string(500000, 'p'));
    peer.await_end();
}

void a_request_byte_by_byte(Play &play)
{
    Peer peer(play, "plain");
    peer.send_slowly(last_request("/small"));
    peer.await_end();
}

void garbage(Play &play)
{
    Peer peer(play, "plain");
    peer.send("\x16\x03\x01 this is not HTTP\r\n\r\n");
    peer.await_end();
}

} // namespace

int main()
{
    return run("HTTP", {
                           SESSION(nothing_but_a_connection),
                           SESSION(a_get),
                           SESSION(a_head),
                           SESSION(a_file),
                           SESSION(a_large_file),
                           SESSION(something_that_is_not_there),
                           SESSION(three_requests_one_after_the_other),
                           SESSION(three_requests_in_one_segment),
                           SESSION(a_post),
                           SESSION(a_post_whose_body_comes_later),
                           SESSION(a_large_post),
                           SESSION(a_request_byte_by_byte),
                           SESSION(garbage),
                       });
}
