/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 *
 * LWS_PROTON platform: what lib/plat/unix/unix-fds.c, unix-pipe.c and
 * unix-service.c are for sockets and poll().  It becomes part of libwebsockets
 * itself and knows nothing of Proton, only struct lws_proton_conn and the event
 * loop ops.
 */

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "private-lib-core.h"

#include <dlfcn.h>

/*
 * evlib: beside this library, which may have been moved since it was installed
 */

static char own_dir[PATH_MAX];

/*
 * A library that was found by a relative path has a relative name, which means
 * what it says only as long as the current directory is the one it was loaded
 * in: so it is looked up as the library is loaded.
 */

static void __attribute__((constructor))
find_own_dir(void)
{
	Dl_info info;
	char *slash;

	if (!dladdr(own_dir, &info) || !realpath(info.dli_fname, own_dir)) {
		own_dir[0] = '\0';
		return;
	}

	slash = strrchr(own_dir, '/');
	if (slash)
		*slash = '\0';
}

int
lws_plat_load_evlib(struct lws_plugin **pplugin, const char *name)
{
	char path[sizeof(own_dir) + 64];

	if (!own_dir[0]) {
		lwsl_err("%s: don't know where this library is\n", __func__);

		return 1;
	}

	lws_snprintf(path, sizeof(path), "%s/libwebsockets-%s.so", own_dir,
		     name);
	if (lws_plat_dlopen(pplugin, path, name, "lws_evlib_plugin", NULL, NULL))
		return 0;

	lwsl_err("%s: no usable libwebsockets-%s.so in %s\n", __func__, name,
		 own_dir);

	return 1;
}

/*
 * fds: pt->fds[] is kept, since lws counts and walks connections by it, and the
 * events a connection is enabled for are in it
 */

void
delete_from_fdwsi(const struct lws_context *context, struct lws *wsi)
{
	/* the pipe is not closed with its wsi; others may be gone already */

	if (wsi->event_pipe)
		wsi->desc.sockfd->wsi = NULL;
}

#if defined(_DEBUG)
int
sanity_assert_no_wsi_traces(const struct lws_context *context, struct lws *wsi)
{
	return 0;
}

int
sanity_assert_no_sockfd_traces(const struct lws_context *context,
			       lws_sockfd_type sfd)
{
	return 0;
}
#endif

void
lws_plat_insert_socket_into_fds(struct lws_context *context, struct lws *wsi)
{
	struct lws_context_per_thread *pt = &context->pt[(int)wsi->tsi];

	if (context->event_loop_ops->io)
		context->event_loop_ops->io(wsi, LWS_EV_START | LWS_EV_READ);

	pt->fds[pt->fds_count++].revents = 0;
}

void
lws_plat_delete_socket_from_fds(struct lws_context *context,
				struct lws *wsi, int m)
{
	struct lws_context_per_thread *pt = &context->pt[(int)wsi->tsi];

	/* __remove_wsi_socket_from_fds() stopped the events already */

	pt->fds_count--;
}

int
lws_plat_change_pollfd(struct lws_context *context, struct lws *wsi,
		       struct lws_pollfd *pfd)
{
	return 0;
}

/*
 * pipe: the loop's own, it lives as long as the loop
 */

int
lws_plat_pipe_create(struct lws *wsi)
{
	struct lws_context_per_thread *pt = &wsi->a.context->pt[(int)wsi->tsi];

	pt->dummy_pipe_fds[0] = wsi->a.context->event_loop_ops->pipe(
						wsi->a.context, wsi->tsi);
	pt->dummy_pipe_fds[1] = LWS_SOCK_INVALID;

	return !lws_socket_is_valid(pt->dummy_pipe_fds[0]);
}

int
lws_plat_pipe_signal(struct lws_context *ctx, int tsi)
{
	lws_sockfd_type fd = ctx->pt[tsi].dummy_pipe_fds[0];

	return fd->ops->wake(fd);
}

void
lws_plat_pipe_close(struct lws *wsi)
{
	struct lws_context_per_thread *pt = &wsi->a.context->pt[(int)wsi->tsi];

	if (lws_socket_is_valid(pt->dummy_pipe_fds[0]))
		compatible_close(pt->dummy_pipe_fds[0]);
	pt->dummy_pipe_fds[0] = LWS_SOCK_INVALID;
}

