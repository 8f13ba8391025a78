/*
 * lws-proton-mirror: lws's own test page and mirror demo, on Proton's buffers.
 *
 * SPDX-License-Identifier: MIT
 *
 * The program is plain lws: LWS_SERVER_OPTION_PROTON is all that tells it from
 * one on sockets.  The protocols are lws's own plugins, included statically as
 * lws's test-apps/test-server.c does.
 *
 *   stdout  exactly one line, "ready: http://localhost:PORT/", once it serves
 *           (https:// with a certificate)
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#include <libwebsockets.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LWS_PLUGIN_STATIC
#include "plugins/protocol_lws_mirror.c"
#include "plugins/protocol_dumb_increment.c"
#include "plugins/protocol_post_demo.c"

/* where lws's test.html and its scripts are; the build system says */
#if !defined(MIRROR_PAGE_DIR)
#error "define MIRROR_PAGE_DIR as the directory that holds lws's test.html"
#endif

#define PROGRAM			"lws-proton-mirror"
#include "program.h"
#include "guard_options.h"
#include "threads.h"

#define DEFAULT_PORT		7681	/* the port of lws's own test server */
#define DEFAULT_BIND		"127.0.0.1"

struct mirror_options {
	const char	*bind;
	const char	*files;
	const char	*page;
	const char	*tls_cert;	/* with tls_key, or neither */
	const char	*tls_key;
	unsigned int	timeout_secs;	/* 0: lws's default */
	unsigned int	threads;
	int		port;
	int		own_proactor;
};

static const struct lws_protocols protocols[] = {
	/* the first protocol is the HTTP handler */
	{ "http", lws_callback_http_dummy, 0, 0, 0, NULL, 0 },
	LWS_PLUGIN_PROTOCOL_MIRROR,
	LWS_PLUGIN_PROTOCOL_DUMB_INCREMENT,
	LWS_PLUGIN_PROTOCOL_POST_DEMO,
	LWS_PROTOCOL_LIST_TERM
};

#if !defined(LWS_WITHOUT_EXTENSIONS)
static const struct lws_extension extensions[] = {
	{
		"permessage-deflate",
		lws_extension_callback_pm_deflate,
		"permessage-deflate"
	},
	{ NULL, NULL, NULL }
};
#endif

/* a file of a type that lws does not know is served as this, not refused */
static const struct lws_protocol_vhost_options any_file = {
	.name	= "*",
	.value	= "application/octet-stream",
};

/* main() completes these with the options */
static struct lws_http_mount mount_files = {
	.mountpoint		= "/files",
	.mountpoint_len		= 6,
	.extra_mimetypes	= &any_file,
	.origin_protocol	= LWSMPRO_FILE,
};

static struct lws_http_mount mount_post = {
	.mountpoint		= "/formtest",
	.mountpoint_len		= 9,
	.origin			= "protocol-post-demo",
	.origin_protocol	= LWSMPRO_CALLBACK,
};

static struct lws_http_mount mount_page = {
	.mount_next		= &mount_post,
	.mountpoint		= "/",
	.mountpoint_len		= 1,
	.def			= "test.html",
	.origin_protocol	= LWSMPRO_FILE,
};

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: lws-proton-mirror [option]...\n"
		"\n"
		"Serves the test page of libwebsockets and its mirror demo.\n"
		"\n"
		"  --port N          listen on port N, 0 picks a free one (default %d)\n"
		"  --bind ADDRESS    listen on this address only (default %s)\n"
		"  --threads N       service threads, at most %d (default 1)\n"
		"  --own-proactor    they wait on a proactor of the program's own\n"
		"  --files DIR       serve the files in DIR at /files/\n"
		"  --page DIR        take test.html and its scripts from DIR\n"
		"  --timeout-secs N  close a peer that owes a request for N seconds\n"
		"  --tls-cert FILE   serve https:// with this certificate chain (PEM),\n"
		"  --tls-key FILE    and its private key\n"
		GUARD_USAGE
		"  --help            print this and exit\n",
		DEFAULT_PORT, DEFAULT_BIND, LWS_MAX_SMP);
}

