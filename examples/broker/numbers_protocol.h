/*
 * The queues' numbers, for the page that draws them: an lws protocol that answers
 * GET with JSON, once a request.
 *
 * SPDX-License-Identifier: MIT
 *
 *	{ "ms": 81234, "most": 33554432, "queues": [
 *	  { "name": "demo", "messages": 3, "unsettled": 1, "bytes": 1234,
 *	    "in": 17, "out": 13 } ] }
 *
 * "ms" is when, from some beginning; "most" what a queue holds at most.  The rest
 * is struct queue_numbers.
 */

#if !defined(NUMBERS_PROTOCOL_H)
#define NUMBERS_PROTOCOL_H

#include <libwebsockets.h>

/* of a request, until all of it is sent */
struct numbers_answer {
	char	*bytes;		/* with LWS_PRE before them; NULL: none */
	size_t	size;
	size_t	sent;
};

#define NUMBERS_PROTOCOL_NAME	"numbers"
#define NUMBERS_PROTOCOL \
	{ NUMBERS_PROTOCOL_NAME, numbers_callback, sizeof(struct numbers_answer), \
	  0, 0, NULL, 0 }

int
numbers_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
		 void *in, size_t len);

#endif
