// SPDX-License-Identifier: MIT
//
// What lws's clients are answered. After the manner a byte says which client: 'g' and 'p', a GET
// and a POST of HTTP/1; 'w' and 'd', a WebSocket without and with permessage-deflate, whose
// handshake is accepted before the input comes; 'W', one whose handshake is the input; '2', a GET
// of HTTP/2, whose input is frames as the http2 fuzzer has them; any other, a raw client.
#include "frames.hpp"
#include "harness.hpp"

#include <cerrno>
#include <cstring>
#include <list>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <set>

namespace {

// Clients that are redirected connect again; so often they may.
constexpr size_t kMostDialed = 4;

std::set<lws *> clients;  // that lws has

int callback(lws *wsi, lws_callback_reasons reason, void *, void *, size_t) {
    switch (reason) {
    case LWS_CALLBACK_WSI_CREATE:
        clients.insert(wsi);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        clients.erase(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI))
            return 0;
        lws_client_http_body_pending(wsi, 1);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE: {
        uint8_t body[LWS_PRE + 4] = {};
        lws_client_http_body_pending(wsi, 0);
        return lws_write(wsi, body + LWS_PRE, 4, LWS_WRITE_HTTP_FINAL) < 0;
    }
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP: {
        char buffer[LWS_PRE + 2048], *start = buffer + LWS_PRE;
        int room = sizeof(buffer) - LWS_PRE;
        return lws_http_client_read(wsi, &start, &room) < 0 ? -1 : 0;
    }
    case LWS_CALLBACK_CLIENT_RECEIVE:
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE: {
        uint8_t message[LWS_PRE + 5] = {};
        return lws_write(wsi, message + LWS_PRE, 5, LWS_WRITE_BINARY) < 0 ? -1 : 0;
    }
    default:
        return 0;
    }
}

const lws_protocols kProtocols[] = {
    {"client", callback, 0, 2048, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};
const lws_extension kExtensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
    {nullptr, nullptr, nullptr},
};

std::list<lws_proton_driver_t *> dialed;
size_t dials;

int dial(void *, lws_proton_driver_t *driver, const char *, uint16_t) {
    if (dials++ >= kMostDialed)
        return ECONNREFUSED;
    dialed.push_back(driver);
    return 0;
}

lws_vhost *make_vhost(const char *name, const lws_extension *extensions) {
    lws_context_creation_info info = {};
    info.protocols = kProtocols;
    info.extensions = extensions;
    return fuzz::make_vhost(name, info);
}

// The answer that the request in `request` has to get, up to its blank line.
std::string accepted(const std::string &request, bool deflate) {
    constexpr std::string_view name = "Sec-WebSocket-Key: ";
    const size_t at = request.find(name);
    if (at == std::string::npos)
        return {};
    const size_t from = at + name.size();
    const std::string key = request.substr(from, request.find('\r', from) - from) +
                            "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH], text[2 * SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char *>(key.data()), key.size(), digest);
    EVP_EncodeBlock(text, digest, sizeof(digest));
    return std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Protocol: client\r\n") +
           (deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "") +
           "Sec-WebSocket-Accept: " + reinterpret_cast<char *>(text) + "\r\n\r\n";
}

void connect(char kind) {
    static lws_vhost *const plain = make_vhost("clients", nullptr);
    static lws_vhost *const deflating = make_vhost("deflating", kExtensions);
    lws_client_connect_info info = {};
    info.context = fuzz::context();
    info.vhost = kind == 'd' ? deflating : plain;
    info.address = info.host = info.origin = "server";
    info.port = 80;
    info.path = "/";
    info.local_protocol_name = "client";
    switch (kind) {
    case 'g':
        info.method = "GET";
        break;
    case 'p':
        info.method = "POST";
        break;
    case 'w':
    case 'd':
    case 'W':
        info.protocol = "client";
        break;
    case '2':
        info.method = "GET";
        info.ssl_connection = LCCSCF_H2_PRIOR_KNOWLEDGE;
        break;
    default:
        info.method = "RAW";
    }
    lws_client_connect_via_info(&info);
}

void answer(lws_proton_driver_t *driver, fuzz::Manner manner, char kind, std::string_view input) {
    fuzz::Peer peer(manner, driver);
    lws_proton_driver_connected(driver, 0);
    peer.exchange({});
    if (kind == 'w' || kind == 'd')
        peer.exchange(accepted(peer.received, kind == 'd'));
    peer.on_output = [](std::string_view) {};
    peer.exchange(kind == '2' ? fuzz::frames(input) : input);
    peer.leave();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    std::string_view input(reinterpret_cast<const char *>(data), size);
    const fuzz::Manner manner = fuzz::Manner::of(input);
    if (input.empty())
        return 0;
    const char kind = input[0];
    input.remove_prefix(1);
    static const bool set = (lws_proton_loop_set_dialer(fuzz::loop(), dial, nullptr), true);
    fuzz::expect(set, "no dialer");
    dials = 0;
    connect(kind);
    while (!dialed.empty()) {
        lws_proton_driver_t *driver = dialed.front();
        dialed.pop_front();
        answer(driver, manner, kind, input);
    }
    fuzz::expect_no_connections();
    fuzz::expect(clients.empty(), "a client without a connection stays");
    return 0;
}
