/*
 * lws_proton: AMQP 1.0 over WebSocket and TCP for Proton-C applications
 *
 * SPDX-License-Identifier: MIT
 *
 * The model
 *
 * Proton-C speaks AMQP over TCP: a pn_proactor_t moves the bytes of a
 * pn_connection_t, and the application handles its events.  Here a WebSocket of
 * libwebsockets moves them (the OASIS "WebSocket Binding", WSB 1.0), or a TCP
 * connection that lws accepted, and the events are the same, in the same order, to
 * the same function:
 *
 *	static lws_proton_amqp_t amqp = {
 *		.handle = handle, .context = &app, .accept = accept
 *	};
 *
 *	static const struct lws_protocols protocols[] = {
 *		LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp),
 *		LWS_PROTOCOL_LIST_TERM
 *	};
 *
 * That is all: an lws protocol, for any vhost, beside others.  Each WebSocket
 * that comes with this subprotocol is a connection that was accepted, each
 * lws_proton_amqp_connect() one that is made, and on a vhost of its own, whose port
 * is AMQP over TCP (lws_proton_amqp_over_tcp()), so is each TCP connection.  And
 *
 *	void handle(void *context, pn_event_t *event)
 *
 * is told of it from PN_CONNECTION_INIT to PN_TRANSPORT_CLOSED, after which the
 * connection is freed.  What a loop around pn_proactor_wait() does with an event
 * of a connection of Proton's own it may do with these, but that
 *
 *  - pn_connection_wake() is lws_proton_amqp_wake(), of Proton's connections too;
 *  - pn_transport_remote_addr() is NULL, and lws_proton_amqp_peer() knows;
 *  - pn_event_proactor() is NULL, and pn_proactor_release_connection() does
 *    nothing.
 *
 * Stopping: lws_proton_loop_drain() closes each connection with the condition
 * "amqp:connection:forced".  The application hears PN_CONNECTION_LOCAL_CLOSE, and
 * then the end as ever.  What it had sent goes out first, as far as there is
 * credit.  A WebSocket is closed with 1001 once the peer has closed AMQP, too.
 *
 * Threads: a connection belongs to one of lws's service threads, its pt.  All its
 * events are delivered with the pt serialized: one at a time, and never while
 * another connection of the same pt is served; not always by the same thread.
 * With a context of its own loop that is a thread in lws_service_tsi(); on an
 * application's proactor (info.foreign_loops) whichever of its threads has the
 * batch, inside lws_proton_handle().  What may be called from handle() is what
 * may be called from any lws callback of that pt.
 *
 * Deadlines: a peer that comes has `open_ms` to send AMQP's open, however slowly it
 * sends what comes before: over TCP from the accept, TLS included, over WebSocket
 * from the upgrade (which has lws's own deadlines: info.timeout_secs).  From then on
 * it has to send something within each `idle_ms`, of which our open tells it.  A
 * peer that does not is told so if it has opened AMQP, and the connection ends with
 * PN_TRANSPORT_ERROR, "amqp:resource-limit-exceeded": a WebSocket with 1008.  The end
 * of what the peer sends, wherever in AMQP it is, ends the connection at once.
 *
 * Memory: each connection has at most
 *
 *  - LWS_PROTON_AMQP_CONNECTION bytes, once it is busy, for lws's object and
 *    Proton's, the windows of lws_proton.h (64 KiB each unless set), a frame that
 *    comes and frames that go,
 *  - with permessage-deflate its states, LWS_PROTON_AMQP_RX for what it inflates,
 *    and LWS_PROTON_AMQP_PIECE while it is writing,
 *  - `bytes` of lws_proton_amqp_t for all that the peer makes: sessions, links,
 *    deliveries, names, maps, what it has sent of messages and handle() has not read
 *    yet, and all of these that have ended and whose end the peer has not read,
 *  - what the application sends, which waits in deliveries while the peer does not
 *    read: the application bounds it (pn_session_outgoing_bytes()).
 *
 * The process takes at most twice as much, since buffers grow by doubling.  A peer
 * that reaches `bytes` or one of the other limits is not read until it has read what
 * there is for it.  If it is still beyond them then, its connection ends with
 * PN_TRANSPORT_ERROR: "amqp:resource-limit-exceeded", or, for too many sessions,
 * "amqp:connection:framing-error".  A link is freed when handle() has called
 * pn_link_free(), and not before: an application that does not free what has ended
 * reaches the limits with it.
 *
 * Proton keeps deliveries for later ones, with buffers as long as the longest message
 * that each has had: as many as there were at a time.
 *
 * All connections together are bounded by lws_proton_amqp_set_memory_limit().
 *
 * Flow control: while the tx window is full the driver is asked for no output, so
 * what the application sends waits in its deliveries.  A peer that does not
 * read is itself read for LWS_PROTON_AMQP_UNREAD bytes more, and from then on
 * for as many as it reads, until it has read all that there is for it: what it
 * asks for cannot pile up as answers.
 */

