#include "http_client.hpp"

#include "check.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace e2e {

namespace {
constexpr std::string_view kEndOfHead = "\r\n\r\n";
}

std::string HttpClient::get_request(const std::string &path, const std::string &more_headers)
{
    return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more_headers + "\r\n";
}

bool HttpClient::receive_more(const Deadline &deadline)
{
    if (!socket_.await_readable(deadline))
        FAIL("the server sends no more; so far: " + shown(unparsed_));
    char block[65536];
    const IoResult got = socket_.receive_some(block, sizeof block);
    unparsed_.append(block, got.bytes);
    return got.state != Io::closed && got.state != Io::reset;
}

bool HttpClient::take_head(HttpResponse *response)
{
    const size_t end = unparsed_.find(kEndOfHead);
    if (end == std::string::npos)
        return false;
    std::istringstream lines(unparsed_.substr(0, end));
    unparsed_.erase(0, end + kEndOfHead.size());

    std::string version, line;
    lines >> version >> response->status;
    CHECK(version == "HTTP/1.1" || version == "HTTP/1.0");
    std::getline(lines, line);
    while (std::getline(lines, line)) {
        if (!line.empty() && line.back() == '\r')
            line.pop_back();
        const size_t colon = line.find(": ");
        CHECK(colon != std::string::npos);
        std::string name = line.substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        response->headers[name] = line.substr(colon + 2);
    }
    return true;
}

HttpResponse HttpClient::read_response()
{
    const Deadline deadline;
    HttpResponse response;
    while (!take_head(&response))
        if (!receive_more(deadline))
            FAIL("the connection ended in a response's head: " + shown(unparsed_));

    CHECK(response.headers.count("content-length"));
    const size_t length = std::stoul(response.headers["content-length"]);
    while (unparsed_.size() < length)
        if (!receive_more(deadline))
            FAIL("the connection ended after " + std::to_string(unparsed_.size()) + " of " +
                 std::to_string(length) + " bytes");
    response.body = unparsed_.substr(0, length);
    unparsed_.erase(0, length);
    return response;
}

HttpResponse HttpClient::read_to_end()
{
    unparsed_ += socket_.receive_to_end();
    HttpResponse response;
    if (take_head(&response))
        response.body = std::move(unparsed_);
    unparsed_.clear();
    return response;
}

} // namespace e2e
