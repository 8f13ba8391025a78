/*
 * lws-proton-amqp-and-mirror: a Proton application that queues messages, and
 * lws's mirror demo on the same threads
 *
 * SPDX-License-Identifier: MIT
 *
 * The proactor and its threads are the program's.  It listens for AMQP 1.0: who
 * sends to an address puts into the queue of that name, who receives from one
 * takes from it (queues.h).  On the same proactor lws listens for HTTP.  Each
 * event is shown to lws first, in threads.h; what is not lws's comes to
 * own_event().
 *
 * lws has one pt, so one thread at a time is in lws, whichever: its mirror
 * protocol is not made for more (docs/limits.md).
 *
 *   stdout  exactly one line, once it serves:
 *           "ready: http://localhost:PORT/ amqp://localhost:PORT/"
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#include <libwebsockets.h>

#define LWS_PLUGIN_STATIC
#include "plugins/protocol_lws_mirror.c"
#include "plugins/protocol_dumb_increment.c"

#define PROGRAM			"lws-proton-amqp-and-mirror"
#include "program.h"
#include "threads.h"
#include "number_options.h"
#include "own_proactor.h"
#include "amqp_limits.h"
#include "queue_links.h"
#include "queues.h"

#include <proton/connection.h>
#include <proton/session.h>

/* where lws's test.html and its scripts are; the build system says */
#if !defined(MIRROR_PAGE_DIR)
#error "define MIRROR_PAGE_DIR as the directory that holds lws's test.html"
#endif

#define MOST_CONNECTIONS	1000

enum { AMQP_PORT, HTTP_PORT, THREADS };

static struct number_option options[] = {
	[AMQP_PORT] = { "port", "serve AMQP on port N, 0 picks a free one",
			0, MAX_PORT, 5672 },
	[HTTP_PORT] = { "http-port", "serve HTTP on port N, 0 picks a free one",
			0, MAX_PORT, 7681 },
	[THREADS] = { "threads", "threads that serve both", 1, LWS_MAX_SMP, 1 },
};

static const struct lws_protocols protocols[] = {
	/* the first protocol is the HTTP handler */
	{ "http", lws_callback_http_dummy, 0, 0, 0, NULL, 0 },
	LWS_PLUGIN_PROTOCOL_MIRROR,
	LWS_PLUGIN_PROTOCOL_DUMB_INCREMENT,
	LWS_PROTOCOL_LIST_TERM
};

static const struct lws_http_mount page = {
	.mountpoint		= "/",
	.mountpoint_len		= 1,
	.origin			= MIRROR_PAGE_DIR,
	.def			= "test.html",
	.origin_protocol	= LWSMPRO_FILE,
};

/*
 * Those of AMQP, to wake them when the program stops: from before Proton has
 * one until its last event.
 */
static pn_connection_t *connections[MOST_CONNECTIONS];
static pthread_mutex_t connections_mutex = PTHREAD_MUTEX_INITIALIZER;
static int stopping_at_once;

/* what is in the place of `from`, NULL if that is nowhere */
static pn_connection_t **
replace(pn_connection_t *from, pn_connection_t *to)
{
	pn_connection_t **found = NULL;
	int n;

	pthread_mutex_lock(&connections_mutex);
	for (n = 0; n < MOST_CONNECTIONS && !found; n++)
		if (connections[n] == from)
			found = &connections[n];
	if (found)
		*found = to;
	pthread_mutex_unlock(&connections_mutex);

	return found;
}

static void
accept_one(pn_listener_t *listener)
{
	pn_connection_t *c = pn_connection();
	pn_transport_t *t = pn_transport();

	limit_transport(t);
	pn_connection_set_context(c, replace(NULL, c));
	serving.own++;

	/* from here on it is another thread's, perhaps */
	pn_listener_accept2(listener, c, t);
}

