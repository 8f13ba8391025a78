// SPDX-License-Identifier: MIT
#include "client.hpp"
#include "memory.hpp"
#include "session.hpp"

#include <lws_proton_amqp.h>

#include <proton/connection.h>
#include <proton/proactor.h>

#include <new>

using lws_proton::amqp::ProcessMemory;
using lws_proton::amqp::Session;
using lws_proton::amqp::Waker;

namespace {

// What the application holds is the waker itself.
lws_proton_amqp_waker_t *held(Waker &waker) noexcept {
    waker.hold();
    return reinterpret_cast<lws_proton_amqp_waker_t *>(&waker);
}

Waker *waker_of(lws_proton_amqp_waker_t *held) noexcept {
    return reinterpret_cast<Waker *>(held);
}

}  // namespace

int lws_proton_amqp_connect(const lws_proton_amqp_connect_t *how, pn_connection_t *connection,
                            pn_transport_t *transport) {
    try {
        return lws_proton::amqp::connect(*how, connection, transport);
    } catch (const std::bad_alloc &) {
        return -1;
    }
}

void lws_proton_amqp_set_memory_limit(size_t bytes) {
    ProcessMemory::set_limit(bytes);
}

size_t lws_proton_amqp_memory() {
    return ProcessMemory::held();
}

void lws_proton_amqp_over_tcp(lws_context_creation_info *info, const char *protocol) {
    info->options |= LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG;
    info->listen_accept_role = "raw-skt";
    info->listen_accept_protocol = protocol;
}

int lws_proton_amqp_adopt(lws_vhost *vhost, const char *protocol, lws_proton_conn *c,
                          const void *bytes, size_t len, uint32_t age_ms) {
    const lws_protocols *entry = lws_vhost_name_to_protocol(vhost, protocol);
    if (!entry || entry->callback != lws_proton_amqp_callback) {
        c->ops->close(c);
        return -1;
    }
    lws_sock_file_fd_type fd;
    fd.sockfd = c;
    lws *wsi = lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_SOCKET, fd, protocol, nullptr);
    if (!wsi)
        return -1;
    Session *session = *static_cast<Session **>(lws_wsi_user(wsi));
    session->came_before(age_ms);
    if (len && session->receive(bytes, len, true))
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    return 0;
}

lws *lws_proton_amqp_wsi(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session ? session->wsi() : nullptr;
}

int lws_proton_amqp_is_websocket(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session && session->is_websocket();
}

const char *lws_proton_amqp_peer(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session ? session->peer() : nullptr;
}

void lws_proton_amqp_wake(pn_connection_t *connection) {
    if (const Session *session = Session::of(connection))
        session->waker().wake();
    else
        pn_connection_wake(connection);
}

lws_proton_amqp_waker_t *lws_proton_amqp_waker(pn_connection_t *connection) {
    const Session *session = Session::of(connection);
    return session ? held(session->waker()) : nullptr;
}

void lws_proton_amqp_waker_wake(lws_proton_amqp_waker_t *waker) {
    waker_of(waker)->wake();
}

void lws_proton_amqp_waker_free(lws_proton_amqp_waker_t *waker) {
    if (waker)
        waker_of(waker)->drop();
}
