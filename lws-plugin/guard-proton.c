/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 *
 * LWS_PROTON platform: who may ask a vhost, see lws_proton_guard.h.
 *
 * lws calls lws_plat_proton_refuses() for each request whose headers are complete,
 * before it looks at what is asked for: in lws_handshake_server() for HTTP/1, and
 * where the action of a stream begins for HTTP/2.
 */

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "private-lib-core.h"

#include <lws_proton_guard.h>

#include <arpa/inet.h>

#define MISDIRECTED_REQUEST	421

#define CHARS_OF_A_NAME		"abcdefghijklmnopqrstuvwxyz" \
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
#define CHARS_OF_AN_IPV6	"0123456789abcdefABCDEF:."
#define CHARS_OF_A_SCHEME	"abcdefghijklmnopqrstuvwxyz" \
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."

struct guard_authority {
	const char	*host;		/* an IPv6 address with its brackets */
	size_t		len;
	int		port;
};

struct guard_origin {
	const char		*scheme;
	size_t			len;
	struct guard_authority	authority;
};

/* what a scheme leaves out; 0: it has none that we know */

static int
guard_default_port(const char *scheme, size_t len)
{
	if ((len == 4 && !strncasecmp(scheme, "http", 4)) ||
	    (len == 2 && !strncasecmp(scheme, "ws", 2)))
		return 80;
	if ((len == 5 && !strncasecmp(scheme, "https", 5)) ||
	    (len == 3 && !strncasecmp(scheme, "wss", 3)))
		return 443;

	return 0;
}

/* HOST[:PORT] and nothing after it: 0, or -1 if it is not that */

static int
guard_parse_authority(const char *text, int default_port,
		      struct guard_authority *a)
{
	size_t digits;

	a->host = text;
	a->port = default_port;

	if (*text == '[') {
		a->len = 1 + strspn(text + 1, CHARS_OF_AN_IPV6);
		if (a->len == 1 || text[a->len++] != ']')
			return -1;
	} else {
		a->len = strspn(text, CHARS_OF_A_NAME);
		if (!a->len)
			return -1;
	}

	text += a->len;
	if (!*text)
		return 0;

	digits = strspn(text + 1, "0123456789");
	if (*text != ':' || !digits || digits > 5 || text[1 + digits])
		return -1;
	a->port = atoi(text + 1);

	return a->port && a->port <= 65535 ? 0 : -1;
}

static int
guard_parse_origin(const char *text, struct guard_origin *o)
{
	o->scheme = text;
	o->len = strspn(text, CHARS_OF_A_SCHEME);
	if (!o->len || strncmp(text + o->len, "://", 3))
		return -1;

	return guard_parse_authority(text + o->len + 3,
				     guard_default_port(text, o->len),
				     &o->authority);
}

static int
guard_same_host(const struct guard_authority *a, const char *host, size_t len)
{
	return a->len == len && !strncasecmp(a->host, host, len);
}

static int
guard_same_authority(const struct guard_authority *a,
		     const struct guard_authority *b)
{
	return a->port == b->port && guard_same_host(a, b->host, b->len);
}

/* localhost, a name below it, or an address of loopback */

static int
guard_names_this_machine(const char *host, size_t len)
{
	static const char below[] = ".localhost";
	const size_t n = sizeof(below) - 1;
	struct in6_addr in6;
	struct in_addr in;
	char text[64];

	if ((len == n - 1 && !strncasecmp(host, below + 1, len)) ||
	    (len > n && !strncasecmp(host + len - n, below, n)))
		return 1;

	if (len >= 2 && host[0] == '[') {
		host++;
		len -= 2;
	}
	if (len >= sizeof(text))
		return 0;
	memcpy(text, host, len);
	text[len] = '\0';

	if (inet_pton(AF_INET, text, &in) == 1)
		return ntohl(in.s_addr) >> 24 == IN_LOOPBACKNET;

	return inet_pton(AF_INET6, text, &in6) == 1 &&
	       IN6_IS_ADDR_LOOPBACK(&in6);
}

/* 1: the list has "*": whatever the header is, it is allowed */

static int
guard_any(const char * const *list)
{
	for (; list && *list; list++)
		if (!strcmp(*list, "*"))
			return 1;

	return 0;
}

/* -1: there is such a header, and it can't be read; 0: there is none */

static int
guard_header(struct lws *wsi, char *buf, int len, enum lws_token_indexes h)
{
	int n;

	if (!lws_hdr_simple_ptr(wsi, h))
		return 0;

	n = lws_hdr_copy(wsi, buf, len, h);
	if (n <= 0 || strlen(buf) != (size_t)n)
		return -1;

	return n;
}

/* what the request takes us for; the same returns */

static int
guard_host(struct lws *wsi, char *buf, int len)
{
	int n = 0;
#if defined(LWS_WITH_HTTP2)
	char host[LWS_PROTON_GUARD_MOST + 1];

	if (wsi->mux_substream) {
		n = guard_header(wsi, buf, len, WSI_TOKEN_HTTP_COLON_AUTHORITY);
		if (n > 0 && guard_header(wsi, host, sizeof(host),
					  WSI_TOKEN_HOST) &&
		    strcasecmp(buf, host))
			return -1;
	}
#endif
	if (!n)
		n = guard_header(wsi, buf, len, WSI_TOKEN_HOST);

	return n;
}

