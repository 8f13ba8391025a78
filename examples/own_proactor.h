/*
 * An example program whose proactor is its own: lws is there, and listens for
 * HTTP, and for AMQP over TCP.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after threads.h.
 */

#include "guard_options.h"

#include <lws_proton_amqp.h>

#define MIB			(1024 * 1024)
/* --memory-mib: of all AMQP connections, as lws_proton_amqp.h counts it */
#define MEMORY_MIB_MOST		MIB
#define MEMORY_MIB_DEFAULT	((long)(LWS_PROTON_AMQP_MEMORY / MIB))

static struct own {
	struct lws_vhost	*vhost;		/* of HTTP */
	struct lws_vhost	*amqp_vhost;
	sigset_t		signals;
} own;

/* beyond it those that come are refused; before there are any */
static void
limit_memory(long mib)
{
	lws_proton_amqp_set_memory_limit((size_t)mib * MIB);
}

/*
 * Makes lws's context and its vhost for HTTP.  0; or -1, and a line.  Then either
 * serve_until_signalled() or finish().
 */
static int
start_own_proactor(struct lws_context_creation_info *info)
{
	/* before any thread is made: they all inherit it */
	sigemptyset(&own.signals);
	sigaddset(&own.signals, SIGINT);
	sigaddset(&own.signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &own.signals, NULL);

	prepare_to_start();
	info->foreign_loops = own_proactor();
	if (!serving.proactor) {
		fprintf(stderr, PROGRAM ": cannot make a proactor: out of memory\n");
		return -1;
	}

	serving.context = lws_create_context(info);
	if (serving.context)
		own.vhost = lws_create_vhost(serving.context, info);
	if (own.vhost) {
		lws_proton_vhost_guard(own.vhost, &guard);
		return 0;
	}

	fprintf(stderr, PROGRAM ": %s\n", why);

	return -1;
}

/*
 * Makes the vhost for AMQP over TCP, without TLS, by the entry "amqp" of the
 * protocols: they stay, and so does `pvo`.  As above; before there are threads.
 */
static int
start_amqp(const struct lws_context_creation_info *info,
	   const struct lws_protocols *protocols,
	   const struct lws_protocol_vhost_options *pvo, long port)
{
	struct lws_context_creation_info amqp = {
		.options	= LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
		.iface		= info->iface,
		.port		= (int)port,
		.protocols	= protocols,
		.pvo		= pvo,
		.vhost_name	= "amqp",
	};

	lws_proton_amqp_over_tcp(&amqp, "amqp");
	own.amqp_vhost = lws_create_vhost(serving.context, &amqp);
	if (own.amqp_vhost)
		return 0;

	fprintf(stderr, PROGRAM ": %s\n", why);

	return -1;
}

/* With threads, until it is signalled: the exit code. */
static int
serve_own_proactor(const char *ready)
{
	log_from_now_on();

	return serve_until_signalled(&own.signals, ready);
}

/* 0, or -1 and a line on stderr: the second would listen in vain */
static inline int
check_two_ports(long http, long amqp)
{
	if (!http || http != amqp)
		return 0;
	fprintf(stderr, PROGRAM ": HTTP and AMQP want a port each, not both %ld\n",
		http);

	return -1;
}

/* Both of them listen. */
static inline int
serve_http_and_amqp(struct lws_context_creation_info *info,
		    const struct lws_protocols *protocols, long port)
{
	char ready[128];

	if (check_two_ports(info->port, port))
		return EXIT_USAGE;

	if (start_own_proactor(info) ||
	    start_amqp(info, protocols, NULL, port)) {
		finish();
		return EXIT_FAILED;
	}

	snprintf(ready, sizeof(ready),
		 "http%s://localhost:%d/ amqp://localhost:%d/",
		 info->ssl_cert_filepath ? "s" : "",
		 lws_get_vhost_listen_port(own.vhost),
		 lws_get_vhost_listen_port(own.amqp_vhost));

	return serve_own_proactor(ready);
}
