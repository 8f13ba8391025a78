/*
 * The queues' numbers as JSON: see numbers_protocol.h
 *
 * SPDX-License-Identifier: MIT
 */

#include "numbers_protocol.h"

#include <stdio.h>
#include <string.h>

/* bytes that are written at a time */
#define PIECE		4096
/* of a queue, at most: its name as escapes, and its numbers */
#define LINE		(6 * QUEUE_NAME_MOST + 256)

/* lws_json_purify() would take bytes of UTF-8 for control characters */
static size_t
escape(char *to, const char *text)
{
	char *at = to;

	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			at += sprintf(at, "\\u%04x", (unsigned char)*text);
		else
			*at++ = *text;

	return (size_t)(at - to);
}

static size_t
tell_queue(char *to, const struct queue_numbers *q, int first)
{
	char *at = to;

	at += sprintf(at, "%s{\"name\":\"", first ? "" : ",");
	at += escape(at, q->name);
	at += sprintf(at, "\",\"messages\":%zu,\"unsettled\":%zu,\"bytes\":%zu,"
		      "\"in\":%lu,\"out\":%lu}", q->messages, q->unsettled,
		      q->bytes, q->in, q->out);

	return (size_t)(at - to);
}

/* as much of what is left as there is room for; the answer has ended with the last */
static size_t
make_piece(struct numbers_answer *a, char *to)
{
	struct queue_numbers q;
	size_t n = 0;

	if (a->state == NUMBERS_HEAD) {
		n += (size_t)sprintf(to, "{\"ms\":%lld,\"most\":%zu,\"queues\":[",
				     (long long)(lws_now_usecs() / LWS_US_PER_MS),
				     queue_limits.queue);
		a->state = NUMBERS_QUEUES;
	}
	while (n + LINE <= PIECE) {
		if (!queue_next(&a->cursor, &q)) {
			n += (size_t)sprintf(to + n, "]}\n");
			a->state = NUMBERS_NONE;
			break;
		}
		n += tell_queue(to + n, &q, !a->told);
		a->told = 1;
	}

	return n;
}

static void
forget_answer(struct numbers_answer *a)
{
	queue_stop(&a->cursor);
	memset(a, 0, sizeof(*a));
}

static int
answer(struct lws *wsi, struct numbers_answer *a)
{
	unsigned char headers[LWS_PRE + 512], *start = &headers[LWS_PRE],
		*p = start, *end = &headers[sizeof(headers) - 1];
	static const unsigned char no_store[] = "no-store";
	int uri_len;
	char *uri;

	if (lws_http_get_uri_and_method(wsi, &uri, &uri_len) != LWSHUMETH_GET) {
		if (lws_return_http_status(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED,
					   NULL))
			return -1;

		return lws_http_transaction_completed(wsi) ? -1 : 0;
	}
	/* how long it becomes is not known: HTTP/1 ends the connection with it */
	if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "application/json",
					LWS_ILLEGAL_HTTP_CONTENT_LEN, &p, end) ||
	    lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CACHE_CONTROL,
					 no_store, sizeof(no_store) - 1, &p,
					 end) ||
	    lws_finalize_write_http_header(wsi, start, &p, end))
		return -1;
	forget_answer(a);
	a->state = NUMBERS_HEAD;
	lws_callback_on_writable(wsi);

	return 0;
}

static int
write_piece(struct lws *wsi, struct numbers_answer *a)
{
	unsigned char piece[LWS_PRE + PIECE];
	size_t n;

	if (a->state == NUMBERS_NONE)
		return 0;

	n = make_piece(a, (char *)piece + LWS_PRE);
	if (lws_write(wsi, piece + LWS_PRE, n, a->state == NUMBERS_NONE ?
		      LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) != (int)n)
		return -1;
	if (a->state != NUMBERS_NONE) {
		lws_callback_on_writable(wsi);
		return 0;
	}

	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int
numbers_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
		 void *in, size_t len)
{
	struct numbers_answer *a = user;

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return answer(wsi, a);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return write_piece(wsi, a);
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		/* no WebSocket speaks it */
		return -1;
	case LWS_CALLBACK_HTTP_BODY:
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		/* what a GET has one for: the answer is under way */
		return 0;
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		if (a)
			forget_answer(a);
		return 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}