static int
guard_tls(struct lws *wsi)
{
#if defined(LWS_WITH_TLS)
	return !!lws_get_network_wsi(wsi)->tls.ssl;
#else
	return 0;
#endif
}

/* or nobody knows where it is */

static int
guard_peer_on_this_machine(struct lws *wsi)
{
	const lws_sockaddr46 *sa = &lws_get_network_wsi(wsi)->sa46_peer;

	switch (sa->sa4.sin_family) {
	case AF_INET:
		return ntohl(sa->sa4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
#if defined(LWS_WITH_IPV6)
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(&sa->sa6.sin6_addr))
			return sa->sa6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;

		return IN6_IS_ADDR_LOOPBACK(&sa->sa6.sin6_addr);
#endif
	default:
		return 1;
	}
}

static int
guard_is_own_origin(struct lws *wsi, const struct guard_origin *origin)
{
	const char *scheme = guard_tls(wsi) ? "https" : "http";
	char host[LWS_PROTON_GUARD_MOST + 1];
	struct guard_authority own;

	if (origin->len != strlen(scheme) ||
	    strncasecmp(origin->scheme, scheme, origin->len) ||
	    guard_host(wsi, host, sizeof(host)) <= 0 ||
	    guard_parse_authority(host, guard_default_port(scheme, origin->len),
				  &own) ||
	    !guard_same_authority(&origin->authority, &own))
		return 0;

	/* a guard has looked at Host already */

	return wsi->a.vhost->proton_guard ||
	       guard_names_this_machine(own.host, own.len) ||
	       !guard_peer_on_this_machine(wsi);
}

int
lws_proton_origin_allowed(struct lws *wsi, const char * const *origins)
{
	char text[LWS_PROTON_GUARD_MOST + 1];
	struct guard_origin origin, item;
	int n;

	if (guard_any(origins))
		return 1;

	n = guard_header(wsi, text, sizeof(text), WSI_TOKEN_ORIGIN);
	if (!n)
		return 1;
	if (n < 0 || guard_parse_origin(text, &origin))
		return 0;

	for (; origins && *origins; origins++)
		if (!guard_parse_origin(*origins, &item) &&
		    item.len == origin.len &&
		    !strncasecmp(item.scheme, origin.scheme, item.len) &&
		    guard_same_authority(&item.authority, &origin.authority))
			return 1;

	return guard_is_own_origin(wsi, &origin);
}

int
lws_proton_host_allowed(struct lws *wsi, const char * const *hosts)
{
	char text[LWS_PROTON_GUARD_MOST + 1];
	struct guard_authority host;
	int n;

	if (guard_any(hosts))
		return 1;

	n = guard_host(wsi, text, sizeof(text));
	if (!n)
		return 1;
	if (n < 0 || guard_parse_authority(text, 0, &host))
		return 0;

	for (; hosts && *hosts; hosts++)
		if (guard_same_host(&host, *hosts, strlen(*hosts)))
			return 1;

	return guard_names_this_machine(host.host, host.len);
}

int
lws_proton_is_origin(const char *text)
{
	struct guard_origin origin;

	return !strcmp(text, "*") || !guard_parse_origin(text, &origin);
}

int
lws_proton_is_loopback(const char *address)
{
	return !strcmp(address, "lo") ||
	       guard_names_this_machine(address, strlen(address));
}

void
lws_proton_vhost_guard(struct lws_vhost *vhost, const lws_proton_guard_t *guard)
{
	vhost->proton_guard = guard;
}

/* it wants to be a WebSocket */

static int
guard_upgrades(struct lws *wsi)
{
#if defined(LWS_WITH_HTTP2)
	if (wsi->mux_substream)
		return !!lws_hdr_simple_ptr(wsi, WSI_TOKEN_COLON_PROTOCOL);
#endif

	return !!lws_hdr_simple_ptr(wsi, WSI_TOKEN_UPGRADE);
}

int
lws_plat_proton_refuses(struct lws *wsi)
{
	const struct lws_proton_guard_t *guard = wsi->a.vhost->proton_guard;
	lws_proton_refusal_t why;
	int n;

	if (!guard)
		return 0;

	if (!lws_proton_host_allowed(wsi, guard->hosts))
		why = LWS_PROTON_REFUSED_HOST;
	else if (guard_upgrades(wsi) &&
		 !lws_proton_origin_allowed(wsi, guard->origins))
		why = LWS_PROTON_REFUSED_ORIGIN;
	else
		return 0;

	if (guard->refused)
		guard->refused(wsi, why);

	if (why == LWS_PROTON_REFUSED_HOST)
		n = lws_return_http_status(wsi, MISDIRECTED_REQUEST,
			"The Host of the request does not name this server, "
			"which answers to localhost.");
	else
		n = lws_return_http_status(wsi, HTTP_STATUS_FORBIDDEN,
			"The Origin of the request is not allowed to open a "
			"WebSocket here.");

	return n ? -1 : 1;
}
