/*
 * AMQP connections whose links are at queues (queue_links.h), whatever carries
 * them: those of Proton's proactor, and WebSockets of lws_proton_amqp.h
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

/*
 * Has all of them end; `at_once`: without a word to the peers.  WebSockets have
 * gone with lws's context by the time that threads.h calls this.
 */
void
queue_connections_stop(int at_once);

#endif
