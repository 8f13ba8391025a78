/*
 * lws-proton-one-port: AMQP and HTTP on one port
 *
 * SPDX-License-Identifier: MIT
 *
 * The proactor, its threads and the listener are the program's.  It accepts
 * connections as raw ones and reads their first bytes: who begins with "AMQP"
 * gets an AMQP endpoint (raw_amqp.h); all others are given to lws, with what was
 * read of them, which serves a page and, to it, a WebSocket echo.
 *
 * A peer has --timeout-secs to show that it is the one or the other, that is, to
 * open its AMQP connection or to send its whole request.
 *
 *   stdout  exactly one line, once it serves:
 *           "ready: http://localhost:PORT/ amqp://localhost:PORT/"
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#include <libwebsockets.h>

#include "raw_amqp.h"
#include "echo_protocol.h"

#define PROGRAM			"lws-proton-one-port"
#include "program.h"
#include "threads.h"
#include "option_table.h"
#include "own_proactor.h"
#include "alarms.h"

#define AMQP			"AMQP"
#define AMQP_LEN		4
/* what is read before it is known whose it is; lws takes 2048 at most */
#define FIRST_MOST		1024
/* those that are not lws's, and the listener */
#define MOST_PEERS		1000
#define LEAST_ALARM_MS		100

enum { PORT, THREADS, TIMEOUT_SECS };

static struct option_row options[] = {
	[PORT] = { "port", "listen on port N, 0 picks a free one",
		   0, MAX_PORT, .value = 7684 },
	[THREADS] = { "threads", "threads that serve all", 1, LWS_MAX_SMP, .value = 1 },
	[TIMEOUT_SECS] = { "timeout-secs", "close a peer that is silent for N "
			   "seconds at first", 1, 3600, .value = 10 },
};

static const struct lws_http_mount page = {
	.mountpoint		= "/",
	.mountpoint_len		= 1,
	.origin			= PAGE_DIR, /* the build says */
	.def			= "index.html",
	.origin_protocol	= LWSMPRO_FILE,
};

/* a connection that is not lws's: the context of its raw connection */
struct peer {
	struct alarm		alarm;
	pn_raw_connection_t	*raw;
	struct raw_amqp		*amqp;		/* NULL: it is not known yet */
	size_t			len;
	char			first[FIRST_MOST];
};

static int stopping_at_once;

static void
accept_one(pn_listener_t *listener)
{
	pn_raw_connection_t *raw = pn_raw_connection();
	struct peer *peer = NULL;

	if (serving.own < MOST_PEERS)
		peer = calloc(1, sizeof(*peer));
	if (peer) {
		peer->raw = raw;
		serving.own++;
		add_alarm(&peer->alarm, raw, 1000 * options[TIMEOUT_SECS].value);
	}
	pn_raw_connection_set_context(raw, peer);

	/* from here on it is another thread's, perhaps */
	pn_listener_raw_accept(listener, raw);
}

static void
forget(struct peer *peer)
{
	remove_alarm(&peer->alarm);
	pn_raw_connection_set_context(peer->raw, NULL);
	if (peer->amqp)
		raw_amqp_free(peer->amqp);
	free(peer);
	serving.own--;
}

static void
to_lws(struct peer *peer)
{
	lws_proton_loop_t *loop = lws_proton_loop_of(serving.context);
	struct lws_proton_conn *c = lws_proton_loop_adopt(loop, peer->raw);

	if (!c) {
		pn_raw_connection_close(peer->raw);
		return;
	}

	lws_proton_loop_enter(loop, lws_proton_conn_tsi(c));
	lws_adopt_socket_vhost_readbuf(own.vhost, c, peer->first, peer->len);
	lws_proton_loop_leave(loop);
	forget(peer);
}

static void
amqp_event(struct peer *peer, pn_event_type_t type)
{
	int64_t at = raw_amqp_event(peer->amqp, type);
	int64_t soon = pn_proactor_now_64() + LEAST_ALARM_MS;

	/* at once, again and again, for one whose idle time-out is a millisecond */
	if (at && at < soon)
		at = soon;

	/* until then it is the one that it was accepted with */
	if (raw_amqp_is_open(peer->amqp))
		set_alarm(&peer->alarm, at);
}

