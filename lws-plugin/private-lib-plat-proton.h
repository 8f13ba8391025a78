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

#define LWS_SOCK_INVALID NULL

#undef compatible_close
#define compatible_close(_c) ((_c)->ops->close(_c))

#define recv(_c, _buf, _len, _flags) \
		((_flags) & MSG_PEEK ? (_c)->ops->peek(_c, _buf, _len) : \
				       (_c)->ops->recv(_c, _buf, _len))
#define send(_c, _buf, _len, _flags)	((_c)->ops->send(_c, _buf, _len))
#define shutdown(_c, _how)		((_c)->ops->shutdown(_c))
#define getpeername(_c, _sa, _len)	((_c)->ops->peer_name(_c, _sa, _len))
#define getsockname(_c, _sa, _len)	((_c)->ops->local_name(_c, _sa, _len))
#define connect(_c, _sa, _len)		((_c)->ops->connect(_c, _sa, _len))
/* lws asks for SO_ERROR only */
#define getsockopt(_c, _lev, _opt, _v, _len) \
		(*(_v) = (_c)->ops->connect_error(_c), (void)(_len), 0)
#define accept(_c, _sa, _len)		lws_plat_proton_accept(_c, _sa, _len)

struct lws_plugin;

/* the event lib plugin, from the directory that this library is in */
int
lws_plat_load_evlib(struct lws_plugin **pplugin, const char *name);

/*
 * The vhost's guard, for a request whose headers are complete.  0: it may go on;
 * 1: it is refused and that was answered; -1: refused, and it can't be answered
 */
int
lws_plat_proton_refuses(struct lws *wsi);

/* the connection knows its wsi: there is no table to keep */
#define wsi_from_fd(_cx, _c)		((_c)->wsi)
#define insert_wsi(_cx, _wsi)		((_wsi)->desc.sockfd->wsi = (_wsi), 0)
/* ... and forgets it by itself when it is closed */
#define delete_from_fd(_cx, _c)		do { } while (0)

#if defined(LWS_WITH_TLS)
struct ssl_st;

/* as SSL_set_fd(), but 1: out of memory */
int
lws_plat_proton_ssl_set_conn(struct ssl_st *ssl, struct lws_proton_conn *c);

/* as SSL_pending(), for the event library */
size_t
lws_plat_proton_ssl_pending(const struct ssl_st *ssl);

/* as SSL_get_fd() */
struct lws_proton_conn *
lws_plat_proton_ssl_conn(const struct ssl_st *ssl);
#endif

#endif
