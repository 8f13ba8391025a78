/*
 * Messages, and a heap of them by number
 *
 * SPDX-License-Identifier: MIT
 *
 * To put a message in, to take any out, and to make one heap of two takes O(log r)
 * for r runs: messages that were put in one after the other, in order of their
 * numbers, are one run.  The heap is made of the messages themselves, so nothing of
 * that can fail.
 */

#if !defined(MESSAGES_H)
#define MESSAGES_H

#include <stddef.h>
#include <stdint.h>

struct message {
	/* of the first of a run in its heap; for any other `left` is the one before */
	struct message	*parent, *left, *right;
	struct message	*next;		/* in its run, or list */
	unsigned long	number;		/* in the order in which they came */
	uint32_t	size;		/* bytes */
	uint8_t		rank;		/* in the heap; 0: not the first of a run */
	char		bytes[];
};

/* all zero: with nothing in it */
struct message_heap {
	struct message	*lowest;	/* the one with the lowest number, or NULL */
	struct message	*last;		/* that came, if there is none after it */
};

/* Moves all of `from`, which is empty then, to `heap`. */
void
message_heap_join(struct message_heap *heap, struct message_heap *from);

void
message_heap_add(struct message_heap *heap, struct message *message);

/* The message is in the heap. */
void
message_heap_remove(struct message_heap *heap, struct message *message);

#endif
