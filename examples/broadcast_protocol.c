/*
 * A WebSocket broadcast for libwebsockets: see broadcast_protocol.h
 *
 * SPDX-License-Identifier: MIT
 */

#include "broadcast_protocol.h"

#include <stdlib.h>
#include <string.h>

struct message {
	struct lws_dll2		list;		/* room.messages */
	size_t			len;
	unsigned int		waiting;	/* sessions that do not have it */
	int			binary;
	/* LWS_PRE bytes that lws_write() uses, and the payload */
	uint8_t			bytes[];
};

/* what is counted as held: many small messages cost more than their bytes */
#define MESSAGE_COST(len)	(sizeof(struct message) + LWS_PRE + (len))

struct room {
	struct lws_dll2_owner	sessions;
	struct lws_dll2_owner	messages;	/* the oldest first */
	size_t			held;
	int			rx_stopped;	/* of all sessions */
};

struct session {
	struct lws_dll2		list;		/* room.sessions */
	struct lws		*wsi;
	struct message		*next;		/* to be written; NULL: it has all */
	struct message		*partial;	/* what came of one; NULL: nothing */
};

static struct message *
message_of(struct lws_dll2 *d)
{
	return d ? lws_container_of(d, struct message, list) : NULL;
}

static void
stop_rx(struct room *room, int stop)
{
	if (room->rx_stopped == stop)
		return;

	room->rx_stopped = stop;
	lws_start_foreach_dll(struct lws_dll2 *, d, room->sessions.head) {
		struct session *s = lws_container_of(d, struct session, list);

		lws_rx_flow_control(s->wsi, !stop);
	} lws_end_foreach_dll(d);
}

/* a session is done with it, or will not get it */
static void
release(struct room *room, struct message *message)
{
	if (--message->waiting)
		return;

	room->held -= MESSAGE_COST(message->len);
	lws_dll2_remove(&message->list);
	free(message);

	if (room->held <= BROADCAST_HELD / 2)
		stop_rx(room, 0);
}

static void
publish(struct room *room, struct message *message)
{
	message->waiting = room->sessions.count;
	room->held += MESSAGE_COST(message->len);
	lws_dll2_add_tail(&message->list, &room->messages);

	lws_start_foreach_dll(struct lws_dll2 *, d, room->sessions.head) {
		struct session *s = lws_container_of(d, struct session, list);

		/* one that has something to write has asked to be called */
		if (!s->next) {
			s->next = message;
			lws_callback_on_writable(s->wsi);
		}
	} lws_end_foreach_dll(d);

	if (room->held > BROADCAST_HELD)
		stop_rx(room, 1);
}

static int
receive(struct lws *wsi, struct room *room, struct session *s, const void *in,
	size_t len)
{
	size_t had = s->partial ? s->partial->len : 0;
	struct message *message;

	if (len > BROADCAST_MOST - had) {
		lws_close_reason(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, NULL, 0);
		return -1;
	}

	message = realloc(s->partial, MESSAGE_COST(had + len));
	if (!message)
		return -1;
	if (!s->partial)
		memset(message, 0, sizeof(*message));
	s->partial = message;

	if (len)
		memcpy(message->bytes + LWS_PRE + had, in, len);
	message->len = had + len;

	if (!lws_is_final_fragment(wsi))
		return 0;

	message->binary = lws_frame_is_binary(wsi);
	s->partial = NULL;
	publish(room, message);

	return 0;
}

static int
write_next(struct lws *wsi, struct room *room, struct session *s)
{
	while (s->next) {
		struct message *message = s->next;
		int n;

		n = lws_write(wsi, message->bytes + LWS_PRE, message->len,
			      message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
		s->next = message_of(message->list.next);
		release(room, message);
		if (n < 0)
			return -1;
		/* one could be written, or lws had not called: another? */
		if (s->next && lws_send_pipe_choked(wsi)) {
			lws_callback_on_writable(wsi);
			break;
		}
	}

	return 0;
}

static void
leave(struct room *room, struct session *s)
{
	lws_dll2_remove(&s->list);
	free(s->partial);

	while (s->next) {
		struct message *message = s->next;

		s->next = message_of(message->list.next);
		release(room, message);
	}
}

/*
 * With the loop of another library the first connection can come before
 * LWS_CALLBACK_PROTOCOL_INIT
 */
static struct room *
make_room(struct lws *wsi, struct room *room)
{
	return room ? room : lws_protocol_vh_priv_zalloc(lws_get_vhost(wsi),
							 lws_get_protocol(wsi),
							 sizeof(*room));
}

static int
broadcast_callback(struct lws *wsi, enum lws_callback_reasons reason,
		   void *user, void *in, size_t len)
{
	struct room *room = lws_protocol_vh_priv_get(lws_get_vhost(wsi),
						     lws_get_protocol(wsi));
	struct session *s = user;

	switch (reason) {
	case LWS_CALLBACK_PROTOCOL_INIT:
		return make_room(wsi, room) ? 0 : -1;

	case LWS_CALLBACK_ESTABLISHED:
		memset(s, 0, sizeof(*s));
		room = make_room(wsi, room);
		if (!room)
			return -1;
		s->wsi = wsi;
		lws_dll2_add_tail(&s->list, &room->sessions);
		if (room->rx_stopped)
			lws_rx_flow_control(wsi, 0);
		return 0;

	case LWS_CALLBACK_RECEIVE:
		return receive(wsi, room, s, in, len);

	case LWS_CALLBACK_SERVER_WRITEABLE:
		return write_next(wsi, room, s);

	case LWS_CALLBACK_CLOSED:
		leave(room, s);
		return 0;

	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

const struct lws_protocols broadcast_protocols[] = {
	{ "broadcast", broadcast_callback, sizeof(struct session), 8192, 0, NULL,
	  0 },
	LWS_PROTOCOL_LIST_TERM
};
