/*
 * lws_proton: what libwebsockets sees of a connection
 *
 * SPDX-License-Identifier: MIT
 *
 * A libwebsockets built with LWS_PROTON has no sockets: lws_sockfd_type is a
 * pointer to the struct below.  It is the whole contract between lws and what
 * moves the bytes.  lws reaches its own wsi through it in O(1), and does
 * through it what it would do to a socket: receive, send, stop sending, close,
 * ask who the peer is, accept, connect, and wake the thread that waits.
 *
 * This header is included by the lws core, so it is C and depends on nothing.
 *
 * Every operation is called with the connection's service thread ("pt" in lws)
 * serialized, except `enable` and `wake`, which any thread may call.  Those that
 * fail return -1 (NULL for accept) and set errno, as their socket namesakes do.
 */

#if !defined(LWS_PROTON_CONN_H)
#define LWS_PROTON_CONN_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/socket.h>

#if defined(__cplusplus)
extern "C" {
#endif

struct lws;
struct lws_proton_conn;
struct lws_proton_windows_t;

/* what a connection can be enabled for, and what it can be ready for */
enum {
	LWS_PROTON_READ		= 1 << 0,
	LWS_PROTON_WRITE	= 1 << 1,
	/* ready only: the transport is gone, nothing more can be sent */
	LWS_PROTON_HANGUP	= 1 << 2,
};

/*
 * Below this much free tx space (bytes), lws_send_pipe_choked() says choked: a
 * message of usual size still fits whole, so nothing has to be kept in lws.  Nor
 * is WRITE called for, but once after pongs that have taken the room.
 */
#define LWS_PROTON_TX_CHOKED 2048

struct lws_proton_conn_ops {
	/*
	 * Copies up to len bytes out of the rx window.  0: the peer has ended
	 * its stream.  EAGAIN: nothing there yet.  ECONNRESET: the connection
	 * was lost.
	 */
	ssize_t (*recv)(struct lws_proton_conn *c, void *buf, size_t len);
	/* as recv, but the bytes stay */
	ssize_t (*peek)(struct lws_proton_conn *c, void *buf, size_t len);
	/*
	 * Copies what fits into the tx window and returns that count, which may
	 * be less than len.  EAGAIN: no room.  EPIPE: nothing can be sent any
	 * more.  The bytes go out coalesced, in order.
	 */
	ssize_t (*send)(struct lws_proton_conn *c, const void *buf, size_t len);
	/* no more sends: the peer sees end of stream after what was sent */
	int (*shutdown)(struct lws_proton_conn *c);
	/*
	 * lws lets go; c must not be used after it.  Bytes already sent still
	 * go out.
	 */
	int (*close)(struct lws_proton_conn *c);
	/* as getpeername().  ENOTCONN: no peer, or not known */
	int (*peer_name)(struct lws_proton_conn *c, struct sockaddr *sa,
			 socklen_t *len);
	/* as getsockname().  ENOTCONN: not connected, or not known */
	int (*local_name)(struct lws_proton_conn *c, struct sockaddr *sa,
			  socklen_t *len);
	/*
	 * Begins to connect; once, on a connection that was made for it.
	 * EINPROGRESS: it has begun, the end of it is ready for WRITE.
	 */
	int (*connect)(struct lws_proton_conn *c, const struct sockaddr *sa,
		       socklen_t len);
	/*
	 * How connecting ended, as SO_ERROR tells: 0, or the errno.  ETIMEDOUT:
	 * it has not ended yet.
	 */
	int (*connect_error)(struct lws_proton_conn *c);
	/* the connection a listener was called READ for.  EAGAIN: none */
	struct lws_proton_conn *(*accept)(struct lws_proton_conn *c);
	/* unread bytes of the rx window */
	size_t (*rx_used)(struct lws_proton_conn *c);
	/* free bytes of the tx window; 0 where send() would give EPIPE */
	size_t (*tx_room)(struct lws_proton_conn *c);
	/*
	 * Starts (or stops) lws's interest in READ and / or WRITE.  May be
	 * called from any thread while lws holds the connection.
	 */
	void (*enable)(struct lws_proton_conn *c, int start, int events);
	/* from now on its windows are of these sizes; a buffer in use stays */
	void (*set_windows)(struct lws_proton_conn *c,
			    const struct lws_proton_windows_t *windows);
	/* has the pt's thread call lws for this READ; async-signal-safe */
	int (*wake)(struct lws_proton_conn *c);
};

struct lws_proton_conn {
	const struct lws_proton_conn_ops *ops;
	struct lws	*wsi;	/* lws's: set when it takes the connection */
	int		tsi;	/* the pt that serves it, for life */
};

#if defined(__cplusplus)
}
#endif

#endif
