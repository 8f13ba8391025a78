// SPDX-License-Identifier: MIT
//
// lws's callbacks. Whose session they are about is in the wsi: of a server in its user space, which
// lws makes with it, of a client in its opaque user data, which are there before it. WebSockets have
// http's callbacks and their own, TCP connections those of lws's raw ones.
#include "session.hpp"

#include <lws_proton_amqp.h>

#include <memory>
#include <new>

namespace {

using lws_proton::amqp::Session;
using lws_proton::amqp::Waker;

const lws_proton_amqp_t &amqp_of(lws *wsi) {
    return *static_cast<const lws_proton_amqp_t *>(lws_get_protocol(wsi)->user);
}

// -1, with the answer sent.
int refuse(lws *wsi, int status) {
    lws_return_http_status(wsi, static_cast<unsigned>(status), nullptr);
    return -1;
}

int upgrade(lws *wsi, Session *&session) {
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) <= 0)
        return refuse(wsi, HTTP_STATUS_BAD_REQUEST);
    if (!lws_proton_origin_allowed(wsi, amqp_of(wsi).origins))
        return refuse(wsi, HTTP_STATUS_FORBIDDEN);
    std::unique_ptr<Session> made(new (std::nothrow) Session(amqp_of(wsi)));
    if (!made || !made->init(nullptr, nullptr))
        return refuse(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE);
    if (const int status = made->accept(wsi))
        return refuse(wsi, status);
    session = made.release();
    return 0;
}

// A TCP peer. -1: lws closes it.
int adopt(lws *wsi, Session *&session) {
    std::unique_ptr<Session> made(new (std::nothrow) Session(amqp_of(wsi)));
    if (!made || !made->init(nullptr, nullptr))
        return -1;
    session = made.release();
    return session->adopted(wsi);
}

int serve(lws *wsi, Session *&session, lws_callback_reasons reason, void *in, size_t len) {
    if (!session)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return session->established(wsi);
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return session->receive(in, len, lws_frame_is_binary(wsi));
    case LWS_CALLBACK_RAW_RX:
        return session->receive(in, len, true);
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_RAW_WRITEABLE:
        return session->writable();
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        session->peer_closes(in, len);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: {
        auto **at = static_cast<unsigned char **>(in);
        return session->append_headers(wsi, at, *at + len);
    }
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        session->unreached(in ? static_cast<const char *>(in) : "no connection");
        break;
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
        // While it waited for the server's answer.
        session->unreached("closed before it was connected");
        break;
    default:
        session->gone();
        break;
    }
    delete session;
    session = nullptr;
    return 0;
}

// Of a server in its user space; a client has that too, but nothing in it. Null: of nobody.
Session *session_of(lws *wsi, void *user) {
    Session *session = user ? *static_cast<Session **>(user) : nullptr;
    return session ? session : static_cast<Session *>(lws_get_opaque_user_data(wsi));
}

}  // namespace

int lws_proton_amqp_callback(lws *wsi, lws_callback_reasons reason, void *user, void *in,
                             size_t len) {
    switch (static_cast<int>(reason)) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return upgrade(wsi, *static_cast<Session **>(user));

    case LWS_CALLBACK_RAW_ADOPT:
        return user ? adopt(wsi, *static_cast<Session **>(user)) : -1;

    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
    case LWS_CALLBACK_RAW_RX:
    case LWS_CALLBACK_RAW_WRITEABLE:
    case LWS_CALLBACK_RAW_CLOSE:
    case LWS_CALLBACK_RAW_SKT_DROP_PROTOCOL:
        return user ? serve(wsi, *static_cast<Session **>(user), reason, in, len) : 0;

    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_RECEIVE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_WS_CLIENT_DROP_PROTOCOL: {
        auto *session = static_cast<Session *>(lws_get_opaque_user_data(wsi));
        const int result = serve(wsi, session, reason, in, len);
        if (!session)
            lws_set_opaque_user_data(wsi, nullptr);
        return result;
    }

    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (Session *session = session_of(wsi, user))
            session->peer_closes(in, len);
        return 0;

    case LWS_PROTON_CALLBACK_DRAIN: {
        Session *session = session_of(wsi, user);
        return session ? session->drain() : 0;
    }

    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        Waker::serve_stalled(lws_get_context(wsi), lws_wsi_tsi(wsi));
        return 0;

    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}
