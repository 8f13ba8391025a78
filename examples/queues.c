/*
 * Named queues of messages: see queues.h
 *
 * SPDX-License-Identifier: MIT
 *
 * One mutex is over all of it: what is done under it is short, and calls nothing
 * that waits: lws_proton_amqp_wake() takes Proton's own locks and comes back.  That
 * is safe: a connection does not end while one of its places is in a list here,
 * since its last batch takes them out.
 */

#include "queues.h"

#include <lws_proton_amqp.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct queue {
	lws_dll2_t		list;
	lws_dll2_owner_t	messages;
	lws_dll2_owner_t	places;
	size_t			bytes;	/* of messages here, taken or reserved */
	size_t			unsettled;	/* messages that are taken */
	unsigned long		last_number;
	unsigned long		consumed;
	char			name[];
};

enum waiting_for { NOTHING, A_MESSAGE, ROOM };

struct place {
	lws_dll2_t		list;
	lws_dll2_owner_t	taken;		/* the last one first */
	struct queue		*queue;
	pn_connection_t		*connection;
	enum waiting_for	waiting_for;
};

struct queue_limits queue_limits = {
	.message	= MESSAGE_MOST,
	.queue		= 1024 * 1024,
	.queues		= 1000,
	.connections	= 1000,
	.credit		= 16,
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static lws_dll2_owner_t queues;

#define QUEUE(d)	lws_container_of(d, struct queue, list)
#define PLACE(d)	lws_container_of(d, struct place, list)
#define MESSAGE(d)	lws_container_of(d, struct message, list)

static size_t
cost(size_t size)
{
	return sizeof(struct message) + size;
}

static int
has_room(const struct queue *q)
{
	return q->bytes + cost(queue_limits.message) <= queue_limits.queue;
}

/* all of them: who is woken may have no use for it any more */
static void
wake(struct queue *q, enum waiting_for what)
{
	lws_start_foreach_dll(struct lws_dll2 *, d, q->places.head) {
		struct place *p = PLACE(d);

		if (p->waiting_for == what) {
			p->waiting_for = NOTHING;
			lws_proton_amqp_wake(p->connection);
		}
	} lws_end_foreach_dll(d);
}

static void
free_message(struct queue *q, struct message *m)
{
	lws_dll2_remove(&m->list);
	q->bytes -= cost(m->size);
	free(m);
}

static void
free_queue(struct queue *q)
{
	while (q->messages.head)
		free_message(q, MESSAGE(q->messages.head));
	lws_dll2_remove(&q->list);
	free(q);
}

/* before those that came after it */
static void
put_back(struct queue *q, struct message *m)
{
	struct lws_dll2 *d = q->messages.head;

	lws_dll2_remove(&m->list);
	q->unsettled--;
	while (d && MESSAGE(d)->number < m->number)
		d = d->next;
	if (d)
		lws_dll2_add_before(&m->list, d);
	else
		lws_dll2_add_tail(&m->list, &q->messages);
}

static struct queue *
find_or_make(const char *name)
{
	struct queue *q;

	lws_start_foreach_dll(struct lws_dll2 *, d, queues.head) {
		if (!strcmp(QUEUE(d)->name, name))
			return QUEUE(d);
	} lws_end_foreach_dll(d);

	if (queues.count >= queue_limits.queues)
		return NULL;
	q = calloc(1, sizeof(*q) + strlen(name) + 1);
	if (q) {
		strcpy(q->name, name);
		lws_dll2_add_tail(&q->list, &queues);
	}

	return q;
}

struct place *
queue_enter(const char *name, pn_connection_t *connection)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;

	p->connection = connection;
	pthread_mutex_lock(&mutex);
	p->queue = find_or_make(name);
	if (p->queue) {
		lws_dll2_add_tail(&p->list, &p->queue->places);
	} else {
		free(p);
		p = NULL;
	}
	pthread_mutex_unlock(&mutex);

	return p;
}

void
queue_leave(struct place *p)
{
	struct queue *q = p->queue;

	pthread_mutex_lock(&mutex);
	/* the last one first: each finds its place at the head */
	while (p->taken.head)
		put_back(q, MESSAGE(p->taken.head));
	lws_dll2_remove(&p->list);
	wake(q, A_MESSAGE);
	if (!q->places.count && !q->messages.count)
		free_queue(q);
	pthread_mutex_unlock(&mutex);
	free(p);
}

int
queue_has_room(struct place *p)
{
	int yes;

	pthread_mutex_lock(&mutex);
	yes = has_room(p->queue);
	if (!yes)
		p->waiting_for = ROOM;
	pthread_mutex_unlock(&mutex);

	return yes;
}

struct message *
queue_reserve(struct place *p, size_t size)
{
	struct message *m = NULL;

	pthread_mutex_lock(&mutex);
	if (p->queue->bytes + cost(size) <= queue_limits.queue)
		m = calloc(1, cost(size));
	if (m) {
		m->size = size;
		p->queue->bytes += cost(size);
	} else {
		p->waiting_for = ROOM;
	}
	pthread_mutex_unlock(&mutex);

	return m;
}

void
queue_put(struct place *p, struct message *m)
{
	pthread_mutex_lock(&mutex);
	m->number = ++p->queue->last_number;
	lws_dll2_add_tail(&m->list, &p->queue->messages);
	wake(p->queue, A_MESSAGE);
	pthread_mutex_unlock(&mutex);
}

struct message *
queue_take(struct place *p)
{
	struct message *m = NULL;

	pthread_mutex_lock(&mutex);
	if (p->queue->messages.head) {
		m = MESSAGE(p->queue->messages.head);
		lws_dll2_remove(&m->list);
		lws_dll2_add_head(&m->list, &p->taken);
		p->queue->unsettled++;
	} else {
		p->waiting_for = A_MESSAGE;
	}
	pthread_mutex_unlock(&mutex);

	return m;
}

void
queue_settle(struct place *p, struct message *m, int consumed)
{
	pthread_mutex_lock(&mutex);
	if (consumed) {
		p->queue->unsettled--;
		p->queue->consumed++;
		free_message(p->queue, m);
		if (has_room(p->queue))
			wake(p->queue, ROOM);
	} else {
		put_back(p->queue, m);
		wake(p->queue, A_MESSAGE);
	}
	pthread_mutex_unlock(&mutex);
}

void
queues_tell(void (*tell)(void *context, const struct queue_numbers *numbers),
	    void *context)
{
	pthread_mutex_lock(&mutex);
	lws_start_foreach_dll(struct lws_dll2 *, d, queues.head) {
		const struct queue *q = QUEUE(d);
		const struct queue_numbers numbers = {
			.name		= q->name,
			.messages	= q->messages.count,
			.unsettled	= q->unsettled,
			.bytes		= q->bytes,
			.in		= q->last_number,
			.out		= q->consumed,
		};

		tell(context, &numbers);
	} lws_end_foreach_dll(d);
	pthread_mutex_unlock(&mutex);
}

void
queues_free(void)
{
	while (queues.head)
		free_queue(QUEUE(queues.head));
}
