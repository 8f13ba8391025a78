/*
 * Links and their queues: see queue_links.h
 *
 * SPDX-License-Identifier: MIT
 *
 * A session's context is its struct session_links, a link's its struct seat, or
 * NULL.  A delivery's is the message that it carries to the peer; of one from the
 * peer it is set once it is too long.
 *
 * A message goes to Proton in pieces: Proton's copy of it stays as large as it was
 * at most for as long as the connection, for another message to come.
 */

#include "queue_links.h"

#include "amqp_limits.h"

#include <lws_proton_amqp.h>

#include <proton/session.h>
#include <proton/terminus.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct session_links {
	lws_dll2_t		list;	/* of the connection's */
	lws_dll2_owner_t	seats;
	struct connection_links	*connection;
	pn_session_t		*session;
	int			queued;	/* of its links together */
};

/* a link at its queue */
struct seat {
	lws_dll2_t		list;	/* of the session's */
	lws_dll2_t		due;	/* in the connection's due, or full */
	struct session_links	*session;
	pn_link_t		*link;
	struct place		*place;
	struct message		*sending; /* NULL: no message is half in Proton */
	size_t			sent;	/* how much of it is */
	size_t			held;	/* its part of the connection's */
	int			queued;	/* pn_link_queued(), when last looked at */
	int			asked;	/* its queue has answered, or has it wait */
};

#define SESSION(d)	lws_container_of(d, struct session_links, list)
#define SEAT(d)		lws_container_of(d, struct seat, list)
#define DUE(d)		lws_container_of(d, struct seat, due)

static void
wait_in(lws_dll2_owner_t *owner, struct seat *s)
{
	lws_dll2_remove(&s->due);
	lws_dll2_add_tail(&s->due, owner);
}

/* the connection goes on with it in its next turn */
static void
go_on_later(struct seat *s)
{
	struct connection_links *c = s->session->connection;

	if (s->due.owner != &c->due)
		wait_in(&c->due, s);
	lws_proton_amqp_wake(c->peer.connection);
}

/* 0: the turn is over, and it goes on in the next */
static int
take_turn(struct seat *s)
{
	struct connection_links *c = s->session->connection;

	if (c->turn > 0) {
		c->turn--;
		return 1;
	}
	go_on_later(s);

	return 0;
}

static int
is_full(const struct connection_links *c)
{
	return c->held >= queue_limits.queue / 2;
}

/* one that waits for it: what that leaves is the next one's */
static void
let_go_on(struct connection_links *c)
{
	if (c->full.head && !is_full(c))
		go_on_later(DUE(c->full.head));
}

static void
hold(struct seat *s, const struct message *m)
{
	s->held += queue_held(m);
	s->session->connection->held += queue_held(m);
}

static void
let_go(struct seat *s, const struct message *m)
{
	s->held -= queue_held(m);
	s->session->connection->held -= queue_held(m);
}

static void
look_at_queued(struct seat *s)
{
	int queued = pn_link_queued(s->link);

	s->session->queued += queued - s->queued;
	s->queued = queued;
}

/* it has no place any more, and what comes yet is not looked at */
static void
refuse(pn_link_t *link, const char *condition, const char *description)
{
	link_leave(link);
	pn_condition_set_name(pn_link_condition(link), condition);
	pn_condition_set_description(pn_link_condition(link), description);
	pn_link_close(link);
}

/*
 * Whether a sender is to wait: PN_LINK_FLOW comes when some of its own have gone;
 * for what others of the session have it would not.
 */
static int
is_behind(struct seat *s)
{
	look_at_queued(s);

	return has_enough(s->link, LINKS_OUTGOING) ||
	       (s->queued && s->session->queued >= LINKS_QUEUED);
}

/* 0: there is no message for it now, or the link has been refused */
static int
begin(struct seat *s)
{
	struct connection_links *c = s->session->connection;
	struct message *m;
	pn_delivery_t *d;

	if (is_full(c)) {
		wait_in(&c->full, s);
		return 0;
	}
	s->asked = 1;
	m = queue_take(s->place);
	if (!m)
		return 0;

	d = pn_delivery(s->link, pn_dtag((const char *)&m->number,
					 sizeof(m->number)));
	if (!d) {
		queue_settle(s->place, m, 0);
		refuse(s->link, "amqp:resource-limit-exceeded", "no memory");
		return 0;
	}
	pn_delivery_set_context(d, m);
	hold(s, m);
	s->sending = m;
	s->sent = 0;

	return 1;
}

