/*
 * Named queues of messages, between AMQP connections that any threads serve
 *
 * SPDX-License-Identifier: MIT
 *
 * A queue is made by the first that takes a place at it, and goes when it is
 * empty and has none.  It holds at most so many bytes, those among them that were
 * taken and are not settled; so nothing has to be thrown away.
 *
 * A place belongs to one link, and is used in the batches of its connection
 * only.  Who is told at his place that there is no message, or no room, is
 * noted there, and his connection is woken when there may be, whatever carries it:
 * that is PN_CONNECTION_WAKE, in a batch of the connection.
 */

#if !defined(QUEUES_H)
#define QUEUES_H

#include <libwebsockets.h>
#include <proton/types.h>

#include <stddef.h>

#include "amqp_limits.h"

/* bytes */
#define QUEUE_NAME_MOST	255

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

struct message {
	lws_dll2_t	list;
	size_t		size;
	unsigned long	number;		/* in the order in which they came */
	char		bytes[];
};

/* What is to be told of a queue, since it was made. */
struct queue_numbers {
	const char	*name;
	size_t		messages;	/* that nobody has taken */
	size_t		unsettled;	/* that somebody has */
	size_t		bytes;		/* of both */
	unsigned long	in, out;	/* messages that were put, and consumed */
};

/* A place at the queue of this name.  NULL: too many queues, or no memory. */
struct place *
queue_enter(const char *name, pn_connection_t *connection);

/* What was taken there and not settled is in the queue again, where it was. */
void
queue_leave(struct place *place);

/* Whether there is room for the largest message. */
int
queue_has_room(struct place *place);

/* Room for a message, which queue_put() then uses.  NULL: not now. */
struct message *
queue_reserve(struct place *place, size_t size);

void
queue_put(struct place *place, struct message *message);

/* The oldest message, until it is settled.  NULL: there is none. */
struct message *
queue_take(struct place *place);

/* It was consumed, or is to be in the queue again, where it was. */
void
queue_settle(struct place *place, struct message *message, int consumed);

/* Calls it for each queue, while none changes: it takes no long time. */
void
queues_tell(void (*tell)(void *context, const struct queue_numbers *numbers),
	    void *context);

/* Frees what is in them; there is no place any more. */
void
queues_free(void);

#endif