/* PN_TRANSPORT_CLOSED comes next */
static void
hang_up(pn_connection_t *c)
{
	pn_transport_close_tail(pn_connection_transport(c));
	pn_transport_close_head(pn_connection_transport(c));
}

/* of all sessions, if it is NULL */
static void
links_of(pn_connection_t *c, pn_session_t *session, void (*call)(pn_link_t *))
{
	pn_link_t *link;

	for (link = pn_link_head(c, 0); link; link = pn_link_next(link, 0))
		if (!session || pn_link_session(link) == session)
			call(link);
}

static void
woken(pn_connection_t *c)
{
	if (!serving.stopping)
		links_of(c, NULL, link_go_on);
	else if (stopping_at_once || !(pn_connection_state(c) & PN_REMOTE_ACTIVE))
		hang_up(c);
	else
		pn_connection_close(c);
}

/* in the threads: for one connection at a time in one of them */
static void
own_event(pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_session_t *session = pn_event_session(event);
	pn_link_t *link = pn_event_link(event);

	switch (pn_event_type(event)) {
	case PN_LISTENER_OPEN:
	case PN_LISTENER_CLOSE:
		on_listener(event);
		break;
	case PN_LISTENER_ACCEPT:
		accept_one(pn_event_listener(event));
		break;

	case PN_CONNECTION_BOUND:
		/* more than MOST_CONNECTIONS */
		if (!pn_connection_get_context(c))
			hang_up(c);
		break;
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_set_container(c, PROGRAM);
		pn_connection_open(c);
		break;
	case PN_SESSION_REMOTE_OPEN:
		pn_session_set_incoming_capacity(session, SESSION_MOST);
		pn_session_open(session);
		break;
	case PN_LINK_REMOTE_OPEN:
		link_enter(link);
		break;

	case PN_LINK_FLOW:
		link_go_on(link);
		break;
	case PN_DELIVERY:
		link_delivery(link, pn_event_delivery(event));
		break;
	case PN_CONNECTION_WAKE:
		woken(c);
		break;

	case PN_LINK_REMOTE_DETACH:
	case PN_LINK_REMOTE_CLOSE:
		link_leave(link);
		pn_link_close(link);
		pn_link_free(link);
		break;
	case PN_SESSION_REMOTE_CLOSE:
		links_of(c, session, link_leave);
		pn_session_close(session);
		pn_session_free(session);
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		links_of(c, NULL, link_leave);
		pn_connection_close(c);
		break;
	case PN_TRANSPORT_ERROR:
		/* it may not end before a peer reads that does not */
		links_of(c, NULL, link_leave);
		break;
	case PN_TRANSPORT_CLOSED:
		links_of(c, NULL, link_leave);
		(void)replace(c, NULL);
		serving.own--;
		break;
	default:
		break;
	}
}

static void
stop_own(int at_once)
{
	int n;

	stopping_at_once = at_once;
	stop_listening();
	pthread_mutex_lock(&connections_mutex);
	for (n = 0; n < MOST_CONNECTIONS; n++)
		if (connections[n])
			pn_connection_wake(connections[n]);
	pthread_mutex_unlock(&connections_mutex);
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info = {
		.options	= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_VALIDATE_UTF8 |
				  LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
		.iface		= "127.0.0.1",
		.count_threads	= 1,
		.protocols	= protocols,
		.mounts		= &page,
	};
	int n;

	n = parse_number_options(argc, argv, "Queues AMQP messages, and serves "
				 "the mirror demo of libwebsockets, on 127.0.0.1.",
				 options, LWS_ARRAY_SIZE(options));
	if (n >= 0)
		return n;

	info.port		= (int)options[HTTP_PORT].value;
	serving.threads		= (int)options[THREADS].value;
	serving.own_event	= own_event;
	serving.stop_own	= stop_own;

	n = serve_own_proactor(&info, options[AMQP_PORT].value);
	if (!serving.own)
		queues_free();

	return n;
}