/* 0: not all of the message is in Proton, and there is no room for more of it */
static int
send_more(struct seat *s)
{
	pn_delivery_t *d = pn_link_current(s->link);
	struct message *m = s->sending;
	size_t room = QUEUE_PIECE - pn_delivery_pending(d),
	       n = m->size - s->sent;

	if (n > room)
		n = room;
	pn_link_send(s->link, m->bytes + s->sent, n);
	s->sent += n;
	if (s->sent < m->size)
		return 0;

	s->sending = NULL;
	pn_link_advance(s->link);
	if (pn_link_snd_settle_mode(s->link) == PN_SND_SETTLED) {
		pn_delivery_set_context(d, NULL);
		let_go(s, m);
		queue_settle(s->place, m, 1);
		pn_delivery_settle(d);
	}

	return 1;
}

/* from the queue to the peer */
static void
give(struct seat *s)
{
	struct connection_links *c = s->session->connection;
	pn_link_t *link = s->link;

	look_at_queued(s);
	while (pn_link_credit(link) > 0 && !is_behind(s)) {
		if (!take_turn(s))
			return;
		if (!s->sending && !begin(s))
			break;
		if (!send_more(s))
			break;
	}

	let_go_on(c);
	/* refused, it is in nobody's hands */
	if (pn_link_get_context(link) && pn_link_get_drain(link) &&
	    !s->sending && !is_behind(s))
		pn_link_drained(link);
}

/* 0: there is no next message to look at yet, or none will be any more */
static int
reject(pn_link_t *link, pn_delivery_t *d)
{
	/* who has settled it would not hear of it otherwise */
	int settled = pn_delivery_settled(d);

	if (!reject_too_long(link, d))
		return 0;
	if (settled)
		refuse(link, TOO_LONG, "a message is too long");

	return !settled;
}

/* 0: there is no room for it now, or the link has been refused */
static int
put(struct seat *s, pn_delivery_t *d)
{
	size_t size = pn_delivery_pending(d);
	struct message *m;

	s->asked = 1;
	m = queue_reserve(s->place, size);
	if (!m && errno == ENOMEM)
		refuse(s->link, "amqp:resource-limit-exceeded", "no memory");
	if (!m)
		return 0;

	pn_link_recv(s->link, m->bytes, size);
	queue_put(s->place, m);
	pn_delivery_update(d, PN_ACCEPTED);
	pn_delivery_settle(d);

	return 1;
}

/*
 * From the peer to the queue.  What is not complete, or finds no room, stays in
 * Proton, within the session's window.
 */
static void
collect(struct seat *s)
{
	pn_link_t *link = s->link;
	pn_delivery_t *d;

	while ((d = pn_link_current(link))) {
		if (!take_turn(s))
			return;
		if (pn_delivery_aborted(d)) {
			pn_delivery_settle(d);
			continue;
		}
		if (is_too_long(d, queue_limits.message)) {
			if (!reject(link, d))
				break;
			continue;
		}
		if (pn_delivery_partial(d) || !put(s, d))
			break;
	}
	/* refused, it is in nobody's hands */
	if (!pn_link_get_context(link) ||
	    pn_link_credit(link) > queue_limits.credit / 2)
		return;

	/* while the queue is full nobody gets more */
	s->asked = 1;
	if (queue_has_room(s->place))
		pn_link_flow(link, queue_limits.credit - pn_link_credit(link));
}

static void
go_on(struct seat *s)
{
	if (pn_link_is_sender(s->link))
		give(s);
	else
		collect(s);
}

/* the place of a link that was woken goes to another if it is of no use here */
static void
serve_due(struct seat *s)
{
	pn_link_t *link = s->link;

	lws_dll2_remove(&s->due);
	s->asked = 0;
	go_on(s);
	if (pn_link_get_context(link) && !s->asked)
		queue_pass(s->place);
}

void
links_woken(struct connection_links *c)
{
	struct seat *s;

	c->turn = LINKS_TURN;
	while (c->turn > 0) {
		s = queue_woken(&c->peer);
		if (s && s->due.owner != &c->due)
			wait_in(&c->due, s);
		if (!c->due.head)
			return;
		c->turn--;
		serve_due(DUE(c->due.head));
	}
	lws_proton_amqp_wake(c->peer.connection);
}

void
links_init(struct connection_links *c, pn_connection_t *connection)
{
	memset(c, 0, sizeof(*c));
	c->peer.connection = connection;
	c->turn = LINKS_TURN;
}

void
links_leave(struct connection_links *c)
{
	while (c->sessions.head)
		session_leave(SESSION(c->sessions.head)->session);
}

