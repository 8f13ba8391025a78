/*
 * Named queues of messages, between AMQP connections that any threads serve
 *
 * SPDX-License-Identifier: MIT
 *
 * The first that takes a place at a queue makes it.  A queue goes when it has
 * neither messages nor places.
 *
 * A place belongs to one link.  Only the batches of the link's connection use it.
 * A place that finds no message, or no room, waits.  When there is something for
 * it, its connection is woken, whatever carries the connection: it gets
 * PN_CONNECTION_WAKE, in a batch of its own, and asks queue_woken() which of its
 * places that was for.  As many places are woken as there are messages, or as
 * there is room for the largest message, and no more.  So a place that was woken
 * must ask again, or say by queue_pass() that it has no use for it; then it is
 * another's turn.
 *
 * Time: no function takes more than O(log n) for n messages, places or queues, and
 * none wakes more than QUEUE_WAKES connections.
 *
 * Memory: a queue's messages, those included that were taken and are not settled,
 * take at most queue_limits.queue bytes, each with what is allocated around it.
 * What Proton keeps for those that were taken (queue_held()) takes at most half as
 * much more; only the first is given whatever it takes.  A place is
 * 100 bytes, a queue 200 and its name.
 */

#if !defined(QUEUES_H)
#define QUEUES_H

#include <libwebsockets.h>
#include <proton/types.h>

#include <stddef.h>

#include "amqp_limits.h"
#include "messages.h"

/* bytes */
#define QUEUE_NAME_MOST	255

/* connections that one call wakes at most */
#define QUEUE_WAKES	2

/* bytes of a message that its link hands to Proton at a time */
#define QUEUE_PIECE	(32 * 1024)

/* What they hold at most: the program says other numbers before it has threads. */
struct queue_limits {
	size_t	message;	/* bytes of one */
	size_t	queue;		/* bytes of all in it, each with a bit more than it has */
	size_t	queues;
	size_t	connections;
	/* messages that a peer may send before it hears of the fate of the first */
	int	credit;
};

extern struct queue_limits queue_limits;

struct place;

/* Of a connection: which of its places were woken.  The queues' own. */
struct queue_peer {
	pn_connection_t		*connection;
	lws_dll2_owner_t	woken;
};

/* What a place is for. */
enum queue_use { QUEUE_TAKES, QUEUE_PUTS };

/* What is to be told of a queue, since it was made. */
struct queue_numbers {
	const char	*name;
	size_t		messages;	/* that nobody has taken */
	size_t		unsettled;	/* that somebody has */
	/* of both, and what Proton keeps for the unsettled: as allocated */
	size_t		bytes;
	unsigned long	in, out;	/* messages that were put, and consumed */
};

/*
 * A place at the queue of this name, for a `user`, which queue_woken() returns.
 * `peer` is that of the user's connection, and is there for longer than the place.
 * NULL: too many queues, or no memory.
 */
struct place *
queue_enter(const char *name, enum queue_use use, struct queue_peer *peer,
	    void *user);

/* What was taken there and not settled is in the queue again, where it was. */
void
queue_leave(struct place *place);

/* Whether there is room for the largest message.  0: the place waits for it. */
int
queue_has_room(struct place *place);

/*
 * Room for a message of at most queue_limits.message bytes, which queue_put() then
 * uses.  NULL: errno is EAGAIN, there is none and the place waits for it; or ENOMEM.
 */
struct message *
queue_reserve(struct place *place, size_t size);

void
queue_put(struct place *place, struct message *message);

/*
 * The oldest message, until it is settled.  NULL: there is none, or as many are
 * unsettled as may be; the place waits for one.
 */
struct message *
queue_take(struct place *place);

/* It was consumed, or is to be in the queue again, where it was. */
void
queue_settle(struct place *place, struct message *message, int consumed);

/* What Proton keeps for a message that was taken until it is settled, in bytes. */
size_t
queue_held(const struct message *message);

/*
 * Of the places of a connection that were woken the next one's user; NULL: there
 * is none.  The place has to ask again, or to pass.
 */
void *
queue_woken(struct queue_peer *peer);

/* A place that was woken has no use for it.  For any other it does nothing. */
void
queue_pass(struct place *place);

/*
 * Goes from one queue to the next, in the order in which they were made.  All zero
 * at first.  A queue at which a cursor is stays.
 */
struct queue_cursor {
	struct queue *at;
	int ended;
};

/*
 * 0: there is no next, and the cursor is at none.  The name is valid until the
 * next call for this cursor.
 */
int
queue_next(struct queue_cursor *cursor, struct queue_numbers *numbers);

/* Before a cursor is forgotten. */
void
queue_stop(struct queue_cursor *cursor);

/* Frees what is in them; there is no place and no cursor any more. */
void
queues_free(void);

#endif
