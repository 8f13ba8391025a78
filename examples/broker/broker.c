/*
 * broker: an in-memory AMQP 1.0 broker for TCP, WebSockets and a web page, all on
 * one proactor
 *
 * SPDX-License-Identifier: MIT
 *
 * Who sends to an address puts into the queue of that name, who receives from one
 * takes from it (queues.h); queues are made on first use.  Connections of both
 * ports are lws_proton_amqp.h's, and have the same handler.  The page that is
 * served on the HTTP port is a client as others are, and asks for the queues'
 * numbers.
 *
 *   stdout  exactly one line, once it serves:
 *           "ready: http[s]://localhost:PORT/ amqp://localhost:PORT/"
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#include <libwebsockets.h>
#include <lws_proton_amqp.h>

#define PROGRAM			"broker"
#include "program.h"
#include "threads.h"
#include "option_table.h"
#include "own_proactor.h"
#include "numbers_protocol.h"
#include "queues.h"
#include "queue_amqp.h"

/* where the page and its scripts are put together; the build system says */
#if !defined(BROKER_PAGE_DIR)
#error "define BROKER_PAGE_DIR as the directory for index.html"
#endif

#define KIB			1024
#define MOST_CONNECTIONS	10000

enum { AMQP_PORT, HTTP_PORT, THREADS, MESSAGE_KIB, QUEUE_KIB, QUEUES,
       MEMORY_MIB, OPEN_SECONDS, IDLE_SECONDS, TLS_CERT, TLS_KEY };

static const char *tls_cert, *tls_key;

static struct option_row options[] = {
	[AMQP_PORT] = { "amqp-port", "AMQP over TCP on port N, 0 picks a free one",
			0, MAX_PORT, .value = 5672 },
	[HTTP_PORT] = { "http-port", "AMQP over WebSocket, and the page, on port N",
			0, MAX_PORT, .value = 5673 },
	[THREADS] = { "threads", "threads that serve all of it", 1, LWS_MAX_SMP, .value = 1 },
	[MESSAGE_KIB] = { "message-kib", "the largest message, in KiB",
			  1, 64 * KIB, .value = 8 * KIB },
	[QUEUE_KIB] = { "queue-kib", "what a queue holds at most, in KiB",
			2, KIB * KIB, .value = 32 * KIB },
	[QUEUES] = { "queues", "queues at most", 1, 1000, .value = 100 },
	[MEMORY_MIB] = { "memory-mib", "what all AMQP peers may have it hold, "
			 "besides queues, in MiB",
			 1, MEMORY_MIB_MOST, .value = MEMORY_MIB_DEFAULT },
	[OPEN_SECONDS] = { "open-seconds", "close a peer that has not opened AMQP after "
			   "N seconds", 1, 3600, .value = 10 },
	[IDLE_SECONDS] = { "idle-seconds", "close one that is silent for N seconds then",
			   1, 3600, .value = 60 },
	[TLS_CERT] = { "tls-cert", "serve https:// and wss:// with this chain (PEM),",
		       .file = &tls_cert },
	[TLS_KEY] = { "tls-key", "and its private key", .file = &tls_key },
};

static lws_proton_amqp_t amqp = {
	.handle = handle_amqp,
	.accept = accept_amqp,
	.origins = guard_origins,
};

static const struct lws_protocols protocols[] = {
	/* first: it is asked for WebSockets that name none, and refuses them */
	LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp),
	LWS_PROTON_AMQP_PROTOCOL("AMQPWSB10", &amqp),
	LWS_PROTON_AMQP_PROTOCOL("binary", &amqp),
	NUMBERS_PROTOCOL,
	LWS_PROTOCOL_LIST_TERM
};

static const struct lws_http_mount page = {
	.mountpoint		= "/",
	.mountpoint_len		= 1,
	.origin			= BROKER_PAGE_DIR,
	.def			= "index.html",
	.origin_protocol	= LWSMPRO_FILE,
};

static struct lws_http_mount numbers = {
	.mountpoint		= "/queues",
	.mountpoint_len		= 7,
	.origin			= NUMBERS_PROTOCOL_NAME,
	.origin_protocol	= LWSMPRO_CALLBACK,
};

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info = {
		.options	= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
		.iface		= "127.0.0.1",
		.protocols	= protocols,
		.mounts		= &numbers,
		.pt_serv_buf_size = LWS_PROTON_AMQP_RX,
	};
	int n;

	n = parse_option_table(argc, argv, "An AMQP 1.0 broker in memory, on "
			       "127.0.0.1.", options, LWS_ARRAY_SIZE(options));
	if (n >= 0)
		return n;
	if (options[QUEUE_KIB].value <= options[MESSAGE_KIB].value) {
		fprintf(stderr, PROGRAM ": --queue-kib wants more than "
				"--message-kib: a queue that holds a message\n");
		return EXIT_USAGE;
	}

	if (!tls_cert != !tls_key) {
		fprintf(stderr, PROGRAM ": --tls-cert and --tls-key go together\n");
		return EXIT_USAGE;
	}
	if (tls_cert) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = tls_cert;
		info.ssl_private_key_filepath = tls_key;
	}

	if (access(BROKER_PAGE_DIR "/index.html", R_OK))
		fprintf(stderr, PROGRAM ": without its page, which the build "
				"target broker_page makes\n");
	else
		numbers.mount_next = &page;

	queue_limits.message	 = (size_t)options[MESSAGE_KIB].value * KIB;
	queue_limits.queue	 = (size_t)options[QUEUE_KIB].value * KIB;
	queue_limits.queues	 = (size_t)options[QUEUES].value;
	queue_limits.connections = MOST_CONNECTIONS;
	queue_limits.credit	 = 100;

	limit_memory(options[MEMORY_MIB].value);

	info.port		= (int)options[HTTP_PORT].value;
	info.count_threads	= (unsigned int)options[THREADS].value;
	serving.threads		= (int)options[THREADS].value;
	set_deadlines(&info, &amqp, options[OPEN_SECONDS].value,
		      options[IDLE_SECONDS].value);

	n = serve_http_and_amqp(&info, protocols, options[AMQP_PORT].value);
	queues_free();

	return n;
}
