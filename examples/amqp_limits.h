/*
 * What the peers of the AMQP examples may have them hold: Proton's own limits are
 * "as much as they like".
 *
 * SPDX-License-Identifier: MIT
 */

#if !defined(AMQP_LIMITS_H)
#define AMQP_LIMITS_H

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/disposition.h>
#include <proton/link.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/transport.h>

/* bytes: of a frame, and of a message where nothing else is said */
#define FRAME_MOST		(16 * 1024)
#define MESSAGE_MOST		(64 * 1024)
/* sessions of a connection that may be full at once, where Proton has such a limit */
#define FULL_SESSIONS		4

/* for a message with more bytes */
#define TOO_LONG		"amqp:link:message-size-exceeded"

/* for that of a new connection, of a peer who is not asked who he is */
static inline void
limit_transport(pn_transport_t *t)
{
	pn_sasl_allowed_mechs(pn_sasl(t), "ANONYMOUS");
	pn_transport_set_max_frame(t, FRAME_MOST);
}

/*
 * Since PROTON-2952 (after 0.40) Proton closes a connection that has more bytes
 * unread than this, in all of its sessions: 4 MiB, unless it is set.
 */
extern __attribute__((weak)) void
pn_transport_set_max_buffered_delivery_bytes(pn_transport_t *t, size_t limit);

/* for a connection whose sessions may each hold so many bytes unread */
static inline void
limit_unread(pn_transport_t *t, size_t session_most)
{
	if (pn_transport_set_max_buffered_delivery_bytes)
		pn_transport_set_max_buffered_delivery_bytes(t,
						FULL_SESSIONS * session_most);
}

/*
 * Whether a sender is to wait: its session has so many bytes in Proton that have
 * not gone, some of them its own.  PN_LINK_FLOW comes when those have gone; for
 * what others of the session have it would not.
 */
static inline int
has_enough(pn_link_t *link, size_t most)
{
	return pn_link_queued(link) &&
	       pn_session_outgoing_bytes(pn_link_session(link)) >= most;
}

/*
 * whether this is one for reject_too_long(), with its context set or with more
 * bytes than this
 */
static inline int
is_too_long(pn_delivery_t *d, size_t most)
{
	return pn_delivery_get_context(d) || pn_delivery_pending(d) > most;
}

/*
 * Reads what has come of it, which would fill the session, and notes in its
 * context that there was some.  0: more is to come; otherwise it is settled.
 */
static inline int
reject_too_long(pn_link_t *link, pn_delivery_t *d)
{
	char bytes[1024];

	pn_delivery_set_context(d, link);
	while (pn_link_recv(link, bytes, sizeof(bytes)) > 0)
		;
	if (pn_delivery_partial(d))
		return 0;

	pn_condition_set_name(pn_disposition_condition(pn_delivery_local(d)),
			      TOO_LONG);
	pn_delivery_update(d, PN_REJECTED);
	pn_delivery_settle(d);

	return 1;
}

#endif
