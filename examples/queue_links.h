/*
 * The links of AMQP connections, each with its place at the queue that it names
 *
 * SPDX-License-Identifier: MIT
 *
 * A link whose peer sends puts into the queue, and is given credit while there
 * is room; one whose peer receives takes from it, for the credit that it has.
 * All of this is called in batches of the link's connection.
 *
 * Time: what a connection's links do is cut into turns of LINKS_TURN messages and
 * links.  When a turn is over the connection wakes itself, and goes on in the
 * next batch, so that other connections of its thread are served in between.  Each
 * function but links_leave() takes O(log n).
 *
 * Memory, besides Proton's objects for sessions and links: 150 bytes a link.
 * What Proton keeps for messages that receivers have not settled takes at most half
 * of queue_limits.queue a connection, and one message more.  What waits to be sent
 * is at most LINKS_OUTGOING bytes or LINKS_QUEUED messages a session, and
 * QUEUE_PIECE bytes for each of its links.  What senders have sent and a full queue
 * has no room for is at most queue_limits.credit messages a link; a peer that sends
 * more than it has credit for loses the link.
 */

#if !defined(QUEUE_LINKS_H)
#define QUEUE_LINKS_H

#include "queues.h"

#include <proton/types.h>

/* messages and links that are served before the connection wakes itself */
#define LINKS_TURN		256

/*
 * what a session has in Proton and has not sent yet: as long as there is so much, in
 * bytes or in messages, its links take one message at a time
 */
#define LINKS_OUTGOING		(256 * 1024)
#define LINKS_QUEUED		1024

/* What the links of a connection share. */
struct connection_links {
	struct queue_peer	peer;
	lws_dll2_owner_t	sessions;
	lws_dll2_owner_t	due;	/* links to go on with */
	lws_dll2_owner_t	full;	/* those that wait until `held` is less */
	size_t			held;	/* bytes of messages not settled, in Proton */
	int			turn;	/* what is left of it */
};

void
links_init(struct connection_links *links, pn_connection_t *connection);

/* for PN_CONNECTION_WAKE: goes on with the links that were woken, for a turn */
void
links_woken(struct connection_links *links);

/* when all of them end, once or more */
void
links_leave(struct connection_links *links);

/* for PN_SESSION_REMOTE_OPEN; -1: no memory */
int
session_enter(struct connection_links *links, pn_session_t *session);

/* when its links end, once or more */
void
session_leave(pn_session_t *session);

/* for PN_LINK_REMOTE_OPEN: takes a place for it, or refuses the link */
void
link_enter(pn_link_t *link);

/* for PN_LINK_FLOW: moves what can be moved */
void
link_flow(pn_link_t *link);

/* for PN_DELIVERY */
void
link_delivery(pn_link_t *link, pn_delivery_t *delivery);

/* when it ends, once or more: what its peer had not settled is queued again */
void
link_leave(pn_link_t *link);

#endif
