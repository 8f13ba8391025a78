// SPDX-License-Identifier: MIT
#include "raw_server.hpp"

#include <algorithm>
#include <cstring>

namespace lws_test {

namespace {

constexpr size_t kPiece = 16 * 1024;

struct Echo {
    std::string *queue;
    bool stopped;
};

int echo(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    auto *session = static_cast<Echo *>(user);
    auto *server = static_cast<RawServer *>(lws_vhost_user(lws_get_vhost(wsi)));
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT:
        server->adopted++;
        *session = {new std::string, false};
        break;
    case LWS_CALLBACK_RAW_RX:
        server->received += len;
        session->queue->append(static_cast<char *>(in), len);
        server->most_queued = std::max(server->most_queued, session->queue->size());
        if (session->queue->size() >= kMostRawQueued && !session->stopped) {
            session->stopped = true;
            lws_rx_flow_control(wsi, 0);
        }
        lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_RAW_WRITEABLE: {
        const size_t length = std::min(session->queue->size(), kPiece);
        if (!length)
            break;
        std::vector<uint8_t> buffer(LWS_PRE + length);
        memcpy(buffer.data() + LWS_PRE, session->queue->data(), length);
        session->queue->erase(0, length);
        if (lws_write(wsi, buffer.data() + LWS_PRE, length, LWS_WRITE_RAW) < 0)
            return -1;
        if (!session->queue->empty())
            lws_callback_on_writable(wsi);
        if (session->stopped && session->queue->size() < kMostRawQueued / 2) {
            session->stopped = false;
            lws_rx_flow_control(wsi, 1);
        }
        break;
    }
    case LWS_CALLBACK_RAW_CLOSE:
        // Without an adoption, its TLS handshake was not finished.
        if (session && session->queue) {
            server->closed++;
            delete session->queue;
        }
        break;
    default:
        break;
    }
    return 0;
}

const lws_protocols kProtocols[] = {
    {kRawEcho, echo, sizeof(Echo), kPiece, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

}  // namespace

void RawServer::start(Context &context, const Context::Creation &change) {
    vhost = context.add_server([&](lws_context_creation_info &info) {
        info.vhost_name = "raw";
        info.protocols = kProtocols;
        info.user = this;
        info.options |= LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG;
        info.listen_accept_role = "raw-skt";
        info.listen_accept_protocol = kRawEcho;
        if (change)
            change(info);
    });
    port = lws_get_vhost_listen_port(vhost);
}

}  // namespace lws_test
