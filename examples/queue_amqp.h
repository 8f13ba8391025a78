/*
 * An example program whose AMQP connections are at queues: the functions of its
 * lws_proton_amqp_t.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after threads.h.
 */

#include "amqp_limits.h"
#include "queue_connections.h"

#include <lws_proton_amqp.h>
#include <proton/connection.h>

static int
accept_amqp(void *unused, struct lws *wsi, pn_connection_t *c,
	    pn_transport_t *t)
{
	(void)unused;
	(void)wsi;
	pn_connection_set_container(c, PROGRAM);
	limit_transport(t);

	return 0;
}

/* in the threads: for one connection at a time in one of them */
static void
handle_amqp(void *unused, pn_event_t *event)
{
	(void)unused;
	queue_connection_event(event);
}

/* for what comes by HTTP lws has as long to wait for the request */
static void
set_deadlines(struct lws_context_creation_info *info, lws_proton_amqp_t *amqp,
	      long open_seconds, long idle_seconds)
{
	info->timeout_secs = (unsigned int)open_seconds;
	info->timeout_secs_ah_idle = info->timeout_secs;
	amqp->open_ms = (uint32_t)open_seconds * 1000;
	amqp->idle_ms = (uint32_t)idle_seconds * 1000;
}
