// SPDX-License-Identifier: MIT
#include "url.hpp"

#include <libwebsockets.h>

#include <cstring>

namespace lws_proton::amqp {

std::optional<Url> parse_url(std::string text) {
    const char *scheme, *address, *path;
    Url url;
    url.port = 0;
    if (lws_parse_uri(text.data(), &scheme, &address, &url.port, &path))
        return std::nullopt;
    url.tls = !strcmp(scheme, "wss");
    if (!url.tls && strcmp(scheme, "ws"))
        return std::nullopt;
    if (!*address || *address == '+' || url.port <= 0 || url.port > 65535)
        return std::nullopt;
    url.address = address;
    url.path = *path == '/' ? path : std::string("/") + path;
    url.host = url.address.find(':') == std::string::npos ? url.address : "[" + url.address + "]";
    if (url.port != (url.tls ? 443 : 80))
        url.host += ":" + std::to_string(url.port);
    return url;
}

}  // namespace lws_proton::amqp
