/*
 * lws-proton-amqp-echo: a Proton application that serves AMQP over TCP and over
 * WebSocket, with the same handler
 *
 * SPDX-License-Identifier: MIT
 *
 * What a client sends to a node comes back, as it was, to whoever of the same
 * connection receives from a node of that name.  Between the two it waits here,
 * so who sends gets credit only for what who receives has room for, and is not
 * read while that one does not read.  What is left when a receiver goes waits for
 * another of the node.
 *
 *   stdout  exactly one line, "ready: ws://localhost:PORT/ amqp://localhost:PORT",
 *           once it serves (wss:// with a certificate)
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#include <libwebsockets.h>
#include <lws_proton.h>
#include <lws_proton_amqp.h>

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <getopt.h>
#include <netdb.h>

#define PROGRAM			"lws-proton-amqp-echo"
#include "program.h"
#include "guard_options.h"
#include "threads.h"
/* of a session twice as much can wait to be passed on, and as much to be sent */
#define MESSAGE_MOST		(8 * 1024 * 1024)
#include "amqp_limits.h"

#define DEFAULT_PORT		5671

struct options {
	const char		*tls_cert;
	const char		*tls_key;
	long			threads;
	long			port;
	long			amqp_port;
	long			idle_ms;
	long			max_frame;
};

static struct options options = {
	.threads		= 1,
	.port			= DEFAULT_PORT,
	.max_frame		= LWS_PROTON_AMQP_MAX_FRAME,
};
static pn_listener_t *listener;
static char tcp_port[NI_MAXSERV];	/* "": not listening */
static int listened;			/* or could not */

/* the node at our end of a link, if it has a name */
static const char *
node(pn_link_t *link)
{
	const char *name = pn_terminus_get_address(pn_link_is_sender(link) ?
					pn_link_remote_source(link) :
					pn_link_remote_target(link));

	return name ? name : "";
}

/*
 * The links of the connection in the other direction with the same node: the
 * first, or the next after that one, or NULL.
 */
static pn_link_t *
other_end(pn_link_t *link, pn_link_t *after)
{
	const pn_state_t open = PN_LOCAL_ACTIVE | PN_REMOTE_ACTIVE;
	pn_connection_t *c = pn_session_connection(pn_link_session(link));
	pn_link_t *other = after ? pn_link_next(after, open) :
				   pn_link_head(c, open);

	for (; other; other = pn_link_next(other, open))
		if (pn_link_is_sender(other) != pn_link_is_sender(link) &&
		    !strcmp(node(other), node(link)))
			return other;

	return NULL;
}

/*
 * Whole messages: several may send to a node.  What is not complete, or cannot
 * go yet, stays in Proton, within the session's window.  It can go once whoever
 * receives has read, which he says by settling (PN_DELIVERY), gives credit, or
 * bytes of the link have gone (both PN_LINK_FLOW).
 */
static void
pass_on(pn_link_t *from, pn_link_t *to)
{
	static _Thread_local char bytes[64 * 1024];
	static atomic_ullong tags;
	unsigned long long tag;
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

		/* not the tag that it came with: those of two may be the same */
		tag = ++tags;
		pn_delivery(to, pn_dtag((char *)&tag, sizeof(tag)));
		while ((n = pn_link_recv(from, bytes, sizeof(bytes))) > 0)
			pn_link_send(to, bytes, (size_t)n);
		pn_link_advance(to);
		pn_delivery_update(d, PN_ACCEPTED);
		pn_delivery_settle(d);
	}

	/* what has come and is not passed on yet has used none up */
	credit = pn_link_credit(to) - pn_link_credit(from);
	if (credit > 0)
		pn_link_flow(from, credit);
	if (pn_link_get_drain(to))
		pn_link_drained(to);
}

static void
go_on(pn_link_t *link)
{
	pn_link_t *other = other_end(link, NULL);

	if (pn_link_is_sender(link))
		for (; other; other = other_end(link, other))
			pass_on(other, link);
	else if (other)
		pass_on(link, other);
}

