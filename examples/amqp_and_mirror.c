/*
 * lws-proton-amqp-and-mirror: a Proton application that queues messages, and
 * lws's mirror demo on the same threads
 *
 * SPDX-License-Identifier: MIT
 *
 * The proactor and its threads are the program's.  Who sends to an address by AMQP
 * 1.0 puts into the queue of that name, who receives from one takes from it
 * (queues.h).  On the same proactor lws listens for AMQP and for HTTP.  Each event
 * is shown to lws first, in threads.h; AMQP's come out of it, to handle_amqp() in
 * queue_amqp.h.
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
#include "option_table.h"
#include "own_proactor.h"
#include "queues.h"
#include "queue_amqp.h"

/* where lws's test.html and its scripts are; the build system says */
#if !defined(MIRROR_PAGE_DIR)
#error "define MIRROR_PAGE_DIR as the directory that holds lws's test.html"
#endif

enum { AMQP_PORT, HTTP_PORT, THREADS, MEMORY_MIB, OPEN_SECONDS, IDLE_SECONDS };

static struct option_row options[] = {
	[AMQP_PORT] = { "port", "serve AMQP on port N, 0 picks a free one",
			0, MAX_PORT, .value = 5672 },
	[HTTP_PORT] = { "http-port", "serve HTTP on port N, 0 picks a free one",
			0, MAX_PORT, .value = 7681 },
	[THREADS] = { "threads", "threads that serve both", 1, LWS_MAX_SMP, .value = 1 },
	[MEMORY_MIB] = { "memory-mib", "what all AMQP peers may have AMQP hold, in MiB",
			 1, MEMORY_MIB_MOST, .value = MEMORY_MIB_DEFAULT },
	[OPEN_SECONDS] = { "open-seconds", "close a peer that has not opened AMQP after "
			   "N seconds", 1, 3600, .value = 10 },
	[IDLE_SECONDS] = { "idle-seconds", "close one that is silent for N seconds then",
			   1, 3600, .value = 60 },
};

static lws_proton_amqp_t amqp = {
	.handle = handle_amqp,
	.accept = accept_amqp,
};

static const struct lws_protocols amqp_protocols[] = {
	LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp),
	LWS_PROTOCOL_LIST_TERM
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
		.pt_serv_buf_size = LWS_PROTON_AMQP_RX,
	};
	int n;

	n = parse_option_table(argc, argv, "Queues AMQP messages, and serves "
			       "the mirror demo of libwebsockets, on 127.0.0.1.",
			       options, LWS_ARRAY_SIZE(options));
	if (n >= 0)
		return n;

	info.port		= (int)options[HTTP_PORT].value;
	serving.threads		= (int)options[THREADS].value;
	limit_memory(options[MEMORY_MIB].value);
	set_deadlines(&info, &amqp, options[OPEN_SECONDS].value,
		      options[IDLE_SECONDS].value);

	n = serve_http_and_amqp(&info, amqp_protocols,
				options[AMQP_PORT].value);
	queues_free();

	return n;
}
