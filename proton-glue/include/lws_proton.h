/*
 * lws_proton: libwebsockets on Apache Qpid Proton-C's buffers
 *
 * SPDX-License-Identifier: MIT
 *
 * The model
 *
 * A connection is two bounded windows with lws on one side and a transport on
 * the other:
 *
 *            lws                   connection                transport
 *      recv, POLLIN   <---  [ rx window: received,  ]  <---  the network
 *                           [ not yet taken by lws  ]
 *      send, POLLOUT  --->  [ tx window: sent by    ]  --->  the network
 *                           [ lws, not yet taken    ]
 *
 * A full rx window gives the transport nothing to read into, so the peer's own
 * sending stops.  A full tx window refuses lws's bytes, so lws waits for POLLOUT.
 * Neither grows: memory per connection is at most one rx buffer, one tx buffer
 * and the connection object; an idle connection holds one small rx buffer only
 * (of the driver transport: a whole one, from the first read_buffer() on).
 *
 * Two transports exist:
 *
 *  - the raw-connection transport: a pn_raw_connection_t of a pn_proactor_t.
 *    Programs get it by creating their lws_context with
 *    LWS_SERVER_OPTION_PROTON; nothing in this header is needed for that.
 *    A program with a proactor of its own gives it to lws, see "An
 *    application's proactor" below.
 *
 *  - the driver transport: the caller moves the bytes, as with Proton's
 *    pn_connection_driver_t.  That is lws_proton_driver_* below.
 *
 * Threads: lws divides its connections among service threads, "pts", numbered
 * by tsi.  Whatever calls into lws for a connection holds the serialization of
 * its pt, so one thread at a time is inside lws for each pt, though not always
 * the same thread.  A thread that gets an event of a pt that another is in waits
 * for it: give info.count_threads several pts (four, say) for each thread that
 * serves, so that they seldom meet.  (Of those without a service thread, set
 * timers in callbacks only.)  A call from the wrong place may stand still or corrupt
 * memory; a library that was built with assertions ends there: inside a callback,
 * where that is forbidden, and, on an application's proactor, where a connection
 * is read, written or closed without its pt.
 */

#if !defined(LWS_PROTON_H)
#define LWS_PROTON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <proton/types.h>

#if defined(__GNUC__)
#define LWS_PROTON_EXTERN __attribute__((visibility("default")))
#else
#define LWS_PROTON_EXTERN
#endif