#if !defined(LWS_PROTON_AMQP_H)
#define LWS_PROTON_AMQP_H

#include <stdint.h>

#include <libwebsockets.h>

#include <proton/types.h>

#include "lws_proton.h"
#include "lws_proton_guard.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* Sizes, in bytes. */

/*
 * What lws hands over at a time, and keeps for each connection.  It reads no more
 * at once than info.pt_serv_buf_size, of which there is one for each service
 * thread: with this in it (it is 4096 otherwise) messages come, and are answered,
 * in larger pieces.
 */
#define LWS_PROTON_AMQP_RX		(16 * 1024)
/* the largest message that is sent, of as many frames as are in it */
#define LWS_PROTON_AMQP_PIECE		(16 * 1024)
/* the largest frame that is taken, unless set otherwise */
#define LWS_PROTON_AMQP_MAX_FRAME	(64 * 1024)
/*
 * More than twice what the kernels of both ends keep of one direction (tcp_rmem
 * and tcp_wmem), as they come: with less, two peers that both send much and heed
 * such a limit could wait for each other for ever.
 */
#define LWS_PROTON_AMQP_UNREAD		(32 * 1024 * 1024)

/*
 * The limits of what one peer makes, unless set otherwise (lws_proton_amqp_t).  Two
 * peers that send each other as much as they may do not wait for each other, as long
 * as an application gives no more credit, in all links of a connection, than
 * `deliveries`.
 */
#define LWS_PROTON_AMQP_SESSIONS	255
#define LWS_PROTON_AMQP_LINKS		1024
#define LWS_PROTON_AMQP_DELIVERIES	(16 * 1024)
#define LWS_PROTON_AMQP_BYTES		(64 * 1024 * 1024)
/* what each connection counts in lws_proton_amqp_memory() besides */
#define LWS_PROTON_AMQP_CONNECTION	(64 * 1024)
/* all connections together, unless set otherwise */
#define LWS_PROTON_AMQP_MEMORY		((size_t)1024 * 1024 * 1024)
/* what a peer may still make when there is no more memory for all */
#define LWS_PROTON_AMQP_SHARE		(1024 * 1024)

/*
 * Grace period in ms.  After the application closes the connection, or AMQP fails, a
 * peer that neither sends its own close nor reads what is pending has this long
 * before what carries AMQP is closed.
 */
#define LWS_PROTON_AMQP_END_MS		5000
/* the deadline for the peer's open, and its idle time, unless set otherwise (ms) */
#define LWS_PROTON_AMQP_OPEN_MS		10000
#define LWS_PROTON_AMQP_IDLE_MS		60000
/* for either: there is none */
#define LWS_PROTON_AMQP_NEVER		UINT32_MAX

typedef struct pn_connection_t pn_connection_t;
typedef struct pn_transport_t pn_transport_t;

/*
 * What the application says of its connections, for as long as there are any: by
 * LWS_PROTON_AMQP_PROTOCOL() or lws_proton_amqp_connect().
 */