/* of a connection, whatever carries it */
static void
handle(void *unused, pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_transport_t *t = pn_event_transport(event);
	pn_link_t *link = pn_event_link(event);
	pn_delivery_t *d;

	(void)unused;

	switch (pn_event_type(event)) {
	case PN_CONNECTION_BOUND:
		pn_transport_require_auth(t, false);
		pn_transport_set_max_frame(t, (uint32_t)options.max_frame);
		limit_unread(t, SESSION_MOST);
		pn_transport_set_channel_max(t, MOST_SESSIONS - 1);
		pn_transport_set_idle_timeout(t,
					(pn_millis_t)options.idle_ms);
		break;
	case PN_CONNECTION_REMOTE_OPEN:
		pn_connection_set_container(c, PROGRAM);
		pn_connection_open(c);
		break;
	case PN_SESSION_REMOTE_OPEN:
		pn_session_set_incoming_capacity(pn_event_session(event),
						 SESSION_MOST);
		pn_session_open(pn_event_session(event));
		break;
	case PN_LINK_REMOTE_OPEN:
		pn_terminus_copy(pn_link_source(link),
				 pn_link_remote_source(link));
		pn_terminus_copy(pn_link_target(link),
				 pn_link_remote_target(link));
		pn_link_set_max_message_size(link, MESSAGE_MOST);
		/* or nobody would say that he has read: see pass_on() */
		if (pn_link_is_sender(link))
			pn_link_set_snd_settle_mode(link, PN_SND_UNSETTLED);
		pn_link_open(link);
		go_on(link);
		break;
	case PN_LINK_FLOW:
		go_on(link);
		break;
	case PN_DELIVERY:
		d = pn_event_delivery(event);
		if (pn_link_is_sender(link) && pn_delivery_updated(d))
			pn_delivery_settle(d);
		go_on(link);
		break;
	case PN_LINK_REMOTE_DETACH:
	case PN_LINK_REMOTE_CLOSE:
		pn_link_close(link);
		pn_link_free(link);
		break;
	case PN_SESSION_REMOTE_CLOSE:
		pn_session_close(pn_event_session(event));
		pn_session_free(pn_event_session(event));
		break;
	case PN_CONNECTION_REMOTE_CLOSE:
		pn_connection_close(c);
		break;
	case PN_TRANSPORT_ERROR:
		/* a peer words it: in quotes it tells no kinds of lines apart */
		lwsl_warn("%s: \"%s: %s\"\n",
			  lws_proton_amqp_peer(c) ? "ws" : "tcp",
			  pn_condition_get_name(pn_transport_condition(t)),
			  pn_condition_get_description(
						pn_transport_condition(t)));
		break;
	default:
		break;
	}
}

static lws_proton_amqp_t amqp = {
	.handle		= handle,
	.origins	= guard_origins,
};

static const struct lws_protocols protocols[] = {
	/* first: it is asked for WebSockets that name none, and refuses them */
	LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp),
	LWS_PROTON_AMQP_PROTOCOL("AMQPWSB10", &amqp),
	LWS_PROTON_AMQP_PROTOCOL("binary", &amqp),
	LWS_PROTOCOL_LIST_TERM
};

/* what is the program's own of the proactor's events */
static void
handle_own(pn_event_t *event)
{
	switch (pn_event_type(event)) {
	case PN_LISTENER_OPEN:
		pn_netaddr_host_port(pn_listener_addr(listener), NULL, 0,
				     tcp_port, sizeof(tcp_port));
		listened = 1;
		break;
	case PN_LISTENER_CLOSE:
		listened = 1;
		break;
	case PN_LISTENER_ACCEPT:
		pn_listener_accept2(listener, NULL, NULL);
		break;
	default:
		if (pn_event_connection(event))
			handle(NULL, event);
	}
}

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: " PROGRAM " [option]...\n"
		"\n"
		"Returns AMQP messages to who sent them, on 127.0.0.1.\n"
		"\n"
		"  --port N          WebSocket on port N, 0 picks a free one (default %d)\n"
		"  --amqp-port N     TCP on port N, 0 picks a free one (the default)\n"
		"  --threads N       threads, at most %d (default 1)\n"
		"  --idle-ms N       idle time-out, 0 is none (the default)\n"
		"  --max-frame N     largest frame, in bytes (default %d)\n"
		"  --tls-cert FILE   serve wss:// with this certificate chain (PEM),\n"
		"  --tls-key FILE    and its private key\n"
		GUARD_USAGE
		"  --help            print this and exit\n",
		DEFAULT_PORT, LWS_MAX_SMP, LWS_PROTON_AMQP_MAX_FRAME);
}

