/*
 * AMQP connections that get back what they send: see echo_nodes.h
 *
 * SPDX-License-Identifier: MIT
 *
 * A connection's context is its struct echo, a session's its struct part, a link's
 * its struct end; NULL once they have gone.  A delivery's is one more than its size,
 * as long as not all of it has gone to the peer; of one from the peer it is set once
 * it is too long.
 *
 * No event looks at all links.  A node lists the links that can go on once another
 * one can: each leaves its list when it is served, and comes again when a message
 * has used up what it had.
 */

#include "echo_nodes.h"

#include "amqp_limits.h"

#include <libwebsockets.h>

#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <search.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t echo_nodes_message_most = MESSAGE_MOST;

struct echo {
	void			*nodes;	/* by their names, for tsearch() */
	lws_dll2_owner_t	parts;
	lws_dll2_owner_t	full;	/* receivers that wait for the peer to read */
	size_t			unread;	/* bytes that have not gone to the peer */
};

/* of a session */
struct part {
	lws_dll2_t		list;	/* of the connection's */
	lws_dll2_owner_t	ends;
	struct echo		*echo;
	pn_session_t		*session;
};

struct node {
	const char		*name;	/* first: see compare() */
	lws_dll2_owner_t	froms;	/* peers' senders that wait for a receiver */
	lws_dll2_owner_t	tos;	/* their receivers that have room */
	size_t			ends;
};

/* our end of a link */
struct end {
	lws_dll2_t		list;	/* of the session's */
	lws_dll2_t		due;	/* in one of its node's, or in full, or none */
	struct part		*part;
	struct node		*node;
	pn_link_t		*link;
	/* of a receiver's: what is not known to have gone, oldest first */
	pn_delivery_t		*oldest;
	size_t			unread;
};

#define PART(d)		lws_container_of(d, struct part, list)
#define END(d)		lws_container_of(d, struct end, list)
#define DUE(d)		lws_container_of(d, struct end, due)

static size_t
session_most(void)
{
	return 2 * echo_nodes_message_most;
}

/*
 * Nodes
 */

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* that of the name, made if there is none; NULL: no memory */
static struct node *
node_enter(struct echo *echo, const char *name)
{
	const char ***found = tfind(&name, &echo->nodes, compare);
	size_t size = strlen(name) + 1;
	struct node *n;

	if (found) {
		n = lws_container_of(*found, struct node, name);
	} else {
		n = calloc(1, sizeof(*n) + size);
		if (!n)
			return NULL;
		n->name = memcpy(n + 1, name, size);
		if (!tsearch(&n->name, &echo->nodes, compare)) {
			free(n);
			return NULL;
		}
	}
	n->ends++;

	return n;
}

static void
node_leave(struct echo *echo, struct node *n)
{
	if (--n->ends)
		return;
	tdelete(&n->name, &echo->nodes, compare);
	free(n);
}

static void
wait_in(lws_dll2_owner_t *owner, struct end *e)
{
	if (e->due.owner == owner)
		return;
	lws_dll2_remove(&e->due);
	lws_dll2_add_tail(&e->due, owner);
}

/*
 * What a receiver's peer has not read
 */

/* what it had settled before all of it had gone is settled here */
static void
look_at_sent(struct end *to)
{
	pn_delivery_t *d;
	size_t size;

	while ((d = to->oldest) && !pn_delivery_buffered(d)) {
		size = (size_t)(uintptr_t)pn_delivery_get_context(d) - 1;
		to->oldest = pn_unsettled_next(d);
		to->unread -= size;
		to->part->echo->unread -= size;
		pn_delivery_set_context(d, NULL);
		if (pn_delivery_updated(d))
			pn_delivery_settle(d);
	}
}

/* what has gone to a receiver's peer, and what that says of it */
static void
settle(struct end *to, pn_delivery_t *d)
{
	look_at_sent(to);
	if (!pn_delivery_get_context(d))
		pn_delivery_settle(d);
}

static int
is_full(const struct echo *echo)
{
	return echo->unread >= FULL_SESSIONS * session_most();
}