typedef struct lws_proton_amqp_t {
	/*
	 * An event, as from pn_event_batch_next(): valid until it returns.  No
	 * C++ exception may leave it.
	 */
	void (*handle)(void *context, pn_event_t *event);
	/* the application's, for both functions */
	void *context;
	/*
	 * Before a WebSocket or a TCP connection is accepted, and after the Origin of
	 * a WebSocket was found to be allowed.  NULL: all are.
	 * Otherwise as much a place to set up the connection and its transport as
	 * before pn_listener_accept2(): container id, SASL, idle time-out, the
	 * largest frame, contexts; PN_CONNECTION_INIT and PN_CONNECTION_BOUND are
	 * others.
	 *
	 * Of a WebSocket all of the request is there for lws's functions:
	 * lws_hdr_copy() with WSI_TOKEN_HTTP_AUTHORIZATION, ...;
	 * lws_http_cookie_get().  A TCP connection has no request: of each header
	 * lws_hdr_total_length() is 0; lws_proton_amqp_is_websocket() tells which it
	 * is.  For both: lws_get_peer_simple(); lws_tls_peer_cert_info(), since TLS
	 * is complete.  With TLS over TCP it is called when the peer's first bytes
	 * have come, without when the connection has.
	 *
	 * Returns 0 to accept.  Otherwise the connection is freed without an event:
	 * a WebSocket is refused with what it returns, an HTTP status such as 401 or
	 * 403, and a TCP connection is closed.
	 */
	int (*accept)(void *context, struct lws *wsi,
		      pn_connection_t *connection, pn_transport_t *transport);
	/*
	 * The deadline for the peer's open, of clients' connections too.  In ms;
	 * 0: LWS_PROTON_AMQP_OPEN_MS.
	 */
	uint32_t open_ms;
	/*
	 * The idle time-out of new transports, as by pn_transport_set_idle_timeout(),
	 * which accept() and handle() may still call, with 0 for none.  That of a
	 * transport that lws_proton_amqp_connect() is given stays, unless it is 0.
	 * In ms; 0: LWS_PROTON_AMQP_IDLE_MS.
	 */
	uint32_t idle_ms;
	/*
	 * Whose pages may connect, besides the server's own, up to a NULL:
	 * "https://example.org".  "*" allows everybody.  NULL: none.  Others are
	 * refused (403).  A WebSocket without an Origin is no browser's, and may
	 * connect.  This is lws_proton_origin_allowed() of lws_proton_guard.h, which
	 * has the rules; behind a proxy that ends TLS the server's own pages have to
	 * be named, too.
	 */
	const char *const *origins;
	/*
	 * Limits of what the peer of one connection makes; 0: LWS_PROTON_AMQP_SESSIONS,
	 * ...  Those that have ended count until the peer has read their end.
	 *
	 * Sessions: the peer is told (channel-max) unless its transport has a lower
	 * number.  Those of the application's own making count, too.
	 */
	uint32_t sessions;
	/* links of all sessions */
	uint32_t links;
	/* deliveries that are not settled, in each direction */
	uint32_t deliveries;
	/* bytes of all that is made for it, in total */
	size_t bytes;
} lws_proton_amqp_t;

/*
 * An entry of an lws_protocols array.  Other names that clients use ("AMQPWSB10",
 * "binary") are more entries with the same lws_proton_amqp_t.  A WebSocket that
 * names no subprotocol is lws's for the vhost's first protocol: if that is one of
 * these it is refused (400), so list one first.  HTTP requests that come to it are
 * lws_callback_http_dummy()'s.
 *
 * The user space of a server's wsi and the opaque user data of a client's are the
 * library's.
 */
#define LWS_PROTON_AMQP_PROTOCOL(_name, _amqp) \
	{ _name, lws_proton_amqp_callback, sizeof(void *), \
	  LWS_PROTON_AMQP_RX, 0, _amqp, LWS_PROTON_AMQP_PIECE }

/*
 * Before a vhost is created with `info`: its port is for AMQP over TCP, with TLS
 * (amqps) if it has a certificate, by the entry of info->protocols that has the name
 * `protocol`.  It stays the caller's, for as long as there is the vhost.  Sets
 * info->listen_accept_role and listen_accept_protocol, and adds to info->options.
 */
LWS_PROTON_EXTERN void
lws_proton_amqp_over_tcp(struct lws_context_creation_info *info,
			 const char *protocol);

/*
 * Takes a connection that the application accepted itself, and of which it may have
 * read `len` bytes already, for AMQP over TCP: `c` as lws_proton_loop_adopt() or
 * lws_proton_driver_conn() returns it, without TLS.  `protocol` is the name of an
 * LWS_PROTON_AMQP_PROTOCOL() of any vhost's, which may serve HTTP else.  `age_ms` of
 * the time for the peer's open have passed by now.
 *
 * Between lws_proton_loop_enter() for its pt and lws_proton_loop_leave(): the first
 * events may come before this returns.  Returns 0, or -1: there is no such entry, or
 * out of memory; the connection is closed.
 */
LWS_PROTON_EXTERN int
lws_proton_amqp_adopt(struct lws_vhost *vhost, const char *protocol,
		      struct lws_proton_conn *c, const void *bytes, size_t len,
		      uint32_t age_ms);

/*
 * What all connections of the process may take, in bytes; 0: LWS_PROTON_AMQP_MEMORY.
 * Beyond it a connection that comes is refused: a WebSocket with 503, over TCP it is
 * closed, and lws_proton_amqp_connect() returns -1.  Those that are there go on, but
 * for peers that have more than LWS_PROTON_AMQP_SHARE made for them, which are
 * served as those that have reached `bytes`.
 *
 * Any thread.
 */
LWS_PROTON_EXTERN void
lws_proton_amqp_set_memory_limit(size_t bytes);

/*
 * What all connections take, in bytes, as far as the limit is concerned: not what
 * applications send.  Any thread.
 */
LWS_PROTON_EXTERN size_t
lws_proton_amqp_memory(void);

