// SPDX-License-Identifier: MIT
#include "client_context.hpp"

#include "lws_log.hpp"

#include <atomic>
#include <future>

namespace lws_test {

int client_callback(lws *wsi, lws_callback_reasons reason, void *, void *in, size_t len) {
    auto *client = static_cast<Client *>(lws_get_opaque_user_data(wsi));
    if (!client)
        return 0;
    if (client->on)
        if (const int result = client->on(wsi, reason, in, len))
            return result;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        // lws counts the end of the string sometimes.
        client->errors.emplace_back(in ? std::string(static_cast<char *>(in), len).c_str() : "");
        break;
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        client->wsi = wsi;  // over HTTP/2 the stream: it was the connection's
        client->status = static_cast<int>(lws_http_client_http_response(wsi));
        client->established++;
        break;
    case LWS_CALLBACK_RAW_CONNECTED:
        client->established++;
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        client->upgraded++;
        break;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP: {
        char buffer[LWS_PRE + 4096];
        char *start = buffer + LWS_PRE;
        int room = sizeof(buffer) - LWS_PRE;
        if (lws_http_client_read(wsi, &start, &room) < 0)
            return -1;
        break;
    }
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
    case LWS_CALLBACK_CLIENT_RECEIVE:
    case LWS_CALLBACK_RAW_RX:
        client->received.append(static_cast<char *>(in), len);
        break;
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        client->completed++;
        break;
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_RAW_CLOSE:
        client->closed++;
        break;
    case LWS_CALLBACK_WSI_DESTROY:
        client->wsi = nullptr;
        break;
    default:
        break;
    }
    return 0;
}

Context::Context(const Creation &change) {
    log_to_string();
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.options = LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.protocols = kClientProtocols;
    info.vhost_name = "clients";
    if (change)
        change(info);
    context_ = lws_create_context(&info);
    if (!context_)
        FAIL("no context: " + lws_logged);
    clients_ = lws_create_vhost(context_, &info);
    if (!clients_)
        FAIL("no vhost: " + lws_logged);
}

void Context::destroy() {
    if (context_)
        lws_context_destroy(context_);
    context_ = nullptr;
}

lws_vhost *Context::add_server(const Creation &change) {
    lws_context_creation_info info = {};
    info.port = 0;
    info.iface = "127.0.0.1";
    info.vhost_name = "server";
    change(info);
    lws_vhost *vhost = lws_create_vhost(context_, &info);
    if (!vhost)
        FAIL("no server: " + lws_logged);
    return vhost;
}

bool Context::connect(Client &client, int port, const Connecting &change) {
    lws_client_connect_info info = {};
    info.context = context_;
    info.vhost = clients_;
    info.address = "127.0.0.1";
    info.port = port;
    info.path = "/";
    info.method = "GET";
    info.local_protocol_name = kClientProtocols[0].name;
    info.opaque_user_data = &client;
    info.pwsi = &client.wsi;
    if (change)
        change(info);
    if (!info.host)
        info.host = info.address;
    if (!info.origin)
        info.origin = info.address;
    return lws_client_connect_via_info(&info) != nullptr;
}

void Context::serve_until(const char *what, const std::function<bool()> &holds) {
    const e2e::Deadline deadline;
    while (!holds()) {
        if (deadline.passed())
            FAIL(std::string("gave up waiting for ") + what + "; logged: " + lws_logged);
        if (lws_service(context_, 0) < 0)
            FAIL("lws_service() failed");
    }
}

void Context::serve_while(const std::function<void()> &peer) {
    std::atomic<bool> ended{false};
    auto result = std::async(std::launch::async, [&] {
        struct End {
            std::atomic<bool> &ended;
            lws_context *context;
            ~End() {
                ended = true;
                lws_cancel_service(context);
            }
        } end{ended, context_};
        peer();
    });
    while (!ended)
        lws_service(context_, 0);
    result.get();
}

void Context::serve_what_is_there() {
    for (int i = 0; i < 100; i++)
        lws_service(context_, -1);
}

}  // namespace lws_test
