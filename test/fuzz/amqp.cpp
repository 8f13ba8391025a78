// SPDX-License-Identifier: MIT
//
// An AMQP peer of the broker's handler: SASL, frames, sessions, links, transfers, over a WebSocket.
//
// After its manner an input has a byte that says how far the peer has come before: 'n' nowhere, 'o' its
// connection is open, 's' it has a session, 'l' it sends to a queue by handle 0 and receives from the same
// by handle 1. The rest are frames, see amqp_frames().
#include "amqp_frames.hpp"
#include "harness.hpp"
#include "upgrade.hpp"

#include <lws_proton_amqp.h>

extern "C" {
#include "amqp_limits.h"
#include "queue_connections.h"
#include "queues.h"
}

namespace {

lws_proton_amqp_t make_broker() {
    lws_proton_amqp_t amqp{};
    amqp.handle = [](void *, pn_event_t *event) { queue_connection_event(event); };
    amqp.accept = [](void *, lws *, pn_connection_t *, pn_transport_t *transport) {
        limit_transport(transport);
        return 0;
    };
    return amqp;
}

lws_proton_amqp_t broker = make_broker();

lws_vhost *make_vhost() {
    static const lws_protocols protocols[] = {
        LWS_PROTON_AMQP_PROTOCOL("amqp", &broker),
        LWS_PROTOCOL_LIST_TERM,
    };
    // A session, which has room for two messages, wants room for a frame.
    queue_limits.message = FRAME_MOST;
    queue_limits.queue = 4 * FRAME_MOST;
    queue_limits.queues = 16;
    lws_context_creation_info info = {};
    info.protocols = protocols;
    return fuzz::make_vhost("amqp", info);
}

std::string prologue(char how_far) {
    std::string bytes;
    if (how_far == 'n')
        return bytes;
    bytes += fuzz::kAmqpHeader;
    bytes += fuzz::amqp_frame(0, 0, fuzz::kOpen);
    if (how_far == 'o')
        return bytes;
    bytes += fuzz::amqp_frame(0, 0, fuzz::kBegin);
    if (how_far == 's')
        return bytes;
    bytes += fuzz::amqp_frame(0, 0, fuzz::kAttachSender);
    bytes += fuzz::amqp_frame(0, 0, fuzz::kAttachReceiver);
    bytes += fuzz::amqp_frame(0, 0, fuzz::kCredit);
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lws_vhost *const vhost = make_vhost();
    std::string_view input(reinterpret_cast<const char *>(data), size);
    const fuzz::Manner manner = fuzz::Manner::of(input);
    const char how_far = input.empty() ? 'n' : input.front();
    input.remove_prefix(input.empty() ? 0 : 1);
    {
        fuzz::Peer peer(manner);
        peer.adopt(vhost);
        peer.on_output = [](std::string_view) {};
        peer.exchange(fuzz::upgrade({}, "amqp"));
        peer.exchange(fuzz::binary_messages(prologue(how_far)));
        peer.exchange(fuzz::binary_messages(fuzz::amqp_frames(input)));
        peer.leave();
    }
    fuzz::expect_no_connections();
    // What the peer put there is not for the next input.
    queues_free();
    return 0;
}
