/*
 * lws-judges-site: an lws server on Proton's buffers for foreign judges, with
 * one option for each thing of lws that they are to see.
 *
 * SPDX-License-Identifier: MIT
 *
 *   stdout  exactly one line, "ready: http://localhost:PORT/" (or https), once
 *           it serves
 *   stderr  logs
 *   exit    0 after SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#define PROGRAM			"lws-judges-site"
#include "program.h"

#include "site_protocols.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static struct lws_context *context;
static atomic_int stopping;

/* the login file is completed in main(), as the directories are */
static struct lws_http_mount mounts[] = {
	{ .mountpoint = "/",		.origin_protocol = LWSMPRO_FILE,
	  .def = "index.html" },
	{ .mountpoint = "/secret",	.origin_protocol = LWSMPRO_FILE,
	  .def = "index.html" },
	{ .mountpoint = "/moved",	.origin_protocol = LWSMPRO_REDIR_HTTPS,
	  .origin = "elsewhere.example/there" },
	{ .mountpoint = "/events",	.origin_protocol = LWSMPRO_CALLBACK,
	  .origin = "events" },
	{ .mountpoint = "/poll",	.origin_protocol = LWSMPRO_CALLBACK,
	  .origin = "poll" },
	{ .mountpoint = "/tell",	.origin_protocol = LWSMPRO_CALLBACK,
	  .origin = "tell" },
	{ .mountpoint = "/upload",	.origin_protocol = LWSMPRO_CALLBACK,
	  .origin = "upload" },
	{ .mountpoint = "/body",	.origin_protocol = LWSMPRO_CALLBACK,
	  .origin = "body" },
};
enum { MOUNT_ROOT, MOUNT_SECRET };

static const struct lws_protocol_vhost_options any_file = {
	.name	= "*",
	.value	= "application/octet-stream",
};

struct site_options {
	const char	*root;
	const char	*store;
	const char	*login;
	const char	*tls;		/* directory: cert.pem, key.pem */
	const char	*tls_too;	/* the same for a second vhost */
	const char	*client_ca;
	uint64_t	options;
	unsigned int	timeout_secs;
};

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: " PROGRAM " [option]...\n"
		"\n"
		"  --port N              0, the default, picks a free one\n"
		"  --root DIR            files at / and, with --login, at /secret\n"
		"  --store DIR           where /upload and /body store\n"
		"  --login FILE          who may see /secret: USER:PASSWORD lines\n"
		"  --timeout-secs N      lws's own time-outs\n"
		"  --h2c                 HTTP/2 without TLS and without asking\n"
		"  --tls DIR             serve TLS, with DIR/cert.pem and key.pem\n"
		"  --tls-too NAME=DIR    the same for another virtual host\n"
		"  --client-ca FILE      clients need a certificate from this CA\n"
		"  --redirect-to-https   to who speaks http on the TLS port\n"
		"  --http-too            serve http on the TLS port\n");
}