int
lws_plat_pipe_is_fd_assocated(struct lws_context *cx, int tsi,
			      lws_sockfd_type fd)
{
	return fd == cx->pt[tsi].dummy_pipe_fds[0];
}

/*
 * sockets
 */

int
lws_send_pipe_choked(struct lws *wsi)
{
	struct lws *wsi_eff;

#if !defined(LWS_WITHOUT_EXTENSIONS)
	if (wsi->ws && wsi->ws->tx_draining_ext)
		return 1;
#endif

#if defined(LWS_WITH_HTTP2)
	wsi_eff = lws_get_network_wsi(wsi);
#else
	wsi_eff = wsi;
#endif

	/* the fact we checked implies we avoided back-to-back writes */
	wsi_eff->could_have_pending = 0;

	/* treat the fact we got a truncated send pending as if we're choked */
	if (lws_has_buffered_out(wsi)
#if defined(LWS_WITH_HTTP_STREAM_COMPRESSION)
	    || wsi->http.comp_ctx.buflist_comp ||
	    wsi->http.comp_ctx.may_have_more
#endif
	    )
		return 1;

	if (!lws_socket_is_valid(wsi_eff->desc.sockfd))
		return 1;

	return wsi_eff->desc.sockfd->ops->tx_room(wsi_eff->desc.sockfd) <
							LWS_PROTON_TX_CHOKED;
}

int
lws_plat_set_nonblocking(lws_sockfd_type fd)
{
	return 0;
}

int
lws_plat_set_socket_options(struct lws_vhost *vhost, lws_sockfd_type fd,
			    int unix_skt)
{
	return 0;
}

int
lws_plat_set_socket_options_ip(lws_sockfd_type fd, uint8_t pri, int lws_flags)
{
	return 0;
}

#if defined(LWS_WITH_CLIENT)
int
lws_socket_bind(struct lws_vhost *vhost, struct lws *wsi,
		lws_sockfd_type sockfd, int port, const char *iface, int af)
{
	lwsl_wsi_err(wsi, "LWS_PROTON can't bind a client to '%s': Proton "
			  "connects from any address, leave .iface NULL", iface);

	return LWS_ITOSA_NOT_EXIST;
}
#endif

int
lws_plat_BINDTODEVICE(lws_sockfd_type fd, const char *ifname)
{
	return 0;
}

/*
 * service
 */

int
lws_poll_listen_fd(struct lws_pollfd *fd)
{
	/* one connection at a time is offered for accept */
	return 0;
}

int
_lws_plat_service_forced_tsi(struct lws_context *context, int tsi)
{
	struct lws_context_per_thread *pt = &context->pt[tsi];

#if defined(LWS_WITH_SYS_SMD)
	if (!tsi && lws_smd_message_pending(context)) {
		lws_smd_msg_distribute(context);
		if (lws_smd_message_pending(context))
			lws_cancel_service(context);
	}
#endif

	/*
	 * The loop serves what lws holds for a connection with the connection,
	 * so they need not be on the list of those with a buflist.  What
	 * remains are the child streams of muxed connections.
	 */

	lws_start_foreach_dll_safe(struct lws_dll2 *, d, d1,
				   pt->dll_buflist_owner.head) {
		struct lws *wsi = lws_container_of(d, struct lws, dll_buflist);

		/* or each visit would look at all that do not read */
		if (!wsi->mux_substream)
			lws_dll2_remove(d);
	} lws_end_foreach_dll_safe(d, d1);

	if (pt->dll_buflist_owner.count)
		lws_service_do_ripe_rxflow(pt);

	return 0;
}

int
_lws_plat_service_tsi(struct lws_context *context, int timeout_ms, int tsi)
{
	/* stay dead once we are dead */

	if (!context)
		return 1;

	/*
	 * One turn of the loop, as poll() is one turn.  pt->service_tid stays
	 * unknown: any thread may change the events of a connection, the loop
	 * hears of it.
	 */

	switch (context->event_loop_ops->service(context, timeout_ms, tsi)) {
	case 0:
		return 0;
	case 1:
		lws_context_destroy(context);
		/* fallthru */
	default:
		return -1;
	}
}

int
lws_plat_service(struct lws_context *context, int timeout_ms)
{
	return _lws_plat_service_tsi(context, timeout_ms, 0);
}
