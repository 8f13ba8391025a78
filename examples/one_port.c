/*
 * lws-proton-one-port: AMQP and HTTP on one port
 *
 * SPDX-License-Identifier: MIT
 *
 * The proactor, its threads and the listener are the program's.  It accepts
 * connections as raw ones and reads their first bytes.  All are given to lws then,
 * with what was read of them: who begins with "AMQP" gets back what it sends to its
 * nodes (echo_nodes.h); to all others lws serves a page and, to it, a WebSocket
 * echo.
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
#include <lws_proton_amqp.h>

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/raw_connection.h>

#include "amqp_limits.h"
#include "echo_nodes.h"
#include "echo_protocol.h"

#define PROGRAM			"lws-proton-one-port"
#include "program.h"
#include "threads.h"
#include "option_table.h"
#include "own_proactor.h"

#define AMQP			"AMQP"
#define AMQP_LEN		4
/* what is read before it is known whose it is; lws takes 2048 at most */
#define FIRST_MOST		1024
/* those that are not HTTP's, and the listener */
#define MOST_PEERS		1000

enum { PORT, THREADS, MEMORY_MIB, TIMEOUT_SECS };

static struct option_row options[] = {
	[PORT] = { "port", "listen on port N, 0 picks a free one",
		   0, MAX_PORT, .value = 7684 },
	[THREADS] = { "threads", "threads that serve all", 1, LWS_MAX_SMP, .value = 1 },
	[MEMORY_MIB] = { "memory-mib", "what all AMQP peers may have AMQP hold, in MiB",
			 1, MEMORY_MIB_MOST, .value = MEMORY_MIB_DEFAULT },
	[TIMEOUT_SECS] = { "timeout-secs", "close a peer that has not opened AMQP, "
			   "or sent a request, after N seconds", 1, 3600, .value = 10 },
};

static const struct lws_http_mount page = {
	.mountpoint		= "/",
	.mountpoint_len		= 1,
	.origin			= PAGE_DIR, /* the build says */
	.def			= "index.html",
	.origin_protocol	= LWSMPRO_FILE,
};

/*
 * AMQP
 */

static int
accept_amqp(void *unused, struct lws *wsi, pn_connection_t *c, pn_transport_t *t)
{
	(void)unused;
	(void)wsi;
	pn_connection_set_container(c, PROGRAM);
	limit_transport(t);

	return 0;
}

static void
handle_amqp(void *unused, pn_event_t *event)
{
	(void)unused;
	echo_nodes_event(event);
}

static lws_proton_amqp_t amqp = {
	.handle = handle_amqp,
	.accept = accept_amqp,
};

static const struct lws_protocols amqp_protocols[] = {
	LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp),
	LWS_PROTOCOL_LIST_TERM
};

/* a peer that does not read what it is sent is not read from either */
static const struct lws_protocol_vhost_options answer_first = {
	NULL, NULL, "answer-first", "1"
};

static const struct lws_protocol_vhost_options amqp_options = {
	NULL, &answer_first, "lws-proton", ""
};

/*
 * Peers of whom it is not known what they speak
 */

/* the context of its raw connection */
struct peer {
	lws_dll2_t		list;
	pn_raw_connection_t	*raw;
	int64_t			since;	/* ms of pn_proactor_now_64() */
	size_t			len;
	char			first[FIRST_MOST];
};

/*
 * Those that can be woken, in the order in which they came, and so in that in which
 * their time is over.  With the mutex.
 */
static pthread_mutex_t peers_mutex = PTHREAD_MUTEX_INITIALIZER;
static lws_dll2_owner_t peers;
static int ending;		/* there are to be no more, and no listener */

/* with the mutex, once there are threads */
static struct listening {
	pn_listener_t		*listener;	/* NULL: it has ended */
	int			port;		/* -1: it could not begin */
	int64_t			again_at;	/* 0: it does not wait to begin again */
} listening;

static int64_t
time_over(const struct peer *peer)
{
	return peer->since + 1000 * options[TIMEOUT_SECS].value;
}

/* for the first of them, and the listener: with the mutex */
static void
set_timeout(void)
{
	int64_t at = listening.again_at, ms;
	struct peer *first;

	if (peers.head) {
		first = lws_container_of(peers.head, struct peer, list);
		if (!at || time_over(first) < at)
			at = time_over(first);
	}
	if (!at)
		return;
	ms = at - pn_proactor_now_64();
	lws_proton_set_timeout(serving.proactor, ms > 0 ? (pn_millis_t)ms : 0);
}

