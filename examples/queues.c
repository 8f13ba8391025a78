/*
 * Named queues of messages: see queues.h
 *
 * SPDX-License-Identifier: MIT
 *
 * One mutex is over all of it: what is done under it is short, and calls nothing
 * that waits: lws_proton_amqp_wake() takes Proton's own locks and comes back.  That
 * is safe: a connection does not end while one of its places is in a list here,
 * since its last batch takes them out.
 *
 * Messages that were never taken are in a list.  Those that were taken are in the
 * heap of their place, and those that came back in that of the queue: all of them
 * are older than any in the list.
 *
 * No wake is lost: after each operation that could leave something for a waiting
 * place, wake() sees to it that as many places are on their way as there is
 * something for, or QUEUE_WAKES more.  What one of those on its way leaves, it sees
 * to as it asks or passes.
 */

#include "queues.h"

#include <lws_proton_amqp.h>

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* what malloc() adds to a block, and what it rounds it up to (glibc, 64 bits) */
#define BLOCK_HEADER	8
#define BLOCK_UNIT	16

/*
 * What a pn_delivery_t takes with all that belongs to it but its bytes.  Measured by
 * mallinfo2() before and after 1,000 to 100,000 of them were sent, Proton 0.37: 725
 * to 870.  Its bytes have a buffer of a power of two.  Test edge_queues compares
 * what comes of it with the memory of a process.
 */
#define DELIVERY	768
#define DELIVERY_BUFFER	64

#define USES		2

struct queue {
	lws_dll2_t		list;
	struct message		*first, *last;	/* that nobody has taken yet */
	struct message_heap	returned;
	lws_dll2_owner_t	waiting[USES];	/* places, the longest first */
	size_t			woken[USES];	/* places that have not asked yet */
	size_t			references;	/* places and cursors */
	size_t			messages;	/* in the list, or returned */
	size_t			unsettled;
	size_t			bytes;	/* of messages here, taken or reserved */
	size_t			held;	/* what Proton has for those taken */
	unsigned long		last_number;
	unsigned long		consumed;
	char			name[];
};

/*
 *		list		becomes
 * AT_EASE	none		WAITING: it asked in vain
 * WAITING	the queue's	WOKEN: there is something for it
 * WOKEN	the peer's,	AT_EASE: it asked and got it, or passed
 *		then none	WAITING: it asked in vain
 */
enum place_state { AT_EASE, WAITING, WOKEN };

