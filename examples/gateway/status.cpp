// SPDX-License-Identifier: MIT
#include "status.hpp"

#include "site.hpp"

#include <cstring>
#include <string>
#include <vector>

namespace gateway {

namespace {

int answer(lws *wsi, unsigned status, const std::string &text) {
    std::vector<uint8_t> buffer(LWS_PRE + 1024 + text.size());
    uint8_t *start = buffer.data() + LWS_PRE, *at = start, *end = buffer.data() + buffer.size();
    if (lws_add_http_common_headers(wsi, status, "text/plain; version=0.0.4", text.size(), &at,
                                    end) ||
        lws_finalize_write_http_header(wsi, start, &at, end))
        return -1;
    memcpy(start, text.data(), text.size());
    if (lws_write(wsi, start, text.size(), LWS_WRITE_HTTP_FINAL) < 0)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int status(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    switch (reason) {
    case LWS_CALLBACK_HTTP: {
        const Site &site = *static_cast<Site *>(lws_context_user(lws_get_context(wsi)));
        const std::string path(static_cast<char *>(in), len);
        if (path == "/health")
            return site.draining ? answer(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE, "draining\n")
                                 : answer(wsi, HTTP_STATUS_OK, "ok\n");
        if (path == "/metrics")
            return answer(wsi, HTTP_STATUS_OK, site.metrics());
        return answer(wsi, HTTP_STATUS_NOT_FOUND, "not found\n");
    }
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

}  // namespace

const lws_protocols kStatusProtocols[] = {
    {"status", status, 0, 0, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

}  // namespace gateway