/* those whose time is over, or all: their raw connections are woken to be closed */
static void
end_peers(int all)
{
	struct peer *peer;

	pthread_mutex_lock(&peers_mutex);
	while (peers.head) {
		peer = lws_container_of(peers.head, struct peer, list);
		if (!all && time_over(peer) > pn_proactor_now_64())
			break;
		lws_dll2_remove(&peer->list);
		pn_raw_connection_wake(peer->raw);
	}
	set_timeout();
	pthread_mutex_unlock(&peers_mutex);
}

static void
accept_one(pn_listener_t *listener)
{
	pn_raw_connection_t *raw = pn_raw_connection();
	struct peer *peer = NULL;

	if (!raw) {
		/* it would be offered again, at once and for ever */
		pn_listener_close(listener);
		return;
	}
	if (serving.own < MOST_PEERS)
		peer = calloc(1, sizeof(*peer));
	pthread_mutex_lock(&peers_mutex);
	if (ending) {
		free(peer);
		peer = NULL;
	}
	if (peer) {
		peer->raw = raw;
		serving.own++;
		peer->since = pn_proactor_now_64();
		lws_dll2_add_tail(&peer->list, &peers);
		if (peers.count == 1)
			set_timeout();
	}
	pthread_mutex_unlock(&peers_mutex);
	pn_raw_connection_set_context(raw, peer);

	/* from here on it is another thread's, perhaps */
	pn_listener_raw_accept(listener, raw);
}

/* in its last batch at the latest */
static void
forget(struct peer *peer)
{
	pthread_mutex_lock(&peers_mutex);
	lws_dll2_remove(&peer->list);
	pthread_mutex_unlock(&peers_mutex);
	pn_raw_connection_set_context(peer->raw, NULL);
	free(peer);
	serving.own--;
}

static void
to_lws(struct peer *peer, int is_amqp)
{
	lws_proton_loop_t *loop = lws_proton_loop_of(serving.context);
	struct lws_proton_conn *c = lws_proton_loop_adopt(loop, peer->raw);

	if (!c) {
		pn_raw_connection_close(peer->raw);
		return;
	}

	lws_proton_loop_enter(loop, lws_proton_conn_tsi(c));
	if (is_amqp)
		lws_proton_amqp_adopt(own.amqp_vhost, "amqp", c, peer->first,
				      peer->len, (uint32_t)
				(pn_proactor_now_64() - peer->since));
	else
		lws_adopt_socket_vhost_readbuf(own.vhost, c, peer->first,
					       peer->len);
	lws_proton_loop_leave(loop);
	forget(peer);
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

	if (memcmp(peer->first, AMQP, n))
		to_lws(peer, 0);
	else if (n == AMQP_LEN)
		to_lws(peer, 1);
	else
		pn_raw_connection_give_read_buffers(peer->raw, &b, 1);
}

static void
raw_event(pn_raw_connection_t *raw, pn_event_type_t type)
{
	struct peer *peer = pn_raw_connection_get_context(raw);
	pn_raw_buffer_t b;

	if (!peer) {
		/* there was no room for one; or it comes late */
		pn_raw_connection_close(raw);
		return;
	}

	switch (type) {
	case PN_RAW_CONNECTION_CONNECTED:
		look(peer);
		break;
	case PN_RAW_CONNECTION_READ:
		/* an empty one is the end of the stream, which is told next */
		if (pn_raw_connection_take_read_buffers(raw, &b, 1) && b.size) {
			peer->len += b.size;
			look(peer);
		}
		break;
	case PN_RAW_CONNECTION_CLOSED_READ:
	case PN_RAW_CONNECTION_WAKE:
		pn_raw_connection_close(raw);
		break;
	case PN_RAW_CONNECTION_DISCONNECTED:
		forget(peer);
		break;
	default:
		break;
	}
}

/*
 * The listener
 */