/* -1: go on; otherwise the exit code */
static int
parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "port",	required_argument,	NULL, 'p' },
		{ "amqp-port",	required_argument,	NULL, 'a' },
		{ "threads",	required_argument,	NULL, 't' },
		{ "idle-ms",	required_argument,	NULL, 'i' },
		{ "max-frame",	required_argument,	NULL, 'f' },
		{ "tls-cert",	required_argument,	NULL, 'c' },
		{ "tls-key",	required_argument,	NULL, 'k' },
		{ "origin",	required_argument,	NULL, 'o' },
		{ "host",	required_argument,	NULL, 'H' },
		{ "help",	no_argument,		NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	const struct number {
		int		option;
		const char	*name;
		long		min, max, *result;
	} numbers[] = {
		{ 'p', "port", 0, MAX_PORT, &options.port },
		{ 'a', "amqp-port", 0, MAX_PORT, &options.amqp_port },
		{ 't', "threads", 1, LWS_MAX_SMP, &options.threads },
		{ 'i', "idle-ms", 0, 3600 * 1000, &options.idle_ms },
		{ 'f', "max-frame", 512, MESSAGE_MOST, &options.max_frame },
	};
	size_t i;
	int n;

	while ((n = getopt_long(argc, argv, "h", names, NULL)) >= 0)
		switch (n) {
		case 'c':
			options.tls_cert = optarg;
			break;
		case 'k':
			options.tls_key = optarg;
			break;
		case 'o':
			if (add_name("origin", guard_origins, optarg))
				return EXIT_USAGE;
			break;
		case 'H':
			if (add_name("host", guard_hosts, optarg))
				return EXIT_USAGE;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		default:
			for (i = 0; i < LWS_ARRAY_SIZE(numbers); i++)
				if (numbers[i].option == n)
					break;
			/* getopt has said which */
			if (i == LWS_ARRAY_SIZE(numbers))
				return EXIT_USAGE;
			if (parse_number(numbers[i].name, optarg, numbers[i].min,
					 numbers[i].max, numbers[i].result))
				return EXIT_USAGE;
		}

	if (optind != argc || !options.tls_cert != !options.tls_key) {
		usage(stderr);
		return EXIT_USAGE;
	}

	return -1;
}

/* before threads serve the proactor: 0, or -1 and what is wrong was said */
static int
listen_tcp(void)
{
	char address[64];

	snprintf(address, sizeof(address), "127.0.0.1:%ld", options.amqp_port);
	listener = pn_listener();
	pn_proactor_listen(serving.proactor, listener, address, 64);
	while (!listened)
		serve_batch(pn_proactor_wait(serving.proactor));
	if (tcp_port[0])
		return 0;

	fprintf(stderr, PROGRAM ": cannot listen: port %ld\n",
		options.amqp_port);

	return -1;
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info;
	struct lws_vhost *vhost;
	sigset_t signals;
	char ready[128];
	int n;

	n = parse_options(argc, argv);
	if (n >= 0)
		return n;
	if (options.tls_cert &&
	    (check_readable("tls-cert", options.tls_cert) ||
	     check_readable("tls-key", options.tls_key)))
		return EXIT_FAILED;

	/* before any thread is made: they all inherit it */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	lws_set_log_level(LLL_ERR, keep_first_error);

	memset(&info, 0, sizeof(info));
	info.options		= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
	info.port		= (int)options.port;
	info.iface		= "127.0.0.1";
	info.count_threads	= (unsigned int)options.threads;
	info.protocols		= protocols;
	info.foreign_loops	= own_proactor();
	info.pt_serv_buf_size	= LWS_PROTON_AMQP_RX;
	if (options.tls_cert) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = options.tls_cert;
		info.ssl_private_key_filepath = options.tls_key;
	}

	serving.own_event = handle_own;
	serving.context = lws_create_context(&info);
	vhost = serving.context ? lws_create_vhost(serving.context, &info) :
				  NULL;
	if (!vhost) {
		fprintf(stderr, PROGRAM ": %s\n", why);
		lws_context_destroy(serving.context);
		return EXIT_FAILED;
	}
	lws_proton_vhost_guard(vhost, &guard);

	log_from_now_on();

	if (listen_tcp()) {
		lws_context_destroy(serving.context);
		return EXIT_FAILED;
	}

	snprintf(ready, sizeof(ready), "%s://localhost:%d/ amqp://localhost:%s",
		 options.tls_cert ? "wss" : "ws",
		 lws_get_vhost_listen_port(vhost), tcp_port);

	return serve_until_signalled(&signals, ready);
}
