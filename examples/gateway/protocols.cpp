// SPDX-License-Identifier: MIT
#include "tunnel.hpp"

#include <lws_proton.h>

namespace gateway {

namespace {

// RFC 6585.
constexpr unsigned kTooManyRequests = 429;

int refuse(lws *wsi, unsigned status) {
    lws_return_http_status(wsi, status, nullptr);
    return -1;
}

// A connection keeps its address's entry in its opaque user data. A stream of HTTP/2 has none; what it
// makes of itself, a tunnel, has one of its own.
int http(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    Addresses::Entry *address;
    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        if (!Site::of(wsi).addresses.enter(wsi, address)) {
            Site::of(wsi).refused_address++;
            return -1;
        }
        lws_set_opaque_user_data(wsi, address);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        address = static_cast<Addresses::Entry *>(lws_get_opaque_user_data(wsi));
        if (address)
            Site::of(wsi).addresses.leave(address);
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        // A WebSocket that names no subprotocol.
        return refuse(wsi, HTTP_STATUS_BAD_REQUEST);
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

int upgrade(lws *wsi, Tunnel *&tunnel) {
    Site &site = Site::of(wsi);
    Addresses::Entry *address = nullptr;
    // A WebSocket that is not all of its connection counts as one more.
    if (lws_get_network_wsi(wsi) != wsi && !site.addresses.enter(wsi, address)) {
        site.refused_address++;
        return refuse(wsi, kTooManyRequests);
    }
    if (const unsigned status = site.admit(Tunnel::kMost)) {
        site.addresses.leave(address);
        return refuse(wsi, status);
    }
    tunnel = Tunnel::make(site, wsi, address);
    if (tunnel)
        return 0;
    site.open--;
    site.refused_memory++;
    site.addresses.leave(address);
    return refuse(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE);
}

void free_if_finished(Tunnel *&tunnel) {
    if (!tunnel->finished())
        return;
    delete tunnel;
    tunnel = nullptr;
}

int websocket(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    auto *slot = static_cast<Tunnel **>(user);
    if (reason == LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION)
        return upgrade(wsi, *slot);
    if (!slot || !*slot)
        return 0;
    Tunnel &tunnel = **slot;
    switch (static_cast<int>(reason)) {
    case LWS_CALLBACK_ESTABLISHED:
        return tunnel.ws_established();
    case LWS_CALLBACK_RECEIVE:
        return tunnel.ws_received(in, len, lws_frame_is_binary(wsi));
    case LWS_CALLBACK_RECEIVE_PONG:
        tunnel.ws_ponged();
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return tunnel.ws_writable();
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
    // Of an HTTP/2 stream whose upgrade has failed after all.
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        tunnel.ws_closed();
        free_if_finished(*slot);
        *slot = nullptr;
        return 0;
    case LWS_PROTON_CALLBACK_DRAIN:
        tunnel.stop();
        return 1;
    default:
        return 0;
    }
}

int broker(lws *wsi, lws_callback_reasons reason, void *, void *in, size_t len) {
    auto *tunnel = static_cast<Tunnel *>(lws_get_opaque_user_data(wsi));
    if (!tunnel)
        return 0;
    switch (static_cast<int>(reason)) {
    case LWS_CALLBACK_RAW_CONNECTED:
        return tunnel->broker_connected(wsi);
    case LWS_CALLBACK_RAW_RX:
        tunnel->broker_received(in, len);
        return 0;
    case LWS_CALLBACK_RAW_WRITEABLE:
        return tunnel->broker_writable();
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_opaque_user_data(wsi, nullptr);
        tunnel->broker_unreached(in ? static_cast<const char *>(in) : "not reached");
        free_if_finished(tunnel);
        return 0;
    case LWS_CALLBACK_RAW_CLOSE:
        lws_set_opaque_user_data(wsi, nullptr);
        tunnel->broker_closed();
        free_if_finished(tunnel);
        return 0;
    case LWS_PROTON_CALLBACK_DRAIN:
        tunnel->stop();
        return 1;
    default:
        return 0;
    }
}

constexpr lws_protocols tunnel(const char *name) {
    return {name, websocket, sizeof(Tunnel *), Pipe::kPiece, 0, nullptr, Pipe::kPiece};
}

}  // namespace

const lws_protocols kProtocols[] = {
    {"http", http, 0, 0, 0, nullptr, 0},
    tunnel("amqp"),
    tunnel("AMQPWSB10"),
    tunnel("binary"),
    LWS_PROTOCOL_LIST_TERM,
};

const lws_protocols kBrokerProtocols[] = {
    {"broker", broker, 0, Pipe::kPiece, 0, nullptr, Pipe::kPiece},
    LWS_PROTOCOL_LIST_TERM,
};

}  // namespace gateway
