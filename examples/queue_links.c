/*
 * Links and their queues: see queue_links.h
 *
 * SPDX-License-Identifier: MIT
 *
 * A link's context is its place, or NULL.  A delivery's is the message that it
 * carries to the peer; of one from the peer it is set once it is too long.
 */

#include "queue_links.h"

#include "amqp_limits.h"
#include "queues.h"

#include <proton/session.h>
#include <proton/terminus.h>

#include <string.h>

/*
 * bytes that a session has in Proton and has not sent yet: as long as there are so
 * many, its links take one message at a time
 */
#define OUTGOING_MOST		(256 * 1024)

/* it has no place any more, and what comes yet is not looked at */
static void
refuse(pn_link_t *link, const char *condition, const char *description)
{
	link_leave(link);
	pn_condition_set_name(pn_link_condition(link), condition);
	pn_condition_set_description(pn_link_condition(link), description);
	pn_link_close(link);
}

/* from the queue to the peer */
static void
give(pn_link_t *link, struct place *place)
{
	struct message *m;

	while (pn_link_credit(link) > 0 && !has_enough(link, OUTGOING_MOST) &&
	       (m = queue_take(place))) {
		const char *tag = (const char *)&m->number;
		pn_delivery_t *d = pn_delivery(link, pn_dtag(tag,
							sizeof(m->number)));

		pn_delivery_set_context(d, m);
		pn_link_send(link, m->bytes, m->size);
		pn_link_advance(link);
		if (pn_link_snd_settle_mode(link) == PN_SND_SETTLED) {
			pn_delivery_set_context(d, NULL);
			queue_settle(place, m, 1);
			pn_delivery_settle(d);
		}
	}

	if (pn_link_get_drain(link) && !has_enough(link, OUTGOING_MOST))
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

/*
 * From the peer to the queue.  What is not complete, or finds no room, stays in
 * Proton, within the session's window.
 */
static void
collect(pn_link_t *link, struct place *place)
{
	struct message *m;
	pn_delivery_t *d;

	while ((d = pn_link_current(link))) {
		size_t size = pn_delivery_pending(d);

		if (pn_delivery_aborted(d)) {
			pn_delivery_settle(d);
			continue;
		}
		if (is_too_long(d, queue_limits.message)) {
			if (!reject(link, d))
				break;
			continue;
		}
		if (pn_delivery_partial(d))
			break;
		m = queue_reserve(place, size);
		if (!m)
			break;
		pn_link_recv(link, m->bytes, size);
		queue_put(place, m);
		pn_delivery_update(d, PN_ACCEPTED);
		pn_delivery_settle(d);
	}

	/* while the queue is full nobody gets more */
	if (pn_link_get_context(link) &&
	    pn_link_credit(link) <= queue_limits.credit / 2 &&
	    queue_has_room(place))
		pn_link_flow(link, queue_limits.credit - pn_link_credit(link));
}

void
link_go_on(pn_link_t *link)
{
	struct place *place = pn_link_get_context(link);

	if (place && pn_link_is_sender(link))
		give(link, place);
	else if (place)
		collect(link, place);
}

void
link_enter(pn_link_t *link)
{
	pn_connection_t *c = pn_session_connection(pn_link_session(link));
	const char *name;

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

	pn_link_set_context(link, queue_enter(name, c));
	if (!pn_link_get_context(link)) {
		refuse(link, "amqp:resource-limit-exceeded", "too many queues");
		return;
	}

	pn_link_set_snd_settle_mode(link, pn_link_remote_snd_settle_mode(link));
	pn_link_set_max_message_size(link, queue_limits.message);
	pn_link_open(link);
	link_go_on(link);
}

/* a peer says what has become of a message that it was given */
static void
settle(pn_link_t *link, pn_delivery_t *d)
{
	uint64_t state = pn_delivery_remote_state(d);
	struct message *m = pn_delivery_get_context(d);

	/* Proton may tell of it once more after it was settled */
	if (!m || (state <= PN_RECEIVED && !pn_delivery_settled(d)))
		return;

	pn_delivery_set_context(d, NULL);
	queue_settle(pn_link_get_context(link), m,
		     state != PN_RELEASED && state != PN_MODIFIED);
	pn_delivery_settle(d);
}

void
link_delivery(pn_link_t *link, pn_delivery_t *d)
{
	if (!pn_link_is_sender(link))
		link_go_on(link);
	else if (pn_link_get_context(link) && pn_delivery_updated(d))
		settle(link, d);
}

void
link_leave(pn_link_t *link)
{
	if (pn_link_get_context(link))
		queue_leave(pn_link_get_context(link));
	pn_link_set_context(link, NULL);
}
