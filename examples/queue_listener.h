/*
 * An example program whose own listener is for AMQP connections at queues: its
 * serving.own_event and serving.stop_own.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after own_proactor.h.
 */

#include "amqp_limits.h"
#include "queue_connections.h"

#include <proton/connection.h>

static void
accept_one(pn_listener_t *listener)
{
	pn_connection_t *c = pn_connection();
	pn_transport_t *t = pn_transport();

	pn_connection_set_container(c, PROGRAM);
	limit_transport(t);
	serving.own++;

	/* from here on it is another thread's, perhaps */
	pn_listener_accept2(listener, c, t);
}

/* in the threads: for one connection at a time in one of them */
static void
own_event(pn_event_t *event)
{
	switch (pn_event_type(event)) {
	case PN_LISTENER_OPEN:
	case PN_LISTENER_CLOSE:
		on_listener(event);
		break;
	case PN_LISTENER_ACCEPT:
		accept_one(pn_event_listener(event));
		break;
	case PN_TRANSPORT_CLOSED:
		queue_connection_event(event);
		serving.own--;
		break;
	default:
		if (pn_event_connection(event))
			queue_connection_event(event);
	}
}

static void
stop_own(int at_once)
{
	stop_listening();
	queue_connections_stop(at_once);
}
