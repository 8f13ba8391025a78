/*
 * lws-proton-echo and lws-stock-echo: a WebSocket echo, one source on two
 * libraries.  What is echoed, and how, is in echo_protocol.h; with --broadcast
 * everybody gets it, as broadcast_protocol.h says.
 *
 * SPDX-License-Identifier: MIT
 *
 * Built against libwebsockets with LWS_PROTON it runs on Proton's buffers; built
 * against stock libwebsockets on sockets, with the loop that --loop names.
 *
 *   stdout  exactly one line, "ready: ws://localhost:PORT/", once it serves
 *           (wss:// with a certificate)
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#include <libwebsockets.h>

#include <getopt.h>

#include "broadcast_protocol.h"
#include "echo_protocol.h"

#if defined(LWS_PROTON)
#define PROGRAM			"lws-proton-echo"
#else
#define PROGRAM			"lws-stock-echo"
#endif
#include "program.h"
#include "threads.h"

#if defined(LWS_PROTON)
#include "guard_options.h"
#endif

#define PTS_A_THREAD		4
#define DEFAULT_PORT		7682

struct loop {
	const char	*name;
	uint64_t	option;		/* of lws_context_creation_info */
	int		own_signals;	/* lws returns when its loop ends */
};

static const struct loop loops[] = {
#if defined(LWS_PROTON)
	{ "proton",	LWS_SERVER_OPTION_PROTON,	0 },
#else
	{ "poll",	0,				0 },
	{ "uv",		LWS_SERVER_OPTION_LIBUV,	1 },
	{ "ev",		LWS_SERVER_OPTION_LIBEV,	1 },
#endif
};

struct echo_options {
	const struct loop	*loop;
	const char		*tls_cert;
	const char		*tls_key;
	unsigned int		threads;
	int			port;
	int			broadcast;
	int			deflate;
	int			own_proactor;
};

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: " PROGRAM " [option]...\n"
		"\n"
		"Echoes WebSocket messages, on 127.0.0.1.\n"
		"\n"
		"  --port N          listen on port N, 0 picks a free one (default %d)\n"
		"  --threads N       service threads, at most %d (default 1)\n"
#if defined(LWS_PROTON)
		"  --own-proactor    they wait on a proactor of the program's own\n"
#else
		"  --loop NAME       poll, uv (libuv) or ev (libev) (default poll)\n"
#endif
		"  --tls-cert FILE   serve wss:// with this certificate chain (PEM),\n"
		"  --tls-key FILE    and its private key\n"
		"  --broadcast       what a client sends goes to all clients\n"
		"  --no-deflate      do not offer permessage-deflate\n"
#if defined(LWS_PROTON)
		GUARD_USAGE
#endif
		"  --help            print this and exit\n",
		DEFAULT_PORT, LWS_MAX_SMP);
}

static int
bad_usage(const char *why, const char *what)
{
	fprintf(stderr, PROGRAM ": %s%s\n", why, what);

	return EXIT_USAGE;
}

/* -1: go on; otherwise the exit code */
static int
check_options(const struct echo_options *o)
{
	if (!o->tls_cert != !o->tls_key)
		return bad_usage("--tls-cert and --tls-key want each other", "");
#if !defined(LWS_WITH_TLS)
	if (o->tls_cert)
		return bad_usage("this libwebsockets was built without TLS", "");
#endif
	if (o->broadcast && o->threads > 1)
		return bad_usage("one thread only with --broadcast", "");
	/* lws 4.3.5 starts watchers of other threads' loops with no lock */
	if (o->loop->own_signals && o->threads > 1)
		return bad_usage("one thread only with --loop ", o->loop->name);

	return -1;
}

