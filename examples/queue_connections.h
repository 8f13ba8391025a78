/*
 * AMQP connections whose links are at queues (queue_links.h), whatever carries
 * them.  All are woken by lws_proton_amqp_wake().
 *
 * SPDX-License-Identifier: MIT
 */

#if !defined(QUEUE_CONNECTIONS_H)
#define QUEUE_CONNECTIONS_H

#include <proton/event.h>

/*
 * Each of its events, in the batches of the connection, from PN_CONNECTION_INIT on.
 * Where there are as many connections as may be it is hung up on.
 */
void
queue_connection_event(pn_event_t *event);

#endif
