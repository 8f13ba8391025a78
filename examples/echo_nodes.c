/*
 * AMQP connections that get back what they send: see echo_nodes.h
 *
 * SPDX-License-Identifier: MIT
 */

#include "echo_nodes.h"

#include "amqp_limits.h"

#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <stdatomic.h>
#include <string.h>

size_t echo_nodes_message_most = MESSAGE_MOST;

static size_t
session_most(void)
{
	return 2 * echo_nodes_message_most;
}

/* the node at our end of a link, if it has a name */
static const char *
node(pn_link_t *link)
{
	const char *name = pn_terminus_get_address(pn_link_is_sender(link) ?
					pn_link_remote_source(link) :
					pn_link_remote_target(link));

	return name ? name : "";
}

/*
 * The links of the connection in the other direction with the same node: the
 * first, or the next after that one, or NULL.
 */
static pn_link_t *
other_end(pn_link_t *link, pn_link_t *after)
{
	const pn_state_t open = PN_LOCAL_ACTIVE | PN_REMOTE_ACTIVE;
	pn_connection_t *c = pn_session_connection(pn_link_session(link));
	pn_link_t *other = after ? pn_link_next(after, open) :
				   pn_link_head(c, open);

	for (; other; other = pn_link_next(other, open))
		if (pn_link_is_sender(other) != pn_link_is_sender(link) &&
		    !strcmp(node(other), node(link)))
			return other;

	return NULL;
}

/*
 * Whole messages: several may send to a node.  What is not complete, or cannot
 * go yet, stays in Proton, within the session's window.  It can go once whoever
 * receives has read, which he says by settling (PN_DELIVERY), gives credit, or
 * bytes of the link have gone (both PN_LINK_FLOW).
 */
static void
pass_on(pn_link_t *from, pn_link_t *to)
{
	static _Thread_local char bytes[64 * 1024];
	static atomic_ullong tags;
	unsigned long long tag;
	pn_delivery_t *d;
	ssize_t n;
	int credit;

	while ((d = pn_link_current(from)) && pn_link_credit(to) > 0 &&
	       !has_enough(to, session_most())) {
		if (pn_delivery_aborted(d)) {
			pn_delivery_settle(d);
			continue;
		}
		if (is_too_long(d, echo_nodes_message_most)) {
			if (!reject_too_long(from, d))
				break;
			continue;
		}
		if (pn_delivery_partial(d))
			break;

		/* not the tag that it came with: those of two may be the same */
		tag = ++tags;
		pn_delivery(to, pn_dtag((char *)&tag, sizeof(tag)));
		while ((n = pn_link_recv(from, bytes, sizeof(bytes))) > 0)
			pn_link_send(to, bytes, (size_t)n);
		pn_link_advance(to);
		pn_delivery_update(d, PN_ACCEPTED);
		pn_delivery_settle(d);
	}

	/* what has come and is not passed on yet has used none up */
	credit = pn_link_credit(to) - pn_link_credit(from);
	if (credit > 0)
		pn_link_flow(from, credit);
	if (pn_link_get_drain(to))
		pn_link_drained(to);
}

static void
go_on(pn_link_t *link)
{
	pn_link_t *other = other_end(link, NULL);

	if (pn_link_is_sender(link))
		for (; other; other = other_end(link, other))
			pass_on(other, link);
	else if (other)
		pass_on(link, other);
}

void
echo_nodes_event(pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_link_t *link = pn_event_link(event);
	pn_delivery_t *d;

	switch (pn_event_type(event)) {
	case PN_CONNECTION_BOUND:
		limit_unread(pn_event_transport(event), session_most());
		break;
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_open(c);
		break;
	case PN_SESSION_REMOTE_OPEN:
		pn_session_set_incoming_capacity(pn_event_session(event),
						 session_most());
		pn_session_open(pn_event_session(event));
		break;
	case PN_LINK_REMOTE_OPEN:
		pn_terminus_copy(pn_link_source(link),
				 pn_link_remote_source(link));
		pn_terminus_copy(pn_link_target(link),
				 pn_link_remote_target(link));
		pn_link_set_max_message_size(link, echo_nodes_message_most);
		/* or nobody would say that he has read: see pass_on() */
		if (pn_link_is_sender(link))
			pn_link_set_snd_settle_mode(link, PN_SND_UNSETTLED);
		pn_link_open(link);
		go_on(link);
		break;
	case PN_LINK_FLOW:
		go_on(link);
		break;
	case PN_DELIVERY:
		d = pn_event_delivery(event);
		if (pn_link_is_sender(link) && pn_delivery_updated(d))
			pn_delivery_settle(d);
		go_on(link);
		break;
	case PN_LINK_REMOTE_DETACH:
	case PN_LINK_REMOTE_CLOSE:
		pn_link_close(link);
		pn_link_free(link);
		break;
	case PN_SESSION_REMOTE_CLOSE:
		pn_session_close(pn_event_session(event));
		pn_session_free(pn_event_session(event));
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		pn_connection_close(c);
		break;
	default:
		break;
	}
}
