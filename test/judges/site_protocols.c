/*
 * What the site for foreign judges answers, besides its files.
 *
 * SPDX-License-Identifier: MIT
 *
 * One service thread: what sessions share has no lock.
 */

#include "site_protocols.h"

#include <stdio.h>
#include <string.h>

#define EVENT_INTERVAL_US	(10 * LWS_US_PER_MS)

const char *site_store;

/* an answer that is small enough to be written at once */
static int
answer(struct lws *wsi, const char *text)
{
	uint8_t buf[LWS_PRE + 1024], *start = &buf[LWS_PRE], *p = start;
	uint8_t *end = buf + sizeof(buf);
	size_t len = strlen(text);

	if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/plain", len,
					&p, end) ||
	    lws_finalize_write_http_header(wsi, start, &p, end))
		return -1;

	memcpy(start, text, len);
	if (lws_write(wsi, start, len, LWS_WRITE_HTTP_FINAL) != (int)len)
		return -1;

	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/*
 * /events
 */

struct events {
	int	next;
};

static int
callback_events(struct lws *wsi, enum lws_callback_reasons reason, void *user,
		void *in, size_t len)
{
	uint8_t buf[LWS_PRE + 1024], *start = &buf[LWS_PRE], *p = start;
	uint8_t *end = buf + sizeof(buf);
	struct events *e = user;
	int last;

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		e->next = 0;
		if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK,
						"text/event-stream",
						LWS_ILLEGAL_HTTP_CONTENT_LEN,
						&p, end) ||
		    lws_finalize_write_http_header(wsi, start, &p, end))
			return -1;
		lws_http_mark_sse(wsi);
		lws_callback_on_writable(wsi);
		return 0;

	case LWS_CALLBACK_TIMER:
		lws_callback_on_writable(wsi);
		return 0;

	case LWS_CALLBACK_HTTP_WRITEABLE:
		last = e->next == SITE_EVENTS - 1;
		p += lws_snprintf((char *)p, lws_ptr_diff_size_t(end, p),
				  "id: %d\ndata: event %d\n\n", e->next, e->next);
		if (lws_write(wsi, start, lws_ptr_diff_size_t(p, start),
			      last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) !=
						lws_ptr_diff(p, start))
			return -1;
		if (last)
			return lws_http_transaction_completed(wsi) ? -1 : 0;
		e->next++;
		lws_set_timer_usecs(wsi, EVENT_INTERVAL_US);
		return 0;

	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

/*
 * /poll and /tell
 */

struct poll {
	struct lws_dll2	list;
	struct lws	*wsi;
	int		told;
};

static struct lws_dll2_owner waiting;

