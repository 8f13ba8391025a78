// SPDX-License-Identifier: MIT
//
// An lws context on Proton in the test's own process, and the client connections it makes.
#pragma once

#include "check.hpp"
#include "waiting.hpp"

#include <libwebsockets.h>
#include <lws_proton.h>

#include <functional>
#include <string>
#include <vector>

namespace lws_test {

// A client connection: what lws told its protocol. It outlives the context.
struct Client {
    lws *wsi = nullptr;               // until it is destroyed
    std::vector<std::string> errors;  // the text of each CLIENT_CONNECTION_ERROR
    int established = 0;  // of ws too: lws tells of the answer to its request first
    int upgraded = 0;     // ws
    int completed = 0;  // HTTP transactions
    int closed = 0;
    int status = 0;  // HTTP
    std::string received;
    // Is asked first; what it returns is returned to lws if it is not 0.
    std::function<int(lws *, lws_callback_reasons, void *in, size_t len)> on;

    bool ended() const { return closed || !errors.empty(); }
    std::string error() const { return errors.empty() ? "" : errors.front(); }
};

class Context {
public:
    using Creation = std::function<void(lws_context_creation_info &)>;

    explicit Context(const Creation &change = {});
    ~Context() { destroy(); }
    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;

    void destroy();
    lws_context *get() const { return context_; }
    lws_proton_stats_t stats() const { return lws_proton_loop_stats(lws_proton_loop_of(context_)); }

    // A vhost besides the clients' own, that listens on 127.0.0.1 and a free port.
    lws_vhost *add_server(const Creation &change);

    // Connects to 127.0.0.1:port, with GET and path / unless changed. False: refused at once.
    using Connecting = std::function<void(lws_client_connect_info &)>;
    bool connect(Client &client, int port, const Connecting &change = {});

    // Serves until it holds; what runs in other threads has to cancel the service when it is done.
    void serve_until(const char *what, const std::function<bool()> &holds);

    // Runs a peer in a thread of its own and serves meanwhile; what it throws is thrown.
    void serve_while(const std::function<void()> &peer);

    // Serves whatever there is now and waits for nothing.
    void serve_what_is_there();

private:
    lws_context *context_ = nullptr;
    lws_vhost *clients_ = nullptr;
};

// The clients' protocol. protocols[0], since that hears of a wsi's end.
int client_callback(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len);

inline const lws_protocols kClientProtocols[] = {
    {"client", client_callback, 0, 0, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

}  // namespace lws_test
