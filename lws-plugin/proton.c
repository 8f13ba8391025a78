/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 *
 * Event library: Apache Qpid Proton-C.
 *
 * The loop is liblws_proton's (lws_proton_host.h); this file is only the two
 * directions between it and lws.
 *
 *  - Liveness: a connection belongs to lws from the accept until lws closes it.
 *    The loop never calls for one whose wsi is NULL, and looks whether lws
 *    closed it after each call.
 *
 *  - Serialization: the loop holds the pt while it is in proton_service() and
 *    the rest of proton_host.  Any of the service threads may be the one, so
 *    lws_pthread_self_to_tsi() asks elops_this_tsi_proton().
 *
 *  - Close: lws closes through struct lws_proton_conn_ops, not through here, and
 *    may do it in any callback.
 *
 *  - Timers: lws_sul lists stay lws's.  proton_after() serves them and says when
 *    to come again.
 *
 *  - Wake: lws's event pipe is a connection that has no bytes, see
 *    elops_pipe_proton().
 */

#include "private-lib-core.h"
#include "private-lib-event-libs-proton.h"

#include <ifaddrs.h>
#include <netdb.h>

/* calls for WRITE in one service: a pong, its protocol, and once more of each */
#define MOST_FOR_PONGS 4
/*
 * Those that go at once leave LWS_PROTON_TX_CHOKED but for the last, of at most
 * 125 bytes; with its frame and TLS it has room, and so has the one that is left
 */
#define ROOM_AFTER_PONGS (LWS_PROTON_TX_CHOKED / 2)

#define cx_to_priv_proton(_cx) \
		((struct lws_context_eventlibs_proton *)(_cx)->evlib_ctx)

/*
 * The host: what the loop asks of lws
 */

/* an extension holds rx it has not given yet, and would now */

static int
proton_rx_ext_drains(struct lws *wsi)
{
#if defined(LWS_ROLE_WS) && !defined(LWS_WITHOUT_EXTENSIONS)
	return wsi->ws && wsi->ws->rx_draining_ext && !wsi->ws->tx_draining_ext;
#else
	return 0;
#endif
}

/*
 * The next request was put by, and lws still answers the one before it: given
 * the next one now, it would close the connection
 */

static int
proton_pipelined(struct lws *wsi)
{
	return (lwsi_state(wsi) == LRS_DOING_TRANSACTION ||
		lwsi_state(wsi) == LRS_ISSUING_FILE) &&
	       lws_buflist_total_len(&wsi->buflist);
}

/* lws put rx by, and would take it now */

static int
proton_rx_ripe(struct lws *wsi)
{
	return !lws_is_flowcontrolled(wsi) &&
	       lwsi_state(wsi) != LRS_DEFERRING_ACTION &&
	       !proton_pipelined(wsi) &&
	       lws_buflist_total_len(&wsi->buflist);
}

/* the next it writes is a pong, and not what its protocol has */

static int
proton_pongs(struct lws *wsi)
{
#if defined(LWS_ROLE_WS)
	return wsi->ws && wsi->ws->pong_pending_flag;
#else
	return 0;
#endif
}

