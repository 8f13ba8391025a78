#include "differences.hpp"

#include <algorithm>

namespace differential {

namespace {

constexpr char kEndOfStream[] =
    "A peer that has ended its own stream still gets its answer; stock closes on end of stream "
    "(docs/design.md)";
constexpr char kPipelined[] =
    "Stock overwrites pipelined requests with the answer to the first, or reads on while it is "
    "being written (docs/lws-findings.md)";
// Patches in patches/libwebsockets/fixes/.
constexpr char kEndsWhatItFails[] =
    "Stock goes on with a connection that it has failed: ws/0014-end-a-connection-that-we-fail";
constexpr char kIgnoresAfterClose[] =
    "Stock reads on after the peer's close: ws/0015-ignore-what-follows-a-peers-close";
constexpr char kHalfACode[] =
    "Stock echoes half a close code: ws/0017-refuse-a-close-with-half-a-code";
constexpr char kUnmasked[] =
    "Stock takes unmasked frames: ws/0019-refuse-unmasked-frames-from-a-client";
constexpr char kIllegalLength[] =
    "Stock hangs up with no reason: ws/0020-refuse-illegal-lengths-with-a-reason";
constexpr char kBroken[] =
    "Stock hangs up with no reason: ws/0032-say-why-a-payload-cannot-be-inflated";
constexpr char kInWords[] =
    "A client hears in words why it got no answer; stock says an errno's number, or less "
    "(docs/design.md)";

constexpr char kCertificate[] =
    "Stock names no fault of a certificate: tls/0058-say-what-is-wrong-with-a-certificate";

constexpr char kUnread[] =
    "Stock closes with bytes unread, which resets the peer; on Proton they have been read "
    "(docs/design.md)";
constexpr char kNoShutdownState[] =
    "Stock's poll() loop waits in a state of its own for the end of a connection that it closes, "
    "its other loops and Proton do not (docs/design.md)";

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
    {"a_request_behind_one_for_much",
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
         "- peer: received 70 bytes, * then end of stream",
         "+ peer: received 1000139 bytes, *b{1000000}HTTP*bbbbb then end of stream",
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
    {"closed_with_half_a_code",
     kHalfACode,
     {
         "- 1 WS_PEER_INITIATED_CLOSE protocol=echo",
         "- peer: received 162 bytes, *\\x88\\x01x then end of stream",
         "+ peer: received 172 bytes, *\\x88\\x0b\\x03\\xeabad close then end of stream",
     },
     false},
    {"a_message_after_the_close",
     kIgnoresAfterClose,
     {
         "- 1 RECEIVE protocol=echo text first final remaining=0 data=8:'too late'",
     },
     false},
    {"half_closed_while_much_is_sent",
     kEndOfStream,
     {
         "- peer: received * bytes, * then end of stream",
         "+ peer: received 1001139 bytes, * then end of stream",
     },
     // Stock may have sent it all before it hears of the end.
     true},
    {"a_mask_is_missing",
     kUnmasked,
     {
         "- 1 RECEIVE protocol=echo text first final remaining=0 data=5:'hello'",
         "- 1 SERVER_WRITEABLE protocol=echo",
         "- peer: received 166 bytes, *\\x81\\x05hello then end of stream",
         "+ peer: received 170 bytes, *\\x88\\x09\\x03\\xeano mask then end of stream",
     },
     false},
    {"a_ping_that_is_too_long",
     kIllegalLength,
     {
         "- peer: received 159 bytes, * then end of stream",
         "+ peer: received 173 bytes, *\\x88\\x0c\\x03\\xeabad length then end of stream",
     },
     false},
    {"compressed_data_that_is_broken",
     kBroken,
     {
         "- peer: received 205 bytes, * then end of stream",
         "+ peer: received 216 bytes, *\\x88\\x09\\x03\\xefbad ext then end of stream",
     },
     false},
    {"an_opcode_that_is_reserved",
     kEndsWhatItFails,
     {
         "- 1 SERVER_WRITEABLE protocol=echo",
     },
     false},
    {"a_bit_that_is_reserved",
     kEndsWhatItFails,
     {
         "- 1 SERVER_WRITEABLE protocol=echo",
     },
     false},
    {"a_continuation_of_nothing",
     kEndsWhatItFails,
     {
         "- 1 SERVER_WRITEABLE protocol=echo",
     },
     false},
    {"text_that_is_not_utf8",
     kEndsWhatItFails,
     {
         "- 1 SERVER_WRITEABLE protocol=echo",
     },
     false},
    {"the_certificate_is_not_trusted",
     kCertificate,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=97:#54744240ff7f8b1b",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=87:#7a4e43fa140f136a",
     },
     false},
    {"a_get_that_the_server_drops",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=11:'read failed'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=24:'read failed: peer closed'",
     },
     false},
    {"nobody_listens",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=14:'conn fail: 111'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=29:'conn fail: Connection refused'",
     },
     false},
    {"nobody_listens_for_a_websocket",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=14:'conn fail: 111'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=29:'conn fail: Connection refused'",
     },
     false},
    {"nobody_listens_for_raw",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=14:'conn fail: 111'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=29:'conn fail: Connection refused'",
     },
     false},
    {"the_server_redirects_to_where_nobody_listens",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=14:'conn fail: 111'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=29:'conn fail: Connection refused'",
     },
     false},
    {"the_server_closes_at_once",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=11:'read failed'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=24:'read failed: peer closed'",
     },
     false},
    {"the_server_resets_at_once",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=11:'read failed'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=37:'read failed: Connection reset by "
         "peer'",
     },
     false},
    {"the_server_closes_in_its_head",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=11:'read failed'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=24:'read failed: peer closed'",
     },
     false},
    {"the_server_closes_instead_of_upgrading",
     kInWords,
     {
         "- 2 CLIENT_CONNECTION_ERROR protocol=client text=11:'read failed'",
         "+ 2 CLIENT_CONNECTION_ERROR protocol=client text=24:'read failed: peer closed'",
     },
     false},
};

}  // namespace

const Difference *known_difference(const std::string &session) {
    const auto found =
        std::find_if(std::begin(kDifferences), std::end(kDifferences),
                     [&](const Difference &difference) { return difference.session == session; });
    return found == std::end(kDifferences) ? nullptr : found;
}

}  // namespace differential
