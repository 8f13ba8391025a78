/*
 * The queues' numbers as JSON: see numbers_protocol.h
 *
 * SPDX-License-Identifier: MIT
 */

#include "numbers_protocol.h"

#include "queues.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* bytes that are written at a time */
#define PIECE		4096

/* lws_json_purify() would take bytes of UTF-8 for control characters */
static void
tell_string(FILE *to, const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			fprintf(to, "\\u%04x", *text);
		else
			fputc(*text, to);
}

struct telling {
	FILE		*to;
	const char	*separator;
};

static void
tell_queue(void *context, const struct queue_numbers *q)
{
	struct telling *t = context;

	fprintf(t->to, "%s{\"name\":\"", t->separator);
	tell_string(t->to, q->name);
	fprintf(t->to, "\",\"messages\":%zu,\"unsettled\":%zu,\"bytes\":%zu,"
		"\"in\":%lu,\"out\":%lu}", q->messages, q->unsettled, q->bytes,
		q->in, q->out);
	t->separator = ",";
}

/* -1: out of memory */
static int
make_answer(struct numbers_answer *a)
{
	static const char before[LWS_PRE];
	struct telling t = { NULL, "" };

	memset(a, 0, sizeof(*a));
	t.to = open_memstream(&a->bytes, &a->size);
	if (!t.to)
		return -1;

	fwrite(before, 1, sizeof(before), t.to);
	fprintf(t.to, "{\"ms\":%lld,\"most\":%zu,\"queues\":[",
		(long long)(lws_now_usecs() / LWS_US_PER_MS), queue_limits.queue);
	queues_tell(tell_queue, &t);
	fputs("]}\n", t.to);
	if (fclose(t.to)) {
		free(a->bytes);
		a->bytes = NULL;
		return -1;
	}
	a->size -= LWS_PRE;

	return 0;
}

static void
forget_answer(struct numbers_answer *a)
{
	free(a->bytes);
	a->bytes = NULL;
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
	if (make_answer(a)) {
		lws_return_http_status(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE,
				       NULL);
		return -1;
	}
	if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "application/json",
					a->size, &p, end) ||
	    lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CACHE_CONTROL,
					 no_store, sizeof(no_store) - 1, &p,
					 end) ||
	    lws_finalize_write_http_header(wsi, start, &p, end))
		return -1;
	lws_callback_on_writable(wsi);

	return 0;
}

static int
write_piece(struct lws *wsi, struct numbers_answer *a)
{
	size_t n = a->size - a->sent;
	int is_last = n <= PIECE;
	unsigned char *from;

	if (!a->bytes)
		return 0;

	if (!is_last)
		n = PIECE;
	/* what is before it has been sent: lws may write there */
	from = (unsigned char *)a->bytes + LWS_PRE + a->sent;
	if (lws_write(wsi, from, n, is_last ? LWS_WRITE_HTTP_FINAL :
					      LWS_WRITE_HTTP) != (int)n)
		return -1;
	a->sent += n;
	if (!is_last) {
		lws_callback_on_writable(wsi);
		return 0;
	}

	forget_answer(a);

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