static void
proton_service(void *user, struct lws_proton_conn *c, int events)
{
	struct lws_context *cx = (struct lws_context *)user;
	struct lws_context_per_thread *pt = &cx->pt[c->tsi];
	uint32_t state = c->wsi->wsistate;
	int owed = 0;		/* its protocol has lost its WRITE to a pong */
	struct lws_pollfd pfd;
	struct lws *wsi;
	int n;

	pfd.fd = c;
	pfd.events = 0;
	if (events & LWS_PROTON_READ) {
		pfd.events |= LWS_POLLIN;
		wsi_to_priv_proton(c->wsi)->received = 1;
	}
	if (events & LWS_PROTON_WRITE) {
		pfd.events |= LWS_POLLOUT;
		owed = proton_pongs(c->wsi);
	}
	pfd.revents = pfd.events;
	if (events & LWS_PROTON_HANGUP)
		pfd.revents |= LWS_POLLHUP;

	if (pfd.events & LWS_POLLIN && proton_pipelined(c->wsi))
		return;

	if (pfd.events & LWS_POLLIN && proton_rx_ext_drains(c->wsi))
		wsi_to_priv_proton(c->wsi)->drained ^= 1;

	lws_service_fd_tsi(cx, &pfd, c->tsi);

	/*
	 * What it put by it takes before it writes, as in the poll() service:
	 * lws_service_do_ripe_rxflow()
	 */

	if (c->wsi && proton_rx_ripe(c->wsi)) {
		pfd.fd = c;
		pfd.events = pfd.revents = LWS_POLLIN;
		lws_service_fd_tsi(cx, &pfd, c->tsi);
	}

	/*
	 * Its protocol is not to wait for as long as the peer sends pings; nor
	 * until the peer reads, when pongs have taken the room that WRITE waits
	 * for: it is to have seen that.  (The last ping's pong is always left to
	 * go, which tells that there were any.)
	 */

	for (n = 0; n < MOST_FOR_PONGS && c->wsi &&
		    (owed || proton_pongs(c->wsi)) &&
		    c->ops->tx_room(c) >= ROOM_AFTER_PONGS; n++) {
		owed = proton_pongs(c->wsi);
		pfd.fd = c;
		pfd.events = pfd.revents = LWS_POLLOUT;
		lws_service_fd_tsi(cx, &pfd, c->tsi);
	}

	/*
	 * What it did not take it may take in its new state, as when it has
	 * only peeked to see that it is not TLS: have it offered again
	 */

	wsi = c->wsi;
	if (wsi && wsi->wsistate != state &&
	    wsi->position_in_fds_table != LWS_NO_FDS_POS &&
	    (pt->fds[wsi->position_in_fds_table].events & LWS_POLLIN))
		c->ops->enable(c, 1, LWS_PROTON_READ);
}

static int64_t
proton_pending(void *user, struct lws_proton_conn *c)
{
	struct lws *wsi = c->wsi;

	if (!wsi || lws_is_flowcontrolled(wsi))
		return 0;

	/* not a size, but it changes as it is drained */

	if (proton_rx_ext_drains(wsi))
		return 1 + wsi_to_priv_proton(wsi)->drained;

#if defined(LWS_ROLE_WS) && !defined(LWS_WITHOUT_EXTENSIONS)
	/* it will, once tx is drained */
	if (wsi->ws && wsi->ws->rx_draining_ext)
		return 0;
#endif

	if (lwsi_state(wsi) == LRS_DEFERRING_ACTION)
		return 0;

#if defined(LWS_WITH_TLS)
	/* decrypted, and held by OpenSSL: the network has nothing to say of it */
	if (wsi->tls.ssl) {
		size_t n = lws_plat_proton_ssl_pending(wsi->tls.ssl);

		if (n)
			return (int64_t)n;
	}
#endif

	if (!wsi->buflist)
		return -1;

	return proton_pipelined(wsi) ? 0 :
			(int64_t)lws_buflist_total_len(&wsi->buflist);
}

static int64_t
proton_after(void *user, int tsi)
{
	struct lws_context *cx = (struct lws_context *)user;
	struct lws_context_per_thread *pt = &cx->pt[tsi];
	lws_usec_t now, us;

	if (cx->being_destroyed)
		goto destroying;

	/* child streams of muxed connections have no event of their own */

	_lws_plat_service_forced_tsi(cx, tsi);

	if (cx->being_destroyed)
		goto destroying;

	/* a timer may destroy the context: let it be deferred, as in service */

	pt->inside_lws_service = 1;
	lws_pt_lock(pt, __func__);
	now = lws_now_usecs();
	us = __lws_sul_service_ripe(pt->pt_sul_owner, LWS_COUNT_PT_SUL_OWNERS,
				    now);
	lws_pt_unlock(pt);
	pt->inside_lws_service = 0;

	if (!cx->being_destroyed)
		return us ? now + us : INT64_MAX;

destroying:
	/* asked for by a callback: the service that called us goes on with it */

	if (pt->destroy_self)
		__atomic_or_fetch(&cx_to_priv_proton(cx)->state, PROTON_DESTROY,
				  __ATOMIC_ACQ_REL);

	return INT64_MAX;
}

static int64_t
proton_deadline(void *user, int tsi)
{
	struct lws_context_per_thread *pt =
				&((struct lws_context *)user)->pt[tsi];
	int64_t next = INT64_MAX;
	int n;

	lws_pt_lock(pt, __func__);
	for (n = 0; n < (int)LWS_ARRAY_SIZE(pt->pt_sul_owner); n++) {
		struct lws_dll2 *d = lws_dll2_get_head(&pt->pt_sul_owner[n]);
		lws_usec_t us = !d ? INT64_MAX : lws_container_of(d,
					lws_sorted_usec_list_t, list)->us;

		if (us < next)
			next = us;
	}
	lws_pt_unlock(pt);

	return next;
}

