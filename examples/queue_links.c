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

/* messages that a peer may send before it hears of the fate of the first */
#define CREDIT			16

static void
refuse(pn_link_t *link, const char *condition, const char *description)
{
	pn_condition_set_name(pn_link_condition(link), condition);
	pn_condition_set_description(pn_link_condition(link), description);
	pn_link_close(link);
}

/* from the queue to the peer */
static void
give(pn_link_t *link, struct place *place)
{
	struct message *m;

	while (pn_link_credit(link) > 0 && (m = queue_take(place))) {
		const char *tag = (const char *)&m->number;
		pn_delivery_t *d = pn_delivery(link, pn_dtag(tag,
							sizeof(m->number)));

		pn_delivery_set_context(d, m);
		pn_link_send(link, m->bytes, m->size);
		pn_link_advance(link);
	}

	if (pn_link_get_drain(link))
		pn_link_drained(link);
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
		if (is_too_long(d)) {
			if (!reject_too_long(link, d))
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
	if (pn_link_credit(link) <= CREDIT / 2 && queue_has_room(place))
		pn_link_flow(link, CREDIT - pn_link_credit(link));
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
	if (!name) {
		refuse(link, "amqp:invalid-field", "it names no queue");
		return;
	}

	pn_link_set_context(link, queue_enter(name, c));
	if (!pn_link_get_context(link)) {
		refuse(link, "amqp:resource-limit-exceeded", "too many queues");
		return;
	}

	pn_link_set_max_message_size(link, MESSAGE_MOST);
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