int
session_enter(struct connection_links *c, pn_session_t *session)
{
	struct session_links *l = calloc(1, sizeof(*l));

	if (!l)
		return -1;
	l->connection = c;
	l->session = session;
	lws_dll2_add_tail(&l->list, &c->sessions);
	pn_session_set_context(session, l);

	return 0;
}

void
session_leave(pn_session_t *session)
{
	struct session_links *l = pn_session_get_context(session);

	if (!l)
		return;
	while (l->seats.head)
		link_leave(SEAT(l->seats.head)->link);
	lws_dll2_remove(&l->list);
	pn_session_set_context(session, NULL);
	free(l);
}

/* NULL: no memory, or too many queues */
static struct seat *
sit_down(pn_link_t *link, struct session_links *l, const char *name)
{
	struct seat *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->link = link;
	s->session = l;
	s->place = queue_enter(name, pn_link_is_sender(link) ? QUEUE_TAKES :
							       QUEUE_PUTS,
			       &l->connection->peer, s);
	if (!s->place) {
		free(s);
		return NULL;
	}
	lws_dll2_add_tail(&s->list, &l->seats);
	pn_link_set_context(link, s);

	return s;
}

void
link_enter(pn_link_t *link)
{
	struct session_links *l = pn_session_get_context(pn_link_session(link));
	const char *name;
	struct seat *s;

	pn_terminus_copy(pn_link_source(link), pn_link_remote_source(link));
	pn_terminus_copy(pn_link_target(link), pn_link_remote_target(link));
	name = pn_terminus_get_address(pn_link_is_sender(link) ?
				pn_link_source(link) : pn_link_target(link));
	if (!name || strlen(name) > QUEUE_NAME_MOST) {
		refuse(link, "amqp:invalid-field",
		       name ? "the queue's name is too long" :
			      "it names no queue");
		return;
	}

	s = l ? sit_down(link, l, name) : NULL;
	if (!s) {
		refuse(link, "amqp:resource-limit-exceeded", "too many queues");
		return;
	}

	pn_link_set_snd_settle_mode(link, pn_link_remote_snd_settle_mode(link));
	pn_link_set_max_message_size(link, queue_limits.message);
	pn_link_open(link);
	go_on(s);
}

void
link_flow(pn_link_t *link)
{
	struct seat *s = pn_link_get_context(link);

	if (s)
		go_on(s);
}

/* a peer says what has become of a message that it was given */
static void
settle(struct seat *s, pn_delivery_t *d)
{
	uint64_t state = pn_delivery_remote_state(d);
	struct message *m = pn_delivery_get_context(d);

	/* Proton may tell of it once more after it was settled */
	if (!m || (state <= PN_RECEIVED && !pn_delivery_settled(d)))
		return;

	pn_delivery_set_context(d, NULL);
	let_go(s, m);
	queue_settle(s->place, m, state != PN_RELEASED && state != PN_MODIFIED);
	if (m == s->sending) {
		/* it does not want the rest */
		s->sending = NULL;
		pn_delivery_abort(d);
	} else {
		pn_delivery_settle(d);
	}
	let_go_on(s->session->connection);
}

/*
 * Of one that was refused, or has left: what comes on it takes no memory.  What is
 * not complete is read, since Proton counts all of it for the session's window.
 */
static void
drop(pn_link_t *link)
{
	char bytes[1024];
	pn_delivery_t *d;

	while ((d = pn_link_current(link))) {
		while (pn_link_recv(link, bytes, sizeof(bytes)) > 0)
			;
		if (pn_delivery_partial(d))
			return;
		pn_delivery_settle(d);
	}
}

void
link_delivery(pn_link_t *link, pn_delivery_t *d)
{
	struct seat *s = pn_link_get_context(link);

	if (pn_link_is_sender(link)) {
		if (s && pn_delivery_updated(d))
			settle(s, d);
		return;
	}
	if (s && pn_link_remote_credit(link) < 0) {
		refuse(link, "amqp:link:transfer-limit-exceeded",
		       "more messages than it had credit for");
		s = NULL;
	}
	if (s)
		go_on(s);
	else
		drop(link);
}

void
link_leave(pn_link_t *link)
{
	struct seat *s = pn_link_get_context(link);
	struct connection_links *c;

	if (!s)
		return;
	c = s->session->connection;
	pn_link_set_context(link, NULL);
	queue_leave(s->place);
	c->held -= s->held;
	s->session->queued -= s->queued;
	lws_dll2_remove(&s->due);
	lws_dll2_remove(&s->list);
	free(s);
	let_go_on(c);
}