static void
proton_resolved(void *user, void *cookie, int error, struct addrinfo *result)
{
	struct lws *wsi = (struct lws *)cookie;
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);
	char cce[64], *fail = NULL;

	priv->lookup = NULL;

	/*
	 * lws asks again in a second for whatever the name server may answer
	 * later, if there is a later: see elops_resolve_proton()
	 */

	if (!error)
		priv->lookup_until = 0;
	else
		if (error != EAI_AGAIN ||
		    lws_now_usecs() + LWS_US_PER_SEC >= priv->lookup_until) {
			if (error == EAI_NONAME)
				lws_strncpy(cce, "DNS NXDOMAIN", sizeof(cce));
			else
				lws_snprintf(cce, sizeof(cce), "DNS: %s",
					     gai_strerror(error));
			fail = cce;
		}

	lws_client_connect_2_resolved(wsi, error, result, fail);
}

static void
proton_log(void *user, int level, const char *line)
{
	static const int levels[] = { LLL_ERR, LLL_WARN, LLL_INFO };

	_lws_log(levels[level], "lws_proton: %s\n", line);
}

static void
proton_destroy(void *user)
{
	lws_context_destroy((struct lws_context *)user);
}

static const lws_proton_host_t proton_host = {
	/* service */		proton_service,
	/* pending */		proton_pending,
	/* after */		proton_after,
	/* deadline */		proton_deadline,
	/* resolved */		proton_resolved,
	/* destroy */		proton_destroy,
	/* drain */		proton_drain,
	/* log */		proton_log,
};

/*
 * The event loop ops: what lws asks of the loop
 */

static int
elops_init_context_proton(struct lws_context *context,
			  const struct lws_context_creation_info *info)
{
	struct lws_context_eventlibs_proton *priv = cx_to_priv_proton(context);

	pn_proactor_t *application = NULL;

	if (info->foreign_loops) {
		application = (pn_proactor_t *)info->foreign_loops[0];
		if (!application) {
			lwsl_cx_err(context, "info.foreign_loops[0] is NULL: "
				    "it has to be a pn_proactor_t *");

			return 1;
		}
	}

	priv->loop = lws_proton_loop_new(context->count_threads, &proton_host,
					 context, application);
	if (!priv->loop) {
		lwsl_cx_err(context, "OOM");

		return 1;
	}

	return 0;
}

static void
elops_created_proton(struct lws_context *context)
{
	lws_proton_loop_started(cx_to_priv_proton(context)->loop);
}

static int
elops_destroy_context2_proton(struct lws_context *context)
{
	struct lws_context_eventlibs_proton *priv = cx_to_priv_proton(context);

	/* called for the pts first, and again when all of lws is closed */

	if (!context->evlib_finalize_destroy_after_int_loops_stop)
		return 0;

	lws_proton_loop_free(priv->loop);
	priv->loop = NULL;

	return 0;
}

static void
elops_io_proton(struct lws *wsi, unsigned int flags)
{
	lws_sockfd_type c = wsi->desc.sockfd;
	int events = 0;

	/* lws stops the events of a wsi once more after it closed it */

	if (wsi->position_in_fds_table == LWS_NO_FDS_POS)
		return;

	if (flags & LWS_EV_READ)
		events |= LWS_PROTON_READ;
	if (flags & LWS_EV_WRITE)
		events |= LWS_PROTON_WRITE;

	c->ops->enable(c, !!(flags & LWS_EV_START), events);
}

/* the windows the vhost asks for by its pvo; 1: what it asks for can't be had */