/* -1: go on; otherwise the exit code */
static int
parse_options(int argc, char **argv, struct mirror_options *o)
{
	static const struct option options[] = {
		{ "port",		required_argument,	NULL, 'p' },
		{ "bind",		required_argument,	NULL, 'b' },
		{ "threads",		required_argument,	NULL, 't' },
		{ "own-proactor",	no_argument,		NULL, 'o' },
		{ "files",		required_argument,	NULL, 'f' },
		{ "page",		required_argument,	NULL, 'P' },
		{ "timeout-secs",	required_argument,	NULL, 'T' },
		{ "tls-cert",		required_argument,	NULL, 'c' },
		{ "tls-key",		required_argument,	NULL, 'k' },
		{ "origin",		required_argument,	NULL, 'O' },
		{ "host",		required_argument,	NULL, 'H' },
		{ "help",		no_argument,		NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	long number;
	int n;

	while ((n = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		switch (n) {
		case 'p':
			if (parse_number("port", optarg, 0, MAX_PORT, &number))
				return EXIT_USAGE;
			o->port = (int)number;
			break;
		case 'b':
			o->bind = optarg;
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
		case 'f':
			o->files = optarg;
			break;
		case 'P':
			o->page = optarg;
			break;
		case 'T':
			if (parse_number("timeout-secs", optarg, 1, 3600,
					 &number))
				return EXIT_USAGE;
			o->timeout_secs = (unsigned int)number;
			break;
		case 'c':
			o->tls_cert = optarg;
			break;
		case 'k':
			o->tls_key = optarg;
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
			usage(stderr);
			return EXIT_USAGE;
		}

	if (optind != argc) {
		fprintf(stderr, PROGRAM ": unexpected argument '%s'\n",
			argv[optind]);
		return EXIT_USAGE;
	}

	if (!o->tls_cert != !o->tls_key) {
		fprintf(stderr, PROGRAM ": --tls-cert and --tls-key "
				"want each other\n");
		return EXIT_USAGE;
	}

	return -1;
}

int
main(int argc, char **argv)
{
	struct mirror_options o = {
		.bind		= DEFAULT_BIND,
		.page		= MIRROR_PAGE_DIR,
		.threads	= 1,
		.port		= DEFAULT_PORT,
	};
	struct lws_context_creation_info info;
	struct lws_vhost *vhost;
	char ready[64];
	sigset_t signals;
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
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	prepare_to_start();

	/* elsewhere it has whatever names people give it */
	if (!lws_proton_is_loopback(o.bind) && !guard_hosts[0])
		guard_hosts[0] = "*";

	mount_page.origin = o.page;
	if (o.files) {
		mount_files.origin = o.files;
		mount_post.mount_next = &mount_files;
	}

	memset(&info, 0, sizeof(info));
	info.options		= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_VALIDATE_UTF8 |
				  LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
	info.port		= o.port;
	info.iface		= o.bind;
	info.count_threads	= o.threads;
	info.timeout_secs	= o.timeout_secs;
	info.protocols		= protocols;
	info.mounts		= &mount_page;
#if !defined(LWS_WITHOUT_EXTENSIONS)
	info.extensions		= extensions;
#endif
	if (o.tls_cert) {
		/* HTTP/2 is chosen by ALPN, with WebSocket over it */
		info.options			|=
					LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath		= o.tls_cert;
		info.ssl_private_key_filepath	= o.tls_key;
	}

	if (o.own_proactor)
		info.foreign_loops = own_proactor();

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

	snprintf(ready, sizeof(ready), "%s://localhost:%d/",
		 o.tls_cert ? "https" : "http",
		 lws_get_vhost_listen_port(vhost));

	return serve_until_signalled(&signals, ready);
}
