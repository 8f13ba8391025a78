/*
 * AMQP over a raw connection, and an echo over AMQP: see raw_amqp.h
 *
 * SPDX-License-Identifier: MIT
 *
 * Flow control from end to end: while the peer has not taken what it was sent
 * nothing is read from it, and where it sends it has the credit that it gave
 * where it receives.
 */

#include "raw_amqp.h"

#include "amqp_limits.h"

#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>
#include <proton/session.h>

#include <stdlib.h>
#include <string.h>

#define BUFFER			FRAME_MOST

struct raw_amqp {
	pn_connection_driver_t	driver;
	pn_raw_connection_t	*raw;
	/* whether Proton has the buffer */
	int			reading;
	int			writing;
	char			in[BUFFER];
	char			out[BUFFER];
};

/* the peer's link in the other direction; NULL: there is none */
static pn_link_t *
other_link(pn_link_t *link)
{
	const pn_state_t open = PN_LOCAL_ACTIVE | PN_REMOTE_ACTIVE;
	int sender = pn_link_is_sender(link);
	const char *name = pn_terminus_get_address(sender ?
			pn_link_source(link) : pn_link_target(link)), *other;
	pn_link_t *l;

	for (l = pn_link_head(pn_session_connection(pn_link_session(link)), open);
	     l; l = pn_link_next(l, open)) {
		other = pn_terminus_get_address(sender ? pn_link_target(l) :
							 pn_link_source(l));
		if (!!pn_link_is_sender(l) != sender && name && other &&
		    !strcmp(name, other))
			return l;
	}

	return NULL;
}

/*
 * What came by `from` goes by `to`.  What is not complete, or cannot go yet,
 * stays in Proton, within the session's window: PN_DELIVERY or PN_LINK_FLOW says
 * when there is more to do.
 */
static void
pass_on(pn_link_t *from, pn_link_t *to)
{
	char bytes[1024];
	pn_delivery_t *d;
	ssize_t n;
	int credit;

	while ((d = pn_link_current(from)) && pn_link_credit(to) > 0 &&
	       !has_enough(to, SESSION_MOST)) {
		if (pn_delivery_aborted(d)) {
			pn_delivery_settle(d);
			continue;
		}
		if (is_too_long(d, MESSAGE_MOST)) {
			if (!reject_too_long(from, d))
				break;
			continue;
		}
		if (pn_delivery_partial(d))
			break;

		pn_delivery(to, pn_delivery_tag(d));
		while ((n = pn_link_recv(from, bytes, sizeof(bytes))) > 0)
			pn_link_send(to, bytes, (size_t)n);
		/* nobody waits for the fate of an echo */
		pn_delivery_settle(pn_link_current(to));
		pn_delivery_update(d, PN_ACCEPTED);
		pn_delivery_settle(d);
	}

	credit = pn_link_credit(to) - pn_link_credit(from);
	if (credit > 0)
		pn_link_flow(from, credit);
	if (pn_link_get_drain(to))
		pn_link_drained(to);
}

static void
go_on(pn_link_t *link)
{
	pn_link_t *other = other_link(link);

	if (other && pn_link_is_sender(link))
		pass_on(other, link);
	else if (other)
		pass_on(link, other);
}

static void
on_amqp(pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_session_t *session = pn_event_session(event);
	pn_link_t *link = pn_event_link(event);

	switch (pn_event_type(event)) {
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_set_container(c, "lws-proton-one-port");
		pn_connection_open(c);
		break;
	case PN_SESSION_REMOTE_OPEN:
		pn_session_set_incoming_capacity(session, SESSION_MOST);
		pn_session_open(session);
		break;
	case PN_LINK_REMOTE_OPEN:
		pn_terminus_copy(pn_link_source(link),
				 pn_link_remote_source(link));
		pn_terminus_copy(pn_link_target(link),
				 pn_link_remote_target(link));
		pn_link_set_max_message_size(link, MESSAGE_MOST);
		pn_link_open(link);
		go_on(link);
		break;
	case PN_LINK_FLOW:
	case PN_DELIVERY:
		go_on(link);
		break;
	case PN_LINK_REMOTE_DETACH:
	case PN_LINK_REMOTE_CLOSE:
		pn_link_close(link);
		pn_link_free(link);
		break;
	case PN_SESSION_REMOTE_CLOSE:
		pn_session_close(session);
		pn_session_free(session);
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		pn_connection_close(c);
		break;
	default:
		break;
	}
}

