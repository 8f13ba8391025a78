/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 *
 * Event library: Apache Qpid Proton-C.  How the connections of a context end.
 *
 * The loop calls proton_drain() for each pt, at once and then every
 * LWS_PROTON_DRAIN_QUIET_MS, with the pt serialized and one of four phases:
 *
 *  - BEGIN: listeners are closed, and the peers of h2 connections are told.
 *
 *  - QUIET: what has received nothing since the last call, and owes nothing, is
 *    ended.
 *
 *  - TELL: what still receives or wants to write is ended too, between two
 *    messages.  Requests under way go on, and so does what lws holds bytes of.
 *
 *  - CUT: everything is closed.
 *
 * What a connection is asked for and has done is in its
 * lws_wsi_eventlibs_proton.drain; nothing is ended twice.  lws_close_free_wsi()
 * may free the wsi, and the callbacks in it may close others: after it nothing
 * that was looked up before is used.
 */

#include "private-lib-core.h"
#include "private-lib-event-libs-proton.h"

enum {
	/* the protocol was asked */
	DRAIN_ASKED		= 1 << 0,
	/* it ends the connection itself, or the end has begun */
	DRAIN_ENDING		= 1 << 1,
	/* the peer of an h2 connection was told to open no streams soon */
	DRAIN_GOES_AWAY		= 1 << 2,
	/* ... and that none is taken any more */
	DRAIN_GONE_AWAY		= 1 << 3,
};

/* the roles themselves are not for plugins */

static int
proton_has_role(struct lws *wsi, const char *name)
{
	return !strcmp(wsi->role_ops->name, name);
}

/* lws would lose it, and has no close that waits for it */

static int
proton_has_unsent(struct lws *wsi)
{
	if (wsi->buflist_out || lws_get_network_wsi(wsi)->buflist_out)
		return 1;

#if defined(LWS_ROLE_WS) && !defined(LWS_WITHOUT_EXTENSIONS)
	if (proton_has_role(wsi, "ws") && wsi->ws && wsi->ws->tx_draining_ext)
		return 1;
#endif

	return 0;
}

/* the peer has sent something that is not answered yet, or may have */

static int
proton_under_way(struct lws *wsi)
{
	struct lws *nwsi = lws_get_network_wsi(wsi);
	struct lws_context_per_thread *pt = &wsi->a.context->pt[(int)wsi->tsi];
	lws_sockfd_type c = nwsi->desc.sockfd;

	if (wsi_to_priv_proton(nwsi)->received || wsi->buflist ||
	    nwsi->buflist || c->ops->rx_used(c))
		return 1;

#if defined(LWS_WITH_TLS)
	if (nwsi->tls.ssl && lws_plat_proton_ssl_pending(nwsi->tls.ssl))
		return 1;
#endif

#if defined(LWS_ROLE_WS) && !defined(LWS_WITHOUT_EXTENSIONS)
	if (proton_has_role(wsi, "ws") && wsi->ws && wsi->ws->rx_draining_ext)
		return 1;
#endif

#if defined(LWS_ROLE_H2) || defined(LWS_ROLE_MQTT)
	if (wsi != nwsi)
		return wsi->mux.requested_POLLOUT;
#endif

	return wsi->position_in_fds_table != LWS_NO_FDS_POS &&
	       (pt->fds[wsi->position_in_fds_table].events & LWS_POLLOUT);
}

/* 1: its protocol ends it by itself, or has had it closed */

static int
proton_ask_protocol(struct lws *wsi)
{
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);
	int n;

	if (priv->drain & DRAIN_ASKED || !wsi->a.protocol)
		return 0;

	priv->drain |= DRAIN_ASKED;
	n = wsi->a.protocol->callback(wsi,
			(enum lws_callback_reasons)LWS_PROTON_CALLBACK_DRAIN,
			wsi->user_space, NULL, 0);
	if (!n)
		return 0;

	priv->drain |= DRAIN_ENDING;
	if (n < 0)
		lws_close_free_wsi(wsi, LWS_CLOSE_STATUS_NOSTATUS, __func__);

	return 1;
}

