/*
 * A WebSocket echo for libwebsockets: see echo_protocol.h
 *
 * SPDX-License-Identifier: MIT
 */

#include "echo_protocol.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * A queue is a buffer that is filled at its tail and sent from its head, one
 * piece after the other: a struct piece, LWS_PRE bytes that lws_write() uses,
 * the payload, and what brings the next piece into alignment.
 */
#define QUEUE_SIZE	(64 * 1024)
/*
 * It begins small, since it is taken and freed with each message: malloc() keeps
 * such sizes at hand.  Not with permessage-deflate, which goes on reading from it
 * when it grows.
 */
#define QUEUE_FIRST	960

struct piece {
	uint16_t		len;
	uint8_t			final;
	uint8_t			binary;
};

#define PIECE_ALIGN		16
#define PIECE_HEAD		(sizeof(struct piece) + LWS_PRE)
#define PIECE_ROOM(len)		((PIECE_HEAD + (len) + PIECE_ALIGN - 1) & \
				 ~(size_t)(PIECE_ALIGN - 1))

/*
 * lws passes on what it has taken from one read even after rx is stopped: the
 * rest of a frame, and what of it was inflated already.
 */
#define QUEUE_FULL		(QUEUE_SIZE - 3 * PIECE_ROOM(ECHO_PIECE + LWS_PRE))

/*
 * Stock lws, under TLS, passes on all that one read inflates to: up to 1032
 * times ECHO_PIECE.  Only then does a queue grow further, and not beyond this.
 */
#define QUEUE_MOST		(256 * QUEUE_SIZE)

struct queue {
	size_t			size;
	size_t			head;
	/* up to here lws_write() was called */
	size_t			written;
	size_t			tail;
	uint8_t			bytes[];
};

struct session {
	struct queue		*queue;		/* NULL: nothing is held */
	uint8_t			deflate;
	uint8_t			rx_stopped;
	uint8_t			mid_message;	/* its first piece was written */
};

static char names[ECHO_MAX_NAMES][64];
static pthread_mutex_t names_mutex = PTHREAD_MUTEX_INITIALIZER;