static int
proton_vhost_windows(struct lws_vhost *vhost)
{
	struct lws_vh_eventlibs_proton *priv = vh_to_priv_proton(vhost);
	const struct lws_protocol_vhost_options *pvo =
				lws_pvo_search(vhost->pvo, "lws-proton");
	lws_proton_windows_t windows;

	if (!pvo)
		return 0;

	/* service threads may come here together */

	lws_vhost_lock(vhost); /* -------------- vh { */
	if (priv->looked)
		goto out;

	priv->looked = 1;
	windows = lws_proton_loop_windows(
				cx_to_priv_proton(vhost->context)->loop);

	for (pvo = pvo->options; pvo; pvo = pvo->next) {
		unsigned long long n;
		char *end;

		errno = 0;
		n = strtoull(pvo->value, &end, 10);
		if (errno || *end || end == pvo->value || n > UINT32_MAX)
			goto bad;

		if (!strcmp(pvo->name, "rx-window"))
			windows.rx = (uint32_t)n;
		else if (!strcmp(pvo->name, "tx-window"))
			windows.tx = (uint32_t)n;
		else if (!strcmp(pvo->name, "answer-first") && n <= 1)
			windows.answer_first = !!n;
		else
			goto bad;

		if (!lws_proton_windows_valid(&windows))
			goto bad;
	}

	priv->windows = windows;
	priv->set = 1;

out:
	lws_vhost_unlock(vhost); /* } vh -------------- */

	return 0;

bad:
	lws_vhost_unlock(vhost); /* } vh -------------- */
	lwsl_vhost_err(vhost, "lws-proton: bad option '%s' = '%s': rx-window "
		       "and tx-window take %u to %u bytes, answer-first 0 or 1",
		       pvo->name, pvo->value, LWS_PROTON_WINDOW_MIN,
		       LWS_PROTON_WINDOW_MAX);

	return 1;
}

static int
elops_sock_accept_proton(struct lws *wsi)
{
	struct lws_context_eventlibs_proton *priv =
					cx_to_priv_proton(wsi->a.context);
	lws_sockfd_type c = wsi->desc.sockfd;

	/* the application's threads know no tsi of their own */

	if (lws_proton_loop_foreign(priv->loop) &&
	    !lws_proton_loop_serves(priv->loop, c->tsi)) {
		lwsl_wsi_err(wsi, "a connection has to be adopted between "
			     "lws_proton_loop_enter() of its pt and "
			     "lws_proton_loop_leave()");

		return 1;
	}

	if (!wsi->a.vhost)
		return 0;

	proton_vhost_windows(wsi->a.vhost);
	if (vh_to_priv_proton(wsi->a.vhost)->set)
		c->ops->set_windows(c, &vh_to_priv_proton(wsi->a.vhost)->windows);

	return 0;
}

/* 1: ads is the first address of that family that the interface has */

static int
proton_interface_address(const char *name, int af, char *ads, size_t len)
{
	struct ifaddrs *ifa;
	int n = 0;

	if (getifaddrs(&ifa))
		return 0;

	lws_start_foreach_ll(struct ifaddrs *, i, ifa) {
		if (i->ifa_addr && i->ifa_addr->sa_family == af &&
		    !strcmp(i->ifa_name, name)) {
			n = !getnameinfo(i->ifa_addr, af == AF_INET ?
						sizeof(struct sockaddr_in) :
						sizeof(struct sockaddr_in6),
					 ads, (socklen_t)len, NULL, 0,
					 NI_NUMERICHOST);
			break;
		}
	} lws_end_foreach_ll(i, ifa_next);

	freeifaddrs(ifa);

	return n;
}

/* where the vhost listens, as an address or a host's name; NULL: everywhere */

static const char *
proton_listen_address(struct lws_vhost *vhost, char *ads, size_t len)
{
	int v6only = (vhost->options & LWS_SERVER_OPTION_IPV6_V6ONLY_MODIFY) &&
		     (vhost->options & LWS_SERVER_OPTION_IPV6_V6ONLY_VALUE);

	if (!vhost->iface) {
		if (!LWS_IPV6_ENABLED(vhost))
			return "0.0.0.0";

		return v6only ? "::" : NULL;
	}

	if (!v6only &&
	    proton_interface_address(vhost->iface, AF_INET, ads, len))
		return ads;

	if (LWS_IPV6_ENABLED(vhost) &&
	    proton_interface_address(vhost->iface, AF_INET6, ads, len))
		return ads;

	return vhost->iface;
}

