/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 */

#include <lws_proton_host.h>

/* lws_context_eventlibs_proton.state: it was asked for in the service */
#define PROTON_DESTROY	(1u << 31)

#define vh_to_priv_proton(_vh) \
		((struct lws_vh_eventlibs_proton *)(_vh)->evlib_vh)
#define wsi_to_priv_proton(_w) \
		((struct lws_wsi_eventlibs_proton *)(_w)->evlib_wsi)

struct lws_vh_eventlibs_proton {
	lws_proton_windows_t	windows;
	char			set;		/* windows are the vhost's own */
	char			looked;		/* ... or it said nothing of them */
};

struct lws_wsi_eventlibs_proton {
	lws_proton_lookup_t	*lookup;	/* under way */
	lws_usec_t		lookup_until;	/* 0, or it failed so far */
	char			*dial;		/* the address for the dialer */
	uint8_t			drained;	/* toggles: an extension's rx */
	uint8_t			received;	/* since drain-proton.c looked */
	uint8_t			drain;		/* what that has done with it */
};

struct lws_context_eventlibs_proton {
	lws_proton_loop_t	*loop;
	/* atomic: how many threads call for service, and PROTON_DESTROY */
	unsigned int		state;
	/* atomic: how many of them are in a turn of the loop */
	unsigned int		turning;
	/* for each tsi, its own thread's: it is one of them */
	uint8_t			serving[LWS_MAX_SMP];
};

/* of the host, in drain-proton.c: the phase is LWS_PROTON_DRAIN_... */
void
proton_drain(void *user, int tsi, int phase);
