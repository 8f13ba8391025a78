/*
 * What the site for foreign judges answers, besides its files: see site.c.
 *
 * SPDX-License-Identifier: MIT
 *
 *   /events   server-sent events: SITE_EVENTS of them, then the end
 *   /poll     held until somebody gets /tell, and answered with its number
 *   /tell     answers all who wait at /poll; how many they were
 *   /upload   a form (multipart too) with "text" and a "file", which is stored
 *             as uploaded
 *   /body     any body, which is stored as body
 */

#if !defined(SITE_PROTOCOLS_H)
#define SITE_PROTOCOLS_H

#include <libwebsockets.h>

#define SITE_EVENTS	20

extern const struct lws_protocols site_protocols[];

/* the directory for what is stored */
extern const char *site_store;

#endif