static lws_sockfd_type
elops_listen_proton(struct lws_vhost *vhost)
{
	struct lws_context_eventlibs_proton *priv =
					cx_to_priv_proton(vhost->context);
	int port = vhost->listen_port;
	char err[256], ads[NI_MAXHOST];
	lws_sockfd_type c;

	if (__atomic_load_n(&vhost->context->draining, __ATOMIC_RELAXED)) {
		lwsl_vhost_err(vhost, "cannot listen: the context is ending");

		return LWS_SOCK_INVALID;
	}

	if (proton_vhost_windows(vhost))
		return LWS_SOCK_INVALID;

	c = lws_proton_loop_listen(priv->loop,
				   proton_listen_address(vhost, ads,
							 sizeof(ads)),
				   &port, err, sizeof(err));
	if (!c) {
		lwsl_vhost_err(vhost, "cannot listen: %s", err);

		return LWS_SOCK_INVALID;
	}

	vhost->listen_port = port;

	return c;
}

static lws_sockfd_type
elops_socket_proton(struct lws *wsi)
{
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);
	lws_proton_loop_t *loop = cx_to_priv_proton(wsi->a.context)->loop;

	if (priv->dial)
		return lws_proton_loop_dialed_socket(loop, wsi->tsi,
						     priv->dial);

	return lws_proton_loop_socket(loop, wsi->tsi);
}

/* the dialer is given the name, lws an address that is none */

static int
proton_dial(struct lws *wsi, const char *ads, struct addrinfo **result)
{
	static const struct addrinfo numeric = {
		.ai_flags	= AI_NUMERICHOST,
		.ai_socktype	= SOCK_STREAM,
	};
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);

	priv->dial = strdup(ads);

	return priv->dial ? getaddrinfo("0.0.0.0", NULL, &numeric, result) :
			    EAI_MEMORY;
}

static int
elops_resolve_proton(struct lws *wsi, const char *ads,
		     const struct addrinfo *hints, struct addrinfo **result)
{
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);
	struct lws_context *cx = wsi->a.context;
	struct addrinfo numeric = *hints;

	free(priv->dial);
	priv->dial = NULL;
	if (lws_proton_loop_dials(cx_to_priv_proton(cx)->loop))
		return proton_dial(wsi, ads, result);

	numeric.ai_flags |= AI_NUMERICHOST;
	if (!getaddrinfo(ads, NULL, &numeric, result))
		return 0;

	/* one time to connect for all the lookups of the name together */

	if (!priv->lookup_until) {
		int secs = wsi->a.vhost->connect_timeout_secs;

		priv->lookup_until = lws_now_usecs() + secs * LWS_US_PER_SEC;
		lws_set_timeout(wsi, PENDING_TIMEOUT_AWAITING_CONNECT_RESPONSE,
				secs);
	}

	priv->lookup = lws_proton_loop_resolve(cx_to_priv_proton(cx)->loop,
					       wsi->tsi, ads, wsi);

	return priv->lookup ? 1 : EAI_MEMORY;
}

static void
elops_destroy_wsi_proton(struct lws *wsi)
{
	struct lws_wsi_eventlibs_proton *priv = wsi_to_priv_proton(wsi);

	if (priv->lookup)
		lws_proton_lookup_cancel(priv->lookup);
	priv->lookup = NULL;
	free(priv->dial);
	priv->dial = NULL;
}

static lws_sockfd_type
elops_pipe_proton(struct lws_context *context, int tsi)
{
	return lws_proton_loop_pipe(cx_to_priv_proton(context)->loop, tsi);
}

static int
elops_this_tsi_proton(struct lws_context *context)
{
	return lws_proton_loop_this_tsi(cx_to_priv_proton(context)->loop);
}

/* have all service threads come back */

static void
proton_wake_all(struct lws_context *context)
{
	struct lws_context_eventlibs_proton *priv = cx_to_priv_proton(context);
	int n;

	for (n = 0; n < context->count_threads; n++) {
		lws_sockfd_type c = lws_proton_loop_pipe(priv->loop, n);

		c->ops->wake(c);
	}
}

static int
elops_defer_destroy_proton(struct lws_context *context)
{
	struct lws_context_eventlibs_proton *priv = cx_to_priv_proton(context);
	int tsi;

	if (priv->loop && lws_proton_loop_foreign(priv->loop))
		return lws_proton_loop_stop(priv->loop);

	if (!__atomic_load_n(&priv->turning, __ATOMIC_ACQUIRE))
		return 0;

	/*
	 * lws defers by itself what its callbacks ask for, but not without
	 * closing what other threads serve
	 */

	tsi = lws_proton_loop_this_tsi(priv->loop);
	if (tsi >= 0 && context->pt[tsi].inside_lws_service &&
	    context->count_threads == 1)
		return 0;

	/* counted while it wakes, since the last that is counted destroys */

	__atomic_add_fetch(&priv->state, 1, __ATOMIC_ACQ_REL);
	__atomic_or_fetch(&priv->state, PROTON_DESTROY, __ATOMIC_ACQ_REL);
	proton_wake_all(context);

	return __atomic_sub_fetch(&priv->state, 1, __ATOMIC_ACQ_REL) !=
								PROTON_DESTROY;
}

