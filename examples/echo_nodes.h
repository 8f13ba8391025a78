/*
 * AMQP connections that get back what they send: what a peer sends to a node comes
 * back, as it was, to whoever of the same connection receives from a node of that
 * name.
 *
 * SPDX-License-Identifier: MIT
 *
 * Between the two it waits here, so who sends gets credit only for what who receives
 * has room for.  What is left when a receiver goes waits for another of the node.
 */

#if !defined(ECHO_NODES_H)
#define ECHO_NODES_H

#include <proton/event.h>

#include <stddef.h>

/*
 * Set it before there are connections: the largest message, in bytes.  Of a session
 * twice as much can wait to be passed on, and as much to be sent; of a connection
 * four times as much as that can wait to be sent.  Each may be a message more.
 */
extern size_t echo_nodes_message_most;

/* Each event of lws_proton_amqp.h's handle(). */
void
echo_nodes_event(pn_event_t *event);

#endif
