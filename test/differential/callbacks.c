/*
 * lws-proton-callbacks and lws-stock-callbacks: one program on two libraries,
 * which says what libwebsockets calls it for (recorder.h) and does what the
 * peer asks for.
 *
 * SPDX-License-Identifier: MIT
 *
 *   HTTP       the path says what is done, see http_request()
 *   WebSocket  messages are echoed; one that begins with '!' is a command, see
 *              command()
 *   raw        bytes are echoed
 *
 *   stdout  exactly one line, "ready: http://localhost:PORT/", once it serves
 *   stderr  logs, callbacks, and "port NAME N" for each of its ports
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 *
 * usage: lws-proton-callbacks --port 0 CERTIFICATE KEY FILES
 */

#include <libwebsockets.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorder.h"

/* more than a test sends without waiting */
#define MOST_QUEUED		(256 * 1024)
#define BIG_ANSWER		1000000
#define PIECE			4096
#define RX			4096	/* the most of a message in one callback */
#define TIMEOUT_SECS		3	/* for a request's head, among others */
#define RX_PAUSE_US		(100 * LWS_US_PER_MS)
#define ANSWER_DELAY_US		(100 * LWS_US_PER_MS)

struct piece {
	lws_dll2_t		list;
	size_t			len;
	enum lws_write_protocol	how;
	uint8_t			bytes[];	/* LWS_PRE, then the payload */
};

struct session {
	struct lws		*wsi;
	lws_dll2_owner_t	queue;		/* struct piece */
	lws_sorted_usec_list_t	pause;
	size_t			queued;		/* bytes in it */
	size_t			left;		/* bytes of a big answer */
	uint8_t			then_close;
	uint8_t			mute;		/* nothing is echoed */
	uint8_t			http_later;	/* a timer is to answer HTTP */
};

static struct lws_context *context;
static volatile sig_atomic_t stopping;

static int
queue(struct session *s, const void *bytes, size_t len,
      enum lws_write_protocol how)
{
	struct piece *piece = NULL;

	if (s->queued + len <= MOST_QUEUED)
		piece = malloc(sizeof(*piece) + LWS_PRE + len);
	if (!piece) {
		lwsl_err("there is no room for more\n");
		return -1;
	}
	memset(&piece->list, 0, sizeof(piece->list));
	piece->len = len;
	piece->how = how;
	if (len)
		memcpy(piece->bytes + LWS_PRE, bytes, len);
	lws_dll2_add_tail(&piece->list, &s->queue);
	s->queued += len;
	lws_callback_on_writable(s->wsi);

	return 0;
}

static int
drop_piece(struct lws_dll2 *list, void *user)
{
	(void)user;
	lws_dll2_remove(list);
	free(lws_container_of(list, struct piece, list));

	return 0;
}

/* one piece, as there may be room for one only */
static int
write_queued(struct session *s)
{
	struct lws_dll2 *first = lws_dll2_get_head(&s->queue);
	struct piece *piece;
	int n;

	if (first) {
		piece = lws_container_of(first, struct piece, list);
		s->queued -= piece->len;
		n = lws_write(s->wsi, piece->bytes + LWS_PRE, piece->len,
			      piece->how);
		drop_piece(first, NULL);
		if (n < 0)
			return -1;
	}
	if (s->queue.count)
		lws_callback_on_writable(s->wsi);
	else
		if (s->then_close)
			return -1;

	return 0;
}

static enum lws_write_protocol
kind_of_fragment(struct lws *wsi)
{
	int how = !lws_is_first_fragment(wsi) ? LWS_WRITE_CONTINUATION :
		  lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;

	return (enum lws_write_protocol)(how |
			(lws_is_final_fragment(wsi) ? 0 : LWS_WRITE_NO_FIN));
}

static void
read_again(lws_sorted_usec_list_t *sul)
{
	struct session *s = lws_container_of(sul, struct session, pause);

	record_note(s->wsi, "note: reads again");
	lws_rx_flow_control(s->wsi, 1);
}

