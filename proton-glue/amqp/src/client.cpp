// SPDX-License-Identifier: MIT
#include "client.hpp"

#include "session.hpp"
#include "url.hpp"

#include <proton/connection.h>
#include <proton/transport.h>

#include <atomic>
#include <memory>

namespace lws_proton::amqp {

namespace {

// A thread may enter any pt, and takes them in turn; in a callback of lws's only the one that it is
// in.
class AnyPt {
public:
    explicit AnyPt(lws_context *context) noexcept : loop_(lws_proton_loop_of(context)) {
        static std::atomic<unsigned> turn{0};
        const auto pts = static_cast<unsigned>(lws_get_count_threads(context));
        const unsigned first = turn++;
        for (unsigned i = 0; loop_ && !entered_ && i < pts; i++)
            entered_ = !lws_proton_loop_enter(loop_, static_cast<int>((first + i) % pts));
    }
    ~AnyPt() {
        if (entered_)
            lws_proton_loop_leave(loop_);
    }
    AnyPt(const AnyPt &) = delete;
    AnyPt &operator=(const AnyPt &) = delete;

    explicit operator bool() const noexcept { return entered_; }

private:
    lws_proton_loop_t *const loop_;
    bool entered_ = false;
};

struct Free {
    void operator()(pn_connection_t *connection) const noexcept { pn_connection_free(connection); }
    void operator()(pn_transport_t *transport) const noexcept { pn_transport_free(transport); }
};

}  // namespace

int connect(const lws_proton_amqp_connect_t &how, pn_connection_t *connection,
            pn_transport_t *transport) {
    std::unique_ptr<pn_connection_t, Free> own_connection(connection);
    std::unique_ptr<pn_transport_t, Free> own_transport(transport);
    const char *protocol = how.protocol ? how.protocol : "amqp";
    lws_vhost *vhost = how.vhost ? how.vhost : lws_get_vhost_by_name(how.context, "default");
    const lws_protocols *entry = vhost ? lws_vhost_name_to_protocol(vhost, protocol) : nullptr;
    const bool ours = entry && entry->callback == lws_proton_amqp_callback;
    const std::optional<Url> url = parse_url(how.url);
    if (!ours || !url)
        return -1;
    auto session = std::make_unique<Session>(*static_cast<const lws_proton_amqp_t *>(entry->user));
    if (!session->init(own_connection.release(), own_transport.release()))
        return -1;
    for (const lws_proton_amqp_header_t *h = how.headers; h && h->name; h++)
        session->add_header(h->name, h->value);
    pn_connection_open(session->connection());

    lws_client_connect_info info = {};
    info.context = how.context;
    info.vhost = vhost;
    info.address = url->address.c_str();
    info.port = url->port;
    info.path = url->path.c_str();
    info.host = url->host.c_str();
    info.protocol = how.subprotocols ? how.subprotocols : "amqp";
    info.local_protocol_name = protocol;
    // A WebSocket is a connection of its own, never a stream of one that is there.
    info.alpn = "http/1.1";
    // The credentials in the headers are for this server.
    info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
    if (url->tls)
        info.ssl_connection |= LCCSCF_USE_SSL | how.tls_flags;
    info.opaque_user_data = session.get();

    const AnyPt pt(info.context);
    if (!pt)
        return -1;
    bool ended = false;
    Session *it = session.release();
    it->tell_end(&ended);
    // If it fails at once, it tells the session so, which ends then, or it does not.
    const bool begun = lws_client_connect_via_info(&info);
    if (ended)
        return 0;
    it->tell_end(nullptr);
    if (!begun) {
        it->unreached("out of memory");
        delete it;
    }
    return 0;
}

}  // namespace lws_proton::amqp