static int
elops_service_proton(struct lws_context *context, int timeout_ms, int tsi)
{
	struct lws_context_eventlibs_proton *priv = cx_to_priv_proton(context);
	unsigned int state;

	if (lws_proton_loop_foreign(priv->loop)) {
		lwsl_cx_err(context, "lws_service() on an application's "
			    "proactor: lws_proton_handle() serves it");

		return -1;
	}

	/* it would wait for itself */

	if (lws_proton_loop_this_tsi(priv->loop) >= 0) {
		lwsl_cx_err(context, "lws_service() from inside a callback: "
				     "return from it instead");

		return -1;
	}

	/* from its first turn on, until it is told -1 */

	if (!priv->serving[tsi]) {
		priv->serving[tsi] = 1;
		__atomic_add_fetch(&priv->state, 1, __ATOMIC_ACQ_REL);
	}

	/* as in the poll() service, only a negative timeout means don't wait */

	__atomic_add_fetch(&priv->turning, 1, __ATOMIC_ACQ_REL);
	if (!(__atomic_load_n(&priv->state, __ATOMIC_ACQUIRE) &
							PROTON_DESTROY))
		lws_proton_loop_turn(priv->loop, tsi, timeout_ms >= 0);

	if (!(__atomic_load_n(&priv->state, __ATOMIC_ACQUIRE) &
							PROTON_DESTROY)) {
		__atomic_sub_fetch(&priv->turning, 1, __ATOMIC_ACQ_REL);

		return 0;
	}

	/* the others come back, though this one does not poll any more */

	proton_wake_all(context);
	lws_proton_loop_turn(priv->loop, tsi, 0);
	__atomic_sub_fetch(&priv->turning, 1, __ATOMIC_ACQ_REL);

	/* the last one destroys */

	priv->serving[tsi] = 0;
	state = __atomic_sub_fetch(&priv->state, 1, __ATOMIC_ACQ_REL);

	/* unless it was the last, the context may be gone now */

	return state == PROTON_DESTROY ? 1 : -1;
}

static const struct lws_event_loop_ops event_loop_ops_proton = {
	/* name */			"proton",
	/* init_context */		elops_init_context_proton,
	/* destroy_context1 */		NULL,
	/* destroy_context2 */		elops_destroy_context2_proton,
	/* init_vhost_listen_wsi */	NULL,
	/* init_pt */			NULL,
	/* wsi_logical_close */		NULL,
	/* check_client_connect_ok */	NULL,
	/* close_handle_manually */	NULL,
	/* sock_accept */		elops_sock_accept_proton,
	/* io */			elops_io_proton,
	/* run_pt */			NULL,
	/* destroy_pt */		NULL,
	/* destroy wsi */		elops_destroy_wsi_proton,
	/* foreign_thread */		NULL,

	/* flags */			0,

	/* evlib_size_ctx */	sizeof(struct lws_context_eventlibs_proton),
	/* evlib_size_pt */	0,
	/* evlib_size_vh */	sizeof(struct lws_vh_eventlibs_proton),
	/* evlib_size_wsi */	sizeof(struct lws_wsi_eventlibs_proton),

	/* listen */			elops_listen_proton,
	/* socket */			elops_socket_proton,
	/* resolve */			elops_resolve_proton,
	/* pipe */			elops_pipe_proton,
	/* service */			elops_service_proton,
	/* this_tsi */			elops_this_tsi_proton,
	/* defer_destroy */		elops_defer_destroy_proton,
	/* created */			elops_created_proton,
};

LWS_VISIBLE const lws_plugin_evlib_t evlib_proton = {
	.hdr = {
		"proton event loop",
		"lws_evlib_plugin",
		LWS_BUILD_HASH,
		LWS_PLUGIN_API_MAGIC
	},

	.ops	= &event_loop_ops_proton
};
