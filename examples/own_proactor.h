/*
 * An example program whose proactor is its own: it listens there itself, and has
 * lws there too.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after threads.h.
 */

#include "guard_options.h"

#include <proton/condition.h>
#include <proton/listener.h>
#include <proton/netaddr.h>

static struct own {
	struct lws_vhost	*vhost;
	pn_listener_t		*listener;	/* NULL: it has ended */
	int			port;		/* -1: it has ended */
} own;

/* for PN_LISTENER_OPEN and PN_LISTENER_CLOSE */
static void
on_listener(pn_event_t *event)
{
	pn_condition_t *condition;
	char port[PN_MAX_ADDR];

	if (pn_event_type(event) == PN_LISTENER_OPEN) {
		pn_netaddr_host_port(pn_listener_addr(own.listener), NULL, 0,
				     port, sizeof(port));
		own.port = atoi(port);
		return;
	}

	condition = pn_listener_condition(own.listener);
	if (pn_condition_is_set(condition))
		fprintf(stderr, PROGRAM ": cannot listen: %s\n",
			pn_condition_get_description(condition));
	own.listener = NULL;
	own.port = -1;
	serving.own--;
}

static void
stop_listening(void)
{
	if (own.listener)
		pn_listener_close(own.listener);
}

/* on 127.0.0.1, before there are threads.  -1, and a line, on failure */
static int
start_listening(long port)
{
	char text[8], address[PN_MAX_ADDR];

	snprintf(text, sizeof(text), "%ld", port);
	pn_proactor_addr(address, sizeof(address), "127.0.0.1", text);
	own.listener = pn_listener();
	serving.own++;
	pn_proactor_listen(serving.proactor, own.listener, address, SOMAXCONN);
	while (!own.port)
		serve_batch(pn_proactor_wait(serving.proactor));

	return own.port < 0 ? -1 : 0;
}

/*
 * Makes lws's context and vhost, listens on the port, 0 for a free one, and serves
 * both until it is signalled: the exit code.  serving.own_event and stop_own are
 * set.
 */
static int
serve_own_proactor(struct lws_context_creation_info *info, long port)
{
	char ready[128];
	sigset_t signals;
	int http;

	/* before any thread is made: they all inherit it */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	lws_set_log_level(LLL_ERR, keep_first_error);
	info->foreign_loops = own_proactor();
	serving.context = lws_create_context(info);
	if (serving.context)
		own.vhost = lws_create_vhost(serving.context, info);
	if (own.vhost)
		lws_proton_vhost_guard(own.vhost, &guard);
	else
		fprintf(stderr, PROGRAM ": %s\n", why);
	if (!own.vhost || start_listening(port)) {
		finish();
		return EXIT_FAILED;
	}
	log_from_now_on();

	http = info->port == CONTEXT_PORT_NO_LISTEN_SERVER ? own.port :
					lws_get_vhost_listen_port(own.vhost);
	snprintf(ready, sizeof(ready),
		 "http%s://localhost:%d/ amqp://localhost:%d/",
		 info->ssl_cert_filepath ? "s" : "", http, own.port);

	return serve_until_signalled(&signals, ready);
}
