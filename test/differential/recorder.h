/*
 * What libwebsockets calls a program for, as lines on stderr that are the same
 * whatever the library runs on: no pointers, no times, no descriptors.
 *
 * SPDX-License-Identifier: MIT
 *
 *   cb LABEL REASON protocol=NAME [what the reason comes with]...
 *
 * LABEL numbers the connections in the order of their first callback; "listen"
 * and "-" are the callbacks of no connection.  Of received bytes there is the
 * piece that came, `data`, and the sum of what came so far, `sum`, each as its
 * length and the text or a hash.
 */

#if !defined(RECORDER_H)
#define RECORDER_H

#include <libwebsockets.h>

/* as lws calls a protocol */
void
record_callback(struct lws *wsi, enum lws_callback_reasons reason,
		const void *in, size_t len);

/* a line of the program's own, in the order of the connection's callbacks */
void
record_note(struct lws *wsi, const char *format, ...) LWS_FORMAT(2);

#endif
