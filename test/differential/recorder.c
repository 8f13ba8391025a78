/*
 * Callbacks as lines: see recorder.h
 *
 * SPDX-License-Identifier: MIT
 */

#include "recorder.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST_CONNECTIONS	64
#define MOST_SHOWN		40
#define HASH_START		14695981039346656037ull	/* FNV-1a */
#define HASH_PRIME		1099511628211ull

/* what the reason comes with */
enum payload {
	NOTHING,
	TEXT,		/* `in` is a string, `len` may be 0 */
	BYTES,		/* received */
	MESSAGE,	/* received, of a WebSocket message */
	REDIRECT,	/* `in` is a string, `len` the status */
	CLOSE_CODE,	/* 2 bytes of code, the rest is why */
	LISTENER,	/* wsi is that of the listening socket */
	NO_WSI,		/* called for a vhost: wsi is a stand-in */
	LEFT_OUT,
};

struct reason {
	const char		*name;
	enum payload		payload;
};

#define R(_reason, _payload)	[LWS_CALLBACK_##_reason] = { #_reason, _payload }
static const struct reason reasons[] = {
	R(PROTOCOL_INIT,			NO_WSI),
	R(PROTOCOL_DESTROY,			NO_WSI),
	R(WSI_CREATE,				NOTHING),
	R(WSI_DESTROY,				NOTHING),
	R(OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS, NO_WSI),
	R(OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS, NO_WSI),
	R(OPENSSL_PERFORM_SERVER_CERT_VERIFICATION, NOTHING),
	R(FILTER_NETWORK_CONNECTION,		LISTENER),
	R(SERVER_NEW_CLIENT_INSTANTIATED,	NOTHING),
	R(CONNECTING,				NOTHING),

	R(FILTER_HTTP_CONNECTION,		TEXT),
	R(HTTP_BIND_PROTOCOL,			NOTHING),
	R(HTTP,					TEXT),
	R(HTTP_BODY,				BYTES),
	R(HTTP_BODY_COMPLETION,			NOTHING),
	R(HTTP_FILE_COMPLETION,			NOTHING),
	R(HTTP_WRITEABLE,			NOTHING),
	R(HTTP_CONFIRM_UPGRADE,			TEXT),
	R(HTTP_DROP_PROTOCOL,			NOTHING),
	R(CLOSED_HTTP,				NOTHING),
	R(ADD_HEADERS,				NOTHING),
	R(CHECK_ACCESS_RIGHTS,			NOTHING),

	R(WS_SERVER_BIND_PROTOCOL,		NOTHING),
	R(FILTER_PROTOCOL_CONNECTION,		TEXT),
	R(CONFIRM_EXTENSION_OKAY,		TEXT),
	R(WS_EXT_DEFAULTS,			TEXT),
	R(ESTABLISHED,				NOTHING),
	R(RECEIVE,				MESSAGE),
	R(RECEIVE_PONG,				BYTES),
	R(SERVER_WRITEABLE,			NOTHING),
	R(WS_PEER_INITIATED_CLOSE,		CLOSE_CODE),
	R(CLOSED,				NOTHING),
	R(WS_SERVER_DROP_PROTOCOL,		NOTHING),
	R(TIMER,				NOTHING),

	R(CLIENT_CONNECTION_ERROR,		TEXT),
	R(CLIENT_FILTER_PRE_ESTABLISH,		NOTHING),
	R(CLIENT_APPEND_HANDSHAKE_HEADER,	NOTHING),
	R(CLIENT_HTTP_BIND_PROTOCOL,		NOTHING),
	R(ESTABLISHED_CLIENT_HTTP,		NOTHING),
	R(CLIENT_HTTP_WRITEABLE,		NOTHING),
	R(RECEIVE_CLIENT_HTTP,			NOTHING),
	R(RECEIVE_CLIENT_HTTP_READ,		BYTES),
	R(COMPLETED_CLIENT_HTTP,		NOTHING),
	R(CLIENT_HTTP_REDIRECT,			REDIRECT),
	R(CLIENT_HTTP_DROP_PROTOCOL,		NOTHING),
	R(CLOSED_CLIENT_HTTP,			NOTHING),
	R(WS_CLIENT_BIND_PROTOCOL,		NOTHING),
	R(CLIENT_CONFIRM_EXTENSION_SUPPORTED,	TEXT),
	R(CLIENT_ESTABLISHED,			NOTHING),
	R(CLIENT_RECEIVE,			MESSAGE),
	R(CLIENT_RECEIVE_PONG,			BYTES),
	R(CLIENT_WRITEABLE,			NOTHING),
	R(CLIENT_CLOSED,			NOTHING),
	R(WS_CLIENT_DROP_PROTOCOL,		NOTHING),

	R(RAW_SKT_BIND_PROTOCOL,		NOTHING),
	R(RAW_ADOPT,				NOTHING),
	R(RAW_CONNECTED,			NOTHING),
	R(RAW_RX,				BYTES),
	R(RAW_WRITEABLE,			NOTHING),
	R(RAW_CLOSE,				NOTHING),
	R(RAW_SKT_DROP_PROTOCOL,		NOTHING),

	/* this comes by the clock */
	R(VHOST_CERT_AGING,			LEFT_OUT),
	/* these come as often as the loop is woken, which is its own business */
	R(EVENT_WAIT_CANCELLED,			LEFT_OUT),
	R(GET_THREAD_ID,			LEFT_OUT),
	/* these are about descriptors, which Proton has not */
	R(ADD_POLL_FD,				LEFT_OUT),
	R(DEL_POLL_FD,				LEFT_OUT),
	R(CHANGE_MODE_POLL_FD,			LEFT_OUT),
	R(LOCK_POLL,				LEFT_OUT),
	R(UNLOCK_POLL,				LEFT_OUT),
};
#undef R