/* with the mutex; a failure comes as PN_LISTENER_CLOSE */
static void
listen_on(long port)
{
	char text[8], address[PN_MAX_ADDR];

	snprintf(text, sizeof(text), "%ld", port);
	pn_proactor_addr(address, sizeof(address), "127.0.0.1", text);
	listening.again_at = 0;
	listening.listener = pn_listener();
	if (!listening.listener) {
		listening.again_at = pn_proactor_now_64() +
				     LWS_PROTON_LISTEN_AGAIN_MS;
		return;
	}
	serving.own++;
	pn_proactor_listen(serving.proactor, listening.listener, address,
			   SOMAXCONN);
}

static void
on_listening(void)
{
	char port[PN_MAX_ADDR];

	if (listening.port)
		return;
	pn_netaddr_host_port(pn_listener_addr(listening.listener), NULL, 0,
			     port, sizeof(port));
	listening.port = atoi(port);
}

/*
 * It could not listen, it could not accept (no descriptor was left, or no memory:
 * then it listens again), or the program stops.
 */
static void
on_not_listening(void)
{
	pn_condition_t *condition = pn_listener_condition(listening.listener);
	const char *reason = pn_condition_is_set(condition) ?
			pn_condition_get_description(condition) : "no memory";

	listening.listener = NULL;
	serving.own--;
	if (!listening.port) {
		fprintf(stderr, PROGRAM ": cannot listen: %s\n", reason);
		listening.port = -1;
		return;
	}
	if (ending)
		return;
	lwsl_err("cannot accept connections: %s; listening again in %d ms\n",
		 reason, LWS_PROTON_LISTEN_AGAIN_MS);
	listening.again_at = pn_proactor_now_64() + LWS_PROTON_LISTEN_AGAIN_MS;
	set_timeout();
}

/* for PN_LISTENER_OPEN and PN_LISTENER_CLOSE */
static void
on_listener(pn_event_type_t type)
{
	pthread_mutex_lock(&peers_mutex);
	if (type == PN_LISTENER_OPEN)
		on_listening();
	else
		on_not_listening();
	pthread_mutex_unlock(&peers_mutex);
}

static void
listen_again(void)
{
	pthread_mutex_lock(&peers_mutex);
	if (listening.again_at && listening.again_at <= pn_proactor_now_64())
		listen_on(listening.port);
	set_timeout();
	pthread_mutex_unlock(&peers_mutex);
}

/* on 127.0.0.1, before there are threads.  -1, and a line, on failure */
static int
start_listening(long port)
{
	listen_on(port);
	if (!listening.listener) {
		fprintf(stderr, PROGRAM ": cannot listen: no memory\n");
		return -1;
	}
	while (!listening.port)
		serve_batch(pn_proactor_wait(serving.proactor));

	return listening.port < 0 ? -1 : 0;
}

/* in the threads: for one connection at a time in one of them */
static void
own_event(pn_event_t *event)
{
	switch (pn_event_type(event)) {
	case PN_LISTENER_OPEN:
	case PN_LISTENER_CLOSE:
		on_listener(pn_event_type(event));
		break;
	case PN_LISTENER_ACCEPT:
		accept_one(pn_event_listener(event));
		break;
	case PN_PROACTOR_TIMEOUT:
		end_peers(0);
		listen_again();
		break;
	default:
		if (pn_event_raw_connection(event))
			raw_event(pn_event_raw_connection(event),
				  pn_event_type(event));
	}
}

static void
stop_own(void)
{
	pthread_mutex_lock(&peers_mutex);
	ending = 1;
	listening.again_at = 0;
	if (listening.listener)
		pn_listener_close(listening.listener);
	pthread_mutex_unlock(&peers_mutex);
	end_peers(1);
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
	char ready[128];
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
	amqp.open_ms		= (uint32_t)options[TIMEOUT_SECS].value * 1000;
	limit_memory(options[MEMORY_MIB].value);
	serving.own_event	= own_event;
	serving.stop_own	= stop_own;

	if (start_own_proactor(&info) ||
	    start_amqp(&info, amqp_protocols, &amqp_options,
		       CONTEXT_PORT_NO_LISTEN_SERVER) ||
	    start_listening(options[PORT].value)) {
		finish();
		return EXIT_FAILED;
	}

	snprintf(ready, sizeof(ready),
		 "http://localhost:%d/ amqp://localhost:%d/", listening.port,
		 listening.port);

	return serve_own_proactor(ready);
}
