/*
 * lws_proton: a log for programs that serve strangers
 *
 * SPDX-License-Identifier: MIT
 *
 * The model
 *
 * A line of log goes to stderr, which is often a pipe that another process reads,
 * and much of its text comes from peers.  So
 *
 *  - a thread that logs never waits for the reader.  It puts the line into a
 *    bounded queue, and a thread of this library, made with the first line,
 *    writes it.  While nobody reads, lines are lost and counted.  When there is
 *    room again, the count follows what the queue held.
 *
 *  - a peer cannot forge a line.  Each call makes exactly one line.  What could
 *    end it or move a terminal's cursor is written as \xNN.
 *
 *  - a peer cannot flood the log.  Lines of one kind have a rate, all kinds
 *    together have another, and what is left out is counted and reported.
 *
 * The queue and the tables are static: a log never allocates memory.  The last
 * lines before a crash, or before _exit(), may be lost.
 */

#if !defined(LWS_PROTON_LOG_H)
#define LWS_PROTON_LOG_H

#include <stddef.h>

#include "lws_proton.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* The longest line, as it is written, in bytes.  The rest of a longer one is cut off. */
#define LWS_PROTON_LOG_LINE		1024
/* The queue, in bytes. */
#define LWS_PROTON_LOG_PENDING		(32 * 1024)

/*
 * Two lines are of one kind if they have the same level and begin with the same
 * words.  Digits, and what is in quotation marks or brackets, do not count, since
 * peers and the time of day make that.
 *
 * KIND_BURST: what may come of a kind at once, in bytes.
 * KIND_RATE: what may come of it from then on, in bytes a second.
 * BURST, RATE: the same of all kinds together.
 */
#define LWS_PROTON_LOG_KIND_BURST	2048
#define LWS_PROTON_LOG_KIND_RATE	300
#define LWS_PROTON_LOG_BURST		(16 * 1024)
#define LWS_PROTON_LOG_RATE		2000
/*
 * The same of lines of level LLL_USER, which is for what an operator wants to
 * have of each connection or request: they are one kind, apart from the others.
 * 16 KiB are about 100 lines.
 */
#define LWS_PROTON_LOG_USER_BURST	(64 * 1024)
#define LWS_PROTON_LOG_USER_RATE	(16 * 1024)
/* How often it is reported, of each kind, how many lines were left out (ms). */
#define LWS_PROTON_LOG_REPORT_MS	5000
/* How long exit() waits for lines that are not written yet (ms). */
#define LWS_PROTON_LOG_EXIT_MS		200

/*
 * Logs one line.  A function for lws_set_log_level(), and for the program's own
 * lines: `level` is one of lws's (LLL_ERR, ...), `line` may end with a newline.
 * Any thread; not from a signal handler.  Never blocks.
 */
LWS_PROTON_EXTERN void
lws_proton_log(int level, const char *line);

/*
 * Makes one word of what a peer sent, to be a field of a line: each byte that is
 * no printable ASCII character, and each space, quotation mark, '=' and '\', is
 * \xNN.  `len` bytes of `text` go to `to`, which has room for `size`, at least 1;
 * what has no room is cut off.  `to` ends with a 0.  Returns `to`.
 */
LWS_PROTON_EXTERN const char *
lws_proton_log_word(char *to, size_t size, const void *text, size_t len);

#if defined(__cplusplus)
}
#endif

#endif