/* a WebSocket, or raw */

static void
proton_drain_stream(struct lws *wsi, int phase)
{
	if (lwsi_state(wsi) != LRS_ESTABLISHED ||
	    wsi_to_priv_proton(wsi)->drain & DRAIN_ENDING ||
	    proton_has_unsent(wsi) ||
	    (phase != LWS_PROTON_DRAIN_TELL && proton_under_way(wsi)) ||
	    proton_ask_protocol(wsi))
		return;

	wsi_to_priv_proton(wsi)->drain |= DRAIN_ENDING;
#if defined(LWS_ROLE_WS)
	if (proton_has_role(wsi, "ws"))
		lws_close_reason(wsi, LWS_CLOSE_STATUS_GOINGAWAY, NULL, 0);
#endif
	lws_close_free_wsi(wsi, LWS_CLOSE_STATUS_NOSTATUS, __func__);
}

#if defined(LWS_ROLE_H1) || defined(LWS_ROLE_H2)

/* a request has begun to come, and its headers are not complete */

static int
proton_in_headers(struct lws *wsi)
{
	const struct allocated_headers *ah = wsi->http.ah;

	return ah && (ah->nfrag || ah->pos || ah->lextable_pos ||
		      ah->parser_state != WSI_TOKEN_NAME_PART);
}

/* no request is under way: it is between two, or has not got as far as one */

static int
proton_is_idle_h1(struct lws *wsi, int phase)
{
	if (lwsi_role_client(wsi))
		return lwsi_state(wsi) == LRS_IDLING ||
		       (phase == LWS_PROTON_DRAIN_TELL &&
			(lwsi_state(wsi) & LWSIFS_NOT_EST));

	switch (lwsi_state(wsi)) {
	case LRS_SSL_INIT:
	case LRS_SSL_ACK_PENDING:
	case LRS_H2_AWAIT_PREFACE:
	case LRS_H2_AWAIT_SETTINGS:
	case LRS_HEADERS:
	case LRS_ESTABLISHED:
		return phase == LWS_PROTON_DRAIN_TELL ||
		       (!proton_under_way(wsi) && !proton_in_headers(wsi));
	default:
		return 0;
	}
}

static void
proton_drain_h1(struct lws *wsi, int phase)
{
	if (proton_is_idle_h1(wsi, phase)) {
		if (!proton_has_unsent(wsi))
			lws_close_free_wsi(wsi, LWS_CLOSE_STATUS_NOSTATUS,
					   __func__);

		return;
	}

	/* the request under way is finished, and the last of the connection */

	if (lwsi_role_client(wsi))
		return;

	wsi->http.conn_type = HTTP_CONNECTION_CLOSE;
	if (phase == LWS_PROTON_DRAIN_TELL)
		proton_ask_protocol(wsi);
}
#endif

#if defined(LWS_ROLE_H2)

/* the next of its streams that is not ending, after the first n of them */

static struct lws *
proton_stream(struct lws *nwsi, int n)
{
	struct lws *w = nwsi->mux.child_list;

	while (w && n--)
		w = w->mux.sibling_list;

	return w;
}