/* lws calls it. */
LWS_PROTON_EXTERN int
lws_proton_amqp_callback(struct lws *wsi, enum lws_callback_reasons reason,
			 void *user, void *in, size_t len);

typedef struct lws_proton_amqp_header_t {
	const char *name;	/* without the colon */
	const char *value;
} lws_proton_amqp_header_t;

/* How to connect; what is 0 or NULL, but for context and url, is left to the library. */
typedef struct lws_proton_amqp_connect_t {
	struct lws_context *context;
	/*
	 * The client's in lws: its proxy (lws_set_proxy()), its trusted
	 * certificates (client_ssl_ca_filepath, ...), its extensions.  NULL: the
	 * one that is called "default".
	 */
	struct lws_vhost *vhost;
	/*
	 * The name of an LWS_PROTON_AMQP_PROTOCOL() of the vhost's: who hears of
	 * the connection.  NULL: "amqp".
	 */
	const char *protocol;
	/* ws://HOST[:PORT][/PATH], or wss:// */
	const char *url;
	/*
	 * Of the request (Origin, Cookie, Authorization, ...), up to one whose name
	 * is NULL.
	 */
	const lws_proton_amqp_header_t *headers;
	/* the subprotocols that are offered; NULL: "amqp" */
	const char *subprotocols;
	/*
	 * wss only: LCCSCF_ALLOW_SELFSIGNED and the like, which leave out checks
	 * of the server's certificate.
	 */
	int tls_flags;
} lws_proton_amqp_connect_t;

/*
 * Connects to a WebSocket, as pn_proactor_connect2() does to a TCP port, and opens
 * the connection.  `connection` and `transport` are the library's from now on, or
 * made if they are NULL.  All of `how` is for the time of the call.
 *
 * 0: what comes of it is told by events, which may begin before this returns.  A
 * server that is not reached, that is not trusted or that refuses is
 * PN_TRANSPORT_ERROR with condition "proton:io" and lws's words for it.  -1: not a
 * URL, or the vhost has no such protocol, or out of memory: there are no events,
 * and what it was given is freed.
 *
 * Any thread, in a callback of lws's or not, but not one that holds a lock that
 * handle() takes.  Made in a callback the connection belongs to the same pt,
 * otherwise to one of them in turn.
 */
LWS_PROTON_EXTERN int
lws_proton_amqp_connect(const lws_proton_amqp_connect_t *how,
			pn_connection_t *connection, pn_transport_t *transport);

/*
 * The WebSocket or TCP connection of lws's that carries a connection, for lws's
 * functions that ask about it.  NULL: it is a connection of Proton's own, or it has
 * none, not yet or not any more.  From handle().
 */
LWS_PROTON_EXTERN struct lws *
lws_proton_amqp_wsi(pn_connection_t *connection);

/*
 * Whether a WebSocket carries the connection.  0: TCP does, lws's or Proton's own.
 * From handle() and accept().
 */
LWS_PROTON_EXTERN int
lws_proton_amqp_is_websocket(pn_connection_t *connection);

/*
 * The peer's address, in numbers, "" if it is not known.  Valid for as long as
 * the connection.  NULL: it is a connection of Proton's own.  From handle().
 */
LWS_PROTON_EXTERN const char *
lws_proton_amqp_peer(pn_connection_t *connection);

/*
 * pn_connection_wake(): handle() gets PN_CONNECTION_WAKE, once for all wakes since
 * the last.  Of any connection, whatever carries it.  Never blocks.
 *
 * Any thread, but as for pn_connection_wake() the caller has to know that the
 * connection is there still: that its PN_TRANSPORT_CLOSED is not handled yet.  New
 * attachments are defined (pn_record_def()) before others can know it.
 */
LWS_PROTON_EXTERN void
lws_proton_amqp_wake(pn_connection_t *connection);

/*
 * A waker: wakes a connection that may have ended meanwhile.
 *
 * NULL: it is a connection of Proton's own.  From handle() and accept(); it is
 * the caller's, who frees it.
 */
typedef struct lws_proton_amqp_waker_t lws_proton_amqp_waker_t;

LWS_PROTON_EXTERN lws_proton_amqp_waker_t *
lws_proton_amqp_waker(pn_connection_t *connection);

/*
 * As lws_proton_amqp_wake(), or nothing, if the connection has been freed.  Never
 * blocks.  Any thread, and in handle(), of the same connection too.
 */
LWS_PROTON_EXTERN void
lws_proton_amqp_waker_wake(lws_proton_amqp_waker_t *waker);

/* Any thread; the last call for this waker. */
LWS_PROTON_EXTERN void
lws_proton_amqp_waker_free(lws_proton_amqp_waker_t *waker);

#if defined(__cplusplus)
}
#endif

#endif