static void
receive(struct raw_amqp *a, const char *bytes, size_t len)
{
	pn_rwbytes_t room;

	/* none: it has failed, and takes no more */
	while (len && (room = pn_connection_driver_read_buffer(&a->driver)).size) {
		size_t n = len < room.size ? len : room.size;

		memcpy(room.start, bytes, n);
		pn_connection_driver_read_done(&a->driver, n);
		bytes += n;
		len -= n;
	}
}

/* what Proton is done with; an empty one is the end of the stream */
static void
take_back(struct raw_amqp *a)
{
	pn_raw_buffer_t b;

	if (pn_raw_connection_take_read_buffers(a->raw, &b, 1)) {
		a->reading = 0;
		receive(a, b.bytes + b.offset, b.size);
	}
	if (pn_raw_connection_take_written_buffers(a->raw, &b, 1))
		a->writing = 0;
}

static int64_t
proceed(struct raw_amqp *a)
{
	int64_t deadline = pn_transport_tick(a->driver.transport,
					     pn_proactor_now_64());
	pn_raw_buffer_t b = { .bytes = a->out };
	pn_event_t *event;
	pn_bytes_t bytes;

	while ((event = pn_connection_driver_next_event(&a->driver)))
		on_amqp(event);

	if (!a->writing) {
		bytes = pn_connection_driver_write_buffer(&a->driver);
		b.capacity = BUFFER;
		b.size = bytes.size < BUFFER ? (uint32_t)bytes.size : BUFFER;
		if (b.size) {
			memcpy(a->out, bytes.start, b.size);
			pn_connection_driver_write_done(&a->driver, b.size);
			a->writing = (int)
				pn_raw_connection_write_buffers(a->raw, &b, 1);
		} else if (pn_connection_driver_write_closed(&a->driver) ||
			   pn_connection_driver_read_closed(&a->driver)) {
			/* the engine waits for the rest of a frame for ever */
			pn_raw_connection_close(a->raw);
		}
	}

	b = (pn_raw_buffer_t){ .bytes = a->in, .capacity = BUFFER };
	if (!a->writing && !a->reading &&
	    !pn_connection_driver_read_closed(&a->driver))
		a->reading = (int)
			pn_raw_connection_give_read_buffers(a->raw, &b, 1);

	return deadline;
}

struct raw_amqp *
raw_amqp_new(pn_raw_connection_t *raw, const char *first, size_t len)
{
	struct raw_amqp *a = calloc(1, sizeof(*a));

	if (!a || pn_connection_driver_init(&a->driver, NULL, NULL)) {
		free(a);
		return NULL;
	}

	a->raw = raw;
	limit_transport(a->driver.transport);
	limit_unread(a->driver.transport, SESSION_MOST);
	receive(a, first, len);

	return a;
}

int64_t
raw_amqp_event(struct raw_amqp *a, pn_event_type_t type)
{
	take_back(a);
	if (type == PN_RAW_CONNECTION_CLOSED_READ)
		pn_connection_driver_read_close(&a->driver);
	if (type == PN_RAW_CONNECTION_CLOSED_WRITE)
		pn_connection_driver_write_close(&a->driver);

	return proceed(a);
}

int
raw_amqp_is_open(const struct raw_amqp *a)
{
	return !!(pn_connection_state(a->driver.connection) & PN_REMOTE_ACTIVE);
}

void
raw_amqp_close(struct raw_amqp *a)
{
	pn_connection_close(a->driver.connection);
	(void)proceed(a);
}

void
raw_amqp_free(struct raw_amqp *a)
{
	pn_connection_driver_destroy(&a->driver);
	free(a);
}