/*
 * Whether a message can go to it.  If not, what lets it go on again is an event of
 * its own, or of whoever reads what the connection is full of.
 */
static int
has_room(struct end *to)
{
	if (pn_link_credit(to->link) <= 0 ||
	    has_enough(to->link, session_most())) {
		lws_dll2_remove(&to->due);
		return 0;
	}
	if (is_full(to->part->echo)) {
		wait_in(&to->part->echo->full, to);
		return 0;
	}

	return 1;
}

/*
 * Passing on
 */

/* whether there is nothing that a sender's peer can do before it is served */
static int
is_waiting(pn_link_t *from)
{
	pn_delivery_t *d = pn_link_current(from);

	if (!d)
		return pn_link_credit(from) <= 0;

	return !pn_delivery_partial(d) || pn_delivery_aborted(d) ||
	       is_too_long(d, echo_nodes_message_most);
}

/*
 * Whole messages: several may send to a node.  What is not complete, or cannot
 * go yet, stays in Proton, within the session's window.  It can go once whoever
 * receives has read, which he says by settling (PN_DELIVERY), gives credit, or
 * bytes of the link have gone (both PN_LINK_FLOW).
 */
static void
pass_on(pn_link_t *from, struct end *to)
{
	static _Thread_local char bytes[64 * 1024];
	static atomic_ullong tags;
	unsigned long long tag;
	pn_delivery_t *d, *copy;
	size_t size;
	ssize_t n;
	int credit;

	while ((d = pn_link_current(from)) && has_room(to)) {
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
		copy = pn_delivery(to->link, pn_dtag((char *)&tag, sizeof(tag)));
		size = 0;
		while ((n = pn_link_recv(from, bytes, sizeof(bytes))) > 0) {
			pn_link_send(to->link, bytes, (size_t)n);
			size += (size_t)n;
		}
		pn_delivery_set_context(copy, (void *)(uintptr_t)(size + 1));
		if (!to->oldest)
			to->oldest = copy;
		to->unread += size;
		to->part->echo->unread += size;
		pn_link_advance(to->link);
		pn_delivery_update(d, PN_ACCEPTED);
		pn_delivery_settle(d);
	}

	/* what has come and is not passed on yet has used none up */
	credit = pn_link_credit(to->link) - pn_link_credit(from);
	if (credit > 0)
		pn_link_flow(from, credit);
}

/* as long as there is both: with each turn one of the two leaves its list */
static void
go_on(struct node *n)
{
	struct end *from, *to;

	while (n->froms.head && n->tos.head) {
		from = DUE(n->froms.head);
		to = DUE(n->tos.head);
		if (!has_room(to))
			continue;
		lws_dll2_remove(&from->due);
		pass_on(from->link, to);
		if (is_waiting(from->link) && !has_room(to))
			wait_in(&n->froms, from);
	}
}

/* those that the connection was too full for */
static void
go_on_with_full(struct echo *echo)
{
	struct end *to;

	while (echo->full.head && !is_full(echo)) {
		to = DUE(echo->full.head);
		wait_in(&to->node->tos, to);
		go_on(to->node);
	}
}

/* an event of the link */
static void
look_at(struct end *e)
{
	if (!pn_link_is_sender(e->link)) {
		if (is_waiting(e->link))
			wait_in(&e->node->froms, e);
		go_on(e->node);
		return;
	}

	look_at_sent(e);
	if (has_room(e))
		wait_in(&e->node->tos, e);
	go_on(e->node);
	if (pn_link_get_drain(e->link))
		pn_link_drained(e->link);
	go_on_with_full(e->part->echo);
}

/*
 * What comes and goes
 */

static void
refuse(pn_condition_t *condition)
{
	pn_condition_set_name(condition, "amqp:resource-limit-exceeded");
	pn_condition_set_description(condition, "no memory");
}