struct connection {
	struct lws		*wsi;
	unsigned int		label;
	uint64_t		sum;	/* hash of what it received */
	size_t			total;
};

/* all in lws's one service thread */
static struct connection connections[MOST_CONNECTIONS];
static unsigned int last_label;

struct line {
	char			text[512];
	size_t			used;
};

static void
append(struct line *line, const char *format, ...) LWS_FORMAT(2);

static void
vappend(struct line *line, const char *format, va_list arguments)
{
	int n = vsnprintf(line->text + line->used,
			  sizeof(line->text) - line->used, format, arguments);

	if (n > 0)
		line->used = LWS_ARRAY_SIZE(line->text) - 1 - line->used <
				(size_t)n ? sizeof(line->text) - 1 :
					    line->used + (size_t)n;
}

static void
append(struct line *line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vappend(line, format, arguments);
	va_end(arguments);
}

static void
emit(struct line *line)
{
	line->text[line->used < sizeof(line->text) - 1 ?
			line->used : sizeof(line->text) - 2] = '\n';
	/* one write, so that no line of lws's log comes between */
	if (write(STDERR_FILENO, line->text, line->used + 1) < 0)
		lwsl_err("cannot write a callback down\n");
}

static uint64_t
hash(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len--)
		h = (h ^ *p++) * HASH_PRIME;

	return h;
}

static void
append_bytes(struct line *line, const char *name, const void *bytes, size_t len)
{
	const char *p = bytes;
	size_t n;

	for (n = 0; n < len && n <= MOST_SHOWN; n++)
		if (!isprint((unsigned char)p[n]))
			break;
	if (n == len && len <= MOST_SHOWN)
		append(line, " %s=%zu:'%.*s'", name, len, (int)len, p);
	else
		append(line, " %s=%zu:#%016llx", name, len,
		       (unsigned long long)hash(HASH_START, bytes, len));
}

static struct connection *
connection_of(struct lws *wsi)
{
	struct connection *unused = NULL;
	size_t i;

	for (i = 0; i < LWS_ARRAY_SIZE(connections); i++) {
		if (connections[i].wsi == wsi)
			return &connections[i];
		if (!connections[i].wsi && !unused)
			unused = &connections[i];
	}
	if (!unused) {
		lwsl_err("more connections at once than are told apart\n");
		return NULL;
	}

	unused->wsi = wsi;
	unused->label = ++last_label;
	unused->sum = HASH_START;
	unused->total = 0;

	return unused;
}

static void
append_received(struct line *line, struct connection *connection,
		const void *in, size_t len)
{
	connection->sum = hash(connection->sum, in, len);
	connection->total += len;
	append_bytes(line, "data", in, len);
	append(line, " sum=%zu:#%016llx", connection->total,
	       (unsigned long long)connection->sum);
}

void
record_callback(struct lws *wsi, enum lws_callback_reasons reason,
		const void *in, size_t len)
{
	static const struct reason unknown = { "another reason", NOTHING };
	const struct reason *r = &unknown;
	const struct lws_protocols *protocol;
	struct connection *connection;
	struct line line = { .used = 0 };

	if ((size_t)reason < LWS_ARRAY_SIZE(reasons) && reasons[reason].name)
		r = &reasons[reason];

	if (r->payload == LEFT_OUT)
		return;
	if (r->payload == LISTENER || r->payload == NO_WSI) {
		append(&line, "cb %s %s",
		       r->payload == LISTENER ? "listen" : "-", r->name);
		emit(&line);
		return;
	}

	connection = connection_of(wsi);
	if (!connection)
		return;
	protocol = lws_get_protocol(wsi);
	append(&line, "cb %u %s protocol=%s", connection->label, r->name,
	       protocol ? protocol->name : "none");
	if (r == &unknown)
		append(&line, " number=%d", (int)reason);

	switch (r->payload) {
	case TEXT:
		if (in)
			append_bytes(&line, "text", in, len ? len : strlen(in));
		break;
	case REDIRECT:
		append(&line, " status=%zu", len);
		append_bytes(&line, "text", in, strlen(in));
		break;
	case MESSAGE:
		append(&line, "%s%s%s remaining=%zu",
		       lws_frame_is_binary(wsi) ? " binary" : " text",
		       lws_is_first_fragment(wsi) ? " first" : "",
		       lws_is_final_fragment(wsi) ? " final" : "",
		       lws_remaining_packet_payload(wsi));
		/* fallthru */
	case BYTES:
		append_received(&line, connection, in, len);
		break;
	case CLOSE_CODE:
		if (len >= 2)
			append(&line, " code=%u",
			       ((const uint8_t *)in)[0] << 8 |
			       ((const uint8_t *)in)[1]);
		if (len > 2)
			append_bytes(&line, "why", (const char *)in + 2,
				     len - 2);
		break;
	default:
		break;
	}
	emit(&line);

	if (reason == LWS_CALLBACK_WSI_DESTROY)
		connection->wsi = NULL;
}

void
record_note(struct lws *wsi, const char *format, ...)
{
	struct connection *connection = connection_of(wsi);
	struct line line = { .used = 0 };
	va_list arguments;

	if (!connection)
		return;
	append(&line, "cb %u ", connection->label);
	va_start(arguments, format);
	vappend(&line, format, arguments);
	va_end(arguments);
	emit(&line);
}
