// HTTP/1.1 over a TcpSocket, as far as the tests need it.
#pragma once

#include "tcp_socket.hpp"

#include <map>
#include <string>

namespace e2e {

struct HttpResponse {
    int status = 0;
    std::map<std::string, std::string> headers; // names in lower case
    std::string body;
};

class HttpClient {
public:
    explicit HttpClient(int port, const SocketOptions &options = {}) : socket_(port, options) {}

    TcpSocket &socket() { return socket_; }

    static std::string get_request(const std::string &path, const std::string &more_headers = "");

    void get(const std::string &path) { socket_.send_all(get_request(path)); }

    // The next response, whose length must be given by content-length. Fails if the connection
    // ends before its last byte.
    HttpResponse read_response();

    // As much of a response as came before the connection ended.
    HttpResponse read_to_end();

private:
    bool receive_more(const Deadline &deadline);
    bool take_head(HttpResponse *response);

    TcpSocket socket_;
    std::string unparsed_;
};

} // namespace e2e
