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
 * is struct queue_numbers.  The numbers of a queue are of one moment, those of two may
 * be of different ones.
 */

#if !defined(NUMBERS_PROTOCOL_H)
#define NUMBERS_PROTOCOL_H

#include <libwebsockets.h>

#include "queues.h"

/*
 * Of a request, until all of it is sent.  The JSON is made as it is sent, one queue
 * after the other, so an answer that its client does not read takes no memory but
 * this, and keeps one queue.
 */
struct numbers_answer {
	enum { NUMBERS_NONE, NUMBERS_HEAD, NUMBERS_QUEUES } state;
	int			told;	/* whether there was a queue before */
	struct queue_cursor	cursor;
};

#define NUMBERS_PROTOCOL_NAME	"numbers"
#define NUMBERS_PROTOCOL \
	{ NUMBERS_PROTOCOL_NAME, numbers_callback, sizeof(struct numbers_answer), \
	  0, 0, NULL, 0 }

int
numbers_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
		 void *in, size_t len);

#endif
