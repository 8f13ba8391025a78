/*
 * Raw connections that are woken at a time of theirs: by the one timeout that a
 * proactor has, which the program shares with lws.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after threads.h.
 */

#include <proton/raw_connection.h>

struct alarm {
	lws_dll2_t		list;
	pn_raw_connection_t	*raw;
	int64_t			at;	/* ms of pn_proactor_now_64(); 0: never */
};

/*
 * An alarm is in the list for as long as its raw connection can be woken.  What
 * is in it is changed in batches of the raw connection, with the mutex.
 */
static pthread_mutex_t alarms_mutex = PTHREAD_MUTEX_INITIALIZER;
static lws_dll2_owner_t alarms;
static int64_t timeout_at;	/* 0: none is set */

/* with the mutex */
static void
arm_timeout(int64_t at)
{
	int64_t ms = at - pn_proactor_now_64();

	/* threads.h sets one of its own when the program stops */
	if (!at || (timeout_at && timeout_at <= at) || serving.stopping)
		return;
	timeout_at = at;
	lws_proton_set_timeout(serving.proactor, ms > 0 ? (pn_millis_t)ms : 0);
}

static void
set_alarm(struct alarm *a, int64_t at)
{
	pthread_mutex_lock(&alarms_mutex);
	a->at = at;
	arm_timeout(at);
	pthread_mutex_unlock(&alarms_mutex);
}

/* before Proton has the raw connection, which is woken `ms` from now */
static void
add_alarm(struct alarm *a, pn_raw_connection_t *raw, long ms)
{
	a->raw = raw;
	pthread_mutex_lock(&alarms_mutex);
	lws_dll2_add_tail(&a->list, &alarms);
	pthread_mutex_unlock(&alarms_mutex);
	set_alarm(a, pn_proactor_now_64() + ms);
}

/* in its last batch at the latest */
static void
remove_alarm(struct alarm *a)
{
	pthread_mutex_lock(&alarms_mutex);
	lws_dll2_remove(&a->list);
	pthread_mutex_unlock(&alarms_mutex);
}

static int
is_due(const struct alarm *a)
{
	return a->at && a->at <= pn_proactor_now_64();
}

/* for PN_PROACTOR_TIMEOUT: those that are due; or all */
static void
ring_alarms(int all)
{
	pthread_mutex_lock(&alarms_mutex);
	timeout_at = 0;
	lws_start_foreach_dll(struct lws_dll2 *, d, alarms.head) {
		struct alarm *a = lws_container_of(d, struct alarm, list);

		if (all || is_due(a))
			pn_raw_connection_wake(a->raw);
		else
			arm_timeout(a->at);
	} lws_end_foreach_dll(d);
	pthread_mutex_unlock(&alarms_mutex);
}