struct place {
	lws_dll2_t		list;
	struct message_heap	taken;
	size_t			unsettled;	/* how many */
	size_t			held;
	struct queue		*queue;
	struct queue_peer	*peer;
	void			*user;
	enum queue_use		use;
	enum place_state	state;
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
static void *names;	/* of the same queues, for tsearch() */

#define QUEUE(d)	lws_container_of(d, struct queue, list)
#define PLACE(d)	lws_container_of(d, struct place, list)

/* of a message with so many bytes, as malloc() has it */
static size_t
cost(size_t size)
{
	size_t all = offsetof(struct message, bytes) + size + BLOCK_HEADER;

	return (all + BLOCK_UNIT - 1) / BLOCK_UNIT * BLOCK_UNIT;
}

size_t
queue_held(const struct message *m)
{
	size_t most = m->size < QUEUE_PIECE ? m->size : QUEUE_PIECE,
	       buffer = DELIVERY_BUFFER;

	while (buffer < most)
		buffer *= 2;

	return DELIVERY + buffer;
}

static struct message *
oldest(const struct queue *q)
{
	return q->returned.lowest ? q->returned.lowest : q->first;
}

/* for how many places of this use there is something */
static size_t
something_for(const struct queue *q, enum queue_use use)
{
	if (use == QUEUE_PUTS)
		return q->bytes < queue_limits.queue ?
			(queue_limits.queue - q->bytes) /
			cost(queue_limits.message) : 0;

	/* one is always given: a queue that has it is none that is stuck */
	if (!q->messages || (q->unsettled && q->held + queue_held(oldest(q)) >
					     queue_limits.queue / 2))
		return 0;

	return q->messages;
}

static void
wake(struct queue *q, enum queue_use use)
{
	size_t most = something_for(q, use);
	int n;

	for (n = 0; n < QUEUE_WAKES && q->waiting[use].head &&
		    q->woken[use] < most; n++) {
		struct place *p = PLACE(q->waiting[use].head);

		lws_dll2_remove(&p->list);
		p->state = WOKEN;
		q->woken[use]++;
		lws_dll2_add_tail(&p->list, &p->peer->woken);
		if (p->peer->woken.count == 1)
			lws_proton_amqp_wake(p->peer->connection);
	}
}

static void
be_at_ease(struct place *p)
{
	if (p->state == WOKEN)
		p->queue->woken[p->use]--;
	lws_dll2_remove(&p->list);
	p->state = AT_EASE;
}

/* it asked: `got` it, or waits, where it did if it did already */
static void
asked(struct place *p, int got)
{
	if (got || p->state != WAITING)
		be_at_ease(p);
	if (!got && p->state != WAITING) {
		p->state = WAITING;
		lws_dll2_add_tail(&p->list, &p->queue->waiting[p->use]);
	}
	wake(p->queue, p->use);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
free_queue(struct queue *q)
{
	struct message *m;

	while ((m = q->returned.lowest)) {
		message_heap_remove(&q->returned, m);
		free(m);
	}
	while ((m = q->first)) {
		q->first = m->next;
		free(m);
	}
	tdelete(q->name, &names, compare);
	lws_dll2_remove(&q->list);
	free(q);
}

static void
release(struct queue *q)
{
	if (!--q->references && !q->messages)
		free_queue(q);
}

static struct queue *
make(const char *name)
{
	struct queue *q;

	if (queues.count >= queue_limits.queues)
		return NULL;
	q = calloc(1, sizeof(*q) + strlen(name) + 1);
	if (!q)
		return NULL;
	strcpy(q->name, name);
	if (!tsearch(q->name, &names, compare)) {
		free(q);
		return NULL;
	}
	lws_dll2_add_tail(&q->list, &queues);

	return q;
}

static struct queue *
find(const char *name)
{
	const char **found = tfind(name, &names, compare);

	return found ? lws_container_of(*found, struct queue, name) : NULL;
}

struct place *
queue_enter(const char *name, enum queue_use use, struct queue_peer *peer,
	    void *user)
{
	struct place *p;

	if (strlen(name) > QUEUE_NAME_MOST)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;

	p->use = use;
	p->peer = peer;
	p->user = user;
	pthread_mutex_lock(&mutex);
	p->queue = find(name);
	if (!p->queue)
		p->queue = make(name);
	if (p->queue) {
		p->queue->references++;
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
	be_at_ease(p);
	message_heap_join(&q->returned, &p->taken);
	q->messages += p->unsettled;
	q->unsettled -= p->unsettled;
	q->held -= p->held;
	wake(q, QUEUE_TAKES);
	if (p->use == QUEUE_PUTS)
		wake(q, QUEUE_PUTS);
	release(q);
	pthread_mutex_unlock(&mutex);
	free(p);
}

int
queue_has_room(struct place *p)
{
	int yes;

	pthread_mutex_lock(&mutex);
	yes = something_for(p->queue, QUEUE_PUTS) > 0;
	asked(p, yes);
	pthread_mutex_unlock(&mutex);

	return yes;
}

struct message *
queue_reserve(struct place *p, size_t size)
{
	struct message *m = NULL;
	int has_room;

	pthread_mutex_lock(&mutex);
	has_room = p->queue->bytes + cost(size) <= queue_limits.queue;
	if (has_room) {
		m = malloc(offsetof(struct message, bytes) + size);
		p->queue->bytes += m ? cost(size) : 0;
	}
	/* for memory nobody could wake it */
	asked(p, has_room);
	pthread_mutex_unlock(&mutex);

	if (m)
		m->size = (uint32_t)size;
	else
		errno = has_room ? ENOMEM : EAGAIN;

	return m;
}

void
queue_put(struct place *p, struct message *m)
{
	struct queue *q = p->queue;

	pthread_mutex_lock(&mutex);
	m->number = ++q->last_number;
	m->next = NULL;
	if (q->first)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
	q->messages++;
	wake(q, QUEUE_TAKES);
	pthread_mutex_unlock(&mutex);
}

struct message *
queue_take(struct place *p)
{
	struct queue *q = p->queue;
	struct message *m = NULL;

	pthread_mutex_lock(&mutex);
	if (something_for(q, QUEUE_TAKES)) {
		m = oldest(q);
		if (q->returned.lowest)
			message_heap_remove(&q->returned, m);
		else
			q->first = m->next;
		message_heap_add(&p->taken, m);
		q->messages--;
		q->unsettled++;
		p->unsettled++;
		q->held += queue_held(m);
		p->held += queue_held(m);
	}
	asked(p, !!m);
	pthread_mutex_unlock(&mutex);

	return m;
}

void
queue_settle(struct place *p, struct message *m, int consumed)
{
	struct queue *q = p->queue;

	pthread_mutex_lock(&mutex);
	message_heap_remove(&p->taken, m);
	q->unsettled--;
	p->unsettled--;
	q->held -= queue_held(m);
	p->held -= queue_held(m);
	if (consumed) {
		q->consumed++;
		q->bytes -= cost(m->size);
		wake(q, QUEUE_PUTS);
	} else {
		message_heap_add(&q->returned, m);
		q->messages++;
	}
	wake(q, QUEUE_TAKES);
	pthread_mutex_unlock(&mutex);
	if (consumed)
		free(m);
}

void *
queue_woken(struct queue_peer *peer)
{
	struct place *p = NULL;

	pthread_mutex_lock(&mutex);
	if (peer->woken.head) {
		p = PLACE(peer->woken.head);
		lws_dll2_remove(&p->list);
	}
	pthread_mutex_unlock(&mutex);

	return p ? p->user : NULL;
}

void
queue_pass(struct place *p)
{
	pthread_mutex_lock(&mutex);
	if (p->state == WOKEN) {
		be_at_ease(p);
		wake(p->queue, p->use);
	}
	pthread_mutex_unlock(&mutex);
}

int
queue_next(struct queue_cursor *cursor, struct queue_numbers *numbers)
{
	struct queue *q = cursor->at;
	lws_dll2_t *d;

	pthread_mutex_lock(&mutex);
	d = q ? q->list.next : cursor->ended ? NULL : queues.head;
	cursor->at = d ? QUEUE(d) : NULL;
	cursor->ended = !d;
	if (cursor->at) {
		cursor->at->references++;
		*numbers = (struct queue_numbers){
			.name		= cursor->at->name,
			.messages	= cursor->at->messages,
			.unsettled	= cursor->at->unsettled,
			.bytes		= cursor->at->bytes + cursor->at->held,
			.in		= cursor->at->last_number,
			.out		= cursor->at->consumed,
		};
	}
	if (q)
		release(q);
	pthread_mutex_unlock(&mutex);

	return !!cursor->at;
}

void
queue_stop(struct queue_cursor *cursor)
{
	pthread_mutex_lock(&mutex);
	if (cursor->at)
		release(cursor->at);
	cursor->at = NULL;
	pthread_mutex_unlock(&mutex);
}

void
queues_free(void)
{
	while (queues.head)
		free_queue(QUEUE(queues.head));
}