/* -1: go on; otherwise the exit code */
static int
parse_options(int argc, char **argv, struct site_options *o, long *port)
{
	static const struct option options[] = {
		{ "port",		required_argument,	NULL, 'p' },
		{ "root",		required_argument,	NULL, 'r' },
		{ "store",		required_argument,	NULL, 's' },
		{ "login",		required_argument,	NULL, 'l' },
		{ "timeout-secs",	required_argument,	NULL, 'T' },
		{ "h2c",		no_argument,		NULL, '2' },
		{ "tls",		required_argument,	NULL, 't' },
		{ "tls-too",		required_argument,	NULL, 'a' },
		{ "client-ca",		required_argument,	NULL, 'c' },
		{ "redirect-to-https",	no_argument,		NULL, 'R' },
		{ "http-too",		no_argument,		NULL, 'H' },
		{ NULL, 0, NULL, 0 }
	};
	long number;
	int n;

	while ((n = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (n) {
		case 'p':
			if (parse_number("port", optarg, 0, MAX_PORT, port))
				return EXIT_USAGE;
			break;
		case 'r':
			o->root = optarg;
			break;
		case 's':
			o->store = optarg;
			break;
		case 'l':
			o->login = optarg;
			break;
		case 'T':
			if (parse_number("timeout-secs", optarg, 1, 3600,
					 &number))
				return EXIT_USAGE;
			o->timeout_secs = (unsigned int)number;
			break;
		case '2':
			o->options |= LWS_SERVER_OPTION_H2_PRIOR_KNOWLEDGE;
			break;
		case 't':
			o->tls = optarg;
			break;
		case 'a':
			o->tls_too = optarg;
			break;
		case 'c':
			o->client_ca = optarg;
			o->options |=
			 LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
			break;
		case 'R':
			o->options |= LWS_SERVER_OPTION_REDIRECT_HTTP_TO_HTTPS |
				LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT;
			break;
		case 'H':
			o->options |=
				LWS_SERVER_OPTION_ALLOW_HTTP_ON_HTTPS_LISTENER |
				LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT;
			break;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}

	if (optind == argc && o->root && o->store)
		return -1;

	usage(stderr);

	return EXIT_USAGE;
}

static struct lws_vhost *
serve_as(struct lws_context_creation_info *info, const char *name,
	 const char *tls)
{
	char cert[512], key[512];

	info->vhost_name = name;
	if (tls) {
		lws_snprintf(cert, sizeof(cert), "%s/cert.pem", tls);
		lws_snprintf(key, sizeof(key), "%s/key.pem", tls);
		if (check_readable("tls", cert) || check_readable("tls", key))
			return NULL;
		info->ssl_cert_filepath = cert;
		info->ssl_private_key_filepath = key;
	}

	return lws_create_vhost(context, info);
}

static void *
serve(void *arg)
{
	(void)arg;
	while (!stopping && lws_service(context, 0) >= 0)
		;

	return NULL;
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info;
	struct site_options o = { NULL };
	struct lws_vhost *vhost;
	pthread_t thread;
	char name[128];
	size_t i, len;
	long port = 0;
	int n, sig;
	sigset_t signals;

	n = parse_options(argc, argv, &o, &port);
	if (n >= 0)
		return n;

	/* before the service thread is made: it inherits it */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	site_store = o.store;
	for (i = 0; i < LWS_ARRAY_SIZE(mounts); i++) {
		if (i)
			mounts[i - 1].mount_next = &mounts[i];
		mounts[i].mountpoint_len = (uint8_t)strlen(mounts[i].mountpoint);
		if (mounts[i].origin_protocol == LWSMPRO_FILE) {
			mounts[i].origin = o.root;
			mounts[i].extra_mimetypes = &any_file;
		}
	}
	mounts[MOUNT_SECRET].basic_auth_login_file = o.login;

	memset(&info, 0, sizeof(info));
	info.options		= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS | o.options;
	if (o.tls)
		info.options	|= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.port		= (int)port;
	info.iface		= "127.0.0.1";
	info.timeout_secs	= o.timeout_secs;
	/* the one that a TLS handshake ends by, if it is shorter */
	info.timeout_secs_ah_idle = o.timeout_secs;
	info.protocols		= site_protocols;
	info.mounts		= mounts;
	info.ssl_ca_filepath	= o.client_ca;

	prepare_to_start();
	context = lws_create_context(&info);
	vhost = context ? serve_as(&info, "localhost", o.tls) : NULL;
	if (vhost && o.tls_too) {
		info.port = lws_get_vhost_listen_port(vhost);
		len = strcspn(o.tls_too, "=");
		lws_strnncpy(name, o.tls_too, len, sizeof(name));
		if (!o.tls_too[len] ||
		    !serve_as(&info, name, o.tls_too + len + 1))
			vhost = NULL;
	}
	if (!vhost) {
		fprintf(stderr, PROGRAM ": %s\n", why);
		lws_context_destroy(context);
		return EXIT_FAILED;
	}
	log_from_now_on();

	if (pthread_create(&thread, NULL, serve, NULL)) {
		fprintf(stderr, PROGRAM ": cannot start the service thread\n");
		lws_context_destroy(context);
		return EXIT_FAILED;
	}
	printf("ready: %s://localhost:%d/\n", o.tls ? "https" : "http",
	       lws_get_vhost_listen_port(vhost));
	fflush(stdout);
	sigwait(&signals, &sig);

	stopping = 1;
	lws_cancel_service(context);
	pthread_join(thread, NULL);
	lws_context_destroy(context);

	return EXIT_OK;
}