static void
session_enter(pn_session_t *session)
{
	struct echo *echo = pn_connection_get_context(
					pn_session_connection(session));
	struct part *p = echo ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		refuse(pn_session_condition(session));
		pn_session_close(session);
		return;
	}
	p->echo = echo;
	p->session = session;
	lws_dll2_add_tail(&p->list, &echo->parts);
	pn_session_set_context(session, p);
	pn_session_set_incoming_capacity(session, session_most());
	pn_session_open(session);
}

static void
link_enter(pn_link_t *link)
{
	struct part *p = pn_session_get_context(pn_link_session(link));
	struct end *e = p ? calloc(1, sizeof(*e)) : NULL;
	const char *name;

	pn_terminus_copy(pn_link_source(link), pn_link_remote_source(link));
	pn_terminus_copy(pn_link_target(link), pn_link_remote_target(link));
	pn_link_set_max_message_size(link, echo_nodes_message_most);
	/* or nobody would say that he has read: see pass_on() */
	if (pn_link_is_sender(link))
		pn_link_set_snd_settle_mode(link, PN_SND_UNSETTLED);
	pn_link_open(link);

	name = pn_terminus_get_address(pn_link_is_sender(link) ?
					       pn_link_remote_source(link) :
					       pn_link_remote_target(link));
	if (e)
		e->node = node_enter(p->echo, name ? name : "");
	if (!e || !e->node) {
		free(e);
		refuse(pn_link_condition(link));
		pn_link_close(link);
		return;
	}
	e->part = p;
	e->link = link;
	lws_dll2_add_tail(&e->list, &p->ends);
	pn_link_set_context(link, e);
	look_at(e);
}

static void
end_leave(struct end *e)
{
	struct echo *echo = e->part->echo;

	/* what has not gone does not go */
	echo->unread -= e->unread;
	lws_dll2_remove(&e->due);
	lws_dll2_remove(&e->list);
	node_leave(echo, e->node);
	pn_link_set_context(e->link, NULL);
	free(e);
}

static void
link_leave(pn_link_t *link)
{
	struct end *e = pn_link_get_context(link);
	struct echo *echo = e ? e->part->echo : NULL;

	if (!e)
		return;
	end_leave(e);
	go_on_with_full(echo);
}

static void
part_leave(struct part *p)
{
	while (p->ends.head)
		end_leave(END(p->ends.head));
	lws_dll2_remove(&p->list);
	pn_session_set_context(p->session, NULL);
	free(p);
}

static void
session_leave(pn_session_t *session)
{
	struct part *p = pn_session_get_context(session);
	struct echo *echo = p ? p->echo : NULL;

	if (!p)
		return;
	part_leave(p);
	go_on_with_full(echo);
}

static void
connection_leave(pn_connection_t *c)
{
	struct echo *echo = pn_connection_get_context(c);

	if (!echo)
		return;
	while (echo->parts.head)
		part_leave(PART(echo->parts.head));
	pn_connection_set_context(c, NULL);
	free(echo);
}

void
echo_nodes_event(pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_session_t *session = pn_event_session(event);
	pn_link_t *link = pn_event_link(event);
	struct end *e = link ? pn_link_get_context(link) : NULL;
	pn_delivery_t *d;

	switch (pn_event_type(event)) {
	case PN_CONNECTION_INIT:
		pn_connection_set_context(c, calloc(1, sizeof(struct echo)));
		break;
	case PN_CONNECTION_BOUND:
		limit_unread(pn_event_transport(event), session_most());
		break;
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_open(c);
		break;
	case PN_SESSION_REMOTE_OPEN:
		session_enter(session);
		break;
	case PN_LINK_REMOTE_OPEN:
		link_enter(link);
		break;
	case PN_LINK_FLOW:
		if (e)
			look_at(e);
		break;
	case PN_DELIVERY:
		d = pn_event_delivery(event);
		if (!e)
			break;
		if (pn_link_is_sender(link) && pn_delivery_updated(d))
			settle(e, d);
		look_at(e);
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
		pn_connection_close(c);
		break;
	case PN_TRANSPORT_CLOSED:
		connection_leave(c);
		break;
	default:
		break;
	}
}
