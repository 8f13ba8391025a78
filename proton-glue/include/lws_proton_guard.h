/*
 * lws_proton: who may ask a vhost
 *
 * SPDX-License-Identifier: MIT
 *
 * The model
 *
 * A browser opens a WebSocket for a page from anywhere, to any server that its
 * user can reach, with the user's cookies.  It tells the server whose page that
 * is, in the Origin header, and leaves the rest to the server.  A server on the
 * user's own machine has one trouble more.  A page from evil.example can have that
 * name resolved to 127.0.0.1 once the page is loaded ("DNS rebinding"): then the
 * browser takes the server for the page's own.  Only the Host header, evil.example,
 * tells the two apart.
 *
 * A guard looks at both, for each request to a vhost, before lws does anything for
 * it: pages from mounts, requests to protocols, upgrades to WebSocket, over
 * HTTP/1 and HTTP/2:
 *
 *	static const lws_proton_guard_t guard = { .origins = origins };
 *
 *	lws_proton_vhost_guard(vhost, &guard);
 *
 *  - Host (over HTTP/2: :authority) has to name this machine: localhost, a name
 *    below .localhost, an address of 127.0.0.0/8, [::1], or one of `hosts`.
 *    Otherwise the request is answered with 421.
 *  - The Origin of an upgrade to WebSocket has to be that of the vhost itself, or
 *    one of `origins`.  Otherwise the request is answered with 403.
 *
 * The answer says in words which header was refused.  A request without the header
 * is no browser's, and is let through: a browser always sends Host, and with a
 * WebSocket it always sends Origin.
 *
 * The vhost's own origin is "http" and what Host says, or "https" with TLS.  Behind
 * a proxy that ends TLS the page's origin is https and the vhost's is http: name
 * the page's in `origins`.
 *
 * Comparing: schemes and names in any case; a port that is the scheme's own may be
 * left out; addresses as they are written.  A header that comes twice, that has
 * more than LWS_PROTON_GUARD_MOST bytes or that cannot be read is refused, and so
 * is "Origin: null".
 */

#if !defined(LWS_PROTON_GUARD_H)
#define LWS_PROTON_GUARD_H

#include <libwebsockets.h>

#include "lws_proton.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* the longest Host, and Origin, that is looked at: a name of DNS has 253 bytes */
#define LWS_PROTON_GUARD_MOST	300

typedef enum lws_proton_refusal_t {
	LWS_PROTON_REFUSED_HOST,	/* 421 */
	LWS_PROTON_REFUSED_ORIGIN,	/* 403 */
} lws_proton_refusal_t;

typedef struct lws_proton_guard_t {
	/*
	 * Whose pages may open a WebSocket, besides the vhost's own, up to a NULL:
	 * "https://example.org", "http://example.org:8080".  "*" allows everybody.
	 * NULL: none.
	 */
	const char * const *origins;
	/*
	 * What Host may be, besides this machine, without a port, up to a NULL.
	 * "*": Host is not looked at, for vhosts that are not on loopback.
	 * NULL: none.
	 */
	const char * const *hosts;
	/* Is told of each request that is refused, in its pt.  It may be NULL. */
	void (*refused)(struct lws *wsi, lws_proton_refusal_t why);
} lws_proton_guard_t;

/*
 * Sets the guard of a vhost; NULL takes it away.  The guard and all it points to
 * stay the caller's, and stay as they are until the vhost is gone.  Call it before
 * the vhost is served: right after lws_create_vhost(), say.
 */
LWS_PROTON_EXTERN void
lws_proton_vhost_guard(struct lws_vhost *vhost, const lws_proton_guard_t *guard);

/*
 * Whether the Origin of a request is allowed: 1 or 0.  For a vhost without a guard,
 * in LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION.  `origins` is as in the guard.
 *
 * If the peer is on this machine, or its address is not known, the vhost's own
 * origin is allowed only if it names this machine.
 */
LWS_PROTON_EXTERN int
lws_proton_origin_allowed(struct lws *wsi, const char * const *origins);

/*
 * Whether the Host of a request is this machine or one of `hosts`, as in the guard:
 * 1 or 0.  In a callback that has the headers.
 */
LWS_PROTON_EXTERN int
lws_proton_host_allowed(struct lws *wsi, const char * const *hosts);

/*
 * Whether `text` is an origin that a guard can compare with, or "*": 1 or 0.
 * "https://example.org/" is not one, since an origin has no path.  Any thread.
 */
LWS_PROTON_EXTERN int
lws_proton_is_origin(const char *text);

/*
 * Whether an address to listen on is reached from this machine only: 1 for
 * localhost, 127.0.0.0/8, ::1 and the interface lo, otherwise 0.  Any thread.
 */
LWS_PROTON_EXTERN int
lws_proton_is_loopback(const char *address);

#if defined(__cplusplus)
}
#endif

#endif
