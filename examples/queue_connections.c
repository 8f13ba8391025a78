/*
 * Connections at queues: see queue_connections.h
 *
 * SPDX-License-Identifier: MIT
 *
 * A connection's context is its place in the list of all, from its first event
 * until its last: all in the list can be woken.
 */

#include "queue_connections.h"

#include "queue_links.h"
#include "queues.h"

#include <lws_proton_amqp.h>

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <pthread.h>
#include <stdlib.h>

struct member {
	lws_dll2_t		list;
	struct connection_links	links;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static lws_dll2_owner_t members;

/* without a context, it may not stay */
static void
enter(pn_connection_t *c)
{
	struct member *m = NULL;

	pthread_mutex_lock(&mutex);
	if (members.count < queue_limits.connections)
		m = calloc(1, sizeof(*m));
	if (m) {
		links_init(&m->links, c);
		lws_dll2_add_tail(&m->list, &members);
	}
	pthread_mutex_unlock(&mutex);
	pn_connection_set_context(c, m);
}

static void
leave(pn_connection_t *c)
{
	struct member *m = pn_connection_get_context(c);

	if (!m)
		return;

	links_leave(&m->links);
	pthread_mutex_lock(&mutex);
	lws_dll2_remove(&m->list);
	pthread_mutex_unlock(&mutex);
	pn_connection_set_context(c, NULL);
	free(m);
}

/* PN_TRANSPORT_CLOSED comes next */
static void
hang_up(pn_connection_t *c)
{
	pn_transport_close_tail(pn_connection_transport(c));
	pn_transport_close_head(pn_connection_transport(c));
}

static void
begin(pn_session_t *session, struct member *m)
{
	if (session_enter(&m->links, session)) {
		pn_condition_set_name(pn_session_condition(session),
				      "amqp:resource-limit-exceeded");
		pn_session_close(session);
		return;
	}
	pn_session_set_incoming_capacity(session, 2 * queue_limits.message);
	pn_session_open(session);
}

void
queue_connection_event(pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_session_t *session = pn_event_session(event);
	pn_link_t *link = pn_event_link(event);
	struct member *m = c ? pn_connection_get_context(c) : NULL;

	switch (pn_event_type(event)) {
	case PN_CONNECTION_INIT:
		enter(c);
		break;
	case PN_CONNECTION_BOUND:
		limit_unread(pn_event_transport(event),
			     2 * queue_limits.message);
		if (!m)
			hang_up(c);
		break;
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_open(c);
		break;
	case PN_SESSION_REMOTE_OPEN:
		if (m)
			begin(session, m);
		break;
	case PN_LINK_REMOTE_OPEN:
		link_enter(link);
		break;

	case PN_LINK_FLOW:
		link_flow(link);
		break;
	case PN_DELIVERY:
		link_delivery(link, pn_event_delivery(event));
		break;
	case PN_CONNECTION_WAKE:
		if (m)
			links_woken(&m->links);
		break;

	case PN_LINK_REMOTE_DETACH:
	case PN_LINK_REMOTE_CLOSE:
		link_leave(link);
		pn_link_close(link);
		pn_link_free(link);
		break;
	case PN_SESSION_REMOTE_CLOSE:
		session_leave(session);
		pn_session_close(session);
		pn_session_free(session);
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		if (m)
			links_leave(&m->links);
		pn_connection_close(c);
		break;
	case PN_TRANSPORT_ERROR:
		/* it may not end before a peer reads that does not */
		if (m)
			links_leave(&m->links);
		break;
	case PN_TRANSPORT_CLOSED:
		leave(c);
		break;
	default:
		break;
	}
}