/* a message to the program */
static int
command(struct session *s, const char *text, size_t len)
{
	static const uint8_t ping[] = "are you there";
	char word[32];
	int code;

	lws_strnncpy(word, text, len, sizeof(word));
	record_note(s->wsi, "note: %s", word);

	if (sscanf(word, "!close %d", &code) == 1) {
		lws_close_reason(s->wsi, (enum lws_close_status)code,
				 (uint8_t *)"as you wish", 11);
		return -1;
	}
	if (!strcmp(word, "!drop"))
		return -1;
	if (!strcmp(word, "!last")) {
		s->then_close = 1;
		return queue(s, "last words", 10, LWS_WRITE_TEXT);
	}
	if (!strcmp(word, "!mute"))
		s->mute = 1;
	if (!strcmp(word, "!ping"))
		return queue(s, ping, sizeof(ping) - 1, LWS_WRITE_PING);
	if (!strcmp(word, "!pause")) {
		lws_rx_flow_control(s->wsi, 0);
		lws_sul_schedule(context, 0, &s->pause, read_again, RX_PAUSE_US);
	}
	if (!strcmp(word, "!timeout"))
		lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_OK, 1);
	if (!strcmp(word, "!timer"))
		lws_set_timer_usecs(s->wsi, ANSWER_DELAY_US);
	if (!strcmp(word, "!big")) {
		s->left = BIG_ANSWER;
		lws_callback_on_writable(s->wsi);
	}

	return 0;
}

static int
receive(struct session *s, const char *in, size_t len)
{
	if (len && in[0] == '!')
		return command(s, in, len);
	if (s->mute)
		return 0;

	return queue(s, in, len, kind_of_fragment(s->wsi));
}

/* the next piece of a big answer: to HTTP, or as one message to WebSocket */
static int
write_big(struct session *s, int ws)
{
	uint8_t bytes[LWS_PRE + PIECE];
	size_t n = s->left < PIECE ? s->left : PIECE;
	int how = LWS_WRITE_HTTP;

	memset(bytes + LWS_PRE, 'b', n);
	if (ws)
		how = lws_write_ws_flags(LWS_WRITE_BINARY,
					 s->left == BIG_ANSWER, s->left == n);
	else
		if (s->left == n)
			how = LWS_WRITE_HTTP_FINAL;
	s->left -= n;
	if (lws_write(s->wsi, bytes + LWS_PRE, n,
		      (enum lws_write_protocol)how) < 0)
		return -1;
	if (s->left) {
		lws_callback_on_writable(s->wsi);
		return 0;
	}

	return !ws && lws_http_transaction_completed(s->wsi) ? -1 : 0;
}

/* head now, body when there is room */
static int
answer(struct session *s, size_t len)
{
	uint8_t head[LWS_PRE + 1024], *p = head + LWS_PRE,
		*end = head + sizeof(head) - 1;

	if (lws_add_http_common_headers(s->wsi, HTTP_STATUS_OK, "text/plain",
					len, &p, end) ||
	    lws_finalize_write_http_header(s->wsi, head + LWS_PRE, &p, end))
		return 1;
	s->left = len;
	lws_callback_on_writable(s->wsi);

	return 0;
}

/*
 * /client/METHOD/PORT/PATH: METHOD is GET, RAW, ws, or GET or ws with -tls, -h2,
 * or with -sure, which is TLS with a certificate that is trusted
 */
static int
start_client(struct session *s, const char *what)
{
	struct lws_client_connect_info i;
	char method[16], path[64] = "/";
	char *dash;
	int port;

	if (sscanf(what, "%15[^/]/%d%63s", method, &port, path) < 2)
		return 1;

	memset(&i, 0, sizeof(i));
	i.context = context;
	i.vhost = lws_get_vhost_by_name(context, "plain");
	i.address = i.host = i.origin = "127.0.0.1";
	i.port = port;
	i.path = path;
	i.local_protocol_name = "client";
	i.alpn = "http/1.1";
	dash = strchr(method, '-');
	if (dash) {
		*dash = '\0';
		i.ssl_connection = LCCSCF_USE_SSL;
		if (strcmp(dash + 1, "sure"))
			i.ssl_connection |= LCCSCF_ALLOW_SELFSIGNED |
					LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
		if (!strcmp(dash + 1, "h2"))
			i.alpn = "h2";
	}
	if (strcmp(method, "ws"))
		i.method = method;
	else
		i.protocol = "echo";
	if (!lws_client_connect_via_info(&i))
		record_note(s->wsi, "note: the client failed at once");

	return answer(s, 2);
}

