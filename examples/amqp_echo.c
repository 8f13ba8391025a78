/*
 * lws-proton-amqp-echo: a Proton application that serves AMQP over TCP and over
 * WebSocket, with the same handler
 *
 * SPDX-License-Identifier: MIT
 *
 * What a client sends to a node comes back, as it was, to whoever of the same
 * connection receives from a node of that name (echo_nodes.h).
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
#include <proton/event.h>
#include <proton/transport.h>

#include <getopt.h>

#define PROGRAM			"lws-proton-amqp-echo"
#include "program.h"
#include "guard_options.h"
#include "threads.h"
#include "own_proactor.h"
#include "amqp_limits.h"
#include "echo_nodes.h"

#define DEFAULT_PORT		5671
#define LONGEST_MESSAGE		(8 * 1024 * 1024)
#define MOST_MS			(3600 * 1000)

struct options {
	const char		*tls_cert;
	const char		*tls_key;
	long			threads;
	long			port;
	long			amqp_port;
	long			open_ms;
	long			idle_ms;
	long			max_frame;
	long			memory_mib;
};

static struct options options = {
	.threads		= 1,
	.port			= DEFAULT_PORT,
	.open_ms		= LWS_PROTON_AMQP_OPEN_MS,
	.idle_ms		= LWS_PROTON_AMQP_IDLE_MS,
	.max_frame		= LWS_PROTON_AMQP_MAX_FRAME,
	.memory_mib		= MEMORY_MIB_DEFAULT,
};

static int
accept_any(void *unused, struct lws *wsi, pn_connection_t *c, pn_transport_t *t)
{
	(void)unused;
	(void)wsi;
	pn_connection_set_container(c, PROGRAM);
	pn_transport_require_auth(t, false);
	pn_transport_set_max_frame(t, (uint32_t)options.max_frame);

	return 0;
}

/* of a connection, whatever carries it */
static void
handle(void *unused, pn_event_t *event)
{
	pn_connection_t *c = pn_event_connection(event);
	pn_condition_t *condition;

	(void)unused;
	if (pn_event_type(event) == PN_TRANSPORT_ERROR) {
		condition = pn_transport_condition(pn_event_transport(event));
		/* a peer words it: in quotes it tells no kinds of lines apart */
		lwsl_warn("%s: \"%s: %s\"\n",
			  lws_proton_amqp_is_websocket(c) ? "ws" : "tcp",
			  pn_condition_get_name(condition),
			  pn_condition_get_description(condition));
	}
	echo_nodes_event(event);
}

static lws_proton_amqp_t amqp = {
	.handle		= handle,
	.accept		= accept_any,
	.origins	= guard_origins,
};

static const struct lws_protocols protocols[] = {
	/* first: it is asked for WebSockets that name none, and refuses them */
	LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp),
	LWS_PROTON_AMQP_PROTOCOL("AMQPWSB10", &amqp),
	LWS_PROTON_AMQP_PROTOCOL("binary", &amqp),
	LWS_PROTOCOL_LIST_TERM
};

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
		"  --open-ms N       time for a peer to open AMQP (default %d)\n"
		"  --idle-ms N       idle time-out, 0 is none (default %d)\n"
		"  --max-frame N     largest frame, in bytes (default %d)\n"
		"  --memory-mib N    what all peers may have AMQP hold, in MiB (default %ld)\n"
		"  --tls-cert FILE   serve wss:// with this certificate chain (PEM),\n"
		"  --tls-key FILE    and its private key\n"
		GUARD_USAGE
		"  --help            print this and exit\n",
		DEFAULT_PORT, LWS_MAX_SMP, LWS_PROTON_AMQP_OPEN_MS,
		LWS_PROTON_AMQP_IDLE_MS, LWS_PROTON_AMQP_MAX_FRAME,
		MEMORY_MIB_DEFAULT);
}

/* -1: go on; otherwise the exit code */
static int
parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "port",	required_argument,	NULL, 'p' },
		{ "amqp-port",	required_argument,	NULL, 'a' },
		{ "threads",	required_argument,	NULL, 't' },
		{ "open-ms",	required_argument,	NULL, 'o' },
		{ "idle-ms",	required_argument,	NULL, 'i' },
		{ "max-frame",	required_argument,	NULL, 'f' },
		{ "memory-mib",	required_argument,	NULL, 'm' },
		{ "tls-cert",	required_argument,	NULL, 'c' },
		{ "tls-key",	required_argument,	NULL, 'k' },
		{ "origin",	required_argument,	NULL, 'O' },
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
		{ 'o', "open-ms", 1, MOST_MS, &options.open_ms },
		{ 'i', "idle-ms", 0, MOST_MS, &options.idle_ms },
		{ 'f', "max-frame", 512, LONGEST_MESSAGE, &options.max_frame },
		{ 'm', "memory-mib", 1, MEMORY_MIB_MOST, &options.memory_mib },
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
		case 'O':
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

	if (optind != argc) {
		fprintf(stderr, PROGRAM ": '%s' is no option\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (!options.tls_cert != !options.tls_key) {
		fprintf(stderr, PROGRAM ": --tls-cert and --tls-key go together\n");
		return EXIT_USAGE;
	}

	return -1;
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info = {
		.options	= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
		.iface		= "127.0.0.1",
		.protocols	= protocols,
		.pt_serv_buf_size = LWS_PROTON_AMQP_RX,
	};
	char ready[128];
	int n;

	n = parse_options(argc, argv);
	if (n >= 0)
		return n;
	if (check_two_ports(options.port, options.amqp_port))
		return EXIT_USAGE;
	if (options.tls_cert &&
	    (check_readable("tls-cert", options.tls_cert) ||
	     check_readable("tls-key", options.tls_key)))
		return EXIT_FAILED;

	info.port		= (int)options.port;
	info.count_threads	= (unsigned int)options.threads;
	/* lws counts in seconds: for the request as long, or a bit longer */
	info.timeout_secs	= (unsigned int)(options.open_ms + 999) / 1000;
	info.timeout_secs_ah_idle = info.timeout_secs;
	if (options.tls_cert) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = options.tls_cert;
		info.ssl_private_key_filepath = options.tls_key;
	}

	amqp.open_ms		= (uint32_t)options.open_ms;
	amqp.idle_ms		= options.idle_ms ? (uint32_t)options.idle_ms :
						    LWS_PROTON_AMQP_NEVER;
	echo_nodes_message_most	= LONGEST_MESSAGE;
	limit_memory(options.memory_mib);

	if (start_own_proactor(&info) ||
	    start_amqp(&info, protocols, NULL, options.amqp_port)) {
		finish();
		return EXIT_FAILED;
	}

	snprintf(ready, sizeof(ready), "%s://localhost:%d/ amqp://localhost:%d",
		 options.tls_cert ? "wss" : "ws",
		 lws_get_vhost_listen_port(own.vhost),
		 lws_get_vhost_listen_port(own.amqp_vhost));

	return serve_own_proactor(ready);
}
