/*
 * A leftist heap of runs of messages: see messages.h
 *
 * SPDX-License-Identifier: MIT
 *
 * The rank of the first message of a run is the length of the path that goes right
 * from it, and is never larger than that of the one at its left.  So a heap of r
 * runs has at most log2(r + 1) of them on its rightmost path, which is all that
 * join() walks.
 */

#include "messages.h"

static int
rank(const struct message *m)
{
	return m ? m->rank : 0;
}

static void
set_rank(struct message *m)
{
	if (rank(m->left) < rank(m->right)) {
		struct message *left = m->left;

		m->left = m->right;
		m->right = left;
	}
	m->rank = (uint8_t)(rank(m->right) + 1);
}

/* as deep as their rightmost paths are long */
static struct message *
join(struct message *a, struct message *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->number < a->number) {
		struct message *lower = b;

		b = a;
		a = lower;
	}
	a->right = join(a->right, b);
	a->right->parent = a;
	set_rank(a);

	return a;
}

static void
add_run(struct message_heap *heap, struct message *first)
{
	first->parent = first->left = first->right = NULL;
	first->rank = 1;
	heap->lowest = join(heap->lowest, first);
	heap->lowest->parent = NULL;
}

static void
remove_run(struct message_heap *heap, struct message *first)
{
	struct message *below = join(first->left, first->right),
		       *up = first->parent;

	if (below)
		below->parent = up;
	if (!up) {
		heap->lowest = below;
		return;
	}

	if (up->left == first)
		up->left = below;
	else
		up->right = below;
	/* ranks change for as long as they get lower, which is O(log r) times */
	for (; up; up = up->parent) {
		uint8_t before = up->rank;

		set_rank(up);
		if (up->rank == before)
			break;
	}
}

void
message_heap_join(struct message_heap *heap, struct message_heap *from)
{
	heap->lowest = join(heap->lowest, from->lowest);
	if (heap->lowest)
		heap->lowest->parent = NULL;
	if (from->last)
		heap->last = from->last;
	from->lowest = from->last = NULL;
}

void
message_heap_add(struct message_heap *heap, struct message *m)
{
	struct message *last = heap->last;

	m->next = NULL;
	if (last && last->number < m->number) {
		last->next = m;
		m->left = last;
		m->rank = 0;
	} else {
		add_run(heap, m);
	}
	heap->last = m;
}

void
message_heap_remove(struct message_heap *heap, struct message *m)
{
	struct message *before = m->rank ? NULL : m->left;

	if (heap->last == m)
		heap->last = before;
	if (!before) {
		remove_run(heap, m);
		if (m->next)
			add_run(heap, m->next);
		return;
	}

	before->next = m->next;
	if (m->next)
		m->next->left = before;
}