static int
http_request(struct session *s, const char *path)
{
	if (!strncmp(path, "/client/", 8))
		return start_client(s, path + 8);
	if (!strcmp(path, "/small"))
		return answer(s, 5);
	if (!strcmp(path, "/big"))
		return answer(s, BIG_ANSWER);
	if (!strcmp(path, "/later")) {
		s->http_later = 1;
		lws_set_timer_usecs(s->wsi, ANSWER_DELAY_US);
		return 0;
	}
	if (!strcmp(path, "/timeout")) {
		lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_OK, 1);
		return 0;
	}
	if (!strcmp(path, "/drop"))
		return -1;
	if (!strcmp(path, "/post") || !strcmp(path, "/never"))
		return 0;
	if (lws_return_http_status(s->wsi, HTTP_STATUS_NOT_FOUND, NULL) ||
	    lws_http_transaction_completed(s->wsi))
		return -1;

	return 0;
}

static int
client_http_read(struct lws *wsi)
{
	char buffer[LWS_PRE + PIECE], *p = buffer + LWS_PRE;
	int len = PIECE;

	return lws_http_client_read(wsi, &p, &len) < 0 ? -1 : 0;
}

static int
callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
	 void *in, size_t len)
{
	struct session *s = user;

	record_callback(wsi, reason, in, len);

	switch (reason) {
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
	case LWS_CALLBACK_RAW_SKT_DROP_PROTOCOL:
	case LWS_CALLBACK_CLIENT_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_WS_CLIENT_DROP_PROTOCOL:
		if (s) {
			lws_dll2_foreach_safe(&s->queue, NULL, drop_piece);
			lws_sul_cancel(&s->pause);
		}
		return 0;

	case LWS_CALLBACK_HTTP:
		s->wsi = wsi;
		return http_request(s, in);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return answer(s, 5);
	case LWS_CALLBACK_HTTP_FILE_COMPLETION:
		return lws_http_transaction_completed(wsi) ? -1 : 0;
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return s->left ? write_big(s, 0) : 0;

	case LWS_CALLBACK_TIMER:
		if (s->http_later) {
			s->http_later = 0;
			return answer(s, 5);
		}
		return queue(s, "in time", 7, LWS_WRITE_TEXT);

	case LWS_CALLBACK_ESTABLISHED:
	case LWS_CALLBACK_RAW_ADOPT:
		s->wsi = wsi;
		return 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		s->wsi = wsi;
		return queue(s, "hello", 5, LWS_WRITE_TEXT);
	case LWS_CALLBACK_RECEIVE:
		return receive(s, in, len);
	case LWS_CALLBACK_SERVER_WRITEABLE:
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return s->left ? write_big(s, 1) : write_queued(s);
	case LWS_CALLBACK_CLIENT_RECEIVE:
		lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
		return -1;

	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
		return client_http_read(wsi);

	case LWS_CALLBACK_RAW_CONNECTED:
		s->wsi = wsi;
		return queue(s, "hello", 5, LWS_WRITE_RAW);
	case LWS_CALLBACK_RAW_RX:
		/* a client has what it wants, the echo */
		if (!strcmp(lws_get_protocol(wsi)->name, "client"))
			return -1;
		return queue(s, in, len, LWS_WRITE_RAW);
	case LWS_CALLBACK_RAW_WRITEABLE:
		return write_queued(s);

	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
	/* for HTTP, and for a client that names no protocol */
	{ "first",	callback, sizeof(struct session), RX, 0, NULL, 0 },
	{ "echo",	callback, sizeof(struct session), RX, 0, NULL, 0 },
	{ "raw",	callback, sizeof(struct session), RX, 0, NULL, 0 },
	{ "client",	callback, sizeof(struct session), RX, 0, NULL, 0 },
	LWS_PROTOCOL_LIST_TERM
};

static const struct lws_extension extensions[] = {
	{
		"permessage-deflate",
		lws_extension_callback_pm_deflate,
		"permessage-deflate"
		"; client_no_context_takeover"
		"; server_no_context_takeover"
	},
	{ NULL, NULL, NULL }
};

/* asks an idle peer after a second, gives it up after another */
static const lws_retry_bo_t impatient = {
	.secs_since_valid_ping = 1,
	.secs_since_valid_hangup = 2,
};

static int
listen_on(const char *name, struct lws_context_creation_info info,
	  uint64_t options)
{
	struct lws_vhost *vhost;

	info.vhost_name = name;
	info.options |= options;
	vhost = lws_create_vhost(context, &info);
	if (!vhost)
		return -1;
	fprintf(stderr, "port %s %d\n", name, lws_get_vhost_listen_port(vhost));

	return lws_get_vhost_listen_port(vhost);
}

/* the first of the ports, -1 on failure */
static int
listen_on_all(struct lws_context_creation_info info, char **argv)
{
	struct lws_context_creation_info special;
	struct lws_http_mount files = {
		.mountpoint		= "/files",
		.mountpoint_len		= 6,
		.origin			= argv[2],
		.origin_protocol	= LWSMPRO_FILE,
		.def			= "index.txt",
	};
	int port;

	info.mounts = &files;
	port = listen_on("plain", info, 0);
	if (port < 0)
		return -1;

	special = info;
	special.extensions = extensions;
	if (listen_on("deflate", special, 0) < 0)
		return -1;

	special = info;
	special.keepalive_timeout = 1;
	special.retry_and_idle_policy = &impatient;
	if (listen_on("impatient", special, 0) < 0)
		return -1;

	special = info;
	special.listen_accept_role = "raw-skt";
	special.listen_accept_protocol = "raw";
	if (listen_on("raw", special,
		      LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG) < 0 ||
	    listen_on("fallback", special,
		      LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG)
									< 0)
		return -1;

	special = info;
	special.ssl_cert_filepath = argv[0];
	special.ssl_private_key_filepath = argv[1];
	if (listen_on("tls", special, 0) < 0 ||
	    listen_on("redirect", special,
		      LWS_SERVER_OPTION_REDIRECT_HTTP_TO_HTTPS |
		      LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT) < 0)
		return -1;

	return port;
}

static void
stop(int sig)
{
	(void)sig;
	stopping = 1;
	lws_cancel_service(context);
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info;
	int port;

	if (argc != 6 || strcmp(argv[1], "--port") || strcmp(argv[2], "0")) {
		fprintf(stderr, "usage: %s --port 0 CERTIFICATE KEY FILES\n",
			argv[0]);
		return 2;
	}

	lws_set_log_level(LLL_ERR | LLL_WARN | LLL_USER, lwsl_emit_stderr);

	memset(&info, 0, sizeof(info));
	info.options	= LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
			  LWS_SERVER_OPTION_VALIDATE_UTF8 |
			  /* a session that is resumed has other callbacks */
			  LWS_SERVER_OPTION_DISABLE_TLS_SESSION_CACHE |
			  LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
#if defined(LWS_PROTON)
	info.options	|= LWS_SERVER_OPTION_PROTON;
#endif
	info.iface	= "127.0.0.1";
	info.protocols	= protocols;
	info.timeout_secs = TIMEOUT_SECS;

	context = lws_create_context(&info);
	if (!context)
		return 1;
	port = listen_on_all(info, argv + 3);
	if (port < 0) {
		lws_context_destroy(context);
		return 1;
	}

	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	/* the protocols begin before any connection does */
	lws_service(context, -1);
	printf("ready: http://localhost:%d/\n", port);
	fflush(stdout);

	while (!stopping && lws_service(context, 0) >= 0)
		;

	lws_context_destroy(context);

	return stopping ? 0 : 1;
}
