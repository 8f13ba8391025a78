#include "differences.hpp"

#include <algorithm>

namespace differential {

namespace {

constexpr char kEndOfStream[] =
    "A peer that has ended its own stream still gets its answer; stock closes on end of stream "
    "(docs/design.md)";
constexpr char kPipelined[] =
    "Stock overwrites pipelined requests with the answer to the first (docs/lws-findings.md)";

constexpr char kUnread[] =
    "Stock closes with bytes unread, which resets the peer; on Proton they have been read "
    "(docs/limits.md)";
constexpr char kNoShutdownState[] =
    "Stock's poll() loop waits in a state of its own for the end of a connection that it closes, "
    "its other loops and Proton do not (docs/limits.md)";

const Difference kDifferences[] = {
    {"three_requests_in_one_segment",
     kPipelined,
     {
         "+ 1 HTTP_WRITEABLE protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 FILTER_HTTP_CONNECTION protocol=first text=6:'/small'",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 HTTP protocol=first text=6:'/small'",
         "+ 1 HTTP_WRITEABLE protocol=first",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 FILTER_HTTP_CONNECTION protocol=first text=6:'/small'",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 HTTP protocol=first text=6:'/small'",
         "+ 1 HTTP_WRITEABLE protocol=first",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "- peer: received 64 bytes, * then end of stream",
         "+ peer: received 207 bytes, * then end of stream",
     },
     false},
    {"half_closed_with_the_request",
     kEndOfStream,
     {
         "+ 1 HTTP_WRITEABLE protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "- peer: received 64 bytes, * then end of stream",
         "+ peer: received 69 bytes, *bbbbb then end of stream",
     },
     false},
    {"half_closed_with_the_request_of_a_file",
     kEndOfStream,
     {
         "+ 1 HTTP_FILE_COMPLETION protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "- peer: received 136 bytes, * then end of stream",
         "+ peer: received 149 bytes, *a small file\\x0a then end of stream",
     },
     false},
    {"half_closed_with_the_request_of_much",
     kEndOfStream,
     {
         "+ 1 HTTP_WRITEABLE protocol=first",
         "- peer: received 70 bytes, * then end of stream",
         "+ peer: received 1000070 bytes, *b{1000000} then end of stream",
     },
     false},
    {"half_closed_with_the_body",
     kEndOfStream,
     {
         "+ 1 HTTP_WRITEABLE protocol=first",
         "+ 1 HTTP_BIND_PROTOCOL protocol=first",
         "+ 1 HTTP_DROP_PROTOCOL protocol=first",
         "- peer: received 64 bytes, * then end of stream",
         "+ peer: received 69 bytes, *bbbbb then end of stream",
     },
     false},
    {"half_closed_with_bytes",
     kEndOfStream,
     {
         "+ 1 RAW_WRITEABLE protocol=raw",
         "- peer: received 0 bytes,  then end of stream",
         "+ peer: received 4 bytes, last then end of stream",
     },
     false},
    {"plain_http",
     kUnread,
     {
         "- peer: received 0 bytes,  then reset",
         "+ peer: received 0 bytes,  then end of stream",
     },
     false},
    {"the_preface_is_wrong",
     kNoShutdownState,
     {
         "- 1 CLOSED_HTTP protocol=first",
     },
     false},
};

} // namespace

const Difference *known_difference(const std::string &session)
{
    const auto found =
        std::find_if(std::begin(kDifferences), std::end(kDifferences),
                     [&](const Difference &difference) { return difference.session == session; });
    return found == std::end(kDifferences) ? nullptr : found;
}

} // namespace differential
