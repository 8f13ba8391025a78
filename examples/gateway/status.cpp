// SPDX-License-Identifier: MIT
#include "status.hpp"

#include "site.hpp"

#include <cstring>
#include <string_view>

namespace gateway {

namespace {

constexpr size_t kHeadersMost = 1024;

// Of at most Site::kMetricsMost bytes. It allocates nothing.
int answer(lws *wsi, unsigned status, std::string_view text) {
    uint8_t buffer[LWS_PRE + kHeadersMost + Site::kMetricsMost];
    uint8_t *start = buffer + LWS_PRE, *at = start, *end = start + kHeadersMost;
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
        const Site &site = Site::of(wsi);
        const std::string_view path(static_cast<char *>(in), len);
        if (path == "/health")
            return site.draining ? answer(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE, "draining\n")
                                 : answer(wsi, HTTP_STATUS_OK, "ok\n");
        if (path == "/metrics") {
            char text[Site::kMetricsMost];
            return answer(wsi, HTTP_STATUS_OK, {text, site.metrics(text, sizeof(text))});
        }
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