#if defined(__cplusplus)
extern "C" {
#endif

struct lws_proton_conn;

typedef struct pn_event_batch_t pn_event_batch_t;
typedef struct pn_event_t pn_event_t;
typedef struct pn_proactor_t pn_proactor_t;
typedef struct pn_raw_connection_t pn_raw_connection_t;

/*
 * Sizes, in bytes.
 *
 * RX_SMALL: what an idle connection holds, unless its rx window is smaller.
 * 4 KiB doubled the I/O turns of bursts of small messages, measured on Proton
 * 0.37.
 * RX: the rx window, unless another was set: what a connection is given after a
 * read that filled what there was, until one does not.
 * TX: the tx window, unless another was set.
 * WINDOW_MIN, WINDOW_MAX: what can be set.  A window below twice
 * LWS_PROTON_TX_CHOKED would be choked when it is half empty; one above 16 MiB
 * is no bound for one connection of many.
 */
#define LWS_PROTON_RX_SMALL	(8u * 1024u)
#define LWS_PROTON_RX		(64u * 1024u)
#define LWS_PROTON_TX		(64u * 1024u)
#define LWS_PROTON_WINDOW_MIN	(4u * 1024u)
#define LWS_PROTON_WINDOW_MAX	(16u * 1024u * 1024u)

/*
 * Once the peer of a closed connection has left unsent bytes untouched for this
 * long, the connection is counted as lingering and reported (ms).
 */
#define LWS_PROTON_LINGER_REPORT_MS	5000
/*
 * Proton up to 0.40 cannot abort: a closed connection whose peer never reads
 * keeps its tx buffer for as long as the peer likes.  With this many of them,
 * connections that come are refused until some have ended; clients' are not.
 */
#define LWS_PROTON_LINGER_MAX		1024
/*
 * Where Proton can (patches/qpid-proton), a closed connection is aborted when its
 * peer has taken none of it for this long (ms), about as long as Linux holds out
 * for one whose bytes are all in the kernel; and of more than
 * LWS_PROTON_LINGER_MAX those that have waited longest.  None is refused then.
 * What it takes is noticed by whole buffers, which are as long as the tx window:
 * a window of MiB asks more of a slow reader.
 */
#define LWS_PROTON_LINGER_ABORT_MS	60000
/*
 * lws_service() comes back at least this often (ms), so that a program whose
 * signal handler only sets a flag ends: Proton's wait is not interrupted by a
 * signal.
 */
#define LWS_PROTON_HEARTBEAT_MS		1000
/*
 * How long a vhost does not listen after a connection could not be accepted, since
 * no descriptor or no memory was left (ms).  What had not been accepted is refused.
 */
#define LWS_PROTON_LISTEN_AGAIN_MS	100
/* how long a loop that is freed waits for unsent bytes to go out (ms) */
#define LWS_PROTON_DRAIN_MS		1000
/*
 * lws_proton_loop_drain(): a connection from which nothing has come for this long
 * has nothing under way (ms), and after so long, or half of the time there is, what
 * is not quiet is ended too, between two messages.
 */
#define LWS_PROTON_DRAIN_QUIET_MS	100
#define LWS_PROTON_DRAIN_TELL_MS	1000
/* how long one that was cut still waits for Proton when it is freed (ms) */
#define LWS_PROTON_DRAIN_CUT_MS		100

struct lws_context;

/* One per lws_context that runs on Proton. */
typedef struct lws_proton_loop_t lws_proton_loop_t;

/*
 * The loop of a context; NULL if it was not created with
 * LWS_SERVER_OPTION_PROTON.  Valid until the context is destroyed.  Any thread.
 */
LWS_PROTON_EXTERN lws_proton_loop_t *
lws_proton_loop_of(const struct lws_context *context);

/*
 * The entry point for batches, of a loop with a proactor of its own: serves a
 * batch that pn_proactor_wait() or pn_proactor_get() gave, and hands it back with
 * pn_proactor_done().  Any thread; calls lws with the pt of the batch's
 * connection serialized.
 */
LWS_PROTON_EXTERN void
lws_proton_loop_dispatch(lws_proton_loop_t *loop, pn_event_batch_t *batch);

/*
 * Descriptors
 *
 * A connection is a descriptor.  Once the process has as many as its soft limit
 * (RLIMIT_NOFILE) allows, those that come are refused until some have gone.
 *
 * DESCRIPTORS: a limit for programs that have no better one.  For each descriptor
 * that the limit allows lws_create_context() takes 16 bytes of memory, and each idle
 * connection takes 15 KiB: so many take 1 MiB and 1 GiB.
 */
#define LWS_PROTON_DESCRIPTORS		65536u

/*
 * Sets the soft limit of the process to `most` descriptors, or to its hard limit if
 * that is less.  Returns the limit in force then; if it cannot be set that is the old
 * one.  Call it before lws_create_context(), which reads the limit.  Any thread.
 */
LWS_PROTON_EXTERN size_t
lws_proton_raise_descriptor_limit(size_t most);

/*
 * Returns how many descriptors the process may still open: the connections for
 * which there is room.  (A connection that needs another one, to a backend, takes
 * two.)  Any thread; opens and reads /proc/self/fd.  0 if it cannot.
 */
LWS_PROTON_EXTERN size_t
lws_proton_free_descriptors(void);

/* The loop's proactor; valid until the context is destroyed.  Any thread. */
LWS_PROTON_EXTERN pn_proactor_t *
lws_proton_loop_proactor(lws_proton_loop_t *loop);

/*
 * An application's proactor
 *
 * A context that is created with
 *
 *	pn_proactor_t *proactor = ...;
 *	void *loops[] = { proactor };
 *
 *	info.options |= LWS_SERVER_OPTION_PROTON;
 *	info.foreign_loops = loops;		// only the first is looked at
 *	info.count_threads = <pts>;		// as many can be in lws at a time
 *
 * has no loop to run: lws_service() on it fails.  The application's own threads,
 * however many, wait as ever, and show lws each event first:
 *
 *	pn_event_batch_t *batch = pn_proactor_wait(proactor);
 *	while ((event = pn_event_batch_next(batch)))
 *		if (!lws_proton_handle(batch, event))
 *			<it is the application's>
 *	pn_proactor_done(proactor, batch);
 *
 * One that stops waiting while others go on first does the same with what
 * pn_proactor_get() gives, until it gives NULL.  Then Proton has another thread
 * poll; without, it can leave them all asleep (0.37 to 0.40, with or without lws).
 *
 * Everything else on the proactor stays the application's: its connections,
 * listeners and raw connections, their contexts, PN_PROACTOR_INTERRUPT and
 * PN_PROACTOR_INACTIVE.  Only the timeout is shared: see lws_proton_set_timeout().
 * And a pn_listener_t of the application's that cannot accept, since no descriptor is
 * left, ends with PN_LISTENER_CLOSE and a condition, as it does for any other reason
 * not to accept.  The application listens again when it sees fit.  (Without lws
 * Proton 0.37 to 0.40 would wait, and abort when the listener is closed.)
 *
 * lws_create_context() and lws_context_destroy() may be called by any thread
 * that is in no lws callback, while others serve the proactor; destroying it in a
 * callback is put off until the thread has left it.  Neither stops the loop.
 * Connections with bytes unsent outlive the context, as does a closed listener
 * until Proton says so: their events are still lws_proton_handle()'s.  Free the
 * proactor when lws_proton_held() is 0 and, with no other thread on it, what
 * pn_proactor_get() still gave is served (a raw connection that was woken as it
 * ended comes once more, and Proton frees it only then), or Proton leaks them.
 *
 * What else is called of lws by a thread that is not in one of its callbacks
 * (lws_adopt_socket_vhost(), lws_create_vhost(), lws_client_connect_via_info(),
 * ...) is called between lws_proton_loop_enter() and lws_proton_loop_leave().
 * Without, from any thread: lws_cancel_service(), though here not from a signal
 * handler.
 */

/*
 * Serves an event that pn_event_batch_next() gave, and what follows it in the
 * batch.  False: it is not lws's, nothing was done.  Any thread; it calls lws,
 * with one pt at a time serialized, and waits for a pt that another thread
 * serves.  Not from a callback.
 */
LWS_PROTON_EXTERN bool
lws_proton_handle(pn_event_batch_t *batch, pn_event_t *event);

/*
 * pn_proactor_set_timeout() and pn_proactor_cancel_timeout(), for an application
 * that shares its proactor with lws: there is only one timeout in a proactor,
 * and lws has timers.  PN_PROACTOR_TIMEOUT is "not lws's" when the application's
 * time has come, and only then, as long as lws is on the proactor: one that is on
 * its way to a thread when the last context goes can come after it, as after any
 * pn_proactor_cancel_timeout().  One that was set in Proton itself is forgotten
 * when the first context comes to the proactor.  Any thread.
 */
LWS_PROTON_EXTERN void
lws_proton_set_timeout(pn_proactor_t *proactor, pn_millis_t ms);

LWS_PROTON_EXTERN void
lws_proton_cancel_timeout(pn_proactor_t *proactor);

/*
 * How many connections and listeners of contexts, destroyed ones among them,
 * Proton has not let go of.  Any thread.
 */
LWS_PROTON_EXTERN size_t
lws_proton_held(pn_proactor_t *proactor);

/*
 * The calling thread serves pt `tsi` (0 to count_threads - 1) of the loop until
 * it leaves: it may do what callbacks of that pt may do.  -1: all pts, so nobody
 * else is in lws: for what concerns all of the context, lws_create_vhost() and
 * lws_vhost_destroy().  Waits for the threads that serve them now.  In a callback
 * of the same pt, and entered already: counts.  -1: in a callback of another pt,
 * waiting could be for ever.  Any thread.
 */
LWS_PROTON_EXTERN int
lws_proton_loop_enter(lws_proton_loop_t *loop, int tsi);

/* Ends it; serves lws's timers that are due, and may so call lws. */
LWS_PROTON_EXTERN void
lws_proton_loop_leave(lws_proton_loop_t *loop);

/*
 * Adoption: a connection out of a raw connection that the application accepted,
 * or connected, itself:
 *
 *	c = lws_proton_loop_adopt(loop, raw);
 *	lws_proton_loop_enter(loop, lws_proton_conn_tsi(c));
 *	lws_adopt_socket_vhost(vhost, c);	// or .._readbuf(.., bytes, len)
 *	lws_proton_loop_leave(loop);
 *
 * In a batch of the raw connection, from PN_RAW_CONNECTION_CONNECTED on: its
 * peer is known then.  Bytes that the application has read already go in with
 * lws_adopt_socket_vhost_readbuf().  From now on its events are lws's, and lws
 * closes it, also if lws_adopt_...() fails.  Its context stays the
 * application's.
 *
 * NULL, with errno, and it is the application's as before: EBUSY: Proton holds
 * buffers of the application's, unread or unwritten; EALREADY: it was adopted;
 * ECONNREFUSED: LWS_PROTON_LINGER_MAX, or lws_proton_loop_drain(); ENOMEM.
 */
LWS_PROTON_EXTERN struct lws_proton_conn *
lws_proton_loop_adopt(lws_proton_loop_t *loop, pn_raw_connection_t *raw);

/* The pt that serves it, for life. */
LWS_PROTON_EXTERN int
lws_proton_conn_tsi(const struct lws_proton_conn *c);

/*
 * The windows of new connections.
 *
 * A vhost has its own by lws's per-vhost options (info.pvo): a "protocol" named
 * "lws-proton" with any of the options "rx-window" and "tx-window" (bytes) and
 * "answer-first" ("1"), for example
 *
 *	{ NULL, NULL, "tx-window", "262144" }  in  { NULL, &it, "lws-proton", "" }
 *
 * As ever with info.pvo, lws then initializes only protocols that it names.  A
 * value that is no number in the range makes the vhost's creation fail if it
 * listens, and is reported and ignored if it does not.
 */
typedef struct lws_proton_windows_t {
	/* bytes, LWS_PROTON_WINDOW_MIN to LWS_PROTON_WINDOW_MAX */
	uint32_t rx, tx;
	/*
	 * lws is not called to read while the tx window is (three quarters)
	 * full.  For protocols that answer all they get: their memory is
	 * bounded without rx flow control of their own.  Two peers that both
	 * do so can wait for each other for ever: that is why it is not the
	 * default.
	 */
	bool answer_first;
} lws_proton_windows_t;

/*
 * The windows of new connections of vhosts that say nothing of them.  Any
 * thread.  -1: out of range, nothing is changed.
 */
LWS_PROTON_EXTERN int
lws_proton_loop_set_windows(lws_proton_loop_t *loop,
			    const lws_proton_windows_t *windows);

/* Those in force.  Any thread. */
LWS_PROTON_EXTERN lws_proton_windows_t
lws_proton_loop_windows(const lws_proton_loop_t *loop);

/* What a loop holds at the moment.  Any thread. */
typedef struct lws_proton_stats_t {
	size_t connections;	/* open, or not let go of by both sides yet */
	size_t lingering;	/* closed by lws, bytes unsent */
	size_t buffer_bytes;	/* memory in windows and in the pool */
} lws_proton_stats_t;

LWS_PROTON_EXTERN lws_proton_stats_t
lws_proton_loop_stats(lws_proton_loop_t *loop);

/*
 * Stopping
 *
 * A program that is to end calls
 *
 *	lws_proton_loop_drain(lws_proton_loop_of(context), 5000);
 *
 * and goes on serving until lws_proton_loop_drained().  Then it destroys the
 * context.  Meanwhile
 *
 *  - listeners are closed, and lws_proton_loop_adopt() refuses;
 *  - a WebSocket is closed with 1001 ("going away"), over HTTP/2 too, once it has
 *    been quiet for LWS_PROTON_DRAIN_QUIET_MS and nothing is left to write;
 *  - an idle HTTP/1 connection is closed, and a request under way is answered, with
 *    "connection: close";
 *  - the peer of an HTTP/2 connection gets GOAWAY, and the connection ends when
 *    its streams have;
 *  - a raw connection is closed as a WebSocket is, without the code.  What it has
 *    written still goes out.
 *
 * A WebSocket or a raw connection that is never quiet is told after
 * LWS_PROTON_DRAIN_TELL_MS.  After `ms` all that is left is closed at once, and
 * aborted where Proton can.
 *
 * A protocol may end its connections in its own way.  Before lws ends one of its
 * WebSockets or raw connections, and of requests that still run after
 * LWS_PROTON_DRAIN_TELL_MS, it is called with the reason
 * LWS_PROTON_CALLBACK_DRAIN, once.  It returns
 *
 *	 0	end it as above
 *	 1	the protocol ends it, at the latest when `ms` are over
 *	-1	close it now (with lws_close_reason(), if it was called)
 *
 * The reason is beyond LWS_CALLBACK_USER, and no member of lws's enum: switch
 * ((int)reason).  It is the largest value that the enum can have in C++.  Protocols
 * that do not know it return 0.
 */
#define LWS_PROTON_CALLBACK_DRAIN	1023

/*
 * Begins to end all connections of the loop, which are cut after `ms`.  It does not
 * wait.  A second call may make the time shorter: with 0 all is cut now.  Any
 * thread, in a callback too; not from a signal handler.  There is no way back.
 */
LWS_PROTON_EXTERN void
lws_proton_loop_drain(lws_proton_loop_t *loop, int ms);

/*
 * True: all connections and listeners have ended, or were cut, since
 * lws_proton_loop_drain().  After a cut Proton up to 0.40 may still hold
 * connections whose peers do not read; they end with the process.  Any thread,
 * before the context is destroyed.
 */
LWS_PROTON_EXTERN bool
lws_proton_loop_drained(const lws_proton_loop_t *loop);

/*
 * The driver transport
 *
 * One connection whose bytes the caller moves.  It reads like
 * pn_connection_driver_t, on purpose:
 *
 *	buf = lws_proton_driver_read_buffer(d);
 *	n = <read at most buf.size bytes into buf.start>;
 *	lws_proton_driver_read_done(d, n);		// or _read_close(d) at the end
 *	lws_proton_driver_service(d);			// lws's callbacks happen here
 *	out = lws_proton_driver_write_buffer(d);
 *	n = <write at most out.size bytes from out.start>;
 *	lws_proton_driver_write_done(d, n);		// or _write_close(d) on failure
 *
 * until lws_proton_driver_finished(d).
 *
 * That is a connection that came to a server.  For clients see the dialer, below.
 *
 * All calls for one driver come from one thread at a time, and none from inside
 * one of lws's callbacks of the same loop, except where it says so: each of them
 * takes the pt, and may run lws's timers when it leaves it.  Free every driver
 * before its context is destroyed.
 */
typedef struct lws_proton_driver_t lws_proton_driver_t;

/*
 * A driver for a new connection that pt `tsi` of the loop serves (-1: the one
 * with the fewest connections).  NULL: out of memory.
 *
 * `wake` is called, from any thread, when lws_proton_driver_service() has
 * something to do that no call of the driver announced (lws wants to write,
 * say, because of another connection), once until that is called.  It is called
 * with locks held: it must only note the fact and return, and call nothing here.
 * NULL: nobody is told.
 */
LWS_PROTON_EXTERN lws_proton_driver_t *
lws_proton_driver_new(lws_proton_loop_t *loop, int tsi,
		      void (*wake)(void *context), void *context);

/*
 * Replaces it.  Called at once if lws_proton_driver_service() is due already.
 * Also from inside the dialer's function.
 */
LWS_PROTON_EXTERN void
lws_proton_driver_set_wake(lws_proton_driver_t *d, void (*wake)(void *context),
			   void *context);

/*
 * The connection, as lws_sockfd_type: give it to lws_adopt_socket_vhost(), from
 * the thread that serves the loop.  The driver's until then; after it lws closes
 * it.  NULL: it has ended.
 */
LWS_PROTON_EXTERN struct lws_proton_conn *
lws_proton_driver_conn(lws_proton_driver_t *d);

/*
 * Where received bytes go: the free part of the rx window that is contiguous.
 * Valid until the next call for this driver.  Size 0: the window is full, or
 * the connection takes no more; read nothing, so that the peer has to wait.
 */
LWS_PROTON_EXTERN pn_rwbytes_t
lws_proton_driver_read_buffer(lws_proton_driver_t *d);

/* n bytes were put there; n is at most the size it had. */
LWS_PROTON_EXTERN void
lws_proton_driver_read_done(lws_proton_driver_t *d, size_t n);

/* The peer has ended its stream.  Idempotent. */
LWS_PROTON_EXTERN void
lws_proton_driver_read_close(lws_proton_driver_t *d);

/* True: nothing more is wanted from the peer. */
LWS_PROTON_EXTERN bool
lws_proton_driver_read_closed(lws_proton_driver_t *d);

/*
 * What is to be sent next: the oldest part of the tx window that is contiguous.
 * Valid until the next call for this driver.
 */
LWS_PROTON_EXTERN pn_bytes_t
lws_proton_driver_write_buffer(lws_proton_driver_t *d);

/* The first n bytes of it were sent; n is at most the size it had. */
LWS_PROTON_EXTERN void
lws_proton_driver_write_done(lws_proton_driver_t *d, size_t n);

/*
 * Nothing can be sent any more: the connection is lost, unsent bytes are dropped.
 * lws is called here to find out, unless it cannot close it yet.  Idempotent.
 */
LWS_PROTON_EXTERN void
lws_proton_driver_write_close(lws_proton_driver_t *d);

/* True: everything was sent and nothing will follow; end the stream. */
LWS_PROTON_EXTERN bool
lws_proton_driver_write_closed(lws_proton_driver_t *d);

/*
 * Calls lws for as long as something moves, but not without bound.  True: call
 * again soon, there is more to do.
 */
LWS_PROTON_EXTERN bool
lws_proton_driver_service(lws_proton_driver_t *d);

/* True: both sides are done with it. */
LWS_PROTON_EXTERN bool
lws_proton_driver_finished(lws_proton_driver_t *d);

/*
 * Frees the driver.  If lws still has the connection it finds it lost, before
 * this returns unless it cannot close it yet; unsent bytes are dropped.
 */
LWS_PROTON_EXTERN void
lws_proton_driver_free(lws_proton_driver_t *d);

/*
 * The tick
 *
 * A program that waits in a loop of its own, and not in lws_service(), calls it
 * in each round, last of all before it waits:
 *
 *	for (;;) {
 *		timeout = lws_proton_loop_tick(loop);
 *		if (<a driver was woken>)
 *			timeout = 0;
 *		poll(fds, count, timeout);
 *		<move bytes and call lws_proton_driver_service()>
 *	}
 *
 * It serves lws's timers that are due, lws_cancel_service(), looked up names and
 * drivers that were freed, and returns in how many milliseconds it wants to be
 * called again: 0: at once, -1: no timer is set.  It never waits, and never looks
 * at the proactor's events: connections on sockets, and a vhost that listens,
 * need lws_service().
 *
 * Any thread, not inside one of lws's callbacks.  A callback must not destroy its
 * context then: there is no lws_service() to go on with it.
 */
LWS_PROTON_EXTERN int
lws_proton_loop_tick(lws_proton_loop_t *loop);

/*
 * `wake` is called when lws_proton_loop_tick() is due earlier than it said,
 * because of another thread or a signal handler: lws_cancel_service() was called,
 * or a name was looked up.  From there, so what it does has to be allowed there:
 * a write to an eventfd or pipe that the loop watches, say.  NULL: nobody is told.
 *
 * Set it before anything can happen to the loop.
 */
LWS_PROTON_EXTERN void
lws_proton_loop_set_wake(lws_proton_loop_t *loop, void (*wake)(void *context),
			 void *context);

/*
 * The dialer
 *
 * Who connects a loop's clients in place of Proton.  While one is set, a client
 * of lws_client_connect_via_info() that needs a connection gets one whose bytes
 * the application moves, and its address is not looked up: what it means is the
 * application's to know.
 *
 * dial() is asked for each, from inside lws: `address` and `port` are the
 * client's (or its proxy's), `address` for the time of the call.
 *
 *  - It returns 0: the driver is the application's, which will say how connecting
 *    ended with lws_proton_driver_connected(), and frees the driver once it has
 *    finished, however that ends.
 *  - It returns an errno: the client hears CLIENT_CONNECTION_ERROR with its text
 *    ("conn fail: Connection refused"), though not before dial() has returned.
 *    The driver is gone.
 *
 * Until it has returned, of the calls for a driver only
 * lws_proton_driver_set_wake() and lws_proton_driver_connected() may be called.
 *
 * lws may give up first (its time-outs run as ever, or its program closes the
 * client); the driver is woken and has finished then.
 */
typedef int (*lws_proton_dial_t)(void *context, lws_proton_driver_t *d,
				 const char *address, uint16_t port);

/*
 * Sets it, or with NULL has Proton connect again: for clients that begin from
 * now on.  From the thread that serves the loop.
 */
LWS_PROTON_EXTERN void
lws_proton_loop_set_dialer(lws_proton_loop_t *loop, lws_proton_dial_t dial,
			   void *context);

/*
 * How connecting ended: 0, or an errno, whose text the client is told.  Once;
 * later ones mean nothing, nor does it for a server's connection.  Call
 * lws_proton_driver_service() next, as after every call.  Also from inside the
 * dialer's function.
 *
 * Until then there is nothing to read or write.  A driver that is freed or
 * write_close()d without it was aborted (ECONNABORTED).
 */
LWS_PROTON_EXTERN void
lws_proton_driver_connected(lws_proton_driver_t *d, int error);

#if defined(__cplusplus)
}
#endif

#endif
