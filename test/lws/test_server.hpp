// SPDX-License-Identifier: MIT
//
// What the clients of a test talk to: an lws server on Proton, a vhost of their own context.
//
//   GET /body/N       N bytes of the numbered stream
//   GET /redirect     302 to /body/100
//   GET /headers      the value of the request's header x-test: as body, and as header x-answer
//   GET /never        no answer
//   POST              what was posted, as body
//   ws, echo          each message
#pragma once

#include "client_context.hpp"

namespace lws_test {

struct TestServer {
    int port = 0;
    int accepted = 0;        // connections
    int requests = 0;        // HTTP, and upgrades to ws
    size_t most_queued = 0;  // bytes that an echo kept because its peer did not read
    int http2 = 0;           // those of the requests that came by HTTP/2
    std::string client;      // the name in the certificate of the last request's client, if any

    // Adds it to the context; it has to outlive that.
    void start(Context &context, const Context::Creation &change = {});
};

const lws_extension *deflate();

}  // namespace lws_test
