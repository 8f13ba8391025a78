// SPDX-License-Identifier: MIT
#include "client.hpp"
#include "session.hpp"

#include <lws_proton_amqp.h>

#include <proton/connection.h>
#include <proton/proactor.h>

#include <new>

using lws_proton::amqp::Session;
using lws_proton::amqp::Waker;

struct lws_proton_amqp_waker_t {
    std::shared_ptr<Waker> waker;
};

int lws_proton_amqp_connect(const lws_proton_amqp_connect_t *how, pn_connection_t *connection,
                            pn_transport_t *transport) {
    try {
        return lws_proton::amqp::connect(*how, connection, transport);
    } catch (const std::bad_alloc &) {
        return -1;
    }
}

lws *lws_proton_amqp_wsi(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session ? session->wsi() : nullptr;
}

const char *lws_proton_amqp_peer(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session ? session->peer().c_str() : nullptr;
}

void lws_proton_amqp_wake(pn_connection_t *connection) {
    if (const Session *session = Session::of(connection))
        session->waker()->wake();
    else
        pn_connection_wake(connection);
}

lws_proton_amqp_waker_t *lws_proton_amqp_waker(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session ? new (std::nothrow) lws_proton_amqp_waker_t{session->waker()} : nullptr;
}

void lws_proton_amqp_waker_wake(lws_proton_amqp_waker_t *waker) {
    waker->waker->wake();
}

void lws_proton_amqp_waker_free(lws_proton_amqp_waker_t *waker) {
    delete waker;
}