static void
proton_drain_h2(struct lws *wsi, int phase)
{
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);
	struct lws *w;
	int n = 0, had;

	if (lwsi_state(wsi) != LRS_ESTABLISHED || !wsi->h2.h2n) {
		if (phase != LWS_PROTON_DRAIN_BEGIN)
			proton_drain_h1(wsi, phase);

		return;
	}

	if (!lwsi_role_client(wsi)) {
		if (!(priv->drain & DRAIN_GOES_AWAY)) {
			if (!lws_h2_go_away(wsi, 0))
				priv->drain |= DRAIN_GOES_AWAY;
		} else if (!(priv->drain & DRAIN_GONE_AWAY) &&
			   (phase == LWS_PROTON_DRAIN_TELL ||
			    !proton_under_way(wsi))) {
			if (!lws_h2_go_away(wsi, 1))
				priv->drain |= DRAIN_GONE_AWAY;
		}
	}

	if (phase == LWS_PROTON_DRAIN_BEGIN)
		return;

	/* one that is closed leaves the list */

	while ((w = proton_stream(wsi, n))) {
		had = (int)wsi->mux.child_count;
		if (proton_has_role(w, "ws"))
			proton_drain_stream(w, phase);
		else
			if (phase == LWS_PROTON_DRAIN_TELL)
				proton_ask_protocol(w);
		if ((int)wsi->mux.child_count == had)
			n++;
	}

	if (wsi->mux.child_list || wsi->h2.h2n->pps || proton_has_unsent(wsi) ||
	    (!lwsi_role_client(wsi) && !(priv->drain & DRAIN_GONE_AWAY)))
		return;

	lws_close_free_wsi(wsi, LWS_CLOSE_STATUS_NOSTATUS, __func__);
}
#endif

static void
proton_drain_listener(struct lws *wsi)
{
	struct lws_vhost *vh = wsi->a.vhost;

	lws_vhost_lock(vh); /* -------------- vh { */
	lws_dll2_remove(&wsi->listen_list);
	lws_vhost_unlock(vh); /* } vh -------------- */

	lws_close_free_wsi(wsi, LWS_CLOSE_STATUS_NOSTATUS_CONTEXT_DESTROY,
			   __func__);
}

static void
proton_drain_wsi(struct lws *wsi, int phase)
{
	if (proton_has_role(wsi, "listen"))
		proton_drain_listener(wsi);
	else if (phase == LWS_PROTON_DRAIN_CUT)
		lws_close_free_wsi(wsi,
				   LWS_CLOSE_STATUS_NOSTATUS_CONTEXT_DESTROY,
				   __func__);
#if defined(LWS_ROLE_H2)
	else if (proton_has_role(wsi, "h2"))
		proton_drain_h2(wsi, phase);
#endif
	else if (phase == LWS_PROTON_DRAIN_BEGIN)
		return;
#if defined(LWS_ROLE_H1) || defined(LWS_ROLE_H2)
	else if (proton_has_role(wsi, "h1"))
		proton_drain_h1(wsi, phase);
#endif
	else if (lwsi_state(wsi) & LWSIFS_NOT_EST) {
		/* a server's handshake is quiet, a client's takes its time */
		if (phase == LWS_PROTON_DRAIN_TELL ||
		    (!lwsi_role_client(wsi) && !proton_under_way(wsi)))
			lws_close_free_wsi(wsi, LWS_CLOSE_STATUS_NOSTATUS,
					   __func__);
	} else
		proton_drain_stream(wsi, phase);
}

void
proton_drain(void *user, int tsi, int phase)
{
	struct lws_context *cx = (struct lws_context *)user;
	struct lws_context_per_thread *pt = &cx->pt[tsi];
	unsigned int n;

	if (cx->being_destroyed)
		return;

	__atomic_store_n(&cx->draining, 1, __ATOMIC_RELAXED);

	/* a callback may destroy the context: let it be deferred, as in service */

	pt->inside_lws_service = 1;

	/* what is closed, the last takes the place of */

	for (n = pt->fds_count; n-- && !cx->being_destroyed; ) {
		struct lws *wsi;

		if (n >= pt->fds_count)
			continue;

		wsi = pt->fds[n].fd->wsi;
		if (!wsi || wsi == pt->pipe_wsi)
			continue;

		proton_drain_wsi(wsi, phase);
	}

	/* from now on */

	for (n = 0; n < pt->fds_count; n++)
		if (pt->fds[n].fd->wsi)
			wsi_to_priv_proton(pt->fds[n].fd->wsi)->received = 0;

	pt->inside_lws_service = 0;
}