/* lws looks for the name in echo_protocols as soon as this returns */
static void
learn_name(struct lws *wsi)
{
	struct lws_tokenize ts;
	char offered[128], name[sizeof(names[0])];
	int n;

	n = lws_hdr_copy(wsi, offered, sizeof(offered) - 1, WSI_TOKEN_PROTOCOL);
	if (n <= 0)
		return;

	lws_tokenize_init(&ts, offered, LWS_TOKENIZE_F_COMMA_SEP_LIST |
					LWS_TOKENIZE_F_MINUS_NONTERM |
					LWS_TOKENIZE_F_DOT_NONTERM |
					LWS_TOKENIZE_F_RFC7230_DELIMS);
	ts.len = (size_t)n;
	if (lws_tokenize(&ts) != LWS_TOKZE_TOKEN ||
	    lws_tokenize_cstr(&ts, name, sizeof(name)))
		return;

	pthread_mutex_lock(&names_mutex);
	for (n = 0; n < ECHO_MAX_NAMES; n++)
		if (!names[n][0] || !strcmp(names[n], name))
			break;
	if (n < ECHO_MAX_NAMES && !names[n][0]) {
		/* a name that another thread looks at is whole, or empty */
		memcpy(&names[n][1], &name[1], sizeof(name) - 1);
		__atomic_store_n(&names[n][0], name[0], __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&names_mutex);
}

static void
stop_rx(struct lws *wsi, struct session *s, int stop)
{
	if (s->rx_stopped == stop)
		return;

	s->rx_stopped = (uint8_t)stop;
	lws_rx_flow_control(wsi, !stop);
}

/* the queue with this much room at its tail; NULL: the old one stays */
static struct queue *
make_room(const struct session *s, size_t room)
{
	size_t size = s->deflate ? QUEUE_SIZE : QUEUE_FIRST, used = 0;
	struct queue *q = s->queue, *n;

	if (q) {
		memmove(q->bytes, q->bytes + q->head, q->tail - q->head);
		q->tail -= q->head;
		q->written -= q->head;
		q->head = 0;
		used = q->tail;
		size = q->size;
		if (room <= size - used)
			return q;
	}

	while (room > size - used)
		size *= size < QUEUE_SIZE / 4 ? 4 : 2;
	if (size > QUEUE_MOST)
		return NULL;

	n = realloc(q, sizeof(*q) + size);
	if (n && !q)
		memset(n, 0, sizeof(*n));
	if (n)
		n->size = size;

	return n;
}

static int
receive(struct lws *wsi, struct session *s, const void *in, size_t len)
{
	int final = lws_is_final_fragment(wsi);
	struct queue *q = s->queue;
	int first = !q;
	struct piece *piece;

	/* this says nothing: the message goes on */
	if (!len && !final)
		return 0;

	if (!q || PIECE_ROOM(len) > q->size - q->tail) {
		q = make_room(s, PIECE_ROOM(len));
		if (!q) {
			lwsl_wsi_err(wsi, "no room for what was received");
			return -1;
		}
		s->queue = q;
	}

	piece = (struct piece *)(q->bytes + q->tail);
	piece->len = (uint16_t)len;
	piece->final = !!final;
	piece->binary = !!lws_frame_is_binary(wsi);
	if (len)
		memcpy((uint8_t *)piece + PIECE_HEAD, in, len);
	q->tail += PIECE_ROOM(len);

	if (q->tail - q->head > QUEUE_FULL)
		stop_rx(wsi, s, 1);
	/* with a queue it has been asked for */
	if (first)
		lws_callback_on_writable(wsi);

	return 0;
}

static int
write_queued(struct lws *wsi, struct session *s)
{
	int muxed = lws_get_network_wsi(wsi) != wsi;
	struct queue *q = s->queue;
	struct piece *piece;
	int flags;

	if (!q)
		return 0;

	/*
	 * permessage-deflate goes on reading a piece after lws_write() has
	 * returned: it is done with it when lws calls for more.
	 */
	q->head = q->written;

	/* over HTTP/2 lws calls without credit to write with, too */
	if (muxed && lws_send_pipe_choked(wsi)) {
		lws_callback_on_writable(wsi);
		return 0;
	}

	while (q->written != q->tail) {
		q->head = q->written;
		piece = (struct piece *)(q->bytes + q->written);
		q->written += PIECE_ROOM(piece->len);

		flags = s->mid_message ? LWS_WRITE_CONTINUATION :
			piece->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
		s->mid_message = !piece->final;
		if (!piece->final)
			flags |= LWS_WRITE_NO_FIN;
		if (lws_write(wsi, (uint8_t *)piece + PIECE_HEAD, piece->len,
			      (enum lws_write_protocol)flags) < 0)
			return -1;
		/* one could be written, or lws had not called: another? */
		if (q->written != q->tail && lws_send_pipe_choked(wsi))
			break;
	}

	if (q->written == q->tail &&
	    ((!s->deflate && !muxed) || !lws_send_pipe_choked(wsi))) {
		free(q);
		s->queue = NULL;
		stop_rx(wsi, s, 0);
		return 0;
	}

	if (q->tail - q->head <= QUEUE_FULL / 2)
		stop_rx(wsi, s, 0);
	lws_callback_on_writable(wsi);

	return 0;
}

static int
echo_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
	      void *in, size_t len)
{
	struct session *s = user;

	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		learn_name(wsi);
		return 0;

	case LWS_CALLBACK_ESTABLISHED:
		memset(s, 0, sizeof(*s));
		/* as powers of two: ECHO_PIECE; fails without the extension */
		s->deflate = !lws_set_extension_option(wsi,
				"permessage-deflate", "rx_buf_size", "13");
		lws_set_extension_option(wsi, "permessage-deflate",
					 "tx_buf_size", "13");
		return 0;

	case LWS_CALLBACK_RECEIVE:
		return receive(wsi, s, in, len);

	case LWS_CALLBACK_SERVER_WRITEABLE:
		return write_queued(wsi, s);

	case LWS_CALLBACK_CLOSED:
		free(s->queue);
		s->queue = NULL;
		return 0;

	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

#define PROTOCOL(_name) \
	{ _name, echo_callback, sizeof(struct session), ECHO_PIECE, 0, NULL, 0 }
#define PROTOCOL_OF(_n)		PROTOCOL(names[_n])
#define PROTOCOLS_OF_8(_n)	PROTOCOL_OF(_n), PROTOCOL_OF((_n) + 1), \
				PROTOCOL_OF((_n) + 2), PROTOCOL_OF((_n) + 3), \
				PROTOCOL_OF((_n) + 4), PROTOCOL_OF((_n) + 5), \
				PROTOCOL_OF((_n) + 6), PROTOCOL_OF((_n) + 7)

const struct lws_protocols echo_protocols[] = {
	/* for HTTP, and for a client that offers no name */
	PROTOCOL("echo"),
	PROTOCOLS_OF_8(0),
	PROTOCOLS_OF_8(8),
	PROTOCOLS_OF_8(16),
	PROTOCOLS_OF_8(24),
	LWS_PROTOCOL_LIST_TERM
};

const struct lws_extension echo_extensions[] = {
	{
		"permessage-deflate",
		lws_extension_callback_pm_deflate,
		"permessage-deflate"
	},
	{ NULL, NULL, NULL }
};