static int
callback_poll(struct lws *wsi, enum lws_callback_reasons reason, void *user,
	      void *in, size_t len)
{
	struct poll *poll = user;
	char text[32];

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		memset(poll, 0, sizeof(*poll));
		poll->wsi = wsi;
		lws_dll2_add_tail(&poll->list, &waiting);
		/* it waits as long as it has to */
		lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
		return 0;

	case LWS_CALLBACK_HTTP_WRITEABLE:
		lws_snprintf(text, sizeof(text), "told %d\n", poll->told);
		return answer(wsi, text);

	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		if (poll)
			lws_dll2_remove(&poll->list);
		/* fallthru */
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

static int
callback_tell(struct lws *wsi, enum lws_callback_reasons reason, void *user,
	      void *in, size_t len)
{
	static int told;
	char text[32];
	unsigned int count = 0;

	if (reason != LWS_CALLBACK_HTTP)
		return lws_callback_http_dummy(wsi, reason, user, in, len);

	told++;
	lws_start_foreach_dll_safe(struct lws_dll2 *, d, next, waiting.head) {
		struct poll *poll = lws_container_of(d, struct poll, list);

		poll->told = told;
		lws_dll2_remove(d);
		lws_callback_on_writable(poll->wsi);
		count++;
	} lws_end_foreach_dll_safe(d, next);

	lws_snprintf(text, sizeof(text), "%u\n", count);

	return answer(wsi, text);
}

/*
 * /upload and /body
 */

struct upload {
	struct lws_spa		*spa;
	FILE			*file;
	unsigned long long	stored;
};

static const char * const upload_params[] = { "text" };

static int
store(struct upload *u, const char *name, const void *bytes, size_t len)
{
	char path[512];

	if (!u->file) {
		lws_snprintf(path, sizeof(path), "%s/%s", site_store, name);
		u->file = fopen(path, "wb");
		u->stored = 0;
	}
	u->stored += len;

	return !u->file || fwrite(bytes, 1, len, u->file) != len;
}

static int
stored_all(struct upload *u)
{
	int failed = u->file && fclose(u->file);

	u->file = NULL;

	return failed;
}

static int
uploaded_cb(void *data, const char *name, const char *filename, char *buf,
	    int len, enum lws_spa_fileupload_states state)
{
	struct upload *u = data;

	(void)name;
	(void)filename;
	switch (state) {
	case LWS_UFS_CONTENT:
		return store(u, "uploaded", buf, (size_t)len);
	case LWS_UFS_FINAL_CONTENT:
		return store(u, "uploaded", buf, (size_t)len) || stored_all(u);
	default:
		return 0;
	}
}

static void
upload_end(struct upload *u)
{
	if (u->spa)
		lws_spa_destroy(u->spa);
	u->spa = NULL;
	stored_all(u);
}

static int
callback_upload(struct lws *wsi, enum lws_callback_reasons reason, void *user,
		void *in, size_t len)
{
	struct upload *u = user;
	const char *value;
	char text[256];

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		memset(u, 0, sizeof(*u));
		return 0;

	case LWS_CALLBACK_HTTP_BODY:
		if (!u->spa)
			u->spa = lws_spa_create(wsi, upload_params,
						LWS_ARRAY_SIZE(upload_params),
						1024, uploaded_cb, u);

		return !u->spa || lws_spa_process(u->spa, in, (int)len);

	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		value = NULL;
		if (u->spa) {
			lws_spa_finalize(u->spa);
			value = lws_spa_get_string(u->spa, 0);
		}
		lws_snprintf(text, sizeof(text), "text '%s' file %llu\n",
			     value ? value : "", u->stored);
		upload_end(u);
		return answer(wsi, text);

	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		if (u)
			upload_end(u);
		/* fallthru */
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

static int
callback_body(struct lws *wsi, enum lws_callback_reasons reason, void *user,
	      void *in, size_t len)
{
	struct upload *u = user;
	char text[32];

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		memset(u, 0, sizeof(*u));
		return 0;

	case LWS_CALLBACK_HTTP_BODY:
		return store(u, "body", in, len);

	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		if (stored_all(u))
			return -1;
		lws_snprintf(text, sizeof(text), "%llu\n", u->stored);
		return answer(wsi, text);

	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		if (u)
			upload_end(u);
		/* fallthru */
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

/* the first protocol: files, and whether a client's certificate is good */
static int
callback_http(struct lws *wsi, enum lws_callback_reasons reason, void *user,
	      void *in, size_t len)
{
	/* len is OpenSSL's own verdict; unless we take it, any will do */
	if (reason == LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION)
		return !len;

	return lws_callback_http_dummy(wsi, reason, user, in, len);
}

const struct lws_protocols site_protocols[] = {
	{ "http",	callback_http,	0,			0, 0, NULL, 0 },
	{ "events",	callback_events, sizeof(struct events),	0, 0, NULL, 0 },
	{ "poll",	callback_poll,	sizeof(struct poll),	0, 0, NULL, 0 },
	{ "tell",	callback_tell,	0,			0, 0, NULL, 0 },
	{ "upload",	callback_upload, sizeof(struct upload),	0, 0, NULL, 0 },
	{ "body",	callback_body,	sizeof(struct upload),	0, 0, NULL, 0 },
	LWS_PROTOCOL_LIST_TERM
};
