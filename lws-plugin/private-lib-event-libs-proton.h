/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 */

#include <lws_proton_host.h>

struct lws_context_eventlibs_proton {
	lws_proton_loop_t	*loop;
	/* atomic */
	int			destroy; /* a pt found that it was asked for */
	int			inside; /* threads in their turn of the loop */
};
