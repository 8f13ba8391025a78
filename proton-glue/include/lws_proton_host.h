/*
 * lws_proton: the loop, as the event library plugin uses it
 *
 * SPDX-License-Identifier: MIT
 *
 * Not for applications (they want lws_proton.h).  One loop serves one
 * lws_context.  It owns a pn_proactor_t, the serialization of each of the
 * context's pts, the timers and the wake; what the events mean to lws is the
 * host's business, through the callbacks below.
 */

#if !defined(LWS_PROTON_HOST_H)
#define LWS_PROTON_HOST_H

#include <netdb.h>
#include <stdint.h>

#include "lws_proton.h"
#include "lws_proton_conn.h"

#if defined(__cplusplus)
extern "C" {
#endif

/*
 * All but log() are called with the pt serialized: one thread at a time for each
 * tsi, but not always the same thread.  log() comes from any thread, with or
 * without a pt, and must not call into the loop.
 */
typedef struct lws_proton_host {
	/* c is ready for events (LWS_PROTON_READ ...); c->wsi is not NULL */
	void (*service)(void *user, struct lws_proton_conn *c, int events);
	/*
	 * How much received data lws itself holds for c and could use now; -1:
	 * it holds none, and will not before service() is called for c, or c is
	 * enabled or woken.
	 */
	int64_t (*pending)(void *user, struct lws_proton_conn *c);
	/*
	 * A visit to tsi ends: serves what lws has that no event announces, due
	 * timers among it.  Returns the next deadline in microseconds of
	 * CLOCK_MONOTONIC, INT64_MAX if there is none.
	 */
	int64_t (*after)(void *user, int tsi);
	/*
	 * The next deadline alone, as after() returns it.  Must not call into the
	 * loop.
	 */
	int64_t (*deadline)(void *user, int tsi);
	/*
	 * A lookup that was not cancelled has ended: `error` as getaddrinfo()
	 * returns it, `result` (to be freed with freeaddrinfo()) if that is 0.
	 * The lookup is gone.
	 */
	void (*resolved)(void *user, void *cookie, int error,
			 struct addrinfo *result);
	/*
	 * The context was to be destroyed while a thread was in one of the
	 * above, which it is no more: now.  Only on an application's proactor.
	 * No pt is serialized.
	 */
	void (*destroy)(void *user);
	/*
	 * The connections of tsi are to end: LWS_PROTON_DRAIN_BEGIN, and then one
	 * of the other phases every LWS_PROTON_DRAIN_QUIET_MS, up to
	 * LWS_PROTON_DRAIN_CUT, which may come first.
	 */
	void (*drain)(void *user, int tsi, int phase);
	/* one line of log; level is LWS_PROTON_LOG_... */
	void (*log)(void *user, int level, const char *line);
} lws_proton_host_t;

enum {
	LWS_PROTON_LOG_ERR,
	LWS_PROTON_LOG_WARN,
	LWS_PROTON_LOG_INFO,
};

enum {
	/* no new ones */
	LWS_PROTON_DRAIN_BEGIN,
	/* those with nothing under way */
	LWS_PROTON_DRAIN_QUIET,
	/* all but requests that are being answered */
	LWS_PROTON_DRAIN_TELL,
	/* all, at once */
	LWS_PROTON_DRAIN_CUT,
};

/*
 * A loop for `threads` pts, on a proactor of its own (`application` is NULL) or
 * on an application's, whose threads serve it.  `host` must stay valid for as
 * long as the process.  NULL: out of memory.
 *
 * On an application's proactor the calling thread has all pts serialized from
 * here to lws_proton_loop_started(), so that no other is in lws before the
 * context is complete.
 */
LWS_PROTON_EXTERN lws_proton_loop_t *
lws_proton_loop_new(int threads, const lws_proton_host_t *host, void *user,
		    pn_proactor_t *application);

LWS_PROTON_EXTERN void
lws_proton_loop_started(lws_proton_loop_t *loop);

/* Whether the proactor is an application's. */
LWS_PROTON_EXTERN int
lws_proton_loop_foreign(const lws_proton_loop_t *loop);

/*
 * Before a context is destroyed whose proactor is an application's.  0: the
 * calling thread has all pts serialized, up to lws_proton_loop_free().  1: it is
 * in one of the host's functions, and host->destroy() will be called when it has
 * left it.
 */
LWS_PROTON_EXTERN int
lws_proton_loop_stop(lws_proton_loop_t *loop);

/*
 * On a proactor of its own: closes what is open, waits up to LWS_PROTON_DRAIN_MS
 * for Proton to let go of it, and frees the loop.  What peers that do not read
 * still keep is left to the end of the process, and reported.  No other thread
 * may use the loop.
 *
 * On an application's proactor: lets go of the loop, which stays for as long as
 * Proton holds anything of it.
 */
LWS_PROTON_EXTERN void
lws_proton_loop_free(lws_proton_loop_t *loop);

/*
 * One turn: waits for a batch of events (not if `wait` is 0) and serves it.
 * Also returns, with nothing served, after lws_proton_conn_ops.wake, and once
 * in LWS_PROTON_HEARTBEAT_MS so that a loop around it can look at its own
 * flags.  Each thread calls it with a tsi of its own; pts beyond those are served
 * by whoever gets their events, but a timer that was set for one between two
 * turns is not looked for.  After lws_proton_conn_ops.wake it sees to it that
 * another thread polls, since the caller may not come again.
 */
LWS_PROTON_EXTERN void
lws_proton_loop_turn(lws_proton_loop_t *loop, int tsi, int wait);

/*
 * A listener on `host` (a numeric address or a name; NULL: every address) and
 * `port` (0: any; the one taken is written back).  NULL: it could not listen;
 * why is in `err`, as a line for a person.
 */
LWS_PROTON_EXTERN struct lws_proton_conn *
lws_proton_loop_listen(lws_proton_loop_t *loop, const char *host, int *port,
		       char *err, size_t err_len);

/* Whether the sizes are in their range. */
LWS_PROTON_EXTERN int
lws_proton_windows_valid(const lws_proton_windows_t *windows);

/*
 * A connection for a client that pt `tsi` serves, to be connected with
 * lws_proton_conn_ops.connect.  The caller's: it closes it.  NULL: out of
 * memory.  With the pt serialized.
 */
LWS_PROTON_EXTERN struct lws_proton_conn *
lws_proton_loop_socket(lws_proton_loop_t *loop, int tsi);

/*
 * True: clients are connected by the dialer (lws_proton_loop_set_dialer()), and
 * their names are not to be looked up.
 */
LWS_PROTON_EXTERN int
lws_proton_loop_dials(lws_proton_loop_t *loop);

/*
 * The same as lws_proton_loop_socket(), for the dialer to connect to `address`.
 * Of the address that lws_proton_conn_ops.connect is given, it gets the port.
 */
LWS_PROTON_EXTERN struct lws_proton_conn *
lws_proton_loop_dialed_socket(lws_proton_loop_t *loop, int tsi,
			      const char *address);

/*
 * Looks a host name up in another thread, so that the loop goes on;
 * host->resolved() is told, with pt `tsi` serialized and `cookie`.  NULL: out of
 * memory or threads.  With the pt serialized.
 */
typedef struct lws_proton_lookup_t lws_proton_lookup_t;

LWS_PROTON_EXTERN lws_proton_lookup_t *
lws_proton_loop_resolve(lws_proton_loop_t *loop, int tsi, const char *name,
			void *cookie);

/*
 * host->resolved() will not be called for it.  With the pt serialized.  Any that
 * host->resolved() was not told of are cancelled before the loop is freed.
 */
LWS_PROTON_EXTERN void
lws_proton_lookup_cancel(lws_proton_lookup_t *lookup);

/*
 * The wake pipe of tsi: wake()ing it gets it serviced with READ.  The loop's:
 * closing it does nothing.
 */
LWS_PROTON_EXTERN struct lws_proton_conn *
lws_proton_loop_pipe(lws_proton_loop_t *loop, int tsi);

/* Whether the calling thread serves that pt. */
LWS_PROTON_EXTERN int
lws_proton_loop_serves(const lws_proton_loop_t *loop, int tsi);

/* The pt that the calling thread serves; -1: none of this loop. */
LWS_PROTON_EXTERN int
lws_proton_loop_this_tsi(lws_proton_loop_t *loop);

#if defined(__cplusplus)
}
#endif

#endif