/*
 * Decides whose it is, or has more read.  One buffer at a time: once Proton has
 * given it back, the raw connection can be given away.
 */
static void
look(struct peer *peer)
{
	size_t n = peer->len < AMQP_LEN ? peer->len : AMQP_LEN;
	pn_raw_buffer_t b = {
		.bytes		= peer->first + peer->len,
		.capacity	= (uint32_t)(FIRST_MOST - peer->len),
	};

	if (serving.stopping) {
		pn_raw_connection_close(peer->raw);
	} else if (memcmp(peer->first, AMQP, n)) {
		to_lws(peer);
	} else if (n < AMQP_LEN) {
		pn_raw_connection_give_read_buffers(peer->raw, &b, 1);
	} else {
		peer->amqp = raw_amqp_new(peer->raw, peer->first, peer->len);
		if (peer->amqp)
			amqp_event(peer, PN_RAW_CONNECTION_READ);
		else
			pn_raw_connection_close(peer->raw);
	}
}

/* of a peer of whom it is not known yet what it speaks */
static void
first_event(struct peer *peer, pn_event_type_t type)
{
	pn_raw_buffer_t b;

	switch (type) {
	case PN_RAW_CONNECTION_CONNECTED:
		look(peer);
		break;
	case PN_RAW_CONNECTION_READ:
		/* an empty one is the end of the stream, which is told next */
		if (pn_raw_connection_take_read_buffers(peer->raw, &b, 1) &&
		    b.size) {
			peer->len += b.size;
			look(peer);
		}
		break;
	case PN_RAW_CONNECTION_CLOSED_READ:
		pn_raw_connection_close(peer->raw);
		break;
	default:
		break;
	}
}

static void
woken(struct peer *peer)
{
	int open = peer->amqp && raw_amqp_is_open(peer->amqp);

	if (serving.stopping && open && !stopping_at_once)
		raw_amqp_close(peer->amqp);
	else if (serving.stopping || (!open && is_due(&peer->alarm)))
		pn_raw_connection_close(peer->raw);
}

static void
raw_event(pn_raw_connection_t *raw, pn_event_type_t type)
{
	struct peer *peer = pn_raw_connection_get_context(raw);

	if (!peer) {
		/* there was no room for one; or it comes late */
		pn_raw_connection_close(raw);
		return;
	}
	if (type == PN_RAW_CONNECTION_DISCONNECTED) {
		forget(peer);
		return;
	}

	if (type == PN_RAW_CONNECTION_WAKE)
		woken(peer);
	if (peer->amqp)
		amqp_event(peer, type);
	else
		first_event(peer, type);
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
	case PN_PROACTOR_TIMEOUT:
		ring_alarms(0);
		break;
	default:
		if (pn_event_raw_connection(event))
			raw_event(pn_event_raw_connection(event),
				  pn_event_type(event));
	}
}

static void
stop_own(int at_once)
{
	stopping_at_once = at_once;
	stop_listening();
	ring_alarms(1);
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info = {
		/* lws does not listen: connections are brought to it */
		.port			= CONTEXT_PORT_NO_LISTEN_SERVER,
		.options		= LWS_SERVER_OPTION_PROTON |
					  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
					  LWS_SERVER_OPTION_VALIDATE_UTF8,
		.pt_serv_buf_size	= ECHO_PIECE,
		.protocols		= echo_protocols,
		.extensions		= echo_extensions,
		.mounts			= &page,
	};
	int n;

	n = parse_option_table(argc, argv, "Echoes AMQP messages, and serves a "
			       "page and a WebSocket echo, on 127.0.0.1.",
			       options, LWS_ARRAY_SIZE(options));
	if (n >= 0)
		return n;

	info.count_threads	= (unsigned int)options[THREADS].value;
	info.timeout_secs	= (unsigned int)options[TIMEOUT_SECS].value;
	/* lws has another for a request that has begun */
	info.timeout_secs_ah_idle = info.timeout_secs;
	serving.own_event	= own_event;
	serving.stop_own	= stop_own;

	return serve_own_proactor(&info, options[PORT].value);
}
