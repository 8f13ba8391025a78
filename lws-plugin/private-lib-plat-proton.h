/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 *
 * LWS_PROTON platform: the "socket" is a struct lws_proton_conn, and the socket
 * calls are its operations.
 *
 * As lwIP's sockets.h does for lws on FreeRTOS, the calls lws makes on a socket
 * are mapped by name: they become operations one for one and the places that
 * make them stay as they are.  Function-like macros: a member called accept, or
 * a call with another number of arguments, does not match or does not compile.
 */

#if !defined(__LWS_PRIVATE_LIB_PLAT_PROTON_H__)
#define __LWS_PRIVATE_LIB_PLAT_PROTON_H__

#include <lws_proton_conn.h>

static inline struct lws_proton_conn *
lws_plat_proton_accept(struct lws_proton_conn *listener, struct sockaddr *sa,
		       socklen_t *len)
{
	struct lws_proton_conn *c = listener->ops->accept(listener);

	if (c && c->ops->peer_name(c, sa, len))
		*len = 0;

	return c;
}

#undef LWS_SOCK_INVALID
#define LWS_SOCK_INVALID NULL

#undef compatible_close
#define compatible_close(_c) ((_c)->ops->close(_c))

#define recv(_c, _buf, _len, _flags)	((_c)->ops->recv(_c, _buf, _len))
#define send(_c, _buf, _len, _flags)	((_c)->ops->send(_c, _buf, _len))
#define shutdown(_c, _how)		((_c)->ops->shutdown(_c))
#define getpeername(_c, _sa, _len)	((_c)->ops->peer_name(_c, _sa, _len))
#define accept(_c, _sa, _len)		lws_plat_proton_accept(_c, _sa, _len)

/* the connection knows its wsi: there is no table to keep */
#define wsi_from_fd(_cx, _c)		((_c)->wsi)
#define insert_wsi(_cx, _wsi)		((_wsi)->desc.sockfd->wsi = (_wsi), 0)
/* ... and forgets it by itself when it is closed */
#define delete_from_fd(_cx, _c)		do { } while (0)

#endif
