// SPDX-License-Identifier: MIT
#include "test_server.hpp"

#include "numbered_stream.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>

namespace lws_test {

namespace {

constexpr size_t kPiece = 16 * 1024;
// An echo stops reading while it keeps this much, and has something to send.
constexpr size_t kMostQueued = 64 * 1024;

struct Request {
    size_t position;
    size_t length;
    std::string *posted;  // the body, of a POST
};

struct Message {
    std::string data;
    bool binary;
};

struct Echo {
    std::deque<Message> *queue;  // the last of them may not be whole yet
    bool partial;
    size_t queued;
    bool stopped;
};

bool has_whole(const Echo &echo) {
    return echo.queue->size() > (echo.partial ? 1 : 0);
}

TestServer &server_of(lws *wsi) {
    return *static_cast<TestServer *>(lws_vhost_user(lws_get_vhost(wsi)));
}

std::string header(lws *wsi, const char *name) {
    char value[256];
    const int n =
        lws_hdr_custom_copy(wsi, value, sizeof(value), name, static_cast<int>(strlen(name)));
    return n > 0 ? std::string(value, static_cast<size_t>(n)) : "";
}

int answer(lws *wsi, Request &request, size_t length, const std::string &x_answer = "") {
    uint8_t buffer[LWS_PRE + 1024];
    uint8_t *start = buffer + LWS_PRE, *p = start, *end = buffer + sizeof(buffer);
    request.position = 0;
    request.length = length;
    if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "application/octet-stream", length, &p,
                                    end))
        return 1;
    if (!x_answer.empty() &&
        lws_add_http_header_by_name(wsi, reinterpret_cast<const uint8_t *>("x-answer:"),
                                    reinterpret_cast<const uint8_t *>(x_answer.data()),
                                    static_cast<int>(x_answer.size()), &p, end))
        return 1;
    if (lws_finalize_write_http_header(wsi, start, &p, end))
        return 1;
    if (!length)
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    lws_callback_on_writable(wsi);
    return 0;
}

int redirect(lws *wsi) {
    uint8_t buffer[LWS_PRE + 1024];
    uint8_t *p = buffer + LWS_PRE;
    static const uint8_t to[] = "/body/100";
    if (lws_http_redirect(wsi, HTTP_STATUS_FOUND, to, sizeof(to) - 1, &p, buffer + sizeof(buffer)) <
        0)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

void note(lws *wsi) {
    TestServer &server = server_of(wsi);
    server.requests++;
    server.http2 += lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_COLON_METHOD) > 0;
    union lws_tls_cert_info_results name;
    server.client = lws_tls_peer_cert_info(wsi, LWS_TLS_CERT_INFO_COMMON_NAME, &name,
                                           sizeof(name.ns.name))
                        ? ""
                        : name.ns.name;
}

int begin(lws *wsi, Request &request, const char *uri) {
    note(wsi);
    request = {};
    if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI)) {
        request.posted = new std::string;
        return 0;
    }
    if (!strncmp(uri, "/body/", 6))
        return answer(wsi, request, strtoul(uri + 6, nullptr, 10));
    if (!strcmp(uri, "/redirect"))
        return redirect(wsi);
    if (!strcmp(uri, "/headers")) {
        request.posted = new std::string(header(wsi, "x-test:"));
        return answer(wsi, request, request.posted->size(), *request.posted);
    }
    if (!strcmp(uri, "/never"))
        return 0;
    lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, nullptr);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int go_on(lws *wsi, Request &request) {
    size_t length = std::min(request.length - request.position, kPiece);
    const lws_fileofs_t allowance = lws_get_peer_write_allowance(wsi);
    if (allowance >= 0)
        length = std::min(length, static_cast<size_t>(allowance));
    if (!length) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    uint8_t buffer[LWS_PRE + kPiece];
    const std::string data = request.posted ? request.posted->substr(request.position, length)
                                            : e2e::numbered_stream::text(request.position, length);
    memcpy(buffer + LWS_PRE, data.data(), length);
    request.position += length;
    const bool last = request.position == request.length;
    if (lws_write(wsi, buffer + LWS_PRE, length, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    if (last)
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    lws_callback_on_writable(wsi);
    return 0;
}

int http(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    auto *request = static_cast<Request *>(user);
    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        server_of(wsi).accepted++;
        break;
    case LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION:
        // Left to itself, lws takes any.
        return !len;
    case LWS_CALLBACK_HTTP:
        return begin(wsi, *request, static_cast<const char *>(in));
    case LWS_CALLBACK_HTTP_BODY:
        request->posted->append(static_cast<char *>(in), len);
        break;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return answer(wsi, *request, request->posted->size());
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return request->position < request->length ? go_on(wsi, *request) : 0;
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
    case LWS_CALLBACK_CLOSED_HTTP:
        if (request) {
            delete request->posted;
            request->posted = nullptr;
        }
        break;
    default:
        break;
    }
    return 0;
}

int echo(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    auto *session = static_cast<Echo *>(user);
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        *session = {new std::deque<Message>, false, 0, false};
        note(wsi);
        break;
    case LWS_CALLBACK_RECEIVE:
        if (!session->partial)
            session->queue->push_back({"", lws_frame_is_binary(wsi) != 0});
        session->queue->back().data.append(static_cast<char *>(in), len);
        session->partial = lws_remaining_packet_payload(wsi) || !lws_is_final_fragment(wsi);
        session->queued += len;
        server_of(wsi).most_queued = std::max(server_of(wsi).most_queued, session->queued);
        if (session->queued >= kMostQueued && has_whole(*session) && !session->stopped) {
            session->stopped = true;
            lws_rx_flow_control(wsi, 0);
        }
        lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE: {
        if (!has_whole(*session))
            break;
        const Message message = std::move(session->queue->front());
        session->queue->pop_front();
        session->queued -= message.data.size();
        std::vector<uint8_t> buffer(LWS_PRE + message.data.size());
        memcpy(buffer.data() + LWS_PRE, message.data.data(), message.data.size());
        if (lws_write(wsi, buffer.data() + LWS_PRE, message.data.size(),
                      message.binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0)
            return -1;
        if (!session->queue->empty())
            lws_callback_on_writable(wsi);
        if (session->stopped && (session->queued < kMostQueued / 2 || !has_whole(*session))) {
            session->stopped = false;
            lws_rx_flow_control(wsi, 1);
        }
        break;
    }
    case LWS_CALLBACK_CLOSED:
        delete session->queue;
        break;
    default:
        break;
    }
    return 0;
}

const lws_protocols kProtocols[] = {
    {"http", http, sizeof(Request), 0, 0, nullptr, 0},
    {"echo", echo, sizeof(Echo), kPiece, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

}  // namespace

const lws_extension *deflate() {
    static const lws_extension extensions[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate,
         "permessage-deflate; client_no_context_takeover; client_max_window_bits"},
        {nullptr, nullptr, nullptr},
    };
    return extensions;
}

void TestServer::start(Context &context, const Context::Creation &change) {
    lws_vhost *vhost = context.add_server([&](lws_context_creation_info &info) {
        info.protocols = kProtocols;
        info.user = this;
        if (change)
            change(info);
    });
    port = lws_get_vhost_listen_port(vhost);
}

}  // namespace lws_test