/* -1: go on; otherwise the exit code */
static int
parse_options(int argc, char **argv, struct echo_options *o)
{
	static const struct option options[] = {
		{ "port",	required_argument,	NULL, 'p' },
		{ "threads",	required_argument,	NULL, 't' },
#if defined(LWS_PROTON)
		{ "own-proactor", no_argument,		NULL, 'o' },
		{ "origin",	required_argument,	NULL, 'O' },
		{ "host",	required_argument,	NULL, 'H' },
#else
		{ "loop",	required_argument,	NULL, 'l' },
#endif
		{ "tls-cert",	required_argument,	NULL, 'c' },
		{ "tls-key",	required_argument,	NULL, 'k' },
		{ "broadcast",	no_argument,		NULL, 'b' },
		{ "no-deflate",	no_argument,		NULL, 'D' },
		{ "help",	no_argument,		NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	size_t i;
	long number;
	int n;

	while ((n = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		switch (n) {
		case 'p':
			if (parse_number("port", optarg, 0, MAX_PORT, &number))
				return EXIT_USAGE;
			o->port = (int)number;
			break;
		case 't':
			if (parse_number("threads", optarg, 1, LWS_MAX_SMP,
					 &number))
				return EXIT_USAGE;
			o->threads = (unsigned int)number;
			break;
		case 'o':
			o->own_proactor = 1;
			break;
#if defined(LWS_PROTON)
		case 'O':
			if (add_name("origin", guard_origins, optarg))
				return EXIT_USAGE;
			break;
		case 'H':
			if (add_name("host", guard_hosts, optarg))
				return EXIT_USAGE;
			break;
#endif
		case 'l':
			o->loop = NULL;
			for (i = 0; i < LWS_ARRAY_SIZE(loops); i++)
				if (!strcmp(loops[i].name, optarg))
					o->loop = &loops[i];
			if (!o->loop)
				return bad_usage("--loop wants poll, uv or ev, "
						 "not ", optarg);
			break;
		case 'c':
			o->tls_cert = optarg;
			break;
		case 'k':
			o->tls_key = optarg;
			break;
		case 'b':
			o->broadcast = 1;
			o->deflate = 0;
			break;
		case 'D':
			o->deflate = 0;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		default:
			/* getopt has said which */
			return EXIT_USAGE;
		}

	if (optind != argc)
		return bad_usage("unexpected argument ", argv[optind]);

	return check_options(o);
}

#if !defined(LWS_PROTON)
/*
 * libuv's and libev's loops run until the context is destroyed inside them. The
 * loop has a watcher for SIGINT, which calls this.
 */
static void
loop_signalled(void *handle, int sig)
{
	(void)handle;
	(void)sig;
	serving.stopping = 1;
	lws_context_destroy(serving.context);
}

static void
interrupt(int sig)
{
	(void)sig;
	raise(SIGINT);
}

static int
run_loop(const char *ready)
{
	signal(SIGTERM, interrupt);
	printf("ready: %s\n", ready);
	fflush(stdout);
	while (!serving.stopping)
		if (lws_service(serving.context, 0) < 0 && !serving.stopping) {
			serving.failed = 1;
			break;
		}
	lws_context_destroy(serving.context);

	return serving.failed ? EXIT_FAILED : EXIT_OK;
}
#endif

int
main(int argc, char **argv)
{
	struct echo_options o = {
		.loop		= &loops[0],
		.threads	= 1,
		.port		= DEFAULT_PORT,
		.deflate	= 1,
	};
	struct lws_context_creation_info info;
	struct lws_vhost *vhost;
	sigset_t signals;
	char ready[64];
	int n;

	n = parse_options(argc, argv, &o);
	if (n >= 0)
		return n;
	if (o.tls_cert && (check_readable("tls-cert", o.tls_cert) ||
			   check_readable("tls-key", o.tls_key)))
		return EXIT_FAILED;

	/* before any thread is made: they all inherit it */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (!o.loop->own_signals)
		pthread_sigmask(SIG_BLOCK, &signals, NULL);

	prepare_to_start();

	memset(&info, 0, sizeof(info));
	info.options		= o.loop->option |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_VALIDATE_UTF8 |
				  LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
	info.port		= o.port;
	info.iface		= "127.0.0.1";
	info.count_threads	= o.threads;
	serving.threads		= (int)o.threads;
#if defined(LWS_PROTON)
	/*
	 * Any thread serves any pt, and waits while another is in it: with more
	 * pts they seldom meet
	 */
	if (o.threads > 1)
		info.count_threads *= PTS_A_THREAD;
	if (info.count_threads > LWS_MAX_SMP)
		info.count_threads = LWS_MAX_SMP;
#endif
	info.pt_serv_buf_size	= ECHO_PIECE;
	info.protocols		= o.broadcast ? broadcast_protocols :
						echo_protocols;
	if (o.deflate)
		info.extensions	= echo_extensions;
#if defined(LWS_WITH_TLS)
	if (o.tls_cert) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = o.tls_cert;
		info.ssl_private_key_filepath = o.tls_key;
	}
#endif
#if !defined(LWS_PROTON)
	info.pcontext		= &serving.context;
	info.signal_cb		= loop_signalled;
#else
	if (o.own_proactor)
		info.foreign_loops = own_proactor();
#endif

	serving.context = lws_create_context(&info);
	vhost = serving.context ? lws_create_vhost(serving.context, &info) :
				  NULL;
	if (!vhost) {
		fprintf(stderr, PROGRAM ": %s\n", why);
		lws_context_destroy(serving.context);
		return EXIT_FAILED;
	}
#if defined(LWS_PROTON)
	lws_proton_vhost_guard(vhost, &guard);
#endif

	log_from_now_on();

	snprintf(ready, sizeof(ready), "%s://localhost:%d/",
		 o.tls_cert ? "wss" : "ws", lws_get_vhost_listen_port(vhost));

#if !defined(LWS_PROTON)
	if (o.loop->own_signals)
		return run_loop(ready);
#endif
	return serve_until_signalled(&signals, ready);
}
